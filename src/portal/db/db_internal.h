/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files db*.c share; the ones that know SQLite. The others in this folder use db.h, and tests do.
 *
 * What is SQLite's alone, and would be another thing with PostgreSQL:
 *   - settings of a connection, and the mark of a file (db_conn.c);
 *   - '?' for a parameter, which others call $1, and how an error is told (db_statement.c);
 *   - backup, restore, what a file may contain (db_copy.c);
 *   - one process has the database for itself (db.c), so that max(id) + 1 is a new id (audit.c).
 * In the statements themselves: LIKE ignores the case of ASCII letters in SQLite, so both sides are lower case before;
 * types of columns are taken seriously by others, so the letter of a parameter must be that of its column.
 */
#ifndef KC_PORTAL_DB_DB_INTERNAL_H
#define KC_PORTAL_DB_DB_INTERNAL_H

#include <pthread.h>

#include <sqlite3.h>

#include "base/array.h"
#include "portal/db/db.h"

enum {
	KC_DB_READERS = 4,
	KC_DB_PAGE_SIZE = 4096,
	KC_DB_WAL_MAX = 128 << 20,
	KC_DB_STATEMENTS = 64, /* kept for each connection; filters make many different ones */
	KC_DB_VALUES_MAX = 64, /* parameters of a statement */
};

/* Where a restore prepares its copy, behind the database's path. */
#define KC_DB_RESTORE_SUFFIX "-restore"

/* ---- connections (db_conn.c) ---- */

enum kc_db_role {
	KC_DB_WRITER,
	KC_DB_READER,
	KC_DB_FILE,  /* alone with a file that nobody else has: no WAL beside it, no sync for each commit */
	KC_DB_GUEST, /* reads a file that is not ours */
};

struct kc_db_conn {
	sqlite3 *sqlite;
	char *path;
	struct kc_db_rows *statements[KC_DB_STATEMENTS];
	size_t n_statements;
	uint64_t n_uses;
	int64_t n_changed;
	bool is_lent; /* of readers */
};

/* KC_ERR_CORRUPT: not a database. A zeroed `conn` is a closed one. */
struct kc_error *kc_db_conn_open(const char *path, enum kc_db_role role, struct kc_db_conn *conn);
void kc_db_conn_close(struct kc_db_conn *conn);
/* Statements without parameters or rows, separated by ';'. */
struct kc_error *kc_db_conn_script(struct kc_db_conn *conn, const char *sql);
/* The first column of the first row; 0 when there is none. */
struct kc_error *kc_db_conn_number(struct kc_db_conn *conn, const char *sql, int64_t *number);
/* Undoes what is open, if something is. */
void kc_db_conn_rollback(struct kc_db_conn *conn);
/* `rc` of SQLite as an error; `what` could not be done. */
struct kc_error *kc_db_conn_error(const struct kc_db_conn *conn, int rc, const char *what)
	__attribute__((returns_nonnull));

/* ---- migrations (db_migrate.c, db_schema.c) ---- */

/* Script number N leads from version N to N + 1. Never change one that was released. */
extern const char *const kc_db_schema[];
extern const size_t kc_db_schema_size;

/* KC_ERR_VERSION, KC_ERR_CORRUPT as kc_db_open(). */
struct kc_error *kc_db_migrate(struct kc_db_conn *conn, const char *const *scripts, size_t n_scripts);
/* What is in the database must be what our migrations make, and nothing else: KC_ERR_CORRUPT says what. */
struct kc_error *kc_db_check_schema(struct kc_db_conn *conn, const char *const *scripts, size_t n_scripts);

/* ---- readers (db.c) ---- */

/* From now on readers wait. False: after so many seconds some are still at it. */
bool kc_db_readers_stop(struct kc_db *db, int patience_s);
void kc_db_readers_go_on(struct kc_db *db);

/* ---- the writer (db_writer.c) ---- */

struct kc_db_job {
	struct kc_db_job *next;
	kc_db_fn *run;
	void (*done)(void *data, struct kc_error *err);
	void *data;
	struct kc_error *err;
	bool is_alone; /* outside of any transaction */
};

struct kc_db {
	struct kc_ctx *ctx;
	char *path;
	int lock_fd;
	struct kc_db_conn writer; /* of the writer's thread */

	pthread_mutex_t readers_lock;
	pthread_cond_t reader_is_back; /* or may go on */
	struct kc_db_conn readers[KC_DB_READERS];
	bool readers_must_wait;

	int64_t wal_max, wal_next; /* bytes: readers have to wait for a WAL that is larger; when that is tried next */

	pthread_mutex_t jobs_lock;
	pthread_cond_t jobs_came;
	struct kc_db_job *jobs, **jobs_end; /* jobs_end: where the next one goes */
	bool is_closing, has_thread;
	pthread_t thread;
};

struct kc_error *kc_db_writer_start(struct kc_db *db);
void kc_db_writer_stop(struct kc_db *db);
/* In the writer's thread, between transactions; waits. */
struct kc_error *kc_db_write_alone(struct kc_db *db, kc_db_fn *run, void *data);

#define KC_CLEANUP_DB_CONN KC_CLEANUP(kc_db_conn_close)

#endif
