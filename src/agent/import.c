/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patch files from elsewhere into the cache: how a host without a server is served. */
#include "agent/agent.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cache.h"
#include "agent/keys.h"
#include "agent/lock.h"
#include "agent/update.h"
#include "base/array.h"
#include "base/file.h"

#define SUFFIX ".kpatch"

struct importer {
	struct kc_ctx *ctx;
	const struct kc_keyring *keyring;
	const struct kc_kernel *kernel;
	struct kc_state *state;
	struct kc_imported *imported;
	size_t n_imported;
};

/* Reads and verifies; the bytes that were verified are the ones that are kept. */
static struct kc_error *read_patch(const struct importer *importer, const char *path, struct kc_buf *file,
				   struct kc_patch **patch)
{
	int err = kc_file_read_now(path, KC_PATCH_FILE_MAX, file);

	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: too large for a patch file", path);
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	KC_TRY(kc_patch_decode(importer->ctx, path, file->data, file->size, importer->keyring, patch));
	if ((*patch)->manifest.kind != KC_PATCH_KERNEL)
		return kc_error_new(KC_ERR_WRONG_TARGET,
				    "%s: a patch for %s, not for a kernel: 'libcare-ctl patch' applies it", path,
				    (*patch)->manifest.object);
	return NULL;
}

/* Is exactly this file in the cache? A crash with another build of the level says nothing about this one. */
static struct kc_error *look_for_other_build(struct importer *importer, const struct kc_level *level, bool *was_there)
{
	const struct kc_crash *crash = kc_state_find_crash(importer->state, level);
	char hash[KC_SHA256_TEXT_SIZE];
	bool exists = kc_level_file_hash(level, hash);

	*was_there = exists && !strcmp(hash, level->hash);
	if (exists && !*was_there)
		kc_warning(importer->ctx, "the cache had another build of level %u; it is replaced", level->number);
	if (crash && strcmp(crash->level.hash, level->hash))
		kc_state_drop_crash(importer->state, level);
	KC_TRY(kc_state_add_imported(importer->state, level));
	return kc_state_write(importer->state);
}

static struct kc_error *keep(struct importer *importer, const char *path, const struct kc_buf *file,
			     const struct kc_patch *patch)
{
	struct kc_imported *added = kc_array_add(&importer->imported, &importer->n_imported);

	if (!added)
		return kc_error_no_memory();
	kc_level_of_patch(patch, &added->level);
	added->path = strdup(path);
	added->release = strdup(patch->manifest.kernel.release);
	if (!added->path || !added->release)
		return kc_error_no_memory();
	added->is_for_this_kernel = !strcmp(patch->manifest.target, importer->kernel->kernel_id);
	KC_TRY(look_for_other_build(importer, &added->level, &added->was_there));
	return added->was_there ? NULL : kc_cache_put(&added->level, file->data, file->size);
}

static struct kc_error *import_file(struct importer *importer, const char *path, bool only_check)
{
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autobuf struct kc_buf file = { 0 };

	KC_TRY(read_patch(importer, path, &file, &patch));
	return patch && !only_check ? keep(importer, path, &file, patch) : NULL;
}

static int is_patch_name(const struct dirent *entry)
{
	const char *suffix = strrchr(entry->d_name, '.');

	return *entry->d_name != '.' && suffix && !strcmp(suffix, SUFFIX);
}

static struct kc_error *import_entries(struct importer *importer, const char *dir, struct dirent **entries, size_t n)
{
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			kc_autofree char *path = kc_path_join(dir, entries[i]->d_name);

			if (!path)
				return kc_error_no_memory();
			kc_progress(importer->ctx, "verifying patch files", pass * n + i, 2 * n);
			KC_TRY(import_file(importer, path, pass == 0));
		}
	}
	kc_progress(importer->ctx, "verifying patch files", 1, 1);
	return NULL;
}

/* All are verified before the first one is kept. */
static struct kc_error *import_folder(struct importer *importer, const char *dir)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_patch_name, alphasort);
	struct kc_error *err;

	if (n < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot read the folder %s", dir);
	if (n == 0)
		err = kc_error_new(KC_ERR_INPUT, "there is no *" SUFFIX " file in %s", dir);
	else
		err = import_entries(importer, dir, entries, (size_t)n);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return err;
}

static struct kc_error *import_path(struct importer *importer, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot open %s", path);
	return S_ISDIR(st.st_mode) ? import_folder(importer, path) : import_file(importer, path, false);
}

struct kc_error *kc_agent_import_patch(struct kc_ctx *ctx, const char *path, struct kc_imported **imported, size_t *n)
{
	kc_autokeyring struct kc_keyring *keyring = NULL;
	KC_CLEANUP_STATE struct kc_state state = { 0 };
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	kc_autoclose int lock = -1;
	struct importer importer = { .ctx = ctx, .kernel = &kernel, .state = &state };
	struct kc_error *err;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_agent_open(ctx, &state, &kernel));
	KC_TRY(kc_agent_keyring_load(ctx, &keyring));
	importer.keyring = keyring;
	err = import_path(&importer, path);
	*imported = importer.imported;
	*n = importer.n_imported;
	return err;
}

void kc_imported_free(struct kc_imported *imported, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(imported[i].path);
		free(imported[i].release);
	}
	free(imported);
}
