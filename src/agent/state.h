/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent remembers, state.json: the id of the running kernel (so that views need no hash), what was applied,
 * what the patch server offered, and which levels the host went down with. The kernel itself says what is loaded; this
 * file says where it came from. Only changing runs, which hold the lock, write it.
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
	KC_ROOT_NAME_SIZE = 17,
	KC_FEED_NAME_SIZE = 65,
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
	char *origin;			    /* by which local choice: kc_origin(); NULL: not known */
	char boot_id[KC_BOOT_ID_SIZE];
};

/* What the patch server offered, as of the last check that came to an end: for looks, and for boots without network. */
struct kc_checked {
	int64_t at;		      /* Unix seconds; 0: never */
	char root[KC_ROOT_NAME_SIZE]; /* kc_remote_root() */
	char feed[KC_FEED_NAME_SIZE];
	char *rules;		  /* by which rules of the configuration: kc_rules_text() */
	struct kc_level chosen;	  /* kernel and type always; number 0: the feed has none that this host may have */
	char *patchset;		  /* of it */
	bool is_known;		  /* the feed has a list for this kernel */
	struct kc_level *blocked; /* those of this kernel: taken out where they are in, and not loaded */
	size_t n_blocked;
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
	struct kc_checked checked;
	struct kc_crash *crashes;
	size_t n_crashes;
	struct kc_level *imported; /* by hand: may be used beside what the feed offers */
	size_t n_imported;
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

void kc_applied_clear(struct kc_applied *applied);
/* Nothing is in any more; writes the state. */
struct kc_error *kc_state_forget_applied(struct kc_state *state);
void kc_checked_clear(struct kc_checked *checked);
/* Remembers a level as imported; of the same level the file of before is forgotten. Memory only. */
struct kc_error *kc_state_add_imported(struct kc_state *state, const struct kc_level *level);
/* The cache has another file now. */
void kc_state_drop_imported(struct kc_state *state, const struct kc_level *level);
bool kc_state_is_imported(const struct kc_state *state, const struct kc_level *level);
/* Is this build of it blocked? A level without hash is any build. */
bool kc_state_is_blocked(const struct kc_state *state, const struct kc_level *level);
/*
 * May a level of the cache be used? Without a server all that is not blocked. With one, what was imported, and of what
 * was downloaded the chosen level; those below it are what is left of before, as good as none is worse.
 */
bool kc_state_allows(const struct kc_state *state, const struct kc_level *level, bool has_server);

/* Of the same kernel, type and number; the file may be another build. */
bool kc_level_is_same(const struct kc_level *a, const struct kc_level *b);

#define KC_CLEANUP_STATE KC_CLEANUP(kc_state_clear)

#endif
