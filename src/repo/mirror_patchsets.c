/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The authors' lists of what the feeds show, for repositories that follow the mirror. The repository did not sign them,
 * and a mirror knows no authors: it only looks whether a list names what the feeds show under its name. Hosts need none
 * of it, so what is wrong or missing here is a warning, and older repositories have none.
 */
#include "repo/mirror_internal.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "patchset/patchset.h"

void kc_mirror_patchsets_clear(struct kc_mirror *mirror)
{
	for (size_t i = 0; i < mirror->n_patchsets; i++) {
		free(mirror->patchsets[i].name);
		free(mirror->patchsets[i].hashes);
	}
	free(mirror->patchsets);
}

/* Most entries in a row are of few patchsets, the newest at the end. */
static struct kc_mirror_patchset *find(const struct kc_mirror *mirror, const char *name)
{
	for (size_t i = mirror->n_patchsets; i-- > 0;)
		if (!strcmp(mirror->patchsets[i].name, name))
			return &mirror->patchsets[i];
	return NULL;
}

struct kc_error *kc_mirror_patchset_note(struct kc_mirror *mirror, const struct kc_target_entry *entry, bool is_new)
{
	struct kc_mirror_patchset *patchset = find(mirror, entry->patchset);
	char(*hash)[KC_SHA256_TEXT_SIZE];

	if (!patchset) {
		patchset = kc_array_add(&mirror->patchsets, &mirror->n_patchsets);
		if (!patchset)
			return kc_error_no_memory();
		patchset->name = strdup(entry->patchset);
		if (!patchset->name) {
			mirror->n_patchsets--;
			return kc_error_no_memory();
		}
	}
	patchset->is_new = patchset->is_new || is_new;
	hash = kc_array_add(&patchset->hashes, &patchset->n_hashes);
	if (!hash)
		return kc_error_no_memory();
	memcpy(*hash, entry->hash, sizeof(*hash));
	return NULL;
}

static int compare_hashes(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Does the list name all that the feeds show? */
static struct kc_error *check_list(const struct kc_mirror_patchset *patchset, const struct kc_buf *text)
{
	kc_autofree char(*hashes)[KC_SHA256_TEXT_SIZE] = NULL;
	kc_autopatchset struct kc_patchset *list = NULL;

	KC_TRY(kc_patchset_peek(patchset->name, text->data, text->size, &list));
	if (strcmp(list->name, patchset->name))
		return kc_error_new(KC_ERR_MIXED, "the list of %s is that of %s", patchset->name, list->name);
	hashes = calloc(list->n_files, sizeof(*hashes));
	if (!hashes)
		return kc_error_no_memory();
	for (size_t i = 0; i < list->n_files; i++)
		memcpy(hashes[i], list->files[i].hash, sizeof(*hashes));
	qsort(hashes, list->n_files, sizeof(*hashes), compare_hashes);
	for (size_t i = 0; i < patchset->n_hashes; i++)
		if (!bsearch(patchset->hashes[i], hashes, list->n_files, sizeof(*hashes), compare_hashes))
			return kc_error_new(KC_ERR_MIXED, "the list of %s does not name %.16s…, which the feeds show",
					    patchset->name, patchset->hashes[i]);
	return NULL;
}

static bool has_good_list(const struct kc_mirror *mirror, const struct kc_mirror_patchset *patchset, const char *name)
{
	kc_autofree char *path = kc_mirror_path(mirror, "public/%s", name);
	kc_autoerror struct kc_error *problem = NULL;
	kc_autobuf struct kc_buf text = { 0 };

	if (!path || kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &text) || !text.size)
		return false;
	problem = patchset->is_new ? check_list(patchset, &text) : NULL;
	return !problem;
}

static struct kc_error *fetch_list(struct kc_mirror *mirror, const struct kc_mirror_patchset *patchset)
{
	kc_autofree char *name = NULL, *shown = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;

	if (asprintf(&name, KC_PUBLIC_PATCHSETS "/%s.json", patchset->name) < 0 ||
	    asprintf(&shown, "public/%s", name) < 0) {
		shown = NULL;
		return kc_error_no_memory();
	}
	if (has_good_list(mirror, patchset, name))
		return NULL;
	err = mirror->source->get(mirror->ctx, mirror->source->data, name, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		kc_debug(mirror->ctx, "the upstream has no %s", name);
		return NULL;
	}
	if (err)
		return err;
	err = check_list(patchset, &text);
	if (!err)
		return kc_mirror_write(mirror, shown, text.data, text.size);
	if (kc_error_code(err) == KC_ERR_NO_MEMORY)
		return err;
	kc_warning(mirror->ctx, "%s is not taken: %s", name, kc_error_message(err));
	kc_error_free(err);
	return NULL;
}

/* Lists of what no feed shows any more. */
static struct kc_error *drop_others(struct kc_mirror *mirror)
{
	kc_autofree char *folder = kc_mirror_path(mirror, "public/" KC_PUBLIC_PATCHSETS);
	kc_autoclosedir DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;

	if (!folder)
		return kc_error_no_memory();
	while (dir && (entry = readdir(dir))) {
		const char *suffix = strrchr(entry->d_name, '.');
		kc_autofree char *name = strndup(entry->d_name, suffix ? (size_t)(suffix - entry->d_name) : 0);
		kc_autofree char *path = kc_path_join(folder, entry->d_name);

		if (!name || !path)
			return kc_error_no_memory();
		if (suffix && !strcmp(suffix, ".json") && !find(mirror, name) && unlink(path) && errno != ENOENT)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	}
	return NULL;
}

struct kc_error *kc_mirror_patchsets_fetch(struct kc_mirror *mirror)
{
	for (size_t i = 0; i < mirror->n_patchsets; i++)
		KC_TRY(fetch_list(mirror, &mirror->patchsets[i]));
	return drop_others(mirror);
}
