/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What monitoring asks: is the portal well, how are the servers of a key, how are all of them. */
#include "portal/api/handlers.h"

#include <string.h>
#include <time.h>

#include "portal/api/answer.h"
#include "portal/api/lookup.h"
#include "portal/api/server_view.h"
#include "portal/db/audit.h"
#include "portal/db/keys.h"

enum { LINES_MAX = 1000 }; /* of servers that are not up to date, in one answer */

/* ---- /healthz ---- */

static struct kc_error *ignore(void *data, const struct kc_audit_line *line)
{
	(void)data;
	(void)line;
	return NULL;
}

static struct kc_error *probe(struct kc_db_conn *conn, void *data)
{
	(void)data;
	return kc_audit_each(conn, 0, 1, ignore, NULL);
}

void kc_api_health(void *data, struct kc_http_request *request)
{
	struct kc_portal *portal = data;

	kc_api_reply_result(request, kc_db_read(portal->db, probe, NULL), json_pack("{s:s}", "status", "ok"));
}

/* ---- /metrics ---- */

struct fleet {
	struct kc_portal *portal;
	int64_t now;
	struct kc_metrics_fleet numbers;
};

static struct kc_error *count_group(void *data, const struct kc_server_group *group)
{
	struct fleet *fleet = data;
	struct kc_server_state state;

	KC_TRY(kc_server_look(fleet->portal, &group->server, fleet->now, &state));
	fleet->numbers.active += group->n;
	if (state.offer == KC_OFFER_UPDATED)
		fleet->numbers.uptodate += group->n;
	else if (state.offer == KC_OFFER_OUTDATED)
		fleet->numbers.outdated += group->n;
	else
		fleet->numbers.unsupported += group->n;
	return NULL;
}

static struct kc_error *count_fleet(struct kc_db_conn *conn, void *data)
{
	const struct kc_server_filter all = {
		.limit = -1,
	};
	struct fleet *fleet = data;

	KC_TRY(kc_servers_count(conn, &all, &fleet->numbers.servers));
	KC_TRY(kc_servers_groups(conn, NULL, kc_api_active_since(fleet->portal, fleet->now), count_group, fleet));
	fleet->numbers.inactive = fleet->numbers.servers - fleet->numbers.active;
	return NULL;
}

static void answer_metrics(struct kc_portal *portal, struct kc_http_request *request)
{
	struct fleet fleet = { .portal = portal, .now = time(NULL) };
	struct kc_error *err = kc_db_read(fleet.portal->db, count_fleet, &fleet);
	struct kc_buf text = { 0 };

	if (!err)
		err = kc_publisher_expiry(fleet.portal->publisher, &fleet.numbers.timestamp_expires,
					  &fleet.numbers.root_expires);
	if (err) {
		kc_http_reply_error(request, err);
		return;
	}
	kc_metrics_text(&fleet.portal->metrics, &fleet.numbers, &text);
	kc_api_reply_text(request, "text/plain; version=0.0.4; charset=utf-8", &text);
}

void kc_api_metrics(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_metrics);
}

/* ---- the servers of a key ---- */

struct watch {
	struct kc_portal *portal;
	const char *key;
	int64_t now;
	unsigned long n_up, n_outdated, n_unsupported, n_silent;
	struct kc_buf lines;
	json_t *data; /* of patchset/KEY */
};

static struct kc_error *each_server(struct kc_db_conn *conn, struct watch *watch,
				    struct kc_error *(*each)(void *data, const struct kc_server *server))
{
	const struct kc_server_filter filter = {
		.key = watch->key,
		.limit = -1,
	};
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };

	KC_TRY(kc_keys_get(conn, watch->key, 0, &key));
	return kc_servers_each(conn, &filter, each, watch);
}

/* Tries with a key that is none are counted: nobody finds one by guessing. */
static struct kc_error *read_key(struct watch *watch, struct kc_http_request *request, kc_db_fn *read)
{
	struct kc_error *err;
	char address[KC_ADDRESS_TEXT_SIZE];

	watch->now = time(NULL);
	watch->key = kc_http_path_part(request, 0);
	kc_http_auth_address(request, address);
	KC_TRY(kc_http_auth_check_limit(watch->portal->auth, KC_LIMIT_KEYS, address));
	err = kc_db_read(watch->portal->db, read, watch);
	if (err && kc_error_code(err) == KC_ERR_INVALID_KEY) {
		watch->portal->metrics.auth_failures++;
		kc_http_auth_count(watch->portal->auth, KC_LIMIT_KEYS, address);
	}
	return err;
}

/* What stands behind a '|' would be numbers to the plugin. */
static void add_line(struct watch *watch, const struct kc_server *server, const char *what)
{
	for (const char *c = server->hostname; *c; c++)
		kc_buf_append(&watch->lines, *c == '|' ? "?" : c, 1);
	kc_buf_printf(&watch->lines, " (%s) is %s\n", server->ip, what);
}

static struct kc_error *watch_server(void *data, const struct kc_server *server)
{
	struct watch *watch = data;
	struct kc_server_state state;
	unsigned long n_lines = watch->n_outdated + watch->n_unsupported + watch->n_silent;
	const char *what = NULL;

	KC_TRY(kc_server_look(watch->portal, server, watch->now, &state));
	if (state.is_silent) {
		watch->n_silent++;
		what = "INACTIVE";
	} else if (state.offer == KC_OFFER_UPDATED) {
		watch->n_up++;
	} else if (state.offer == KC_OFFER_OUTDATED) {
		watch->n_outdated++;
		what = "OUTOFDATE";
	} else {
		watch->n_unsupported++;
		what = "UNSUPPORTED";
	}
	if (what && n_lines < LINES_MAX)
		add_line(watch, server, what);
	return watch->lines.failed ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_nagios(struct kc_db_conn *conn, void *data)
{
	return each_server(conn, data, watch_server);
}

/* The line that check_kcare and others read: what is worst, then all the numbers. */
static void add_head(const struct watch *watch, struct kc_buf *text)
{
	const struct {
		unsigned long n;
		const char *what;
	} worst[] = {
		{ watch->n_outdated, "OUTOFDATE" },
		{ watch->n_unsupported, "UNSUPPORTED" },
		{ watch->n_silent, "INACTIVE" },
	};
	size_t i = 0;

	while (i < 3 && !worst[i].n)
		i++;
	if (i == 3)
		kc_buf_append_str(text, "KernelCare OK - all servers are up to date!");
	else
		kc_buf_printf(text, "%lu machine%s %s!", worst[i].n, worst[i].n == 1 ? " is" : "s are", worst[i].what);
	kc_buf_printf(text, "|uptodate=%lu;outofdate=%lu;unsupported=%lu;inactive=%lu\n", watch->n_up,
		      watch->n_outdated, watch->n_unsupported, watch->n_silent);
}

static void answer_nagios(struct kc_portal *portal, struct kc_http_request *request)
{
	struct watch watch = { .portal = portal };
	struct kc_error *err = read_key(&watch, request, read_nagios);
	struct kc_buf text = { 0 };

	if (err && kc_error_code(err) != KC_ERR_INVALID_KEY) {
		kc_buf_free(&watch.lines);
		kc_http_reply_error(request, err);
		return;
	}
	if (err || !(watch.n_up + watch.n_outdated + watch.n_unsupported + watch.n_silent)) {
		/* one answer for both, so that nobody learns which keys there are */
		kc_buf_printf(&text, "Servers not found for key %s\n", watch.key);
	} else {
		add_head(&watch, &text);
		kc_buf_append(&text, watch.lines.data, watch.lines.size);
	}
	kc_error_free(err);
	kc_buf_free(&watch.lines);
	kc_api_reply_text(request, "text/plain; charset=utf-8", &text);
}

void kc_api_nagios(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_nagios);
}

static struct kc_error *add_level(void *data, const struct kc_server *server)
{
	struct watch *watch = data;
	json_t *row = json_pack("[s, s, I]", server->ip, server->last.kernel_id, (json_int_t)server->last.level);

	return json_array_append_new(watch->data, row) ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_levels(struct kc_db_conn *conn, void *data)
{
	return each_server(conn, data, add_level);
}

static void answer_levels(struct kc_portal *portal, struct kc_http_request *request)
{
	struct watch watch = { .portal = portal, .data = json_array() };
	struct kc_error *err = read_key(&watch, request, read_levels);

	kc_api_reply_result(request, err, json_pack("{s:o}", "data", watch.data));
}

void kc_api_key_patchset(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_levels);
}
