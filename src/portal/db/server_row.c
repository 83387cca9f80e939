/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/server_row.h"

#include <stddef.h>
#include <string.h>

enum kind { CHARS, TEXT, INT64, UINT, BOOL };

struct column {
	enum kind kind;
	size_t offset, size;
};

#define COLUMN(kind, column, member) \
	{ kind, offsetof(struct kc_server, member), sizeof(((struct kc_server *)NULL)->member) },
static const struct column all[] = { COLUMN(CHARS, id, id) KC_SERVER_REST(COLUMN) };
static const struct column rarely[] = { KC_SERVER_RARELY(COLUMN) };
static const struct column often[] = { KC_SERVER_OFTEN(COLUMN) };

_Static_assert(KC_ARRAY_SIZE(all) <= KC_SERVER_COLUMNS_MAX, "room for all columns");
_Static_assert(sizeof(enum kc_checkin_event) == sizeof(uint32_t), "an enum is read as UINT");

/* ---- reading ---- */

static void show_column(const struct kc_db_rows *rows, int index, const struct column *column, char *member)
{
	switch (column->kind) {
	case CHARS:
		snprintf(member, column->size, "%s", kc_db_text(rows, index));
		break;
	case TEXT:
		*(const char **)member = kc_db_text(rows, index);
		break;
	case INT64:
		*(int64_t *)member = kc_db_int(rows, index);
		break;
	case UINT:
		*(uint32_t *)member = (uint32_t)kc_db_int(rows, index);
		break;
	case BOOL:
		*(bool *)member = kc_db_int(rows, index);
		break;
	}
}

void kc_server_row_show(const struct kc_db_rows *rows, struct kc_server *server)
{
	*server = (struct kc_server){ 0 };
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++)
		show_column(rows, (int)i, &all[i], (char *)server + all[i].offset);
	server->feed = (char *)kc_db_text(rows, KC_ARRAY_SIZE(all));
	server->last.hostname = server->hostname;
}

static bool own(char **text)
{
	*text = strdup(*text);
	return *text;
}

struct kc_error *kc_server_row_read(const struct kc_db_rows *rows, void *data)
{
	struct kc_server *server = data, row;
	bool is_complete;

	kc_server_row_show(rows, &row);
	*server = row;
	/* all of them, so that what is left is never the row's */
	is_complete = own(&server->feed) & own(&server->last.hostname);
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++)
		if (all[i].kind == TEXT)
			is_complete &= own((char **)((char *)server + all[i].offset));
	return is_complete ? NULL : kc_error_no_memory();
}

void kc_server_clear(struct kc_server *server)
{
	free(server->feed);
	free(server->last.hostname);
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++)
		if (all[i].kind == TEXT)
			free(*(char **)((char *)server + all[i].offset));
	*server = (struct kc_server){ 0 };
}

/* ---- writing ---- */

static struct kc_db_value value_of(const struct column *column, const char *member)
{
	switch (column->kind) {
	case CHARS:
		return (struct kc_db_value){ .type = 's', .text = member };
	case TEXT:
		return (struct kc_db_value){ .type = 's', .text = *(char *const *)member };
	case INT64:
		return (struct kc_db_value){ .type = 'i', .number = *(const int64_t *)member };
	case UINT:
		return (struct kc_db_value){ .type = 'u', .number = *(const uint32_t *)member };
	case BOOL:
		break;
	}
	return (struct kc_db_value){ .type = 'u', .number = *(const bool *)member };
}

static size_t values_of(const struct kc_server *server, const struct column *columns, size_t n_columns,
			struct kc_db_value *values)
{
	for (size_t i = 0; i < n_columns; i++)
		values[i] = value_of(&columns[i], (const char *)server + columns[i].offset);
	return n_columns;
}

size_t kc_server_values_all(const struct kc_server *server, struct kc_db_value *values)
{
	return values_of(server, all, KC_ARRAY_SIZE(all), values);
}

size_t kc_server_values_rarely(const struct kc_server *server, struct kc_db_value *values)
{
	return values_of(server, rarely, KC_ARRAY_SIZE(rarely), values);
}

size_t kc_server_values_often(const struct kc_server *server, struct kc_db_value *values)
{
	return values_of(server, often, KC_ARRAY_SIZE(often), values);
}
