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

enum { LINES_MAX = 1000 }; /* in one answer, for each way of not being up to date */

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

/* ---- how many servers are how ---- */

enum { SILENT = KC_OFFER_BY_HOST + 1, STATES }; /* beside those of enum kc_offer */

struct tally {
	const char *what; /* for a line about each server; NULL: none are wanted */
	int64_t n, n_lines;
	struct kc_buf lines;
};

struct watch {
	struct kc_portal *portal;
	struct kc_db_conn *conn;
	const char *key; /* NULL: all */
	int64_t now;
	int64_t n; /* servers */
	struct tally of[STATES];
	json_t *data; /* of patchset/KEY */
};

static bool wants_lines(const struct tally *tally)
{
	return tally->what && tally->n_lines < LINES_MAX;
}

/* What stands behind a '|' would be numbers to the plugin. */
static struct kc_error *add_line(void *data, const struct kc_server *server)
{
	struct tally *tally = data;

	for (const char *c = server->hostname; *c; c++)
		kc_buf_append(&tally->lines, *c == '|' ? "?" : c, 1);
	kc_buf_printf(&tally->lines, " (%s) is %s\n", server->ip, tally->what);
	tally->n_lines++;
	return tally->lines.failed ? kc_error_no_memory() : NULL;
}

static struct kc_error *count_server(void *data, const struct kc_server *server)
{
	struct watch *watch = data;
	struct kc_server_state state;
	struct tally *tally;

	KC_TRY(kc_server_look(watch->portal, server, watch->now, &state));
	tally = &watch->of[state.offer];
	tally->n++;
	return wants_lines(tally) ? add_line(tally, server) : NULL;
}

static struct kc_error *count_group(void *data, const struct kc_server_group *group)
{
	struct watch *watch = data;
	int64_t since = kc_api_active_since(watch->portal, watch->now);
	struct kc_server_state state;
	struct tally *tally;

	KC_TRY(kc_server_look(watch->portal, &group->server, watch->now, &state));
	if (state.offer == KC_OFFER_BY_HOST)
		return kc_servers_of_group(watch->conn, group, since, -1, count_server, watch);
	tally = &watch->of[state.offer];
	tally->n += group->n;
	if (!wants_lines(tally))
		return NULL;
	return kc_servers_of_group(watch->conn, group, since, LINES_MAX - tally->n_lines, add_line, tally);
}

/* By groups, so that it hardly matters how many there are. */
static struct kc_error *count_servers(struct kc_db_conn *conn, void *data)
{
	struct watch *watch = data;
	const struct kc_server_filter filter = {
		.key = watch->key,
	};
	struct tally *silent = &watch->of[SILENT];
	int64_t since = kc_api_active_since(watch->portal, watch->now);

	watch->conn = conn;
	KC_TRY(kc_servers_groups(conn, watch->key, since, count_group, watch));
	KC_TRY(kc_servers_count(conn, &filter, &watch->n));
	silent->n = watch->n;
	for (size_t i = 0; i < SILENT; i++)
		silent->n -= watch->of[i].n;
	if (!silent->n || !wants_lines(silent))
		return NULL;
	return kc_servers_silent(conn, watch->key, since, LINES_MAX, add_line, silent);
}

/* ---- /metrics ---- */

static void answer_metrics(struct kc_portal *portal, struct kc_http_request *request)
{
	struct watch watch = { .portal = portal, .now = time(NULL) };
	struct kc_metrics_fleet fleet;
	struct kc_error *err = kc_db_read(portal->db, count_servers, &watch);
	struct kc_buf text = { 0 };

	fleet = (struct kc_metrics_fleet){
		.uptodate = watch.of[KC_OFFER_UPDATED].n,
		.outdated = watch.of[KC_OFFER_OUTDATED].n,
		.unsupported = watch.of[KC_OFFER_UNSUPPORTED].n,
		.inactive = watch.of[SILENT].n,
	};
	if (!err)
		err = kc_publisher_expiry(portal->publisher, &fleet.timestamp_expires, &fleet.root_expires);
	if (err) {
		kc_http_reply_error(request, err);
		return;
	}
	kc_metrics_text(&portal->metrics, &fleet, &text);
	kc_api_reply_text(request, "text/plain; version=0.0.4; charset=utf-8", &text);
}

void kc_api_metrics(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_metrics);
}

/* ---- the servers of a key ---- */

static struct kc_error *check_key(struct kc_db_conn *conn, const struct watch *watch)
{
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key key = { 0 };

	return kc_keys_get(conn, watch->key, KC_KEYS_UNCOUNTED, &key);
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

static struct kc_error *read_nagios(struct kc_db_conn *conn, void *data)
{
	KC_TRY(check_key(conn, data));
	return count_servers(conn, data);
}

/* The line that check_kcare and others read: what is worst, then all the numbers; and the servers, the worst first. */
static void add_answer(const struct watch *watch, struct kc_buf *text)
{
	size_t worst = KC_OFFER_OUTDATED;

	while (worst < STATES && !watch->of[worst].n)
		worst++;
	if (worst == STATES)
		kc_buf_append_str(text, "KernelCare OK - all servers are up to date!");
	else
		kc_buf_printf(text, "%lld machine%s %s!", (long long)watch->of[worst].n,
			      watch->of[worst].n == 1 ? " is" : "s are", watch->of[worst].what);
	kc_buf_printf(text, "|uptodate=%lld;outofdate=%lld;unsupported=%lld;inactive=%lld\n",
		      (long long)watch->of[KC_OFFER_UPDATED].n, (long long)watch->of[KC_OFFER_OUTDATED].n,
		      (long long)watch->of[KC_OFFER_UNSUPPORTED].n, (long long)watch->of[SILENT].n);
	for (size_t i = 0; i < STATES; i++)
		kc_buf_append(text, watch->of[i].lines.data, watch->of[i].lines.size);
}

static void watch_clear(struct watch *watch)
{
	for (size_t i = 0; i < STATES; i++)
		kc_buf_free(&watch->of[i].lines);
}

static void answer_nagios(struct kc_portal *portal, struct kc_http_request *request)
{
	KC_CLEANUP(watch_clear)
	struct watch watch = { .portal = portal,
			       .of = { [KC_OFFER_OUTDATED] = { .what = "OUTOFDATE" },
				       [KC_OFFER_UNSUPPORTED] = { .what = "UNSUPPORTED" },
				       [SILENT] = { .what = "INACTIVE" } } };
	struct kc_error *err = read_key(&watch, request, read_nagios);
	struct kc_buf text = { 0 };

	if (err && kc_error_code(err) != KC_ERR_INVALID_KEY) {
		kc_http_reply_error(request, err);
		return;
	}
	if (err || !watch.n)
		/* one answer for both, so that nobody learns which keys there are */
		kc_buf_printf(&text, "Servers not found for key %s\n", watch.key);
	else
		add_answer(&watch, &text);
	kc_error_free(err);
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
	struct watch *watch = data;
	const struct kc_server_filter filter = {
		.key = watch->key,
		.limit = -1,
	};

	KC_TRY(check_key(conn, watch));
	return kc_servers_each(conn, &filter, add_level, watch);
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
