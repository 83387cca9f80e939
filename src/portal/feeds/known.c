/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patchsets that this portal knows: what the database says of their arrival, and whether that is still so. A run that
 * was killed, or kcare-repo behind our back, may have changed what is here.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/db/arrivals.h"
#include "portal/feeds/publisher_internal.h"

#define UPLOAD "upload"

/* ---- the database ---- */

void kc_known_clear(struct kc_known *known)
{
	for (size_t i = 0; i < known->n; i++)
		free(known->patchsets[i].source);
	free(known->patchsets);
	*known = (struct kc_known){ 0 };
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct kc_known_patchset *)a)->name, ((const struct kc_known_patchset *)b)->name);
}

static struct kc_error *add(void *data, const struct kc_arrival *arrival)
{
	struct kc_known *known = data;
	struct kc_known_patchset *patchset = kc_array_add(&known->patchsets, &known->n);

	if (!patchset)
		return kc_error_no_memory();
	snprintf(patchset->name, sizeof(patchset->name), "%s", arrival->patchset);
	patchset->channel = kc_channel_find(arrival->channel);
	patchset->arrived = arrival->arrived;
	patchset->is_here = arrival->is_here;
	patchset->is_upload = !strcmp(arrival->source, UPLOAD);
	patchset->source = strdup(arrival->source);
	return patchset->source ? NULL : kc_error_no_memory();
}

static struct kc_error *read_all(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_each(conn, add, data);
}

struct kc_error *kc_known_load(struct kc_publisher *publisher, struct kc_known *known)
{
	kc_known_clear(known);
	KC_TRY(kc_db_read(publisher->db, read_all, known));
	if (known->n)
		qsort(known->patchsets, known->n, sizeof(*known->patchsets), compare);
	return NULL;
}

const struct kc_known_patchset *kc_known_find(const struct kc_known *known, const char *patchset)
{
	struct kc_known_patchset wanted = { 0 };

	snprintf(wanted.name, sizeof(wanted.name), "%s", patchset);
	return known->n ? bsearch(&wanted, known->patchsets, known->n, sizeof(wanted), compare) : NULL;
}

static struct kc_error *put(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_put(conn, data);
}

struct kc_error *kc_known_record(struct kc_publisher *publisher, const struct kc_patchset *patchset, const char *source,
				 unsigned channel, int64_t arrived, bool is_here)
{
	struct kc_arrival arrival = {
		.patchset = patchset->name,
		.channel = (char *)kc_channel_name(channel),
		.distro = patchset->distro,
		.source = (char *)(source ? source : UPLOAD),
		.released = patchset->released,
		.arrived = arrived ? arrived : time(NULL),
		.is_here = is_here,
	};

	return kc_db_write_wait(publisher->db, put, &arrival);
}

/* Only what changes: the rest of an arrival stays as it was. */
static struct kc_error *set_here(struct kc_publisher *publisher, const struct kc_known_patchset *known, bool is_here)
{
	const struct kc_patchset patchset = { .name = (char *)known->name, .distro = (char *)"" };

	return kc_known_record(publisher, &patchset, known->source, known->channel, known->arrived, is_here);
}

/* ---- what is here ---- */

/* NAME of each "NAME.json" in `folder`. A missing folder has none. */
static struct kc_error *add_lists(const char *folder, struct kc_names *names)
{
	static const char suffix[] = ".json";
	kc_autoclosedir DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t size = strlen(entry->d_name);

		if (size < sizeof(suffix) || strcmp(entry->d_name + size - strlen(suffix), suffix))
			continue;
		entry->d_name[size - strlen(suffix)] = '\0';
		if (kc_patchset_name_is_valid(entry->d_name))
			KC_TRY(kc_names_add(names, entry->d_name));
	}
	return NULL;
}

/* The list of a patchset that is here, for what it says about itself: its files were verified when they came. */
static struct kc_error *read_list(const char *folder, const char *name, struct kc_patchset **patchset)
{
	kc_autofree char *path = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (asprintf(&path, "%s/%s.json", folder, name) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	err = kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err)
		return kc_error_errno(err == -ENOENT ? KC_ERR_NOT_FOUND : KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return kc_patchset_peek(path, text.data, text.size, patchset);
}

/* It came by another way: when it came here is when a feed got it first. */
static int64_t first_deployed(const struct kc_feed_info *feeds, size_t n_feeds, const char *patchset)
{
	int64_t first = 0;

	for (size_t i = 0; i < n_feeds; i++) {
		const struct kc_feed_patchset *found = kc_feed_patchset_find(&feeds[i], patchset);

		if (found && (!first || found->deployed < first))
			first = found->deployed;
	}
	return first;
}

static struct kc_error *record_missing(struct kc_publisher *publisher, const char *folder, const struct kc_names *names,
				       const struct kc_known *known, const struct kc_feed_info *feeds, size_t n_feeds)
{
	for (size_t i = 0; i < names->n; i++) {
		kc_autopatchset struct kc_patchset *patchset = NULL;
		struct kc_error *err;

		if (kc_known_find(known, names->names[i]))
			continue;
		err = read_list(folder, names->names[i], &patchset);
		if (err && kc_error_code(err) != KC_ERR_NO_MEMORY) {
			kc_warning(publisher->ctx, "%s", kc_error_message(err));
			kc_error_free(err);
			continue;
		}
		KC_TRY(err);
		KC_TRY(kc_known_record(publisher, patchset, NULL, KC_CHANNEL_DEFAULT,
				       first_deployed(feeds, n_feeds, patchset->name), true));
	}
	return NULL;
}

static struct kc_error *settle(struct kc_publisher *publisher, const struct kc_seen *seen,
			       const struct kc_feed_info *feeds, size_t n_feeds, struct kc_known *known)
{
	kc_autofree char *store = kc_path_join(publisher->repository, "private/patchsets");
	kc_autofree char *kept = kc_path_join(publisher->archives, KC_PUBLIC_PATCHSETS);
	KC_CLEANUP_NAMES struct kc_names in_store = { 0 }, in_archives = { 0 };

	if (!store || !kept)
		return kc_error_no_memory();
	KC_TRY(add_lists(store, &in_store));
	KC_TRY(add_lists(kept, &in_archives));
	for (size_t i = 0; i < known->n; i++) {
		const struct kc_known_patchset *one = &known->patchsets[i];
		bool is_here = kc_names_have(&in_store, one->name) || kc_names_have(&in_archives, one->name) ||
			       (one->is_here && !one->is_upload && kc_seen_find(seen, one->name));

		if (one->is_here != is_here)
			KC_TRY(set_here(publisher, one, is_here));
	}
	KC_TRY(record_missing(publisher, store, &in_store, known, feeds, n_feeds));
	return record_missing(publisher, kept, &in_archives, known, feeds, n_feeds);
}

struct kc_error *kc_known_settle(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 const struct kc_seen *seen, struct kc_known *known)
{
	struct kc_feed_info *feeds;
	struct kc_error *err;
	size_t n_feeds;

	KC_TRY(kc_known_load(publisher, known));
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	err = settle(publisher, seen, feeds, n_feeds, known);
	kc_feed_infos_free(feeds, n_feeds);
	KC_TRY(err);
	return kc_known_load(publisher, known);
}
