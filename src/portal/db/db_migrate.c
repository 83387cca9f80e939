/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From any version of ours to the newest, one transaction for each step. What is killed or fails in the middle finds
 * the version before, whole, when it is opened again.
 */
#include <string.h>
#include <time.h>

#include "portal/db/db_internal.h"

static struct kc_error *has_version_table(struct kc_db_conn *conn, bool *has)
{
	struct kc_db_rows *rows;

	KC_TRY(kc_db_query(conn, &rows, "SELECT name FROM sqlite_schema WHERE type = ? AND name = ?", "ss", "table",
			   "schema_version"));
	*has = kc_db_rows_next(rows);
	return kc_db_rows_close(rows);
}

static struct kc_error *read_version(struct kc_db_conn *conn, size_t *version)
{
	struct kc_db_rows *rows;
	bool has;

	*version = 0;
	KC_TRY(has_version_table(conn, &has));
	if (!has)
		return NULL;
	KC_TRY(kc_db_query(conn, &rows, "SELECT COALESCE(MAX(version), 0) FROM schema_version", ""));
	if (kc_db_rows_next(rows))
		*version = (size_t)kc_db_int(rows, 0);
	return kc_db_rows_close(rows);
}

static struct kc_error *run_script(struct kc_db_conn *conn, const char *script, size_t version)
{
	KC_TRY(kc_db_conn_script(conn, "BEGIN"));
	if (!version)
		KC_TRY(kc_db_conn_script(conn, "CREATE TABLE schema_version ("
					       "version INTEGER PRIMARY KEY, migrated BIGINT NOT NULL)"));
	KC_TRY(kc_db_conn_script(conn, script));
	KC_TRY(kc_db_exec(conn, "INSERT INTO schema_version (version, migrated) VALUES (?, ?)", "ii",
			  (int64_t)version + 1, (int64_t)time(NULL)));
	return kc_db_conn_script(conn, "COMMIT");
}

struct kc_error *kc_db_migrate(struct kc_db_conn *conn, const char *const *scripts, size_t n_scripts)
{
	size_t version;

	KC_TRY(read_version(conn, &version));
	if (version > n_scripts)
		return kc_error_new(
			KC_ERR_VERSION,
			"%s has version %zu, and this eportald knows versions up to %zu: install a newer one",
			conn->path, version, n_scripts);
	for (; version < n_scripts; version++) {
		struct kc_error *err = run_script(conn, scripts[version], version);

		if (err) {
			kc_db_conn_rollback(conn);
			return kc_error_prefix(err, "migration to version %zu", version + 1);
		}
	}
	return NULL;
}

/* ---- what must be in it ---- */

#define OBJECTS "SELECT type, name, COALESCE(sql, '') FROM sqlite_schema ORDER BY type, name"

static bool is_same_row(const struct kc_db_rows *a, const struct kc_db_rows *b)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(kc_db_text(a, i), kc_db_text(b, i)))
			return false;
	return true;
}

static struct kc_error *compare(const char *path, struct kc_db_rows *ours, struct kc_db_rows *theirs)
{
	bool more_ours, more_theirs;

	do {
		more_ours = kc_db_rows_next(ours);
		more_theirs = kc_db_rows_next(theirs);
	} while (more_ours && more_theirs && is_same_row(ours, theirs));
	if (!more_ours && !more_theirs)
		return NULL;
	return kc_error_new(KC_ERR_CORRUPT, "%s: not what a portal makes: %s %s", path,
			    kc_db_text(more_theirs ? theirs : ours, 0), kc_db_text(more_theirs ? theirs : ours, 1));
}

struct kc_error *kc_db_check_schema(struct kc_db_conn *conn, const char *const *scripts, size_t n_scripts)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn model = { 0 };
	struct kc_db_rows *ours, *theirs;
	kc_autoerror struct kc_error *err = NULL, *read_err = NULL;

	KC_TRY(kc_db_conn_open(":memory:", KC_DB_FILE, &model));
	KC_TRY(kc_db_migrate(&model, scripts, n_scripts));
	KC_TRY(kc_db_query(&model, &ours, OBJECTS, ""));
	err = kc_db_query(conn, &theirs, OBJECTS, "");
	if (!err) {
		err = compare(conn->path, ours, theirs);
		read_err = kc_db_rows_close(theirs);
	}
	kc_error_free(kc_db_rows_close(ours));
	return read_err ? kc_steal(read_err) : kc_steal(err);
}
