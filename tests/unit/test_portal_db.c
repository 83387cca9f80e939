/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database in use: who may open it, what readers see, how writes are grouped, and what a failing disk leaves. Other
 * threads only note what they see: cmocka cannot end a test from there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "portal/db/audit.h"
#include "portal_db.h"

/* ---- opening ---- */

static void test_files_are_private(void **state)
{
	static const char *const suffixes[] = { "", "-wal", "-lock" };
	struct portal_db *f = *state;
	struct stat st;

	for (size_t i = 0; i < KC_ARRAY_SIZE(suffixes); i++) {
		kc_autofree char *path = NULL;

		assert_true(asprintf(&path, "%s%s", f->path, suffixes[i]) > 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void test_what_was_written_is_there_again(void **state)
{
	struct portal_db *f = *state;

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"ann"));
	portal_db_close(f);
	portal_db_open(f);
	assert_int_equal(portal_db_lines(f, "ann"), 1);
	assert_int_equal(portal_db_number(f, "SELECT MAX(version) FROM schema_version"), kc_db_schema_size);
	assert_int_equal(portal_db_number(f, "SELECT COUNT(*) FROM schema_version"), kc_db_schema_size);
}

static void test_one_portal_has_it(void **state)
{
	struct portal_db *f = *state;
	struct kc_db *second;

	assert_kc_error(kc_db_open(f->ctx, f->path, &second), KC_ERR_LOCKED, "another eportald");
	assert_null(second);
	portal_db_close(f);
	portal_db_open(f);
}

static void put(const char *path, const void *data, size_t size)
{
	assert_int_equal(kc_file_write_atomic(path, data, size, 0600), 0);
}

static void script(const char *path, const char *sql)
{
	sqlite3 *sqlite;

	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
}

static void test_what_is_not_ours_is_refused(void **state)
{
	struct portal_db *f = *state;
	const char *garbage = portal_db_file(f, "garbage"), *other = portal_db_file(f, "other");
	char noise[8192];
	struct kc_db *db;

	memset(noise, 'x', sizeof(noise));
	put(garbage, noise, sizeof(noise));
	assert_kc_error(kc_db_open(f->ctx, garbage, &db), KC_ERR_CORRUPT, "not a database");
	script(other, "CREATE TABLE schema_version (version INTEGER)");
	assert_kc_error(kc_db_open(f->ctx, other, &db), KC_ERR_CORRUPT, "no database of a portal");
	assert_kc_error(kc_db_open(f->ctx, portal_db_file(f, "no/folder"), &db), KC_ERR_SYSTEM, "No such file");
}

static void test_a_newer_version_is_refused(void **state)
{
	struct portal_db *f = *state;
	struct kc_db *db;

	portal_db_close(f);
	script(f->path, "INSERT INTO schema_version VALUES (99, 0)");
	assert_kc_error(kc_db_open(f->ctx, f->path, &db), KC_ERR_VERSION, "version 99");
}

/* ---- statements ---- */

static struct kc_error *use_statements(struct kc_db_conn *conn, void *data)
{
	struct kc_db_rows *outer, *inner;
	char sql[64];

	(void)data;
	/* more of them than are kept */
	for (int64_t i = 0; i < 3 * KC_DB_STATEMENTS; i++) {
		snprintf(sql, sizeof(sql), "SELECT ? + %d", (int)i);
		assert_kc_ok(kc_db_query(conn, &outer, sql, "i", INT64_C(1)));
		assert_true(kc_db_rows_next(outer));
		assert_int_equal(kc_db_int(outer, 0), i + 1);
		assert_kc_ok(kc_db_rows_close(outer));
	}
	assert_true(conn->n_statements <= KC_DB_STATEMENTS);
	/* the same one inside of itself; the end is the end */
	assert_kc_ok(kc_db_query(conn, &outer, "SELECT ?", "s", "outer"));
	assert_true(kc_db_rows_next(outer));
	assert_kc_ok(kc_db_query(conn, &inner, "SELECT ?", "s", NULL));
	assert_true(kc_db_rows_next(inner));
	assert_string_equal(kc_db_text(inner, 0), "");
	assert_false(kc_db_rows_next(inner));
	assert_false(kc_db_rows_next(inner));
	assert_kc_ok(kc_db_rows_close(inner));
	assert_string_equal(kc_db_text(outer, 0), "outer");
	assert_kc_ok(kc_db_rows_close(outer));

	assert_kc_error(kc_db_query(conn, &outer, "SELECT ?, ?", "i", INT64_C(1)), KC_ERR_DATABASE, "1 values for");
	assert_null(outer);
	assert_kc_error(kc_db_exec(conn, "SELECT FROM", ""), KC_ERR_DATABASE, "syntax error");
	assert_kc_error(kc_db_exec(conn, "SELECT \"text\"", ""), KC_ERR_DATABASE, "no such column");
	return NULL;
}

static void test_statements(void **state)
{
	assert_kc_ok(kc_db_read(((struct portal_db *)*state)->db, use_statements, NULL));
}

/* More queries under way than are kept: none is thrown away that is in use. */
static struct kc_error *nest(struct kc_db_conn *conn, void *data)
{
	struct kc_db_rows *rows[KC_DB_STATEMENTS + 10];
	char sql[64];

	(void)data;
	for (size_t i = 0; i < KC_ARRAY_SIZE(rows); i++) {
		snprintf(sql, sizeof(sql), "SELECT %zu", i);
		assert_kc_ok(kc_db_query(conn, &rows[i], sql, ""));
		assert_true(kc_db_rows_next(rows[i]));
	}
	for (size_t i = 0; i < KC_ARRAY_SIZE(rows); i++) {
		assert_int_equal(kc_db_int(rows[i], 0), i);
		assert_kc_ok(kc_db_rows_close(rows[i]));
	}
	return NULL;
}

static void test_many_queries_at_once(void **state)
{
	assert_kc_ok(kc_db_read(((struct portal_db *)*state)->db, nest, NULL));
}

/* ---- reading ---- */

struct moment {
	struct portal_db *f;
	int64_t before, after;
};

static struct kc_error *count_lines(struct kc_db_conn *conn, int64_t *n)
{
	return kc_db_conn_number(conn, "SELECT COUNT(*) FROM audit", n);
}

static struct kc_error *read_twice(struct kc_db_conn *conn, void *data)
{
	struct moment *moment = data;

	KC_TRY(count_lines(conn, &moment->before));
	KC_TRY(kc_db_write_wait(moment->f->db, portal_db_add_line, (void *)"meanwhile"));
	return count_lines(conn, &moment->after);
}

static void test_a_read_is_of_one_moment(void **state)
{
	struct moment moment = { .f = *state, .before = -1, .after = -1 };

	assert_kc_ok(kc_db_read(moment.f->db, read_twice, &moment));
	assert_int_equal(moment.before, 0);
	assert_int_equal(moment.after, 0);
	assert_int_equal(portal_db_lines(moment.f, "meanwhile"), 1);
}

static void test_a_reader_cannot_write(void **state)
{
	struct portal_db *f = *state;

	for (int i = 0; i < 2 * KC_DB_READERS; i++)
		assert_kc_error(kc_db_read(f->db, portal_db_add_line, (void *)"reader"), KC_ERR_DATABASE, "readonly");
	assert_int_equal(portal_db_lines(f, NULL), 0);
}

enum { LONG_TEXT = 100 << 10, LONG_LINES = 400, WAL_MAX = 4 << 20 };

struct busy {
	struct kc_db *db;
	atomic_bool is_over;
};

static struct kc_error *linger(struct kc_db_conn *conn, void *data)
{
	int64_t n;

	(void)data;
	KC_TRY(count_lines(conn, &n));
	portal_db_pause(2000);
	return NULL;
}

static void *read_again_and_again(void *data)
{
	struct busy *busy = data;

	while (!atomic_load(&busy->is_over))
		assert_kc_ok(kc_db_read(busy->db, linger, NULL));
	return NULL;
}

static struct kc_error *add_long_line(struct kc_db_conn *conn, void *text)
{
	return kc_audit_add(conn, &(struct kc_audit_line){ .who = text, .action = (char *)"" });
}

/* There is always somebody who reads: the WAL begins anew all the same. */
static void test_readers_without_a_gap(void **state)
{
	struct portal_db *f = *state;
	struct busy busy = { .db = f->db };
	kc_autofree char *text = malloc(LONG_TEXT + 1);
	pthread_t readers[3];
	struct stat st;

	assert_non_null(text);
	memset(text, 'x', LONG_TEXT);
	text[LONG_TEXT] = '\0';
	f->db->wal_max = f->db->wal_next = WAL_MAX; /* its thread has nothing to do yet */
	for (size_t i = 0; i < KC_ARRAY_SIZE(readers); i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_again_and_again, &busy), 0);
	for (int i = 0; i < LONG_LINES; i++)
		assert_kc_ok(kc_db_write_wait(f->db, add_long_line, text));
	assert_int_equal(stat(portal_db_file(f, "portal.db-wal"), &st), 0);
	atomic_store(&busy.is_over, true);
	for (size_t i = 0; i < KC_ARRAY_SIZE(readers); i++)
		pthread_join(readers[i], NULL);
	assert_true(st.st_size <= 2 * WAL_MAX);
}

/* ---- writing, in groups ---- */

static struct kc_error *do_nothing(struct kc_db_conn *conn, void *data)
{
	(void)conn;
	(void)data;
	return NULL;
}

static int count_commit(void *data)
{
	atomic_fetch_add((atomic_int *)data, 1);
	return 0;
}

static struct kc_error *watch_commits(struct kc_db_conn *conn, void *data)
{
	sqlite3_commit_hook(conn->sqlite, count_commit, data);
	return NULL;
}

/* Holds the writer until the test lets it go, so that what comes meanwhile is one group. */
struct gate {
	sem_t is_in, may_go;
	atomic_int n_commits; /* since it opened */
};

static struct kc_error *hold(struct kc_db_conn *conn, void *data)
{
	struct gate *gate = data;

	(void)conn;
	sem_post(&gate->is_in);
	sem_wait(&gate->may_go);
	return NULL;
}

static void close_gate(struct portal_db *f, struct gate *gate)
{
	sem_init(&gate->is_in, 0, 0);
	sem_init(&gate->may_go, 0, 0);
	atomic_store(&gate->n_commits, -1); /* its own */
	assert_kc_ok(kc_db_write_alone(f->db, watch_commits, &gate->n_commits));
	kc_db_write(f->db, hold, NULL, gate);
	sem_wait(&gate->is_in);
}

/* Lets it go, and waits until all that came before is reported. */
static void open_gate(struct portal_db *f, struct gate *gate)
{
	sem_post(&gate->may_go);
	assert_kc_ok(kc_db_write_alone(f->db, do_nothing, NULL));
	sem_destroy(&gate->is_in);
	sem_destroy(&gate->may_go);
}

/* What became of one write; counters are the writer's alone until the gate is open. */
struct job {
	char name[16];
	struct kc_error *(*run)(struct kc_db_conn *conn, struct job *job);
	unsigned *n_run, *n_done, run_as, done_as;
	bool failed;
	enum kc_error_code code;
};

static struct kc_error *add_line(struct kc_db_conn *conn, struct job *job)
{
	return portal_db_add_line(conn, job->name);
}

static struct kc_error *add_line_and_fail(struct kc_db_conn *conn, struct job *job)
{
	KC_TRY(portal_db_add_line(conn, job->name));
	return kc_error_new(KC_ERR_EXISTS, "on purpose");
}

static struct kc_error *run_job(struct kc_db_conn *conn, void *data)
{
	struct job *job = data;

	job->run_as = ++*job->n_run;
	return job->run(conn, job);
}

static void note_done(void *data, struct kc_error *err)
{
	struct job *job = data;

	job->done_as = ++*job->n_done;
	job->failed = err;
	job->code = err ? kc_error_code(err) : KC_ERR_COUNT;
	kc_error_free(err);
}

/* Queues `n` jobs that run `run`, each with a name of its own. */
static struct job *queue_jobs(struct portal_db *f, size_t n, unsigned counters[2],
			      struct kc_error *(*run)(struct kc_db_conn *conn, struct job *job))
{
	struct job *jobs = calloc(n, sizeof(*jobs));
	static unsigned n_names;

	for (size_t i = 0; i < n; i++) {
		jobs[i] = (struct job){ .run = run, .n_run = &counters[0], .n_done = &counters[1] };
		snprintf(jobs[i].name, sizeof(jobs[i].name), "job%u", n_names++);
		kc_db_write(f->db, run_job, note_done, &jobs[i]);
	}
	return jobs;
}

static void test_writes_that_wait_share_a_commit(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct gate gate;
	struct job *jobs;

	close_gate(f, &gate);
	jobs = queue_jobs(f, 100, counters, add_line);
	assert_int_equal(portal_db_lines(f, NULL), 0);
	open_gate(f, &gate);
	for (unsigned i = 0; i < 100; i++) {
		assert_false(jobs[i].failed);
		assert_int_equal(jobs[i].run_as, i + 1);
		assert_int_equal(jobs[i].done_as, i + 1);
	}
	assert_int_equal(portal_db_lines(f, NULL), 100);
	/* one, unless that takes longer than a group may */
	assert_in_range(atomic_load(&gate.n_commits), 1, 50);
	free(jobs);
}

static void test_an_error_undoes_its_own_write(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct job *good, *bad, *better;
	struct gate gate;

	close_gate(f, &gate);
	good = queue_jobs(f, 2, counters, add_line);
	bad = queue_jobs(f, 2, counters, add_line_and_fail);
	better = queue_jobs(f, 2, counters, add_line);
	open_gate(f, &gate);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(good[i].failed || better[i].failed);
		assert_int_equal(bad[i].code, KC_ERR_EXISTS);
	}
	assert_int_equal(portal_db_lines(f, NULL), 4);
	assert_int_equal(atomic_load(&gate.n_commits), 1);
	free(good);
	free(bad);
	free(better);
}

static struct kc_error *fail_with(struct kc_db_conn *conn, void *data)
{
	(void)conn;
	return kc_error_new(KC_ERR_EXISTS, "%s", (const char *)data);
}

static void test_an_error_that_nobody_takes_is_logged(void **state)
{
	struct portal_db *f = *state;

	kc_db_write(f->db, fail_with, NULL, (void *)"nobody's trouble");
	assert_kc_error(kc_db_write_wait(f->db, fail_with, (void *)"mine"), KC_ERR_EXISTS, "mine");
	assert_string_equal(f->log.data, "nobody's trouble\n");
}

static struct kc_error *be_slow(struct kc_db_conn *conn, struct job *job)
{
	portal_db_pause(20000);
	return add_line(conn, job);
}

/* Who came first does not wait until all are through. */
static void test_groups_are_bounded(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 }, slow_counters[2] = { 0 };
	struct gate gate;
	struct job *jobs;

	close_gate(f, &gate);
	jobs = queue_jobs(f, 1200, counters, add_line);
	open_gate(f, &gate);
	assert_true(atomic_load(&gate.n_commits) >= 3);
	assert_int_equal(portal_db_lines(f, NULL), 1200);
	free(jobs);
	close_gate(f, &gate);
	jobs = queue_jobs(f, 8, slow_counters, be_slow);
	open_gate(f, &gate);
	assert_true(atomic_load(&gate.n_commits) >= 2);
	free(jobs);
}

static void test_closing_writes_what_waits(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct job *jobs = queue_jobs(f, 300, counters, add_line);

	portal_db_close(f);
	assert_int_equal(counters[1], 300);
	portal_db_open(f);
	assert_int_equal(portal_db_lines(f, NULL), 300);
	free(jobs);
}

/* ---- many at once ---- */

enum { WRITERS = 8, READERS = 6, WRITES = 60 };

struct crowd {
	struct portal_db *f;
	atomic_int n_left, n_wrong, n_reads;
	atomic_int at_finish[WRITERS]; /* how many writes of all were done when this one had finished */
	atomic_int n_writes, next;
};

/* Two lines in one write: a reader sees both or none. */
static struct kc_error *add_pair(struct kc_db_conn *conn, void *data)
{
	KC_TRY(portal_db_add_line(conn, data));
	return portal_db_add_line(conn, data);
}

static void *write_many(void *data)
{
	struct crowd *crowd = data;
	int self = atomic_fetch_add(&crowd->next, 1);

	for (int i = 0; i < WRITES; i++) {
		kc_autoerror struct kc_error *err = kc_db_write_wait(crowd->f->db, add_pair, (void *)"pair");

		atomic_fetch_add(&crowd->n_wrong, err != NULL);
		atomic_fetch_add(&crowd->n_writes, 1);
	}
	atomic_store(&crowd->at_finish[self], atomic_load(&crowd->n_writes));
	atomic_fetch_sub(&crowd->n_left, 1);
	return NULL;
}

static struct kc_error *check_pairs(struct kc_db_conn *conn, void *data)
{
	return count_lines(conn, data);
}

static void *read_many(void *data)
{
	struct crowd *crowd = data;
	int64_t before = 0;

	while (atomic_load(&crowd->n_left) > 0) {
		int64_t n = -1;
		kc_autoerror struct kc_error *err = kc_db_read(crowd->f->db, check_pairs, &n);

		atomic_fetch_add(&crowd->n_wrong, err || n % 2 || n < before);
		atomic_fetch_add(&crowd->n_reads, 1);
		before = n;
	}
	return NULL;
}

static void test_many_at_once(void **state)
{
	struct crowd crowd = { .f = *state, .n_left = WRITERS };
	pthread_t threads[WRITERS + READERS];

	for (size_t i = 0; i < KC_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? write_many : read_many, &crowd), 0);
	for (size_t i = 0; i < KC_ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.n_wrong), 0);
	assert_true(atomic_load(&crowd.n_reads) > 0);
	assert_int_equal(portal_db_lines(crowd.f, NULL), 2 * WRITERS * WRITES);
	/* nobody was through before the others were well under way: each waits for a group, not for its luck */
	for (size_t i = 0; i < WRITERS; i++)
		assert_true(atomic_load(&crowd.at_finish[i]) > WRITERS * WRITES / 2);
}

/* ---- a full disk ---- */

enum { BIG = 4 << 20 };

static struct kc_error *add_big(struct kc_db_conn *conn, struct job *job)
{
	kc_autobuf struct kc_buf text = { 0 };

	(void)job;
	while (text.size < BIG)
		kc_buf_append_str(&text, "0123456789abcdef");
	return kc_audit_add(conn, &(struct kc_audit_line){ .who = (char *)"big", .detail = text.data });
}

/* What was reported is what is there. */
static void assert_as_reported(struct portal_db *f, const struct job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].failed)
			assert_true(jobs[i].code == KC_ERR_NO_SPACE || jobs[i].code == KC_ERR_DATABASE);
		assert_int_equal(portal_db_lines(f, jobs[i].name), !jobs[i].failed);
	}
}

/* The writer's own limit of pages: SQLite says that the disk is full as soon as one is needed. */
static struct kc_error *limit_pages(struct kc_db_conn *conn, void *data)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", *(int *)data);
	return kc_db_conn_script(conn, sql);
}

static void test_a_full_disk_is_told_to_the_group(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct job *before, *big, *after;
	struct gate gate;
	int limit = 1;

	assert_kc_ok(kc_db_write_alone(f->db, limit_pages, &limit));
	close_gate(f, &gate);
	before = queue_jobs(f, 3, counters, add_line);
	big = queue_jobs(f, 1, counters, add_big);
	open_gate(f, &gate);
	assert_int_equal(big[0].code, KC_ERR_NO_SPACE);
	assert_as_reported(f, before, 3);
	assert_int_equal(portal_db_lines(f, "big"), 0);

	limit = INT32_MAX;
	assert_kc_ok(kc_db_write_alone(f->db, limit_pages, &limit));
	after = queue_jobs(f, 1, counters, add_big);
	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"after"));
	assert_false(after[0].failed);
	assert_int_equal(portal_db_lines(f, "after"), 1);
	assert_int_equal(portal_db_lines(f, "big"), 1);
	free(before);
	free(big);
	free(after);
}

/* No file may grow beyond `size` bytes: what is written there fails in the kernel, as on a disk that is full. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Every job ran well; it is the commit that fails, for all of them. */
static void test_a_commit_that_fails_is_told_to_all(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct gate gate;
	struct job *jobs;

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"first"));
	close_gate(f, &gate);
	jobs = queue_jobs(f, 20, counters, add_line);
	limit_files(1);
	open_gate(f, &gate);
	limit_files(RLIM_INFINITY);
	assert_int_equal(counters[0], 20);
	for (size_t i = 0; i < 20; i++)
		assert_true(jobs[i].failed);
	assert_as_reported(f, jobs, 20);
	free(jobs);

	jobs = queue_jobs(f, 20, counters, add_line);
	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"last"));
	assert_as_reported(f, jobs, 20);
	assert_false(jobs[0].failed);
	portal_db_close(f);
	portal_db_open(f);
	assert_int_equal(portal_db_lines(f, NULL), 22);
	assert_int_equal(
		portal_db_number(f, "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
	free(jobs);
}

/* A job whose pages do not fit into the cache is written before the commit, and fails there: the group fails with it.
 */
static void test_a_job_that_fails_on_its_way_takes_its_group_along(void **state)
{
	struct portal_db *f = *state;
	unsigned counters[2] = { 0 };
	struct job *before, *huge, *after;
	struct gate gate;

	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"first"));
	close_gate(f, &gate);
	before = queue_jobs(f, 5, counters, add_line);
	huge = queue_jobs(f, 8, counters, add_big);
	after = queue_jobs(f, 5, counters, add_line);
	limit_files(1 << 20);
	open_gate(f, &gate);
	limit_files(RLIM_INFINITY);
	assert_true(before[0].failed && huge[0].failed);
	assert_as_reported(f, before, 5);
	assert_int_equal(portal_db_lines(f, "big"), 0);
	for (size_t i = 0; i < 5; i++)
		assert_true(!after[i].failed || after[i].code == KC_ERR_DATABASE);
	assert_kc_ok(kc_db_write_wait(f->db, portal_db_add_line, (void *)"last"));
	assert_int_equal(portal_db_lines(f, "last"), 1);
	free(before);
	free(huge);
	free(after);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, portal_db_set_up, portal_db_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files_are_private),
		TEST(test_what_was_written_is_there_again),
		TEST(test_one_portal_has_it),
		TEST(test_what_is_not_ours_is_refused),
		TEST(test_a_newer_version_is_refused),
		TEST(test_statements),
		TEST(test_many_queries_at_once),
		TEST(test_a_read_is_of_one_moment),
		TEST(test_a_reader_cannot_write),
		TEST(test_readers_without_a_gap),
		TEST(test_writes_that_wait_share_a_commit),
		TEST(test_an_error_undoes_its_own_write),
		TEST(test_an_error_that_nobody_takes_is_logged),
		TEST(test_groups_are_bounded),
		TEST(test_closing_writes_what_waits),
		TEST(test_many_at_once),
		TEST(test_a_full_disk_is_told_to_the_group),
		TEST(test_a_commit_that_fails_is_told_to_all),
		TEST(test_a_job_that_fails_on_its_way_takes_its_group_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
