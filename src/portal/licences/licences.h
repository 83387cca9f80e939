/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may register, and who checks in: the rules, over db/keys.h and db/servers.h. Functions are for kc_db_write();
 * they know no HTTP and take the time from the caller.
 *
 * A server is told by its secret, of which the hash is kept. Each answer to a check-in has the nonce of the next one:
 * when a host that was copied speaks with it, too, one of the two comes with a nonce that is over: KC_ERR_CLONED, and
 * it registers anew with an instance of its own.
 */
#ifndef KC_PORTAL_LICENCES_LICENCES_H
#define KC_PORTAL_LICENCES_LICENCES_H

#include "portal/db/keys.h"
#include "portal/db/servers.h"

struct kc_licences {
	int64_t now;		/* Unix seconds */
	unsigned inactive_days; /* silent for so long: takes no place */
	const char *address;	/* of who asks */
};

/*
 * The same key, machine and instance again replace the old entry, and have its place. KC_ERR_INVALID_KEY,
 * KC_ERR_KEY_LOCKED, KC_ERR_KEY_ENDED, KC_ERR_ADDRESS, KC_ERR_KEY_LIMIT, in this order. The caller clears `registered`
 * either way.
 */
struct kc_error *kc_licence_register(struct kc_db_conn *conn, const struct kc_licences *licences,
				     const struct kc_registration *registration, struct kc_registered *registered);
/* Credentials: KC_ERR_UNKNOWN_SERVER, also for a wrong secret. */
struct kc_error *kc_licence_unregister(struct kc_db_conn *conn, const struct kc_licences *licences,
				       const struct kc_credentials *credentials);
/*
 * KC_ERR_UNKNOWN_SERVER, KC_ERR_CLONED. A server of a locked or ended key is heard nevertheless: what it runs is worth
 * knowing, and the terms in the answer say when the key ended.
 */
struct kc_error *kc_licence_check_in(struct kc_db_conn *conn, const struct kc_licences *licences,
				     const struct kc_checkin *checkin, struct kc_checkin_answer *answer);
struct kc_error *kc_licence_info(struct kc_db_conn *conn, const struct kc_licences *licences,
				 const struct kc_credentials *credentials, struct kc_licence_info *info);
struct kc_error *kc_licence_verify(struct kc_db_conn *conn, const struct kc_credentials *credentials);

#endif
