/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DATA/config: KEY=VALUE lines, as kcare.conf has them; options of the command line come before it. An unknown key or a
 * bad value is KC_ERR_CONFIG with file and line: a portal does not start with half a configuration. man eportald(8)
 * lists the keys.
 */
#ifndef KC_PORTAL_CONFIG_H
#define KC_PORTAL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"

struct kc_portal_config {
	char *listen;			  /* LISTEN: "127.0.0.1:8142", "[::]:443"; "": only the socket */
	char *socket;			  /* SOCKET: path; "": DATA/socket */
	char *tls_certificate, *tls_key;  /* TLS_CERTIFICATE, TLS_KEY: PEM files; both or none */
	char *trusted_proxies;		  /* TRUSTED_PROXIES: "127.0.0.1, 10.0.0.0/8": whose X-Forwarded-For counts */
	char *upstream;			  /* UPSTREAM: URL of another repository, for `update`; "": none */
	char *upstream_root;		  /* UPSTREAM_ROOT: its root.json */
	char *http_proxy;		  /* PROXY: for the upstream */
	unsigned threads;		  /* THREADS: of the HTTP server; 2 */
	unsigned connections;		  /* CONNECTIONS: at most; 2000 */
	unsigned connections_per_address; /* CONNECTIONS_PER_ADDRESS: 100 */
	unsigned auto_update_s;		  /* AUTO_UPDATE_PERIOD: 600 */
	unsigned inactive_days;		  /* CLEAN_INACTIVE_SERVERS_PERIOD: silent for so long: place is free; 30 */
	unsigned checkin_days;		  /* KEEP_CHECKINS: 90 */
	unsigned audit_days;		  /* KEEP_AUDIT: 730 */
	unsigned report_days;		  /* KEEP_REPORTS: 30 */
	unsigned password_min;		  /* AUTH_PASSWORD_MIN_LENGTH: 12 */
	bool serves_repository;		  /* SERVE_REPOSITORY: YES; NO: nginx does it */
	bool log_json;			  /* LOG_FORMAT: text, json */
};

/* Defaults. KC_ERR_NO_MEMORY. */
struct kc_error *kc_portal_config_init(struct kc_portal_config *config);
/* A missing file is fine. */
struct kc_error *kc_portal_config_load(struct kc_ctx *ctx, const char *path, struct kc_portal_config *config);
/* One key, also from the command line; `where` is for messages: "/var/lib/eportal/config:3", "--listen". */
struct kc_error *kc_portal_config_set(struct kc_portal_config *config, const char *where, const char *key,
				      const char *value);
void kc_portal_config_clear(struct kc_portal_config *config);

#define KC_CLEANUP_PORTAL_CONFIG KC_CLEANUP(kc_portal_config_clear)

#endif
