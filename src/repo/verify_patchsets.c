/* SPDX-License-Identifier: GPL-2.0-or-later */
/* public/patchsets against what the feeds show. A list that is missing is no problem: hosts do not look at them. */
#include "repo/verify_internal.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "base/file.h"
#include "patchset/patchset.h"
#include "repo/public_files.h"

/* A list that was looked for, by the name of its patchset. */
struct known {
	char *name;
	struct kc_patchset *list;		 /* NULL: none, or a bad one */
	const struct kc_patchset_file **by_hash; /* in order */
};

static void free_known(void *data)
{
	struct known *known = data;

	kc_patchset_free(known->list);
	free(known->by_hash);
	free(known->name);
	free(known);
}

void kc_verify_patchsets_free(struct kc_verify *verify)
{
	tdestroy(verify->patchsets, free_known);
	verify->patchsets = NULL;
}

static int compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static int compare_files(const void *a, const void *b)
{
	return strcmp((*(const struct kc_patchset_file *const *)a)->hash,
		      (*(const struct kc_patchset_file *const *)b)->hash);
}

static struct kc_error *decode_list(struct kc_verify *verify, const char *path, const struct kc_buf *text,
				    struct known *known)
{
	kc_autopatchset struct kc_patchset *list = NULL;

	if (verify->options->authors)
		KC_TRY(kc_patchset_decode(path, text->data, text->size, verify->options->authors, &list));
	else
		KC_TRY(kc_patchset_peek(path, text->data, text->size, &list));
	if (strcmp(list->name, known->name))
		return kc_error_new(KC_ERR_CORRUPT, "%s is the list of %s", path, list->name);
	known->by_hash = calloc(list->n_files, sizeof(*known->by_hash));
	if (!known->by_hash)
		return kc_error_no_memory();
	for (size_t i = 0; i < list->n_files; i++)
		known->by_hash[i] = &list->files[i];
	qsort(known->by_hash, list->n_files, sizeof(*known->by_hash), compare_files);
	known->list = kc_steal(list);
	return NULL;
}

static struct kc_error *read_list(struct kc_verify *verify, struct known *known)
{
	kc_autofree char *name = NULL, *path = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (asprintf(&name, KC_PUBLIC_PATCHSETS "/%s.json", known->name) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	path = kc_path_join(verify->dir, name);
	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_verify_mark(verify, name));
	err = kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	return decode_list(verify, path, &text, known);
}

/* What is wrong with the list itself is reported once. */
static struct kc_error *get_known(struct kc_verify *verify, const char *name, struct known **known)
{
	struct known *fresh = calloc(1, sizeof(*fresh)), **found;

	if (!fresh || !(fresh->name = strdup(name))) {
		free(fresh);
		return kc_error_no_memory();
	}
	found = tsearch(fresh, &verify->patchsets, compare_known);
	if (!found || *found != fresh)
		free_known(fresh);
	if (!found)
		return kc_error_no_memory();
	*known = *found;
	return *found == fresh ? kc_verify_report(verify, read_list(verify, fresh), NULL) : NULL;
}

struct kc_error *kc_verify_listed(struct kc_verify *verify, const char *target, const struct kc_target_entry *entry)
{
	struct kc_patchset_file wanted = { 0 };
	const struct kc_patchset_file *key = &wanted, **found;
	struct known *known = NULL;

	KC_TRY(get_known(verify, entry->patchset, &known));
	if (!known->list)
		return NULL;
	memcpy(wanted.hash, entry->hash, sizeof(wanted.hash));
	found = bsearch(&key, known->by_hash, known->list->n_files, sizeof(*known->by_hash), compare_files);
	if (!found || strcmp((*found)->target, target) || strcmp((*found)->type, entry->type) ||
	    (*found)->level != entry->level || known->list->released != entry->released)
		return kc_error_new(KC_ERR_MIXED,
				    "the list of %s, " KC_PUBLIC_PATCHSETS "/%s.json, does not have it so",
				    entry->patchset, entry->patchset);
	return NULL;
}
