/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the portal answers over HTTP: api/openapi.yaml is the contract, tests hold this table against it. One file for
 * each kind of thing; work.h has what calls that change something share.
 */
#ifndef KC_PORTAL_API_API_H
#define KC_PORTAL_API_API_H

#include "portal/http/server.h"

/* The `data` of all handlers is a struct kc_portal *. */
const struct kc_http_route *kc_api_routes(size_t *n);

#endif
