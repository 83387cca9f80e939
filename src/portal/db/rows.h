/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows into structs that own their texts. For the files in db/ only. */
#ifndef KC_PORTAL_DB_ROWS_H
#define KC_PORTAL_DB_ROWS_H

#include "base/array.h"
#include "portal/db/db.h"

/* Copies of the columns from `first` on; on failure those that were made are there, for the struct's own clear. */
struct kc_error *kc_db_texts_copy(const struct kc_db_rows *rows, int first, char **const *texts, size_t n_texts);
#define KC_DB_TEXTS_COPY(rows, first, ...)                                        \
	({                                                                        \
		char **const texts_[] = { __VA_ARGS__ };                          \
		kc_db_texts_copy((rows), (first), texts_, KC_ARRAY_SIZE(texts_)); \
	})

/* For LIMIT: -1 is all, which not every database understands by itself. */
int64_t kc_db_limit(int64_t limit);

/* Calls `each` for every row until it fails, and closes the rows; returns what went wrong. */
struct kc_error *kc_db_rows_each(struct kc_db_rows *rows,
				 struct kc_error *(*each)(const struct kc_db_rows *rows, void *data), void *data);
/* The same for the first row alone; `missing` when there is none, else it is freed. */
struct kc_error *kc_db_rows_one(struct kc_db_rows *rows,
				struct kc_error *(*each)(const struct kc_db_rows *rows, void *data), void *data,
				struct kc_error *missing);

/*
 * Removes what is older than `before`, but not more than KC_DB_FORGET rows or so: other writes wait for it. `oldest`
 * selects a time, the oldest of all but for an offset; `remove` removes what is before a time.
 */
enum { KC_DB_FORGET = 5000 };
struct kc_error *kc_db_forget(struct kc_db_conn *conn, int64_t before, bool *is_more, const char *oldest,
			      const char *remove);

#endif
