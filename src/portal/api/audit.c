/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit log, the newest lines first. */
#include "portal/api/handlers.h"

#include "portal/api/answer.h"
#include "portal/api/args.h"
#include "portal/db/audit.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };

struct listing {
	struct kc_args args;
	int64_t offset, limit;
	json_t *result;
};

static struct kc_error *take(void *data, const struct kc_audit_line *line)
{
	struct listing *listing = data;
	json_t *json = json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "at", kc_api_time(line->at), "who", line->who,
				 "address", line->address, "action", line->action, "object", line->object, "detail",
				 line->detail, "outcome", line->outcome);

	return json_array_append_new(listing->result, json) ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_lines(struct kc_db_conn *conn, void *data)
{
	struct listing *listing = data;

	return kc_audit_each(conn, listing->offset, listing->limit, take, listing);
}

static struct kc_error *list(struct kc_portal *portal, struct kc_http_request *request, struct listing *listing)
{
	KC_TRY(kc_args_read_query(request, &listing->args));
	KC_TRY(kc_args_number(&listing->args, "limit", 1, LIMIT_MAX, &listing->limit));
	KC_TRY(kc_args_number(&listing->args, "offset", 0, INT32_MAX, &listing->offset));
	return kc_db_read(portal->db, read_lines, listing);
}

void kc_api_audit(void *data, struct kc_http_request *request)
{
	struct listing listing = { .limit = LIMIT_DEFAULT, .result = json_array() };
	struct kc_error *err = list(data, request, &listing);

	kc_args_clear(&listing.args);
	kc_api_reply_result(request, err,
			    json_pack("{s:I, s:I, s:o}", "limit", (json_int_t)listing.limit, "offset",
				      (json_int_t)listing.offset, "result", listing.result));
}
