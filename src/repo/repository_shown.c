/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * public/patchsets: what a feed shows, hosts know by its target lists; another repository that follows this one needs
 * the whole patchset with its author's signature, which is here. Shown before the feed is, and no longer than any feed.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

static bool is_shown(const struct kc_repository *repository, const char *patchset)
{
	for (size_t i = 0; i < repository->n_feeds; i++) {
		const struct kc_feed_patchset *known = kc_feed_patchset_find(&repository->feeds[i], patchset);

		if (known && known->state != KC_PATCHSET_DISABLED)
			return true;
	}
	return false;
}

/* Anything that is not such a list goes, too. */
static struct kc_error *drop_unless_shown(void *data, const char *file)
{
	const struct kc_repository *repository = data;
	const char *suffix = strrchr(file, '.');
	kc_autofree char *patchset = strndup(file, suffix ? (size_t)(suffix - file) : 0), *name = NULL;

	if (!patchset)
		return kc_error_no_memory();
	if (suffix && !strcmp(suffix, ".json") && is_shown(repository, patchset))
		return NULL;
	if (asprintf(&name, "public/" KC_PUBLIC_PATCHSETS "/%s", file) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_repository_unlink(repository, name);
}

/* It stays as it is while it has the same size and is not older: one name means one list. */
static bool is_there(const char *stored, const char *shown)
{
	struct stat from, to;

	return !stat(stored, &from) && !stat(shown, &to) && from.st_size == to.st_size &&
	       (from.st_mtim.tv_sec < to.st_mtim.tv_sec ||
		(from.st_mtim.tv_sec == to.st_mtim.tv_sec && from.st_mtim.tv_nsec <= to.st_mtim.tv_nsec));
}

/* A list that is lost does not keep the feed from being published: hosts do not need it. */
static struct kc_error *show(const struct kc_repository *repository, const char *patchset)
{
	kc_autofree char *stored = kc_repository_path(repository, "private/patchsets/%s.json", patchset);
	kc_autofree char *shown = kc_repository_path(repository, "public/" KC_PUBLIC_PATCHSETS "/%s.json", patchset);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!stored || !shown)
		return kc_error_no_memory();
	if (is_there(stored, shown))
		return NULL;
	err = kc_file_read(stored, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL;
	if (!err)
		err = kc_file_replace(shown, text.data, text.size, 0644);
	return err ? kc_repository_write_error(err, shown) : NULL;
}

struct kc_error *kc_repository_show_patchsets(const struct kc_repository *repository)
{
	kc_autofree char *folder = kc_repository_path(repository, "public/" KC_PUBLIC_PATCHSETS);
	int err = folder ? kc_dir_make(folder, 0755) : -ENOMEM;

	if (err)
		return kc_repository_write_error(err, folder ? folder : "public");
	for (size_t i = 0; i < repository->n_feeds; i++) {
		const struct kc_feed_info *feed = &repository->feeds[i];

		for (size_t k = 0; k < feed->n_patchsets; k++)
			if (feed->patchsets[k].state != KC_PATCHSET_DISABLED)
				KC_TRY(show(repository, feed->patchsets[k].name));
	}
	return kc_repository_each(repository, "public/" KC_PUBLIC_PATCHSETS, drop_unless_shown,
				  (void *)(uintptr_t)repository);
}
