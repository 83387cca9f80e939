/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/cache.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/array.h"
#include "base/file.h"

#define SUFFIX ".kpatch"
#define DEFAULT_TYPE "default"

static char *folder_path(const char *kernel_id, const char *type)
{
	kc_autofree char *cache = kc_user_path(KC_PATH_KERNEL_CACHE);
	char *path;

	return !cache || asprintf(&path, "%s/%s/%s", cache, kernel_id, type) < 0 ? NULL : path;
}

char *kc_cache_path(const struct kc_level *level)
{
	kc_autofree char *folder = folder_path(level->kernel_id, level->type);
	char *path;

	return !folder || asprintf(&path, "%s/%u" SUFFIX, folder, level->number) < 0 ? NULL : path;
}

/* "12.kpatch": 12; 0: not a name that we give. */
static uint32_t level_of_name(const char *name)
{
	size_t n_digits = strspn(name, "0123456789");

	if (*name == '0' || !n_digits || n_digits > 9 || strcmp(name + n_digits, SUFFIX))
		return 0;
	return (uint32_t)strtoul(name, NULL, 10);
}

/* `*n_files`: how many levels of its type may be used, crashed ones included. */
static struct kc_error *scan(const struct kc_cache_query *query, struct kc_level *newest, size_t *n_files,
			     size_t *n_left_out)
{
	kc_autofree char *path = folder_path(newest->kernel_id, newest->type);
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct kc_level level = *newest;
	struct dirent *entry;

	*n_files = *n_left_out = 0;
	if (!path)
		return kc_error_no_memory();
	if (!dir && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (!dir)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", path);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		level.number = level_of_name(entry->d_name);
		if (!level.number || (query->state && !kc_state_allows(query->state, &level, query->has_server)))
			continue;
		++*n_files;
		if (query->leaves_out_crashes && kc_state_find_crash(query->state, &level))
			++*n_left_out;
		else if (level.number > newest->number)
			newest->number = level.number;
	}
	return errno ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", path) : NULL;
}

struct kc_error *kc_cache_newest(const struct kc_cache_query *query, struct kc_level *level, size_t *n_left_out)
{
	const char *const types[] = { query->type, DEFAULT_TYPE,
				      query->state ? query->state->checked.chosen.type : DEFAULT_TYPE };
	size_t n_files = 0;

	*n_left_out = 0;
	for (size_t i = 0; i < KC_ARRAY_SIZE(types) && !n_files; i++) {
		if (!*types[i])
			continue;
		*level = (struct kc_level){ 0 };
		snprintf(level->kernel_id, sizeof(level->kernel_id), "%s", query->kernel_id);
		snprintf(level->type, sizeof(level->type), "%s", types[i]);
		KC_TRY(scan(query, level, &n_files, n_left_out));
	}
	return NULL;
}

struct kc_error *kc_cache_put(const struct kc_level *level, const void *data, size_t size)
{
	kc_autofree char *path = kc_cache_path(level), *fixed = NULL;
	int err;

	if (!path || asprintf(&fixed, KC_PATH_KERNEL_CACHE "/%s/%s", level->kernel_id, level->type) < 0)
		return kc_error_no_memory();
	KC_TRY(kc_root_folder_make(fixed, NULL));
	err = kc_file_write_atomic(path, data, size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep the patch file as %s", path) : NULL;
}
