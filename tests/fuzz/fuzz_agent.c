/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the files that root obeys: kcare.conf (read, rewritten, and read again), sysctl.conf, state.json and
 * the crash guard's marker. The first byte chooses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/guard.h"
#include "agent/sysctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_config(struct kc_ctx *ctx, const char *text, size_t size)
{
	KC_CLEANUP_CONFIG struct kc_config before = { 0 }, after = { 0 };
	kc_autoerror struct kc_error *err = kc_config_parse(ctx, "fuzz", text, size, &before);
	kc_autobuf struct kc_buf changed = { 0 };

	if (err)
		return;
	/* what was readable is so with a changed key, and every other key is what it was */
	if (kc_config_rewrite(text, size, "PREFIX", "new", &changed) ||
	    kc_config_parse(ctx, "fuzz", changed.data, changed.size, &after))
		abort();
	if (strcmp(after.prefix, "new") || strcmp(after.patch_server, before.patch_server) ||
	    strcmp(after.patch_type, before.patch_type) || after.update_policy != before.update_policy ||
	    after.auto_update != before.auto_update)
		abort();
}

static void fuzz_sysctl(const char *text, size_t size)
{
	struct kc_sysctl_line line;
	kc_autofree char *path = NULL;

	if (!kc_sysctl_parse(text, size, &line) || line.problem)
		return;
	path = kc_sysctl_path(line.name, line.name_size);
	if (path && (*path == '/' || strstr(path, "/../") || !strncmp(path, "../", 3)))
		abort();
}

static void fuzz_state(const char *text, size_t size)
{
	KC_CLEANUP_STATE struct kc_state state = { 0 };

	kc_error_free(kc_state_parse("fuzz", text, size, &state));
}

static void fuzz_marker(const char *text, size_t size)
{
	struct kc_loading loading = { 0 };

	kc_error_free(kc_guard_parse("fuzz", text, size, &loading));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	const char *text = (const char *)data + 1;

	if (!size || !ctx)
		return 0;
	switch (*data) {
	case 'c':
		fuzz_config(ctx, text, size - 1);
		break;
	case 'y':
		fuzz_sysctl(text, size - 1);
		break;
	case 's':
		fuzz_state(text, size - 1);
		break;
	case 'm':
		fuzz_marker(text, size - 1);
		break;
	}
	return 0;
}
