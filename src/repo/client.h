/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host's view of one feed: the workflow of The Update Framework (specification, section 5) over files that some
 * source delivers, and what was accepted before, on disk. Everything is verified before it is used or kept; what is
 * kept is replaced only by what is newer. It fetches nothing itself and knows no clock: the caller lends both.
 *
 * The folder of a feed has N.root.json for each root that was ever accepted (so a key that was replaced can be
 * named), timestamp.json, snapshot.json, targets.json, bin-HEX.json, and lists/ with the target lists.
 */
#ifndef KC_REPO_CLIENT_H
#define KC_REPO_CLIENT_H

#include "repo/metadata.h"
#include "repo/target_list.h"

struct kc_repo_client;

enum { KC_REPO_CLOCK_MAX_S = 86400 }; /* how far versions, Unix seconds, may be ahead of our clock */

/* Files below feeds/FEED/. `path`: "metadata/2.root.json". */
struct kc_repo_source {
	void *data;
	/* Appends at most `limit` bytes, else KC_ERR_LIMIT. KC_ERR_NOT_FOUND: the server has no such file. */
	struct kc_error *(*get)(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out);
};

/*
 * `dir`: the state folder of this (root, feed); it is made at the first refresh. `anchor`: the root.json that this host
 * trusts to begin with. A damaged state is KC_ERR_CORRUPT, which says what to remove, and what is lost by that. One
 * that another user owns or may change, or that is a link, is KC_ERR_PERMISSION.
 */
struct kc_error *kc_repo_client_open(struct kc_ctx *ctx, const char *dir, const char *feed, const char *anchor,
				     size_t anchor_size, struct kc_repo_client **client);
void kc_repo_client_free(struct kc_repo_client *client);

struct kc_repo_refreshed {
	bool is_new;	       /* the snapshot is another one than before */
	uint64_t root_version; /* now trusted */
};
/*
 * Brings the metadata of the top up to date: roots, timestamp, and, if that names another one, snapshot and targets.
 * `now`: Unix seconds. On failure what was accepted before stands (roots and timestamps that were good are kept). An
 * up-to-date host asks for the next root and the timestamp, and nothing else.
 * Each way to fail has its own error: KC_ERR_UNSIGNED, KC_ERR_UNKNOWN_KEY, KC_ERR_BAD_SIGNATURE (forged),
 * KC_ERR_REVOKED_KEY, KC_ERR_ROLLBACK, KC_ERR_EXPIRED (freeze; the message has the time), KC_ERR_CLOCK (our clock is
 * behind what the signed version, Unix seconds, says by more than a day), KC_ERR_MIXED (not the version, size or hash
 * that the signed metadata above says), KC_ERR_WRONG_FEED, KC_ERR_FAST_FORWARD (a version, that is Unix seconds, behind
 * its own expiry), KC_ERR_ROOT_CHAIN, KC_ERR_LIMIT, KC_ERR_CORRUPT. KC_ERR_NOT_FOUND: the source has no such feed.
 */
struct kc_error *kc_repo_client_refresh(struct kc_ctx *ctx, struct kc_repo_client *client,
					const struct kc_repo_source *source, int64_t now,
					struct kc_repo_refreshed *refreshed);
/*
 * The list of one target, from disk when that is the current one, else from the source, verified. After a refresh in
 * this run. KC_ERR_NOT_FOUND: the feed has nothing for it. The caller clears `list` either way.
 */
struct kc_error *kc_repo_client_list(struct kc_ctx *ctx, struct kc_repo_client *client,
				     const struct kc_repo_source *source, const char *path,
				     struct kc_target_list *list);
struct kc_error *kc_repo_client_user_index(struct kc_ctx *ctx, struct kc_repo_client *client,
					   const struct kc_repo_source *source, struct kc_user_package_index *index);

/*
 * The verified bytes of any target, and their hash; at most `limit` of them. The folder keeps a copy, lists/PATH with
 * ':' for '/'.
 */
struct kc_error *kc_repo_client_target(struct kc_ctx *ctx, struct kc_repo_client *client,
				       const struct kc_repo_source *source, const char *path, size_t limit,
				       struct kc_buf *text, char hash[KC_SHA256_TEXT_SIZE]);
/* Paths of all targets of the feed; fetches every bin. The caller frees each, and the array, either way. */
struct kc_error *kc_repo_client_paths(struct kc_ctx *ctx, struct kc_repo_client *client,
				      const struct kc_repo_source *source, char ***paths, size_t *n_paths);

KC_DEFINE_CLEANUP(kc_cleanup_repo_client, struct kc_repo_client *, kc_repo_client_free)
#define kc_autorepoclient KC_CLEANUP(kc_cleanup_repo_client)

#endif
