/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The upstream, copied: verified with its own root into DATA/upstream, in the second thread. What feeds take from there
 * is a job of the publisher (update.c), also when the copy failed: what came earlier may be due.
 */
#include <errno.h>
#include <fts.h>
#include <search.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/file.h"
#include "fetch/site.h"
#include "portal/feeds/publisher_internal.h"
#include "repo/mirror.h"

/* One copy, and what the mirror is told about: both the site and us. */
struct copying {
	struct kc_publisher *publisher;
	struct kc_mirror_source from;
	struct kc_seen seen;
	void *blobs; /* tsearch(3) tree of names, "0123….kpatch", that its lists name */
};

static void clear(struct copying *copying)
{
	kc_seen_clear(&copying->seen);
	tdestroy(copying->blobs, free);
}

/* ---- the site ---- */

/* Between two files it may be told to end; within one, the fetch is (stop_fd). */
static struct kc_error *check_stop(const struct copying *copying)
{
	return atomic_load(&copying->publisher->is_stopping)
		       ? kc_error_new(KC_ERR_BUSY, "the portal is being stopped; the copy goes on when it runs again")
		       : NULL;
}

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	const struct copying *copying = data;

	KC_TRY(check_stop(copying));
	return copying->from.get(ctx, copying->from.data, path, limit, out);
}

static struct kc_error *get_file(struct kc_ctx *ctx, void *data, const char *path, const char *sha256, uint64_t size,
				 const char *to, const char *what)
{
	const struct copying *copying = data;

	KC_TRY(check_stop(copying));
	return copying->from.get_file(ctx, copying->from.data, path, sha256, size, to, what);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static struct kc_error *note_blob(struct copying *copying, const struct kc_target_entry *entry)
{
	kc_autofree char *blob = kc_blob_path(entry->hash), *name = blob ? strdup(kc_path_name(blob)) : NULL;
	char **found = name ? tsearch(name, &copying->blobs, compare_names) : NULL;

	if (!found)
		return kc_error_no_memory();
	if (*found == name)
		name = NULL;
	return NULL;
}

static struct kc_error *note_list(void *data, const struct kc_target_list *list)
{
	struct copying *copying = data;

	for (size_t i = 0; i < list->n_entries; i++)
		KC_TRY(note_blob(copying, &list->entries[i]));
	return kc_seen_note(&copying->seen, list);
}

/* ---- the copy ---- */

/* Patch files that the upstream shows no more: what our feeds have of them is in our own store. */
static struct kc_error *drop_others(struct copying *copying)
{
	kc_autofree char *folder = kc_path_join(copying->publisher->mirror, "public/blobs");
	char *const paths[] = { folder, NULL };
	FTSENT *entry;
	FTS *tree;

	if (!folder)
		return kc_error_no_memory();
	tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	if (!tree)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", folder);
	while ((entry = fts_read(tree)))
		if ((entry->fts_info == FTS_F || entry->fts_info == FTS_NSOK) &&
		    !tfind(entry->fts_name, &copying->blobs, compare_names))
			unlink(entry->fts_path);
	fts_close(tree);
	return NULL;
}

/*
 * Who asks us has one question: does the upstream work? What is wrong with its files or its connection is one of two
 * answers; only what is wrong with its signatures keeps its name. Takes `err`.
 */
static struct kc_error *of_upstream(struct kc_error *err)
{
	enum kc_error_code code = kc_error_code(err);
	struct kc_error *named;

	switch (code) {
	case KC_ERR_STALLED:
		code = KC_ERR_NETWORK;
		break;
	case KC_ERR_NOT_FOUND:
	case KC_ERR_INPUT:
	case KC_ERR_VERSION:
	case KC_ERR_TRUNCATED:
	case KC_ERR_CORRUPT:
	case KC_ERR_LIMIT:
	case KC_ERR_REDIRECT:
		code = KC_ERR_SERVER;
		break;
	default:
		break;
	}
	named = kc_error_new(code, "the upstream: %s", kc_error_message(err));
	kc_error_free(err);
	return named;
}

static struct kc_error *mirror(struct copying *copying)
{
	struct kc_publisher *publisher = copying->publisher;
	const struct kc_mirror_source source = { copying, get, get_file, note_list };
	struct kc_mirrored mirrored;
	struct kc_error *err;

	err = kc_mirror_update(publisher->ctx, publisher->mirror, &source,
			       *publisher->upstream_root ? publisher->upstream_root : NULL, time(NULL), &mirrored);
	/* whatever a stop did to it */
	if (err && atomic_load(&publisher->is_stopping)) {
		kc_error_free(err);
		return check_stop(copying);
	}
	if (err)
		return of_upstream(err);
	KC_TRY(kc_seen_write(&copying->seen, publisher->seen));
	return drop_others(copying);
}

static struct kc_error *mirror_site(struct copying *copying)
{
	const struct kc_publisher *publisher = copying->publisher;
	const struct kc_fetch_options options = {
		.http_proxy = *publisher->proxy ? publisher->proxy : NULL,
		.https_proxy = *publisher->proxy ? publisher->proxy : NULL,
		.stop_fd = publisher->stop_fd,
	};
	kc_autofetch struct kc_fetch *fetch = NULL;
	struct kc_fetch_site site;

	KC_TRY(kc_fetch_new(publisher->ctx, &options, &fetch));
	site = (struct kc_fetch_site){ fetch, publisher->upstream };
	copying->from = (struct kc_mirror_source){ &site, kc_fetch_site_get, kc_fetch_site_file, NULL };
	return mirror(copying);
}

struct kc_error *kc_upstream_copy(struct kc_publisher *publisher)
{
	KC_CLEANUP(clear) struct copying copying = { .publisher = publisher };

	if (!*publisher->upstream)
		return kc_error_new(KC_ERR_CONFIG,
				    "there is no upstream: UPSTREAM and UPSTREAM_ROOT of %s/config name one",
				    publisher->dir);
	if (!publisher->lent_source)
		return mirror_site(&copying);
	copying.from = *publisher->lent_source;
	return mirror(&copying);
}

/* ---- stopping ---- */

struct kc_error *kc_upstream_open(struct kc_publisher *publisher)
{
	publisher->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (publisher->stop_fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "eventfd");
	return NULL;
}

void kc_upstream_stop(struct kc_publisher *publisher)
{
	const uint64_t one = 1;

	atomic_store(&publisher->is_stopping, true);
	/* it only fails when it is readable already */
	if (publisher->stop_fd > 0 && write(publisher->stop_fd, &one, sizeof(one)) < 0)
		return;
}
