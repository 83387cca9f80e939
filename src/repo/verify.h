/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A repository's public folder, or a mirror's, seen as hosts see it: the metadata of every feed from the first root on,
 * every target list, every patch file that a list names. It changes nothing.
 */
#ifndef KC_REPO_VERIFY_H
#define KC_REPO_VERIFY_H

#include "repo/client.h"

struct kc_verify_options {
	const char *root;		  /* a root.json that is trusted; NULL: the first root that the feeds have */
	const struct kc_keyring *authors; /* NULL: whether authors signed is not checked; all else is */
	int64_t now;			  /* Unix seconds */
	/* Patch files that no feed shows, and that belong here nevertheless (disabled ones): SHA-256, NULL-terminated.
	 */
	char *const *known;
	/* One thing that is wrong; takes `err`. The rest is looked at nevertheless. */
	void (*problem)(void *data, struct kc_error *err);
	void *data;
};

struct kc_verified {
	size_t n_feeds, n_targets, n_blobs;
	size_t n_problems;
	size_t n_strays; /* files that nothing refers to, and that are not younger than two days: logged as warnings */
};

struct kc_error *kc_public_verify(struct kc_ctx *ctx, const char *dir, const struct kc_verify_options *options,
				  struct kc_verified *verified);

#endif
