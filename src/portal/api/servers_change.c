/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Servers that are taken off the list by the operator, and the tags that he gives them. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/answer.h"
#include "portal/api/work.h"
#include "portal/db/servers.h"

enum { DAYS_MAX = 36500 };

static struct kc_error *answer_count(struct kc_work *work, int64_t n)
{
	work->is_unchanged = n == 0;
	work->answer = kc_api_count(n);
	return work->answer ? NULL : kc_error_no_memory();
}

/* ---- one ---- */

struct delete_work {
	const char *id, *hostname, *ip;
	char (*found)[KC_SERVER_ID_SIZE];
	size_t n_found;
};

static void clear_delete(void *data)
{
	free(((struct delete_work *)data)->found);
}

static struct kc_error *prepare_delete(struct kc_work *work)
{
	struct delete_work *own = work->data;

	KC_TRY(kc_args_text(&work->args, "server_id", KC_ARGS_TEXT_MAX, &own->id));
	KC_TRY(kc_args_text(&work->args, "hostname", KC_ARGS_TEXT_MAX, &own->hostname));
	KC_TRY(kc_args_text(&work->args, "ip", KC_ARGS_TEXT_MAX, &own->ip));
	if (!(own->id && *own->id) && !(own->hostname && *own->hostname) && !(own->ip && *own->ip))
		return kc_error_new(KC_ERR_INPUT, "name a server by server_id, by hostname or by ip");
	/* where servers are listed it stands for any text; nobody may remove all of them by accident */
	if ((own->hostname && strchr(own->hostname, '%')) || (own->ip && strchr(own->ip, '%')))
		return kc_error_new(KC_ERR_INPUT, "a whole hostname or address is needed, without %%");
	return kc_work_set(&work->object, "%s", own->id ? own->id : own->hostname ? own->hostname : own->ip);
}

static struct kc_error *collect(void *data, const struct kc_server *server)
{
	struct delete_work *own = data;
	char(*id)[KC_SERVER_ID_SIZE];

	/* the database may be more generous about what is alike */
	if ((own->hostname && strcmp(server->hostname, own->hostname)) || (own->ip && strcmp(server->ip, own->ip)))
		return NULL;
	id = kc_array_add(&own->found, &own->n_found);
	if (!id)
		return kc_error_no_memory();
	memcpy(*id, server->id, sizeof(*id));
	return NULL;
}

static struct kc_error *write_delete(struct kc_db_conn *conn, struct kc_work *work)
{
	struct delete_work *own = work->data;
	const struct kc_server_filter filter = {
		.id = own->id,
		.hostname = own->hostname,
		.ip = own->ip,
		.limit = -1,
	};

	KC_TRY(kc_servers_each(conn, &filter, collect, own));
	for (size_t i = 0; i < own->n_found; i++)
		KC_TRY(kc_servers_remove(conn, own->found[i]));
	KC_TRY(kc_work_set(&work->detail, "removed=%zu", own->n_found));
	return answer_count(work, (int64_t)own->n_found);
}

void kc_api_server_delete(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server remove",
		.data_size = sizeof(struct delete_work),
		.clear = clear_delete,
		.prepare = prepare_delete,
		.write = write_delete,
	};

	kc_work_run(data, request, &kind);
}

/* ---- those that are silent ---- */

static struct kc_error *prepare_clean(struct kc_work *work)
{
	int64_t *days = work->data;
	bool inactive = false;

	KC_TRY(kc_args_number(&work->args, "checkin_age", 1, DAYS_MAX, days));
	KC_TRY(kc_args_flag(&work->args, "inactive", &inactive));
	if (!*days && inactive)
		*days = work->portal->config.inactive_days;
	if (!*days)
		return kc_error_new(KC_ERR_INPUT, "checkin_age is missing: after how many days of silence is a server "
						  "removed? inactive=1: as the portal is configured");
	return kc_work_set(&work->object, "silent for %lld days", (long long)*days);
}

static struct kc_error *write_clean(struct kc_db_conn *conn, struct kc_work *work)
{
	const int64_t *days = work->data;
	int64_t n;

	KC_TRY(kc_servers_remove_silent(conn, work->now - *days * 86400, &n));
	KC_TRY(kc_work_set(&work->detail, "removed=%lld", (long long)n));
	return answer_count(work, n);
}

void kc_api_servers_clean(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server clean",
		.data_size = sizeof(int64_t),
		.prepare = prepare_clean,
		.write = write_clean,
	};

	kc_work_run(data, request, &kind);
}

/* ---- tags ---- */

struct tags_work {
	const char *id, *tags;
};

static struct kc_error *prepare_tags(struct kc_work *work)
{
	struct tags_work *own = work->data;

	KC_TRY(kc_args_need_text(&work->args, "server_id", KC_ARGS_TEXT_MAX, &own->id));
	KC_TRY(kc_args_text(&work->args, "tags", KC_PROTO_TAGS_MAX, &own->tags));
	if (!own->tags)
		own->tags = "";
	KC_TRY(kc_tags_check(own->tags));
	KC_TRY(kc_work_set(&work->object, "%s", own->id));
	return kc_work_set(&work->detail, "tags=%s", own->tags);
}

static struct kc_error *write_tags(struct kc_db_conn *conn, struct kc_work *work)
{
	const struct tags_work *own = work->data;
	KC_CLEANUP_SERVER struct kc_server server = { 0 };

	work->has_changed = true;
	KC_TRY(kc_servers_get(conn, own->id, &server));
	work->n_changed = strcmp(server.tags, own->tags) != 0;
	return work->n_changed ? kc_servers_set_tags(conn, own->id, own->tags) : NULL;
}

void kc_api_set_tags(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "server tag",
		.data_size = sizeof(struct tags_work),
		.prepare = prepare_tags,
		.write = write_tags,
	};

	kc_work_run(data, request, &kind);
}
