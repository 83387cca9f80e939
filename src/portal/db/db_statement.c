/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Statements: prepared once for each connection, found again by their text. A statement that is under way (a query
 * inside of a query) is prepared a second time.
 */
#include <stdarg.h>
#include <string.h>

#include "portal/db/db_internal.h"

struct kc_db_rows {
	struct kc_db_conn *conn;
	sqlite3_stmt *statement;
	uint64_t hash, last_use;
	bool is_busy, is_kept, is_over;
	struct kc_error *err;
};

/* FNV-1a. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = 14695981039346656037u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211u;
	return hash;
}

static void free_statement(struct kc_db_rows *rows)
{
	(void)sqlite3_finalize(rows->statement);
	kc_error_free(rows->err);
	free(rows);
}

/* Makes room when there is none: the one that was not used for longest. False: all are under way. */
static bool keep(struct kc_db_conn *conn, struct kc_db_rows *rows)
{
	struct kc_db_rows **oldest = NULL;

	if (conn->n_statements < KC_DB_STATEMENTS) {
		conn->statements[conn->n_statements++] = rows;
		return true;
	}
	for (size_t i = 0; i < conn->n_statements; i++)
		if (!conn->statements[i]->is_busy && (!oldest || conn->statements[i]->last_use < (*oldest)->last_use))
			oldest = &conn->statements[i];
	if (!oldest)
		return false;
	free_statement(*oldest);
	*oldest = rows;
	return true;
}

/* NULL: `*err` says why. */
static struct kc_db_rows *prepare(struct kc_db_conn *conn, const char *sql, uint64_t hash, struct kc_error **err)
{
	struct kc_db_rows *rows = calloc(1, sizeof(*rows));
	int rc;

	if (!rows) {
		*err = kc_error_no_memory();
		return NULL;
	}
	*rows = (struct kc_db_rows){ .conn = conn, .hash = hash };
	rc = sqlite3_prepare_v3(conn->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &rows->statement, NULL);
	if (rc != SQLITE_OK) {
		free(rows);
		*err = kc_db_conn_error(conn, rc, "it cannot be asked");
		return NULL;
	}
	rows->is_kept = keep(conn, rows);
	return rows;
}

static struct kc_db_rows *find(struct kc_db_conn *conn, const char *sql, uint64_t hash)
{
	for (size_t i = 0; i < conn->n_statements; i++) {
		struct kc_db_rows *kept = conn->statements[i];

		if (kept->hash == hash && !kept->is_busy && !strcmp(sqlite3_sql(kept->statement), sql))
			return kept;
	}
	return NULL;
}

/* Returns it to those that are kept, with its error. */
static struct kc_error *give_back(struct kc_db_rows *rows)
{
	struct kc_error *err = kc_steal(rows->err);

	(void)sqlite3_reset(rows->statement);
	(void)sqlite3_clear_bindings(rows->statement);
	rows->is_busy = rows->is_over = false;
	if (!rows->is_kept)
		free_statement(rows);
	return err;
}

/* True while there are rows; SQLite itself would begin anew after the end. */
static bool step(struct kc_db_rows *rows)
{
	int rc = rows->is_over ? SQLITE_DONE : sqlite3_step(rows->statement);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		rows->err = kc_db_conn_error(rows->conn, rc, "it cannot be read or written");
	rows->is_over = rc != SQLITE_ROW;
	return !rows->is_over;
}

/* Texts are copied: those of a query must not end before its rows do. */
static struct kc_error *bind(struct kc_db_rows *rows, const struct kc_db_value *values, size_t n_values)
{
	int rc = SQLITE_OK;

	if (n_values != (size_t)sqlite3_bind_parameter_count(rows->statement))
		return kc_error_new(KC_ERR_DATABASE, "%zu values for: %s", n_values, sqlite3_sql(rows->statement));
	for (size_t i = 0; i < n_values && rc == SQLITE_OK; i++) {
		const char *text = values[i].text ? values[i].text : "";

		if (values[i].type == 's')
			rc = sqlite3_bind_text(rows->statement, (int)i + 1, text, -1, SQLITE_TRANSIENT);
		else
			rc = sqlite3_bind_int64(rows->statement, (int)i + 1, values[i].number);
	}
	return rc == SQLITE_OK ? NULL : kc_db_conn_error(rows->conn, rc, "a value is not accepted");
}

/* NULL: `*err` says why. */
static struct kc_db_rows *start(struct kc_db_conn *conn, const char *sql, const struct kc_db_value *values,
				size_t n_values, struct kc_error **err)
{
	uint64_t hash = hash_text(sql);
	struct kc_db_rows *rows = find(conn, sql, hash);

	if (!rows)
		rows = prepare(conn, sql, hash, err);
	if (!rows)
		return NULL;
	rows->is_busy = true;
	rows->last_use = ++conn->n_uses;
	rows->err = bind(rows, values, n_values);
	if (!rows->err)
		return rows;
	*err = give_back(rows);
	return NULL;
}

struct kc_error *kc_db_query_values(struct kc_db_conn *conn, struct kc_db_rows **rows, const char *sql,
				    const struct kc_db_value *values, size_t n_values)
{
	struct kc_error *err = NULL;

	*rows = start(conn, sql, values, n_values, &err);
	return err;
}

struct kc_error *kc_db_exec_values(struct kc_db_conn *conn, const char *sql, const struct kc_db_value *values,
				   size_t n_values)
{
	struct kc_error *err = NULL;
	struct kc_db_rows *rows = start(conn, sql, values, n_values, &err);

	if (!rows)
		return err;
	while (step(rows))
		;
	conn->n_changed = sqlite3_changes64(conn->sqlite);
	return give_back(rows);
}

static size_t take_values(const char *types, va_list args, struct kc_db_value values[KC_DB_VALUES_MAX])
{
	size_t n;

	for (n = 0; types[n] && n < KC_DB_VALUES_MAX; n++) {
		values[n] = (struct kc_db_value){ .type = types[n] };
		if (types[n] == 's')
			values[n].text = va_arg(args, const char *);
		else if (types[n] == 'i')
			values[n].number = va_arg(args, int64_t);
		else
			values[n].number = va_arg(args, unsigned);
	}
	return n;
}

struct kc_error *kc_db_query(struct kc_db_conn *conn, struct kc_db_rows **rows, const char *sql, const char *types, ...)
{
	struct kc_db_value values[KC_DB_VALUES_MAX];
	va_list args;
	size_t n;

	va_start(args, types);
	n = take_values(types, args, values);
	va_end(args);
	return kc_db_query_values(conn, rows, sql, values, n);
}

struct kc_error *kc_db_exec(struct kc_db_conn *conn, const char *sql, const char *types, ...)
{
	struct kc_db_value values[KC_DB_VALUES_MAX];
	va_list args;
	size_t n;

	va_start(args, types);
	n = take_values(types, args, values);
	va_end(args);
	return kc_db_exec_values(conn, sql, values, n);
}

int64_t kc_db_changed(const struct kc_db_conn *conn)
{
	return conn->n_changed;
}

bool kc_db_rows_next(struct kc_db_rows *rows)
{
	return step(rows);
}

const char *kc_db_text(const struct kc_db_rows *rows, int column)
{
	const unsigned char *text = sqlite3_column_text(rows->statement, column);

	return text ? (const char *)text : "";
}

int64_t kc_db_int(const struct kc_db_rows *rows, int column)
{
	return sqlite3_column_int64(rows->statement, column);
}

struct kc_error *kc_db_rows_close(struct kc_db_rows *rows)
{
	return give_back(rows);
}

void kc_db_conn_close(struct kc_db_conn *conn)
{
	for (size_t i = 0; i < conn->n_statements; i++)
		free_statement(conn->statements[i]);
	(void)sqlite3_close(conn->sqlite);
	free(conn->path);
	*conn = (struct kc_db_conn){ 0 };
}
