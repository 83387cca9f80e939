/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of servers: filters, pages, CSV. What changes servers is in servers_change.c. */
#include "portal/api/handlers.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "portal/api/answer.h"
#include "portal/api/args.h"
#include "portal/api/lookup.h"
#include "portal/api/server_view.h"

enum {
	LIMIT_DEFAULT = 10,
	LIMIT_MAX = 1000,
	AGE_MAX = 999999,
};

struct listing {
	struct kc_portal *portal;
	struct kc_args args;
	struct kc_server_filter filter;
	int64_t now, offset, limit;
	bool has_is_updated, is_updated, only_count, as_csv;

	int64_t count; /* of all that match */
	json_t *result;
	struct kc_buf csv;
};

static void listing_clear(struct listing *listing)
{
	kc_args_clear(&listing->args);
	json_decref(listing->result);
	kc_buf_free(&listing->csv);
}

/* "3": longer ago than 3 days; "-3": 3 days ago or less; "4h": hours. */
static struct kc_error *read_age(struct listing *listing, const char *name, int64_t *from, int64_t *to)
{
	const char *text;
	char *end;
	long n;

	KC_TRY(kc_args_text(&listing->args, name, 16, &text));
	if (!text || !*text)
		return NULL;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || isspace((unsigned char)*text) || *text == '+' || (*end && strcmp(end, "h")) ||
	    n < -AGE_MAX || n > AGE_MAX)
		return kc_error_new(KC_ERR_INPUT, "%s is a number of days, as in 3, -3 or 4h for hours; not %s", name,
				    text);
	if (*text == '-')
		*from = listing->now + n * (*end ? 3600 : 86400);
	else
		*to = listing->now - n * (*end ? 3600 : 86400);
	return NULL;
}

static struct kc_error *read_filter(struct listing *listing)
{
	struct kc_server_filter *filter = &listing->filter;
	struct kc_args *args = &listing->args;

	*filter = (struct kc_server_filter){
		.limit = -1,
	};
	KC_TRY(kc_args_text(args, "hostname", KC_ARGS_TEXT_MAX, &filter->hostname));
	KC_TRY(kc_args_text(args, "ip", KC_ARGS_TEXT_MAX, &filter->ip));
	KC_TRY(kc_args_text(args, "service_id", KC_ARGS_TEXT_MAX, &filter->id));
	KC_TRY(kc_args_text(args, "feed", KC_ARGS_TEXT_MAX, &filter->feed));
	KC_TRY(kc_args_text(args, "key", KC_ARGS_TEXT_MAX, &filter->key));
	KC_TRY(kc_args_text(args, "tag", KC_ARGS_TEXT_MAX, &filter->tag));
	KC_TRY(read_age(listing, "registered_age", &filter->registered_from, &filter->registered_to));
	KC_TRY(read_age(listing, "checkin_age", &filter->checked_in_from, &filter->checked_in_to));
	return read_age(listing, "updated_age", &filter->updated_from, &filter->updated_to);
}

static struct kc_error *read_arguments(struct listing *listing)
{
	struct kc_args *args = &listing->args;
	const char *format;

	KC_TRY(read_filter(listing));
	listing->has_is_updated = kc_args_has(args, "is_updated");
	KC_TRY(kc_args_flag(args, "is_updated", &listing->is_updated));
	KC_TRY(kc_args_number(args, "limit", 1, LIMIT_MAX, &listing->limit));
	KC_TRY(kc_args_number(args, "offset", 0, INT32_MAX, &listing->offset));
	KC_TRY(kc_args_flag(args, "only_count", &listing->only_count));
	KC_TRY(kc_args_text(args, "format", 16, &format));
	listing->as_csv = format && !strcmp(format, "csv");
	if (format && !listing->as_csv && strcmp(format, "json"))
		return kc_error_new(KC_ERR_INPUT, "format is json or csv, not %s", format);
	return NULL;
}

/* `listing->count` counts those that match; of them, those of the page are shown. */
static struct kc_error *take(void *data, const struct kc_server *server)
{
	struct listing *listing = data;
	struct kc_server_state state;
	int64_t index;

	KC_TRY(kc_server_look(listing->portal, server, listing->now, &state));
	if (listing->has_is_updated && (state.offer == KC_OFFER_UPDATED) != listing->is_updated)
		return NULL;
	index = listing->count++;
	if (listing->only_count)
		return NULL;
	if (listing->as_csv) {
		kc_server_csv(server, &state, &listing->csv);
		return listing->csv.failed ? kc_error_no_memory() : NULL;
	}
	if (index < listing->offset || index >= listing->offset + listing->limit)
		return NULL;
	return json_array_append_new(listing->result, kc_server_json(server, &state)) ? kc_error_no_memory() : NULL;
}

/*
 * What is offered to a server is not in the database: for `is_updated` all that match the rest are looked at. Without
 * it, the database knows the page.
 */
static struct kc_error *read_servers(struct kc_db_conn *conn, void *data)
{
	struct listing *listing = data;
	int64_t count;

	if (listing->has_is_updated || listing->as_csv)
		return kc_servers_each(conn, &listing->filter, take, listing);
	KC_TRY(kc_servers_count(conn, &listing->filter, &count));
	if (!listing->only_count) {
		listing->filter.offset = listing->offset;
		listing->filter.limit = listing->limit;
		listing->count = listing->offset;
		KC_TRY(kc_servers_each(conn, &listing->filter, take, listing));
	}
	listing->count = count;
	return NULL;
}

static struct kc_error *list(struct listing *listing)
{
	listing->result = json_array();
	if (!listing->result)
		return kc_error_no_memory();
	KC_TRY(read_arguments(listing));
	if (listing->as_csv)
		kc_server_csv_head(&listing->csv);
	return kc_db_read(listing->portal->db, read_servers, listing);
}

static void answer_servers(struct kc_portal *portal, struct kc_http_request *request)
{
	KC_CLEANUP(listing_clear)
	struct listing listing = {
		.portal = portal,
		.now = time(NULL),
		.limit = LIMIT_DEFAULT,
	};
	struct kc_error *err = kc_args_read_query(request, &listing.args);
	json_t *answer = NULL;

	if (!err)
		err = list(&listing);
	if (!err && listing.as_csv) {
		kc_api_reply_text(request, "text/csv; charset=utf-8", &listing.csv);
		return;
	}
	if (!err && listing.only_count)
		answer = json_pack("{s:I}", "count", (json_int_t)listing.count);
	else if (!err)
		answer = json_pack("{s:I, s:I, s:I, s:O}", "count", (json_int_t)listing.count, "limit",
				   (json_int_t)listing.limit, "offset", (json_int_t)listing.offset, "result",
				   listing.result);
	kc_api_reply_result(request, err, answer);
}

void kc_api_servers_get(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_servers);
}
