/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of patchsets, and which ones are here. */
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/feeds/publisher_internal.h"

char kc_patchset_product(const char *name)
{
	static const char qemu[] = "-qemu";
	size_t size = strlen(name);

	if (*name == 'U' && size >= sizeof(qemu) && !strcmp(name + size - strlen(qemu), qemu))
		return 'Q';
	return *name;
}

bool kc_names_have(const struct kc_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->names[i], name))
			return true;
	return false;
}

struct kc_error *kc_names_add(struct kc_names *names, const char *name)
{
	char **added;

	if (kc_names_have(names, name))
		return NULL;
	added = kc_array_add(&names->names, &names->n);
	if (!added)
		return kc_error_no_memory();
	*added = strdup(name);
	if (*added)
		return NULL;
	names->n--;
	return kc_error_no_memory();
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void kc_names_sort(struct kc_names *names)
{
	if (names->n)
		qsort(names->names, names->n, sizeof(*names->names), compare);
}

void kc_names_clear(struct kc_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct kc_names){ 0 };
}

static struct kc_error *add_feeds(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_names *names)
{
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; !err && i < n_feeds; i++)
		for (size_t k = 0; !err && k < feeds[i].n_patchsets; k++)
			err = kc_names_add(names, feeds[i].patchsets[k].name);
	kc_feed_infos_free(feeds, n_feeds);
	return err;
}

static struct kc_error *add_archives(const struct kc_publisher *publisher, struct kc_names *names)
{
	static const char suffix[] = ".json";
	kc_autofree char *path = kc_path_join(publisher->archives, "patchsets");
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	if (!path)
		return kc_error_no_memory();
	while (dir && (entry = readdir(dir))) {
		char *end = strstr(entry->d_name, suffix);

		if (!end || end[strlen(suffix)])
			continue;
		*end = '\0';
		KC_TRY(kc_names_add(names, entry->d_name));
	}
	return NULL;
}

struct kc_error *kc_patchsets_here(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   struct kc_names *names)
{
	KC_TRY(add_feeds(ctx, repository, names));
	KC_TRY(add_archives(publisher, names));
	kc_names_sort(names);
	return NULL;
}
