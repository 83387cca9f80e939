/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fixes come from mails and web pages: parsed, then applied to a small file. */
#include <stddef.h>
#include <stdint.h>

#include "build/apply_fix.h"
#include "build/fix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "#if A\n/* b */\nint c(void)\n{\n\treturn 1;\n}\n#endif\n";
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autofix struct kc_fix *fix = NULL;
	struct kc_error *err = ctx ? kc_fix_parse(ctx, "fuzz", data, size, &fix) : NULL;

	kc_error_free(err);
	for (size_t i = 0; fix && i < fix->n_files; i++) {
		kc_autosource struct kc_source *source = NULL;
		kc_autobuf struct kc_buf out = { 0 };

		err = kc_source_parse("a.c", text, sizeof(text) - 1, &source);
		if (!err)
			err = kc_source_apply(ctx, source, fix, &fix->files[i]);
		if (!err)
			err = kc_source_render(source, &out);
		kc_error_free(err);
	}
	return 0;
}
