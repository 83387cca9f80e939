/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables on a terminal: aligned columns, two blanks between them, no blanks at the end of a line. Cells may come from
 * anybody: what would move the cursor or turn the direction of writing is shown as '?'.
 */
#ifndef KC_CMD_TABLE_H
#define KC_CMD_TABLE_H

#include <stddef.h>

#include "base/error.h"

enum { KC_TABLE_COLUMNS_MAX = 12 };

struct kc_table {
	size_t n_columns;
	const char *const *names; /* of the columns: printed first, when there are rows */
	char **cells;		  /* row by row */
	size_t n_cells;
};

/* `names`: a NULL-terminated array that stays. */
void kc_table_begin(struct kc_table *table, const char *const *names);
/* The next cell, from left to right; NULL and "" are shown as "-". */
struct kc_error *kc_table_add(struct kc_table *table, const char *text);
/* On stdout. */
void kc_table_print(const struct kc_table *table);
void kc_table_clear(struct kc_table *table);

#define KC_CLEANUP_TABLE KC_CLEANUP(kc_table_clear)

#endif
