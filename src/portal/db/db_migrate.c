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

static struct kc_error *read_version(struct kc_db_conn *conn, int64_t *version)
{
	bool has;

	*version = 0;
	KC_TRY(has_version_table(conn, &has));
	if (has)
		KC_TRY(kc_db_conn_number(conn, "SELECT COALESCE(MAX(version), 0) FROM schema_version", version));
	return NULL;
}

static struct kc_error *run_script(struct kc_db_conn *conn, const char *script, int64_t version)
{
	KC_TRY(kc_db_conn_script(conn, "BEGIN"));
	if (!version)
		KC_TRY(kc_db_conn_script(conn, "CREATE TABLE schema_version ("
					       "version INTEGER PRIMARY KEY, migrated BIGINT NOT NULL)"));
	KC_TRY(kc_db_conn_script(conn, script));
	KC_TRY(kc_db_exec(conn, "INSERT INTO schema_version (version, migrated) VALUES (?, ?)", "ii", version + 1,
			  (int64_t)time(NULL)));
	return kc_db_conn_script(conn, "COMMIT");
}

struct kc_error *kc_db_migrate(struct kc_db_conn *conn, const char *const *scripts, size_t n_scripts)
{
	int64_t version;

	KC_TRY(read_version(conn, &version));
	if (version < 0 || version > (int64_t)n_scripts)
		return kc_error_new(
			KC_ERR_VERSION,
			"%s has version %jd, and this eportald knows versions up to %zu: install a newer one",
			conn->path, (intmax_t)version, n_scripts);
	for (; version < (int64_t)n_scripts; version++) {
		struct kc_error *err = run_script(conn, scripts[version], version);

		if (err) {
			kc_db_conn_rollback(conn);
			return kc_error_prefix(err, "migration to version %jd", (intmax_t)version + 1);
		}
	}
	return NULL;
}

/* ---- what must be in it ---- */

/* tables before their indices */
#define OBJECTS "SELECT type, name, COALESCE(sql, '') FROM sqlite_schema ORDER BY type DESC, name"

/* In the order of OBJECTS; a list that is over comes last. */
static int order(const struct kc_db_rows *a, bool more_a, const struct kc_db_rows *b, bool more_b)
{
	int by_type = strcmp(kc_db_text(b, 0), kc_db_text(a, 0));

	if (!more_a || !more_b)
		return more_b - more_a;
	return by_type ? by_type : strcmp(kc_db_text(a, 1), kc_db_text(b, 1));
}

static struct kc_error *compare(const char *path, struct kc_db_rows *ours, struct kc_db_rows *theirs)
{
	const struct kc_db_rows *wrong;
	bool more_ours, more_theirs;
	const char *what;
	int side;

	do {
		more_ours = kc_db_rows_next(ours);
		more_theirs = kc_db_rows_next(theirs);
		side = order(ours, more_ours, theirs, more_theirs);
	} while (more_ours && side == 0 && !strcmp(kc_db_text(ours, 2), kc_db_text(theirs, 2)));
	if (!more_ours && !more_theirs)
		return NULL;
	wrong = side < 0 ? ours : theirs;
	what = side < 0 ? "is missing" : side > 0 ? "is none of ours" : "is another one";
	return kc_error_new(KC_ERR_CORRUPT, "%s is not what a portal makes: the %s %s %s", path, kc_db_text(wrong, 0),
			    kc_db_text(wrong, 1), what);
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
