/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's publisher over real repositories: what jobs do to feeds, and what hosts are offered. */
#include <setjmp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "feeds_portal.h"
#include "kc_assert.h"
#include "portal/db/arrivals.h"
#include "portal/feeds/publisher_internal.h"
#include "publishing.h"
#include "sample.h"

static size_t manage_many(struct portal *portal, enum kc_patchset_action action, const char *patchset, const char *feed)
{
	const struct kc_manage job = { .action = action, .patchset = patchset, .feed = feed };
	struct kc_managed managed;

	assert_kc_ok(portal_manage_all(portal, &job, &managed));
	return managed.n;
}

static struct kc_error *count_arrival(void *data, const struct kc_arrival *arrival)
{
	*(size_t *)data += arrival->is_here;
	return NULL;
}

static struct kc_error *count_arrivals(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_each(conn, count_arrival, data);
}

/* Patchsets that are here, by the database. */
static size_t n_arrivals(struct portal *portal)
{
	size_t n = 0;

	assert_kc_ok(kc_db_read(portal->db, count_arrivals, &n));
	return n;
}

/* ---- what can be done ---- */

static void test_states(void **state)
{
	struct portal *portal = *state;

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_error(portal_deploy(portal, K1, 1, "main"), KC_ERR_NOTHING, "already");
	assert_kc_error(portal_deploy(portal, K2, 2, "nowhere"), KC_ERR_NOT_FOUND, "nowhere");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K1, "main"));
	portal_assert_seen(portal, "main", "1! " K1 "\n");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K1, "main"));
	portal_assert_seen(portal, "main", "");
	assert_kc_error(portal_manage(portal, KC_PATCHSET_DISABLE, K1, "main"), KC_ERR_NOTHING, "disabled");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE, K3, "main"), KC_ERR_NOT_FOUND, K3);
	assert_kc_error(portal_manage(portal, KC_PATCHSET_BLOCK, K3, "main"), KC_ERR_NOT_FOUND, K3);
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE, "../" K1, "main"), KC_ERR_INPUT, "../" K1);
}

static void test_products(void **state)
{
	struct portal *portal = *state;
	kc_autofree char *path = strdup(portal_archive(portal, K1, 1));
	struct kc_manage job = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = path, .product = 'U' };
	struct kc_managed managed;

	assert_int_equal(kc_patchset_product("U20261101_01-qemu"), 'Q');
	assert_int_equal(kc_patchset_product("U20261101_01"), 'U');
	assert_kc_error(portal_manage_all(portal, &job, &managed), KC_ERR_INPUT, "of kcare");
	portal_assert_seen(portal, "main", "");
	job.product = 'K';
	job.disabled = true;
	assert_kc_ok(portal_manage_all(portal, &job, &managed));
	portal_assert_seen(portal, "main", "");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
}

/* Out of every feed, its files are still here. */
static void test_undeployed_and_back(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "main"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "test"));
	assert_kc_error(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "test"), KC_ERR_NOTHING, "does not have");
	portal_assert_seen(portal, "test", "");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n");
}

static void test_many_at_once(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "test"));
	assert_kc_ok(portal_deploy(portal, K3, 3, "test"));
	/* what somebody has disabled stays so */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K1, "main"));
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K2, "main"), 1);
	portal_assert_seen(portal, "main", "2 " K2 "\n");
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), 1);
	portal_assert_seen(portal, "main", "2 " K2 "\n3 " K3 "\n");
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), KC_ERR_NOTHING, "main");
	assert_int_equal(manage_many(portal, KC_PATCHSET_UNDEPLOY_DOWNTO, K2, "test"), 2);
	portal_assert_seen(portal, "test", "1 " K1 "\n");
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE_UPTO, "K20990101_01", "main"), KC_ERR_NOT_FOUND,
			"K2099");
}

/* Mass changes pass by what somebody has decided. */
static void test_disabled_and_blocked_stay(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "test"));
	assert_kc_ok(portal_deploy(portal, K3, 3, "test"));
	/* before the feed has it: it never comes by itself */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K1, "main"));
	assert_kc_error(portal_manage(portal, KC_PATCHSET_BLOCK, K2, "main"), KC_ERR_NOT_FOUND, "main");
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), 2);
	portal_assert_seen(portal, "main", "2 " K2 "\n3 " K3 "\n");
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K3, "main"));
	assert_int_equal(manage_many(portal, KC_PATCHSET_UNDEPLOY_DOWNTO, K2, "main"), 1);
	portal_assert_seen(portal, "main", "3! " K3 "\n");
	/* what was undeployed comes back with the others; the one that is named always does */
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), 2);
	portal_assert_seen(portal, "main", "2 " K2 "\n3 " K3 "\n");
	assert_int_equal(manage_many(portal, KC_PATCHSET_UNDEPLOY_DOWNTO, K1, "main"), 3);
	portal_assert_seen(portal, "main", "");
}

/* A feed's channel says what is stable enough for it; who names a patchset decides by himself. */
static void test_channels_of_uploads(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "test");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "main"));
	assert_kc_ok(portal_deploy(portal, K3, 3, "test"));
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "main"), 1);
	portal_assert_seen(portal, "main", "2 " K2 "\n3 " K3 "\n");
	assert_int_equal(manage_many(portal, KC_PATCHSET_ENABLE_UPTO, K3, "test"), 1);
	portal_assert_seen(portal, "test", "1 " K1 "\n2 " K2 "\n3 " K3 "\n");
}

/* Files of what no feed has are in archives/; of what one has, only in the repository. */
static void test_where_files_are(void **state)
{
	struct portal *portal = *state;
	struct publishing *p = &portal->p;

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "main"));
	assert_false(publishing_has(p, "portal/archives/patchsets/" K1 ".json"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "test"));
	assert_true(publishing_has(p, "portal/archives/patchsets/" K1 ".json"));
	assert_false(publishing_has(p, "portal/repository/private/patchsets/" K1 ".json"));
	assert_int_equal(n_arrivals(portal), 1);
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_false(publishing_has(p, "portal/archives/patchsets/" K1 ".json"));
	assert_true(publishing_has(p, "portal/repository/private/patchsets/" K1 ".json"));
	/* its archive, again, does as well */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K1, "main"));
	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_false(publishing_has(p, "portal/archives/patchsets/" K1 ".json"));
}

struct unroll {
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

static struct kc_error *unroll_all(struct portal *portal, struct unroll *unroll)
{
	return portal_do(portal, run_unroll, unroll);
}

static void test_unroll(void **state)
{
	struct portal *portal = *state;
	struct unroll unroll = { K1, false, 0 };

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(unroll_all(portal, &unroll));
	assert_int_equal(unroll.n, 2);
	portal_assert_seen(portal, "main", "");
	assert_kc_error(unroll_all(portal, &unroll), KC_ERR_NOTHING, K1);
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	unroll.remove = true;
	assert_kc_ok(unroll_all(portal, &unroll));
	assert_int_equal(unroll.n, 1);
	/* now it is gone for good */
	assert_false(publishing_has(&portal->p, "portal/archives/patchsets/" K1 ".json"));
	assert_int_equal(n_arrivals(portal), 0);
	assert_kc_error(unroll_all(portal, &unroll), KC_ERR_NOTHING, K1);
	assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"), KC_ERR_NOT_FOUND, K1);
}

static struct kc_error *run_remove_feed(struct kc_ctx *ctx, struct kc_publisher *publisher,
					struct kc_repository *repository, void *name)
{
	return kc_publisher_remove_feed(ctx, publisher, repository, name);
}

/* What only the feed had that goes can be enabled again in another one. */
static void test_remove_feed(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "test"));
	assert_kc_ok(portal_do(portal, run_remove_feed, (void *)"test"));
	assert_kc_error(portal_do(portal, run_remove_feed, (void *)"test"), KC_ERR_NOT_FOUND, "test");
	assert_false(publishing_has(&portal->p, "portal/archives/patchsets/" K1 ".json"));
	assert_true(publishing_has(&portal->p, "portal/archives/patchsets/" K2 ".json"));
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K2, "main"));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
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
	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_int_equal(offer(portal, "main", &policy, 0, 1), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "", &policy, 1, 1), KC_OFFER_UPDATED);
	assert_kc_ok(portal_deploy(portal, K2, 2, "main"));
	assert_int_equal(offer(portal, "24h", &policy, 1, 2), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "main", &policy, 2, 2), KC_OFFER_UPDATED);
	/* by the host's own rules level 1 is what it may have */
	policy.delay_s = policy.now - portal_released(1) - DAY / 2;
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.delay_s = 0;
	policy.before = portal_released(2);
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.before = 0;
	policy.not_newer = K1;
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.not_newer = NULL;
	/* there is no patch of that type for this kernel, so it gets the default one */
	policy.type = "extra";
	assert_int_equal(offer(portal, "main", &policy, 1, 2), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "main", &policy, 2, 2), KC_OFFER_UPDATED);
	/* a blocked level is outdated although there is none above it */
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K2, "main"));
	assert_int_equal(offer(portal, "main", &policy, 2, 1), KC_OFFER_OUTDATED);
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	policy.type = "default";
	assert_int_equal(offer(portal, "main", &policy, 2, 1), KC_OFFER_OUTDATED);

	assert_kc_error(kc_publisher_offer(portal->publisher, "nowhere", SAMPLE_KERNEL_ID, &policy, 1, &found,
					   &offered),
			KC_ERR_NOT_FOUND, "nowhere");
	assert_kc_error(kc_publisher_offer(portal->publisher, "../main", SAMPLE_KERNEL_ID, &policy, 1, &found,
					   &offered),
			KC_ERR_NOT_FOUND, "../main");
	assert_kc_ok(kc_publisher_offer(portal->publisher, "main", "not/a/kernel", &policy, 1, &found, &offered));
	assert_int_equal(found, KC_OFFER_UNSUPPORTED);
}

/* Kernels and feeds are what hosts say. */
static void test_hosts_that_lie(void **state)
{
	struct portal *portal = *state;
	struct kc_choice_policy policy = { .type = "default", .now = time(NULL) };
	enum kc_offer found;
	uint32_t offered;
	char text[41];

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	for (unsigned i = 0; i <= KC_OFFERS_LISTS_MAX; i++) {
		snprintf(text, sizeof(text), "%040x", i);
		assert_kc_ok(kc_publisher_offer(portal->publisher, "main", text, &policy, 0, &found, &offered));
		assert_int_equal(found, KC_OFFER_UNSUPPORTED);
		kc_error_free(kc_publisher_offer(portal->publisher, text + 30, SAMPLE_KERNEL_ID, &policy, 0, &found,
						 &offered));
	}
	assert_true(kc_offers_remembered(portal->publisher->offers) <= KC_OFFERS_LISTS_MAX + 1);
	assert_int_equal(offer(portal, "main", &policy, 0, 1), KC_OFFER_OUTDATED);
}

static struct kc_error *roll_out(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 void *data)
{
	struct kc_repository_change change;

	(void)publisher;
	return kc_repository_set_state(ctx, repository, K2, "main", KC_PATCHSET_ENABLED, *(unsigned *)data, &change);
}

static enum kc_offer offered_to_all(struct portal *portal, const struct kc_choice_policy *policy, uint32_t level)
{
	enum kc_offer found;
	uint32_t offered;

	assert_kc_ok(kc_publisher_offer(portal->publisher, "main", SAMPLE_KERNEL_ID, policy, level, &found, &offered));
	return found;
}

static void test_offers_in_a_rollout(void **state)
{
	struct portal *portal = *state;
	struct kc_choice_policy policy = { .type = "default", .now = time(NULL) };
	char host[16];
	unsigned per_cent = 30, n = 0;

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "main"));
	assert_kc_ok(portal_do(portal, roll_out, &per_cent));
	for (unsigned i = 0; i < 100; i++) {
		bool is_in;

		snprintf(host, sizeof(host), "host%u", i);
		policy.host = host;
		is_in = kc_choice_is_in_rollout(host, K2, per_cent);
		n += is_in;
		assert_int_equal(offer(portal, "main", &policy, 1, is_in ? 2 : 1),
				 is_in ? KC_OFFER_OUTDATED : KC_OFFER_UPDATED);
	}
	assert_in_range(n, 10, 60);
	/* of all with that policy it is known only where it is the same for each */
	policy.host = NULL;
	assert_int_equal(offered_to_all(portal, &policy, 1), KC_OFFER_BY_HOST);
	assert_int_equal(offered_to_all(portal, &policy, 2), KC_OFFER_UPDATED);
	assert_kc_ok(portal_manage(portal, KC_PATCHSET_BLOCK, K2, "main"));
	assert_int_equal(offered_to_all(portal, &policy, 1), KC_OFFER_UPDATED);
	assert_int_equal(offered_to_all(portal, &policy, 2), KC_OFFER_OUTDATED);
}

/* Many threads ask while feeds change: what they are told is one state or the other. */
struct asking {
	struct portal *portal;
	atomic_bool ends;
	unsigned n_asked, n_wrong;
};

static void *ask(void *data)
{
	struct asking *asking = data;
	const struct kc_choice_policy policy = { .type = "default", .now = time(NULL), .host = "host" };
	unsigned n_asked = 0, n_wrong = 0;

	while (!atomic_load(&asking->ends)) {
		enum kc_offer found;
		uint32_t offered;
		struct kc_error *err = kc_publisher_offer(asking->portal->publisher, "main", SAMPLE_KERNEL_ID, &policy,
							  1, &found, &offered);

		n_wrong += err || offered < 1 || offered > 2 ||
			   found != (offered == 2 ? KC_OFFER_OUTDATED : KC_OFFER_UPDATED);
		n_asked++;
		kc_error_free(err);
	}
	__atomic_fetch_add(&asking->n_asked, n_asked, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&asking->n_wrong, n_wrong, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_offers_from_many_threads(void **state)
{
	struct portal *portal = *state;
	struct asking asking = { .portal = portal };
	pthread_t threads[3];

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_kc_ok(portal_deploy(portal, K2, 2, "main"));
	for (size_t i = 0; i < KC_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &asking), 0);
	for (int i = 0; i < 5; i++) {
		assert_kc_ok(portal_manage(portal, KC_PATCHSET_DISABLE, K2, "main"));
		assert_kc_ok(portal_manage(portal, KC_PATCHSET_ENABLE, K2, "main"));
	}
	atomic_store(&asking.ends, true);
	for (size_t i = 0; i < KC_ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(asking.n_asked > 10);
	assert_int_equal(asking.n_wrong, 0);
}

static void test_expiry(void **state)
{
	struct portal *portal = *state;
	int64_t timestamp, root, now = time(NULL);

	assert_kc_ok(kc_publisher_expiry(portal->publisher, &timestamp, &root));
	assert_in_range(timestamp, now + KC_REPO_TIMESTAMP_VALID_S - 600, now + KC_REPO_TIMESTAMP_VALID_S + 600);
	assert_in_range(root, now + KC_REPO_ROOT_VALID_S - 600, now + KC_REPO_ROOT_VALID_S + 600);
}

/* ---- beside us ---- */

/* What kcare-repo does shows at once. */
static void test_another_program(void **state)
{
	struct portal *portal = *state;
	const struct kc_choice_policy policy = { .type = "default", .now = time(NULL), .host = "host" };

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	assert_int_equal(offer(portal, "main", &policy, 1, 1), KC_OFFER_UPDATED);
	publishing_deploy(&portal->p, "portal/repository", portal_archive(portal, K2, 2), "main");
	assert_int_equal(offer(portal, "main", &policy, 1, 2), KC_OFFER_OUTDATED);
	publishing_set_state(&portal->p, "portal/repository", K2, "main", KC_PATCHSET_BLOCKED);
	assert_int_equal(offer(portal, "main", &policy, 2, 1), KC_OFFER_OUTDATED);
	/* what cannot be read is an error until it is another file */
	{
		kc_autofree char *timestamp = strdup(
			publishing_path(&portal->p, "portal/repository/public/feeds/main/metadata/timestamp.json"));
		enum kc_offer found;
		uint32_t offered;

		assert_int_equal(kc_file_replace(timestamp, "{}", 2, 0644), 0);
		for (int i = 0; i < 2; i++)
			assert_kc_error(kc_publisher_offer(portal->publisher, "main", SAMPLE_KERNEL_ID, &policy, 2,
							   &found, &offered),
					KC_ERR_CORRUPT, "");
	}
	publishing_set_state(&portal->p, "portal/repository", K2, "main", KC_PATCHSET_ENABLED);
	assert_int_equal(offer(portal, "main", &policy, 1, 2), KC_OFFER_OUTDATED);
	/* of its arrival the database hears with the next look */
	assert_int_equal(n_arrivals(portal), 1);
	portal_stop(portal);
	portal_start(portal);
	assert_int_equal(n_arrivals(portal), 2);
}

static void test_no_repository(void **state)
{
	struct portal *portal = *state;
	kc_autofree char *dir = strdup(publishing_path(&portal->p, "portal"));
	struct kc_publisher *publisher = NULL;

	portal_stop(portal);
	assert_int_equal(rename(publishing_path(&portal->p, "portal/repository"), publishing_path(&portal->p, "away")),
			 0);
	assert_kc_ok(kc_db_open(portal->p.ctx, publishing_path(&portal->p, "portal/portal.db"), &portal->db));
	assert_kc_error(kc_publisher_start(portal->p.ctx, dir, &portal->config, portal->db, &publisher), KC_ERR_INPUT,
			"not a repository");
	kc_db_close(portal->db);
	assert_int_equal(rename(publishing_path(&portal->p, "away"), publishing_path(&portal->p, "portal/repository")),
			 0);
	portal_start(portal);
}

/* ---- two at once, and cut off ---- */

struct deploying {
	struct portal *portal;
	struct kc_manage manage;
};

static struct kc_error *run_deploy(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   void *data)
{
	struct kc_managed managed;

	return kc_publisher_manage(ctx, publisher, repository, &((struct deploying *)data)->manage, &managed);
}

static void deployed(void *data, struct kc_error *err)
{
	portal_done(((struct deploying *)data)->portal, err);
}

static void test_two_at_once(void **state)
{
	struct portal *portal = *state;
	struct deploying jobs[2] = { { .portal = portal }, { .portal = portal } };
	kc_autofree char *first = strdup(portal_archive(portal, K1, 1));
	kc_autofree char *second = strdup(portal_archive(portal, K2, 2));

	for (size_t i = 0; i < KC_ARRAY_SIZE(jobs); i++) {
		jobs[i].manage = (struct kc_manage){ .action = KC_PATCHSET_DEPLOY, .feed = "main" };
		jobs[i].manage.archive = i ? second : first;
		kc_publisher_do(portal->publisher, run_deploy, deployed, &jobs[i]);
	}
	assert_kc_ok(portal_wait(portal));
	assert_kc_ok(portal_wait(portal));
	portal_assert_seen(portal, "main", "1 " K1 "\n2 " K2 "\n");
}

/* A portal that is killed in the middle: the next one shows the state of before, or that of after. */
static void test_killed(void **state)
{
	struct portal *portal = *state;
	kc_autofree char *path = strdup(portal_archive(portal, K2, 2));
	bool is_through = false;
	int status;

	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	portal_stop(portal);
	for (unsigned ms = 0; !is_through; ms += 10) {
		const struct kc_manage job = { .action = KC_PATCHSET_DEPLOY, .feed = "main", .archive = path };
		kc_autobuf struct kc_buf seen = { 0 };
		struct kc_managed managed;
		pid_t child = fork();

		if (!child) {
			portal_start(portal);
			kc_error_free(portal_manage_all(portal, &job, &managed));
			_exit(0);
		}
		nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		is_through = WIFEXITED(status);
		portal_start(portal);
		/* whatever was left is completed by the first job */
		assert_kc_error(portal_manage(portal, KC_PATCHSET_ENABLE, K1, "main"), KC_ERR_NOTHING, "enabled");
		publishing_seen(&portal->p, "portal/repository", "main", SAMPLE_KERNEL_ID, &seen);
		assert_true(!strcmp(seen.data, "1 " K1 "\n") || !strcmp(seen.data, "1 " K1 "\n2 " K2 "\n"));
		/* and all that is here has arrived, also what was stored and no feed got */
		assert_int_equal(n_arrivals(portal),
				 1 + (publishing_has(&portal->p, "portal/repository/private/patchsets/" K2 ".json") ||
				      publishing_has(&portal->p, "portal/archives/patchsets/" K2 ".json")));
		if (strcmp(seen.data, "1 " K1 "\n"))
			assert_kc_ok(portal_manage(portal, KC_PATCHSET_UNDEPLOY, K2, "main"));
		portal_stop(portal);
	}
	portal_start(portal);
}

/* ---- what feeds take by themselves ---- */

static void wait_until_seen(struct portal *portal, const char *feed, const char *expected)
{
	for (int tries = 0; tries < 200; tries++) {
		kc_autobuf struct kc_buf seen = { 0 };

		publishing_seen(&portal->p, "portal/repository", feed, SAMPLE_KERNEL_ID, &seen);
		if (!strcmp(seen.data ? seen.data : "", expected))
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	portal_assert_seen(portal, feed, expected);
}

/* By the clock: main follows test. What it takes, and when, is in test_upstream.c. */
static void test_auto(void **state)
{
	struct portal *portal = *state;

	portal_feed(portal, "test", false, 0, "default");
	portal_feed(portal, "main", true, 0, "default");
	assert_kc_ok(portal_deploy(portal, K1, 1, "test"));
	portal_assert_seen(portal, "main", "");
	portal_stop(portal);
	portal->config.auto_update_s = 1;
	portal_start(portal);
	wait_until_seen(portal, "main", "1 " K1 "\n");
}

static void none_updated(void *data, size_t n, struct kc_error *err)
{
	assert_int_equal(n, 0);
	portal_done(data, err);
}

static void one_updated(void *data, size_t n, struct kc_error *err)
{
	assert_int_equal(n, 1);
	portal_done(data, err);
}

static void test_no_upstream(void **state)
{
	struct portal *portal = *state;

	kc_publisher_update(portal->publisher, "main", 0, none_updated, portal);
	assert_kc_error(portal_wait(portal), KC_ERR_CONFIG, "UPSTREAM");
	kc_publisher_download_missing(portal->publisher, none_updated, portal);
	assert_kc_error(portal_wait(portal), KC_ERR_CONFIG, "UPSTREAM");
	/* feeds that follow by themselves take what is here */
	portal_feed(portal, "test", true, 0, "test");
	assert_kc_ok(portal_deploy(portal, K1, 1, "main"));
	kc_publisher_update(portal->publisher, NULL, 0, one_updated, portal);
	assert_kc_ok(portal_wait(portal));
	portal_assert_seen(portal, "test", "1 " K1 "\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, portal_set_up, portal_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_products),
		TEST(test_undeployed_and_back),
		TEST(test_many_at_once),
		TEST(test_disabled_and_blocked_stay),
		TEST(test_channels_of_uploads),
		TEST(test_where_files_are),
		TEST(test_unroll),
		TEST(test_remove_feed),
		TEST(test_offers),
		TEST(test_hosts_that_lie),
		TEST(test_offers_in_a_rollout),
		TEST(test_offers_from_many_threads),
		TEST(test_expiry),
		TEST(test_another_program),
		TEST(test_no_repository),
		TEST(test_two_at_once),
		TEST(test_killed),
		TEST(test_auto),
		TEST(test_no_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
