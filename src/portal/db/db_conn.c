/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection to SQLite: how it is set up, and what its errors mean. */
#include <errno.h>
#include <string.h>

#include "portal/db/db_internal.h"

enum {
	APPLICATION_ID = 0x6b636172, /* "kcar": what file(1) and we know our databases by */
	BUSY_TIMEOUT_MS = 10000,     /* somebody else's sqlite3 has it */
};

/* Disk full, for example, is worth saying what to do. */
static const char *advice(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ": free some space";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ": another program holds it";
	case SQLITE_CORRUPT:
		return ": restore a backup";
	default:
		return "";
	}
}

/* What it says of its shared memory is only that it failed. */
static bool is_full(const struct kc_db_conn *conn, int rc)
{
	bool is_of_system = conn->sqlite && (rc & 0xff) == SQLITE_IOERR;
	int system_errno = is_of_system ? sqlite3_system_errno(conn->sqlite) : 0;

	return (rc & 0xff) == SQLITE_FULL || system_errno == ENOSPC || system_errno == EDQUOT;
}

struct kc_error *kc_db_conn_error(const struct kc_db_conn *conn, int rc, const char *what)
{
	const char *message = conn->sqlite ? sqlite3_errmsg(conn->sqlite) : sqlite3_errstr(rc);
	bool is_corrupt = (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;

	if ((rc & 0xff) == SQLITE_NOMEM)
		return kc_error_no_memory();
	return kc_error_new(is_corrupt		? KC_ERR_CORRUPT
			    : is_full(conn, rc) ? KC_ERR_NO_SPACE
						: KC_ERR_DATABASE,
			    "%s: %s: %s%s", conn->path, what, message, advice(rc));
}

struct kc_error *kc_db_conn_script(struct kc_db_conn *conn, const char *sql)
{
	int rc = sqlite3_exec(conn->sqlite, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? NULL : kc_db_conn_error(conn, rc, "it cannot be set up");
}

void kc_db_conn_rollback(struct kc_db_conn *conn)
{
	/* some failures have undone it already; one that comes now leaves it to the next open */
	if (!sqlite3_get_autocommit(conn->sqlite))
		(void)sqlite3_exec(conn->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* A file may come from anywhere: its schema shall not make us call functions, nor text in "" pass for a column. */
static void distrust(sqlite3 *sqlite)
{
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	(void)sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
}

struct kc_error *kc_db_conn_number(struct kc_db_conn *conn, const char *sql, int64_t *number)
{
	struct kc_db_rows *rows;

	*number = 0;
	KC_TRY(kc_db_query(conn, &rows, sql, ""));
	if (kc_db_rows_next(rows))
		*number = kc_db_int(rows, 0);
	return kc_db_rows_close(rows);
}

/* Marks a new database as ours; one that has something in it must have the mark. */
static struct kc_error *check_mark(struct kc_db_conn *conn, bool may_mark)
{
	char sql[64];
	int64_t mark, n_objects;

	KC_TRY(kc_db_conn_number(conn, "PRAGMA application_id", &mark));
	if (mark == APPLICATION_ID)
		return NULL;
	KC_TRY(kc_db_conn_number(conn, "SELECT COUNT(*) FROM sqlite_schema", &n_objects));
	if (mark || n_objects || !may_mark)
		return kc_error_new(KC_ERR_CORRUPT, "%s: this is no database of a portal", conn->path);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
	return kc_db_conn_script(conn, sql);
}

static struct kc_error *use_wal(struct kc_db_conn *conn)
{
	struct kc_db_rows *rows;
	bool is_wal = false;

	KC_TRY(kc_db_query(conn, &rows, "PRAGMA journal_mode = WAL", ""));
	if (kc_db_rows_next(rows))
		is_wal = !strcmp(kc_db_text(rows, 0), "wal");
	KC_TRY(kc_db_rows_close(rows));
	if (!is_wal)
		return kc_error_new(KC_ERR_DATABASE, "%s: this file system cannot do what SQLite's WAL mode needs",
				    conn->path);
	/* syncs for each commit; a WAL of 16 MiB is copied into the database, so hot pages are copied less often */
	return kc_db_conn_script(conn, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096;"
				       "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384");
}

static struct kc_error *set_up(struct kc_db_conn *conn, enum kc_db_role role)
{
	char page_size[64];

	distrust(conn->sqlite);
	(void)sqlite3_busy_timeout(conn->sqlite, BUSY_TIMEOUT_MS);
	KC_TRY(kc_db_conn_script(conn, "PRAGMA temp_store = MEMORY"));
	/* cannot change later, and what is restored must have the same */
	snprintf(page_size, sizeof(page_size), "PRAGMA page_size = %d", KC_DB_PAGE_SIZE);
	KC_TRY(kc_db_conn_script(conn, page_size));
	switch (role) {
	case KC_DB_WRITER:
		KC_TRY(check_mark(conn, true));
		return use_wal(conn);
	case KC_DB_READER:
		return kc_db_conn_script(conn, "PRAGMA query_only = ON");
	case KC_DB_FILE:
		return kc_db_conn_script(conn, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF");
	case KC_DB_GUEST:
		return check_mark(conn, false);
	}
	return NULL;
}

struct kc_error *kc_db_conn_open(const char *path, enum kc_db_role role, struct kc_db_conn *conn)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (role == KC_DB_GUEST ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	struct kc_error *err;
	int rc;

	*conn = (struct kc_db_conn){ .path = strdup(path) };
	if (!conn->path)
		return kc_error_no_memory();
	rc = sqlite3_open_v2(path, &conn->sqlite, flags, NULL);
	err = rc == SQLITE_OK ? set_up(conn, role) : kc_db_conn_error(conn, rc, "it cannot be opened");
	if (err)
		kc_db_conn_close(conn);
	return err;
}
