/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/tool.h"

#include <string.h>

#include "base/array.h"
#include "base/process.h"

enum { SHOWN_LINES = 15, OUTPUT_LIMIT = 512 << 20 };

struct kc_error *kc_tool_try(const char *const *argv, const char *dir, const char *const *env, struct kc_buf *output,
			     struct kc_buf *errors, int *exit_code)
{
	/* `make demo` runs us: its flags and job server are not for the package's makefiles. */
	static const char *const outside[] = { "env",	   "-u", "MAKEFLAGS", "-u",
					       "MFLAGS",   "-u", "MAKELEVEL", "-u",
					       "CFLAGS",   "-u", "CPPFLAGS",  "-u",
					       "CXXFLAGS", "-u", "LDFLAGS",   "LC_ALL=C.UTF-8" };
	struct kc_process process = {
		.env = env, .dir = dir, .output = output, .errors = errors, .output_limit = OUTPUT_LIMIT
	};
	kc_autofree const char **whole = NULL;
	size_t n = 0;
	int err;

	while (argv[n])
		n++;
	whole = calloc(KC_ARRAY_SIZE(outside) + n + 1, sizeof(*whole));
	if (!whole)
		return kc_error_no_memory();
	memcpy(whole, outside, sizeof(outside));
	memcpy(whole + KC_ARRAY_SIZE(outside), argv, n * sizeof(*argv));
	process.argv = whole;
	err = kc_process_run(&process, exit_code);
	/* Without output, callers still find a string. */
	kc_buf_append(output, "", 0);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot run %s", argv[0]) : NULL;
}

/* The last lines of what a program said: where it failed. */
static const char *last_lines(const struct kc_buf *text)
{
	const char *p = text->data ? text->data + text->size : "";
	int lines = 0;

	while (text->data && p > text->data && (lines += p[-1] == '\n') <= SHOWN_LINES)
		p--;
	return p;
}

struct kc_error *kc_tool_run(enum kc_error_code code, const char *what, const char *const *argv, const char *dir,
			     const char *const *env, struct kc_buf *output)
{
	kc_autobuf struct kc_buf own_output = { 0 }, errors = { 0 };
	int exit_code = 0;

	KC_TRY(kc_tool_try(argv, dir, env, output ? output : &own_output, output ? &errors : NULL, &exit_code));
	if (exit_code == 127)
		return kc_error_new(code, "%s: %s is not installed", what, argv[0]);
	if (exit_code)
		return kc_error_new(code, "%s: %s failed:\n%s", what, argv[0],
				    last_lines(output ? &errors : &own_output));
	return NULL;
}
