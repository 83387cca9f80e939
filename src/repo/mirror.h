/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy of a repository that any web server can show, and that can be mirrored again. It needs no key: everything is
 * verified as a host verifies it before it is shown, and timestamp.json, which makes it visible, comes last. What the
 * upstream does wrong leaves the mirror as it was.
 *
 *   public/            as repo/repository.h has it
 *   private/lock
 *   private/root.json  whom this mirror trusts
 *   private/state/FEED the client's view of each feed (repo/client.h)
 *   private/download/  patch files that are on their way
 */
#ifndef KC_REPO_MIRROR_H
#define KC_REPO_MIRROR_H

#include "repo/client.h"

/* Files of the upstream's public folder: "feeds/main/metadata/timestamp.json". */
struct kc_mirror_source {
	void *data;
	/* As in struct kc_repo_source. */
	struct kc_error *(*get)(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out);
	/* A file of this size and SHA-256 into `to`, of which a part may be there from an earlier run. */
	struct kc_error *(*get_file)(struct kc_ctx *ctx, void *data, const char *path, const char *sha256,
				     uint64_t size, const char *to, const char *what);
	/* Each list of each feed, verified, before anything of this run is shown; an error ends the run. May be NULL.
	 */
	struct kc_error *(*list)(void *data, const struct kc_target_list *list);
};

struct kc_mirrored {
	size_t n_feeds, n_targets;
	size_t n_new_lists, n_new_blobs;
	uint64_t n_new_bytes; /* of patch files */
};
/*
 * `root`: a root.json to trust, needed the first time; NULL: the one from then. Errors: those of
 * kc_repo_client_refresh() with the feed's name, those of the source, KC_ERR_LOCKED. KC_ERR_REFUSED: `dir` is a
 * repository, or there is no root to trust.
 */
struct kc_error *kc_mirror_update(struct kc_ctx *ctx, const char *dir, const struct kc_mirror_source *source,
				  const char *root, int64_t now, struct kc_mirrored *mirrored);

#endif
