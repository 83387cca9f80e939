/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unwinding a stopped thread: see user_unwind.c. */
#ifndef KC_APPLY_USER_UNWIND_H
#define KC_APPLY_USER_UNWIND_H

#include <sys/user.h>

#include "apply/user_internal.h"

struct kc_unwind;

/* `view` must outlive it unchanged. NULL when there is no unwinding this process. */
struct kc_unwind *kc_unwind_new(const struct kc_process_view *view);
void kc_unwind_free(struct kc_unwind *unwind);
/* Is a frame of the thread in forbidden code? Also when that cannot be told. */
bool kc_unwind_is_inside(struct kc_unwind *unwind, const struct kc_forbidden *forbidden, pid_t tid,
			 const struct user_regs_struct *regs);

#endif
