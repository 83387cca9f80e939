/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small signed feed in memory, as a portal would serve it, and as an attacker would: every file can be replaced, and
 * every document can be signed with any key. What goes wrong here ends the program.
 */
#ifndef KC_TESTS_SAMPLE_FEED_H
#define KC_TESTS_SAMPLE_FEED_H

#include "repo/client.h"

#define SAMPLE_NOW INT64_C(1795521600) /* 2026-11-24T12:00:00Z */

/*
 * Root 3, always the same: two public keys of RFC 8032 (section 7.1), nobody's private ones. Root needs both; the
 * second one, SAMPLE_PUBLIC_KEY, is that of the other roles. The caller clears it.
 */
#define SAMPLE_PUBLIC_KEY "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
void sample_root(struct kc_repo_root *root);

struct sample_feed {
	struct kc_ctx *ctx;
	const char *name;
	int64_t now; /* of the portal */
	/* Who signs. Roots are signed by the first `n_root_keys` of `root_keys`. */
	struct kc_key *root_keys[3];
	size_t n_root_keys;
	struct kc_key *keys[KC_ROLE_COUNT];
	unsigned root_threshold;
	uint64_t root_version;
	int64_t root_expires;
	unsigned bin_bits;
	/* what was published last: change and sign again at will */
	struct kc_repo_document timestamp, snapshot, targets;
	uint64_t version;
	struct sample_target {
		char *path;
		struct kc_buf text;
	} * targets_now;
	size_t n_targets_now;
	struct sample_file {
		char *path;
		struct kc_buf text;
	} * files;
	size_t n_files;
	struct kc_buf asked;  /* "metadata/2.root.json\n…" */
	const char *fails_at; /* a path that cannot be downloaded; NULL: none */
};

/* Fresh keys, root 1, and an empty state published at SAMPLE_NOW. */
void sample_feed_start(struct sample_feed *feed, struct kc_ctx *ctx, const char *name);
void sample_feed_clear(struct sample_feed *feed);
struct kc_key *sample_feed_key(struct kc_ctx *ctx);

/* A target from the next publishing on. */
void sample_feed_set_target(struct sample_feed *feed, const char *path, const void *data, size_t size);
/* A target list with one entry of this level. */
void sample_feed_set_list(struct sample_feed *feed, const char *path, uint32_t level, bool is_blocked);
/* Targets, bins, snapshot and timestamp, all with new versions. */
void sample_feed_publish(struct sample_feed *feed);

/* The root that `feed` has now in its members. The caller clears it. */
void sample_feed_root(const struct sample_feed *feed, struct kc_repo_root *root);
/* The next root: signed by `signers` (n), NULL: by the root keys of before and of now, which are the same then. */
void sample_feed_publish_root(struct sample_feed *feed, const struct kc_key *const *signers, size_t n);

/* Signs `document` and puts it where clients look for it. `name`: "snapshot.json"; `key` NULL: the role's. */
void sample_feed_sign(struct sample_feed *feed, enum kc_repo_role role, const struct kc_repo_document *document,
		      const char *name, const struct kc_key *key);
/* The timestamp names the snapshot file that is there, and is signed. */
void sample_feed_sign_timestamp(struct sample_feed *feed);
/* The same with the snapshot that `feed` has, first. */
void sample_feed_sign_snapshot(struct sample_feed *feed);

void sample_feed_put(struct sample_feed *feed, const char *path, const void *data, size_t size);
void sample_feed_remove(struct sample_feed *feed, const char *path);
/* Ends the program when there is none. */
struct kc_buf *sample_feed_file(struct sample_feed *feed, const char *path);
/* "metadata/VERSION.NAME" of what was published last. */
void sample_feed_path(const struct sample_feed *feed, const char *name, char path[64]);

void sample_feed_source(struct sample_feed *feed, struct kc_repo_source *source);

#endif
