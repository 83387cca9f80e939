/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of feeds/ share; private to them. */
#ifndef KC_PORTAL_FEEDS_PUBLISHER_INTERNAL_H
#define KC_PORTAL_FEEDS_PUBLISHER_INTERNAL_H

#include <stdatomic.h>

#include "portal/feeds/publisher.h"
#include "portal/feeds/seen.h"
#include "portal/worker.h"
#include "repo/mirror.h"
#include "repo/public_files.h"

struct kc_offers;

struct kc_publisher {
	struct kc_ctx *ctx;
	struct kc_db *db;
	char *dir;	  /* DATA */
	char *repository; /* DATA/repository */
	char *archives;	  /* DATA/archives */
	char *mirror;	  /* DATA/upstream */
	char *seen;	  /* DATA/upstream/seen.json */
	char *upstream, *upstream_root, *proxy;
	int64_t auto_update_ms;
	struct kc_worker *jobs, *copies; /* the second one only talks to the upstream */
	struct kc_offers *offers;
	atomic_bool is_stopping;
	int stop_fd;				    /* readable from then on; below 1: not open */
	const struct kc_mirror_source *lent_source; /* in the place of the upstream's URL: for tests */
	char last_warning[512];			    /* of automatic updates; in the thread of jobs */
};

/* ---- names of patchsets (names.c) ---- */

struct kc_names {
	char **names;
	size_t n;
};
/* Nothing, when it is there. */
struct kc_error *kc_names_add(struct kc_names *names, const char *name);
bool kc_names_have(const struct kc_names *names, const char *name);
void kc_names_sort(struct kc_names *names);
void kc_names_clear(struct kc_names *names);

/* ---- patchsets that arrived (known.c); not in the database's own threads ---- */

struct kc_known_patchset {
	char name[KC_PUBLISHER_NAME_SIZE];
	char *source;
	unsigned channel;
	int64_t arrived;
	bool is_here, is_upload;
};
struct kc_known {
	struct kc_known_patchset *patchsets; /* by name, which is by day */
	size_t n;
};
/* Both begin anew. Settling makes it true first: whose files are here, and what came by another way. */
struct kc_error *kc_known_load(struct kc_publisher *publisher, struct kc_known *known);
struct kc_error *kc_known_settle(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				 const struct kc_seen *seen, struct kc_known *known);
const struct kc_known_patchset *kc_known_find(const struct kc_known *known, const char *patchset);
void kc_known_clear(struct kc_known *known);
/* Remembers when it came first. `source` NULL: it was uploaded; `arrived` 0: now. */
struct kc_error *kc_known_record(struct kc_publisher *publisher, const struct kc_patchset *patchset, const char *source,
				 unsigned channel, int64_t arrived, bool is_here);

/* ---- one patchset (jobs.c) ---- */

/* Into a feed that does not have it yet: from the store, from archives/, or from the copy of the upstream. */
struct kc_error *kc_patchset_bring(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   const char *patchset, const char *feed, enum kc_patchset_state state,
				   unsigned rollout);

/* ---- the copy of the upstream (copy.c) ---- */

struct kc_error *kc_upstream_open(struct kc_publisher *publisher);
/* In the second thread. KC_ERR_BUSY: kc_upstream_stop() was called. */
struct kc_error *kc_upstream_copy(struct kc_publisher *publisher);
void kc_upstream_stop(struct kc_publisher *publisher);

/* ---- offers.c ---- */

/* Of each feed; hosts that lie name kernels that nobody has. */
enum { KC_OFFERS_LISTS_MAX = 4096 };

struct kc_error *kc_offers_new(const struct kc_publisher *publisher, struct kc_offers **offers);
void kc_offers_free(struct kc_offers *offers);
/* How many feeds, and lists of them; for tests. */
size_t kc_offers_remembered(struct kc_offers *offers);

/* ---- update.c ---- */

/* What is due every AUTO_UPDATE_PERIOD. In the second thread. */
int64_t kc_update_due(void *publisher);

#define KC_CLEANUP_NAMES KC_CLEANUP(kc_names_clear)
#define KC_CLEANUP_KNOWN KC_CLEANUP(kc_known_clear)

#endif
