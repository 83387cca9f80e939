/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks: Basic authentication with a user's password, an API key in X-Api-Key, or the socket. Failures are limited
 * for each account and for each address (limits.h): then it is KC_ERR_TOO_MANY, whatever the password. An account is
 * not locked out where it was right before.
 *
 * A password costs a tenth of a second on purpose (sign/password.h), so a thread of its own checks them; one that was
 * right is remembered for a minute, as a keyed hash, and costs nothing then.
 */
#ifndef KC_PORTAL_HTTP_AUTH_H
#define KC_PORTAL_HTTP_AUTH_H

#include "portal/db/db.h"
#include "portal/http/address.h"
#include "portal/http/limits.h"
#include "portal/http/server.h"

enum {
	KC_AUTH_REMEMBER_S = 60,
	KC_AUTH_WAITING_MAX = 50, /* passwords that wait to be checked; more are KC_ERR_TOO_MANY */
};

struct kc_http_auth;

/* `db` lives longer. */
struct kc_error *kc_http_auth_new(struct kc_db *db, struct kc_http_auth **auth);
/* What waits is refused with KC_ERR_BUSY; nobody may ask any more. */
void kc_http_auth_stop(struct kc_http_auth *auth);
void kc_http_auth_free(struct kc_http_auth *auth);
/*
 * What a server's `admit` does: ends in kc_http_admitted(), with KC_ERR_UNAUTHORIZED, KC_ERR_TOO_MANY,
 * KC_ERR_FORBIDDEN, or after kc_http_set_user().
 */
void kc_http_auth_admit(struct kc_http_auth *auth, struct kc_http_request *request, enum kc_http_role role);

/* The limit by itself, for agents' secrets and keys. KC_ERR_TOO_MANY. */
struct kc_error *kc_http_auth_check_limit(struct kc_http_auth *auth, enum kc_limit_kind kind, const char *name);
void kc_http_auth_count(struct kc_http_auth *auth, enum kc_limit_kind kind, const char *name);
/* The name for limits of who asks: his address, or network when it is of IPv6. */
void kc_http_auth_address(const struct kc_http_request *request, char name[KC_ADDRESS_TEXT_SIZE]);

#endif
