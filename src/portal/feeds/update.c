/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The upstream: a run copies it, verified with its own root, into DATA/upstream (in the thread that may take hours),
 * and then takes from there what feeds want (a job of the publisher). Authors' signatures are checked again as it is
 * taken.
 */
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "fetch/site.h"
#include "portal/db/arrivals.h"
#include "portal/feeds/publisher_internal.h"
#include "repo/mirror.h"

enum { HOUR_S = 3600 };

/* A patchset that the upstream shows. */
struct seen {
	char name[KC_PUBLISHER_NAME_SIZE];
	unsigned channel; /* the most stable one: an index of `channels` */
	bool is_blocked;  /* there */
};

/* The upstream's feeds, the most stable one first; a feed of ours has what is as stable as its channel, or more. */
static const struct {
	const char *feed, *channel;
} channels[] = { { "main", "default" }, { "test", "test" }, { "unstable", "unstable" } };

struct copy {
	struct kc_worker_item item;
	struct kc_publisher *publisher;
	char *feed; /* NULL: those with auto_update */
	char product;
	bool only_download;
	kc_publisher_updated_fn *done; /* NULL: nobody waits */
	void *data;
	struct seen *seen;
	size_t n_seen;
	size_t n_changed;
	int64_t now;
};

static void end_copy(struct copy *copy, struct kc_error *err)
{
	if (copy->done)
		copy->done(copy->data, copy->n_changed, err);
	else if (err)
		kc_warning(copy->publisher->ctx, "automatic update from the upstream: %s", kc_error_message(err));
	if (!copy->done)
		kc_error_free(err);
	free(copy->feed);
	free(copy->seen);
	free(copy);
}

/* ---- copying ---- */

static struct kc_error *note(struct copy *copy, const struct kc_target_entry *entry, unsigned channel)
{
	struct seen *seen;
	size_t i = copy->n_seen;

	/* entries in a row are of few patchsets */
	while (i && strcmp(copy->seen[i - 1].name, entry->patchset))
		i--;
	if (i) {
		seen = &copy->seen[i - 1];
		if (channel < seen->channel)
			seen->channel = channel;
	} else {
		seen = kc_array_add(&copy->seen, &copy->n_seen);
		if (!seen)
			return kc_error_no_memory();
		snprintf(seen->name, sizeof(seen->name), "%s", entry->patchset);
		seen->channel = channel;
	}
	seen->is_blocked |= entry->blocked;
	return NULL;
}

static struct kc_error *note_list(void *data, const struct kc_target_list *list)
{
	for (unsigned channel = 0; channel < KC_ARRAY_SIZE(channels); channel++)
		for (size_t i = 0; !strcmp(list->feed, channels[channel].feed) && i < list->n_entries; i++)
			KC_TRY(note(data, &list->entries[i], channel));
	return NULL;
}

/* The mirror tells its lists to one who knows both the site and the copy. */
struct source {
	struct kc_fetch_site site;
	struct copy *copy;
};

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	return kc_fetch_site_get(ctx, &((struct source *)data)->site, path, limit, out);
}

static struct kc_error *get_file(struct kc_ctx *ctx, void *data, const char *path, const char *sha256, uint64_t size,
				 const char *to, const char *what)
{
	return kc_fetch_site_file(ctx, &((struct source *)data)->site, path, sha256, size, to, what);
}

static struct kc_error *list(void *data, const struct kc_target_list *list)
{
	return note_list(((struct source *)data)->copy, list);
}

static struct kc_error *mirror(struct copy *copy)
{
	const struct kc_publisher *publisher = copy->publisher;
	const struct kc_fetch_options options = {
		.http_proxy = *publisher->proxy ? publisher->proxy : NULL,
		.https_proxy = *publisher->proxy ? publisher->proxy : NULL,
	};
	kc_autofetch struct kc_fetch *fetch = NULL;
	struct kc_mirrored mirrored;
	struct kc_mirror_source from = { NULL, get, get_file, list };
	struct source source = { .copy = copy };

	if (!*publisher->upstream)
		return kc_error_new(KC_ERR_CONFIG,
				    "there is no upstream: UPSTREAM and UPSTREAM_ROOT of %s/config name one",
				    publisher->dir);
	KC_TRY(kc_fetch_new(publisher->ctx, &options, &fetch));
	source.site = (struct kc_fetch_site){ fetch, publisher->upstream };
	from.data = &source;
	return kc_mirror_update(publisher->ctx, publisher->mirror, &from,
				*publisher->upstream_root ? publisher->upstream_root : NULL, copy->now, &mirrored);
}

/* ---- arrivals ---- */

static struct kc_error *record(struct copy *copy, const char *public, const struct seen *seen)
{
	struct kc_publisher *publisher = copy->publisher;
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	int err;

	if (asprintf(&path, "%s/patchsets/%s.json", public, seen->name) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	err = kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err) {
		kc_warning(publisher->ctx, "the upstream does not show the author's list of %s: it cannot be taken",
			   seen->name);
		return NULL;
	}
	KC_TRY(kc_patchset_peek(seen->name, text.data, text.size, &patchset));
	return kc_arrival_record(publisher, seen->name, channels[seen->channel].channel, patchset->distro,
				 patchset->released, true);
}

struct arrivals {
	struct arrived {
		char name[KC_PUBLISHER_NAME_SIZE];
		int64_t at;
	} * list;
	size_t n;
};

static struct kc_error *add_arrival(void *data, const struct kc_arrival *arrival)
{
	struct arrivals *arrivals = data;
	struct arrived *added = kc_array_add(&arrivals->list, &arrivals->n);

	if (!added)
		return kc_error_no_memory();
	snprintf(added->name, sizeof(added->name), "%s", arrival->patchset);
	added->at = arrival->arrived;
	return NULL;
}

static struct kc_error *read_arrivals(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_each(conn, add_arrival, data);
}

static int64_t arrived_at(const struct arrivals *arrivals, const char *patchset, int64_t now)
{
	for (size_t i = 0; i < arrivals->n; i++)
		if (!strcmp(arrivals->list[i].name, patchset))
			return arrivals->list[i].at;
	return now;
}

/* ---- taking ---- */

struct taking {
	struct kc_ctx *ctx;
	struct kc_repository *repository;
	struct copy *copy;
	const char *public; /* DATA/upstream/public */
	struct arrivals arrivals;
	const struct kc_feed_info *feeds;
	size_t n_feeds;
	struct kc_error *first; /* of the patchsets that could not be taken: the others are */
};

static const struct kc_feed_patchset *find_patchset(const struct kc_feed_info *feed, const char *name)
{
	for (size_t i = 0; i < feed->n_patchsets; i++)
		if (!strcmp(feed->patchsets[i].name, name))
			return &feed->patchsets[i];
	return NULL;
}

static bool was_undeployed(const struct kc_feed_info *feed, const char *name)
{
	for (size_t i = 0; i < feed->n_undeployed; i++)
		if (!strcmp(feed->undeployed[i], name))
			return true;
	return false;
}

static bool has_channel(const struct kc_feed_info *feed, unsigned channel)
{
	for (unsigned i = 0; i < KC_ARRAY_SIZE(channels); i++)
		if (!strcmp(feed->channel, channels[i].channel))
			return channel <= i;
	return channel == 0;
}

/* The others go on; what went wrong first is what the whole run says. */
static void keep_error(struct taking *taking, const char *patchset, struct kc_error *err)
{
	if (!err) {
		taking->copy->n_changed++;
		return;
	}
	if (kc_error_code(err) == KC_ERR_NOTHING || taking->first) {
		kc_error_free(err);
		return;
	}
	taking->first = kc_error_prefix(err, "%s", patchset);
}

static bool is_due(const struct taking *taking, const struct kc_feed_info *feed, const char *patchset)
{
	return arrived_at(&taking->arrivals, patchset, taking->copy->now) + (int64_t)feed->deploy_after_h * HOUR_S <=
	       taking->copy->now;
}

static bool is_of_product(const struct taking *taking, const char *patchset)
{
	return !taking->copy->product || kc_patchset_product(patchset) == taking->copy->product;
}

static void take_seen(struct taking *taking, const struct kc_feed_info *feed, const struct seen *seen)
{
	const struct kc_feed_patchset *known = find_patchset(feed, seen->name);
	struct kc_repository_change change;

	if (!is_of_product(taking, seen->name) || !has_channel(feed, seen->channel))
		return;
	if (seen->is_blocked) {
		/* a bad patchset waits for no delay */
		if (known && known->state == KC_PATCHSET_ENABLED && feed->auto_update)
			keep_error(taking, seen->name,
				   kc_repository_set_state(taking->ctx, taking->repository, seen->name, feed->name,
							   KC_PATCHSET_BLOCKED, 0, &change));
		return;
	}
	if (!known && !was_undeployed(feed, seen->name) && is_due(taking, feed, seen->name))
		keep_error(taking, seen->name,
			   kc_patchset_bring(taking->ctx, taking->repository, taking->public, seen->name, feed->name,
					     KC_PATCHSET_ENABLED));
}

/* What came otherwise, and was found good for another feed. */
static void take_from_feeds(struct taking *taking, const struct kc_feed_info *feed)
{
	for (size_t i = 0; i < taking->n_feeds; i++) {
		for (size_t k = 0; k < taking->feeds[i].n_patchsets; k++) {
			const struct kc_feed_patchset *patchset = &taking->feeds[i].patchsets[k];

			if (patchset->state != KC_PATCHSET_ENABLED || !is_of_product(taking, patchset->name) ||
			    find_patchset(feed, patchset->name) || was_undeployed(feed, patchset->name) ||
			    !is_due(taking, feed, patchset->name))
				continue;
			keep_error(taking, patchset->name,
				   kc_patchset_bring(taking->ctx, taking->repository, taking->public, patchset->name,
						     feed->name, KC_PATCHSET_ENABLED));
		}
	}
}

static int compare_seen(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->name, ((const struct seen *)b)->name);
}

static struct kc_error *take_all(struct taking *taking)
{
	struct copy *copy = taking->copy;
	bool was_found = !copy->feed;

	if (copy->n_seen)
		qsort(copy->seen, copy->n_seen, sizeof(*copy->seen), compare_seen);
	for (size_t i = 0; i < copy->n_seen; i++)
		KC_TRY(record(copy, taking->public, &copy->seen[i]));
	KC_TRY(kc_db_read(copy->publisher->db, read_arrivals, &taking->arrivals));
	for (size_t f = 0; !copy->only_download && f < taking->n_feeds; f++) {
		const struct kc_feed_info *feed = &taking->feeds[f];

		if (copy->feed ? strcmp(feed->name, copy->feed) != 0 : !feed->auto_update)
			continue;
		was_found = true;
		for (size_t i = 0; i < copy->n_seen; i++)
			take_seen(taking, feed, &copy->seen[i]);
		if (feed->auto_update)
			take_from_feeds(taking, feed);
	}
	if (!was_found)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%s'", copy->feed);
	return kc_steal(taking->first);
}

static struct kc_error *take(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			     void *data)
{
	kc_autofree char *public = kc_path_join(publisher->mirror, "public");
	struct taking taking = { .ctx = ctx, .repository = repository, .copy = data, .public = public };
	struct kc_feed_info *feeds;
	struct kc_error *err;

	if (!public)
		return kc_error_no_memory();
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &taking.n_feeds));
	taking.feeds = feeds;
	err = take_all(&taking);
	kc_feed_infos_free(feeds, taking.n_feeds);
	free(taking.arrivals.list);
	kc_error_free(taking.first);
	return err;
}

static void taken(void *data, struct kc_error *err)
{
	end_copy(data, err);
}

/* ---- from outside ---- */

static void run_copy(struct kc_worker_item *item, bool is_cancelled)
{
	struct copy *copy = (struct copy *)item;
	struct kc_error *err = is_cancelled ? kc_error_new(KC_ERR_BUSY, "the portal is being stopped") : mirror(copy);

	if (err)
		end_copy(copy, kc_error_prefix(err, "the upstream"));
	else
		kc_publisher_do(copy->publisher, take, taken, copy);
}

static void add_copy(struct kc_publisher *publisher, const char *feed, char product, bool only_download,
		     kc_publisher_updated_fn *done, void *data)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (copy && feed)
		copy->feed = strdup(feed);
	if (!copy || (feed && !copy->feed)) {
		free(copy);
		if (done)
			done(data, 0, kc_error_no_memory());
		return;
	}
	copy->item.run = run_copy;
	copy->publisher = publisher;
	copy->product = product;
	copy->only_download = only_download;
	copy->done = done;
	copy->data = data;
	copy->now = time(NULL);
	kc_worker_add(publisher->copies, &copy->item);
}

void kc_publisher_update(struct kc_publisher *publisher, const char *feed, char product, kc_publisher_updated_fn *done,
			 void *data)
{
	add_copy(publisher, feed, product, false, done, data);
}

void kc_publisher_download_missing(struct kc_publisher *publisher, kc_publisher_updated_fn *done, void *data)
{
	add_copy(publisher, NULL, 0, true, done, data);
}

/* Without an upstream, feeds that follow by themselves still take what was found good for another feed. */
int64_t kc_update_due(void *data)
{
	struct kc_publisher *publisher = data;
	struct copy *copy;

	if (*publisher->upstream) {
		kc_publisher_update(publisher, NULL, 0, NULL, NULL);
		return publisher->auto_update_ms;
	}
	copy = calloc(1, sizeof(*copy));
	if (copy) {
		copy->publisher = publisher;
		copy->now = time(NULL);
		kc_publisher_do(publisher, take, taken, copy);
	}
	return publisher->auto_update_ms;
}
