/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that write a repository share; private to them. The flow of every change: lock, complete what a killed
 * run left, change private/, publish.
 */
#ifndef KC_REPO_REPOSITORY_INTERNAL_H
#define KC_REPO_REPOSITORY_INTERNAL_H

#include "repo/public_files.h"
#include "repo/repository.h"

/* One patch file of a patchset, as a line of its table. Strings belong to the table. */
struct kc_patchset_row {
	const char *path;   /* of the list that it goes to: "kernel/0123…" */
	const char *target; /* kernel id or build-id */
	const char *type;
	const char *hash;
	const char *title; /* of that list */
	uint64_t size;
	uint32_t level;
	const struct kc_patchset_table *table;
};

/*
 * A patchset of the store in a form that is quick to read: private/patchsets/NAME.table, made from the signed list when
 * that was verified, and made again when it is missing.
 */
struct kc_patchset_table {
	char *name;
	int64_t released;
	struct kc_patchset_row *rows; /* by path, target, type, level */
	size_t n_rows;
	char *text;
};

struct kc_repository {
	char *dir;
	int lock_fd;
	int64_t now;	/* of this run, Unix seconds */
	char *keys_dir; /* where init put root.key; NULL: not known */
	struct kc_repo_root root;
	struct kc_key *keys[KC_ROLE_COUNT]; /* the online ones */
	struct kc_keyring *authors;
	struct kc_feed_info *feeds; /* by name */
	size_t n_feeds;
	struct kc_patchset_table **tables; /* those that were needed so far */
	size_t n_tables;
};

/* "DIR/…" (caller frees; NULL when out of memory). */
char *kc_repository_path(const struct kc_repository *repository, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A file below DIR as a whole, atomically; makes its folder. */
struct kc_error *kc_repository_write(const struct kc_repository *repository, const char *name, const void *data,
				     size_t size, mode_t mode);
/* The file is removed, and stays so after a power cut. A missing one is fine. */
struct kc_error *kc_repository_unlink(const struct kc_repository *repository, const char *name);
/* Calls `each` for the entries of a folder below DIR but "." and "..", in no order. A missing folder has none. */
struct kc_error *kc_repository_each(const struct kc_repository *repository, const char *folder,
				    struct kc_error *(*each)(void *data, const char *name), void *data);
/* Says that nothing was lost when the disk is full. */
struct kc_error *kc_repository_write_error(int err, const char *path);

/* ---- the folder (repository.c) ---- */

struct kc_repository *kc_repository_new(const char *dir);
/* Root, online keys and authors, as they are on disk. */
struct kc_error *kc_repository_load_keys(struct kc_ctx *ctx, struct kc_repository *repository);
struct kc_error *kc_repository_write_settings(const struct kc_repository *repository);
struct kc_error *kc_repository_add_author(const struct kc_repository *repository, const char *path);
struct kc_error *kc_repository_set_certificate(const struct kc_repository *repository, const char *path);

/* ---- feeds (repository_feeds.c) ---- */

struct kc_error *kc_feeds_load(struct kc_repository *repository);
/* KC_ERR_NOT_FOUND names those that there are. */
struct kc_error *kc_feed_find(struct kc_repository *repository, const char *name, struct kc_feed_info **feed);
/* Notes that somebody took it out of the feed; forgetting that cannot fail. */
struct kc_error *kc_feed_set_undeployed(struct kc_feed_info *feed, const char *patchset, bool is_undeployed);
/* A marker on disk, set before private/ changes: this feed has to be published. */
struct kc_error *kc_feed_mark(const struct kc_repository *repository, const char *name);
bool kc_feed_is_marked(const struct kc_repository *repository, const char *name);
struct kc_error *kc_feed_unmark(const struct kc_repository *repository, const char *name);
struct kc_error *kc_feed_write(const struct kc_repository *repository, const struct kc_feed_info *feed);
/*
 * The one way to change a feed: marks it, writes it, publishes it. `touched`: the only patchset whose place in the feed
 * is another one than before; NULL: look at all of them.
 */
struct kc_error *kc_feed_commit(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				const struct kc_patchset_table *touched, struct kc_repository_change *change);

/* ---- patchsets come in (repository_deploy.c) ---- */

/* The checks that come before any file. `*incoming`: where to put the files, which is private/ still (caller frees). */
struct kc_error *kc_repository_take_in_start(struct kc_ctx *ctx, struct kc_repository *repository, const char *feed,
					     unsigned rollout, struct kc_repository_change *change,
					     struct kc_feed_info **found, char **incoming);
/* From the folder `incoming`, where its list and its files are, verified, into store and feed. */
struct kc_error *kc_repository_take_in(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info *feed,
				       const char *incoming, const struct kc_patchset *patchset,
				       enum kc_patchset_state state, unsigned rollout,
				       struct kc_repository_change *change);

/* ---- patchsets (repository_table.c) ---- */

bool kc_repository_has_patchset(const struct kc_repository *repository, const char *name);
/* `*table` belongs to the repository. */
struct kc_error *kc_patchset_table_get(struct kc_ctx *ctx, struct kc_repository *repository, const char *name,
				       const struct kc_patchset_table **table);
struct kc_error *kc_patchset_table_write(struct kc_repository *repository, const struct kc_patchset *patchset);
void kc_patchset_table_free(struct kc_patchset_table *table);
/* By path, target, type, level. */
int kc_patchset_row_compare(const struct kc_patchset_row *a, const struct kc_patchset_row *b);

/* ---- what hosts see ---- */

/* A list or the index, as text, with what the metadata will say of it. */
struct kc_feed_list {
	struct kc_repo_meta meta;
	char *text;  /* NULL: as it was published */
	bool is_new; /* hosts see another one, or none */
};
struct kc_feed_lists {
	struct kc_feed_list *lists; /* by path */
	size_t n_lists;
};
/*
 * All lists of a feed. Those that have no patch of `touched` are taken from `published` (by path; both may be NULL)
 * without a look. KC_ERR_REFUSED: two patches for the same target, type and level.
 */
struct kc_error *kc_feed_lists_make(struct kc_ctx *ctx, struct kc_repository *repository,
				    const struct kc_feed_info *feed, const struct kc_patchset_table *touched,
				    const struct kc_repo_document *published, struct kc_feed_lists *lists);
void kc_feed_lists_clear(struct kc_feed_lists *lists);
/* KC_ERR_REFUSED: the feed has another patch for a target, type and level of the patchset. */
struct kc_error *kc_feed_check_levels(struct kc_ctx *ctx, struct kc_repository *repository,
				      const struct kc_feed_info *feed, const struct kc_patchset_table *added);

/* What was published last. */
struct kc_published {
	uint64_t version; /* the highest one so far; 0: nothing was published */
	bool is_trusted;  /* by the keys of the current root, and whole */
	unsigned bin_bits;
	struct kc_repo_meta top; /* the snapshot, as the timestamp names it */
	struct kc_repo_document snapshot;
	struct kc_repo_document *documents; /* targets and bins, as the snapshot's files go; when asked for */
	struct kc_repo_document all;	    /* their files together */
};
struct kc_error *kc_published_load(struct kc_ctx *ctx, const struct kc_repository *repository, const char *feed,
				   struct kc_published *published);
/* The documents, too; clears is_trusted when one of them is not what the snapshot says. */
struct kc_error *kc_published_load_documents(struct kc_ctx *ctx, const struct kc_repository *repository,
					     const char *feed, struct kc_published *published);
void kc_published_clear(struct kc_published *published);

enum kc_publish {
	KC_PUBLISH_CHANGES,   /* what changed; a feed that is the same stays as it is */
	KC_PUBLISH_TIMESTAMP, /* no list has changed: a new timestamp, and what is half over */
	KC_PUBLISH_ALL,	      /* everything, with new versions */
};
struct kc_error *kc_feed_publish(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				 enum kc_publish what, const struct kc_patchset_table *touched,
				 struct kc_repository_change *change);
/* The files of public/ that are about all feeds. */
struct kc_error *kc_repository_finish_public(struct kc_ctx *ctx, const struct kc_repository *repository,
					     struct kc_public_files *files);
/* public/patchsets: the signed lists of what feeds show. */
struct kc_error *kc_repository_show_patchsets(const struct kc_repository *repository);
/* Removes what nobody has needed for a day (repository_unused.c). */
struct kc_error *kc_repository_remove_unused(struct kc_ctx *ctx, struct kc_repository *repository);
/* Publishes the feeds that are marked; what one of them cannot be published for is the error, after all others. */
struct kc_error *kc_repository_complete(struct kc_ctx *ctx, struct kc_repository *repository);
/* The same before another change, which may be what mends such a feed: its problem is only a warning. */
struct kc_error *kc_repository_try_complete(struct kc_ctx *ctx, struct kc_repository *repository);

#define KC_CLEANUP_FEED_LISTS KC_CLEANUP(kc_feed_lists_clear)
#define KC_CLEANUP_PUBLISHED KC_CLEANUP(kc_published_clear)

#endif
