/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/arrivals.h"

#include "portal/db/rows.h"

struct kc_error *kc_arrivals_put(struct kc_db_conn *conn, const struct kc_arrival *arrival)
{
	return kc_db_exec(conn,
			  "INSERT INTO arrivals (patchset, channel, distro, source, released, arrived, is_here) "
			  "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (patchset) DO UPDATE SET "
			  "channel = excluded.channel, source = excluded.source, is_here = excluded.is_here",
			  "ssssiiu", arrival->patchset, arrival->channel, arrival->distro, arrival->source,
			  arrival->released, arrival->arrived, arrival->is_here);
}

struct kc_error *kc_arrivals_remove(struct kc_db_conn *conn, const char *patchset)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM arrivals WHERE patchset = ?", "s", patchset));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_NOT_FOUND, "no patchset %s has arrived here", patchset);
	return NULL;
}

struct arrivals_each {
	struct kc_error *(*each)(void *data, const struct kc_arrival *arrival);
	void *data;
};

static struct kc_error *show_arrival(const struct kc_db_rows *rows, void *data)
{
	const struct arrivals_each *each = data;
	struct kc_arrival arrival = {
		.patchset = (char *)kc_db_text(rows, 0),
		.channel = (char *)kc_db_text(rows, 1),
		.distro = (char *)kc_db_text(rows, 2),
		.source = (char *)kc_db_text(rows, 3),
		.released = kc_db_int(rows, 4),
		.arrived = kc_db_int(rows, 5),
		.is_here = kc_db_int(rows, 6),
	};

	return each->each(each->data, &arrival);
}

struct kc_error *kc_arrivals_each(struct kc_db_conn *conn,
				  struct kc_error *(*each)(void *data, const struct kc_arrival *arrival), void *data)
{
	struct arrivals_each all = { each, data };
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT patchset, channel, distro, source, released, arrived, is_here FROM arrivals "
			   "ORDER BY arrived, patchset",
			   ""));
	return kc_db_rows_each(rows, show_arrival, &all);
}
