/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The history of check-ins. */
#include "portal/db/server_row.h"

/* More says nothing to anybody: a host that lies, or loops, must not fill the disk. */
enum { LINES_MAX = 60, LINES_WITHIN_S = 3600 };

#define LINE "at, event, release, effective_version, level, patchset, feed, last_error"

/* Does the server's row say the same already? */
static struct kc_error *says_nothing_new(struct kc_db_conn *conn, const struct kc_server *server, bool *so)
{
	const struct kc_checkin *last = &server->last;
	struct kc_db_rows *rows;

	*so = false;
	if (last->event != KC_CHECKIN_PERIODIC)
		return NULL;
	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT id FROM servers WHERE id = ? AND checked_in > 0 AND release = ? AND "
			   "effective_version = ? AND level = ? AND patchset = ? AND feed = ? AND last_error = ?",
			   "sssusss", server->id, last->release, last->effective_version, last->level, last->patchset,
			   last->feed, last->last_error));
	*so = kc_db_rows_next(rows);
	return kc_db_rows_close(rows);
}

struct kc_error *kc_checkins_add(struct kc_db_conn *conn, const struct kc_server *server)
{
	const struct kc_checkin *last = &server->last;
	bool says_nothing;

	KC_TRY(says_nothing_new(conn, server, &says_nothing));
	if (says_nothing)
		return NULL;
	return kc_db_exec(conn,
			  "INSERT INTO checkins (server_id, " LINE ") SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? "
			  "WHERE (SELECT COUNT(*) FROM checkins WHERE server_id = ? AND at > ?) < ?",
			  "siussussssiu", server->id, server->checked_in, (uint32_t)last->event, last->release,
			  last->effective_version, last->level, last->patchset, last->feed, last->last_error,
			  server->id, server->checked_in - LINES_WITHIN_S, (unsigned)LINES_MAX);
}

struct checkins_each {
	struct kc_error *(*each)(void *data, const struct kc_checkin_line *line);
	void *data;
};

static struct kc_error *show_line(const struct kc_db_rows *rows, void *data)
{
	const struct checkins_each *each = data;
	struct kc_checkin_line line = {
		.at = kc_db_int(rows, 0),
		.checkin = { .event = (enum kc_checkin_event)kc_db_int(rows, 1),
			     .release = (char *)kc_db_text(rows, 2),
			     .effective_version = (char *)kc_db_text(rows, 3),
			     .level = (uint32_t)kc_db_int(rows, 4),
			     .patchset = (char *)kc_db_text(rows, 5),
			     .feed = (char *)kc_db_text(rows, 6),
			     .last_error = (char *)kc_db_text(rows, 7) },
	};

	return each->each(each->data, &line);
}

struct kc_error *kc_checkins_each(struct kc_db_conn *conn, const char *id, int64_t limit,
				  struct kc_error *(*each)(void *data, const struct kc_checkin_line *line), void *data)
{
	struct checkins_each all = { each, data };
	struct kc_db_rows *rows;

	/* of one second "before" comes before "after": events are in that order */
	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT " LINE " FROM checkins WHERE server_id = ? ORDER BY at DESC, event DESC LIMIT ?",
			   "si", id, kc_db_limit(limit)));
	return kc_db_rows_each(rows, show_line, &all);
}

struct kc_error *kc_checkins_forget(struct kc_db_conn *conn, int64_t before, bool *is_more)
{
	return kc_db_forget(conn, before, is_more, "SELECT at FROM checkins ORDER BY at LIMIT 1 OFFSET ?",
			    "DELETE FROM checkins WHERE at < ?");
}
