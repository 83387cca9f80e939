/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of applied patch files, PATCHES/<sha256>.kpatch. A record inside a process names its patch by hash; here is
 * the signed file that says what this hash fixes. Files are written whole before a process is switched, and are
 * verified again when they are read: hash, signature, author.
 *
 * It does not choose patches (apply/user_choose.h). Files are never removed: a process that lives on may name them.
 */
#ifndef KC_APPLY_USER_STORE_H
#define KC_APPLY_USER_STORE_H

#include "patch/patch_file.h"

struct kc_user_store;

/*
 * `dir` NULL: the fixed place. `keyring` must outlive the store; NULL trusts nobody. The folder need not exist yet.
 */
struct kc_error *kc_user_store_open(struct kc_ctx *ctx, const char *dir, const struct kc_keyring *keyring,
				    struct kc_user_store **store);
void kc_user_store_free(struct kc_user_store *store);

/* Keeps a patch file under its hash. A file that is there already and intact is left alone. */
struct kc_error *kc_user_store_put(struct kc_ctx *ctx, struct kc_user_store *store, const void *data, size_t size);

/*
 * The verified patch of that hash; it belongs to the store, which remembers it. KC_ERR_NOT_FOUND when there is no such
 * file; KC_ERR_CORRUPT when its content has another hash; else why the author is not trusted. `hash` may come from a
 * process: anything but 64 lower-case hexadecimal digits is KC_ERR_INPUT.
 */
struct kc_error *kc_user_store_get(struct kc_ctx *ctx, struct kc_user_store *store, const char *hash,
				   const struct kc_patch **patch);

/*
 * All verified userspace patches of the store, by ascending hash. What does not verify is logged as a warning and
 * left out. The array is the caller's, the patches are the store's.
 */
struct kc_error *kc_user_store_all(struct kc_ctx *ctx, struct kc_user_store *store, const struct kc_patch ***patches,
				   size_t *n);

KC_DEFINE_CLEANUP(kc_cleanup_user_store, struct kc_user_store *, kc_user_store_free)
#define kc_autouserstore KC_CLEANUP(kc_cleanup_user_store)

#endif
