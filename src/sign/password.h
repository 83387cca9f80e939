/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passwords as they are kept: scrypt (RFC 7914), as text "scrypt$N$r$p$SALT$HASH", salt and hash in hexadecimal. Each
 * hash and each check costs some 100 ms and 32 MiB on purpose: who calls them limits how often.
 */
#ifndef KC_SIGN_PASSWORD_H
#define KC_SIGN_PASSWORD_H

#include <stdbool.h>

#include "base/error.h"

enum {
	KC_PASSWORD_MAX = 1000,	     /* bytes of a password */
	KC_PASSWORD_TEXT_SIZE = 128, /* of the kept text, with '\0' */
};

/* KC_ERR_INPUT: empty, or too long. Rules of a site about good passwords are the caller's. */
struct kc_error *kc_password_hash(const char *password, char text[KC_PASSWORD_TEXT_SIZE]);
/*
 * KC_ERR_UNAUTHORIZED: it is another one. KC_ERR_CORRUPT: `text` is no kept password, or asks for more work than we
 * want to do. A `text` of NULL or "" takes as long as any other, and is always KC_ERR_UNAUTHORIZED: so nobody learns
 * from the time which names exist.
 */
struct kc_error *kc_password_check(const char *password, const char *text);

/* Whether two secrets are the same; the time it takes tells nothing but their lengths. */
bool kc_secret_equals(const char *a, const char *b);

#endif
