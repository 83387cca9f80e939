/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database: a thin layer over sqlite3, the only user of it. All SQL is in db/, in the part that SQLite and
 * PostgreSQL share; times are Unix seconds in BIGINT, flags 0 and 1, texts never NULL ("" instead).
 *
 * Readers are lent a connection for one call. All writes go through one thread that takes what has come, runs each in a
 * savepoint of its own, and commits all of them at once: a check-in costs a share of one sync of the disk.
 */
#ifndef KC_PORTAL_DB_DB_H
#define KC_PORTAL_DB_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"

struct kc_db;
struct kc_db_conn;

/*
 * Opens or makes it, and brings it to the newest version: one transaction for each migration, in order, so that a
 * failed one leaves the version before. KC_ERR_VERSION: written by a newer kcare; KC_ERR_CORRUPT: not a database of
 * ours; KC_ERR_LOCKED: another process has it. `ctx` lives longer than the database; the writer's thread logs to it.
 */
struct kc_error *kc_db_open(struct kc_ctx *ctx, const char *path, struct kc_db **db);
/* Writes what is waiting, then closes. Nobody else uses it any more. */
void kc_db_close(struct kc_db *db);

typedef struct kc_error *kc_db_fn(struct kc_db_conn *conn, void *data);
/*
 * In the caller's thread, as of one moment; waits while all connections are lent. Not inside of another one: all of
 * them could be waiting.
 */
struct kc_error *kc_db_read(struct kc_db *db, kc_db_fn *read, void *data);
/*
 * In the writer's thread, in the order in which they came. `done` is called there after the commit, or with what went
 * wrong: an error of `write` undoes only this one. Disk full, and the like: KC_ERR_NO_SPACE, KC_ERR_DATABASE for the
 * whole group, nothing of it is kept. `done` takes the error over; without a `done`, an error is logged. (Without
 * memory for it, `done` is called at once, in the caller's thread.)
 */
void kc_db_write(struct kc_db *db, kc_db_fn *write, void (*done)(void *data, struct kc_error *err), void *data);
/* The same, and waits. Not in HTTP handlers, and never in the writer's thread. */
struct kc_error *kc_db_write_wait(struct kc_db *db, kc_db_fn *write, void *data);
/*
 * A consistent copy, while others read and write; complete when it has its name. KC_ERR_EXISTS: `path` is there.
 */
struct kc_error *kc_db_backup(struct kc_ctx *ctx, struct kc_db *db, const char *path);

/*
 * Such a copy in the place of what is there, in one transaction between those of the writer; brought to the newest
 * version before; nonces are forgotten (db/servers.h). KC_ERR_CORRUPT: it is none of ours, KC_ERR_NOT_FOUND,
 * KC_ERR_VERSION: and nothing was changed.
 */
struct kc_error *kc_db_restore(struct kc_ctx *ctx, struct kc_db *db, const char *path);
/*
 * Its two halves: a copy that was checked and brought to the newest version, and that in the place of what is there,
 * which may be done again. KC_ERR_BUSY: `copy` is there.
 */
struct kc_error *kc_db_make_ready(const char *path, const char *copy);
struct kc_error *kc_db_take_place(struct kc_db *db, const char *ready);

/* ---- statements: for the files in db/ only ---- */

/* Of a parameter. */
struct kc_db_value {
	char type;	  /* as below */
	const char *text; /* of 's'; NULL is "" */
	int64_t number;	  /* of the others */
};

/*
 * `types` has a letter for each '?', that of its column: s (const char *, TEXT), i (int64_t, BIGINT), u (uint32_t or
 * bool, BIGINT). Statements are prepared once for each connection.
 */
struct kc_error *kc_db_exec(struct kc_db_conn *conn, const char *sql, const char *types, ...);
struct kc_error *kc_db_exec_values(struct kc_db_conn *conn, const char *sql, const struct kc_db_value *values,
				   size_t n_values);
/* How many rows the last kc_db_exec() of this connection changed. */
int64_t kc_db_changed(const struct kc_db_conn *conn);

struct kc_db_rows;
struct kc_error *kc_db_query(struct kc_db_conn *conn, struct kc_db_rows **rows, const char *sql, const char *types,
			     ...);
struct kc_error *kc_db_query_values(struct kc_db_conn *conn, struct kc_db_rows **rows, const char *sql,
				    const struct kc_db_value *values, size_t n_values);
/* False at the end, and after an error, which kc_db_rows_close() returns. */
bool kc_db_rows_next(struct kc_db_rows *rows);
const char *kc_db_text(const struct kc_db_rows *rows, int column); /* valid until the next row */
int64_t kc_db_int(const struct kc_db_rows *rows, int column);
struct kc_error *kc_db_rows_close(struct kc_db_rows *rows);

KC_DEFINE_CLEANUP(kc_cleanup_db, struct kc_db *, kc_db_close)
#define kc_autodb KC_CLEANUP(kc_cleanup_db)

#endif
