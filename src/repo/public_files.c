/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files beside the metadata: those of one kernel, and those about all of them. */
#include "repo/public_internal.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "patch/patch_info.h"
#include "repo/repository.h"

#define KERNELS_NAME "index/kernels.json"
#define BUILDS_NAME "libcare-patches.json"
#define MAIN "main"

enum { JSON_SIZE_MAX = 64 << 20, FEEDS_SIZE_MAX = 1 << 20, FEEDS_MAX = 1000, FOLDER_SIZE = 128 };

/* ---- files of the folder ---- */

static struct kc_error *make_parent(const char *path)
{
	kc_autofree char *dir = strndup(path, (size_t)(kc_path_name(path) - path));
	int err = dir ? kc_dir_make(dir, 0755) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder of %s", path) : NULL;
}

struct kc_error *kc_public_write(const struct kc_public_files *files, const char *name, const void *data, size_t size)
{
	kc_autofree char *path = kc_path_join(files->dir, name);
	kc_autobuf struct kc_buf before = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	/* a file that stays as it is stays in the caches of those who fetch it */
	if (!kc_file_read_now(path, size + 1, &before) && before.size == size && !memcmp(before.data, data, size))
		return NULL;
	err = kc_file_replace(path, data, size, 0644);
	if (err == -ENOENT) {
		KC_TRY(make_parent(path));
		err = kc_file_replace(path, data, size, 0644);
	}
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

struct kc_error *kc_public_read_json(struct kc_ctx *ctx, const struct kc_public_files *files, const char *name,
				     json_t **value)
{
	kc_autofree char *path = kc_path_join(files->dir, name);
	kc_autobuf struct kc_buf text = { 0 };
	int err = path ? kc_file_read_now(path, JSON_SIZE_MAX, &text) : -ENOMEM;

	*value = NULL;
	if (err == -ENOMEM)
		return kc_error_no_memory();
	if (!err)
		*value = json_loadb(text.data, text.size, 0, NULL);
	if (*value && !json_is_object(*value)) {
		json_decref(*value);
		*value = NULL;
	}
	if (err != -ENOENT && !*value)
		kc_warning(ctx, "%s cannot be read, and is made again", path);
	return NULL;
}

struct kc_error *kc_public_write_json(const struct kc_public_files *files, const char *name, const json_t *value,
				      size_t flags)
{
	kc_autofree char *text = json_dumps(value, flags);

	return text ? kc_public_write(files, name, text, strlen(text)) : kc_error_no_memory();
}

const char *kc_public_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

struct kc_error *kc_public_remove(const struct kc_public_files *files, const char *name)
{
	kc_autofree char *path = kc_path_join(files->dir, name);
	int err = path ? kc_tree_remove(path) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s", path) : NULL;
}

static struct kc_error *make_link(const struct kc_public_files *files, const char *name, const char *target)
{
	kc_autofree char *path = kc_path_join(files->dir, name), *temporary = NULL;
	char now[FOLDER_SIZE] = "";

	if (!path || asprintf(&temporary, "%s.new", path) < 0) {
		temporary = NULL;
		return kc_error_no_memory();
	}
	if (readlink(path, now, sizeof(now) - 1) > 0 && !strcmp(now, target))
		return NULL;
	if ((unlink(temporary) && errno != ENOENT) || symlink(target, temporary) || rename(temporary, path))
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make the link %s", path);
	return NULL;
}

/* ---- one kernel ---- */

static bool is_kernel_id(const char *text)
{
	size_t n = 0;

	while ((text[n] >= '0' && text[n] <= '9') || (text[n] >= 'a' && text[n] <= 'f'))
		n++;
	return n == KC_KERNEL_ID_SIZE - 1 && !text[n];
}

/* What os-release names at length. */
static const char *os_name(const char *distribution)
{
	static const char *const names[][2] = {
		{ "debian", "Debian" },	  { "ubuntu", "Ubuntu" },	{ "rhel", "Red Hat" },
		{ "centos", "CentOS" },	  { "almalinux", "AlmaLinux" }, { "rocky", "Rocky Linux" },
		{ "ol", "Oracle Linux" }, { "sles", "SUSE" },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (!strncmp(distribution, names[i][0], strlen(names[i][0])))
			return names[i][1];
	return "Linux";
}

static void append_fix(struct kc_buf *text, const json_t *fix, const char *effective_version)
{
	struct kc_fix_info info = {
		.name = (char *)json_string_value(json_object_get(fix, "name")),
		.description = (char *)json_string_value(json_object_get(fix, "description")),
		.cvss = (char *)json_string_value(json_object_get(fix, "cvss")),
		.cve_url = (char *)json_string_value(json_object_get(fix, "cve_url")),
		.patch_url = (char *)json_string_value(json_object_get(fix, "patch_url")),
	};
	const json_t *cve;
	size_t i;

	json_array_foreach(json_object_get(fix, "cves"), i, cve)
	{
		char **slot = json_string_value(cve) ? kc_array_add(&info.cves, &info.n_cves) : NULL;

		if (slot)
			*slot = (char *)json_string_value(cve);
	}
	kc_patch_info_fix(text, &info, effective_version);
	free(info.cves);
}

static struct kc_error *write_patch_info(const struct kc_public_files *files, const char *folder,
					 const json_t *releases, const json_t *release)
{
	const char *effective_version = kc_public_text(release, "effective_version");
	kc_autobuf struct kc_buf text = { 0 };
	char name[FOLDER_SIZE + 32];
	const json_t *fix;
	size_t i;

	kc_patch_info_head(&text, os_name(kc_public_text(releases, "distribution")), kc_public_text(releases, "kernel"),
			   json_integer_value(json_object_get(release, "created")), effective_version);
	json_array_foreach(json_object_get(release, "fixes"), i, fix) append_fix(&text, fix, effective_version);
	snprintf(name, sizeof(name), "%s/%d/kpatch.info", folder,
		 (int)json_integer_value(json_object_get(release, "level")));
	return text.failed ? kc_error_no_memory() : kc_public_write(files, name, text.data, text.size);
}

/* Only for levels whose patch is another one than before: most of a long list is as it was. */
static struct kc_error *write_levels(const struct kc_public_files *files, const char *folder, const json_t *releases,
				     const struct kc_public_levels *before, const struct kc_public_levels *levels)
{
	for (size_t i = 0; i < levels->n_levels; i++) {
		const json_t *release = levels->levels[i].release;
		const json_t *known = kc_public_levels_find(before, levels->levels[i].level);

		if (!known || !json_equal(known, release))
			KC_TRY(write_patch_info(files, folder, releases, release));
	}
	for (size_t i = 0; i < before->n_levels; i++) {
		char name[FOLDER_SIZE + 16];

		snprintf(name, sizeof(name), "%s/%d", folder, before->levels[i].level);
		if (!kc_public_levels_find(levels, before->levels[i].level))
			KC_TRY(kc_public_remove(files, name));
	}
	return NULL;
}

/* latest.v1 is the same under an older name. */
static struct kc_error *write_version(const struct kc_public_files *files, const char *folder, const json_t *highest)
{
	char name[FOLDER_SIZE + 16], latest[FOLDER_SIZE + 16], text[16];

	snprintf(name, sizeof(name), "%s/version", folder);
	snprintf(latest, sizeof(latest), "%s/latest.v1", folder);
	if (!highest) {
		KC_TRY(kc_public_remove(files, name));
		return kc_public_remove(files, latest);
	}
	snprintf(text, sizeof(text), "%d\n", kc_public_level(highest));
	KC_TRY(kc_public_write(files, name, text, strlen(text)));
	return make_link(files, latest, "version");
}

/* The kernel's line in the index. */
static struct kc_error *index_kernel(struct kc_public_files *files, const char *id, const json_t *releases,
				     const json_t *highest)
{
	json_t *line =
		json_pack("{s:s, s:s, s:i, s:s, s:s}", "kernel", kc_public_text(releases, "kernel"), "distribution",
			  kc_public_text(releases, "distribution"), "level", kc_public_level(highest), "patchset",
			  kc_public_text(highest, "patchset"), "released", kc_public_text(highest, "released"));
	const json_t *before = json_object_get(files->kernels, id);

	if (!line)
		return kc_error_no_memory();
	files->kernels_changed |= !before || !json_equal(before, line);
	return json_object_set_new(files->kernels, id, line) ? kc_error_no_memory() : NULL;
}

static struct kc_error *remove_kernel(struct kc_public_files *files, const char *feed, const char *id,
				      const char *folder)
{
	if (!strcmp(feed, MAIN)) {
		KC_TRY(kc_public_remove(files, id));
		KC_TRY(kc_public_kernel_page(files, id, NULL));
		files->kernels_changed |= !json_object_del(files->kernels, id);
	}
	return kc_public_remove(files, folder);
}

static struct kc_error *put_kernel(struct kc_ctx *ctx, struct kc_public_files *files, const char *feed, const char *id,
				   const struct kc_target_list *list)
{
	KC_CLEANUP_PUBLIC_LEVELS struct kc_public_levels known = { 0 }, levels = { 0 };
	kc_autojson json_t *before = NULL, *releases = NULL;
	char folder[FOLDER_SIZE], name[FOLDER_SIZE + 16];
	const json_t *highest;

	snprintf(folder, sizeof(folder), "%s/%s", feed, id);
	snprintf(name, sizeof(name), "%s/releases.json", folder);
	if (!list || !list->n_entries)
		return remove_kernel(files, feed, id, folder);
	KC_TRY(kc_public_read_json(ctx, files, name, &before));
	KC_TRY(kc_public_releases_make(ctx, files, list, before, &releases));
	KC_TRY(kc_public_levels_make(before, &known));
	KC_TRY(kc_public_levels_make(releases, &levels));
	highest = kc_public_levels_highest(&levels);
	KC_TRY(write_levels(files, folder, releases, &known, &levels));
	KC_TRY(write_version(files, folder, highest));
	if (!strcmp(feed, MAIN)) {
		KC_TRY(kc_public_kernel_page(files, id, releases));
		KC_TRY(index_kernel(files, id, releases, highest));
		KC_TRY(make_link(files, id, folder));
	}
	/* last: what was written before it is known from it */
	return kc_public_write_json(files, name, releases, JSON_COMPACT);
}

/* ---- userspace: which build-ids there are patches for ---- */

static struct kc_error *add_build(struct kc_public_files *files, const char *path, const struct kc_target_entry *entry)
{
	const json_t *before = json_object_get(files->builds, entry->target);
	json_t *build;

	if (entry->blocked || json_integer_value(json_object_get(before, "level")) > (json_int_t)entry->level)
		return NULL;
	build = json_pack("{s:s, s:i, s:s}", "target", path, "level", (int)entry->level, "patchset", entry->patchset);
	if (!build || json_object_set_new(files->builds, entry->target, build))
		return kc_error_no_memory();
	return NULL;
}

static struct kc_error *put_user(struct kc_public_files *files, const char *path, const struct kc_target_list *list)
{
	const char *build_id;
	json_t *build;
	void *next;

	json_object_foreach_safe(files->builds, next, build_id, build)
	{
		if (!strcmp(kc_public_text(build, "target"), path))
			json_object_del(files->builds, build_id);
	}
	for (size_t i = 0; list && i < list->n_entries; i++)
		if (list->entries[i].target)
			KC_TRY(add_build(files, path, &list->entries[i]));
	files->builds_changed = true;
	return NULL;
}

/* ---- the whole ---- */

struct kc_error *kc_public_files_open(struct kc_ctx *ctx, const char *dir, struct kc_public_files **files)
{
	kc_autopublicfiles struct kc_public_files *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return kc_error_no_memory();
	opened->dir = strdup(dir);
	if (!opened->dir)
		return kc_error_no_memory();
	KC_TRY(kc_public_read_json(ctx, opened, KERNELS_NAME, &opened->kernels));
	KC_TRY(kc_public_read_json(ctx, opened, BUILDS_NAME, &opened->builds));
	opened->kernels_changed = !opened->kernels;
	opened->builds_changed = !opened->builds;
	if (!opened->kernels)
		opened->kernels = json_object();
	if (!opened->builds)
		opened->builds = json_object();
	if (!opened->kernels || !opened->builds)
		return kc_error_no_memory();
	*files = kc_steal(opened);
	return NULL;
}

void kc_public_files_close(struct kc_public_files *files)
{
	if (!files)
		return;
	free(files->dir);
	json_decref(files->kernels);
	json_decref(files->builds);
	free(files);
}

struct kc_error *kc_public_files_put(struct kc_ctx *ctx, struct kc_public_files *files, const char *feed,
				     const char *path, const char *text, size_t size)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	bool is_kernel = !strncmp(path, "kernel/", strlen("kernel/")) && is_kernel_id(path + strlen("kernel/"));
	bool is_user = !strncmp(path, "user/", strlen("user/")) && strcmp(path, KC_USER_INDEX_PATH);

	if (!is_kernel && !(is_user && !strcmp(feed, MAIN)))
		return NULL;
	if (text)
		KC_TRY(kc_target_list_decode(text, size, feed, path, &list));
	if (is_kernel)
		return put_kernel(ctx, files, feed, path + strlen("kernel/"), text ? &list : NULL);
	return put_user(files, path, text ? &list : NULL);
}

static bool has_path(char *const *paths, size_t n_paths, const char *folder, const char *name)
{
	size_t size = strlen(folder);

	for (size_t i = 0; i < n_paths; i++)
		if (!strncmp(paths[i], folder, size) && !strcmp(paths[i] + size, name))
			return true;
	return false;
}

struct kc_error *kc_public_files_keep(struct kc_ctx *ctx, struct kc_public_files *files, const char *feed,
				      char *const *paths, size_t n_paths)
{
	kc_autofree char *path = kc_path_join(files->dir, feed);
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	const char *build_id;
	json_t *build;
	void *next;

	while (dir && (entry = readdir(dir)))
		if (is_kernel_id(entry->d_name) && !has_path(paths, n_paths, "kernel/", entry->d_name))
			KC_TRY(put_kernel(ctx, files, feed, entry->d_name, NULL));
	if (strcmp(feed, MAIN))
		return NULL;
	json_object_foreach_safe(files->builds, next, build_id, build)
	{
		if (has_path(paths, n_paths, "", kc_public_text(build, "target")))
			continue;
		json_object_del(files->builds, build_id);
		files->builds_changed = true;
	}
	return NULL;
}

static struct kc_error *remove_other_feeds(struct kc_ctx *ctx, const struct kc_public_files *files,
					   const char *const *feeds)
{
	kc_autojson json_t *before = NULL;
	const json_t *name;
	size_t i;

	KC_TRY(kc_public_read_json(ctx, files, KC_PUBLIC_FEEDS_NAME, &before));
	json_array_foreach(json_object_get(before, "feeds"), i, name)
	{
		const char *feed = json_string_value(name);
		const char *const *still = feeds;

		while (feed && *still && strcmp(*still, feed))
			still++;
		if (feed && !*still && kc_feed_name_is_valid(feed) && !kc_public_name_is_reserved(feed))
			KC_TRY(kc_public_remove(files, feed));
	}
	return NULL;
}

static struct kc_error *write_feeds(const struct kc_public_files *files, const char *const *feeds)
{
	json_t *names = json_array();
	kc_autojson json_t *whole = json_pack("{s:o}", "feeds", names);

	if (!whole)
		return kc_error_no_memory();
	for (; *feeds; feeds++)
		if (json_array_append_new(names, json_string(*feeds)))
			return kc_error_no_memory();
	return kc_public_write_json(files, KC_PUBLIC_FEEDS_NAME, whole, JSON_COMPACT | JSON_SORT_KEYS);
}

/* A host counts its delay by itself, so what it may have lies where all of main does. */
static struct kc_error *link_delays(const struct kc_public_files *files)
{
	static const char *const delays[] = { "12h", "24h", "48h" };
	kc_autofree char *main_dir = kc_path_join(files->dir, MAIN);
	int err = main_dir ? kc_dir_make(main_dir, 0755) : -ENOMEM;

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s/%s", files->dir, MAIN);
	for (size_t i = 0; i < KC_ARRAY_SIZE(delays); i++)
		KC_TRY(make_link(files, delays[i], MAIN));
	return NULL;
}

struct kc_error *kc_public_files_finish(struct kc_ctx *ctx, struct kc_public_files *files, const char *const *feeds)
{
	KC_TRY(remove_other_feeds(ctx, files, feeds));
	KC_TRY(link_delays(files));
	if (files->builds_changed)
		KC_TRY(kc_public_write_json(files, BUILDS_NAME, files->builds, JSON_COMPACT | JSON_SORT_KEYS));
	if (files->kernels_changed || files->builds_changed)
		KC_TRY(kc_public_index_pages(files));
	if (files->kernels_changed)
		KC_TRY(kc_public_write_json(files, KERNELS_NAME, files->kernels, JSON_COMPACT | JSON_SORT_KEYS));
	files->builds_changed = files->kernels_changed = false;
	return write_feeds(files, feeds);
}

bool kc_public_name_is_reserved(const char *name)
{
	static const char *const names[] = { "blobs", "feeds", "index", "oval", KC_PUBLIC_PATCHSETS };
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return is_kernel_id(name) || (suffix && (!strcmp(suffix, ".html") || !strcmp(suffix, ".json") ||
						 !strcmp(suffix, ".der") || !strcmp(suffix, ".new")));
}

struct kc_error *kc_public_feeds_decode(const char *text, size_t size, char ***feeds, size_t *n_feeds)
{
	kc_autojson json_t *whole = size <= FEEDS_SIZE_MAX ? json_loadb(text, size, 0, NULL) : NULL;
	const json_t *names = json_object_get(whole, "feeds"), *name;
	size_t i;

	if (!json_is_array(names) || json_array_size(names) > FEEDS_MAX)
		return kc_error_new(KC_ERR_CORRUPT, "%s is not a list of feeds", KC_PUBLIC_FEEDS_NAME);
	json_array_foreach(names, i, name)
	{
		const char *feed = json_string_value(name);
		char **slot;

		if (!feed || !kc_feed_name_is_valid(feed) || kc_public_name_is_reserved(feed))
			return kc_error_new(KC_ERR_CORRUPT, "%s names what cannot be a feed", KC_PUBLIC_FEEDS_NAME);
		slot = kc_array_add(feeds, n_feeds);
		if (slot)
			*slot = strdup(feed);
		if (!slot || !*slot)
			return kc_error_no_memory();
	}
	return NULL;
}
