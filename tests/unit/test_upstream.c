/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A portal that follows another repository: what is taken, when, and what is refused. The upstream, `up`, is a
 * repository beside it, read from its folder; the network is in tests/scenario/test_upstream.py.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"
#include "feeds_portal.h"
#include "kc_assert.h"
#include "portal/db/arrivals.h"
#include "sample.h"

#define UNSTABLE "unstable"
#define BLOB_MAX (1 << 20)

struct upstream {
	struct portal *portal; /* what cmocka's state is for feeds_portal.h */
	char folder[64];       /* up/public, or a copy of it */
	bool is_gone;
	/* the name that cannot be had, or that is slow */
	const char *lacks, *slow;
	sem_t is_slow; /* posted when somebody waits for it */
};

/* ---- the site ---- */

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	struct upstream *upstream = data;
	kc_autofree char *full = kc_path_join(upstream->folder, path);
	int err;

	(void)ctx;
	if (upstream->is_gone)
		return kc_error_new(KC_ERR_NETWORK, "no such host");
	err = upstream->lacks && strstr(path, upstream->lacks) ? -ENOENT : kc_file_read(full, limit, out);
	return err ? kc_error_errno(err == -ENOENT ? KC_ERR_NOT_FOUND : KC_ERR_SERVER, -err, "%s", path) : NULL;
}

static struct kc_error *get_file(struct kc_ctx *ctx, void *data, const char *path, const char *sha256, uint64_t size,
				 const char *to, const char *what)
{
	struct upstream *upstream = data;
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	(void)what;
	KC_TRY(get(ctx, data, path, BLOB_MAX, &text));
	kc_sha256_text(text.data, text.size, hash);
	if (text.size != size || strcmp(hash, sha256))
		return kc_error_new(KC_ERR_CORRUPT, "%s", path);
	if (upstream->slow) {
		sem_post(&upstream->is_slow);
		nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	}
	assert_int_equal(kc_file_replace(to, text.data, text.size, 0600), 0);
	return NULL;
}

/* ---- the fixture ---- */

static int set_up(void **state)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	struct portal *portal;
	void *started = NULL;

	portal_set_up(&started);
	upstream->portal = portal = started;
	portal_stop(portal);
	publishing_init(&portal->p, "up", true);
	snprintf(upstream->folder, sizeof(upstream->folder), "%s/up/public", portal->p.dir);
	sem_init(&upstream->is_slow, 0, 0);
	portal->config.upstream = (char *)"https://up.example.org";
	portal->config.upstream_root = strdup(publishing_path(&portal->p, "up.keys/root.json"));
	portal->source = (struct kc_mirror_source){ upstream, get, get_file, NULL };
	portal_start(portal);
	*state = upstream;
	return 0;
}

static int tear_down(void **state)
{
	struct upstream *upstream = *state;
	void *portal = upstream->portal;

	sem_destroy(&upstream->is_slow);
	free(upstream->portal->config.upstream_root);
	free(upstream);
	return portal_tear_down(&portal);
}

/* ---- shorter ---- */

static void add_up_feed(struct upstream *upstream, const char *name)
{
	struct publishing *p = &upstream->portal->p;
	kc_autorepository struct kc_repository *repository = NULL;
	const struct kc_feed_info info = { .name = (char *)name };

	sample_must(kc_repository_open(p->ctx, publishing_path(p, "up"), &repository));
	sample_must(kc_repository_feed_add(p->ctx, repository, &info, NULL));
}

static void deploy_up(struct upstream *upstream, const char *name, uint32_t level, const char *feed)
{
	publishing_deploy(&upstream->portal->p, "up", portal_archive(upstream->portal, name, level), feed);
}

static void set_up_state(struct upstream *upstream, const char *name, const char *feed, enum kc_patchset_state state,
			 unsigned rollout)
{
	struct publishing *p = &upstream->portal->p;
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;

	sample_must(kc_repository_open(p->ctx, publishing_path(p, "up"), &repository));
	sample_must(kc_repository_set_state(p->ctx, repository, name, feed, state, rollout, &change));
}

static void undeploy_up(struct upstream *upstream, const char *name, const char *feed)
{
	struct publishing *p = &upstream->portal->p;
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;

	sample_must(kc_repository_open(p->ctx, publishing_path(p, "up"), &repository));
	sample_must(kc_repository_undeploy(p->ctx, repository, name, feed, &change));
}

static void updated(void *data, size_t n, struct kc_error *err)
{
	struct portal *portal = data;

	portal->n = n;
	portal_done(portal, err);
}

static struct kc_error *update_product(struct upstream *upstream, const char *feed, char product)
{
	kc_publisher_update(upstream->portal->publisher, feed, product, updated, upstream->portal);
	return portal_wait(upstream->portal);
}

static struct kc_error *update(struct upstream *upstream, const char *feed)
{
	return update_product(upstream, feed, 0);
}

static struct kc_error *download(struct upstream *upstream)
{
	kc_publisher_download_missing(upstream->portal->publisher, updated, upstream->portal);
	return portal_wait(upstream->portal);
}

/* ---- arrivals ---- */

struct wanted {
	const char *name;
	int64_t age_s; /* to be set */
	char text[128];
};

static struct kc_error *show_arrival(void *data, const struct kc_arrival *arrival)
{
	struct wanted *wanted = data;

	if (!strcmp(arrival->patchset, wanted->name))
		snprintf(wanted->text, sizeof(wanted->text), "%s %s %s%s", arrival->channel, arrival->distro,
			 arrival->source, arrival->is_here ? "" : " not here");
	return NULL;
}

static struct kc_error *find_arrival(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_each(conn, show_arrival, data);
}

static void assert_arrival(struct upstream *upstream, const char *name, const char *expected)
{
	struct wanted wanted = { .name = name };

	assert_kc_ok(kc_db_read(upstream->portal->db, find_arrival, &wanted));
	assert_string_equal(wanted.text, expected);
}

/* As if it had arrived earlier. */
static struct kc_error *age_arrival(struct kc_db_conn *conn, void *data)
{
	const struct wanted *wanted = data;
	struct kc_arrival arrival = { .patchset = (char *)wanted->name,
				      .channel = (char *)"default",
				      .distro = (char *)"debian12",
				      .source = (char *)(*wanted->text ? wanted->text : "https://up.example.org"),
				      .arrived = time(NULL) - wanted->age_s,
				      .is_here = true };

	KC_TRY(kc_arrivals_remove(conn, wanted->name));
	return kc_arrivals_put(conn, &arrival);
}

static void make_older(struct upstream *upstream, const char *name, int64_t hours, const char *source)
{
	struct wanted wanted = { .name = name, .age_s = hours * 3600 };

	snprintf(wanted.text, sizeof(wanted.text), "%s", source ? source : "");
	assert_kc_ok(kc_db_write_wait(upstream->portal->db, age_arrival, &wanted));
}

/* ---- what is taken ---- */

static void test_it_comes(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	kc_autobuf struct kc_buf theirs = { 0 }, ours = { 0 };

	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update(upstream, "main"));
	assert_int_equal(portal->n, 1);
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_arrival(upstream, K1, "default debian12 https://up.example.org");
	/* the author's signature goes on to those who follow us */
	assert_int_equal(
		kc_file_read(publishing_path(&portal->p, "up/public/patchsets/" K1 ".json"), BLOB_MAX, &theirs), 0);
	assert_int_equal(kc_file_read(publishing_path(&portal->p, "portal/repository/public/patchsets/" K1 ".json"),
				      BLOB_MAX, &ours),
			 0);
	assert_string_equal(theirs.data, ours.data);
	assert_kc_ok(update(upstream, "main"));
	assert_int_equal(portal->n, 0);
	assert_kc_error(update(upstream, "nowhere"), KC_ERR_NOT_FOUND, "there is no feed 'nowhere'");
}

static void test_only_feeds_that_want_it(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "eager", true, 0, "default");
	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "1 " K1 "\n");
	portal_assert_seen(portal, "main", "");
	assert_int_equal(portal->n, 1);
}

static void test_channels(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	add_up_feed(upstream, "test");
	add_up_feed(upstream, UNSTABLE);
	add_up_feed(upstream, "others");
	portal_feed(portal, "main", true, 0, "default");
	portal_feed(portal, "test", true, 0, "test");
	portal_feed(portal, "wild", true, 0, UNSTABLE);
	deploy_up(upstream, K1, 1, "main");
	deploy_up(upstream, K2, 2, "test");
	deploy_up(upstream, K3, 3, UNSTABLE);
	deploy_up(upstream, "K20261104_01", 4, "others");
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	portal_assert_seen(portal, "test", "1 " K1 "\n2 " K2 "\n");
	portal_assert_seen(portal, "wild", "1 " K1 "\n2 " K2 "\n3 " K3 "\n");
	assert_arrival(upstream, K2, "test debian12 https://up.example.org");
	assert_arrival(upstream, "K20261104_01", "");
	/* promoted there, it is for others here, too */
	set_up_state(upstream, K2, "main", KC_PATCHSET_ENABLED, 0);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
	assert_arrival(upstream, K2, "default debian12 https://up.example.org");
	/* what is bad there in a channel that the feed does not follow says nothing about it */
	set_up_state(upstream, K2, "test", KC_PATCHSET_BLOCKED, 0);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
	portal_assert_seen(portal, "test", "1 " K1 "\n2! " K2 "\n");
}

static void test_delay_counts_from_the_arrival(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "main", true, 24, "default");
	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update(upstream, NULL));
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(portal, "main", "");
	make_older(upstream, K1, 23, NULL);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "");
	make_older(upstream, K1, 25, NULL);
	/* what is here needs no upstream */
	upstream->is_gone = true;
	assert_kc_error(update(upstream, NULL), KC_ERR_NETWORK, "the upstream: ");
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_int_equal(portal->n, 1);
}

static void test_products(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update_product(upstream, "main", 'U'));
	portal_assert_seen(portal, "main", "");
	assert_kc_ok(update_product(upstream, "main", 'K'));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
}

static void test_rollout(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "main", true, 0, "default");
	deploy_up(upstream, K1, 1, "main");
	set_up_state(upstream, K1, "main", KC_PATCHSET_ENABLED, 10);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1% " K1 "\n");
	set_up_state(upstream, K1, "main", KC_PATCHSET_ENABLED, 100);
	assert_kc_ok(update(upstream, NULL));
	assert_int_equal(portal->n, 1);
	portal_assert_seen(portal, "main", "1 " K1 "\n");
}

/* ---- what somebody decided ---- */

static void test_blocks_follow(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "eager", true, 24, "default");
	deploy_up(upstream, K1, 1, "main");
	deploy_up(upstream, K2, 2, "main");
	assert_kc_ok(update(upstream, "main"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "eager"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K2, "eager"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K2, "eager"));
	set_up_state(upstream, K1, "main", KC_PATCHSET_BLOCKED, 0);
	set_up_state(upstream, K2, "main", KC_PATCHSET_BLOCKED, 0);
	/* at once, whatever the delay; what is disabled here, and a feed that follows nobody, stay as they are */
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "1! " K1 "\n");
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
	/* that it is good again, somebody here has to say */
	set_up_state(upstream, K1, "main", KC_PATCHSET_ENABLED, 0);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "1! " K1 "\n");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "eager"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "1 " K1 "\n");
}

static void test_what_is_blocked_does_not_come(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "eager", true, 0, "default");
	deploy_up(upstream, K1, 1, "main");
	set_up_state(upstream, K1, "main", KC_PATCHSET_BLOCKED, 0);
	deploy_up(upstream, K2, 2, "main");
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(portal, "main", "2 " K2 "\n");
	/* and what is blocked in one of our own feeds comes into no other */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K2, "main"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "");
}

static void test_left_as_it_was_decided(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "eager", true, 0, "default");
	deploy_up(upstream, K1, 1, "main");
	deploy_up(upstream, K2, 2, "main");
	deploy_up(upstream, K3, 3, "main");
	assert_kc_ok(download(upstream));
	assert_int_equal(portal->n, 3);
	/* before it ever came; after; and for good */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K1, "eager"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "2 " K2 "\n3 " K3 "\n");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K2, "eager"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "3 " K3 "\n");
}

static struct kc_error *unroll(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			       void *data)
{
	size_t n;

	return kc_publisher_unroll(ctx, publisher, repository, data, true, &n);
}

/* Also out of feeds whose delay is not over yet, although the upstream still has it. */
static void test_unrolled_it_stays_out(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	char patchset[] = K1;

	portal_feed(portal, "main", true, 0, "default");
	portal_feed(portal, "later", true, 24, "default");
	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_ok(portal_do(portal, unroll, patchset));
	portal_assert_seen(portal, "main", "");
	assert_kc_ok(update(upstream, NULL));
	make_older(upstream, K1, 25, NULL);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "");
	portal_assert_seen(portal, "later", "");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "later"));
	portal_assert_seen(portal, "later", "1 " K1 "\n");
}

/* ---- what arrived otherwise ---- */

static void test_uploads(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "test", false, 0, "test");
	portal_feed(portal, "canary", false, 0, "default");
	portal_feed(portal, "eager", true, 24, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "canary"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "test"));
	assert_kc_ok(portal_deploy(portal, K3, 3, "canary"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K3, "canary"));
	assert_arrival(upstream, K1, "default debian12 upload");
	assert_arrival(upstream, K2, "test debian12 upload");
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "");
	make_older(upstream, K1, 25, "upload");
	make_older(upstream, K3, 25, "upload");
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "eager", "1 " K1 "\n");
	/* an update of a feed that does not follow by itself is about the upstream */
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(portal, "main", "");
}

/* Nobody has to remember that a feed took it by itself. */
static void test_blocks_here_follow(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	portal_feed(portal, "test", true, 0, "test");
	portal_feed(portal, "canary", true, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "main"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "test", "1 " K1 "\n2 " K2 "\n");
	/* what the less stable feed blocks is good for the others */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K1, "test"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K2, "main"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n2! " K2 "\n");
	portal_assert_seen(portal, "canary", "1 " K1 "\n2! " K2 "\n");
	portal_assert_seen(portal, "test", "1! " K1 "\n2! " K2 "\n");
	/* and that it is good again, somebody has to say for each */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K2, "main"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K2, "canary"));
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "canary", "1 " K1 "\n2 " K2 "\n");
	portal_assert_seen(portal, "test", "1! " K1 "\n2! " K2 "\n");
}

/* ---- an upstream that is wrong ---- */

static void keep_copy(struct upstream *upstream, const char *name)
{
	kc_autofree char *from = strdup(publishing_path(&upstream->portal->p, "up/public"));
	kc_autofree char *to = strdup(publishing_path(&upstream->portal->p, "%s", name)), *command = NULL;

	assert_true(asprintf(&command, "cp -a %s %s", from, to) > 0);
	assert_int_equal(system(command), 0);
}

static void assert_as_it_was(struct upstream *upstream)
{
	portal_assert_seen(upstream->portal, "main", "1 " K1 "\n");
	assert_int_equal(upstream->portal->n, 0);
	assert_arrival(upstream, K2, "");
	assert_false(publishing_has(&upstream->portal->p, "portal/upstream/public/patchsets/" K2 ".json"));
}

static void test_a_bad_upstream_changes_nothing(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	kc_autofree char *timestamp = NULL;
	kc_autobuf struct kc_buf text = { 0 };

	portal_feed(portal, "main", true, 0, "default");
	deploy_up(upstream, K1, 1, "main");
	keep_copy(upstream, "older");
	sleep(1); /* the next version is another one */
	set_up_state(upstream, K1, "main", KC_PATCHSET_ENABLED, 99);
	set_up_state(upstream, K1, "main", KC_PATCHSET_ENABLED, 100);
	assert_kc_ok(update(upstream, NULL));
	/* rolled back */
	snprintf(upstream->folder, sizeof(upstream->folder), "%s/older", portal->p.dir);
	assert_kc_error(update(upstream, NULL), KC_ERR_ROLLBACK, "the upstream: feed main");
	assert_as_it_was(upstream);
	/* gone */
	snprintf(upstream->folder, sizeof(upstream->folder), "%s/up/public", portal->p.dir);
	deploy_up(upstream, K2, 2, "main");
	upstream->is_gone = true;
	assert_kc_error(update(upstream, NULL), KC_ERR_NETWORK, "no such host");
	assert_as_it_was(upstream);
	/* cut off in the middle */
	upstream->is_gone = false;
	upstream->lacks = "blobs/";
	assert_kc_error(update(upstream, NULL), KC_ERR_SERVER, "blobs/");
	assert_as_it_was(upstream);
	/* forged */
	upstream->lacks = NULL;
	timestamp = strdup(publishing_path(&portal->p, "up/public/feeds/main/metadata/timestamp.json"));
	assert_int_equal(kc_file_read(timestamp, BLOB_MAX, &text), 0);
	keep_copy(upstream, "right");
	*strstr(text.data, "\"version\":1") = ' ';
	assert_int_equal(kc_file_replace(timestamp, text.data, text.size, 0644), 0);
	{
		kc_autoerror struct kc_error *err = update(upstream, NULL);

		assert_non_null(err);
		assert_int_equal(portal->n, 0);
	}
	assert_as_it_was(upstream);
	/* and when it is right again, it goes on */
	snprintf(upstream->folder, sizeof(upstream->folder), "%s/right", portal->p.dir);
	assert_kc_ok(update(upstream, NULL));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
}

/* Trusted there, not here: none of his arrives, all of the others does. */
static void test_an_unknown_author(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	struct publishing *p = &portal->p;
	const struct sample_entry entry = { SAMPLE_KERNEL_ID, 1, NULL };
	kc_autokey struct kc_key *key = NULL;
	char stranger[64];
	char *const authors[] = { stranger, NULL };

	publishing_keygen(p, "stranger");
	sample_must(kc_key_load(p->ctx, publishing_path(p, "stranger.key"), &key));
	snprintf(stranger, sizeof(stranger), "%s/stranger.pub", p->dir);
	{
		kc_autorepository struct kc_repository *repository = NULL;

		sample_must(kc_repository_open(p->ctx, publishing_path(p, "up"), &repository));
		sample_must(kc_repository_trust(p->ctx, repository, authors, NULL));
	}
	publishing_deploy(p, "up", publishing_archive(p, K1, portal_released(1), key, &entry, 1), "main");
	deploy_up(upstream, K2, 2, "main");
	assert_kc_error(update(upstream, "main"), KC_ERR_UNKNOWN_KEY, K1 ": ");
	assert_int_equal(portal->n, 1);
	portal_assert_seen(portal, "main", "2 " K2 "\n");
	assert_arrival(upstream, K1, "");
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"), KC_ERR_UNKNOWN_KEY, K1);
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE_UPTO, K1, "main"), KC_ERR_NOT_FOUND, K1);
}

/* Older repositories do not show the authors' lists: nobody could check them here. */
static void test_an_upstream_without_lists(void **state)
{
	struct upstream *upstream = *state;

	deploy_up(upstream, K1, 1, "main");
	upstream->lacks = "patchsets/";
	assert_kc_error(update(upstream, "main"), KC_ERR_NOT_FOUND, K1 ": the upstream does not show");
	portal_assert_seen(upstream->portal, "main", "");
	upstream->lacks = NULL;
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(upstream->portal, "main", "1 " K1 "\n");
}

/* ---- files ---- */

static char *blob_of(struct upstream *upstream, const char *folder, const char *name)
{
	struct publishing *p = &upstream->portal->p;
	kc_autopatchset struct kc_patchset *list = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *blob = NULL;

	assert_int_equal(kc_file_read(publishing_path(p, "up/public/patchsets/%s.json", name), BLOB_MAX, &text), 0);
	sample_must(kc_patchset_peek("list", text.data, text.size, &list));
	blob = kc_blob_path(list->files[0].hash);
	return strdup(publishing_path(p, "%s/%s", folder, blob));
}

static void test_what_was_lost_comes_back(void **state)
{
	struct upstream *upstream = *state;
	kc_autofree char *blob = NULL;

	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(update(upstream, "main"));
	blob = blob_of(upstream, "portal/repository/public", K1);
	assert_int_equal(unlink(blob), 0);
	assert_kc_ok(download(upstream));
	assert_int_equal(upstream->portal->n, 1);
	assert_int_equal(access(blob, F_OK), 0);
	assert_kc_ok(download(upstream));
	assert_int_equal(upstream->portal->n, 0);
}

static void test_what_the_upstream_drops(void **state)
{
	struct upstream *upstream = *state;
	kc_autofree char *kept = NULL, *taken = NULL;

	deploy_up(upstream, K1, 1, "main");
	deploy_up(upstream, K2, 2, "main");
	assert_kc_ok(download(upstream));
	assert_kc_ok(portal_manage(upstream->portal, KC_PATCHSET_ENABLE, K1, "main"));
	kept = blob_of(upstream, "portal/upstream/public", K2);
	taken = blob_of(upstream, "portal/repository/public", K1);
	assert_int_equal(access(kept, F_OK), 0);
	undeploy_up(upstream, K1, "main");
	undeploy_up(upstream, K2, "main");
	assert_kc_ok(update(upstream, "main"));
	assert_int_not_equal(access(kept, F_OK), 0);
	assert_int_equal(access(taken, F_OK), 0);
	/* it is known, and can be had no more */
	assert_arrival(upstream, K2, "default debian12 https://up.example.org not here");
	assert_arrival(upstream, K1, "default debian12 https://up.example.org");
	assert_kc_error(portal_manage(upstream->portal, KC_PATCHSET_ENABLE, K2, "main"), KC_ERR_NOT_FOUND,
			"download-missing");
}

static void test_damaged_record(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	kc_autofree char *seen = strdup(publishing_path(&portal->p, "portal/upstream/seen.json"));

	deploy_up(upstream, K1, 1, "main");
	assert_kc_ok(download(upstream));
	portal_stop(portal);
	assert_int_equal(kc_file_replace(seen, "{\"document\":", 12, 0600), 0);
	portal_start(portal);
	upstream->is_gone = true;
	assert_kc_error(update(upstream, "main"), KC_ERR_NETWORK, "no such host");
	upstream->is_gone = false;
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
}

/* ---- the end ---- */

static void test_a_copy_ends_when_it_should(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;

	deploy_up(upstream, K1, 1, "main");
	deploy_up(upstream, K2, 2, "main");
	deploy_up(upstream, K3, 3, "main");
	upstream->slow = "blobs/";
	kc_publisher_update(portal->publisher, "main", 0, updated, portal);
	while (sem_wait(&upstream->is_slow))
		;
	kc_publisher_stop(portal->publisher);
	assert_kc_error(portal_wait(portal), KC_ERR_BUSY, "stopped");
	assert_int_equal(portal->n, 0);
	/* asked for too late */
	kc_publisher_update(portal->publisher, "main", 0, updated, portal);
	assert_kc_error(portal_wait(portal), KC_ERR_BUSY, "stopped");
	kc_publisher_free(portal->publisher);
	kc_db_close(portal->db);
	upstream->slow = NULL;
	portal_start(portal);
	assert_kc_ok(update(upstream, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n3 " K3 "\n");
}

/* A copy may take hours: jobs do not wait for it. */
static void test_a_block_does_not_wait_for_a_copy(void **state)
{
	struct upstream *upstream = *state;
	struct portal *portal = upstream->portal;
	sem_t *is_slow = &upstream->is_slow;

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	deploy_up(upstream, K2, 2, "main");
	upstream->slow = "blobs/";
	kc_publisher_update(portal->publisher, NULL, 0, NULL, NULL);
	while (sem_wait(is_slow))
		;
	upstream->slow = NULL;
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K1, "main"));
	assert_false(publishing_has(&portal->p, "portal/upstream/seen.json"));
	portal_assert_seen(portal, "main", "1! " K1 "\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_comes),
		TEST(test_only_feeds_that_want_it),
		TEST(test_channels),
		TEST(test_delay_counts_from_the_arrival),
		TEST(test_products),
		TEST(test_rollout),
		TEST(test_blocks_follow),
		TEST(test_what_is_blocked_does_not_come),
		TEST(test_left_as_it_was_decided),
		TEST(test_unrolled_it_stays_out),
		TEST(test_uploads),
		TEST(test_blocks_here_follow),
		TEST(test_a_bad_upstream_changes_nothing),
		TEST(test_an_unknown_author),
		TEST(test_an_upstream_without_lists),
		TEST(test_what_was_lost_comes_back),
		TEST(test_what_the_upstream_drops),
		TEST(test_damaged_record),
		TEST(test_a_copy_ends_when_it_should),
		TEST(test_a_block_does_not_wait_for_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
