/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's publisher over real repositories: what jobs do to feeds, and what hosts are offered. */
#include <setjmp.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "kc_assert.h"
#include "portal/db/arrivals.h"
#include "portal/feeds/publisher.h"
#include "publishing.h"
#include "sample.h"

#define K1 "K20261101_01"
#define K2 "K20261102_01"
#define K3 "K20261103_01"

enum { DAY = 86400 };

struct portal {
	struct publishing p;
	struct kc_db *db;
	struct kc_publisher *publisher;
	struct kc_portal_config config;
	sem_t done;
	struct kc_error *err;
};

/* The same in each call: an archive that is made again is the same patchset. */
static int64_t released(int level)
{
	static int64_t now;

	if (!now)
		now = time(NULL);
	return now - 30 * DAY + level * DAY;
}

/* "DIR/NAME.tar.bz2" with one patch of that level for SAMPLE_KERNEL_ID. */
static const char *archive(struct portal *portal, const char *name, uint32_t level)
{
	const struct sample_entry entry = { SAMPLE_KERNEL_ID, level, NULL };

	return publishing_archive(&portal->p, name, released((int)level), NULL, &entry, 1);
}

static void start(struct portal *portal)
{
	assert_kc_ok(kc_db_open(portal->p.ctx, publishing_path(&portal->p, "portal/portal.db"), &portal->db));
	assert_kc_ok(kc_publisher_start(portal->p.ctx, publishing_path(&portal->p, "portal"), &portal->config,
					portal->db, &portal->publisher));
}

static void stop(struct portal *portal)
{
	kc_publisher_stop(portal->publisher);
	kc_publisher_free(portal->publisher);
	kc_db_close(portal->db);
	portal->publisher = NULL;
	portal->db = NULL;
}

static int set_up(void **state)
{
	struct portal *portal = calloc(1, sizeof(*portal));

	publishing_start(&portal->p);
	assert_int_equal(kc_dir_make(publishing_path(&portal->p, "portal"), 0755), 0);
	publishing_init(&portal->p, "portal/repository", true);
	sem_init(&portal->done, 0, 0);
	start(portal);
	*state = portal;
	return 0;
}

static int tear_down(void **state)
{
	struct portal *portal = *state;

	stop(portal);
	sem_destroy(&portal->done);
	publishing_clear(&portal->p);
	free(portal);
	return 0;
}

/* ---- jobs that are waited for ---- */

static void done(void *data, struct kc_error *err)
{
	struct portal *portal = data;

	portal->err = err;
	sem_post(&portal->done);
}

static struct kc_error *wait_for(struct portal *portal)
{
	while (sem_wait(&portal->done))
		;
	return kc_steal(portal->err);
}

struct call {
	struct kc_manage manage;
	struct kc_managed managed;
	struct portal *portal;
};

static void called(void *data, struct kc_error *err)
{
	done(((struct call *)data)->portal, err);
}

static struct kc_error *run_manage(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   void *data)
{
	struct call *call = data;

	return kc_publisher_manage(ctx, publisher, repository, &call->manage, &call->managed);
}

static struct kc_error *manage_all(struct portal *portal, const struct kc_manage *manage, struct kc_managed *managed)
{
	struct call call = { .manage = *manage, .portal = portal };
	struct kc_error *err;

	kc_publisher_do(portal->publisher, run_manage, called, &call);
	err = wait_for(portal);
	*managed = call.managed;
	return err;
}

static struct kc_error *manage(struct portal *portal, enum kc_patchset_action action, const char *patchset,
			       const char *feed)
{
	const struct kc_manage job = { .action = action, .patchset = patchset, .feed = feed };
	struct kc_managed managed;

	return manage_all(portal, &job, &managed);
}

static size_t manage_many(struct portal *portal, enum kc_patchset_action action, const char *patchset, const char *feed)
{
	const struct kc_manage job = { .action = action, .patchset = patchset, .feed = feed };
	struct kc_managed managed;

	assert_kc_ok(manage_all(portal, &job, &managed));
	return managed.n;
}

static struct kc_error *deploy(struct portal *portal, const char *name, uint32_t level, const char *feed)
{
	const struct kc_manage job = { .action = KC_PATCHSET_DEPLOY,
				       .feed = feed,
				       .archive = archive(portal, name, level) };
	struct kc_managed managed;

	KC_TRY(manage_all(portal, &job, &managed));
	assert_string_equal(managed.patchset, name);
	return NULL;
}

static struct kc_error *add_feed(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 void *data)
{
	struct kc_feed_info info = { .name = ((struct call *)data)->portal ? (char *)"test" : NULL };

	(void)publisher;
	return kc_repository_feed_add(ctx, repository, &info, NULL);
}

static void make_feed_test(struct portal *portal)
{
	struct call call = { .portal = portal };

	kc_publisher_do(portal->publisher, add_feed, called, &call);
	assert_kc_ok(wait_for(portal));
}

static void assert_seen(struct portal *portal, const char *feed, const char *expected)
{
	kc_autobuf struct kc_buf seen = { 0 };

	publishing_seen(&portal->p, "portal/repository", feed, SAMPLE_KERNEL_ID, &seen);
	assert_string_equal(seen.data ? seen.data : "", expected);
}

/* ---- what can be done ---- */

static void test_states(void **state)
{
	struct portal *portal = *state;

	assert_kc_ok(deploy(portal, K1, 1, "main"));
	assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_error(deploy(portal, K1, 1, "main"), KC_ERR_NOTHING, "already");
	assert_kc_error(deploy(portal, K2, 2, "nowhere"), KC_ERR_NOT_FOUND, "nowhere");
	assert_kc_ok(manage(portal, KC_PATCHSET_BLOCK, K1, "main"));
	assert_seen(portal, "main", "1! " K1 "\n");
	assert_kc_ok(manage(portal, KC_PATCHSET_DISABLE, K1, "main"));
	assert_seen(portal, "main", "");
	assert_kc_error(manage(portal, KC_PATCHSET_DISABLE, K1, "main"), KC_ERR_NOTHING, "disabled");
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_error(manage(portal, KC_PATCHSET_ENABLE, K3, "main"), KC_ERR_NOT_FOUND, K3);
	assert_kc_error(manage(portal, KC_PATCHSET_BLOCK, K3, "main"), KC_ERR_NOT_FOUND, K3);
	assert_kc_error(manage(portal, KC_PATCHSET_ENABLE, "../" K1, "main"), KC_ERR_INPUT, "../" K1);
}

static void test_products(void **state)
{
	struct portal *portal = *state;
	kc_autofree char *path = strdup(archive(portal, K1, 1));
	struct kc_manage job = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = path, .product = 'U' };
	struct kc_managed managed;

	assert_int_equal(kc_patchset_product("U20261101_01-qemu"), 'Q');
	assert_int_equal(kc_patchset_product("U20261101_01"), 'U');
	assert_kc_error(manage_all(portal, &job, &managed), KC_ERR_INPUT, "of kcare");
	assert_seen(portal, "main", "");
	job.product = 'K';
	job.disabled = true;
	assert_kc_ok(manage_all(portal, &job, &managed));
	assert_seen(portal, "main", "");
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_seen(portal, "main", "1 " K1 "\n");
}

/* Out of every feed, its files are still here. */
static void test_undeployed_and_back(void **state)
{
	struct portal *portal = *state;

	make_feed_test(portal);
	assert_kc_ok(deploy(portal, K1, 1, "test"));
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_ok(manage(portal, KC_PATCHSET_UNDEPLOY, K1, "main"));
	assert_kc_ok(manage(portal, KC_PATCHSET_UNDEPLOY, K1, "test"));
	assert_kc_error(manage(portal, KC_PATCHSET_UNDEPLOY, K1, "test"), KC_ERR_NOTHING, "does not have");
	assert_seen(portal, "test", "");
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_seen(portal, "main", "1 " K1 "\n");
}

static void test_many_at_once(void **state)
{
	struct portal *portal = *state;

	make_feed_test(portal);
	assert_kc_ok(deploy(portal, K1, 1, "test"));
	assert_kc_ok(deploy(portal, K2, 2, "test"));
	assert_kc_ok(deploy(portal, K3, 3, "test"));
	/* what somebody has disabled stays so */
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(manage(portal, KC_PATCHSET_DISABLE, K1, "main"));
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K2, "main"), 1);
	assert_seen(portal, "main", "2 " K2 "\n");
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), 1);
	assert_seen(portal, "main", "2 " K2 "\n3 " K3 "\n");
	assert_kc_error(manage(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), KC_ERR_NOTHING, "main");
	assert_int_equal(manage_many(portal, KC_PATCHSET_UNDEPLOY_DOWNTO, K2, "test"), 2);
	assert_seen(portal, "test", "1 " K1 "\n");
	assert_kc_error(manage(portal, KC_PATCHSET_ENABLE_UPTO, "K20990101_01", "main"), KC_ERR_NOT_FOUND, "K2099");
}

struct unroll {
	struct portal *portal;
	const char *patchset;
	bool remove;
	size_t n;
};

static struct kc_error *run_unroll(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   void *data)
{
	struct unroll *unroll = data;

	return kc_publisher_unroll(ctx, publisher, repository, unroll->patchset, unroll->remove, &unroll->n);
}

static void unrolled(void *data, struct kc_error *err)
{
	done(((struct unroll *)data)->portal, err);
}

static struct kc_error *unroll_all(struct portal *portal, struct unroll *unroll)
{
	kc_publisher_do(portal->publisher, run_unroll, unrolled, unroll);
	return wait_for(portal);
}

static void test_unroll(void **state)
{
	struct portal *portal = *state;
	struct unroll unroll = { portal, K1, false, 0 };

	make_feed_test(portal);
	assert_kc_ok(deploy(portal, K1, 1, "test"));
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(unroll_all(portal, &unroll));
	assert_int_equal(unroll.n, 2);
	assert_seen(portal, "main", "");
	assert_kc_error(unroll_all(portal, &unroll), KC_ERR_NOTHING, K1);
	assert_kc_ok(manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	unroll.remove = true;
	assert_kc_ok(unroll_all(portal, &unroll));
	assert_int_equal(unroll.n, 1);
	/* now it is gone for good */
	assert_kc_error(manage(portal, KC_PATCHSET_ENABLE, K1, "main"), KC_ERR_NOT_FOUND, K1);
}

/* ---- what hosts are offered ---- */

static enum kc_offer offer(struct portal *portal, const char *feed, const struct kc_choice_policy *policy,
			   uint32_t level, uint32_t expected)
{
	enum kc_offer found;
	uint32_t offered;

	assert_kc_ok(kc_publisher_offer(portal->publisher, feed, SAMPLE_KERNEL_ID, policy, level, &found, &offered));
	assert_int_equal(offered, expected);
	return found;
}

static void test_offers(void **state)
{
	struct portal *portal = *state;
	struct kc_choice_policy policy = { .type = "default", .now = time(NULL), .host = "host" };
	enum kc_offer found;
	uint32_t offered;

	assert_int_equal(offer(portal, "main", &policy, 0, 0), KC_OFFER_UNSUPPORTED);
	assert_kc_ok(deploy(portal, K1, 1, "main"));
	assert_int_equal(offer(portal, "main", &policy, 0, 1), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "", &policy, 1, 1), KC_OFFER_UPDATED);
	assert_kc_ok(deploy(portal, K2, 2, "main"));
	assert_int_equal(offer(portal, "24h", &policy, 1, 2), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "main", &policy, 2, 2), KC_OFFER_UPDATED);
	/* by the host's own rules level 1 is what it may have */
	policy.delay_s = policy.now - released(1) - DAY / 2;
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.delay_s = 0;
	policy.before = released(2);
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.before = 0;
	policy.not_newer = K1;
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.not_newer = NULL;
	/* a blocked level is outdated although there is none above it */
	assert_kc_ok(manage(portal, KC_PATCHSET_BLOCK, K2, "main"));
	assert_int_equal(offer(portal, "main", &policy, 2, 1), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);

	assert_kc_error(kc_publisher_offer(portal->publisher, "nowhere", SAMPLE_KERNEL_ID, &policy, 1, &found,
					   &offered),
			KC_ERR_NOT_FOUND, "nowhere");
	assert_kc_error(kc_publisher_offer(portal->publisher, "../main", SAMPLE_KERNEL_ID, &policy, 1, &found,
					   &offered),
			KC_ERR_NOT_FOUND, "../main");
	assert_kc_ok(kc_publisher_offer(portal->publisher, "main", "not/a/kernel", &policy, 1, &found, &offered));
	assert_int_equal(found, KC_OFFER_UNSUPPORTED);
}

static void test_expiry(void **state)
{
	struct portal *portal = *state;
	int64_t timestamp, root, now = time(NULL);

	assert_kc_ok(kc_publisher_expiry(portal->publisher, &timestamp, &root));
	assert_in_range(timestamp, now + KC_REPO_TIMESTAMP_VALID_S - 600, now + KC_REPO_TIMESTAMP_VALID_S + 600);
	assert_in_range(root, now + KC_REPO_ROOT_VALID_S - 600, now + KC_REPO_ROOT_VALID_S + 600);
}

/* ---- two at once, and cut off ---- */

static void test_two_at_once(void **state)
{
	struct portal *portal = *state;
	struct call a = { .manage = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = archive(portal, K1, 1) },
			  .portal = portal },
		    b = { .manage = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = archive(portal, K2, 2) },
			  .portal = portal };
	kc_autofree char *first = strdup(a.manage.archive), *second = strdup(b.manage.archive);

	a.manage.archive = first;
	b.manage.archive = second;
	kc_publisher_do(portal->publisher, run_manage, called, &a);
	kc_publisher_do(portal->publisher, run_manage, called, &b);
	assert_kc_ok(wait_for(portal));
	assert_kc_ok(wait_for(portal));
	assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
}

/* A portal that is killed in the middle: the next one shows the state of before, or that of after. */
static void test_killed(void **state)
{
	struct portal *portal = *state;
	kc_autofree char *path = strdup(archive(portal, K2, 2));

	assert_kc_ok(deploy(portal, K1, 1, "main"));
	stop(portal);
	for (unsigned us = 0; us < 40000; us += 2000) {
		pid_t child = fork();

		if (!child) {
			struct call call = {
				.manage = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = path },
				.portal = portal
			};

			start(portal);
			kc_publisher_do(portal->publisher, run_manage, called, &call);
			kc_error_free(wait_for(portal));
			_exit(0);
		}
		nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		start(portal);
		{
			/* whatever was left is completed by the first job */
			struct kc_error *err = manage(portal, KC_PATCHSET_ENABLE, K1, "main");
			kc_autobuf struct kc_buf seen = { 0 };

			assert_kc_error(err, KC_ERR_NOTHING, "enabled");
			publishing_seen(&portal->p, "portal/repository", "main", SAMPLE_KERNEL_ID, &seen);
			assert_true(!strcmp(seen.data, "1 " K1 "\n") || !strcmp(seen.data, "1 " K1 "\n2 " K2 "\n"));
		}
		stop(portal);
	}
	start(portal);
}

/* ---- what feeds take by themselves ---- */

static struct kc_error *set_auto(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 void *data)
{
	const struct kc_feed_info info = { .name = (char *)"main",
					   .note = (char *)"",
					   .auto_update = true,
					   .deploy_after_h = *(unsigned *)data,
					   .channel = (char *)"default" };

	(void)publisher;
	return kc_repository_feed_change(ctx, repository, &info);
}

static void wait_until_seen(struct portal *portal, const char *feed, const char *expected)
{
	for (int tries = 0; tries < 200; tries++) {
		kc_autobuf struct kc_buf seen = { 0 };

		publishing_seen(&portal->p, "portal/repository", feed, SAMPLE_KERNEL_ID, &seen);
		if (!strcmp(seen.data ? seen.data : "", expected))
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	assert_seen(portal, feed, expected);
}

/* main follows test, some hours after the arrival here. */
static void test_auto(void **state)
{
	struct portal *portal = *state;
	unsigned hours = 1;

	make_feed_test(portal);
	assert_kc_ok(deploy(portal, K1, 1, "test"));
	stop(portal);
	portal->config.auto_update_s = 1;
	start(portal);
	kc_publisher_do(portal->publisher, set_auto, NULL, &hours);
	nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
	assert_seen(portal, "main", "");
	hours = 0;
	kc_publisher_do(portal->publisher, set_auto, NULL, &hours);
	wait_until_seen(portal, "main", "1 " K1 "\n");
	/* what somebody takes out stays out */
	assert_kc_ok(manage(portal, KC_PATCHSET_UNDEPLOY, K1, "main"));
	nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
	assert_seen(portal, "main", "");
}

static void updated(void *data, size_t n, struct kc_error *err)
{
	assert_int_equal(n, 0);
	done(data, err);
}

static void test_no_upstream(void **state)
{
	struct portal *portal = *state;

	kc_publisher_update(portal->publisher, NULL, 0, updated, portal);
	assert_kc_error(wait_for(portal), KC_ERR_CONFIG, "UPSTREAM");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),	 TEST(test_products),	 TEST(test_undeployed_and_back),
		TEST(test_many_at_once), TEST(test_unroll),	 TEST(test_offers),
		TEST(test_expiry),	 TEST(test_two_at_once), TEST(test_killed),
		TEST(test_auto),	 TEST(test_no_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
