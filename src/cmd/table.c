/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "proto/proto.h"

enum { CELL_MAX = 200 }; /* bytes that are shown */

void kc_table_begin(struct kc_table *table, const char *const *names)
{
	*table = (struct kc_table){ .names = names };
	while (names[table->n_columns])
		table->n_columns++;
}

void kc_table_clear(struct kc_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct kc_table){ 0 };
}

struct kc_error *kc_table_add(struct kc_table *table, const char *text)
{
	char **cell = kc_array_add(&table->cells, &table->n_cells);

	if (!cell)
		return kc_error_no_memory();
	*cell = kc_plain_text(text && *text ? text : "-", CELL_MAX);
	return *cell ? NULL : kc_error_no_memory();
}

/* Characters, not bytes; a wide one is counted as one, which a list can live with. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct kc_table *table, const char *const *cells, const int *widths)
{
	for (size_t i = 0; i < table->n_columns; i++) {
		bool is_last = i + 1 == table->n_columns;

		printf("%s%*s", cells[i], is_last ? 0 : widths[i] - width(cells[i]) + 2, "");
	}
	putchar('\n');
}

void kc_table_print(const struct kc_table *table)
{
	int widths[KC_TABLE_COLUMNS_MAX] = { 0 };

	if (!table->n_cells)
		return;
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = width(table->names[i]);
	for (size_t i = 0; i < table->n_cells; i++)
		if (width(table->cells[i]) > widths[i % table->n_columns])
			widths[i % table->n_columns] = width(table->cells[i]);
	print_row(table, table->names, widths);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, (const char *const *)&table->cells[i], widths);
}
