/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of feeds/ share; private to them. */
#ifndef KC_PORTAL_FEEDS_PUBLISHER_INTERNAL_H
#define KC_PORTAL_FEEDS_PUBLISHER_INTERNAL_H

#include "portal/feeds/publisher.h"
#include "portal/worker.h"

struct kc_offers;

struct kc_publisher {
	struct kc_ctx *ctx;
	struct kc_db *db;
	char *dir;	  /* DATA */
	char *repository; /* DATA/repository */
	char *archives;	  /* DATA/archives */
	char *mirror;	  /* DATA/upstream */
	char *upstream, *upstream_root, *proxy;
	int64_t auto_update_ms;
	struct kc_worker *jobs, *copies; /* the second one only talks to the upstream */
	struct kc_offers *offers;
};

/* ---- names of patchsets ---- */

struct kc_names {
	char **names;
	size_t n;
};
/* Nothing, when it is there. */
struct kc_error *kc_names_add(struct kc_names *names, const char *name);
bool kc_names_have(const struct kc_names *names, const char *name);
void kc_names_sort(struct kc_names *names);
void kc_names_clear(struct kc_names *names);

/* Patchsets whose files are here, in a feed or in archives/; by name, which is by release. */
struct kc_error *kc_patchsets_here(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				   struct kc_names *names);
/* Into a feed that does not have it yet: from the store, else from `folder`, as kc_repository_deploy_files(). */
struct kc_error *kc_patchset_bring(struct kc_ctx *ctx, struct kc_repository *repository, const char *folder,
				   const char *patchset, const char *feed, enum kc_patchset_state state);
/* Remembers when it came; `channel` NULL: the default one. Not in the database's own threads. */
struct kc_error *kc_arrival_record(struct kc_publisher *publisher, const char *patchset, const char *channel,
				   const char *distro, int64_t released, bool is_here);

/* ---- offers.c ---- */

struct kc_error *kc_offers_new(const struct kc_publisher *publisher, struct kc_offers **offers);
void kc_offers_free(struct kc_offers *offers);

/* ---- update.c ---- */

/* What is due every AUTO_UPDATE_PERIOD. In the second thread. */
int64_t kc_update_due(void *publisher);

#define KC_CLEANUP_NAMES KC_CLEANUP(kc_names_clear)

#endif
