/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done with patchsets, one job at a time. */
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/db/arrivals.h"
#include "portal/feeds/publisher_internal.h"

const char *kc_patchset_action_name(enum kc_patchset_action action)
{
	static const char *const names[] = {
		[KC_PATCHSET_DEPLOY] = "deploy",
		[KC_PATCHSET_ENABLE] = "enable",
		[KC_PATCHSET_DISABLE] = "disable",
		[KC_PATCHSET_BLOCK] = "block",
		[KC_PATCHSET_UNDEPLOY] = "undeploy",
		[KC_PATCHSET_ENABLE_UPTO] = "enable-upto",
		[KC_PATCHSET_UNDEPLOY_DOWNTO] = "undeploy-downto",
	};

	return names[action];
}

/* One run of kc_publisher_manage(). */
struct managing {
	struct kc_ctx *ctx;
	struct kc_publisher *publisher;
	struct kc_repository *repository;
	const char *feed;
	size_t n;
};

/* ---- files that no feed needs ---- */

/* A patch file names its patchset, so no other patchset has the same one. */
static struct kc_error *remove_blobs(const struct kc_publisher *publisher, const struct kc_patchset *patchset)
{
	for (size_t i = 0; i < patchset->n_files; i++) {
		kc_autofree char *blob = kc_blob_path(patchset->files[i].hash);
		kc_autofree char *path = blob ? kc_path_join(publisher->archives, blob) : NULL;

		if (!path)
			return kc_error_no_memory();
		unlink(path);
	}
	return NULL;
}

/* Out of archives/; nothing, when it is not there. */
static struct kc_error *drop_kept(const struct kc_publisher *publisher, const char *name)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autobuf struct kc_buf list = { 0 };
	kc_autofree char *path = NULL;

	if (asprintf(&path, "%s/" KC_PUBLIC_PATCHSETS "/%s.json", publisher->archives, name) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	if (kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &list))
		return NULL;
	KC_TRY(kc_patchset_peek(name, list.data, list.size, &patchset));
	KC_TRY(remove_blobs(publisher, patchset));
	unlink(path);
	return NULL;
}

/* ---- one patchset, one feed ---- */

static struct kc_error *bring_from(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   const char *patchset, const char *feed, enum kc_patchset_state state,
				   unsigned rollout)
{
	kc_autofree char *upstream = kc_path_join(publisher->mirror, "public");
	const char *const folders[] = { publisher->archives, upstream };
	struct kc_repository_change change;

	if (!upstream)
		return kc_error_no_memory();
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		struct kc_error *err = kc_repository_deploy_files(ctx, repository, folders[i], patchset, feed, state,
								  rollout, &change);

		if (!err)
			return i == 0 ? drop_kept(publisher, patchset) : NULL;
		if (kc_error_code(err) != KC_ERR_NOT_FOUND)
			return err;
		kc_error_free(err);
	}
	return kc_error_new(KC_ERR_NOT_FOUND,
			    "the patchset '%s' is not here: 'deploy' brings its archive, 'download-missing' asks the "
			    "upstream",
			    patchset);
}

struct kc_error *kc_patchset_bring(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   const char *patchset, const char *feed, enum kc_patchset_state state,
				   unsigned rollout)
{
	struct kc_repository_change change;
	struct kc_error *err = kc_repository_add(ctx, repository, patchset, feed, state, rollout, &change);

	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return bring_from(ctx, publisher, repository, patchset, feed, state, rollout);
}

/* A feed that does not have it gets it, unless it is to be blocked. */
static struct kc_error *set_state(struct managing *managing, const char *patchset, enum kc_patchset_state state)
{
	struct kc_repository_change change;
	struct kc_error *err = kc_repository_set_state(managing->ctx, managing->repository, patchset, managing->feed,
						       state, 0, &change);

	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND || state == KC_PATCHSET_BLOCKED)
		return err;
	kc_error_free(err);
	return kc_patchset_bring(managing->ctx, managing->publisher, managing->repository, patchset, managing->feed,
				 state, 0);
}

static struct kc_error *find_feed(const struct managing *managing, struct kc_feed_info **feeds, size_t *n_feeds,
				  const struct kc_feed_info **feed)
{
	KC_TRY(kc_repository_feeds(managing->ctx, managing->repository, feeds, n_feeds));
	for (size_t i = 0; i < *n_feeds; i++)
		if (!strcmp((*feeds)[i].name, managing->feed)) {
			*feed = &(*feeds)[i];
			return NULL;
		}
	kc_feed_infos_free(*feeds, *n_feeds);
	return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%s'", managing->feed);
}

static bool is_elsewhere(const struct kc_feed_info *feeds, size_t n_feeds, const struct kc_feed_info *feed,
			 const char *patchset)
{
	for (size_t i = 0; i < n_feeds; i++)
		if (&feeds[i] != feed && kc_feed_patchset_find(&feeds[i], patchset))
			return true;
	return false;
}

/* What no feed has any more stays here all the same, in archives/. What is damaged can be taken out without that. */
static void keep_files(const struct managing *managing, const char *patchset)
{
	struct kc_error *damage =
		kc_repository_keep_files(managing->ctx, managing->repository, patchset, managing->publisher->archives);

	if (damage)
		kc_warning(managing->ctx, "the files of %s are not kept: %s", patchset, kc_error_message(damage));
	kc_error_free(damage);
}

static struct kc_error *undeploy(struct managing *managing, const char *patchset)
{
	struct kc_repository_change change;
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	size_t n_feeds;

	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	if (kc_feed_patchset_find(feed, patchset) && !is_elsewhere(feeds, n_feeds, feed, patchset))
		keep_files(managing, patchset);
	kc_feed_infos_free(feeds, n_feeds);
	return kc_repository_undeploy(managing->ctx, managing->repository, patchset, managing->feed, &change);
}

struct kc_error *kc_publisher_remove_feed(struct kc_ctx *ctx, struct kc_publisher *publisher,
					  struct kc_repository *repository, const char *name)
{
	struct managing managing = { ctx, publisher, repository, name, 0 };
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	size_t n_feeds;

	KC_TRY(find_feed(&managing, &feeds, &n_feeds, &feed));
	for (size_t i = 0; i < feed->n_patchsets; i++)
		if (!is_elsewhere(feeds, n_feeds, feed, feed->patchsets[i].name))
			keep_files(&managing, feed->patchsets[i].name);
	kc_feed_infos_free(feeds, n_feeds);
	return kc_repository_feed_remove(ctx, repository, name);
}

/* It is for feeds of this one's channel, and of those that are less stable. */
static struct kc_error *record_upload(struct managing *managing, const struct kc_patchset *patchset)
{
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	unsigned channel;
	size_t n_feeds;

	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	channel = kc_channel_find(feed->channel);
	kc_feed_infos_free(feeds, n_feeds);
	return kc_known_record(managing->publisher, patchset, NULL, channel, 0, true);
}

static struct kc_error *deploy_archive(struct managing *managing, const struct kc_manage *manage,
				       const struct kc_patchset *patchset)
{
	struct kc_repository_change change;

	KC_TRY(kc_repository_deploy(managing->ctx, managing->repository, manage->archive, managing->feed,
				    manage->disabled ? KC_PATCHSET_DISABLED : KC_PATCHSET_ENABLED, 0, &change));
	KC_TRY(drop_kept(managing->publisher, patchset->name));
	return record_upload(managing, patchset);
}

/* ---- many patchsets ---- */

static struct kc_error *count(struct managing *managing, struct kc_error *err)
{
	if (!err)
		managing->n++;
	if (!err || kc_error_code(err) != KC_ERR_NOTHING)
		return err;
	kc_error_free(err);
	return NULL;
}

static bool is_of_same_product(const char *a, const char *b)
{
	return kc_patchset_product(a) == kc_patchset_product(b);
}

/* Somebody disabled or blocked it in this feed, or it is of a channel that is less stable than the feed's. */
static bool is_kept_out(const struct kc_feed_info *feed, const struct kc_known_patchset *known)
{
	const struct kc_feed_patchset *patchset = kc_feed_patchset_find(feed, known->name);

	return patchset ? patchset->state != KC_PATCHSET_ENABLED : known->channel > kc_channel_find(feed->channel);
}

static struct kc_error *enable_known(struct managing *managing, const struct kc_known *known, const char *last)
{
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	for (size_t i = 0; !err && i < known->n && strcmp(known->patchsets[i].name, last) <= 0; i++) {
		const struct kc_known_patchset *one = &known->patchsets[i];

		if (one->is_here && is_of_same_product(one->name, last) &&
		    (!strcmp(one->name, last) || !is_kept_out(feed, one)))
			err = count(managing, set_state(managing, one->name, KC_PATCHSET_ENABLED));
	}
	kc_feed_infos_free(feeds, n_feeds);
	return err;
}

/* The oldest goes first: what is cut off in the middle leaves no gap. */
static struct kc_error *enable_upto(struct managing *managing, const char *last)
{
	KC_CLEANUP_KNOWN struct kc_known known = { 0 };
	KC_CLEANUP_SEEN struct kc_seen seen = { 0 };
	const struct kc_known_patchset *found;

	KC_TRY(kc_seen_read(managing->publisher->seen, &seen));
	KC_TRY(kc_known_settle(managing->ctx, managing->publisher, managing->repository, &seen, &known));
	found = kc_known_find(&known, last);
	if (!found || !found->is_here)
		return kc_error_new(KC_ERR_NOT_FOUND, "the patchset '%s' is not here", last);
	return enable_known(managing, &known, last);
}

/*
 * The newest goes first. Those that are disabled or blocked stay, unless they are the one that was named: hosts do not
 * see the former, and to undeploy the latter would take back the block.
 */
static struct kc_error *undeploy_downto(struct managing *managing, const char *first)
{
	KC_CLEANUP_NAMES struct kc_names names = { 0 };
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	for (size_t i = 0; !err && i < feed->n_patchsets; i++)
		if (feed->patchsets[i].state == KC_PATCHSET_ENABLED || !strcmp(feed->patchsets[i].name, first))
			err = kc_names_add(&names, feed->patchsets[i].name);
	kc_feed_infos_free(feeds, n_feeds);
	kc_names_sort(&names);
	for (size_t i = names.n; !err && i-- > 0 && strcmp(names.names[i], first) >= 0;)
		if (is_of_same_product(names.names[i], first))
			err = count(managing, undeploy(managing, names.names[i]));
	return err;
}

/* ---- all of it ---- */

/* It becomes a part of paths. */
static struct kc_error *check_name(const char *patchset)
{
	if (!kc_patchset_name_is_valid(patchset))
		return kc_error_new(KC_ERR_INPUT, "a patchset has a name like K20261123_01, not '%.80s'", patchset);
	return NULL;
}

static struct kc_error *check_product(const struct kc_manage *manage, const char *patchset)
{
	static const struct {
		char product;
		const char *name;
	} products[] = { { 'K', "kcare" }, { 'U', "libcare" }, { 'Q', "qemu" } };
	const char *name = "another product";

	if (!manage->product || kc_patchset_product(patchset) == manage->product)
		return NULL;
	for (size_t i = 0; i < KC_ARRAY_SIZE(products); i++)
		if (products[i].product == kc_patchset_product(patchset))
			name = products[i].name;
	return kc_error_new(KC_ERR_INPUT, "%s is a patchset of %s", patchset, name);
}

static struct kc_error *act(struct managing *managing, const struct kc_manage *manage, const char *patchset)
{
	switch (manage->action) {
	case KC_PATCHSET_DEPLOY:
		return kc_patchset_bring(managing->ctx, managing->publisher, managing->repository, patchset,
					 managing->feed, manage->disabled ? KC_PATCHSET_DISABLED : KC_PATCHSET_ENABLED,
					 0);
	case KC_PATCHSET_ENABLE:
		return set_state(managing, patchset, KC_PATCHSET_ENABLED);
	case KC_PATCHSET_DISABLE:
		return set_state(managing, patchset, KC_PATCHSET_DISABLED);
	case KC_PATCHSET_BLOCK:
		return set_state(managing, patchset, KC_PATCHSET_BLOCKED);
	case KC_PATCHSET_UNDEPLOY:
		return undeploy(managing, patchset);
	case KC_PATCHSET_ENABLE_UPTO:
		KC_TRY(enable_upto(managing, patchset));
		break;
	case KC_PATCHSET_UNDEPLOY_DOWNTO:
		KC_TRY(undeploy_downto(managing, patchset));
		break;
	}
	return managing->n ? NULL
			   : kc_error_new(KC_ERR_NOTHING, "there is nothing to change in the feed %s", managing->feed);
}

struct kc_error *kc_publisher_manage(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const struct kc_manage *manage,
				     struct kc_managed *managed)
{
	struct managing managing = { ctx, publisher, repository, manage->feed, 0 };
	kc_autopatchset struct kc_patchset *patchset = NULL;
	const char *name = manage->patchset;

	*managed = (struct kc_managed){ 0 };
	if (manage->archive) {
		/* not trusted yet: for its name alone */
		KC_TRY(kc_patchset_archive_peek(ctx, manage->archive, &patchset));
		name = patchset->name;
	}
	KC_TRY(check_name(name));
	KC_TRY(check_product(manage, name));
	snprintf(managed->patchset, sizeof(managed->patchset), "%s", name);
	KC_TRY(patchset ? deploy_archive(&managing, manage, patchset) : act(&managing, manage, name));
	managed->n = managing.n ? managing.n : 1;
	return NULL;
}

/* ---- out of everything ---- */

static struct kc_error *forget(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_remove(conn, data);
}

/* `*was_here`: there was something to remove. */
static struct kc_error *remove_for_good(struct kc_publisher *publisher, struct kc_repository *repository,
					const char *patchset, bool *was_here)
{
	struct kc_error *err;

	KC_TRY(drop_kept(publisher, patchset));
	/* of a feed that was removed its patchsets may still be there */
	KC_TRY(kc_repository_discard(repository, patchset));
	err = kc_db_write_wait(publisher->db, forget, (void *)patchset);
	*was_here = !err;
	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return NULL;
}

/* Feeds that do not have it yet do not take it by themselves either. */
static struct kc_error *take_out(struct managing *managing, const struct kc_feed_info *feed, const char *patchset)
{
	managing->feed = feed->name;
	if (kc_feed_patchset_find(feed, patchset))
		return count(managing, undeploy(managing, patchset));
	return kc_repository_leave_out(managing->ctx, managing->repository, patchset, feed->name);
}

struct kc_error *kc_publisher_unroll(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const char *patchset, bool remove, size_t *n)
{
	struct managing managing = { ctx, publisher, repository, NULL, 0 };
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	bool was_here = false;
	size_t n_feeds;

	*n = 0;
	KC_TRY(check_name(patchset));
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; !err && i < n_feeds; i++)
		err = take_out(&managing, &feeds[i], patchset);
	kc_feed_infos_free(feeds, n_feeds);
	*n = managing.n;
	KC_TRY(err);
	if (remove)
		KC_TRY(remove_for_good(publisher, repository, patchset, &was_here));
	return managing.n || was_here ? NULL : kc_error_new(KC_ERR_NOTHING, "no feed has %s", patchset);
}
