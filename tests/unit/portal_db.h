/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A portal's database in a folder of its own, as cmocka's state; its lines are those of the audit log. */
#ifndef KC_TESTS_PORTAL_DB_H
#define KC_TESTS_PORTAL_DB_H

#include "portal/db/db_internal.h"

struct portal_db {
	struct kc_ctx *ctx;
	struct kc_buf log; /* errors, one per line; of the writer's thread */
	struct kc_db *db;
	char dir[64], path[96]; /* path: of the database */
};

int portal_db_set_up(void **state);
int portal_db_set_up_closed(void **state); /* nothing is made yet */
int portal_db_tear_down(void **state);
void portal_db_open(struct portal_db *f);
void portal_db_close(struct portal_db *f);
/* DIR/NAME, valid until the test ends (a few at once). */
const char *portal_db_file(struct portal_db *f, const char *name);

/* One number of a query. */
int64_t portal_db_number(struct portal_db *f, const char *sql);

/* Adds a line by `data`, a name. For kc_db_write(). */
struct kc_error *portal_db_add_line(struct kc_db_conn *conn, void *data);
/* How many lines are by that name; NULL: in all. */
int64_t portal_db_lines(struct portal_db *f, const char *name);
/* Pauses for so long; in a test that waits for another thread or process. */
void portal_db_pause(unsigned us);

#endif
