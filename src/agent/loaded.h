/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which patch the kernel has, as the kernel itself tells. */
#ifndef KC_AGENT_LOADED_H
#define KC_AGENT_LOADED_H

#include "agent/state.h"
#include "apply/kernel.h"

struct kc_loaded {
	uint32_t level;		 /* 0: none, or not switched to yet */
	char type[KC_TYPE_SIZE]; /* "" when the level is 0 */
	bool is_forced, in_transition;
	char *other; /* a livepatch that is not ours, or NULL */
};

struct kc_error *kc_loaded_read(struct kc_ctx *ctx, struct kc_loaded *loaded);
void kc_loaded_clear(struct kc_loaded *loaded);

/*
 * It as a level of that kernel; with the hash of its file only if this agent loaded it, in the boot `boot_id`. Number
 * 0: none is in.
 */
void kc_loaded_level(const struct kc_loaded *loaded, const struct kc_state *state, const char *kernel_id,
		     const char *boot_id, struct kc_level *level);

/* The type in the name of a module of ours, "kcare_livepatch_3" or "kcare_livepatch_extra_3". */
void kc_loaded_type(const char *module, char type[KC_TYPE_SIZE]);

#define KC_CLEANUP_LOADED KC_CLEANUP(kc_loaded_clear)

#endif
