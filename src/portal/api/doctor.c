/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's own doctor: what an operator would look at first, each with what to do about it. */
#include "portal/api/handlers.h"

#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "portal/api/answer.h"
#include "portal/api/server_view.h"
#include "portal/api/work.h"
#include "portal/db/keys.h"
#include "portal/db/users.h"

enum {
	ROOM_PERCENT = 5,
	ROOM_MIB = 1024,
	ROOT_DAYS = 30,
	TIMESTAMP_HOURS = 24,
};

struct checkup {
	struct kc_portal *portal;
	int64_t now;
	json_t *checks;
	bool is_well;
};

static void add(struct checkup *checkup, const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void add(struct checkup *checkup, const char *name, bool ok, const char *format, ...)
{
	kc_autofree char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	checkup->is_well &= ok;
	json_array_append_new(checkup->checks, json_pack("{s:s, s:b, s:s}", "name", name, "ok", ok, "message",
							 message ? message : "out of memory"));
}

static void check_disk(struct checkup *checkup)
{
	struct statvfs fs;
	unsigned long long free_mib;
	unsigned percent;

	if (statvfs(checkup->portal->dir, &fs) || !fs.f_blocks) {
		add(checkup, "disk", false, "the file system of %s cannot be asked", checkup->portal->dir);
		return;
	}
	free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
	percent = (unsigned)(fs.f_bavail * 100 / fs.f_blocks);
	if (percent < ROOM_PERCENT && free_mib < ROOM_MIB)
		add(checkup, "disk", false, "%llu MiB are free at %s: patchsets will not fit soon", free_mib,
		    checkup->portal->dir);
	else
		add(checkup, "disk", true, "%llu MiB are free at %s", free_mib, checkup->portal->dir);
}

static void check_expiry(struct checkup *checkup)
{
	int64_t timestamp = 0, root = 0;
	kc_autoerror struct kc_error *err = kc_publisher_expiry(checkup->portal->publisher, &timestamp, &root);

	if (err || !timestamp)
		add(checkup, "timestamp", false, "no feed has a timestamp that can be read%s%s", err ? ": " : "",
		    err ? kc_error_message(err) : "");
	else if (timestamp < checkup->now + TIMESTAMP_HOURS * 3600)
		add(checkup, "timestamp", false,
		    "a feed's timestamp has %lld h, then hosts take nothing new: the log says why it was not renewed",
		    (long long)(timestamp - checkup->now) / 3600);
	else
		add(checkup, "timestamp", true, "the first one to expire has %lld h",
		    (long long)(timestamp - checkup->now) / 3600);
	if (root < checkup->now + ROOT_DAYS * 86400)
		add(checkup, "root", false, "the root expires in %lld days: 'kcare-repo sign-root' renews it",
		    (long long)(root - checkup->now) / 86400);
	else
		add(checkup, "root", true, "the root has %lld days", (long long)(root - checkup->now) / 86400);
}

static void check_repository(struct checkup *checkup, const struct kc_repository *repository)
{
	char **warnings = kc_repository_warnings(repository);

	if (!warnings) {
		add(checkup, "repository", false, "out of memory");
		return;
	}
	if (!*warnings)
		add(checkup, "repository", true, "no private key lies where it should not");
	for (size_t i = 0; warnings[i]; i++) {
		add(checkup, "repository", false, "%s", warnings[i]);
		free(warnings[i]);
	}
	free(warnings);
}

static struct kc_error *check_keys(struct kc_db_conn *conn, struct checkup *checkup)
{
	struct kc_activation_key *keys = NULL;
	size_t n_keys = 0, n_above = 0;

	KC_TRY(kc_keys_list(conn, kc_api_active_since(checkup->portal, checkup->now), &keys, &n_keys));
	for (size_t i = 0; i < n_keys; i++) {
		if (!kc_key_above_limit(&keys[i]))
			continue;
		n_above++;
		add(checkup, "keys", false,
		    "%s has %u servers, %u above its limit, and takes no new ones: raise the limit, or remove servers",
		    keys[i].key, keys[i].n_servers, kc_key_above_limit(&keys[i]));
	}
	kc_keys_free(keys, n_keys);
	if (!n_above)
		add(checkup, "keys", true, "%zu keys, none above its limit", n_keys);
	return NULL;
}

static struct kc_error *check_database(struct kc_db_conn *conn, void *data)
{
	struct checkup *checkup = data;
	const struct kc_server_filter all = {
		.limit = -1,
	};
	struct kc_user *users = NULL;
	size_t n_users = 0, n_admins = 0;
	int64_t n_servers;

	KC_TRY(kc_servers_count(conn, &all, &n_servers));
	add(checkup, "database", true, "%lld servers are registered", (long long)n_servers);
	KC_TRY(kc_users_list(conn, &users, &n_users));
	for (size_t i = 0; i < n_users; i++)
		n_admins += users[i].is_admin;
	add(checkup, "users", true, "%zu users, %zu of them administrators", n_users, n_admins);
	kc_users_free(users, n_users);
	return check_keys(conn, checkup);
}

static void check_listener(struct checkup *checkup)
{
	const struct kc_portal_config *config = &checkup->portal->config;
	const char *listen = config->listen ? config->listen : "";
	bool is_near = !strncmp(listen, "127.", 4) || !strncmp(listen, "[::1]", 5) || !strncmp(listen, "localhost", 9);
	bool has_tls = config->tls_certificate && *config->tls_certificate;

	if (!*listen)
		add(checkup, "listen", true, "it can only be reached through its socket");
	else if (!is_near && !has_tls)
		add(checkup, "listen", false,
		    "passwords and secrets of hosts go unencrypted to %s: set TLS_CERTIFICATE and TLS_KEY, or listen "
		    "at 127.0.0.1 behind a web server",
		    listen);
	else
		add(checkup, "listen", true, "at %s%s", listen, has_tls ? ", with TLS" : "");
}

static struct kc_error *examine(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				struct kc_work *work)
{
	struct checkup checkup = {
		.portal = work->portal,
		.now = work->now,
		.checks = json_array(),
		.is_well = true,
	};
	struct kc_error *err;

	(void)ctx;
	(void)publisher;
	check_disk(&checkup);
	check_expiry(&checkup);
	check_repository(&checkup, repository);
	check_listener(&checkup);
	err = kc_db_read(work->portal->db, check_database, &checkup);
	if (err)
		add(&checkup, "database", false, "%s", kc_error_message(err));
	kc_error_free(err);
	work->answer =
		json_pack("{s:b, s:s, s:o}", "ok", checkup.is_well, "version", KC_VERSION, "checks", checkup.checks);
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_doctor(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = { .has_own_body = true, .publish = examine };

	kc_work_run(data, request, &kind);
}
