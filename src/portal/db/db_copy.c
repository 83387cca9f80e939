/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backup and restore, by SQLite's own copy of a database in use. What is restored becomes a file of ours beside the
 * database first, and is checked there as if an enemy had made it; only then it takes the place of what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "portal/db/db_internal.h"
#include "portal/db/servers.h"

/* All of it at once: `from` is seen as of one moment, `to` changes in one transaction. */
static struct kc_error *copy_all(struct kc_db_conn *from, struct kc_db_conn *to)
{
	sqlite3_backup *copy = sqlite3_backup_init(to->sqlite, "main", from->sqlite, "main");
	int rc;

	if (!copy)
		return kc_db_conn_error(to, sqlite3_extended_errcode(to->sqlite), "it cannot be written");
	(void)sqlite3_backup_step(copy, -1);
	rc = sqlite3_backup_finish(copy);
	return rc == SQLITE_OK ? NULL : kc_db_conn_error(to, rc, "the copy failed");
}

/* `to` is an empty file; afterwards it is a database in one file. */
static struct kc_error *copy_to_file(struct kc_db_conn *from, const char *path)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn to = { 0 };

	KC_TRY(kc_db_conn_open(path, KC_DB_FILE, &to));
	KC_TRY(copy_all(from, &to));
	/* the copy says that there is a WAL beside it, as the original does: opened again, it says no longer */
	kc_db_conn_close(&to);
	return kc_db_conn_open(path, KC_DB_FILE, &to);
}

/* ---- backup ---- */

static struct kc_error *write_backup(struct kc_db_conn *conn, void *data)
{
	return copy_to_file(conn, data);
}

struct kc_error *kc_db_backup(struct kc_ctx *ctx, struct kc_db *db, const char *path)
{
	kc_autofree char *temporary = NULL;
	kc_autoclose int fd = -1;
	struct kc_error *err = NULL;
	int rc;

	if (access(path, F_OK) == 0)
		return kc_error_new(KC_ERR_EXISTS, "%s is there already; a backup needs a new name", path);
	rc = kc_file_begin(path, &temporary, &fd);
	if (rc)
		return kc_error_errno(KC_ERR_SYSTEM, -rc, "%s", path);
	err = kc_db_read(db, write_backup, temporary);
	rc = err ? 0 : kc_file_commit(path, temporary, fd, 0600);
	if (rc)
		err = kc_error_errno(KC_ERR_SYSTEM, -rc, "%s", path);
	if (err)
		unlink(temporary);
	else
		kc_info(ctx, "the database was written to %s", path);
	return err;
}

/* ---- restore ---- */

static struct kc_error *check_pages(struct kc_db_conn *conn)
{
	struct kc_db_rows *rows;
	struct kc_error *err = NULL;

	KC_TRY(kc_db_query(conn, &rows, "PRAGMA integrity_check(1)", ""));
	if (kc_db_rows_next(rows) && strcmp(kc_db_text(rows, 0), "ok"))
		err = kc_error_new(KC_ERR_CORRUPT, "it is damaged: %s", kc_db_text(rows, 0));
	if (err)
		kc_error_free(kc_db_rows_close(rows));
	else
		err = kc_db_rows_close(rows);
	return err;
}

/* Into a database with a WAL only pages of its own size can be copied. */
static struct kc_error *check_page_size(struct kc_db_conn *conn)
{
	int64_t size;

	KC_TRY(kc_db_conn_number(conn, "PRAGMA page_size", &size));
	if (size != KC_DB_PAGE_SIZE)
		return kc_error_new(KC_ERR_CORRUPT, "it has pages of %d bytes, and a portal's have %d", (int)size,
				    KC_DB_PAGE_SIZE);
	return NULL;
}

/* Brings the copy to what a running portal may find in its database. */
static struct kc_error *prepare(const char *path)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn conn = { 0 };

	KC_TRY(kc_db_conn_open(path, KC_DB_FILE, &conn));
	KC_TRY(check_page_size(&conn));
	KC_TRY(check_pages(&conn));
	KC_TRY(kc_db_migrate(&conn, kc_db_schema, kc_db_schema_size));
	KC_TRY(kc_db_check_schema(&conn, kc_db_schema, kc_db_schema_size));
	return kc_servers_forget_nonces(&conn);
}

static struct kc_error *copy_from_guest(const char *path, const char *copy)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn guest = { 0 };

	KC_TRY(kc_db_conn_open(path, KC_DB_GUEST, &guest));
	return copy_to_file(&guest, copy);
}

static struct kc_error *take_place(struct kc_db_conn *conn, void *data)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn from = { 0 };

	KC_TRY(kc_db_conn_open(data, KC_DB_FILE, &from));
	return copy_all(&from, conn);
}

static struct kc_error *make_ready(const char *path, const char *copy)
{
	KC_TRY(copy_from_guest(path, copy));
	return prepare(copy);
}

struct kc_error *kc_db_make_ready(const char *path, const char *copy)
{
	kc_autoclose int fd = -1;
	struct kc_error *err;

	if (access(path, R_OK) < 0)
		return kc_error_errno(errno == ENOENT ? KC_ERR_NOT_FOUND : KC_ERR_SYSTEM, errno, "%s", path);
	fd = open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return kc_error_new(KC_ERR_BUSY, "another restore is at work");
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "%s", copy);
	err = make_ready(path, copy);
	if (!err)
		return NULL;
	unlink(copy);
	return kc_error_prefix(err, "%s cannot be restored", path);
}

struct kc_error *kc_db_take_place(struct kc_db *db, const char *ready)
{
	return kc_db_write_alone(db, take_place, (void *)ready);
}

struct kc_error *kc_db_restore(struct kc_ctx *ctx, struct kc_db *db, const char *path)
{
	kc_autofree char *copy = NULL;
	struct kc_error *err;

	if (asprintf(&copy, "%s" KC_DB_RESTORE_SUFFIX, db->path) < 0)
		return kc_error_no_memory();
	KC_TRY(kc_db_make_ready(path, copy));
	err = kc_db_take_place(db, copy);
	unlink(copy);
	if (err)
		return kc_error_prefix(err, "%s cannot be restored", path);
	kc_info(ctx, "the database of %s was restored", path);
	return NULL;
}
