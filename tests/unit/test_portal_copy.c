/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must leave the database whole: migrations, backups, restores, and being killed in the middle of each. Processes
 * that are killed are forked before this one has threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "portal/db/servers.h"
#include "portal_db.h"

/* ---- children that are killed ---- */

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Runs `work` in a child, and kills it after `us`; 0: waits for its end. Returns how long it lived. */
static int64_t run_and_kill(struct portal_db *f, void (*work)(struct portal_db *f), int64_t us)
{
	int64_t start = now_us();
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		work(f);
		_exit(0);
	}
	if (us) {
		portal_db_pause((unsigned)us);
		kill(child, SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(us ? WIFSIGNALED(status) || WIFEXITED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return now_us() - start;
}

/* ---- migrations ---- */

enum { STEPS = 8, STEP_ROWS = 1500 };

/* Each step makes a table with many rows, and changes the one before. */
static char *make_step(unsigned number)
{
	struct kc_buf sql = { 0 };

	kc_buf_printf(&sql, "CREATE TABLE t%u (a BIGINT NOT NULL, b TEXT NOT NULL); CREATE INDEX i%u ON t%u (b);",
		      number, number, number);
	kc_buf_printf(&sql,
		      "INSERT INTO t%u WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
		      "SELECT i, 'text ' || i FROM n;",
		      number, STEP_ROWS);
	if (number)
		kc_buf_printf(&sql, "ALTER TABLE t%u ADD COLUMN c BIGINT NOT NULL DEFAULT %u; UPDATE t%u SET a = -a;",
			      number - 1, number, number - 1);
	return kc_buf_take(&sql);
}

static void make_steps(char *steps[STEPS])
{
	for (unsigned i = 0; i < STEPS; i++)
		steps[i] = make_step(i);
}

static void free_steps(char *steps[STEPS])
{
	for (unsigned i = 0; i < STEPS; i++)
		free(steps[i]);
}

static struct kc_error *migrate(const char *path, char *const *steps, size_t n)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn conn = { 0 };

	KC_TRY(kc_db_conn_open(path, KC_DB_WRITER, &conn));
	return kc_db_migrate(&conn, (const char *const *)steps, n);
}

static void migrate_all(struct portal_db *f)
{
	char *steps[STEPS];

	make_steps(steps);
	kc_error_free(migrate(portal_db_file(f, "steps.db"), steps, STEPS));
}

static int64_t ask(struct kc_db_conn *conn, const char *format, unsigned number)
{
	char sql[160];
	int64_t answer;

	snprintf(sql, sizeof(sql), format, number);
	assert_kc_ok(kc_db_conn_number(conn, sql, &answer));
	return answer;
}

/* A version has all of its steps, and nothing of the next one. Returns it. */
static int64_t assert_whole(struct portal_db *f)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn conn = { 0 };
	int64_t version = 0, n_tables;

	assert_kc_ok(kc_db_conn_open(portal_db_file(f, "steps.db"), KC_DB_WRITER, &conn));
	n_tables = ask(&conn, "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'", 0);
	if (n_tables)
		version = ask(&conn, "SELECT COUNT(*) FROM schema_version", 0);
	assert_int_equal(n_tables, version ? version + 1 : 0);
	for (unsigned i = 0; i < version; i++) {
		bool is_changed = i + 1 < version;

		assert_int_equal(ask(&conn, "SELECT SUM(a) FROM t%u", i),
				 (is_changed ? -1 : 1) * (int64_t)STEP_ROWS * (STEP_ROWS + 1) / 2);
		assert_int_equal(ask(&conn, "SELECT COUNT(*) FROM pragma_table_info('t%u')", i), is_changed ? 3 : 2);
	}
	assert_int_equal(ask(&conn, "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'", 0), 1);
	return version;
}

static void test_a_migration_that_fails_leaves_the_version_before(void **state)
{
	static char bad[] = "CREATE TABLE half (a BIGINT); INSERT INTO half VALUES (1); UPDATE nothing SET a = 1";
	struct portal_db *f = *state;
	char *steps[STEPS], *good;

	make_steps(steps);
	good = steps[3];
	steps[3] = bad;
	assert_kc_error(migrate(portal_db_file(f, "steps.db"), steps, STEPS), KC_ERR_DATABASE,
			"migration to version 4");
	assert_int_equal(assert_whole(f), 3);
	steps[3] = good;
	assert_kc_ok(migrate(portal_db_file(f, "steps.db"), steps, STEPS));
	assert_int_equal(assert_whole(f), STEPS);
	assert_kc_ok(migrate(portal_db_file(f, "steps.db"), steps, STEPS));
	assert_kc_error(migrate(portal_db_file(f, "steps.db"), steps, STEPS - 1), KC_ERR_VERSION,
			"install a newer one");
	assert_int_equal(assert_whole(f), STEPS);
	free_steps(steps);
}

static void remove_steps(struct portal_db *f)
{
	unlink(portal_db_file(f, "steps.db"));
	unlink(portal_db_file(f, "steps.db-wal"));
	unlink(portal_db_file(f, "steps.db-shm"));
}

static void test_a_migration_that_is_killed_leaves_a_version(void **state)
{
	enum { KILLS = 24 };
	struct portal_db *f = *state;
	bool seen[STEPS + 1] = { false };
	unsigned n_seen = 0;
	int64_t whole_us;

	whole_us = run_and_kill(f, migrate_all, 0);
	assert_int_equal(assert_whole(f), STEPS);
	for (int64_t i = 0; i < KILLS; i++) {
		remove_steps(f);
		run_and_kill(f, migrate_all, whole_us * (i + 1) / (KILLS + 1));
		seen[assert_whole(f)] = true;
		/* the next start goes on from there */
		run_and_kill(f, migrate_all, 0);
		assert_int_equal(assert_whole(f), STEPS);
	}
	for (size_t i = 0; i <= STEPS; i++)
		n_seen += seen[i];
	assert_true(n_seen >= 2); /* or the kills all came before or after */
}

/* ---- killed while it writes ---- */

struct numbers {
	int out;
	int64_t number;
};

static struct kc_error *add_number(struct kc_db_conn *conn, void *data)
{
	const struct numbers *numbers = data;
	char name[32];

	snprintf(name, sizeof(name), "%d", (int)numbers->number);
	return portal_db_add_line(conn, name);
}

/* Tells each number, once it is said to be written. */
static void write_numbers(struct portal_db *f)
{
	struct numbers numbers = { .out = open(portal_db_file(f, "told"), O_WRONLY | O_CREAT | O_APPEND, 0600) };

	if (kc_db_open(f->ctx, f->path, &f->db))
		_exit(1);
	for (numbers.number = 1; numbers.number < 100000; numbers.number++) {
		if (kc_db_write_wait(f->db, add_number, &numbers) ||
		    write(numbers.out, &numbers.number, sizeof(numbers.number)) != sizeof(numbers.number))
			_exit(1);
	}
}

static void test_what_was_reported_survives_a_kill(void **state)
{
	struct portal_db *f = *state;
	struct stat st;
	int64_t told;

	for (int64_t i = 1; i <= 5; i++) {
		run_and_kill(f, write_numbers, 40000 + i * 17000);
		told = stat(portal_db_file(f, "told"), &st) ? 0 : st.st_size / (int64_t)sizeof(int64_t);
		portal_db_open(f);
		/* each run starts with 1: of all runs together, at most one more for each */
		assert_in_range(portal_db_lines(f, NULL), told, told + i);
		portal_db_close(f);
	}
	assert_true(told > 5);
}

/* ---- backup ---- */

static struct kc_error *add_pair(struct kc_db_conn *conn, void *data)
{
	KC_TRY(portal_db_add_line(conn, data));
	return portal_db_add_line(conn, data);
}

struct busy {
	struct portal_db *f;
	atomic_bool stop;
	atomic_int n_writes, n_wrong;
};

static void *write_pairs(void *data)
{
	struct busy *busy = data;

	while (!atomic_load(&busy->stop)) {
		kc_autoerror struct kc_error *err = kc_db_write_wait(busy->f->db, add_pair, (void *)"pair");

		atomic_fetch_add(&busy->n_wrong, err != NULL);
		atomic_fetch_add(&busy->n_writes, 1);
	}
	return NULL;
}

static void start_writing(struct busy *busy, pthread_t *thread)
{
	assert_int_equal(pthread_create(thread, NULL, write_pairs, busy), 0);
	while (!atomic_load(&busy->n_writes))
		portal_db_pause(1000);
}

/* How many lines a database has that nobody has open. */
static int64_t lines_of(struct portal_db *f, const char *path)
{
	struct kc_db *running = f->db;
	int64_t n;

	assert_kc_ok(kc_db_open(f->ctx, path, &f->db));
	n = portal_db_lines(f, NULL);
	kc_db_close(f->db);
	f->db = running;
	return n;
}

static void test_a_backup_while_others_write(void **state)
{
	struct portal_db *f = *state;
	struct busy busy = { .f = f };
	char name[32];
	pthread_t thread;
	struct stat st;
	int64_t n;

	start_writing(&busy, &thread);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "backup%d", i);
		assert_kc_ok(kc_db_backup(f->ctx, f->db, portal_db_file(f, name)));
	}
	atomic_store(&busy.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&busy.n_wrong), 0);
	assert_int_equal(stat(portal_db_file(f, "backup0"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(portal_db_file(f, "backup0-wal"), F_OK), -1);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "backup%d", i);
		n = lines_of(f, portal_db_file(f, name));
		assert_true(n > 0 && n % 2 == 0);
	}
}

static void test_a_backup_needs_a_new_name(void **state)
{
	struct portal_db *f = *state;
	const char *path = portal_db_file(f, "there");

	assert_int_equal(kc_file_write_atomic(path, "x", 1, 0600), 0);
	assert_kc_error(kc_db_backup(f->ctx, f->db, path), KC_ERR_EXISTS, "new name");
	assert_kc_error(kc_db_backup(f->ctx, f->db, portal_db_file(f, "no/folder")), KC_ERR_SYSTEM, "No such file");
}

/* ---- restore ---- */

/* Nothing is left of it but the database itself. */
static void assert_no_leftovers(struct portal_db *f)
{
	kc_autofree char *copy = NULL;

	assert_true(asprintf(&copy, "%s" KC_DB_RESTORE_SUFFIX, f->path) > 0);
	assert_int_equal(access(copy, F_OK), -1);
}

static void assert_not_restored(struct portal_db *f, const char *path, enum kc_error_code code, const char *text)
{
	assert_kc_error(kc_db_restore(f->ctx, f->db, path), code, text);
	assert_int_equal(portal_db_lines(f, "now"), 1);
	assert_no_leftovers(f);
}

/* A backup with this done to it. */
static const char *spoiled(struct portal_db *f, const char *name, const char *sql)
{
	const char *path = portal_db_file(f, name);
	sqlite3 *sqlite;

	assert_kc_ok(kc_db_backup(f->ctx, f->db, path));
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
	return path;
}

static void test_what_is_no_backup_changes_nothing(void **state)
{
	struct portal_db *f = *state;
	const char *path = portal_db_file(f, "bad");
	kc_autobuf struct kc_buf backup = { 0 };

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"now"));
	assert_not_restored(f, path, KC_ERR_NOT_FOUND, "No such file");
	assert_int_equal(kc_file_write_atomic(path, "", 0, 0600), 0);
	assert_not_restored(f, path, KC_ERR_CORRUPT, "no database of a portal");
	assert_int_equal(kc_file_write_atomic(path, "garbage, and more of it", 23, 0600), 0);
	assert_not_restored(f, path, KC_ERR_CORRUPT, "not a database");
	assert_not_restored(f, f->dir, KC_ERR_DATABASE, "cannot be opened");

	/* a true one, cut short, and with a page that is overwritten */
	assert_int_equal(kc_file_read(spoiled(f, "true", ""), 1 << 20, &backup), 0);
	assert_int_equal(kc_file_write_atomic(path, backup.data, backup.size / 2, 0600), 0);
	assert_not_restored(f, path, KC_ERR_CORRUPT, "bad");
	memset(backup.data + 4096, 0xa5, 4096);
	assert_int_equal(kc_file_write_atomic(path, backup.data, backup.size, 0600), 0);
	assert_not_restored(f, path, KC_ERR_CORRUPT, "bad");
}

static void test_what_a_portal_would_not_make_changes_nothing(void **state)
{
	struct portal_db *f = *state;

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"now"));
	assert_not_restored(f, spoiled(f, "newer", "INSERT INTO schema_version VALUES (99, 0)"), KC_ERR_VERSION,
			    "version 99");
	assert_not_restored(f, spoiled(f, "unmarked", "PRAGMA application_id = 0"), KC_ERR_CORRUPT,
			    "no database of a portal");
	assert_not_restored(
		f, spoiled(f, "trigger", "CREATE TRIGGER evil AFTER UPDATE ON servers BEGIN DELETE FROM users; END"),
		KC_ERR_CORRUPT, "the trigger evil is none of ours");
	assert_not_restored(f, spoiled(f, "view", "DROP TABLE users; CREATE VIEW users AS SELECT 1 AS name"),
			    KC_ERR_CORRUPT, "the view users is none of ours");
	assert_not_restored(f, spoiled(f, "index", "DROP INDEX servers_machine"), KC_ERR_CORRUPT,
			    "the index servers_machine is missing");
	assert_not_restored(f, spoiled(f, "column", "ALTER TABLE users ADD COLUMN more TEXT"), KC_ERR_CORRUPT,
			    "the table users is another one");
	assert_not_restored(f, spoiled(f, "pages", "PRAGMA page_size = 8192; VACUUM"), KC_ERR_CORRUPT,
			    "pages of 8192 bytes");
}

static struct kc_error *add_server(struct kc_db_conn *conn, void *data)
{
	const struct kc_server server = { .id = "Server0000000001", .nonce = "nonce", .previous_nonce = "previous" };

	(void)data;
	return kc_servers_add(conn, &server);
}

struct view {
	struct portal_db *f;
	const char *backup;
	int64_t before, after;
};

static struct kc_error *restore_while_reading(struct kc_db_conn *conn, void *data)
{
	struct view *view = data;

	view->before = ask(conn, "SELECT COUNT(*) FROM audit", 0);
	KC_TRY(kc_db_restore(view->f->ctx, view->f->db, view->backup));
	view->after = ask(conn, "SELECT COUNT(*) FROM audit", 0);
	return NULL;
}

static void test_a_restore_takes_the_place_of_all(void **state)
{
	struct portal_db *f = *state;
	struct view view = { .f = f, .backup = portal_db_file(f, "backup") };

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"then"));
	assert_kc_ok(kc_db_write_wait(f->db, add_server, NULL));
	assert_kc_ok(kc_db_backup(f->ctx, f->db, view.backup));
	for (int i = 0; i < 9; i++)
		assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"later"));
	/* who reads goes on with what was there */
	assert_kc_ok(kc_db_read(f->db, restore_while_reading, &view));
	assert_int_equal(view.before, 10);
	assert_int_equal(view.after, 10);
	assert_int_equal(portal_db_lines(f, "then"), 1);
	assert_int_equal(portal_db_lines(f, "later"), 0);
	assert_int_equal(portal_db_number(f, "SELECT COUNT(*) FROM servers WHERE nonce = '' AND previous_nonce = ''"),
			 1);
	assert_no_leftovers(f);
	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"afterwards"));
	portal_db_close(f);
	portal_db_open(f);
	assert_int_equal(portal_db_lines(f, NULL), 2);
	/* and once more, from the same file */
	assert_kc_ok(kc_db_restore(f->ctx, f->db, view.backup));
	assert_int_equal(portal_db_lines(f, NULL), 1);
}

/* A true database of an earlier version, with a server in it. */
static void make_version(const char *path, size_t version)
{
	KC_CLEANUP_DB_CONN struct kc_db_conn conn = { 0 };

	assert_kc_ok(kc_db_conn_open(path, KC_DB_WRITER, &conn));
	assert_kc_ok(kc_db_migrate(&conn, kc_db_schema, version));
	assert_kc_ok(add_server(&conn, NULL));
}

static void test_earlier_versions_are_brought_to_the_newest(void **state)
{
	struct portal_db *f = *state;
	char name[32];

	for (size_t version = 1; version < kc_db_schema_size; version++) {
		snprintf(name, sizeof(name), "version-%zu", version);
		make_version(portal_db_file(f, name), version);
		/* which compares the result with a new one */
		assert_kc_ok(kc_db_restore(f->ctx, f->db, portal_db_file(f, name)));
		assert_int_equal(portal_db_number(f, "SELECT MAX(version) FROM schema_version"), kc_db_schema_size);
		assert_int_equal(portal_db_number(f, "SELECT COUNT(*) FROM servers"), 1);
	}
}

static void test_a_restore_while_others_write(void **state)
{
	struct portal_db *f = *state;
	struct busy busy = { .f = f };
	pthread_t thread;

	assert_kc_ok(kc_db_backup(f->ctx, f->db, portal_db_file(f, "backup")));
	start_writing(&busy, &thread);
	for (int i = 0; i < 5; i++)
		assert_kc_ok(kc_db_restore(f->ctx, f->db, portal_db_file(f, "backup")));
	atomic_store(&busy.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&busy.n_wrong), 0);
	assert_int_equal(portal_db_lines(f, NULL) % 2, 0);
}

/* ---- killed while it restores ---- */

enum { OLD_LINES = 400, NEW_LINES = 300 };

static struct kc_error *add_lines(struct kc_db_conn *conn, void *data)
{
	for (int i = 0; i < *(int *)data; i++)
		KC_TRY(portal_db_add_line(conn, (void *)"line"));
	return NULL;
}

static void make_two(struct portal_db *f)
{
	int n = OLD_LINES, more = NEW_LINES;

	if (kc_db_open(f->ctx, f->path, &f->db) || kc_db_write_wait(f->db, add_lines, &n) ||
	    kc_db_backup(f->ctx, f->db, portal_db_file(f, "backup")) || kc_db_write_wait(f->db, add_lines, &more))
		_exit(1);
	portal_db_close(f);
}

static void add_more(struct portal_db *f)
{
	int more = NEW_LINES;

	if (kc_db_open(f->ctx, f->path, &f->db) || kc_db_write_wait(f->db, add_lines, &more))
		_exit(1);
	portal_db_close(f);
}

static void restore(struct portal_db *f)
{
	if (kc_db_open(f->ctx, f->path, &f->db) || kc_db_restore(f->ctx, f->db, portal_db_file(f, "backup")))
		_exit(1);
	portal_db_close(f);
}

static void test_a_restore_that_is_killed_is_done_or_not(void **state)
{
	enum { KILLS = 16 };
	struct portal_db *f = *state;
	unsigned n_old = 0, n_new = 0;
	int64_t whole_us, n;

	run_and_kill(f, make_two, 0);
	whole_us = run_and_kill(f, restore, 0);
	for (int64_t i = 0; i < KILLS; i++) {
		run_and_kill(f, add_more, 0);
		run_and_kill(f, restore, whole_us * (i + 1) / KILLS);
		portal_db_open(f);
		assert_no_leftovers(f);
		n = portal_db_lines(f, NULL);
		n_old += n == OLD_LINES;
		n_new += n != OLD_LINES && n % NEW_LINES == OLD_LINES % NEW_LINES;
		assert_int_equal(portal_db_number(f, "SELECT COUNT(*) FROM servers"), 0);
		portal_db_close(f);
	}
	assert_int_equal(n_old + n_new, KILLS);
	assert_true(n_new > 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, portal_db_set_up, portal_db_tear_down)
/* Without a database that is open: for tests that fork. */
#define FORKING(function) cmocka_unit_test_setup_teardown(function, portal_db_set_up_closed, portal_db_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FORKING(test_a_migration_that_fails_leaves_the_version_before),
		FORKING(test_a_migration_that_is_killed_leaves_a_version),
		FORKING(test_what_was_reported_survives_a_kill),
		FORKING(test_a_restore_that_is_killed_is_done_or_not),
		TEST(test_a_backup_while_others_write),
		TEST(test_a_backup_needs_a_new_name),
		TEST(test_what_is_no_backup_changes_nothing),
		TEST(test_what_a_portal_would_not_make_changes_nothing),
		TEST(test_a_restore_takes_the_place_of_all),
		TEST(test_earlier_versions_are_brought_to_the_newest),
		TEST(test_a_restore_while_others_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
