/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/rows.h"

#include <string.h>

int64_t kc_db_limit(int64_t limit)
{
	return limit < 0 ? INT64_MAX : limit;
}

struct kc_error *kc_db_texts_copy(const struct kc_db_rows *rows, int first, char **const *texts, size_t n_texts)
{
	for (size_t i = 0; i < n_texts; i++) {
		*texts[i] = strdup(kc_db_text(rows, first + (int)i));
		if (!*texts[i])
			return kc_error_no_memory();
	}
	return NULL;
}

/* Of two errors the database's own is the cause. */
static struct kc_error *end(struct kc_db_rows *rows, struct kc_error *err)
{
	struct kc_error *read_err = kc_db_rows_close(rows);

	if (!read_err)
		return err;
	kc_error_free(err);
	return read_err;
}

struct kc_error *kc_db_rows_each(struct kc_db_rows *rows,
				 struct kc_error *(*each)(const struct kc_db_rows *rows, void *data), void *data)
{
	struct kc_error *err = NULL;

	while (!err && kc_db_rows_next(rows))
		err = each(rows, data);
	return end(rows, err);
}

struct kc_error *kc_db_rows_one(struct kc_db_rows *rows,
				struct kc_error *(*each)(const struct kc_db_rows *rows, void *data), void *data,
				struct kc_error *missing)
{
	if (!kc_db_rows_next(rows))
		return end(rows, missing);
	kc_error_free(missing);
	return end(rows, each(rows, data));
}

struct kc_error *kc_db_forget(struct kc_db_conn *conn, int64_t before, bool *is_more, const char *oldest,
			      const char *remove)
{
	struct kc_db_rows *rows;

	*is_more = false;
	KC_TRY(kc_db_query(conn, &rows, oldest, "i", (int64_t)KC_DB_FORGET));
	if (kc_db_rows_next(rows) && kc_db_int(rows, 0) + 1 < before) {
		before = kc_db_int(rows, 0) + 1; /* with all of that second, or there might be no end */
		*is_more = true;
	}
	KC_TRY(kc_db_rows_close(rows));
	return kc_db_exec(conn, remove, "i", before);
}
