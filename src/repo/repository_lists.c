/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the patchsets of a feed to what it has for each target: the lists, and the index of build-ids. */
#include "repo/repository_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"

/* A row of a patchset that the feed has, with the state that it has there. */
struct placed {
	const struct kc_patchset_row *row;
	const struct kc_feed_patchset *patchset;
};

struct rows {
	struct placed *items;
	size_t n;
};

static void free_rows(struct rows *rows)
{
	free(rows->items);
}
#define AUTO_ROWS KC_CLEANUP(free_rows)

/* ---- rows ---- */

static int compare_placed(const void *a, const void *b)
{
	return kc_patchset_row_compare(((const struct placed *)a)->row, ((const struct placed *)b)->row);
}

static void sort_rows(struct rows *rows, int (*compare)(const void *a, const void *b))
{
	if (rows->n)
		qsort(rows->items, rows->n, sizeof(*rows->items), compare);
}

static struct kc_error *add_rows(struct rows *rows, const struct kc_feed_patchset *patchset,
				 const struct kc_patchset_table *table)
{
	struct placed *items = reallocarray(rows->items, rows->n + table->n_rows + 1, sizeof(*items));

	if (!items)
		return kc_error_no_memory();
	rows->items = items;
	for (size_t i = 0; i < table->n_rows; i++)
		items[rows->n++] = (struct placed){ &table->rows[i], patchset };
	return NULL;
}

/* Of all patchsets of the feed; disabled ones only when asked for. */
static struct kc_error *collect(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				bool with_disabled, struct rows *rows)
{
	for (size_t i = 0; i < feed->n_patchsets; i++) {
		const struct kc_feed_patchset *patchset = &feed->patchsets[i];
		const struct kc_patchset_table *table;

		if (patchset->state == KC_PATCHSET_DISABLED && !with_disabled)
			continue;
		KC_TRY(kc_patchset_table_get(ctx, repository, patchset->name, &table));
		KC_TRY(add_rows(rows, patchset, table));
	}
	return NULL;
}

/* ---- levels ---- */

/* Whatever list they are in: hosts ask for a build-id. */
static int compare_levels(const void *a, const void *b)
{
	const struct kc_patchset_row *left = ((const struct placed *)a)->row, *right = ((const struct placed *)b)->row;
	int order = strcmp(left->target, right->target);

	order = order ? order : strcmp(left->type, right->type);
	return order ? order : (left->level > right->level) - (left->level < right->level);
}

struct kc_error *kc_feed_check_levels(struct kc_ctx *ctx, struct kc_repository *repository,
				      const struct kc_feed_info *feed, const struct kc_patchset_table *added)
{
	AUTO_ROWS struct rows rows = { 0 };

	KC_TRY(collect(ctx, repository, feed, true, &rows));
	KC_TRY(add_rows(&rows, NULL, added));
	sort_rows(&rows, compare_levels);
	for (size_t i = 1; i < rows.n; i++) {
		const struct kc_patchset_row *a = rows.items[i - 1].row, *b = rows.items[i].row;

		if (compare_levels(&rows.items[i - 1], &rows.items[i]))
			continue;
		return kc_error_new(KC_ERR_REFUSED,
				    "the feed %s has level %u (%s) for %s already, by %s: what %s brings needs a "
				    "higher level",
				    feed->name, a->level, a->type, a->target,
				    a->table == added ? b->table->name : a->table->name, added->name);
	}
	return NULL;
}

/* ---- one list ---- */

static struct kc_error *add_list(struct kc_feed_lists *lists, const char *path, struct kc_feed_list **list)
{
	*list = kc_array_add(&lists->lists, &lists->n_lists);
	if (!*list)
		return kc_error_no_memory();
	(*list)->meta.name = strdup(path);
	return (*list)->meta.name ? NULL : kc_error_no_memory();
}

static struct kc_error *set_text(struct kc_feed_list *list, struct kc_buf *text)
{
	kc_sha256_text(text->data, text->size, list->meta.hash);
	list->meta.size = text->size;
	list->text = kc_buf_take(text);
	return list->text ? NULL : kc_error_no_memory();
}

/* Strings are borrowed. */
static void fill_entry(const struct placed *placed, bool is_kernel, struct kc_target_entry *entry)
{
	const struct kc_patchset_row *row = placed->row;

	*entry = (struct kc_target_entry){
		.target = is_kernel ? NULL : (char *)row->target,
		.type = (char *)row->type,
		.level = row->level,
		.patchset = placed->patchset->name,
		.released = row->table->released,
		.size = row->size,
		.blocked = placed->patchset->state == KC_PATCHSET_BLOCKED,
		.rollout = placed->patchset->rollout,
	};
	memcpy(entry->hash, row->hash, KC_SHA256_TEXT_SIZE);
}

/* The rows of one path, in their order. */
static struct kc_error *encode_list(const struct kc_feed_info *feed, const struct placed *rows, size_t n,
				    struct kc_feed_list *list)
{
	kc_autofree struct kc_target_entry *entries = calloc(n, sizeof(*entries));
	struct kc_target_list made = {
		.feed = feed->name,
		.path = (char *)rows[0].row->path,
		.title = (char *)rows[n - 1].row->title,
		.entries = entries,
		.n_entries = n,
	};
	kc_autobuf struct kc_buf text = { 0 };

	if (!entries)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++)
		fill_entry(&rows[i], !strncmp(made.path, "kernel/", 7), &entries[i]);
	KC_TRY(kc_target_list_encode(&made, &text));
	return set_text(list, &text);
}

/* ---- the index ---- */

static void free_index(struct kc_user_package_index *index)
{
	for (size_t i = 0; i < index->n_packages; i++)
		free(index->packages[i].prefixes);
	free(index->packages);
}

static struct kc_error *add_prefix(struct kc_user_index_package *package, const char *build_id)
{
	char prefix[KC_USER_INDEX_PREFIX_SIZE];
	char(*added)[KC_USER_INDEX_PREFIX_SIZE];

	snprintf(prefix, sizeof(prefix), "%s", build_id);
	if (package->n_prefixes && !strcmp(package->prefixes[package->n_prefixes - 1], prefix))
		return NULL;
	added = kc_array_add(&package->prefixes, &package->n_prefixes);
	if (!added)
		return kc_error_no_memory();
	memcpy(*added, prefix, sizeof(prefix));
	return NULL;
}

/* Rows are by path, then by build-id: the index is in order by itself. */
static struct kc_error *fill_index(const struct rows *rows, struct kc_user_package_index *index)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct kc_patchset_row *row = rows->items[i].row;
		struct kc_user_index_package *package = NULL;

		if (strncmp(row->path, "user/", 5))
			continue;
		if (index->n_packages)
			package = &index->packages[index->n_packages - 1];
		if (!package || strcmp(package->path, row->path)) {
			package = kc_array_add(&index->packages, &index->n_packages);
			if (!package)
				return kc_error_no_memory();
			package->path = (char *)row->path;
		}
		KC_TRY(add_prefix(package, row->target));
	}
	return NULL;
}

/* A feed that has nothing for processes has no index. */
static struct kc_error *make_index(const struct kc_feed_info *feed, const struct rows *rows,
				   struct kc_feed_lists *lists)
{
	KC_CLEANUP(free_index) struct kc_user_package_index index = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_feed_list *list;

	KC_TRY(fill_index(rows, &index));
	if (!index.n_packages)
		return NULL;
	KC_TRY(kc_user_package_index_encode(&index, feed->name, &text));
	KC_TRY(add_list(lists, KC_USER_INDEX_PATH, &list));
	return set_text(list, &text);
}

/* ---- all of them ---- */

static int compare_path(const void *path, const void *row)
{
	return strcmp(path, ((const struct kc_patchset_row *)row)->path);
}

/* What was published of this path, when nothing of it can have changed. */
static const struct kc_repo_meta *unchanged(const char *path, const struct kc_patchset_table *touched,
					    const struct kc_repo_document *published)
{
	if (!touched || !published ||
	    bsearch(path, touched->rows, touched->n_rows, sizeof(*touched->rows), compare_path))
		return NULL;
	return kc_repo_document_find(published, path);
}

static struct kc_error *make_list(const struct kc_feed_info *feed, const struct placed *rows, size_t n,
				  const struct kc_repo_meta *published, struct kc_feed_lists *lists)
{
	struct kc_feed_list *list;

	KC_TRY(add_list(lists, rows[0].row->path, &list));
	if (!published)
		return encode_list(feed, rows, n, list);
	list->meta.size = published->size;
	memcpy(list->meta.hash, published->hash, sizeof(list->meta.hash));
	return NULL;
}

static int compare_lists(const void *a, const void *b)
{
	return strcmp(((const struct kc_feed_list *)a)->meta.name, ((const struct kc_feed_list *)b)->meta.name);
}

struct kc_error *kc_feed_lists_make(struct kc_ctx *ctx, struct kc_repository *repository,
				    const struct kc_feed_info *feed, const struct kc_patchset_table *touched,
				    const struct kc_repo_document *published, struct kc_feed_lists *lists)
{
	AUTO_ROWS struct rows rows = { 0 };

	KC_TRY(collect(ctx, repository, feed, false, &rows));
	sort_rows(&rows, compare_placed);
	for (size_t i = 0, end; i < rows.n; i = end) {
		const char *path = rows.items[i].row->path;

		for (end = i + 1; end < rows.n && !strcmp(rows.items[end].row->path, path);)
			end++;
		KC_TRY(make_list(feed, &rows.items[i], end - i, unchanged(path, touched, published), lists));
	}
	KC_TRY(make_index(feed, &rows, lists));
	if (lists->n_lists)
		qsort(lists->lists, lists->n_lists, sizeof(*lists->lists), compare_lists);
	return NULL;
}

void kc_feed_lists_clear(struct kc_feed_lists *lists)
{
	for (size_t i = 0; i < lists->n_lists; i++) {
		free(lists->lists[i].meta.name);
		free(lists->lists[i].text);
	}
	free(lists->lists);
}
