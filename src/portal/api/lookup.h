/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers that look at many servers take as long as there are servers. They are made by threads of their own, one after
 * the other: one for users, one for whoever has an activation key, so that nobody else waits for either.
 */
#ifndef KC_PORTAL_API_LOOKUP_H
#define KC_PORTAL_API_LOOKUP_H

#include "portal/portal.h"

typedef void kc_lookup_fn(struct kc_portal *portal, struct kc_http_request *request);

/* `answer` replies, in such a thread; KC_ERR_BUSY when too many wait already. */
void kc_lookup(struct kc_portal *portal, struct kc_http_request *request, kc_lookup_fn *answer);

struct kc_error *kc_lookups_new(struct kc_lookups **lookups);
/* Those that wait are answered with KC_ERR_BUSY, and those that come later. */
void kc_lookups_stop(struct kc_lookups *lookups);
/* After that, and when nobody asks any more. */
void kc_lookups_free(struct kc_lookups *lookups);

#endif
