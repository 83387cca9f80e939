/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often names failed lately, or came: accounts, addresses, hosts. After KC_LIMIT_FAILURES, or what is said at its
 * kind, within KC_LIMIT_WINDOW_S a name is over its limit, until the window has passed.
 *
 * Strangers choose many of the names, so memory is bounded, and each kind of names has its own: who makes up many of
 * one kind pushes out none of another, and of its own kind first those that failed least.
 */
#ifndef KC_PORTAL_HTTP_LIMITS_H
#define KC_PORTAL_HTTP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
	KC_LIMIT_FAILURES = 10,
	KC_LIMIT_REGISTRATIONS_MAX = 1000,
	KC_LIMIT_CHECKINS_MAX = 60, /* one each five seconds; a run has three at most */
	KC_LIMIT_WINDOW_S = 300,
};

enum kc_limit_kind {
	KC_LIMIT_ACCOUNTS,
	KC_LIMIT_ADDRESSES, /* of users */
	KC_LIMIT_KEYS,	    /* addresses that tried activation keys */
	KC_LIMIT_SERVERS,
	KC_LIMIT_REPORTS,
	KC_LIMIT_REGISTRATIONS, /* addresses that registered hosts; KC_LIMIT_REGISTRATIONS_MAX */
	KC_LIMIT_CHECKINS,	/* servers that were heard; KC_LIMIT_CHECKINS_MAX */
	KC_LIMIT_KINDS,
};

/* All calls may come from any thread. */
struct kc_limits;

struct kc_error *kc_limits_new(struct kc_limits **limits);
void kc_limits_free(struct kc_limits *limits);
/* `now`: seconds of a clock that never goes back. */
bool kc_limits_is_over(struct kc_limits *limits, enum kc_limit_kind kind, const char *name, int64_t now);
void kc_limits_count(struct kc_limits *limits, enum kc_limit_kind kind, const char *name, int64_t now);

/*
 * Accounts that were right from an address lately: strangers who fail with an account must not lock out who uses it.
 */
void kc_limits_know(struct kc_limits *limits, const char *account, const char *address, int64_t now);
bool kc_limits_is_known(struct kc_limits *limits, const char *account, const char *address, int64_t now);

#endif
