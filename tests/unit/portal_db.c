/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "portal/db/audit.h"

static void keep_error(void *data, enum kc_log_level level, const char *message)
{
	if (level == KC_LOG_ERROR)
		kc_buf_printf(data, "%s\n", message);
}

int portal_db_set_up_closed(void **state)
{
	struct portal_db *f = calloc(1, sizeof(*f));

	*state = f;
	*f = (struct portal_db){ .ctx = kc_ctx_new(), .dir = "/tmp/kcare-db-XXXXXX" };
	if (!f->ctx || !mkdtemp(f->dir))
		return -1;
	kc_ctx_set_log(f->ctx, KC_LOG_DEBUG, keep_error, &f->log);
	snprintf(f->path, sizeof(f->path), "%s/portal.db", f->dir);
	return 0;
}

int portal_db_set_up(void **state)
{
	int err = portal_db_set_up_closed(state);

	if (!err)
		portal_db_open(*state);
	return err;
}

int portal_db_tear_down(void **state)
{
	struct portal_db *f = *state;
	int err;

	portal_db_close(f);
	err = kc_tree_remove(f->dir);
	kc_buf_free(&f->log);
	kc_ctx_free(f->ctx);
	free(f);
	return err;
}

void portal_db_open(struct portal_db *f)
{
	assert_kc_ok(kc_db_open(f->ctx, f->path, &f->db));
}

void portal_db_close(struct portal_db *f)
{
	if (f->db)
		kc_db_close(kc_steal(f->db));
}

const char *portal_db_file(struct portal_db *f, const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, name);
	return path;
}

struct number_query {
	const char *sql;
	int64_t number;
};

static struct kc_error *read_number(struct kc_db_conn *conn, void *data)
{
	struct number_query *query = data;

	return kc_db_conn_number(conn, query->sql, &query->number);
}

int64_t portal_db_number(struct portal_db *f, const char *sql)
{
	struct number_query query = { .sql = sql };

	assert_kc_ok(kc_db_read(f->db, read_number, &query));
	return query.number;
}

struct kc_error *portal_db_add_line(struct kc_db_conn *conn, void *data)
{
	return kc_audit_add(conn, &(struct kc_audit_line){ .who = data });
}

int64_t portal_db_lines(struct portal_db *f, const char *name)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM audit WHERE who = '%s' OR '' = '%s'", name ? name : "",
		 name ? name : "");
	return portal_db_number(f, sql);
}

void portal_db_pause(unsigned us)
{
	nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }, NULL);
}
