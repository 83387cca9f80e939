/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that writes. What came while the disk was syncing is the next group: one transaction, a savepoint for each
 * job, one sync for all of them. With few writers a group is one job, and nothing waits for company.
 */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "portal/db/db_internal.h"

enum {
	/* a group ends here, so that who came first does not wait for who came last */
	GROUP_MAX = 500,
	GROUP_MAX_MS = 50,
	READERS_PATIENCE_S = 5,
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- a group ---- */

/* Of one failure for each job of a group. */
static struct kc_error *copy_error(const struct kc_error *err)
{
	return kc_error_new(kc_error_code(err), "%s", kc_error_message(err));
}

/* One job in its savepoint. An error that is returned is that of the group: its transaction is over. */
static struct kc_error *run_job(struct kc_db_conn *conn, struct kc_db_job *job)
{
	KC_TRY(kc_db_exec(conn, "SAVEPOINT job", ""));
	job->err = job->run(conn, job->data);
	/* some failures, such as a full disk, take the whole transaction with them */
	if (sqlite3_get_autocommit(conn->sqlite))
		return job->err ? copy_error(job->err)
				: kc_error_new(KC_ERR_DATABASE, "%s: a transaction was lost", conn->path);
	if (job->err)
		KC_TRY(kc_db_exec(conn, "ROLLBACK TO job", ""));
	return kc_db_exec(conn, "RELEASE job", "");
}

/* Runs jobs until the group is full, and commits; `*end` is the first job of the next group. */
static struct kc_error *run_jobs(struct kc_db_conn *conn, struct kc_db_job *first, struct kc_db_job **end)
{
	int64_t until = now_ms() + GROUP_MAX_MS;
	struct kc_error *err = kc_db_exec(conn, "BEGIN IMMEDIATE", "");
	struct kc_db_job *job = first;

	for (size_t n = 0; job && !job->is_alone && !err && n < GROUP_MAX && (n == 0 || now_ms() < until); n++) {
		err = run_job(conn, job);
		job = job->next;
	}
	*end = job == first ? first->next : job;
	return err ? err : kc_db_exec(conn, "COMMIT", "");
}

static void report(struct kc_db *db, struct kc_db_job *job)
{
	if (job->done)
		job->done(job->data, job->err);
	else if (job->err)
		kc_log(db->ctx, KC_LOG_ERROR, "%s", kc_error_message(job->err));
	if (!job->done)
		kc_error_free(job->err);
	free(job);
}

/* Returns the first job of the next group. */
static struct kc_db_job *run_group(struct kc_db *db, struct kc_db_job *first)
{
	struct kc_db_conn *conn = &db->writer;
	kc_autoerror struct kc_error *err = NULL;
	struct kc_db_job *end, *job, *next;

	if (first->is_alone) {
		first->err = first->run(conn, first->data);
		end = first->next;
	} else {
		err = run_jobs(conn, first, &end);
	}
	kc_db_conn_rollback(conn);
	for (job = first; job != end; job = next) {
		next = job->next;
		if (err && !job->err)
			job->err = copy_error(err);
		report(db, job);
	}
	return end;
}

/* ---- the WAL ---- */

/*
 * SQLite begins the WAL anew in a moment in which nobody reads. Readers who follow one another without such a moment
 * let it grow for ever; so they have to wait now and then. One that takes long, as a backup, is left to its work.
 */
static void bound_wal(struct kc_db *db)
{
	sqlite3 *sqlite = db->writer.sqlite;
	struct stat st;

	if (stat(sqlite3_filename_wal(sqlite3_db_filename(sqlite, "main")), &st) < 0 || st.st_size < db->wal_next)
		return;
	db->wal_next = st.st_size + db->wal_max;
	if (kc_db_readers_stop(db, READERS_PATIENCE_S) &&
	    sqlite3_wal_checkpoint_v2(sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
		db->wal_next = db->wal_max;
	kc_db_readers_go_on(db);
}

/* ---- the thread ---- */

/* All that have come; NULL: the end. */
static struct kc_db_job *take_jobs(struct kc_db *db)
{
	struct kc_db_job *jobs;

	pthread_mutex_lock(&db->jobs_lock);
	while (!db->jobs && !db->is_closing)
		pthread_cond_wait(&db->jobs_came, &db->jobs_lock);
	jobs = kc_steal(db->jobs);
	db->jobs_end = &db->jobs;
	pthread_mutex_unlock(&db->jobs_lock);
	return jobs;
}

static void *write_all(void *data)
{
	struct kc_db *db = data;
	struct kc_db_job *jobs;

	while ((jobs = take_jobs(db)))
		while (jobs) {
			jobs = run_group(db, jobs);
			bound_wal(db);
		}
	return NULL;
}

struct kc_error *kc_db_writer_start(struct kc_db *db)
{
	int err = pthread_create(&db->thread, NULL, write_all, db);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, err, "no thread for the database");
	db->has_thread = true;
	return NULL;
}

void kc_db_writer_stop(struct kc_db *db)
{
	if (!db->has_thread)
		return;
	pthread_mutex_lock(&db->jobs_lock);
	db->is_closing = true;
	pthread_cond_signal(&db->jobs_came);
	pthread_mutex_unlock(&db->jobs_lock);
	pthread_join(db->thread, NULL);
}

static void add_job(struct kc_db *db, const struct kc_db_job *template)
{
	struct kc_db_job *job = malloc(sizeof(*job));

	if (!job) {
		if (template->done)
			template->done(template->data, kc_error_no_memory());
		return;
	}
	*job = *template;
	pthread_mutex_lock(&db->jobs_lock);
	*db->jobs_end = job;
	db->jobs_end = &job->next;
	pthread_cond_signal(&db->jobs_came);
	pthread_mutex_unlock(&db->jobs_lock);
}

void kc_db_write(struct kc_db *db, kc_db_fn *write, void (*done)(void *data, struct kc_error *err), void *data)
{
	add_job(db, &(struct kc_db_job){ .run = write, .done = done, .data = data });
}

/* ---- waiting for it ---- */

struct waiting {
	kc_db_fn *run;
	void *data;
	pthread_mutex_t lock;
	pthread_cond_t is_done;
	bool done;
	struct kc_error *err;
};

static struct kc_error *run_for(struct kc_db_conn *conn, void *data)
{
	struct waiting *waiting = data;

	return waiting->run(conn, waiting->data);
}

static void wake(void *data, struct kc_error *err)
{
	struct waiting *waiting = data;

	pthread_mutex_lock(&waiting->lock);
	waiting->err = err;
	waiting->done = true;
	pthread_cond_signal(&waiting->is_done);
	pthread_mutex_unlock(&waiting->lock);
}

static struct kc_error *wait_for(struct kc_db *db, kc_db_fn *run, void *data, bool is_alone)
{
	struct waiting waiting = { .run = run, .data = data };

	pthread_mutex_init(&waiting.lock, NULL);
	pthread_cond_init(&waiting.is_done, NULL);
	add_job(db, &(struct kc_db_job){ .run = run_for, .done = wake, .data = &waiting, .is_alone = is_alone });
	pthread_mutex_lock(&waiting.lock);
	while (!waiting.done)
		pthread_cond_wait(&waiting.is_done, &waiting.lock);
	pthread_mutex_unlock(&waiting.lock);
	pthread_cond_destroy(&waiting.is_done);
	pthread_mutex_destroy(&waiting.lock);
	return waiting.err;
}

struct kc_error *kc_db_write_wait(struct kc_db *db, kc_db_fn *write, void *data)
{
	return wait_for(db, write, data, false);
}

struct kc_error *kc_db_write_alone(struct kc_db *db, kc_db_fn *run, void *data)
{
	return wait_for(db, run, data, true);
}
