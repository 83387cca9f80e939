/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one that changes the repository: a thread with a queue of jobs. It opens the repository for each job, with its
 * lock, so that kcare-repo may work on it, too. Between jobs it renews timestamps, long before they expire, follows the
 * upstream for feeds that want it, and removes what nobody needs.
 */
#ifndef KC_PORTAL_FEEDS_PUBLISHER_H
#define KC_PORTAL_FEEDS_PUBLISHER_H

#include "portal/config.h"
#include "portal/db/db.h"
#include "repo/choice.h"
#include "repo/repository.h"

struct kc_publisher;

/* `dir`: the portal's data folder. Completes what a killed run left. */
struct kc_error *kc_publisher_start(struct kc_ctx *ctx, const char *dir, const struct kc_portal_config *config,
				    struct kc_db *db, struct kc_publisher **publisher);
/* Finishes the job that is being done; the others end with KC_ERR_BUSY. */
void kc_publisher_stop(struct kc_publisher *publisher);

/* A job: `run` in the publisher's thread, then `done` with its error, there, too. */
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
	const char *patchset;
	const char *feed;
	const char *archive; /* of KC_PATCHSET_DEPLOY, when it is not in archives/ */
	bool disabled;
	char product; /* must be that of the patchset: KC_ERR_INPUT; 0: any */
};
/* `*n`: how many patchsets changed. KC_ERR_NOTHING: it is so already. */
struct kc_error *kc_publisher_manage(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const struct kc_manage *manage, size_t *n);
/* Takes a patchset out of all feeds that have it enabled (the reference's `unroll`); `remove`: and its files. */
struct kc_error *kc_publisher_unroll(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const char *patchset, bool remove, size_t *n);
/*
 * Asks the upstream, verified with its own root, and takes what is new: archives/ and arrivals; into `feed` (NULL:
 * those with auto_update) when the feed's delay from the arrival is over. KC_ERR_CONFIG: there is no upstream.
 */
struct kc_error *kc_publisher_update(struct kc_ctx *ctx, struct kc_publisher *publisher,
				     struct kc_repository *repository, const char *feed, char product, size_t *n);
/* Downloads archives that the database knows, and that are not here. */
struct kc_error *kc_publisher_download_missing(struct kc_ctx *ctx, struct kc_publisher *publisher,
					       struct kc_repository *repository, size_t *n);

/* ---- what hosts are offered (feeds/offers.c); from any thread ---- */

enum kc_offer {
	KC_OFFER_UPDATED,     /* has what is offered to it */
	KC_OFFER_OUTDATED,    /* there is a higher level for it, or what it has is blocked */
	KC_OFFER_UNSUPPORTED, /* there are no patches for its kernel */
};
const char *kc_offer_name(enum kc_offer offer); /* "uptodate", "outdated", "unsupported" */

/* As the host itself would choose, from the list that is published now. `level` of 0: none is in. */
struct kc_error *kc_publisher_offer(struct kc_publisher *publisher, const char *feed, const char *kernel_id,
				    const struct kc_choice_policy *policy, uint32_t level, enum kc_offer *offer,
				    uint32_t *offered);

#endif
