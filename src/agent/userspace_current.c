/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/userspace_current.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/state_json.h"
#include "agent/update.h"
#include "base/array.h"
#include "base/file.h"

#define DOCUMENT "kcare-userspace-1"
#define SUFFIX ".kpatch"
#define DIGITS "0123456789abcdef"

static void patch_clear(struct kc_current_patch *patch)
{
	free(patch->patchset);
	free(patch->object);
	free(patch->origin);
	*patch = (struct kc_current_patch){ 0 };
}

void kc_current_clear(struct kc_current *current)
{
	for (size_t i = 0; i < current->n_patches; i++)
		patch_clear(&current->patches[i]);
	free(current->patches);
	free(current->dir);
	kc_withdrawn_clear(&current->withdrawn);
	*current = (struct kc_current){ 0 };
}

struct kc_current_patch *kc_current_find(const struct kc_current *current, const char *build_id)
{
	for (size_t i = 0; i < current->n_patches; i++)
		if (!strcmp(current->patches[i].build_id, build_id))
			return &current->patches[i];
	return NULL;
}

static void drop(struct kc_current *current, struct kc_current_patch *patch)
{
	size_t i = (size_t)(patch - current->patches);

	patch_clear(patch);
	current->n_patches--;
	memmove(patch, patch + 1, (current->n_patches - i) * sizeof(*patch));
}

/* ---- what state.json remembers ---- */

static struct kc_error *copy_text(const json_t *json, const char *key, char **text)
{
	const char *value = json_string_value(json_object_get(json, key));

	*text = strdup(value ? value : "");
	return *text ? NULL : kc_error_no_memory();
}

static struct kc_error *read_patch(const char *name, const json_t *json, struct kc_current_patch *patch)
{
	json_int_t level = json_integer_value(json_object_get(json, "level"));

	if (!kc_agent_json_copy(json, "target", patch->build_id, sizeof(patch->build_id)) ||
	    patch->build_id[strspn(patch->build_id, DIGITS)] || /* it becomes the name of a file */
	    !kc_agent_json_copy(json, "type", patch->type, sizeof(patch->type)) ||
	    !kc_agent_json_copy(json, "hash", patch->hash, sizeof(patch->hash)) || level < 1 || level > UINT32_MAX)
		return kc_agent_json_damaged(name, "patches");
	patch->level = (uint32_t)level;
	KC_TRY(copy_text(json, "patchset", &patch->patchset));
	KC_TRY(copy_text(json, "object", &patch->object));
	return copy_text(json, "origin", &patch->origin);
}

struct kc_error *kc_current_parse(const char *name, const char *text, size_t size, struct kc_current *current)
{
	kc_autoagentjson json_t *json = NULL;
	const json_t *array;

	KC_TRY(kc_agent_json_load(name, text, size, DOCUMENT, &json));
	array = json_object_get(json, "patches");
	if (!json_is_array(array))
		return kc_agent_json_damaged(name, "patches");
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct kc_current_patch *patch = kc_array_add(&current->patches, &current->n_patches);

		if (!patch)
			return kc_error_no_memory();
		KC_TRY(read_patch(name, json_array_get(array, i), patch));
	}
	return NULL;
}

static int set_patch(json_t *array, const struct kc_current_patch *patch)
{
	json_t *json = json_object();

	return json_array_append_new(array, json) ||
	       json_object_set_new(json, "target", json_string(patch->build_id)) ||
	       json_object_set_new(json, "type", json_string(patch->type)) ||
	       json_object_set_new(json, "hash", json_string(patch->hash)) ||
	       json_object_set_new(json, "level", json_integer(patch->level)) ||
	       json_object_set_new(json, "patchset", json_string(patch->patchset)) ||
	       json_object_set_new(json, "object", json_string(patch->object)) ||
	       json_object_set_new(json, "origin", json_string(patch->origin));
}

struct kc_error *kc_current_write(const struct kc_current *current)
{
	kc_autoagentjson json_t *json = json_object();
	json_t *array = json_array();

	if (json_object_set_new(json, "patches", array) || json_object_set_new(json, "document", json_string(DOCUMENT)))
		return kc_error_no_memory();
	for (size_t i = 0; i < current->n_patches; i++)
		if (set_patch(array, &current->patches[i]))
			return kc_error_no_memory();
	KC_TRY(kc_withdrawn_write(current->dir, &current->withdrawn));
	return kc_agent_json_write(KC_PATH_USERSPACE_STATE, json);
}

/* ---- the folder ---- */

static char *path_of(const struct kc_current *current, const char *build_id)
{
	char *path;

	return asprintf(&path, "%s/%s" SUFFIX, current->dir, build_id) < 0 ? NULL : path;
}

/* "0123….kpatch": the build-id; false: not a file of ours. */
static bool read_name(const char *name, char build_id[KC_BUILD_ID_TEXT_SIZE])
{
	size_t n_digits = strspn(name, DIGITS);

	if (n_digits < 16 || n_digits >= KC_BUILD_ID_TEXT_SIZE || strcmp(name + n_digits, SUFFIX))
		return false;
	memcpy(build_id, name, n_digits);
	build_id[n_digits] = '\0';
	return true;
}

/* Takes the place of what is known of that build-id. */
static struct kc_error *remember(struct kc_current *current, const struct kc_patch *patch, const char *origin)
{
	const struct kc_manifest *manifest = &patch->manifest;
	struct kc_current_patch *known = kc_current_find(current, manifest->target);

	if (known)
		patch_clear(known);
	else
		known = kc_array_add(&current->patches, &current->n_patches);
	if (!known)
		return kc_error_no_memory();
	*known = (struct kc_current_patch){
		.level = manifest->level,
		.patchset = strdup(manifest->patchset),
		.object = strdup(manifest->object),
		.origin = strdup(origin),
	};
	snprintf(known->build_id, sizeof(known->build_id), "%s", manifest->target);
	snprintf(known->type, sizeof(known->type), "%s", manifest->type);
	snprintf(known->hash, sizeof(known->hash), "%s", patch->hash);
	return known->patchset && known->object && known->origin ? NULL : kc_error_no_memory();
}

/* A file that state.json does not know, or knows otherwise: it says itself what it is. */
static struct kc_error *adopt(struct kc_ctx *ctx, const struct kc_keyring *authors, const char *path,
			      const char *build_id, struct kc_current *current)
{
	kc_autopatch struct kc_patch *patch = NULL;

	KC_TRY(kc_patch_open(ctx, path, authors, &patch));
	if (patch->manifest.kind != KC_PATCH_USER || strcmp(patch->manifest.target, build_id) != 0)
		return kc_error_new(KC_ERR_WRONG_TARGET, "%s: it is for something else than its name says", path);
	return remember(current, patch, "");
}

static struct kc_error *read_file(struct kc_ctx *ctx, const struct kc_keyring *authors, const char *build_id,
				  struct kc_current *current)
{
	struct kc_current_patch *known = kc_current_find(current, build_id);
	kc_autofree char *path = path_of(current, build_id);
	kc_autoerror struct kc_error *err = NULL;
	kc_autobuf struct kc_buf file = { 0 };
	char hash[KC_SHA256_TEXT_SIZE] = "";

	if (!path)
		return kc_error_no_memory();
	if (!kc_file_read_now(path, KC_PATCH_FILE_MAX, &file))
		kc_sha256_text(file.data, file.size, hash);
	if (known && !strcmp(known->hash, hash))
		return NULL;
	if (known)
		drop(current, known);
	err = adopt(ctx, authors, path, build_id, current);
	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	kc_warning(ctx, "%s; it is removed", kc_error_message(err));
	return unlink(path) < 0 ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path) : NULL;
}

static int compare_patches(const void *a, const void *b)
{
	return strcmp(((const struct kc_current_patch *)a)->build_id, ((const struct kc_current_patch *)b)->build_id);
}

/* What is known of files that are gone is forgotten. */
static struct kc_error *read_folder(struct kc_ctx *ctx, const struct kc_keyring *authors, struct kc_current *current)
{
	kc_autoclosedir DIR *dir = opendir(current->dir);
	char build_id[KC_BUILD_ID_TEXT_SIZE];
	struct dirent *entry;

	if (!dir)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", current->dir);
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (read_name(entry->d_name, build_id))
			KC_TRY(read_file(ctx, authors, build_id, current));
	if (errno)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", current->dir);
	for (size_t i = current->n_patches; i-- > 0;) {
		kc_autofree char *path = path_of(current, current->patches[i].build_id);

		if (!path)
			return kc_error_no_memory();
		if (access(path, F_OK) < 0)
			drop(current, &current->patches[i]);
	}
	if (current->n_patches)
		qsort(current->patches, current->n_patches, sizeof(*current->patches), compare_patches);
	return NULL;
}

static struct kc_error *read_state(struct kc_ctx *ctx, struct kc_current *current)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_USERSPACE_STATE, &text, &path, &exists));
	if (!exists)
		return NULL;
	err = kc_current_parse(path, text.data, text.size, current);
	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	kc_warning(ctx, "%s is damaged: it is written anew from what is in %s", path, current->dir);
	while (current->n_patches)
		drop(current, &current->patches[current->n_patches - 1]);
	return NULL;
}

struct kc_error *kc_current_read(struct kc_ctx *ctx, const struct kc_keyring *authors, struct kc_current *current)
{
	KC_TRY(kc_root_folder_make(KC_PATH_CURRENT, &current->dir));
	KC_TRY(read_state(ctx, current));
	KC_TRY(kc_withdrawn_read(current->dir, &current->withdrawn));
	return read_folder(ctx, authors, current);
}

struct kc_error *kc_current_put(struct kc_current *current, const struct kc_patch *patch, const struct kc_buf *file,
				const char *origin)
{
	kc_autofree char *path = path_of(current, patch->manifest.target);
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, file->data, file->size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep the patch file as %s", path);
	return remember(current, patch, origin);
}

struct kc_error *kc_current_remove(struct kc_current *current, const char *build_id)
{
	kc_autofree char *path = path_of(current, build_id);
	struct kc_current_patch *known = kc_current_find(current, build_id);

	if (!path)
		return kc_error_no_memory();
	if (unlink(path) < 0 && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	if (known)
		drop(current, known);
	return NULL;
}
