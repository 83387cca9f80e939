/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One server at a time; many are servers_find.c's. What a check-in writes is kept small: the row, and the index of
 * silent ones. Columns of other indices are written only when they differ, since SQLite writes an index anew whose
 * column is named in an UPDATE, whatever its value.
 */
#include "portal/db/servers.h"

#include "portal/db/server_row.h"

#define NAME(kind, column, member) ", " #column
#define MARK(kind, column, member) ", ?"
#define ASSIGN(kind, column, member) #column " = ?, "
#define DIFFERS(kind, column, member) #column " <> ? OR "
/* Ends a list of the two above. */
#define NO_ASSIGNMENT "secret_hash = secret_hash"
#define NO_DIFFERENCE "1 = 0"

static struct kc_error *unknown(const char *id)
{
	return kc_error_new(KC_ERR_UNKNOWN_SERVER, "there is no server %s", id);
}

struct kc_error *kc_servers_add(struct kc_db_conn *conn, const struct kc_server *server)
{
	struct kc_db_value values[KC_SERVER_COLUMNS_MAX];
	size_t n = kc_server_values_all(server, values);

	KC_TRY(kc_db_exec_values(conn,
				 "INSERT INTO servers (id" KC_SERVER_REST(NAME) ") VALUES (?" KC_SERVER_REST(
					 MARK) ") "
					       "ON CONFLICT DO NOTHING",
				 values, n));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_EXISTS, "the server %s, or its machine, exists already", server->id);
	return NULL;
}

/* ---- finding one ---- */

static struct kc_error *read_id(const struct kc_db_rows *rows, void *data)
{
	snprintf(data, KC_SERVER_ID_SIZE, "%s", kc_db_text(rows, 0));
	return NULL;
}

struct kc_error *kc_servers_find(struct kc_db_conn *conn, const char *key, const char *machine_id, const char *instance,
				 char id[KC_SERVER_ID_SIZE])
{
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows, "SELECT id FROM servers WHERE key_name = ? AND machine_id = ? AND instance = ?",
			   "sss", key, machine_id, instance));
	return kc_db_rows_one(rows, read_id, id, kc_error_not_found());
}

struct kc_error *kc_servers_get(struct kc_db_conn *conn, const char *id, struct kc_server *server)
{
	struct kc_db_rows *rows;

	*server = (struct kc_server){ 0 };
	KC_TRY(kc_db_query(conn, &rows, KC_SERVER_SELECT "WHERE s.id = ?", "s", id));
	return kc_db_rows_one(rows, kc_server_row_read, server, unknown(id));
}

/* ---- changing one ---- */

static struct kc_error *write_rarely(struct kc_db_conn *conn, const struct kc_server *server)
{
	struct kc_db_value values[2 * KC_SERVER_COLUMNS_MAX + 1];
	size_t n = kc_server_values_rarely(server, values);

	values[n++] = (struct kc_db_value){ .type = 's', .text = server->id };
	n += kc_server_values_rarely(server, values + n);
	return kc_db_exec_values(conn,
				 "UPDATE servers SET " KC_SERVER_RARELY(ASSIGN) NO_ASSIGNMENT
				 " WHERE id = ? AND (" KC_SERVER_RARELY(DIFFERS) NO_DIFFERENCE ")",
				 values, n);
}

struct kc_error *kc_servers_check_in(struct kc_db_conn *conn, const struct kc_server *server)
{
	struct kc_db_value values[KC_SERVER_COLUMNS_MAX + 1];
	size_t n = kc_server_values_often(server, values);

	/* first: it compares with what the row says still */
	KC_TRY(kc_checkins_add(conn, server));
	values[n++] = (struct kc_db_value){ .type = 's', .text = server->id };
	KC_TRY(kc_db_exec_values(conn, "UPDATE servers SET " KC_SERVER_OFTEN(ASSIGN) NO_ASSIGNMENT " WHERE id = ?",
				 values, n));
	return kc_db_changed(conn) ? write_rarely(conn, server) : unknown(server->id);
}

struct kc_error *kc_servers_set_tags(struct kc_db_conn *conn, const char *id, const char *tags)
{
	KC_TRY(kc_db_exec(conn, "UPDATE servers SET tags = ? WHERE id = ?", "ss", tags, id));
	return kc_db_changed(conn) ? NULL : unknown(id);
}

struct kc_error *kc_servers_forget_nonces(struct kc_db_conn *conn)
{
	return kc_db_exec(conn, "UPDATE servers SET nonce = ?, previous_nonce = ?", "ss", "", "");
}

struct kc_error *kc_servers_remove(struct kc_db_conn *conn, const char *id)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM servers WHERE id = ?", "s", id));
	if (!kc_db_changed(conn))
		return unknown(id);
	return kc_db_exec(conn, "DELETE FROM checkins WHERE server_id = ?", "s", id);
}

#define SILENT KC_SERVER_HAS_KEY " AND " KC_SERVER_SILENT

struct kc_error *kc_servers_remove_silent(struct kc_db_conn *conn, int64_t since, int64_t *n_removed)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM checkins WHERE server_id IN (SELECT id FROM servers WHERE " SILENT ")",
			  "ii", since, since));
	KC_TRY(kc_db_exec(conn, "DELETE FROM servers WHERE " SILENT, "ii", since, since));
	*n_removed = kc_db_changed(conn);
	return NULL;
}
