/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of borrowing a thread: the signal frame that leads it back, its extended registers, writing to its memory.
 */
#ifndef KC_APPLY_USER_REMOTE_H
#define KC_APPLY_USER_REMOTE_H

#include <sys/user.h>

#include "apply/user_internal.h"

#define KC_XSTATE_MAX 16384
#define KC_SIGNAL_FRAME_MAX (KC_XSTATE_MAX + 1024)

/* x87, SSE, AVX, …: as PTRACE_GETREGSET gives them. */
struct kc_xstate {
	uint8_t data[KC_XSTATE_MAX];
	size_t size;
};

/* false: it cannot be had, or the thread uses registers that do not fit in a frame (AMX). */
bool kc_xstate_get(pid_t tid, struct kc_xstate *xstate);
void kc_xstate_set(pid_t tid, const struct kc_xstate *xstate);

/*
 * Builds the frame that rt_sigreturn takes `regs`, `mask` and `xstate` from, to be written at `*addr` (below `top`,
 * 8 behind a multiple of 16, as a stack is at a function's entry). An interrupted system call is set to begin again.
 * Returns the size, 0 when it does not fit.
 */
size_t kc_signal_frame_build(const struct user_regs_struct *regs, uint64_t mask, const struct kc_xstate *xstate,
			     uint64_t restorer, uint64_t top, uint8_t frame[KC_SIGNAL_FRAME_MAX], uint64_t *addr);

/* Is the thread inside a restartable sequence? Its registers must not be changed then. */
bool kc_in_rseq(const struct kc_process_view *view, pid_t tid, uint64_t pc);

#endif
