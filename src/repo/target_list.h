/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a feed has for one target: a small list of patches, history included, out of which the host chooses by itself
 * (repo/choice.h). The list is a target file of the repository: its hash is in the signed metadata. As canonical JSON,
 * docs/repository-format.md.
 */
#ifndef KC_REPO_TARGET_LIST_H
#define KC_REPO_TARGET_LIST_H

#include "patch/patch_file.h"

#define KC_TARGET_LIST_DOCUMENT "kcare-target-1"
#define KC_USER_INDEX_DOCUMENT "kcare-user-index-1"
#define KC_USER_INDEX_PATH "user/index"

enum {
	KC_TARGET_LIST_SIZE_MAX = 4 << 20,
	KC_TARGET_ENTRIES_MAX = 10000,
	KC_TARGET_PATH_SIZE = 256,
	KC_USER_INDEX_PREFIX_SIZE = 9, /* with '\0' */
	KC_ROLLOUT_ALL = 100,	       /* per cent */
};

struct kc_target_entry {
	char *target; /* userspace: build-id; NULL for kernels: the list's own */
	char *type;
	uint32_t level;
	char *patchset;
	int64_t released;		/* Unix seconds */
	char hash[KC_SHA256_TEXT_SIZE]; /* of the patch file, which lies at kc_blob_path() */
	uint64_t size;
	bool blocked;	  /* take it out where it is in */
	unsigned rollout; /* per cent of the hosts that may have it, 1..KC_ROLLOUT_ALL */
};

struct kc_target_list {
	char *feed, *path;		 /* "main", "kernel/0123…" */
	char *title;			 /* for people: "6.1.0-47-amd64 (debian12)" */
	struct kc_target_entry *entries; /* by target, type, level */
	size_t n_entries;
};

/* The order of entries: target, type, level. */
int kc_target_entry_compare(const struct kc_target_entry *a, const struct kc_target_entry *b);
/* KC_ERR_CORRUPT: what the decoder would refuse. */
struct kc_error *kc_target_list_encode(const struct kc_target_list *list, struct kc_buf *out);
/*
 * KC_ERR_CORRUPT: not such a list; KC_ERR_WRONG_FEED, KC_ERR_WRONG_TARGET: of another feed or path. The caller clears
 * `list` either way.
 */
struct kc_error *kc_target_list_decode(const char *text, size_t size, const char *feed, const char *path,
				       struct kc_target_list *list);
void kc_target_list_clear(struct kc_target_list *list);

/*
 * Which userspace lists speak of a build-id? One small target, "user/index", tells it by the first 8 digits of
 * build-ids: a hint that saves downloads, no more.
 */
struct kc_user_index_package {
	char *path;				     /* "user/debian12/libssl3" */
	char (*prefixes)[KC_USER_INDEX_PREFIX_SIZE]; /* ascending; of shorter build-ids the whole */
	size_t n_prefixes;
};
struct kc_user_package_index {
	struct kc_user_index_package *packages; /* by path */
	size_t n_packages;
};
struct kc_error *kc_user_package_index_encode(const struct kc_user_package_index *index, const char *feed,
					      struct kc_buf *out);
struct kc_error *kc_user_package_index_decode(const char *text, size_t size, const char *feed,
					      struct kc_user_package_index *index);
void kc_user_package_index_clear(struct kc_user_package_index *index);

/* "blobs/01/0123….kpatch", below the repository's base URL (caller frees; NULL when out of memory). */
char *kc_blob_path(const char *hash);
/* Feeds: 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit, and none of the delays "12h", "24h", "48h". */
bool kc_feed_name_is_valid(const char *name);

#define KC_CLEANUP_TARGET_LIST KC_CLEANUP(kc_target_list_clear)
#define KC_CLEANUP_USER_PACKAGE_INDEX KC_CLEANUP(kc_user_package_index_clear)

#endif
