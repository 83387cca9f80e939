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

/* ---- arrivals ---- */

static struct kc_error *put_arrival(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_put(conn, data);
}

struct kc_error *kc_arrival_record(struct kc_publisher *publisher, const char *patchset, const char *channel,
				   const char *distro, int64_t released, bool is_here)
{
	struct kc_arrival arrival = {
		.patchset = (char *)patchset,
		.channel = (char *)(channel ? channel : "default"),
		.distro = (char *)distro,
		.source = (char *)(channel ? publisher->upstream : "upload"),
		.released = released,
		.arrived = time(NULL),
		.is_here = is_here,
	};

	return kc_db_write_wait(publisher->db, put_arrival, &arrival);
}

static struct kc_error *remove_arrival(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_remove(conn, data);
}

/* ---- one patchset, one feed ---- */

struct kc_error *kc_patchset_bring(struct kc_ctx *ctx, struct kc_repository *repository, const char *folder,
				   const char *patchset, const char *feed, enum kc_patchset_state state)
{
	struct kc_repository_change change;
	struct kc_error *err = kc_repository_add(ctx, repository, patchset, feed, state, 0, &change);

	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return kc_repository_deploy_files(ctx, repository, folder, patchset, feed, state, 0, &change);
}

static struct kc_error *enable(struct managing *managing, const char *patchset)
{
	struct kc_repository_change change;
	struct kc_error *err = kc_repository_set_state(managing->ctx, managing->repository, patchset, managing->feed,
						       KC_PATCHSET_ENABLED, 0, &change);

	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return kc_patchset_bring(managing->ctx, managing->repository, managing->publisher->archives, patchset,
				 managing->feed, KC_PATCHSET_ENABLED);
}

static struct kc_error *set_state(struct managing *managing, const char *patchset, enum kc_patchset_state state)
{
	struct kc_repository_change change;

	return kc_repository_set_state(managing->ctx, managing->repository, patchset, managing->feed, state, 0,
				       &change);
}

/* Its files stay here, in archives/. */
static struct kc_error *undeploy(struct managing *managing, const char *patchset)
{
	struct kc_repository_change change;
	/* what is damaged can be taken out all the same */
	kc_autoerror struct kc_error *damage =
		kc_repository_keep_files(managing->ctx, managing->repository, patchset, managing->publisher->archives);

	if (damage)
		kc_warning(managing->ctx, "the files of %s are not kept: %s", patchset, kc_error_message(damage));
	return kc_repository_undeploy(managing->ctx, managing->repository, patchset, managing->feed, &change);
}

static struct kc_error *deploy_archive(struct managing *managing, const struct kc_manage *manage,
				       const struct kc_patchset *patchset)
{
	struct kc_repository_change change;

	KC_TRY(kc_repository_deploy(managing->ctx, managing->repository, manage->archive, managing->feed,
				    manage->disabled ? KC_PATCHSET_DISABLED : KC_PATCHSET_ENABLED, 0, &change));
	return kc_arrival_record(managing->publisher, patchset->name, NULL, patchset->distro, patchset->released, true);
}

/* ---- many patchsets ---- */

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

/* Has somebody decided that the feed shall not have it, or not yet? */
static bool is_kept_out(const struct kc_feed_info *feed, const char *patchset)
{
	for (size_t i = 0; i < feed->n_undeployed; i++)
		if (!strcmp(feed->undeployed[i], patchset))
			return true;
	for (size_t i = 0; i < feed->n_patchsets; i++)
		if (!strcmp(feed->patchsets[i].name, patchset))
			return feed->patchsets[i].state != KC_PATCHSET_ENABLED;
	return false;
}

static struct kc_error *count(struct managing *managing, struct kc_error *err)
{
	if (!err)
		managing->n++;
	if (!err || kc_error_code(err) != KC_ERR_NOTHING)
		return err;
	kc_error_free(err);
	return NULL;
}

static struct kc_error *enable_upto(struct managing *managing, const char *last)
{
	KC_CLEANUP_NAMES struct kc_names here = { 0 };
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	KC_TRY(kc_patchsets_here(managing->ctx, managing->publisher, managing->repository, &here));
	if (!kc_names_have(&here, last))
		return kc_error_new(KC_ERR_NOT_FOUND, "the patchset '%s' is not here", last);
	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	for (size_t i = 0; !err && i < here.n && strcmp(here.names[i], last) <= 0; i++) {
		const char *name = here.names[i];

		if (kc_patchset_product(name) == kc_patchset_product(last) &&
		    (!strcmp(name, last) || !is_kept_out(feed, name)))
			err = count(managing, enable(managing, name));
	}
	kc_feed_infos_free(feeds, n_feeds);
	return err;
}

/* The newest goes first: what is cut off in the middle leaves no gap. */
static struct kc_error *undeploy_downto(struct managing *managing, const char *first)
{
	KC_CLEANUP_NAMES struct kc_names names = { 0 };
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	KC_TRY(find_feed(managing, &feeds, &n_feeds, &feed));
	for (size_t i = 0; !err && i < feed->n_patchsets; i++)
		err = kc_names_add(&names, feed->patchsets[i].name);
	kc_feed_infos_free(feeds, n_feeds);
	kc_names_sort(&names);
	for (size_t i = names.n; !err && i-- > 0 && strcmp(names.names[i], first) >= 0;)
		if (kc_patchset_product(names.names[i]) == kc_patchset_product(first))
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
		return kc_patchset_bring(managing->ctx, managing->repository, managing->publisher->archives, patchset,
					 managing->feed, manage->disabled ? KC_PATCHSET_DISABLED : KC_PATCHSET_ENABLED);
	case KC_PATCHSET_ENABLE:
		return enable(managing, patchset);
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

static struct kc_error *remove_files(struct kc_publisher *publisher, const char *name)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autobuf struct kc_buf list = { 0 };
	kc_autofree char *path = NULL;
	struct kc_error *err;

	if (asprintf(&path, "%s/patchsets/%s.json", publisher->archives, name) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	if (!kc_file_read_now(path, KC_PATCHSET_LIST_SIZE_MAX, &list)) {
		KC_TRY(kc_patchset_peek(name, list.data, list.size, &patchset));
		KC_TRY(remove_blobs(publisher, patchset));
		unlink(path);
	}
	err = kc_db_write_wait(publisher->db, remove_arrival, (void *)name);
	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return NULL;
}

struct kc_error *kc_publisher_unroll(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const char *patchset, bool remove, size_t *n)
{
	struct managing managing = { ctx, publisher, repository, NULL, 0 };
	struct kc_feed_info *feeds;
	struct kc_error *err = NULL;
	size_t n_feeds;

	*n = 0;
	KC_TRY(check_name(patchset));
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; !err && i < n_feeds; i++) {
		managing.feed = feeds[i].name;
		for (size_t k = 0; !err && k < feeds[i].n_patchsets; k++)
			if (!strcmp(feeds[i].patchsets[k].name, patchset))
				err = count(&managing, undeploy(&managing, patchset));
	}
	kc_feed_infos_free(feeds, n_feeds);
	KC_TRY(err);
	*n = managing.n;
	if (remove)
		return remove_files(publisher, patchset);
	return managing.n ? NULL : kc_error_new(KC_ERR_NOTHING, "no feed has %s", patchset);
}
