/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one that changes the repository: a thread with a queue of jobs. It opens the repository for each job, with its
 * lock, so that kcare-repo may work on it, too. Between jobs it renews timestamps, long before they expire, and removes
 * what nobody needs. A second thread copies the upstream, which may take hours, into DATA/upstream; what is taken from
 * there is taken by a job.
 *
 * A patchset that no feed has any more is kept in DATA/archives, unless somebody removed it for good:
 *
 *   DATA/archives/patchsets/NAME.json, blobs/01/0123….kpatch   as in a repository's public folder
 *   DATA/upstream/                                             repo/mirror.h
 */
#ifndef KC_PORTAL_FEEDS_PUBLISHER_H
#define KC_PORTAL_FEEDS_PUBLISHER_H

#include "portal/config.h"
#include "portal/db/db.h"
#include "repo/choice.h"
#include "repo/repository.h"

struct kc_publisher;

enum { KC_PUBLISHER_NAME_SIZE = 64 }; /* of a patchset, with '\0' */

/*
 * `dir`: the portal's data folder. Completes what a killed run left: a restore (portal/backup.h), a publication. Errors
 * of the repository's folder, but not KC_ERR_LOCKED. All of `config` that is needed is copied.
 */
struct kc_error *kc_publisher_start(struct kc_ctx *ctx, const char *dir, const struct kc_portal_config *config,
				    struct kc_db *db, struct kc_publisher **publisher);
/* Finishes the job that is being done; the others, and those that come later, end with KC_ERR_BUSY. */
void kc_publisher_stop(struct kc_publisher *publisher);
/* After that, and when nobody asks any more. */
void kc_publisher_free(struct kc_publisher *publisher);

/*
 * A job: `run` in the publisher's thread, then `done` (may be NULL) with its error, which is done's to free, there,
 * too. `run` is not called when the repository cannot be opened: KC_ERR_LOCKED after 30 s, …
 */
typedef struct kc_error *kc_publisher_fn(struct kc_ctx *ctx, struct kc_publisher *publisher,
					 struct kc_repository *repository, void *data);
void kc_publisher_do(struct kc_publisher *publisher, kc_publisher_fn *run,
		     void (*done)(void *data, struct kc_error *err), void *data);

/* ---- what can be done with patchsets (feeds/jobs.c); for jobs ---- */

enum kc_patchset_action {
	KC_PATCHSET_DEPLOY, /* enables it in the feed; `disabled` leaves it so */
	KC_PATCHSET_ENABLE,
	KC_PATCHSET_DISABLE,
	KC_PATCHSET_BLOCK,
	KC_PATCHSET_UNDEPLOY,
	KC_PATCHSET_ENABLE_UPTO,     /* it, and all older ones of its product that nobody disabled or blocked */
	KC_PATCHSET_UNDEPLOY_DOWNTO, /* it, and all newer ones of its product */
};
const char *kc_patchset_action_name(enum kc_patchset_action action); /* "enable-upto" */

/* 'K', 'U', or 'Q' for "U…-qemu": the product of a patchset, by its name. */
char kc_patchset_product(const char *name);

struct kc_manage {
	enum kc_patchset_action action;
	const char *patchset; /* NULL: that of `archive` */
	const char *feed;
	const char *archive; /* of KC_PATCHSET_DEPLOY, when the patchset is not here yet */
	bool disabled;	     /* the same */
	char product;	     /* must be that of the patchset: KC_ERR_INPUT; 0: any */
};
struct kc_managed {
	char patchset[KC_PUBLISHER_NAME_SIZE];
	size_t n; /* how many patchsets changed */
};
/*
 * KC_ERR_NOTHING: it is so already. KC_ERR_NOT_FOUND: no such feed, or the patchset is not here. What somebody disabled
 * or undeployed in a feed stays so there until somebody, not an automatic update, enables it.
 */
struct kc_error *kc_publisher_manage(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const struct kc_manage *manage,
				     struct kc_managed *managed);
/* What no other feed has is kept. KC_ERR_NOT_FOUND: no such feed; errors of kc_repository_feed_remove(). */
struct kc_error *kc_publisher_remove_feed(struct kc_ctx *ctx, struct kc_publisher *publisher,
					  struct kc_repository *repository, const char *name);
/*
 * Takes a patchset out of all feeds that have it (the reference's `unroll`); `remove`: and its files, for good. `*n`:
 * feeds.
 */
struct kc_error *kc_publisher_unroll(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const char *patchset, bool remove, size_t *n);

/* ---- the upstream (feeds/update.c); from any thread ---- */

/* In one of the publisher's threads; takes `err`. `n`: how many patchsets changed, also when not all went well. */
typedef void kc_publisher_updated_fn(void *data, size_t n, struct kc_error *err);
/*
 * Asks the upstream, verified with its own root, and takes what is new into `feed` (NULL: those with auto_update) when
 * the feed's delay from the arrival is over; `product` as above. Its feed main is our channel default; test and
 * unstable have what more stable channels have, too. What it blocks is blocked in feeds with auto_update. Without
 * authors that we trust nothing is taken. KC_ERR_CONFIG: there is no upstream, and a feed was named.
 * Feeds with auto_update also take, after the same delay, what arrived here otherwise and is enabled in some feed, and
 * block what is blocked in a feed that is not less stable.
 */
void kc_publisher_update(struct kc_publisher *publisher, const char *feed, char product, kc_publisher_updated_fn *done,
			 void *data);
/* Copies what the upstream has, and enables it nowhere. */
void kc_publisher_download_missing(struct kc_publisher *publisher, kc_publisher_updated_fn *done, void *data);

/* ---- what hosts are offered (feeds/offers.c); from any thread ---- */

enum kc_offer {
	KC_OFFER_UPDATED,     /* has what is offered to it */
	KC_OFFER_OUTDATED,    /* there is a higher level for it, or what it has is blocked */
	KC_OFFER_UNSUPPORTED, /* there are no patches for its kernel */
	KC_OFFER_BY_HOST,     /* a rollout decides; only where no host was named */
};
const char *kc_offer_name(enum kc_offer offer); /* "uptodate", "outdated", "unsupported" */

/*
 * As the host itself would choose, from the list that is published now; `policy->host` NULL: any host with that policy.
 * `level` of 0: none is in. `feed`: "" and the delays ("12h", …) stand for main. KC_ERR_NOT_FOUND: no such feed.
 */
struct kc_error *kc_publisher_offer(struct kc_publisher *publisher, const char *feed, const char *kernel_id,
				    const struct kc_choice_policy *policy, uint32_t level, enum kc_offer *offer,
				    uint32_t *offered);
/* When the first feed's timestamp, and the root, expire; Unix seconds. 0: not known. */
struct kc_error *kc_publisher_expiry(struct kc_publisher *publisher, int64_t *timestamp, int64_t *root);

#endif
