/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hourly refresh, and the removal of what nothing refers to any more. A host that read older metadata a minute ago
 * still finds what that names: files go a day after they were first seen to be unused. private/unused remembers since
 * when.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

#define RECORD "private/unused"

enum { UNUSED_FOR_S = 86400, RECORD_SIZE_MAX = 64 << 20 };

/* Strings in order, to look others up in. */
struct names {
	char **items;
	size_t n;
};

static void free_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
	free(names->items);
}
#define AUTO_NAMES KC_CLEANUP(free_names)

/* Takes `name`; NULL: out of memory. */
static struct kc_error *add_name(struct names *names, char *name)
{
	char **added = name ? kc_array_add(&names->items, &names->n) : NULL;

	if (!added) {
		free(name);
		return kc_error_no_memory();
	}
	*added = name;
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(struct names *names)
{
	if (names->n)
		qsort(names->items, names->n, sizeof(*names->items), compare_names);
}

static bool has_name(const struct names *names, const char *name)
{
	return names->n && bsearch(&name, names->items, names->n, sizeof(*names->items), compare_names);
}

struct sweep {
	struct kc_ctx *ctx;
	struct kc_repository *repository;
	struct names before; /* "PATH SINCE" of the last run */
	struct kc_buf after; /* the same for the next one, as lines */
};

/* ---- one file ---- */

/* Since when it is not used, as the last run noted; 0: it was. */
static int64_t unused_since(const struct sweep *sweep, const char *path)
{
	size_t low = 0, high = sweep->before.n, length = strlen(path);

	while (low < high) {
		size_t middle = (low + high) / 2;
		const char *item = sweep->before.items[middle];
		int order = strncmp(path, item, length);

		if (!order)
			order = item[length] == ' ' ? 0 : -1;
		if (!order)
			return strtoll(item + length + 1, NULL, 10);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

/* `path` is below DIR. */
static struct kc_error *sweep_file(struct sweep *sweep, const char *path)
{
	int64_t since = unused_since(sweep, path), now = sweep->repository->now;

	if (since && now - since >= UNUSED_FOR_S) {
		kc_debug(sweep->ctx, "removing %s, which nothing has used for a day", path);
		return kc_repository_unlink(sweep->repository, path);
	}
	kc_buf_printf(&sweep->after, "%s %jd\n", path, (intmax_t)(since && since <= now ? since : now));
	return sweep->after.failed ? kc_error_no_memory() : NULL;
}

/* Every file below a folder of DIR that is not in `used`. */
static struct kc_error *sweep_folder(struct sweep *sweep, const char *folder, const struct names *used)
{
	kc_autofree char *path = kc_repository_path(sweep->repository, "%s", folder);
	char *const paths[] = { path, NULL };
	struct kc_error *err = NULL;
	FTSENT *entry;
	FTS *walk;

	if (!path)
		return kc_error_no_memory();
	walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	if (!walk)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", path);
	while (!err && (entry = fts_read(walk))) {
		const char *name = entry->fts_path + strlen(sweep->repository->dir) + 1;

		if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP && entry->fts_info != FTS_NS &&
		    !has_name(used, name))
			err = sweep_file(sweep, name);
	}
	fts_close(walk);
	return err;
}

/* ---- what is used ---- */

static struct kc_error *add_used(struct names *used, const char *feed, char *path)
{
	kc_autofree char *owned = path;
	char *name;

	if (!owned || asprintf(&name, "public/feeds/%s/%s", feed, owned) < 0)
		return kc_error_no_memory();
	return add_name(used, name);
}

static struct kc_error *add_metadata(const struct kc_repository *repository, const char *feed,
				     const struct kc_published *published, struct names *used)
{
	KC_TRY(add_used(used, feed, strdup("metadata/timestamp.json")));
	KC_TRY(add_used(used, feed, kc_repo_metadata_path(published->top.version, published->top.name)));
	for (size_t i = 0; i < published->snapshot.n_files; i++)
		KC_TRY(add_used(used, feed,
				kc_repo_metadata_path(published->snapshot.files[i].version,
						      published->snapshot.files[i].name)));
	for (uint64_t version = 1; version <= repository->root.version; version++)
		KC_TRY(add_used(used, feed, kc_repo_metadata_path(version, "root.json")));
	for (size_t i = 0; i < published->all.n_files; i++)
		KC_TRY(add_used(used, feed,
				kc_repo_target_file_path(published->all.files[i].name, published->all.files[i].hash)));
	return NULL;
}

static struct kc_error *sweep_feed(struct sweep *sweep, const char *feed)
{
	KC_CLEANUP_PUBLISHED struct kc_published published = { 0 };
	kc_autofree char *folder = NULL;
	AUTO_NAMES struct names used = { 0 };

	if (asprintf(&folder, "public/feeds/%s", feed) < 0) {
		folder = NULL;
		return kc_error_no_memory();
	}
	KC_TRY(kc_published_load(sweep->ctx, sweep->repository, feed, &published));
	if (published.is_trusted)
		KC_TRY(kc_published_load_documents(sweep->ctx, sweep->repository, feed, &published));
	if (!published.is_trusted) /* what is used is not known */
		return NULL;
	KC_TRY(add_metadata(sweep->repository, feed, &published, &used));
	sort_names(&used);
	return sweep_folder(sweep, folder, &used);
}

/* ---- the store ---- */

static bool is_in_any_feed(const struct kc_repository *repository, const char *patchset)
{
	for (size_t i = 0; i < repository->n_feeds; i++)
		if (kc_feed_patchset_find(&repository->feeds[i], patchset))
			return true;
	return false;
}

static struct kc_error *add_blobs(struct sweep *sweep, const char *patchset, struct names *used)
{
	const struct kc_patchset_table *table;

	KC_TRY(kc_patchset_table_get(sweep->ctx, sweep->repository, patchset, &table));
	for (size_t i = 0; i < table->n_rows; i++) {
		kc_autofree char *blob = kc_blob_path(table->rows[i].hash);
		char *name;

		if (!blob || asprintf(&name, "public/%s", blob) < 0)
			return kc_error_no_memory();
		KC_TRY(add_name(used, name));
	}
	return NULL;
}

struct store {
	struct sweep *sweep;
	struct names blobs, lists;
};

/* A list that no feed has still keeps its blobs: it may be promoted until it goes itself. */
static struct kc_error *look_at_list(void *data, const char *file)
{
	struct store *store = data;
	const char *suffix = strrchr(file, '.');
	kc_autofree char *patchset = suffix ? strndup(file, (size_t)(suffix - file)) : NULL;
	char *name;

	if (!patchset || !kc_patchset_name_is_valid(patchset) ||
	    !kc_repository_has_patchset(store->sweep->repository, patchset))
		return NULL;
	if (!strcmp(suffix, ".json"))
		KC_TRY(add_blobs(store->sweep, patchset, &store->blobs));
	if (!is_in_any_feed(store->sweep->repository, patchset))
		return NULL;
	return asprintf(&name, "private/patchsets/%s", file) < 0 ? kc_error_no_memory() : add_name(&store->lists, name);
}

static void free_store(struct store *store)
{
	free_names(&store->blobs);
	free_names(&store->lists);
}

static struct kc_error *sweep_store(struct sweep *sweep)
{
	KC_CLEANUP(free_store) struct store store = { .sweep = sweep };

	KC_TRY(kc_repository_each(sweep->repository, "private/patchsets", look_at_list, &store));
	sort_names(&store.blobs);
	sort_names(&store.lists);
	KC_TRY(sweep_folder(sweep, "private/patchsets", &store.lists));
	return sweep_folder(sweep, "public/blobs", &store.blobs);
}

/* ---- the whole ---- */

static void free_sweep(struct sweep *sweep)
{
	free_names(&sweep->before);
	kc_buf_free(&sweep->after);
}

/* A missing or damaged record only delays a removal. */
static struct kc_error *load_record(struct sweep *sweep)
{
	kc_autofree char *path = kc_repository_path(sweep->repository, RECORD);
	kc_autobuf struct kc_buf text = { 0 };
	char *rest, *line;

	if (!path)
		return kc_error_no_memory();
	if (kc_file_read(path, RECORD_SIZE_MAX, &text))
		return NULL;
	rest = text.data;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			KC_TRY(add_name(&sweep->before, strdup(line)));
	sort_names(&sweep->before);
	return NULL;
}

struct kc_error *kc_repository_remove_unused(struct kc_ctx *ctx, struct kc_repository *repository)
{
	KC_CLEANUP(free_sweep) struct sweep sweep = { .ctx = ctx, .repository = repository };

	KC_TRY(load_record(&sweep));
	for (size_t i = 0; i < repository->n_feeds; i++)
		KC_TRY(sweep_feed(&sweep, repository->feeds[i].name));
	KC_TRY(sweep_store(&sweep));
	if (!sweep.before.n && !sweep.after.size)
		return NULL;
	return kc_repository_write(repository, RECORD, sweep.after.data ? sweep.after.data : "", sweep.after.size,
				   0600);
}

/* Takes `err`. The first is what the run ends with; the others are warnings. */
static void note(struct kc_ctx *ctx, struct kc_error *err, struct kc_error **first)
{
	if (!err)
		return;
	if (!*first) {
		*first = err;
		return;
	}
	kc_warning(ctx, "%s", kc_error_message(err));
	kc_error_free(err);
}

/* One feed that cannot be published does not let the others expire, nor what hosts see of it now. */
struct kc_error *kc_repository_refresh(struct kc_ctx *ctx, struct kc_repository *repository, bool all)
{
	kc_autoerror struct kc_error *first = NULL;

	note(ctx, kc_repository_complete(ctx, repository), &first);
	for (size_t i = 0; i < repository->n_feeds; i++) {
		const struct kc_feed_info *feed = &repository->feeds[i];
		struct kc_error *err =
			kc_feed_publish(ctx, repository, feed, all ? KC_PUBLISH_ALL : KC_PUBLISH_TIMESTAMP, NULL, NULL);

		note(ctx, err ? kc_error_prefix(err, "feed %s", feed->name) : NULL, &first);
	}
	return first ? kc_steal(first) : kc_repository_remove_unused(ctx, repository);
}
