/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A portal's folder with a publisher at work in it, and jobs that are waited for: for tests of feeds and backups. It
 * has no HTTP server. Functions assert what must work.
 */
#ifndef KC_TESTS_FEEDS_PORTAL_H
#define KC_TESTS_FEEDS_PORTAL_H

#include <semaphore.h>

#include "portal/feeds/publisher.h"
#include "publishing.h"
#include "repo/mirror.h"

#define K1 "K20261101_01"
#define K2 "K20261102_01"
#define K3 "K20261103_01"

enum { DAY = 86400 };

struct portal {
	struct publishing p; /* the data folder is its "portal" */
	struct kc_db *db;
	struct kc_publisher *publisher;
	struct kc_portal_config config;
	struct kc_mirror_source source; /* as the upstream, when `get` is set */
	sem_t done;
	struct kc_error *err; /* of the job that was waited for */
	size_t n;	      /* of the update that was waited for */
};

/* For cmocka: `*state` is a started one. */
int portal_set_up(void **state);
int portal_tear_down(void **state);
void portal_start(struct portal *portal);
void portal_stop(struct portal *portal);

/* One day apart; the same in each call, so that an archive that is made again is the same patchset. */
int64_t portal_released(int level);
/* "DIR/NAME.tar.bz2" with one patch of that level for SAMPLE_KERNEL_ID. */
const char *portal_archive(struct portal *portal, const char *name, uint32_t level);

struct kc_error *portal_do(struct portal *portal, kc_publisher_fn *run, void *data);
/* What is done in the publisher's thread ends so: `portal` as the data of a job's `done`. */
void portal_done(void *portal, struct kc_error *err);
struct kc_error *portal_wait(struct portal *portal);

struct kc_error *portal_manage_all(struct portal *portal, const struct kc_manage *manage, struct kc_managed *managed);
struct kc_error *portal_manage(struct portal *portal, enum kc_patchset_action action, const char *patchset,
			       const char *feed);
struct kc_error *portal_deploy(struct portal *portal, const char *name, uint32_t level, const char *feed);
/* A feed with these settings, new or not. */
void portal_feed(struct portal *portal, const char *name, bool is_auto, unsigned deploy_after_h, const char *channel);
/* publishing_seen() of the portal's repository. */
void portal_assert_seen(struct portal *portal, const char *feed, const char *expected);

#endif
