/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One attempt to switch (user_stop.c) and the set of threads it works on (user_threads.c).
 */
#ifndef KC_APPLY_USER_STOP_H
#define KC_APPLY_USER_STOP_H

#include "apply/user_stack.h"
#include "apply/user_tracee.h"

struct kc_stop {
	struct kc_ctx *ctx;
	struct kc_transition *transition;
	const struct kc_user_options *options;
	struct kc_tracee *tracees;
	size_t n_tracees;
	unsigned attempt;		    /* from 1 */
	pid_t tracer;			    /* thread id of ours */
	uint64_t stop_ns, begin_ns, end_ns; /* first interrupt at all, of a running thread; running ones go */
	struct kc_process_view *fresh;	    /* maps as they are at this attempt, when all memory is searched */
	struct kc_scratch scratch;
};

/* Seizes every thread of the process, and of processes that share its memory, until there is no other. */
struct kc_error *kc_stop_seize(struct kc_stop *stop);
/* Handles what seized threads stopped for by themselves: they go on. */
struct kc_error *kc_stop_serve(struct kc_stop *stop);
/* A thread has stopped, maybe because it made another: that one is taken in. */
struct kc_error *kc_stop_adopt(struct kc_stop *stop, struct kc_tracee *tracee);
/* Are there threads that we do not know? */
struct kc_error *kc_stop_is_complete(struct kc_stop *stop);
/*
 * Searches the stacks that no thread is on (user_coroutine.c). First without the running threads stopped, without a
 * limit, then inside the stop, as far as that takes no longer than it may.
 */
struct kc_error *kc_stop_search_memory(struct kc_stop *stop, bool stopped);
/* Is a hit on a stack real? Unwinds where a word may be stale. `regs` NULL: where it was looked at. */
bool kc_stop_hit_stands(struct kc_stop *stop, const struct kc_tracee *tracee, const struct user_regs_struct *regs,
			const struct kc_hit *hit);
struct kc_error *kc_stop_busy(struct kc_stop *stop, const struct kc_tracee *tracee, const struct kc_hit *hit);

#endif
