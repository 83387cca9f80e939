/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent remembers, state.json: the id of the running kernel (so that views need no hash), what was applied,
 * and which levels the host went down with. The kernel itself says what is loaded; this file says where it came from.
 * Only changing runs, which hold the lock, write it.
 */
#ifndef KC_AGENT_STATE_H
#define KC_AGENT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"
#include "sign/hash.h"

enum {
	KC_BOOT_ID_SIZE = 37,
	KC_TYPE_SIZE = 16, /* "default" */
};

/* One patch of the cache. */
struct kc_level {
	char kernel_id[KC_KERNEL_ID_SIZE];
	char type[KC_TYPE_SIZE];
	char hash[KC_SHA256_TEXT_SIZE]; /* of the patch file */
	uint32_t number;		/* 0: none */
};

struct kc_applied {
	struct kc_level level;
	char *effective_version, *patchset; /* NULL when there is none */
	int64_t created, applied_at;	    /* Unix seconds */
	char boot_id[KC_BOOT_ID_SIZE];
};

/* The host went down while the level was being loaded, or soon after. */
struct kc_crash {
	struct kc_level level;
	int64_t loaded_at;
};

struct kc_state {
	char *kernel_version; /* /proc/version … */
	char kernel_id[KC_KERNEL_ID_SIZE];
	struct kc_applied applied;
	struct kc_crash *crashes;
	size_t n_crashes;
};

/* Without a file it is empty. KC_ERR_CORRUPT: not what kc_state_write() writes. */
struct kc_error *kc_state_read(struct kc_state *state);
struct kc_error *kc_state_parse(const char *name, const char *text, size_t size, struct kc_state *state);
struct kc_error *kc_state_write(const struct kc_state *state);
void kc_state_clear(struct kc_state *state);

const struct kc_crash *kc_state_find_crash(const struct kc_state *state, const struct kc_level *level);
/* Both do nothing when that is how it is already. They only change memory. */
struct kc_error *kc_state_add_crash(struct kc_state *state, const struct kc_level *level, int64_t loaded_at);
void kc_state_drop_crash(struct kc_state *state, const struct kc_level *level);

/* Of the same kernel, type and number; the file may be another build. */
bool kc_level_is_same(const struct kc_level *a, const struct kc_level *b);

#define KC_CLEANUP_STATE KC_CLEANUP(kc_state_clear)

#endif
