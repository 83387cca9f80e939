/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that preparing a package needs (apt, dpkg, make): run them and turn failures into errors. */
#ifndef KC_BUILD_TOOL_H
#define KC_BUILD_TOOL_H

#include "base/buf.h"
#include "base/ctx.h"

/*
 * Runs `argv` in `dir` with extra `env`, outside of any `make` that runs us. Standard output is appended to `output`
 * when that is set. A failure is `code`, "WHAT: " and the last lines that the program wrote.
 */
struct kc_error *kc_tool_run(enum kc_error_code code, const char *what, const char *const *argv, const char *dir,
			     const char *const *env, struct kc_buf *output);
/*
 * The same, with the program's exit code and all that it wrote, for callers that know what a failure means. `output` is
 * never NULL; `errors` may be: then both are in `output`.
 */
struct kc_error *kc_tool_try(const char *const *argv, const char *dir, const char *const *env, struct kc_buf *output,
			     struct kc_buf *errors, int *exit_code);

#endif
