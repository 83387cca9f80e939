/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Searching stacks for forbidden code: see user_stack.c. */
#ifndef KC_APPLY_USER_STACK_H
#define KC_APPLY_USER_STACK_H

#include "apply/user_internal.h"

enum kc_verdict {
	KC_VERDICT_OUTSIDE,
	KC_VERDICT_INSIDE,
	KC_VERDICT_UNKNOWN, /* its stack cannot be read */
};

struct kc_hit {
	uint64_t pc; /* the forbidden address */
	uint64_t at; /* where it lies on a stack */
	bool sure;   /* a pc, not a word that may be stale */
};

struct kc_scratch {
	uint64_t words[8192];
};

/* Where is a thread with these registers? `thread_pointer` 0: unknown. */
enum kc_verdict kc_stack_search(const struct kc_transition *transition, pid_t pid, uint64_t pc, uint64_t sp,
				uint64_t thread_pointer, struct kc_scratch *scratch, struct kc_hit *hit);

#endif
