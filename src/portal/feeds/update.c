/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What feeds take by themselves, or when somebody asks for an update: from the copy of the upstream (copy.c), and what
 * arrived here otherwise and was found good for another feed. Authors' signatures are checked as it is taken.
 */
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/feeds/publisher_internal.h"

enum { HOUR_S = 3600 };

struct update {
	struct kc_worker_item item;
	struct kc_publisher *publisher;
	char *feed; /* NULL: those with auto_update */
	char product;
	bool only_download;
	kc_publisher_updated_fn *done; /* NULL: nobody waits */
	void *data;
	struct kc_error *copied; /* what went wrong with the copy of the upstream */
	size_t n_changed;
	int64_t now;
};

/* The same trouble every ten minutes is told once. */
static void warn_once(struct kc_publisher *publisher, const struct kc_error *err)
{
	const char *message = err ? kc_error_message(err) : "";

	if (!strncmp(publisher->last_warning, message, sizeof(publisher->last_warning) - 1))
		return;
	snprintf(publisher->last_warning, sizeof(publisher->last_warning), "%s", message);
	if (err)
		kc_warning(publisher->ctx, "automatic update: %s", message);
}

static void end_update(struct update *update, struct kc_error *err)
{
	if (update->done) {
		update->done(update->data, update->n_changed, err);
	} else {
		if (!err || kc_error_code(err) != KC_ERR_BUSY)
			warn_once(update->publisher, err);
		kc_error_free(err);
	}
	kc_error_free(update->copied);
	free(update->feed);
	free(update);
}

/* ---- taking: a job ---- */

struct taking {
	struct kc_ctx *ctx;
	struct kc_publisher *publisher;
	struct kc_repository *repository;
	struct update *update;
	char *public; /* DATA/upstream/public */
	struct kc_keyring *authors;
	struct kc_seen seen;
	struct kc_known known;
	struct kc_feed_info *feeds;
	size_t n_feeds;
	struct kc_error *first; /* of the patchsets that could not be taken: the others are */
};

static void clear_taking(struct taking *taking)
{
	kc_feed_infos_free(taking->feeds, taking->n_feeds);
	kc_known_clear(&taking->known);
	kc_seen_clear(&taking->seen);
	kc_keyring_free(taking->authors);
	kc_error_free(taking->first);
	free(taking->public);
}

/* The others go on; what went wrong first is what the whole run says. */
static void keep_error(struct taking *taking, const char *patchset, struct kc_error *err)
{
	if (taking->first || kc_error_code(err) == KC_ERR_NOTHING)
		kc_error_free(err);
	else
		taking->first = kc_error_prefix(err, "%s", patchset);
}

static void count(struct taking *taking, const char *patchset, const char *feed, const char *what, struct kc_error *err)
{
	if (err) {
		keep_error(taking, patchset, err);
		return;
	}
	taking->update->n_changed++;
	kc_info(taking->ctx, "%s was %s in %s", patchset, what, feed);
}

/* ---- arrivals ---- */

/* Its author's list, which is here when all of it is. What nobody we trust has signed does not arrive. */
static struct kc_error *read_list(const struct taking *taking, const char *name, struct kc_patchset **patchset)
{
	kc_autofree char *path = NULL;
	kc_autobuf struct kc_buf text = { 0 };

	if (asprintf(&path, "%s/" KC_PUBLIC_PATCHSETS "/%s.json", taking->public, name) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	if (kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &text))
		return kc_error_new(KC_ERR_NOT_FOUND,
				    "the upstream does not show its author's list: it cannot be taken");
	KC_TRY(kc_patchset_decode(name, text.data, text.size, taking->authors, patchset));
	if (strcmp((*patchset)->name, name))
		return kc_error_new(KC_ERR_CORRUPT, "the upstream shows the list of %s for it", (*patchset)->name);
	return NULL;
}

static struct kc_error *arrive(struct taking *taking, const struct kc_seen_patchset *seen)
{
	const struct kc_known_patchset *known = kc_known_find(&taking->known, seen->name);
	struct kc_publisher *publisher = taking->publisher;
	kc_autopatchset struct kc_patchset *patchset = NULL;
	unsigned channel = kc_seen_channel(seen);

	if (known && known->is_here && known->channel == channel && !strcmp(known->source, publisher->upstream))
		return NULL;
	KC_TRY(read_list(taking, seen->name, &patchset));
	KC_TRY(kc_known_record(publisher, patchset, publisher->upstream, channel, taking->update->now, true));
	if (taking->update->only_download && (!known || !known->is_here))
		taking->update->n_changed++;
	return NULL;
}

static struct kc_error *arrive_all(struct taking *taking)
{
	for (size_t i = 0; i < taking->seen.n; i++) {
		const struct kc_seen_patchset *seen = &taking->seen.patchsets[i];
		struct kc_error *err = arrive(taking, seen);

		if (err && (kc_error_code(err) == KC_ERR_NO_MEMORY || kc_error_code(err) == KC_ERR_DATABASE))
			return err;
		if (err)
			keep_error(taking, seen->name, err);
	}
	return kc_known_load(taking->publisher, &taking->known);
}

/* ---- one feed ---- */

/* Its delay from the arrival is over. What did not arrive is not taken. */
static bool is_due(const struct taking *taking, const struct kc_feed_info *feed, const char *patchset)
{
	const struct kc_known_patchset *known = kc_known_find(&taking->known, patchset);

	return known && known->is_here &&
	       known->arrived + (int64_t)feed->deploy_after_h * HOUR_S <= taking->update->now;
}

static bool is_blocked_here(const struct taking *taking, const char *patchset)
{
	for (size_t i = 0; i < taking->n_feeds; i++) {
		const struct kc_feed_patchset *found = kc_feed_patchset_find(&taking->feeds[i], patchset);

		if (found && found->state == KC_PATCHSET_BLOCKED)
			return true;
	}
	return false;
}

static bool may_take(const struct taking *taking, const struct kc_feed_info *feed, const char *patchset)
{
	return !kc_feed_patchset_find(feed, patchset) && !kc_feed_was_undeployed(feed, patchset) &&
	       is_due(taking, feed, patchset) && !is_blocked_here(taking, patchset);
}

static bool is_of_product(const struct taking *taking, const char *patchset)
{
	return !taking->update->product || kc_patchset_product(patchset) == taking->update->product;
}

/* A bad patchset waits for no delay. What somebody disabled here is left so: he may know why. */
static void follow(struct taking *taking, const struct kc_feed_info *feed, const struct kc_feed_patchset *patchset,
		   const struct kc_seen_state *upstream)
{
	struct kc_repository_change change;

	if (patchset->state != KC_PATCHSET_ENABLED || !feed->auto_update)
		return;
	if (upstream->is_blocked)
		count(taking, patchset->name, feed->name, "blocked",
		      kc_repository_set_state(taking->ctx, taking->repository, patchset->name, feed->name,
					      KC_PATCHSET_BLOCKED, 0, &change));
	else if (upstream->rollout > patchset->rollout)
		count(taking, patchset->name, feed->name, "rolled out further",
		      kc_repository_set_state(taking->ctx, taking->repository, patchset->name, feed->name,
					      KC_PATCHSET_ENABLED, upstream->rollout, &change));
}

static void take_seen(struct taking *taking, const struct kc_feed_info *feed, const struct kc_seen_patchset *seen)
{
	const struct kc_feed_patchset *patchset = kc_feed_patchset_find(feed, seen->name);
	struct kc_seen_state upstream;

	kc_seen_state_for(seen, kc_channel_find(feed->channel), &upstream);
	if (!upstream.rollout || !is_of_product(taking, seen->name))
		return;
	if (patchset)
		follow(taking, feed, patchset, &upstream);
	else if (!upstream.is_blocked && may_take(taking, feed, seen->name))
		count(taking, seen->name, feed->name, "enabled",
		      kc_patchset_bring(taking->ctx, taking->publisher, taking->repository, seen->name, feed->name,
					KC_PATCHSET_ENABLED, upstream.rollout));
}

/* How many of the hosts have it elsewhere; 0: nobody has found it good. */
static unsigned rollout_elsewhere(const struct taking *taking, const char *patchset)
{
	unsigned rollout = 0;

	for (size_t i = 0; i < taking->n_feeds; i++) {
		const struct kc_feed_patchset *found = kc_feed_patchset_find(&taking->feeds[i], patchset);

		if (found && found->state == KC_PATCHSET_ENABLED && found->rollout > rollout)
			rollout = found->rollout;
	}
	return rollout;
}

/* Somebody blocked it here, in a feed that is not less stable than this one. */
static bool is_blocked_for(const struct taking *taking, const struct kc_feed_info *feed, const char *patchset)
{
	for (size_t i = 0; i < taking->n_feeds; i++) {
		const struct kc_feed_patchset *found = kc_feed_patchset_find(&taking->feeds[i], patchset);

		if (found && found->state == KC_PATCHSET_BLOCKED &&
		    kc_channel_find(taking->feeds[i].channel) <= kc_channel_find(feed->channel))
			return true;
	}
	return false;
}

/* What came by itself goes by itself, in feeds that follow, whichever way it came to the portal. */
static void follow_blocks(struct taking *taking, const struct kc_feed_info *feed)
{
	struct kc_repository_change change;

	for (size_t i = 0; i < feed->n_patchsets; i++) {
		const struct kc_feed_patchset *patchset = &feed->patchsets[i];

		if (patchset->state == KC_PATCHSET_ENABLED && is_of_product(taking, patchset->name) &&
		    is_blocked_for(taking, feed, patchset->name))
			count(taking, patchset->name, feed->name, "blocked",
			      kc_repository_set_state(taking->ctx, taking->repository, patchset->name, feed->name,
						      KC_PATCHSET_BLOCKED, 0, &change));
	}
}

/* What arrived here by another way than the upstream. */
static void take_uploads(struct taking *taking, const struct kc_feed_info *feed)
{
	for (size_t i = 0; i < taking->known.n; i++) {
		const struct kc_known_patchset *known = &taking->known.patchsets[i];
		unsigned rollout = rollout_elsewhere(taking, known->name);

		if (known->is_upload && known->channel <= kc_channel_find(feed->channel) && rollout == KC_ROLLOUT_ALL &&
		    is_of_product(taking, known->name) && may_take(taking, feed, known->name))
			count(taking, known->name, feed->name, "enabled",
			      kc_patchset_bring(taking->ctx, taking->publisher, taking->repository, known->name,
						feed->name, KC_PATCHSET_ENABLED, 0));
	}
}

/* ---- all of it ---- */

/* What was lost of a patchset that feeds have comes back. */
static void mend(struct taking *taking, const struct kc_seen_patchset *seen)
{
	struct kc_repository_change change;

	for (size_t i = 0; i < taking->n_feeds; i++) {
		if (!kc_feed_patchset_find(&taking->feeds[i], seen->name))
			continue;
		count(taking, seen->name, taking->feeds[i].name, "mended",
		      kc_repository_deploy_files(taking->ctx, taking->repository, taking->public, seen->name,
						 taking->feeds[i].name, KC_PATCHSET_ENABLED, 0, &change));
		return;
	}
}

static struct kc_error *take_all(struct taking *taking)
{
	const struct update *update = taking->update;
	bool was_found = !update->feed;

	for (size_t f = 0; f < taking->n_feeds; f++) {
		const struct kc_feed_info *feed = &taking->feeds[f];

		if (update->feed ? strcmp(feed->name, update->feed) != 0 : !feed->auto_update)
			continue;
		was_found = true;
		for (size_t i = 0; i < taking->seen.n; i++)
			take_seen(taking, feed, &taking->seen.patchsets[i]);
		if (feed->auto_update) {
			follow_blocks(taking, feed);
			take_uploads(taking, feed);
		}
	}
	return was_found ? NULL : kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%s'", update->feed);
}

/* Nobody would be trusted: the error says how that is changed. */
static struct kc_error *load_authors(struct taking *taking)
{
	kc_autofree char *path = kc_path_join(taking->publisher->repository, "private/authors");

	return path ? kc_keyring_load(taking->ctx, path, &taking->authors) : kc_error_no_memory();
}

static struct kc_error *take(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			     void *data)
{
	KC_CLEANUP(clear_taking)
	struct taking taking = { .ctx = ctx, .publisher = publisher, .repository = repository, .update = data };

	taking.update->now = time(NULL);
	taking.public = kc_path_join(publisher->mirror, "public");
	if (!taking.public)
		return kc_error_no_memory();
	KC_TRY(kc_seen_read(publisher->seen, &taking.seen));
	KC_TRY(kc_known_settle(ctx, publisher, repository, &taking.seen, &taking.known));
	if (taking.seen.n)
		KC_TRY(load_authors(&taking));
	KC_TRY(arrive_all(&taking));
	KC_TRY(kc_repository_feeds(ctx, repository, &taking.feeds, &taking.n_feeds));
	for (size_t i = 0; taking.update->only_download && i < taking.seen.n; i++)
		mend(&taking, &taking.seen.patchsets[i]);
	if (!taking.update->only_download)
		KC_TRY(take_all(&taking));
	return kc_steal(taking.first);
}

/* What the copy failed with is the more important news. */
static void taken(void *data, struct kc_error *err)
{
	struct update *update = data;

	if (update->copied) {
		kc_error_free(err);
		err = kc_steal(update->copied);
	}
	end_update(update, err);
}

/* ---- from outside ---- */

static void run_update(struct kc_worker_item *item, bool is_cancelled)
{
	struct update *update = (struct update *)item;
	struct kc_publisher *publisher = update->publisher;

	if (is_cancelled) {
		end_update(update, kc_error_new(KC_ERR_BUSY, "the portal is being stopped"));
		return;
	}
	/* feeds that follow by themselves need no upstream */
	if (update->feed || update->only_download || *publisher->upstream)
		update->copied = kc_upstream_copy(publisher);
	if (update->copied && kc_error_code(update->copied) == KC_ERR_CONFIG)
		end_update(update, kc_steal(update->copied));
	else
		kc_publisher_do(publisher, take, taken, update);
}

static void add_update(struct kc_publisher *publisher, const char *feed, char product, bool only_download,
		       kc_publisher_updated_fn *done, void *data)
{
	struct update *update = calloc(1, sizeof(*update));

	if (update && feed)
		update->feed = strdup(feed);
	if (!update || (feed && !update->feed)) {
		free(update);
		if (done)
			done(data, 0, kc_error_no_memory());
		return;
	}
	update->item.run = run_update;
	update->publisher = publisher;
	update->product = product;
	update->only_download = only_download;
	update->done = done;
	update->data = data;
	update->now = time(NULL);
	kc_worker_add(publisher->copies, &update->item);
}

void kc_publisher_update(struct kc_publisher *publisher, const char *feed, char product, kc_publisher_updated_fn *done,
			 void *data)
{
	add_update(publisher, feed, product, false, done, data);
}

void kc_publisher_download_missing(struct kc_publisher *publisher, kc_publisher_updated_fn *done, void *data)
{
	add_update(publisher, NULL, 0, true, done, data);
}

int64_t kc_update_due(void *data)
{
	struct kc_publisher *publisher = data;

	add_update(publisher, NULL, 0, false, NULL, NULL);
	return publisher->auto_update_ms;
}
