/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patchsets without an archive: lists and blobs in a folder that is laid out as a repository's public one, as a mirror
 * has them. Coming in, nothing of it is trusted; the checks are those of an archive. Going out, a patchset that leaves
 * the store is kept in such a folder.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

/* ---- files ---- */

/* A second name where that is possible, else a copy of what was read. `mode`: of such a copy. */
static struct kc_error *link_or_write(const char *from, const char *to, const struct kc_buf *data, mode_t mode)
{
	int err;

	if (link(from, to) == 0 || errno == EEXIST)
		return NULL;
	err = kc_file_replace(to, data->data, data->size, mode);
	return err ? kc_repository_write_error(err, to) : NULL;
}

static struct kc_error *read_file(const char *path, size_t limit, struct kc_buf *data)
{
	int err = kc_file_read_now(path, limit, data);

	if (err == -ENOENT)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no %s", path);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s is larger than %zu bytes", path, limit);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path) : NULL;
}

static char *list_path(const char *folder, const char *patchset)
{
	char *path;

	return asprintf(&path, "%s/" KC_PUBLIC_PATCHSETS "/%s.json", folder, patchset) < 0 ? NULL : path;
}

static char *blob_path(const char *folder, const char *hash)
{
	kc_autofree char *blob = kc_blob_path(hash);

	return blob ? kc_path_join(folder, blob) : NULL;
}

/* ---- in ---- */

static struct kc_error *check_blob(struct kc_ctx *ctx, const struct kc_repository *repository, const char *path,
				   const struct kc_patchset *patchset, const struct kc_patchset_file *file,
				   struct kc_buf *data)
{
	kc_autopatch struct kc_patch *patch = NULL;
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(read_file(path, file->size, data));
	kc_sha256_text(data->data, data->size, hash);
	if (data->size != file->size || strcmp(hash, file->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s is not the file that the list of %s names", path,
				    patchset->name);
	KC_TRY(kc_patch_decode(ctx, path, data->data, data->size, repository->authors, &patch));
	return kc_patchset_check_patch(patchset, file, patch);
}

/* Under the name that it would have in an archive. */
static struct kc_error *bring_blob(struct kc_ctx *ctx, const struct kc_repository *repository, const char *folder,
				   const struct kc_patchset *patchset, const struct kc_patchset_file *file,
				   const char *incoming)
{
	kc_autofree char *from = blob_path(folder, file->hash), *to = kc_path_join(incoming, file->name);
	kc_autobuf struct kc_buf data = { 0 };

	if (!from || !to)
		return kc_error_no_memory();
	KC_TRY(check_blob(ctx, repository, from, patchset, file, &data));
	return link_or_write(from, to, &data, 0644);
}

static struct kc_error *bring_list(const char *incoming, const struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(incoming, KC_PATCHSET_LIST_NAME);
	int err = path ? kc_file_replace(path, text->data, text->size, 0644) : -ENOMEM;

	return err ? kc_repository_write_error(err, incoming) : NULL;
}

/* What unpacking an archive leaves: the list and all files, verified, in the new folder `incoming`. */
static struct kc_error *bring_all(struct kc_ctx *ctx, const struct kc_repository *repository, const char *folder,
				  const char *name, const char *incoming, struct kc_patchset **patchset)
{
	kc_autofree char *path = list_path(folder, name);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(read_file(path, KC_PATCHSET_LIST_SIZE_MAX, &text));
	KC_TRY(kc_patchset_decode(path, text.data, text.size, repository->authors, patchset));
	if (strcmp((*patchset)->name, name))
		return kc_error_new(KC_ERR_CORRUPT, "%s is the list of %s", path, (*patchset)->name);
	err = kc_tree_remove(incoming);
	if (!err)
		err = kc_dir_make(incoming, 0700);
	if (err)
		return kc_repository_write_error(err, incoming);
	KC_TRY(bring_list(incoming, &text));
	for (size_t i = 0; i < (*patchset)->n_files; i++) {
		KC_TRY(bring_blob(ctx, repository, folder, *patchset, &(*patchset)->files[i], incoming));
		kc_progress(ctx, "verifying", i + 1, (*patchset)->n_files);
	}
	return NULL;
}

struct kc_error *kc_repository_deploy_files(struct kc_ctx *ctx, struct kc_repository *repository, const char *folder,
					    const char *patchset, const char *feed, enum kc_patchset_state state,
					    unsigned rollout, struct kc_repository_change *change)
{
	kc_autopatchset struct kc_patchset *decoded = NULL;
	kc_autofree char *incoming = NULL;
	struct kc_feed_info *found;
	struct kc_error *err;

	KC_TRY(kc_repository_take_in_start(ctx, repository, feed, rollout, change, &found, &incoming));
	err = bring_all(ctx, repository, folder, patchset, incoming, &decoded);
	if (!err)
		err = kc_repository_take_in(ctx, repository, found, incoming, decoded, state, rollout, change);
	kc_tree_remove(incoming);
	return err;
}

/* ---- out ---- */

static struct kc_error *make_folder_of(const char *path)
{
	kc_autofree char *folder = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	int err = folder ? kc_dir_make(folder, 0755) : -ENOMEM;

	return err ? kc_repository_write_error(err, path) : NULL;
}

static struct kc_error *keep_blob(const struct kc_repository *repository, const struct kc_patchset_row *row,
				  const char *folder)
{
	kc_autofree char *public = kc_repository_path(repository, "public");
	kc_autofree char *from = public ? blob_path(public, row->hash) : NULL, *to = blob_path(folder, row->hash);
	kc_autobuf struct kc_buf data = { 0 };

	if (!from || !to)
		return kc_error_no_memory();
	KC_TRY(make_folder_of(to));
	if (link(from, to) == 0 || errno == EEXIST)
		return NULL;
	KC_TRY(read_file(from, row->size, &data));
	return link_or_write(from, to, &data, 0644);
}

struct kc_error *kc_repository_keep_files(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					  const char *folder)
{
	kc_autofree char *from = kc_repository_path(repository, "private/patchsets/%s.json", patchset);
	kc_autofree char *to = list_path(folder, patchset);
	const struct kc_patchset_table *table;
	kc_autobuf struct kc_buf list = { 0 };
	int err;

	if (!from || !to)
		return kc_error_no_memory();
	KC_TRY(read_file(from, KC_PATCHSET_LIST_SIZE_MAX, &list));
	KC_TRY(kc_patchset_table_get(ctx, repository, patchset, &table));
	for (size_t i = 0; i < table->n_rows; i++)
		KC_TRY(keep_blob(repository, &table->rows[i], folder));
	KC_TRY(make_folder_of(to));
	err = kc_file_write_atomic(to, list.data, list.size, 0644);
	return err ? kc_repository_write_error(err, to) : NULL;
}
