/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The portal as a whole: what its parts share. One process, one data folder, one embedded database.
 *
 *   DATA/config             portal/config.h
 *   DATA/portal.db          portal/db/: keys, servers, users, audit log (SQLite, WAL)
 *   DATA/repository/        repo/repository.h: feeds and patchsets; the authority on both
 *   DATA/archives/          patchsets that arrived and are not deployed yet, NAME.tar.bz2
 *   DATA/upload/            bodies of requests that are on their way; emptied at start
 *   DATA/reports/           what doctors sent, KEY.txt
 *   DATA/socket             for kc.eportal: the same API, for root and for the portal's own user
 *
 * Threads: those of http/ (a few, handlers run in them), one that writes the database, one that changes the repository,
 * two that look at many servers (api/lookup.h), and the caller of kc_portal_run(), which waits for signals. A handler
 * that needs one of them hands its request over and returns; whoever finishes the work replies. Nothing waits in a
 * handler.
 *
 * Nothing in portal/ prints or exits; it logs through its context. eportald is the only program that runs it.
 */
#ifndef KC_PORTAL_PORTAL_H
#define KC_PORTAL_PORTAL_H

#include "portal/config.h"
#include "portal/db/db.h"
#include "portal/feeds/publisher.h"
#include "portal/http/auth.h"
#include "portal/http/static.h"
#include "portal/metrics/metrics.h"
#include "portal/worker.h"

struct kc_lookups;

struct kc_portal {
	struct kc_ctx *ctx; /* logs; used by all threads */
	char *dir;
	struct kc_portal_config config;
	struct kc_db *db;
	struct kc_publisher *publisher;
	struct kc_http_auth *auth;
	struct kc_lookups *lookups;
	struct kc_http_static *files; /* of the repository's public folder */
	struct kc_http_server *server;
	struct kc_worker *upkeep;
	int lock; /* DATA/lock */
	struct kc_metrics metrics;
};

#define KC_PORTAL_LISTEN "127.0.0.1:8142" /* of a new portal's configuration */

/*
 * A new portal in `dir`, which must be empty or missing (KC_ERR_REFUSED): repository with the feeds main and test,
 * configuration, database, the keys of the root in `keys_dir`, an administrator `admin` with `password`. As
 * kc_repository_init() and kc_users_add().
 */
struct kc_portal_init {
	const char *keys_dir;	    /* where root.key goes: off the server, afterwards */
	const char *passphrase;	    /* for root.key; NULL: none */
	char *const *authors;	    /* public keys, NULL-terminated, or NULL */
	const char *admin_password; /* NULL: no user is made; kc.eportal works through the socket all the same */
	const char *listen;	    /* LISTEN of the configuration; NULL: KC_PORTAL_LISTEN */
};
struct kc_error *kc_portal_init(struct kc_ctx *ctx, const char *dir, const struct kc_portal_init *init);
/* It was cut off. When it is repeated it begins anew. */
bool kc_portal_is_unfinished(const char *dir);

/* Before any thread is made: signals are for kc_portal_run(). */
void kc_portal_prepare_signals(void);
/*
 * Opens everything, migrates the database, completes what a killed run left, and listens. `config` is emptied: it
 * belongs to the portal. KC_ERR_INPUT: there is no portal; KC_ERR_LOCKED: another process runs it.
 */
struct kc_error *kc_portal_start(struct kc_ctx *ctx, const char *dir, struct kc_portal_config *config,
				 struct kc_portal **portal);
/* Until SIGTERM or SIGINT; SIGHUP reads certificates anew. Requests that are under way are finished. */
struct kc_error *kc_portal_run(struct kc_portal *portal);
void kc_portal_free(struct kc_portal *portal);

KC_DEFINE_CLEANUP(kc_cleanup_portal, struct kc_portal *, kc_portal_free)
#define kc_autoportal KC_CLEANUP(kc_cleanup_portal)

#endif
