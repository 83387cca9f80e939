/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sticky date, STICKY_PATCH: the host stays at what was released until the end of that UTC day. DDMMYY, DDMMYYYY
 * or YYYY-MM-DD; or KEY, the date that belongs to a registered key. Pure; the caller lends the clock.
 */
#ifndef KC_AGENT_STICKY_H
#define KC_AGENT_STICKY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { KC_STICKY_LIMIT_DAYS = 60 }; /* how old a date may be when it is set, unless STICKY_LIMIT says otherwise */

struct kc_sticky {
	bool is_key;
	int64_t before; /* Unix seconds: where the day after begins; 0: there is no date */
};

/* KC_ERR_CONFIG: none of these forms, or there is no such day. "" is no date. */
struct kc_error *kc_sticky_parse(const char *text, struct kc_sticky *sticky);
bool kc_sticky_is_set(const struct kc_sticky *sticky);
/* KC_ERR_REFUSED: the day is not over. Would it say what to run tomorrow, hosts would not agree today. */
struct kc_error *kc_sticky_check(const struct kc_sticky *sticky, int64_t now);
/* More than `limit_days` ago; never with 0. */
bool kc_sticky_is_old(const struct kc_sticky *sticky, int64_t now, unsigned limit_days);
/* "2026-11-23", "KEY", "" */
void kc_sticky_text(const struct kc_sticky *sticky, char text[16]);

#endif
