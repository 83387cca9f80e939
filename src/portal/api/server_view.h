/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A registered server as others see it: how it is, as JSON, as a line of CSV. */
#ifndef KC_PORTAL_API_SERVER_VIEW_H
#define KC_PORTAL_API_SERVER_VIEW_H

#include <jansson.h>

#include "portal/db/servers.h"
#include "portal/portal.h"

struct kc_server_state {
	enum kc_offer offer;
	uint32_t offered; /* the level */
	bool is_silent;	  /* for so long that its place is free */
};

/* Servers silent since before this moment take no place. */
int64_t kc_api_active_since(const struct kc_portal *portal, int64_t now);
/* `now`: Unix seconds, the same for a whole list. */
struct kc_error *kc_server_look(const struct kc_portal *portal, const struct kc_server *server, int64_t now,
				struct kc_server_state *state);
/* "uptodate", "outdated", "unsupported", "inactive" */
const char *kc_server_state_name(const struct kc_server_state *state);

/* NULL when out of memory. */
json_t *kc_server_json(const struct kc_server *server, const struct kc_server_state *state);
void kc_server_csv_head(struct kc_buf *out);
void kc_server_csv(const struct kc_server *server, const struct kc_server_state *state, struct kc_buf *out);

#endif
