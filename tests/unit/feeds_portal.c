/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "feeds_portal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "portal/feeds/publisher_internal.h"
#include "sample.h"

int64_t portal_released(int level)
{
	static int64_t now;

	if (!now)
		now = time(NULL);
	return now - 30 * DAY + level * DAY;
}

const char *portal_archive(struct portal *portal, const char *name, uint32_t level)
{
	const struct sample_entry entry = { SAMPLE_KERNEL_ID, level, NULL };

	return publishing_archive(&portal->p, name, portal_released((int)level), NULL, &entry, 1);
}

/* ---- start and stop ---- */

void portal_start(struct portal *portal)
{
	assert_kc_ok(kc_db_open(portal->p.ctx, publishing_path(&portal->p, "portal/portal.db"), &portal->db));
	assert_kc_ok(kc_publisher_start(portal->p.ctx, publishing_path(&portal->p, "portal"), &portal->config,
					portal->db, &portal->publisher));
	if (portal->source.get)
		portal->publisher->lent_source = &portal->source;
}

void portal_stop(struct portal *portal)
{
	kc_publisher_stop(portal->publisher);
	kc_publisher_free(portal->publisher);
	kc_db_close(portal->db);
	portal->publisher = NULL;
	portal->db = NULL;
}

int portal_set_up(void **state)
{
	struct portal *portal = calloc(1, sizeof(*portal));

	publishing_start(&portal->p);
	assert_int_equal(kc_dir_make(publishing_path(&portal->p, "portal"), 0755), 0);
	publishing_init(&portal->p, "portal/repository", true);
	sem_init(&portal->done, 0, 0);
	portal_start(portal);
	*state = portal;
	return 0;
}

int portal_tear_down(void **state)
{
	struct portal *portal = *state;

	portal_stop(portal);
	sem_destroy(&portal->done);
	publishing_clear(&portal->p);
	free(portal);
	return 0;
}

/* ---- jobs that are waited for ---- */

struct call {
	struct portal *portal;
	kc_publisher_fn *run;
	void *data;
};

static struct kc_error *run_call(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 void *data)
{
	const struct call *call = data;

	return call->run(ctx, publisher, repository, call->data);
}

static void called(void *data, struct kc_error *err)
{
	portal_done(((struct call *)data)->portal, err);
}

void portal_done(void *data, struct kc_error *err)
{
	struct portal *portal = data;

	portal->err = err;
	sem_post(&portal->done);
}

struct kc_error *portal_wait(struct portal *portal)
{
	while (sem_wait(&portal->done))
		;
	return kc_steal(portal->err);
}

struct kc_error *portal_do(struct portal *portal, kc_publisher_fn *run, void *data)
{
	struct call call = { portal, run, data };

	kc_publisher_do(portal->publisher, run_call, called, &call);
	return portal_wait(portal);
}

/* ---- some jobs ---- */

struct managing {
	const struct kc_manage *manage;
	struct kc_managed *managed;
};

static struct kc_error *run_manage(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   void *data)
{
	const struct managing *managing = data;

	return kc_publisher_manage(ctx, publisher, repository, managing->manage, managing->managed);
}

struct kc_error *portal_manage_all(struct portal *portal, const struct kc_manage *manage, struct kc_managed *managed)
{
	struct managing managing = { manage, managed };

	return portal_do(portal, run_manage, &managing);
}

struct kc_error *portal_manage(struct portal *portal, enum kc_patchset_action action, const char *patchset,
			       const char *feed)
{
	const struct kc_manage job = { .action = action, .patchset = patchset, .feed = feed };
	struct kc_managed managed;

	return portal_manage_all(portal, &job, &managed);
}

struct kc_error *portal_deploy(struct portal *portal, const char *name, uint32_t level, const char *feed)
{
	const struct kc_manage job = { .action = KC_PATCHSET_DEPLOY,
				       .feed = feed,
				       .archive = portal_archive(portal, name, level) };
	struct kc_managed managed;

	KC_TRY(portal_manage_all(portal, &job, &managed));
	assert_string_equal(managed.patchset, name);
	return NULL;
}

static struct kc_error *set_feed(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 void *data)
{
	const struct kc_feed_info *info = data;
	struct kc_error *err;

	(void)publisher;
	err = kc_repository_feed_change(ctx, repository, info);
	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return kc_repository_feed_add(ctx, repository, info, NULL);
}

void portal_feed(struct portal *portal, const char *name, bool is_auto, unsigned deploy_after_h, const char *channel)
{
	struct kc_feed_info info = { .name = (char *)name,
				     .note = (char *)"",
				     .auto_update = is_auto,
				     .deploy_after_h = deploy_after_h,
				     .channel = (char *)channel };

	assert_kc_ok(portal_do(portal, set_feed, &info));
}

void portal_assert_seen(struct portal *portal, const char *feed, const char *expected)
{
	kc_autobuf struct kc_buf seen = { 0 };

	publishing_seen(&portal->p, "portal/repository", feed, SAMPLE_KERNEL_ID, &seen);
	assert_string_equal(seen.data ? seen.data : "", expected);
}
