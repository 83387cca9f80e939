/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_index.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "apply/user_withdrawn.h"
#include "base/array.h"
#include "base/file.h"
#include "base/hex.h"

#define FILE_SUFFIX ".kpatch"
#define FILE_SIZE_MAX ((size_t)256 << 20)

struct entry {
	uint8_t build_id[64];
	size_t build_id_size;
	struct kc_patch *patch;
	char *path;
	struct kc_buf file; /* what was verified, until it is in the store */
};

struct kc_user_index {
	struct entry *entries; /* sorted by build-id */
	size_t n_entries;
	struct kc_withdrawn withdrawn;
};

static void entry_clear(struct entry *entry)
{
	kc_patch_free(entry->patch);
	free(entry->path);
	kc_buf_free(&entry->file);
}

void kc_user_index_free(struct kc_user_index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->n_entries; i++)
		entry_clear(&index->entries[i]);
	free(index->entries);
	kc_withdrawn_clear(&index->withdrawn);
	free(index);
}

size_t kc_user_index_size(const struct kc_user_index *index)
{
	return index->n_entries;
}

struct kc_patch *kc_user_index_at(const struct kc_user_index *index, size_t i)
{
	return index->entries[i].patch;
}

static int compare_build_ids(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	size_t size = left->build_id_size < right->build_id_size ? left->build_id_size : right->build_id_size;
	int order = memcmp(left->build_id, right->build_id, size);

	return order ? order
		     : (left->build_id_size > right->build_id_size) - (left->build_id_size < right->build_id_size);
}

struct kc_patch *kc_user_index_find(const struct kc_user_index *index, const uint8_t *build_id, size_t size)
{
	struct entry wanted = { .build_id_size = size };
	const struct entry *found;

	if (!size || size > sizeof(wanted.build_id) || !index->n_entries)
		return NULL;
	memcpy(wanted.build_id, build_id, size);
	found = bsearch(&wanted, index->entries, index->n_entries, sizeof(wanted), compare_build_ids);
	return found ? found->patch : NULL;
}

bool kc_user_index_withdraws(const struct kc_user_index *index, const char *hash)
{
	return kc_withdrawn_has(&index->withdrawn, hash);
}

bool kc_user_index_withdraws_from(const struct kc_user_index *index, const uint8_t *build_id, size_t size)
{
	char text[KC_BUILD_ID_TEXT_SIZE];

	if (!index->withdrawn.n_patches || !size || size > sizeof(text) / 2)
		return false;
	kc_hex_encode(build_id, size, text);
	return kc_withdrawn_has_target(&index->withdrawn, text);
}

/* Reads, verifies and decodes one file into `entry`; `patch` stays NULL when it is for something else. */
static struct kc_error *read_entry(struct kc_ctx *ctx, const char *path, const struct kc_keyring *keyring,
				   struct entry *entry)
{
	kc_autopatch struct kc_patch *patch = NULL;
	struct stat st;
	size_t digits;
	int err;

	/* A FIFO would be waited for. */
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_NOT_A_PATCH, "%s: not a file", path);
	err = kc_file_read(path, FILE_SIZE_MAX, &entry->file);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s is larger than a patch file may be", path);
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	KC_TRY(kc_patch_decode(ctx, path, entry->file.data, entry->file.size, keyring, &patch));
	if (patch->manifest.kind != KC_PATCH_USER) {
		kc_info(ctx, "%s is not for processes", path);
		return NULL;
	}
	digits = strlen(patch->manifest.target);
	if (digits % 2 || !digits || digits > 2 * sizeof(entry->build_id) ||
	    kc_hex_decode(patch->manifest.target, entry->build_id, digits / 2) < 0)
		return kc_error_new(KC_ERR_INPUT, "%s: its target '%s' is not a build-id", path,
				    patch->manifest.target);
	entry->build_id_size = digits / 2;
	entry->path = strdup(path);
	if (!entry->path)
		return kc_error_no_memory();
	entry->patch = kc_steal(patch);
	return NULL;
}

static struct kc_error *add_file(struct kc_ctx *ctx, struct kc_user_index *index, const char *path,
				 const struct kc_keyring *keyring)
{
	struct entry entry = { 0 }, *added;
	struct kc_error *err = read_entry(ctx, path, keyring, &entry);

	if (err || !entry.patch || kc_user_index_withdraws(index, entry.patch->hash)) {
		entry_clear(&entry);
		return err;
	}
	added = kc_array_add(&index->entries, &index->n_entries);
	if (!added) {
		entry_clear(&entry);
		return kc_error_no_memory();
	}
	*added = entry;
	return NULL;
}

static int is_patch_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(FILE_SUFFIX);

	return length > suffix && entry->d_name[0] != '.' && !strcmp(entry->d_name + length - suffix, FILE_SUFFIX);
}

static struct kc_error *add_folder(struct kc_ctx *ctx, struct kc_user_index *index, const char *dir,
				   const struct kc_keyring *keyring)
{
	struct kc_error *err = NULL;
	struct dirent **names;
	int n;

	KC_TRY(kc_withdrawn_read(dir, &index->withdrawn));
	n = scandir(dir, &names, is_patch_file, alphasort);
	if (n < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot read the folder %s", dir);
	for (int i = 0; i < n; i++) {
		kc_autofree char *path = err ? NULL : kc_path_join(dir, names[i]->d_name);

		if (path)
			err = add_file(ctx, index, path, keyring);
		else if (!err)
			err = kc_error_no_memory();
		free(names[i]);
	}
	free(names);
	return err;
}

/* Sorts, and leaves for each build-id the highest level. */
static struct kc_error *keep_highest(struct kc_user_index *index)
{
	size_t n_kept = 0;

	if (index->n_entries)
		qsort(index->entries, index->n_entries, sizeof(*index->entries), compare_build_ids);
	for (size_t i = 0; i < index->n_entries; i++) {
		struct entry *entry = &index->entries[i], *last = n_kept ? &index->entries[n_kept - 1] : NULL;
		uint32_t level = entry->patch->manifest.level;

		if (!last || compare_build_ids(last, entry) != 0) {
			index->entries[n_kept++] = *entry;
		} else if (last->patch->manifest.level == level && strcmp(last->patch->hash, entry->patch->hash) != 0) {
			struct kc_error *err =
				kc_error_new(KC_ERR_INPUT,
					     "%s and %s are different patches of level %u for the same file; "
					     "keep one of them",
					     last->path, entry->path, level);

			/* What was moved up must not be freed twice. */
			memmove(&index->entries[n_kept], entry, (index->n_entries - i) * sizeof(*entry));
			index->n_entries -= i - n_kept;
			return err;
		} else if (last->patch->manifest.level < level) {
			entry_clear(last);
			*last = *entry;
		} else {
			entry_clear(entry);
		}
	}
	index->n_entries = n_kept;
	return NULL;
}

struct kc_error *kc_user_index_load(struct kc_ctx *ctx, const char *path, const struct kc_keyring *keyring,
				    struct kc_user_index **index)
{
	kc_autouserindex struct kc_user_index *loaded = calloc(1, sizeof(*loaded));
	struct stat st;

	if (!loaded)
		return kc_error_no_memory();
	if (stat(path, &st) < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot read %s", path);
	if (S_ISDIR(st.st_mode))
		KC_TRY(add_folder(ctx, loaded, path, keyring));
	else
		KC_TRY(add_file(ctx, loaded, path, keyring));
	KC_TRY(keep_highest(loaded));
	*index = kc_steal(loaded);
	return NULL;
}

struct kc_error *kc_user_index_keep(struct kc_ctx *ctx, struct kc_user_index *index, struct kc_user_store *store,
				    const struct kc_patch *patch)
{
	for (size_t i = 0; i < index->n_entries; i++) {
		struct entry *entry = &index->entries[i];

		if (entry->patch != patch || !entry->file.data)
			continue;
		KC_TRY(kc_user_store_put(ctx, store, entry->file.data, entry->file.size));
		kc_buf_free(&entry->file);
	}
	return NULL;
}

static bool contains(struct kc_patch *const *patches, size_t n, const struct kc_patch *patch)
{
	for (size_t i = 0; i < n; i++) {
		if (patches[i] == patch)
			return true;
	}
	return false;
}

struct kc_error *kc_user_index_select(const struct kc_user_index *index, const struct kc_process_view *view,
				      struct kc_patch ***patches, size_t *n)
{
	kc_autofree struct kc_patch **selected = calloc(view->n_objects + 1, sizeof(struct kc_patch *));
	size_t n_selected = 0;

	if (!selected)
		return kc_error_no_memory();
	for (size_t i = 0; i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];
		struct kc_patch *patch = kc_user_index_find(index, object->build_id, object->build_id_size);

		if (patch && !contains(selected, n_selected, patch))
			selected[n_selected++] = patch;
	}
	*patches = kc_steal(selected);
	*n = n_selected;
	return NULL;
}
