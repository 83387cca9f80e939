/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/overlay.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

struct kc_overlay {
	char *dir;
};

struct kc_error *kc_overlay_new(const char *dir, struct kc_overlay **overlay)
{
	kc_autooverlay struct kc_overlay *new = calloc(1, sizeof(*new));
	int err;

	if (new)
		new->dir = strdup(dir);
	if (!new || !new->dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0700);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s", dir);
	*overlay = kc_steal(new);
	return NULL;
}

void kc_overlay_free(struct kc_overlay *overlay)
{
	if (!overlay)
		return;
	free(overlay->dir);
	free(overlay);
}

const char *kc_overlay_dir(const struct kc_overlay *overlay)
{
	return overlay->dir;
}

static char *overlay_path(const struct kc_overlay *overlay, const char *path)
{
	char *joined;

	return asprintf(&joined, "%s%s", overlay->dir, path) < 0 ? NULL : joined;
}

/* A folder that cannot be read stays empty: nothing in it could be included either. */
static struct kc_error *link_entries(const char *from, const char *to)
{
	kc_autoclosedir DIR *dir = opendir(from);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		kc_autofree char *target = NULL, *name = NULL;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		target = kc_path_join(strcmp(from, "/") ? from : "", entry->d_name);
		name = kc_path_join(to, entry->d_name);
		if (!target || !name)
			return kc_error_no_memory();
		if (symlink(target, name) < 0 && errno != EEXIST)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot link %s", name);
	}
	return NULL;
}

/* `path` names one folder whose parent is real already. */
static struct kc_error *make_real(struct kc_overlay *overlay, const char *path)
{
	kc_autofree char *real = overlay_path(overlay, path);
	struct stat st;

	if (!real)
		return kc_error_no_memory();
	if (!lstat(real, &st)) {
		if (S_ISDIR(st.st_mode))
			return NULL;
		unlink(real);
	}
	if (mkdir(real, 0700) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make %s", real);
	return link_entries(path, real);
}

struct kc_error *kc_overlay_add_dir(struct kc_overlay *overlay, const char *path)
{
	kc_autofree char *part = strdup(path);

	if (!part)
		return kc_error_no_memory();
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		KC_TRY(make_real(overlay, part));
		*slash = '/';
	}
	return make_real(overlay, part);
}

struct kc_error *kc_overlay_replace(struct kc_overlay *overlay, const char *path, const char *text, size_t size)
{
	kc_autofree char *real = overlay_path(overlay, path),
			 *dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	int err;

	if (!real || !dir)
		return kc_error_no_memory();
	KC_TRY(kc_overlay_add_dir(overlay, dir));
	err = kc_file_write_atomic(real, text, size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", real) : NULL;
}
