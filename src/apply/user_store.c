/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_store.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "apply/user_paths.h"
#include "base/array.h"
#include "base/file.h"

#define FILE_SUFFIX ".kpatch"
#define FILE_SIZE_MAX ((size_t)256 << 20)

struct stored {
	struct kc_patch *patch;
};

struct kc_user_store {
	char *dir;
	const struct kc_keyring *keyring;
	struct stored *stored; /* those that were asked for */
	size_t n_stored;
};

struct kc_error *kc_user_store_open(struct kc_ctx *ctx, const char *dir, const struct kc_keyring *keyring,
				    struct kc_user_store **store)
{
	kc_autouserstore struct kc_user_store *opened = calloc(1, sizeof(*opened));

	(void)ctx;
	if (!opened)
		return kc_error_no_memory();
	opened->keyring = keyring;
	opened->dir = dir ? strdup(dir) : kc_user_path(KC_PATH_STORE);
	if (!opened->dir)
		return kc_error_no_memory();
	*store = kc_steal(opened);
	return NULL;
}

void kc_user_store_free(struct kc_user_store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->n_stored; i++)
		kc_patch_free(store->stored[i].patch);
	free(store->stored);
	free(store->dir);
	free(store);
}

static char *file_path(const struct kc_user_store *store, const char *hash)
{
	char *path;

	return asprintf(&path, "%s/%s" FILE_SUFFIX, store->dir, hash) < 0 ? NULL : path;
}

static bool is_hash(const char *text)
{
	return strspn(text, "0123456789abcdef") == KC_SHA256_TEXT_SIZE - 1 && !text[KC_SHA256_TEXT_SIZE - 1];
}

static bool is_intact(const char *path, const char *hash)
{
	kc_autobuf struct kc_buf content = { 0 };
	char found[KC_SHA256_TEXT_SIZE];

	if (kc_file_read_now(path, FILE_SIZE_MAX, &content) < 0)
		return false;
	kc_sha256_text(content.data, content.size, found);
	return !strcmp(found, hash);
}

struct kc_error *kc_user_store_put(struct kc_ctx *ctx, struct kc_user_store *store, const void *data, size_t size)
{
	char hash[KC_SHA256_TEXT_SIZE];
	kc_autofree char *path = NULL;
	int err;

	kc_sha256_text(data, size, hash);
	path = file_path(store, hash);
	if (!path)
		return kc_error_no_memory();
	if (is_intact(path, hash))
		return NULL;
	err = kc_dir_make(store->dir, 0755);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", store->dir);
	err = kc_file_write_atomic(path, data, size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep the patch file as %s", path);
	kc_debug(ctx, "kept %s", path);
	return NULL;
}

/* Reads the file of that hash and verifies all there is to verify. */
static struct kc_error *read_patch(struct kc_ctx *ctx, const struct kc_user_store *store, const char *hash,
				   struct kc_patch **patch)
{
	kc_autofree char *path = file_path(store, hash);
	kc_autobuf struct kc_buf content = { 0 };
	char found[KC_SHA256_TEXT_SIZE];
	int err;

	if (!path)
		return kc_error_no_memory();
	if (!store->keyring)
		return kc_error_new(KC_ERR_UNKNOWN_KEY, "no author is trusted");
	err = kc_file_read_now(path, FILE_SIZE_MAX, &content);
	if (err == -ENOENT)
		return kc_error_new(KC_ERR_NOT_FOUND, "the patch file %.12s… is not in %s", hash, store->dir);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	kc_sha256_text(content.data, content.size, found);
	if (strcmp(found, hash) != 0)
		return kc_error_new(KC_ERR_CORRUPT, "%s: the content does not match its name; apply the patch again",
				    path);
	return kc_patch_decode(ctx, path, content.data, content.size, store->keyring, patch);
}

struct kc_error *kc_user_store_get(struct kc_ctx *ctx, struct kc_user_store *store, const char *hash,
				   const struct kc_patch **patch)
{
	kc_autopatch struct kc_patch *read = NULL;
	struct stored *added;

	if (!is_hash(hash))
		return kc_error_new(KC_ERR_INPUT, "not the hash of a patch file");
	for (size_t i = 0; i < store->n_stored; i++) {
		if (!strcmp(store->stored[i].patch->hash, hash)) {
			*patch = store->stored[i].patch;
			return NULL;
		}
	}
	KC_TRY(read_patch(ctx, store, hash, &read));
	added = kc_array_add(&store->stored, &store->n_stored);
	if (!added)
		return kc_error_no_memory();
	*patch = added->patch = kc_steal(read);
	return NULL;
}

static int is_patch_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(FILE_SUFFIX);

	return length == KC_SHA256_TEXT_SIZE - 1 + suffix && !strcmp(entry->d_name + length - suffix, FILE_SUFFIX);
}

/* `*patch` is NULL when the file is not used. */
static struct kc_error *get_stored(struct kc_ctx *ctx, struct kc_user_store *store, const char *file_name,
				   const struct kc_patch **patch)
{
	kc_autoerror struct kc_error *err = NULL;
	char hash[KC_SHA256_TEXT_SIZE] = "";

	memcpy(hash, file_name, KC_SHA256_TEXT_SIZE - 1);
	*patch = NULL;
	err = kc_user_store_get(ctx, store, hash, patch);
	if (err) {
		kc_warning(ctx, "stored patch %.12s… is not used: %s", hash, kc_error_message(err));
		return kc_error_code(err) == KC_ERR_NO_MEMORY ? kc_steal(err) : NULL;
	}
	if (*patch && (*patch)->manifest.kind != KC_PATCH_USER)
		*patch = NULL;
	return NULL;
}

struct kc_error *kc_user_store_all(struct kc_ctx *ctx, struct kc_user_store *store, const struct kc_patch ***patches,
				   size_t *n)
{
	struct kc_error *err = NULL;
	struct dirent **entries = NULL;
	int n_entries = scandir(store->dir, &entries, is_patch_file, alphasort);

	*patches = NULL;
	*n = 0;
	if (n_entries < 0 && errno == ENOENT)
		return NULL;
	if (n_entries < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", store->dir);
	*patches = calloc((size_t)n_entries + 1, sizeof(struct kc_patch *));
	if (!*patches)
		err = kc_error_no_memory();
	for (int i = 0; i < n_entries; i++) {
		const struct kc_patch *patch = NULL;

		if (!err)
			err = get_stored(ctx, store, entries[i]->d_name, &patch);
		if (patch && *patches)
			(*patches)[(*n)++] = patch;
		free(entries[i]);
	}
	free(entries);
	if (!err)
		return NULL;
	free(*patches);
	*patches = NULL;
	*n = 0;
	return err;
}
