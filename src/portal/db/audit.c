/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/audit.h"

#include <time.h>

#include "portal/db/rows.h"

/* ids are only for the order: several lines of one second */
struct kc_error *kc_audit_add(struct kc_db_conn *conn, const struct kc_audit_line *line)
{
	return kc_db_exec(conn,
			  "INSERT INTO audit (id, at, who, address, action, object, detail, outcome) "
			  "SELECT COALESCE(MAX(id), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM audit",
			  "issssss", line->at ? line->at : (int64_t)time(NULL), line->who, line->address, line->action,
			  line->object, line->detail, line->outcome);
}

struct audit_each {
	struct kc_error *(*each)(void *data, const struct kc_audit_line *line);
	void *data;
};

static struct kc_error *show_line(const struct kc_db_rows *rows, void *data)
{
	const struct audit_each *each = data;
	struct kc_audit_line line = {
		.at = kc_db_int(rows, 0),
		.who = (char *)kc_db_text(rows, 1),
		.address = (char *)kc_db_text(rows, 2),
		.action = (char *)kc_db_text(rows, 3),
		.object = (char *)kc_db_text(rows, 4),
		.detail = (char *)kc_db_text(rows, 5),
		.outcome = (char *)kc_db_text(rows, 6),
	};

	return each->each(each->data, &line);
}

struct kc_error *kc_audit_each(struct kc_db_conn *conn, int64_t offset, int64_t limit,
			       struct kc_error *(*each)(void *data, const struct kc_audit_line *line), void *data)
{
	struct audit_each all = { each, data };
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT at, who, address, action, object, detail, outcome FROM audit "
			   "ORDER BY id DESC LIMIT ? OFFSET ?",
			   "ii", kc_db_limit(limit), offset));
	return kc_db_rows_each(rows, show_line, &all);
}

struct kc_error *kc_audit_forget(struct kc_db_conn *conn, int64_t before, bool *is_more)
{
	return kc_db_forget(conn, before, is_more, "SELECT at FROM audit ORDER BY at LIMIT 1 OFFSET ?",
			    "DELETE FROM audit WHERE at < ?");
}
