/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that are still in old code. A fix with `Consistency: function` is switched in while threads may be inside the
 * functions that it replaces; until they have left, they run what the fix is about. Looked at from outside.
 */
#ifndef KC_APPLY_USER_OLD_CODE_H
#define KC_APPLY_USER_OLD_CODE_H

#include "patch/patch_file.h"
#include "proc/process.h"

/*
 * The threads that are, or may be, in code of `object` that `patch` replaced: a thread that ran at each of some looks
 * is among them. Suspended coroutines are not seen. The array is the caller's.
 */
struct kc_error *kc_user_old_code(struct kc_ctx *ctx, const struct kc_process_view *view,
				  const struct kc_object *object, const struct kc_patch *patch, pid_t **tids,
				  size_t *n);

#endif
