/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a repository keeps its roots and its online keys, and how a new root takes effect:
 *
 *   private/roots/N.root.json     every root that ever was; the highest number is the current one
 *   private/keys/ROLE.key, .pub   targets, snapshot, timestamp; the current root names them
 *   private/keys/next/            new ones, until the root that names them is signed
 *   private/keys/revoked/         old ones, by ROLE-KEYID; no host trusts them any more
 *
 * A new root counts once its file is in private/roots; only then do the keys move. A run that was cut off between the
 * two is completed by kc_root_keys_settle(). The caller holds the lock of the repository; publishing is
 * repo/repository.h.
 */
#ifndef KC_REPO_ROOT_KEYS_H
#define KC_REPO_ROOT_KEYS_H

#include "repo/root.h"

/* The current root; the caller clears both either way. KC_ERR_INPUT: `dir` has none, so it is no repository. */
struct kc_error *kc_root_load(struct kc_ctx *ctx, const char *dir, struct kc_buf *text, struct kc_repo_root *root);
/*
 * Makes new keys for the online roles in `rotated`, and the request for a root with them and with `changes` (whose
 * `online` is filled in here). Keys of an earlier request that was never adopted are gone.
 */
struct kc_error *kc_root_prepare(struct kc_ctx *ctx, const char *dir, const bool rotated[KC_ROLE_COUNT],
				 const struct kc_root_changes *changes, int64_t now, struct kc_root_request *request);
/* Forgets the new keys of a request that came to nothing: the current root does not name them. */
struct kc_error *kc_root_discard(struct kc_ctx *ctx, const char *dir);
/*
 * From here on the next root is the current one; kc_root_keys_settle() is the caller's next step. KC_ERR_UNSIGNED:
 * signatures are missing. KC_ERR_REFUSED: the repository has another root by now, or not the private keys that the
 * request was made with.
 */
struct kc_error *kc_root_adopt(struct kc_ctx *ctx, const char *dir, const struct kc_root_request *request);
/* Moves the keys that the current root names to their places, unless they are there. */
struct kc_error *kc_root_keys_settle(struct kc_ctx *ctx, const char *dir);

#endif
