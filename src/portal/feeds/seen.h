/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the upstream's feeds had when it was copied last, verified then. DATA/upstream/seen.json keeps it: what has
 * arrived is taken when its delay is over, also while the upstream is away.
 */
#ifndef KC_PORTAL_FEEDS_SEEN_H
#define KC_PORTAL_FEEDS_SEEN_H

#include "portal/feeds/publisher.h"

/* The upstream's feeds main, test, unstable, and what we call them: "default" is the most stable one. */
enum { KC_CHANNEL_DEFAULT, KC_CHANNEL_TEST, KC_CHANNEL_UNSTABLE, KC_CHANNELS };
/* What is not known counts as "default". */
unsigned kc_channel_find(const char *name);
const char *kc_channel_name(unsigned channel);

struct kc_seen_patchset {
	char name[KC_PUBLISHER_NAME_SIZE];
	struct kc_seen_state {
		unsigned rollout; /* 0: that feed does not have it */
		bool is_blocked;
	} in[KC_CHANNELS];
};
struct kc_seen {
	struct kc_seen_patchset *patchsets; /* by name, which is by day */
	size_t n;
};

/* What a list of the upstream says; lists of other feeds say nothing. */
struct kc_error *kc_seen_note(struct kc_seen *seen, const struct kc_target_list *list);
struct kc_error *kc_seen_write(struct kc_seen *seen, const char *path);
/* Nothing was ever copied: empty. KC_ERR_CORRUPT: remove it, and the next copy writes it anew. */
struct kc_error *kc_seen_read(const char *path, struct kc_seen *seen);
void kc_seen_clear(struct kc_seen *seen);
/* NULL: it does not have it. */
const struct kc_seen_patchset *kc_seen_find(const struct kc_seen *seen, const char *patchset);

/* The most stable channel that has it. */
unsigned kc_seen_channel(const struct kc_seen_patchset *patchset);
/* As it concerns a feed of ours: what its channel says, and those that are more stable. */
void kc_seen_state_for(const struct kc_seen_patchset *patchset, unsigned channel, struct kc_seen_state *state);

#define KC_CLEANUP_SEEN KC_CLEANUP(kc_seen_clear)

#endif
