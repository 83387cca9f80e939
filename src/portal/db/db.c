/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database as a whole: one process has it, one connection writes (db_writer.c), a few read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "portal/db/db_internal.h"

/* Two portals with one database would undo each other's ids and nonces. */
static struct kc_error *take_lock(struct kc_db *db)
{
	kc_autofree char *path = NULL;

	if (asprintf(&path, "%s-lock", db->path) < 0)
		return kc_error_no_memory();
	db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (db->lock_fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "%s", path);
	if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	if (errno != EWOULDBLOCK)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "%s", path);
	return kc_error_new(KC_ERR_LOCKED, "%s: another eportald uses this database", db->path);
}

/* SQLite would make it readable for all; what it puts beside it gets the same mode. */
static struct kc_error *make_private(const char *path)
{
	kc_autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? kc_error_errno(KC_ERR_SYSTEM, errno, "%s", path) : NULL;
}

/* Of a restore that was killed. */
static struct kc_error *remove_leftovers(const char *path)
{
	static const char *const suffixes[] = { "", "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(suffixes); i++) {
		kc_autofree char *leftover = NULL;

		if (asprintf(&leftover, "%s" KC_DB_RESTORE_SUFFIX "%s", path, suffixes[i]) < 0)
			return kc_error_no_memory();
		if (unlink(leftover) < 0 && errno != ENOENT)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "%s", leftover);
	}
	return NULL;
}

static struct kc_error *open_all(struct kc_db *db)
{
	KC_TRY(take_lock(db));
	KC_TRY(remove_leftovers(db->path));
	KC_TRY(make_private(db->path));
	KC_TRY(kc_db_conn_open(db->path, KC_DB_WRITER, &db->writer));
	KC_TRY(kc_db_migrate(&db->writer, kc_db_schema, kc_db_schema_size));
	for (size_t i = 0; i < KC_ARRAY_SIZE(db->readers); i++)
		KC_TRY(kc_db_conn_open(db->path, KC_DB_READER, &db->readers[i]));
	return kc_db_writer_start(db);
}

struct kc_error *kc_db_open(struct kc_ctx *ctx, const char *path, struct kc_db **db)
{
	struct kc_db *new = calloc(1, sizeof(*new));
	struct kc_error *err;

	*db = NULL;
	if (!new)
		return kc_error_no_memory();
	*new = (struct kc_db){
		.ctx = ctx, .path = strdup(path), .lock_fd = -1, .wal_max = KC_DB_WAL_MAX, .wal_next = KC_DB_WAL_MAX
	};
	pthread_mutex_init(&new->readers_lock, NULL);
	pthread_cond_init(&new->reader_is_back, NULL);
	pthread_mutex_init(&new->jobs_lock, NULL);
	pthread_cond_init(&new->jobs_came, NULL);
	new->jobs_end = &new->jobs;
	err = new->path ? open_all(new) : kc_error_no_memory();
	if (err)
		kc_db_close(new);
	else
		*db = new;
	return err;
}

void kc_db_close(struct kc_db *db)
{
	kc_db_writer_stop(db);
	for (size_t i = 0; i < KC_ARRAY_SIZE(db->readers); i++)
		kc_db_conn_close(&db->readers[i]);
	/* the last one: copies the WAL into the database, and removes it */
	kc_db_conn_close(&db->writer);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	pthread_cond_destroy(&db->jobs_came);
	pthread_mutex_destroy(&db->jobs_lock);
	pthread_cond_destroy(&db->reader_is_back);
	pthread_mutex_destroy(&db->readers_lock);
	free(db->path);
	free(db);
}

/* ---- reading ---- */

static struct kc_db_conn *find_reader(struct kc_db *db)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(db->readers); i++)
		if (!db->readers[i].is_lent)
			return &db->readers[i];
	return NULL;
}

static struct kc_db_conn *borrow(struct kc_db *db)
{
	struct kc_db_conn *conn;

	pthread_mutex_lock(&db->readers_lock);
	while (db->readers_must_wait || !(conn = find_reader(db)))
		pthread_cond_wait(&db->reader_is_back, &db->readers_lock);
	conn->is_lent = true;
	pthread_mutex_unlock(&db->readers_lock);
	return conn;
}

static void give_back(struct kc_db *db, struct kc_db_conn *conn)
{
	pthread_mutex_lock(&db->readers_lock);
	conn->is_lent = false;
	pthread_cond_broadcast(&db->reader_is_back);
	pthread_mutex_unlock(&db->readers_lock);
}

static bool are_back(const struct kc_db *db)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(db->readers); i++)
		if (db->readers[i].is_lent)
			return false;
	return true;
}

bool kc_db_readers_stop(struct kc_db *db, int patience_s)
{
	struct timespec until;
	bool all_back;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += patience_s;
	pthread_mutex_lock(&db->readers_lock);
	db->readers_must_wait = true;
	while (!(all_back = are_back(db)) && !err)
		err = pthread_cond_clockwait(&db->reader_is_back, &db->readers_lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&db->readers_lock);
	return all_back;
}

void kc_db_readers_go_on(struct kc_db *db)
{
	pthread_mutex_lock(&db->readers_lock);
	db->readers_must_wait = false;
	pthread_cond_broadcast(&db->reader_is_back);
	pthread_mutex_unlock(&db->readers_lock);
}

struct kc_error *kc_db_read(struct kc_db *db, kc_db_fn *read, void *data)
{
	struct kc_db_conn *conn = borrow(db);
	struct kc_error *err = kc_db_exec(conn, "BEGIN", "");

	if (!err)
		err = read(conn, data);
	/* nothing was written; this ends what the reader sees as one moment */
	kc_db_conn_rollback(conn);
	give_back(db, conn);
	return err;
}
