/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of all calls; api/openapi.yaml has the same, in words. */
#include "portal/api/api.h"

#include "base/array.h"
#include "patchset/patchset.h"
#include "portal/api/args.h"
#include "portal/api/handlers.h"
#include "proto/paths.h"
#include "proto/proto.h"

#define API "/admin/api"
#define AGENT(name, handler)                                                                    \
	{                                                                                       \
		"POST", KC_PROTO_BASE name, KC_HTTP_AGENT, KC_PROTO_REQUEST_MAX, false, handler \
	}
#define READ(path, handler)                                      \
	{                                                        \
		"GET", path, KC_HTTP_READONLY, 0, false, handler \
	}
#define CHANGE(path, handler)                                                 \
	{                                                                     \
		"POST", path, KC_HTTP_ADMIN, KC_ARGS_BODY_MAX, false, handler \
	}
#define REMOVE(path, handler)                                    \
	{                                                        \
		"DELETE", path, KC_HTTP_ADMIN, 0, false, handler \
	}
#define LOCAL(path, handler)                                                  \
	{                                                                     \
		"POST", path, KC_HTTP_LOCAL, KC_ARGS_BODY_MAX, false, handler \
	}
#define OF_KEY(path, handler)                                 \
	{                                                     \
		"GET", path, KC_HTTP_AGENT, 0, false, handler \
	}

static const struct kc_http_route routes[] = {
	{ "GET", "/healthz", KC_HTTP_EVERYBODY, 0, false, kc_api_health },
	READ("/metrics", kc_api_metrics),
	AGENT(KC_PROTO_REGISTER, kc_api_agent_register),
	AGENT(KC_PROTO_UNREGISTER, kc_api_agent_unregister),
	AGENT(KC_PROTO_CHECKIN, kc_api_agent_checkin),
	AGENT(KC_PROTO_LICENCE, kc_api_agent_licence),
	{ "POST", KC_PROTO_BASE KC_PROTO_DOCTOR, KC_HTTP_AGENT, KC_PROTO_REPORT_MAX, false, kc_api_agent_doctor },
	OF_KEY(KC_PROTO_BASE "/nagios/*", kc_api_nagios),
	OF_KEY("/nagios/*", kc_api_nagios),
	OF_KEY(KC_PROTO_BASE "/patchset/*", kc_api_key_patchset),
	{ "POST", API "/register", KC_HTTP_AGENT, KC_PROTO_REQUEST_MAX, false, kc_api_register },
	CHANGE(API "/delete_server", kc_api_server_delete),
	READ(API "/servers", kc_api_servers_get),
	REMOVE(API "/servers", kc_api_servers_clean),
	CHANGE(API "/set_tags", kc_api_set_tags),
	READ(API "/keys/", kc_api_keys_get),
	CHANGE(API "/keys/", kc_api_key_put),
	REMOVE(API "/keys/*", kc_api_key_delete),
	READ(API "/feeds/", kc_api_feeds_get),
	CHANGE(API "/feeds/", kc_api_feed_put),
	REMOVE(API "/feeds/*", kc_api_feed_delete),
	READ(API "/patchsets/", kc_api_patchsets_get),
	CHANGE(API "/patchsets/manage", kc_api_patchset_manage),
	{ "POST", API "/patchsets/deploy", KC_HTTP_ADMIN, KC_PATCHSET_SIZE_MAX, true, kc_api_patchset_deploy },
	CHANGE(API "/patchsets/update", kc_api_patchsets_update),
	CHANGE(API "/patchsets/auto-update", kc_api_patchsets_auto_update),
	CHANGE(API "/patchsets/download-missing", kc_api_patchsets_download),
	CHANGE(API "/patchsets/unroll", kc_api_patchset_unroll),
	READ(API "/users/", kc_api_users_get),
	CHANGE(API "/users/", kc_api_user_put),
	REMOVE(API "/users/*", kc_api_user_delete),
	READ(API "/api_keys/", kc_api_api_keys_get),
	CHANGE(API "/api_keys/", kc_api_api_key_add),
	REMOVE(API "/api_keys/*", kc_api_api_key_delete),
	READ(API "/audit", kc_api_audit),
	READ(API "/doctor", kc_api_doctor),
	LOCAL(API "/backup", kc_api_backup),
	LOCAL(API "/backup-db", kc_api_backup_db),
	LOCAL(API "/restore", kc_api_restore),
};

const struct kc_http_route *kc_api_routes(size_t *n)
{
	*n = KC_ARRAY_SIZE(routes);
	return routes;
}
