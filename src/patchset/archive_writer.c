/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a patchset's archive. Everything is verified as a repository will verify it; what the archive has beside the
 * files (order, times, owners) follows from them, so that the same release gives the same bytes on any machine.
 */
#include "patchset/patchset.h"

#include <errno.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/file.h"

struct writer {
	struct kc_ctx *ctx;
	const struct kc_key *key;
	struct kc_keyring *keyring; /* the key's public part */
	struct kc_patchset *patchset;
	const char *const *types;
	const char **paths; /* of the patch files, in the order of the list */
	struct archive *archive;
};

/* ---- the list ---- */

static bool has_type(const char *const *types, const char *type)
{
	while (*types && strcmp(*types, type))
		types++;
	return *types != NULL;
}

static struct kc_error *read_patch(const struct writer *writer, const char *path, struct kc_buf *content,
				   struct kc_patch **patch)
{
	int err = kc_file_read_now(path, KC_PATCHSET_FILE_SIZE_MAX, content);
	struct kc_error *problem;

	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %d MiB", path, KC_PATCHSET_FILE_SIZE_MAX >> 20);
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	problem = kc_patch_decode(writer->ctx, path, content->data, content->size, writer->keyring, patch);
	if (problem && kc_error_code(problem) == KC_ERR_UNKNOWN_KEY) {
		kc_error_free(problem);
		return kc_error_new(KC_ERR_UNKNOWN_KEY,
				    "%s: it is signed by another key; the author of a patchset signs all of its files",
				    path);
	}
	return problem;
}

static struct kc_error *add_file(struct writer *writer, const char *path)
{
	const struct kc_patchset *patchset = writer->patchset;
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autobuf struct kc_buf content = { 0 };

	KC_TRY(read_patch(writer, path, &content, &patch));
	if (strcmp(patch->manifest.patchset, patchset->name))
		return kc_error_new(KC_ERR_INPUT, "%s: it belongs to the patchset %s, not to %s", path,
				    patch->manifest.patchset, patchset->name);
	if (!has_type(writer->types, patch->manifest.type))
		return kc_error_new(KC_ERR_INPUT, "%s: its type is %s; name that with --type if it is meant", path,
				    patch->manifest.type);
	return kc_patchset_add(writer->patchset, patch, content.size);
}

struct named_path {
	const char *name, *path;
};

static int compare_named_paths(const void *a, const void *b)
{
	const struct named_path *left = a, *right = b;

	return strcmp(left->name, right->name);
}

/* Encoding the list sorts it; the paths must follow. */
static struct kc_error *sort_paths(struct writer *writer, char *const *files, size_t n)
{
	kc_autofree struct named_path *named = calloc(n + 1, sizeof(*named));

	writer->paths = calloc(n + 1, sizeof(*writer->paths));
	if (!named || !writer->paths)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++)
		named[i] = (struct named_path){ writer->patchset->files[i].name, files[i] };
	qsort(named, n, sizeof(*named), compare_named_paths);
	for (size_t i = 0; i < n; i++) {
		writer->paths[i] = named[i].path;
		if (i && !compare_named_paths(&named[i - 1], &named[i]))
			return kc_error_new(KC_ERR_INPUT, "%s and %s are for the same target, type and level",
					    named[i - 1].path, named[i].path);
	}
	return NULL;
}

static struct kc_error *make_list(struct writer *writer, char *const *files, size_t n, struct kc_buf *list)
{
	uint8_t public[KC_PUBLIC_KEY_SIZE];

	KC_TRY(kc_keyring_new(&writer->keyring));
	KC_TRY(kc_key_public(writer->key, public));
	KC_TRY(kc_keyring_add(writer->keyring, public));
	for (size_t i = 0; i < n; i++) {
		KC_TRY(add_file(writer, files[i]));
		kc_progress(writer->ctx, "checking", i + 1, n);
	}
	KC_TRY(sort_paths(writer, files, n));
	return kc_patchset_encode(writer->patchset, writer->key, list);
}

/* ---- the archive ---- */

static struct kc_error *archive_error(const struct writer *writer, const char *path)
{
	return kc_error_new(KC_ERR_SYSTEM, "cannot write %s: %s", path, archive_error_string(writer->archive));
}

static struct kc_error *start_archive(struct writer *writer, const char *path, int fd)
{
	writer->archive = archive_write_new();
	if (!writer->archive)
		return kc_error_no_memory();
	if (archive_write_set_format_ustar(writer->archive) != ARCHIVE_OK ||
	    archive_write_add_filter_bzip2(writer->archive) != ARCHIVE_OK ||
	    archive_write_open_fd(writer->archive, fd) != ARCHIVE_OK)
		return archive_error(writer, path);
	return NULL;
}

static struct kc_error *write_member(struct writer *writer, const char *path, const char *name,
				     const struct kc_buf *content)
{
	struct archive_entry *entry = archive_entry_new();
	bool ok;

	if (!entry)
		return kc_error_no_memory();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)content->size);
	archive_entry_set_mtime(entry, (time_t)writer->patchset->released, 0);
	ok = archive_write_header(writer->archive, entry) == ARCHIVE_OK &&
	     archive_write_data(writer->archive, content->data, content->size) == (la_ssize_t)content->size;
	archive_entry_free(entry);
	return ok ? NULL : archive_error(writer, path);
}

/* Read again, so that no more than one is ever in memory. */
static struct kc_error *write_file(struct writer *writer, const char *path, size_t i)
{
	const struct kc_patchset_file *file = &writer->patchset->files[i];
	kc_autobuf struct kc_buf content = { 0 };
	kc_autopatch struct kc_patch *patch = NULL;

	KC_TRY(read_patch(writer, writer->paths[i], &content, &patch));
	if (strcmp(patch->hash, file->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s: it was changed in the meantime", writer->paths[i]);
	return write_member(writer, path, file->name, &content);
}

static struct kc_error *write_archive(struct writer *writer, const char *path, int fd, const struct kc_buf *list)
{
	size_t n = writer->patchset->n_files;

	KC_TRY(start_archive(writer, path, fd));
	KC_TRY(write_member(writer, path, KC_PATCHSET_LIST_NAME, list));
	for (size_t i = 0; i < n; i++) {
		KC_TRY(write_file(writer, path, i));
		kc_progress(writer->ctx, "packing", i + 1, n);
	}
	if (archive_write_close(writer->archive) != ARCHIVE_OK)
		return archive_error(writer, path);
	return NULL;
}

static struct kc_error *write_atomic(struct writer *writer, const char *path, const struct kc_buf *list)
{
	kc_autofree char *temporary = NULL;
	kc_autoclose int fd = -1;
	int ret = kc_file_begin(path, &temporary, &fd);
	struct kc_error *err;

	if (ret)
		return kc_error_errno(KC_ERR_SYSTEM, -ret, "cannot write %s", path);
	err = write_archive(writer, path, fd, list);
	ret = err ? 0 : kc_file_commit(path, temporary, fd, 0644);
	if (ret)
		err = kc_error_errno(KC_ERR_SYSTEM, -ret, "cannot write %s", path);
	if (err)
		unlink(temporary);
	return err;
}

struct kc_error *kc_patchset_archive_write(struct kc_ctx *ctx, const char *path, struct kc_patchset *patchset,
					   const char *const *types, char *const *files, size_t n_files,
					   const struct kc_key *key)
{
	struct writer writer = { .ctx = ctx, .key = key, .patchset = patchset, .types = types };
	kc_autobuf struct kc_buf list = { 0 };
	struct kc_error *err = make_list(&writer, files, n_files, &list);

	if (!err)
		err = write_atomic(&writer, path, &list);
	archive_write_free(writer.archive);
	kc_keyring_free(writer.keyring);
	free(writer.paths);
	return err;
}
