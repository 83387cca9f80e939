/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many servers: filters, and groups. The text of a query has what is asked for, and values only as parameters. */
#include <ctype.h>
#include <string.h>

#include "portal/db/server_row.h"

enum { CONDITIONS_MAX = 24 };

/* A WHERE in the making. */
struct where {
	struct kc_buf sql;
	struct kc_db_value values[CONDITIONS_MAX];
	size_t n_values;
	struct kc_buf texts[4]; /* that were made here; values point to them */
	size_t n_texts;
};

static void where_free(struct where *where)
{
	kc_buf_free(&where->sql);
	for (size_t i = 0; i < KC_ARRAY_SIZE(where->texts); i++)
		kc_buf_free(&where->texts[i]);
}

/* ---- conditions ---- */

/* `condition` is a text of ours; the '?' in it are for the next values. */
static void add_condition(struct where *where, const char *condition)
{
	kc_buf_printf(&where->sql, " %s %s", where->sql.size ? "AND" : "WHERE", condition);
}

static void add_text(struct where *where, const char *text)
{
	where->values[where->n_values++] = (struct kc_db_value){ .type = 's', .text = text };
}

static void add_number(struct where *where, int64_t number)
{
	where->values[where->n_values++] = (struct kc_db_value){ .type = 'i', .number = number };
}

/* Small letters; '!' makes a '_' and itself stand for themselves, and a '%', too, when it is no wildcard. */
static void append_pattern(struct kc_buf *pattern, const char *text, bool has_wildcards)
{
	for (; *text; text++) {
		char c = (char)(isascii(*text) ? tolower(*text) : *text);

		if (c == '_' || c == '!' || (c == '%' && !has_wildcards))
			kc_buf_append(pattern, "!", 1);
		kc_buf_append(pattern, &c, 1);
	}
}

static struct kc_buf *new_text(struct where *where)
{
	return &where->texts[where->n_texts++];
}

/* A text with '%' is a pattern; without one, an index finds it. */
static void filter_text(struct where *where, const char *text, const char *equals, const char *like)
{
	struct kc_buf *pattern;

	if (!text)
		return;
	add_condition(where, strchr(text, '%') ? like : equals);
	if (!strchr(text, '%')) {
		add_text(where, text);
		return;
	}
	pattern = new_text(where);
	append_pattern(pattern, text, true);
	add_text(where, pattern->data);
}

/* "env:prod" as one of the tags of "env:prod;ubuntu"; "env" whatever follows its ':'. */
static void filter_tag(struct where *where, const char *tag)
{
	static const char *const ends[] = { ";%", ":%" };
	bool has_value;

	if (!tag)
		return;
	has_value = strchr(tag, ':');
	add_condition(where, has_value ? "LOWER(';' || s.tags || ';' || s.host_tags || ';') LIKE ? ESCAPE '!'"
				       : "(LOWER(';' || s.tags || ';' || s.host_tags || ';') LIKE ? ESCAPE '!' OR "
					 "LOWER(';' || s.tags || ';' || s.host_tags || ';') LIKE ? ESCAPE '!')");
	for (size_t i = 0; i < (has_value ? 1 : KC_ARRAY_SIZE(ends)); i++) {
		struct kc_buf *pattern = new_text(where);

		kc_buf_append_str(pattern, "%;");
		append_pattern(pattern, tag, false);
		kc_buf_append_str(pattern, ends[i]);
		add_text(where, pattern->data);
	}
}

static void filter_times(struct where *where, int64_t from, const char *at_least, int64_t to, const char *at_most)
{
	if (from) {
		add_condition(where, at_least);
		add_number(where, from);
	}
	if (to) {
		add_condition(where, at_most);
		add_number(where, to);
	}
}

static struct kc_error *make_where(const struct kc_server_filter *filter, struct where *where)
{
	if (filter->id) {
		add_condition(where, "s.id = ?");
		add_text(where, filter->id);
	}
	if (filter->key) {
		add_condition(where, "s.key_name = ?");
		add_text(where, filter->key);
	}
	if (filter->feed) {
		/* two ranges of servers_feed */
		add_condition(where, "s.feed IN (?, '') AND " KC_SERVER_FEED " = ?");
		add_text(where, filter->feed);
		add_text(where, filter->feed);
	}
	filter_text(where, filter->hostname, "s.hostname = ?", "LOWER(s.hostname) LIKE ? ESCAPE '!'");
	filter_text(where, filter->ip, "s.ip = ?", "LOWER(s.ip) LIKE ? ESCAPE '!'");
	filter_tag(where, filter->tag);
	filter_times(where, filter->registered_from, "s.registered >= ?", filter->registered_to, "s.registered <= ?");
	filter_times(where, filter->checked_in_from, "s.checked_in >= ?", filter->checked_in_to, "s.checked_in <= ?");
	filter_times(where, filter->updated_from, "s.updated >= ?", filter->updated_to, "s.updated <= ?");
	if (where->sql.failed)
		return kc_error_no_memory();
	for (size_t i = 0; i < where->n_texts; i++)
		if (where->texts[i].failed)
			return kc_error_no_memory();
	return NULL;
}

/* ---- lists ---- */

struct servers_each {
	struct kc_error *(*each)(void *data, const struct kc_server *server);
	void *data;
};

static struct kc_error *show_server(const struct kc_db_rows *rows, void *data)
{
	const struct servers_each *each = data;
	struct kc_server server;

	kc_server_row_show(rows, &server);
	return each->each(each->data, &server);
}

struct kc_error *kc_servers_each(struct kc_db_conn *conn, const struct kc_server_filter *filter,
				 struct kc_error *(*each)(void *data, const struct kc_server *server), void *data)
{
	KC_CLEANUP(where_free) struct where where = { 0 };
	struct servers_each all = { each, data };
	kc_autobuf struct kc_buf sql = { 0 };
	struct kc_db_rows *rows;

	KC_TRY(make_where(filter, &where));
	kc_buf_printf(&sql, KC_SERVER_SELECT "%s ORDER BY s.registered, s.id LIMIT ? OFFSET ?",
		      where.sql.size ? where.sql.data : "");
	if (sql.failed)
		return kc_error_no_memory();
	add_number(&where, kc_db_limit(filter->limit));
	add_number(&where, filter->offset);
	KC_TRY(kc_db_query_values(conn, &rows, sql.data, where.values, where.n_values));
	return kc_db_rows_each(rows, show_server, &all);
}

static struct kc_error *read_count(const struct kc_db_rows *rows, void *data)
{
	*(int64_t *)data = kc_db_int(rows, 0);
	return NULL;
}

struct kc_error *kc_servers_count(struct kc_db_conn *conn, const struct kc_server_filter *filter, int64_t *n)
{
	KC_CLEANUP(where_free) struct where where = { 0 };
	kc_autobuf struct kc_buf sql = { 0 };
	struct kc_db_rows *rows;

	KC_TRY(make_where(filter, &where));
	/* the key's feed is needed for that filter only, and a join is not for nothing */
	kc_buf_printf(&sql, "SELECT COUNT(*) FROM servers AS s%s%s",
		      filter->feed ? " LEFT JOIN activation_keys AS k ON k.name = s.key_name" : "",
		      where.sql.size ? where.sql.data : "");
	if (sql.failed)
		return kc_error_no_memory();
	KC_TRY(kc_db_query_values(conn, &rows, sql.data, where.values, where.n_values));
	return kc_db_rows_each(rows, read_count, n);
}

/* ---- groups ---- */

#define GROUP "key_name, feed, kernel_id, type, level, delay_s, sticky_before, pinned"
#define GROUP_FEED "CASE WHEN g.feed = '' THEN COALESCE(k.feed, '') ELSE g.feed END"
#define GROUP_COLUMNS \
	"g.key_name, " GROUP_FEED ", g.feed, g.kernel_id, g.type, g.level, g.delay_s, g.sticky_before, g.pinned"

/*
 * All servers by groups, in the order of servers_group, less the silent ones: so nobody looks at the rows of all. The
 * empty text keeps those from being grouped in that order, too, with a look at each row. The two %s: which keys.
 */
#define GROUPS                                                                         \
	"SELECT " GROUP_COLUMNS ", CAST(SUM(g.n) AS BIGINT) FROM ("                    \
	"SELECT " GROUP ", COUNT(*) AS n FROM servers%s GROUP BY " GROUP " "           \
	"UNION ALL "                                                                   \
	"SELECT " GROUP ", -COUNT(*) AS n FROM servers WHERE %s AND " KC_SERVER_SILENT \
	" GROUP BY key_name || '', " GROUP ") AS g "                                   \
	"LEFT JOIN activation_keys AS k ON k.name = g.key_name "                       \
	"GROUP BY " GROUP_COLUMNS " HAVING SUM(g.n) > 0"

struct groups_each {
	struct kc_error *(*each)(void *data, const struct kc_server_group *group);
	void *data;
};

static struct kc_error *show_group(const struct kc_db_rows *rows, void *data)
{
	const struct groups_each *each = data;
	struct kc_server_group group = {
		.server = { .key = (char *)kc_db_text(rows, 0),
			    .feed = (char *)kc_db_text(rows, 1),
			    .last = { .feed = (char *)kc_db_text(rows, 2),
				      .kernel_id = (char *)kc_db_text(rows, 3),
				      .type = (char *)kc_db_text(rows, 4),
				      .level = (uint32_t)kc_db_int(rows, 5),
				      .delay_s = kc_db_int(rows, 6),
				      .sticky_before = kc_db_int(rows, 7),
				      .pinned = (char *)kc_db_text(rows, 8) } },
		.n = kc_db_int(rows, 9),
	};

	return each->each(each->data, &group);
}

struct kc_error *kc_servers_groups(struct kc_db_conn *conn, const char *key, int64_t active_since,
				   struct kc_error *(*each)(void *data, const struct kc_server_group *group),
				   void *data)
{
	struct groups_each all = { each, data };
	kc_autobuf struct kc_buf sql = { 0 };
	struct kc_db_rows *rows;

	kc_buf_printf(&sql, GROUPS, key ? " WHERE key_name = ?" : "", key ? "key_name = ?" : KC_SERVER_HAS_KEY);
	if (sql.failed)
		return kc_error_no_memory();
	if (key)
		KC_TRY(kc_db_query(conn, &rows, sql.data, "ssii", key, key, active_since, active_since));
	else
		KC_TRY(kc_db_query(conn, &rows, sql.data, "ii", active_since, active_since));
	return kc_db_rows_each(rows, show_group, &all);
}

/* ---- of a group ---- */

#define NAMES "SELECT hostname, ip, host_tag FROM servers WHERE key_name = ? AND "

struct names_each {
	struct kc_server server; /* what all of them have */
	struct kc_error *(*each)(void *data, const struct kc_server *server);
	void *data;
};

static struct kc_error *show_names(const struct kc_db_rows *rows, void *data)
{
	struct names_each *each = data;

	each->server.hostname = (char *)kc_db_text(rows, 0);
	each->server.ip = (char *)kc_db_text(rows, 1);
	each->server.last.host_tag = (char *)kc_db_text(rows, 2);
	return each->each(each->data, &each->server);
}

struct kc_error *kc_servers_of_group(struct kc_db_conn *conn, const struct kc_server_group *group, int64_t active_since,
				     int64_t limit,
				     struct kc_error *(*each)(void *data, const struct kc_server *server), void *data)
{
	struct names_each names = { group->server, each, data };
	const struct kc_checkin *last = &group->server.last;
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows,
			   NAMES "feed = ? AND kernel_id = ? AND type = ? AND level = ? AND delay_s = ? AND "
				 "sticky_before = ? AND pinned = ? AND NOT (" KC_SERVER_SILENT ") LIMIT ?",
			   "ssssuiisiii", group->server.key, last->feed, last->kernel_id, last->type, last->level,
			   last->delay_s, last->sticky_before, last->pinned, active_since, active_since,
			   kc_db_limit(limit)));
	return kc_db_rows_each(rows, show_names, &names);
}

struct kc_error *kc_servers_silent(struct kc_db_conn *conn, const char *key, int64_t since, int64_t limit,
				   struct kc_error *(*each)(void *data, const struct kc_server *server), void *data)
{
	struct names_each names = { { .key = (char *)key }, each, data };
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows, NAMES KC_SERVER_SILENT " LIMIT ?", "siii", key, since, since,
			   kc_db_limit(limit)));
	return kc_db_rows_each(rows, show_names, &names);
}
