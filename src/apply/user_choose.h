/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing patches: an index of verified patch files by build-id (for each the highest level), what of it fits a
 * process, and whether the process may be patched. It decides; apply/user.h switches.
 */
#ifndef KC_APPLY_USER_CHOOSE_H
#define KC_APPLY_USER_CHOOSE_H

#include "apply/user.h"
#include "apply/user_blacklist.h"
#include "apply/user_store.h"

struct kc_user_index;

/*
 * Reads FILE, or every *.kpatch of a folder (not of its subfolders), all verified against `keyring`. One file that
 * does not verify refuses the whole: a lower level must not slip in for a damaged higher one. Two different files of
 * the same level for one build-id are KC_ERR_INPUT. Kernel patches are passed over. An empty folder gives an empty
 * index.
 */
struct kc_error *kc_user_index_load(struct kc_ctx *ctx, const char *path, const struct kc_keyring *keyring,
				    struct kc_user_index **index);
void kc_user_index_free(struct kc_user_index *index);
size_t kc_user_index_size(const struct kc_user_index *index);
/* The patch of that place in the index, 0 <= i < size, ascending by build-id. */
struct kc_patch *kc_user_index_at(const struct kc_user_index *index, size_t i);
/* The patch for that build-id, or NULL. Logarithmic. */
struct kc_patch *kc_user_index_find(const struct kc_user_index *index, const uint8_t *build_id, size_t size);
/* Puts the patch's file (as it was when it was verified) into the store. */
struct kc_error *kc_user_index_keep(struct kc_ctx *ctx, struct kc_user_index *index, struct kc_user_store *store,
				    const struct kc_patch *patch);

/* The patches that fit objects of the process, each once, in the order of its objects (caller frees the array). */
struct kc_error *kc_user_index_select(const struct kc_user_index *index, const struct kc_process_view *view,
				      struct kc_patch ***patches, size_t *n);

/* What decides over a process. */
struct kc_user_policy {
	struct kc_user_index *index;
	struct kc_user_store *store;
	const struct kc_user_blacklist *blacklist;
	struct kc_user_options options;
};

/*
 * Patches one process as the policy says: selects, keeps the files in the store, asks the blacklist, switches. A level
 * below the one in the process is refused (KC_ERR_REFUSED): unpatch first. KC_ERR_BLACKLISTED names the rule. Errors do
 * not name the process; the caller does.
 */
struct kc_error *kc_user_apply(struct kc_ctx *ctx, const struct kc_user_policy *policy, pid_t pid,
			       struct kc_user_result *result);

KC_DEFINE_CLEANUP(kc_cleanup_user_index, struct kc_user_index *, kc_user_index_free)
#define kc_autouserindex KC_CLEANUP(kc_cleanup_user_index)

#endif
