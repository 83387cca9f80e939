/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index of verified patch files by build-id, for each the highest level, and what of it fits a process. What a
 * folder's file `withdrawn` lists is not in it (apply/user_withdrawn.h). It is read once and asked often.
 */
#ifndef KC_APPLY_USER_INDEX_H
#define KC_APPLY_USER_INDEX_H

#include "apply/user_store.h"
#include "proc/process.h"

struct kc_user_index;

/*
 * Reads a file, or every *.kpatch of a folder (not of its subfolders), all verified against `keyring`. One file that
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
/* Must this patch leave the processes that have it? Is there such a patch for that build-id? */
bool kc_user_index_withdraws(const struct kc_user_index *index, const char *hash);
bool kc_user_index_withdraws_from(const struct kc_user_index *index, const uint8_t *build_id, size_t size);
/* Puts the patch's file (as it was when it was verified) into the store. */
struct kc_error *kc_user_index_keep(struct kc_ctx *ctx, struct kc_user_index *index, struct kc_user_store *store,
				    const struct kc_patch *patch);

/* The patches that fit objects of the process, each once, in the order of its objects (caller frees the array). */
struct kc_error *kc_user_index_select(const struct kc_user_index *index, const struct kc_process_view *view,
				      struct kc_patch ***patches, size_t *n);

KC_DEFINE_CLEANUP(kc_cleanup_user_index, struct kc_user_index *, kc_user_index_free)
#define kc_autouserindex KC_CLEANUP(kc_cleanup_user_index)

#endif
