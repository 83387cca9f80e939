/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/keys.h"

#include <string.h>

#include "portal/db/server_row.h"

#define KEY "name, note, feed, sticky, addresses, server_limit, products, created, ends, is_locked"

/* ---- writing ---- */

struct kc_error *kc_keys_add(struct kc_db_conn *conn, const struct kc_activation_key *key)
{
	KC_TRY(kc_db_exec(conn,
			  "INSERT INTO activation_keys (" KEY ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
			  "ON CONFLICT DO NOTHING",
			  "sssssuuiiu", key->key, key->note, key->feed, key->sticky, key->addresses, key->server_limit,
			  key->products, key->created, key->ends, key->is_locked));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_EXISTS, "the key %s exists already", key->key);
	return NULL;
}

static struct kc_error *no_such_key(const char *name)
{
	return kc_error_new(KC_ERR_INVALID_KEY, "there is no key %s", name);
}

struct kc_error *kc_keys_change(struct kc_db_conn *conn, const struct kc_activation_key *key)
{
	KC_TRY(kc_db_exec(conn,
			  "UPDATE activation_keys SET note = ?, feed = ?, sticky = ?, addresses = ?, server_limit = ?, "
			  "products = ?, ends = ?, is_locked = ? WHERE name = ?",
			  "ssssuuius", key->note, key->feed, key->sticky, key->addresses, key->server_limit,
			  key->products, key->ends, key->is_locked, key->key));
	return kc_db_changed(conn) ? NULL : no_such_key(key->key);
}

struct kc_error *kc_keys_remove(struct kc_db_conn *conn, const char *key)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM activation_keys WHERE name = ?", "s", key));
	if (!kc_db_changed(conn))
		return no_such_key(key);
	KC_TRY(kc_db_exec(conn, "DELETE FROM checkins WHERE server_id IN (SELECT id FROM servers WHERE key_name = ?)",
			  "s", key));
	return kc_db_exec(conn, "DELETE FROM servers WHERE key_name = ?", "s", key);
}

struct kc_error *kc_keys_move_feed(struct kc_db_conn *conn, const char *from, const char *to)
{
	return kc_db_exec(conn, "UPDATE activation_keys SET feed = ? WHERE feed = ?", "ss", to, from);
}

/* ---- reading ---- */

static struct kc_error *read_key(const struct kc_db_rows *rows, void *data)
{
	struct kc_activation_key *key = data;

	key->server_limit = (uint32_t)kc_db_int(rows, 5);
	key->products = (unsigned)kc_db_int(rows, 6);
	key->created = kc_db_int(rows, 7);
	key->ends = kc_db_int(rows, 8);
	key->is_locked = kc_db_int(rows, 9);
	key->n_servers = (uint32_t)kc_db_int(rows, 10);
	return KC_DB_TEXTS_COPY(rows, 0, &key->key, &key->note, &key->feed, &key->sticky, &key->addresses);
}

/*
 * All servers of the key but the silent ones: both are found by an index alone, where "those that are not silent" would
 * look at each of the key.
 */
#define N_SERVERS                                                                 \
	"(SELECT COUNT(*) FROM servers WHERE key_name = activation_keys.name) - " \
	"(SELECT COUNT(*) FROM servers WHERE key_name = activation_keys.name AND " KC_SERVER_SILENT ")"

struct kc_error *kc_keys_get(struct kc_db_conn *conn, const char *name, int64_t active_since,
			     struct kc_activation_key *key)
{
	struct kc_db_rows *rows;

	*key = (struct kc_activation_key){ 0 };
	if (active_since == KC_KEYS_UNCOUNTED)
		KC_TRY(kc_db_query(conn, &rows, "SELECT " KEY ", 0 FROM activation_keys WHERE name = ?", "s", name));
	else
		KC_TRY(kc_db_query(conn, &rows, "SELECT " KEY ", " N_SERVERS " FROM activation_keys WHERE name = ?",
				   "iis", active_since, active_since, name));
	return kc_db_rows_one(rows, read_key, key, no_such_key(name));
}

struct key_list {
	struct kc_activation_key **keys;
	size_t *n_keys;
};

static struct kc_error *add_key(const struct kc_db_rows *rows, void *data)
{
	struct key_list *list = data;
	struct kc_activation_key *key = kc_array_add(list->keys, list->n_keys);

	return key ? read_key(rows, key) : kc_error_no_memory();
}

struct kc_error *kc_keys_list(struct kc_db_conn *conn, int64_t active_since, struct kc_activation_key **keys,
			      size_t *n_keys)
{
	struct key_list list = { keys, n_keys };
	struct kc_error *err;
	struct kc_db_rows *rows;

	*keys = NULL;
	*n_keys = 0;
	KC_TRY(kc_db_query(conn, &rows, "SELECT " KEY ", " N_SERVERS " FROM activation_keys ORDER BY created, name",
			   "ii", active_since, active_since));
	err = kc_db_rows_each(rows, add_key, &list);
	if (err)
		kc_keys_free(kc_steal(*keys), *n_keys);
	return err;
}

uint32_t kc_key_above_limit(const struct kc_activation_key *key)
{
	return key->server_limit && key->n_servers > key->server_limit ? key->n_servers - key->server_limit : 0;
}

void kc_activation_key_clear(struct kc_activation_key *key)
{
	free(key->key);
	free(key->note);
	free(key->feed);
	free(key->sticky);
	free(key->addresses);
	*key = (struct kc_activation_key){ 0 };
}

void kc_keys_free(struct kc_activation_key *keys, size_t n_keys)
{
	for (size_t i = 0; i < n_keys; i++)
		kc_activation_key_clear(&keys[i]);
	free(keys);
}

/* ---- products ---- */

static const struct {
	const char *name;
	unsigned product;
} products_known[] = {
	{ "kernel", KC_PRODUCT_KERNEL },
	{ "libs", KC_PRODUCT_LIBS },
	{ "qemu", KC_PRODUCT_QEMU },
};

static unsigned find_product(const char *name, size_t length)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(products_known); i++)
		if (strlen(products_known[i].name) == length && !strncmp(products_known[i].name, name, length))
			return products_known[i].product;
	return 0;
}

struct kc_error *kc_products_parse(const char *text, unsigned *products)
{
	*products = 0;
	for (const char *p = text;; p++) {
		size_t length = strcspn(p, ",");
		unsigned product = find_product(p, length);

		if (!product)
			return kc_error_new(KC_ERR_INPUT,
					    "'%.*s' is no product: kernel, libs, qemu, with commas between",
					    (int)length, p);
		*products |= product;
		p += length;
		if (!*p)
			return NULL;
	}
}

void kc_products_text(unsigned products, char text[32])
{
	size_t size = 0;

	text[0] = '\0';
	for (size_t i = 0; i < KC_ARRAY_SIZE(products_known); i++)
		if (products & products_known[i].product)
			size += (size_t)snprintf(text + size, 32 - size, "%s%s", size ? "," : "",
						 products_known[i].name);
}
