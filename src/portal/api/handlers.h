/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handlers of all calls, for the table in routes.c, and what their files share. */
#ifndef KC_PORTAL_API_HANDLERS_H
#define KC_PORTAL_API_HANDLERS_H

#include "portal/portal.h"

/* `data` of each is a struct kc_portal *; api/openapi.yaml says what they do. */
typedef void kc_api_handler(void *data, struct kc_http_request *request);

/* agents.c, reports.c */
kc_api_handler kc_api_agent_register, kc_api_agent_unregister, kc_api_agent_checkin, kc_api_agent_licence,
	kc_api_agent_doctor, kc_api_register;
/* servers.c, servers_change.c */
kc_api_handler kc_api_servers_get, kc_api_servers_clean, kc_api_server_delete, kc_api_set_tags;
/* keys.c */
kc_api_handler kc_api_keys_get, kc_api_key_put, kc_api_key_delete;
/* feeds.c */
kc_api_handler kc_api_feeds_get, kc_api_feed_put, kc_api_feed_delete;
/* patchsets.c, patchsets_change.c */
kc_api_handler kc_api_patchsets_get, kc_api_patchset_manage, kc_api_patchset_deploy, kc_api_patchsets_update,
	kc_api_patchsets_auto_update, kc_api_patchsets_download, kc_api_patchset_unroll;
/* users.c, api_keys.c */
kc_api_handler kc_api_users_get, kc_api_user_put, kc_api_user_delete, kc_api_api_keys_get, kc_api_api_key_add,
	kc_api_api_key_delete;
/* monitor.c */
kc_api_handler kc_api_health, kc_api_metrics, kc_api_nagios, kc_api_key_patchset;
/* maintenance.c, audit.c, doctor.c */
kc_api_handler kc_api_audit, kc_api_doctor, kc_api_backup, kc_api_backup_db, kc_api_restore;

/* Whether hosts can see this feed. KC_ERR_NOT_FOUND. */
struct kc_error *kc_api_need_feed(const struct kc_portal *portal, const char *feed);

#endif
