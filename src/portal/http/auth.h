/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who asks: Basic authentication with a user's password, an API key in X-Api-Key, or the socket. Failures are limited
 * for each account and for each address: after KC_AUTH_FAILURES within KC_AUTH_WINDOW_S it is KC_ERR_TOO_MANY, whatever
 * the password. Verified passwords are remembered for a minute, as a keyed hash: each costs tens of milliseconds on
 * purpose.
 */
#ifndef KC_PORTAL_HTTP_AUTH_H
#define KC_PORTAL_HTTP_AUTH_H

#include "portal/db/db.h"
#include "portal/http/server.h"

enum { KC_AUTH_FAILURES = 10, KC_AUTH_WINDOW_S = 300 };

struct kc_http_auth;

struct kc_identity {
	char name[65]; /* of the user; "local" through the socket */
	bool is_admin;
};

struct kc_error *kc_http_auth_new(struct kc_db *db, struct kc_http_auth **auth);
void kc_http_auth_free(struct kc_http_auth *auth);
/* KC_ERR_UNAUTHORIZED, KC_ERR_TOO_MANY. */
struct kc_error *kc_http_auth_identify(struct kc_http_auth *auth, const struct kc_http_request *request,
				       struct kc_identity *identity);
/* The same, and whether it is enough for `role`: KC_ERR_FORBIDDEN. */
struct kc_error *kc_http_auth_admit(struct kc_http_auth *auth, const struct kc_http_request *request,
				    enum kc_http_role role);

/* The limit by itself, for agents' secrets and keys: `name` is an account or an address. */
struct kc_error *kc_http_auth_check_limit(struct kc_http_auth *auth, const char *name);
void kc_http_auth_failed(struct kc_http_auth *auth, const char *name);

#endif
