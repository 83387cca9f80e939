/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patchsets that this portal has heard of: when each one arrived here (DEPLOY_AFTER counts from there), and whether its
 * files are here. What feeds do with them is in the repository.
 */
#ifndef KC_PORTAL_DB_ARRIVALS_H
#define KC_PORTAL_DB_ARRIVALS_H

#include "portal/db/db.h"

struct kc_arrival {
	char *patchset; /* "K20261123_01" */
	char *channel;	/* "default", "test", "unstable": the upstream's feed main, test, unstable */
	char *distro;
	char *source; /* "upload", or the upstream's URL */
	int64_t released, arrived;
	bool is_here; /* false: known from the upstream, not downloaded */
};

/* Again: channel, source, is_here are those of now; `arrived` stays. */
struct kc_error *kc_arrivals_put(struct kc_db_conn *conn, const struct kc_arrival *arrival);
struct kc_error *kc_arrivals_remove(struct kc_db_conn *conn, const char *patchset); /* KC_ERR_NOT_FOUND */
/* By arrival. `arrival` is valid within the call. */
struct kc_error *kc_arrivals_each(struct kc_db_conn *conn,
				  struct kc_error *(*each)(void *data, const struct kc_arrival *arrival), void *data);

#endif
