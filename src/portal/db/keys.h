/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Activation keys: with one, a number of servers may register. Functions are for kc_db_read() and kc_db_write(). */
#ifndef KC_PORTAL_DB_KEYS_H
#define KC_PORTAL_DB_KEYS_H

#include "portal/db/db.h"

enum {
	KC_ACTIVATION_KEY_SIZE = 17, /* new ones: 16 of A-Z a-z 0-9, with '\0'; given ones: 1 to 64 of them, and _ - */
	KC_PRODUCT_KERNEL = 1,
	KC_PRODUCT_LIBS = 2,
	KC_PRODUCT_QEMU = 4,
};

/* Texts are never NULL when read; NULL counts as "" when written. */
struct kc_activation_key {
	char *key;
	char *note;
	char *feed;	       /* "main" */
	char *sticky;	       /* "2026-11-20", "yesterday", "" */
	char *addresses;       /* networks, as in KEY=…; "": all */
	uint32_t server_limit; /* 0: none */
	unsigned products;     /* KC_PRODUCT_… */
	int64_t created, ends; /* Unix seconds; ends 0: never */
	bool is_locked;
	uint32_t n_servers; /* when read: those that have checked in within the days that count */
};

struct kc_error *kc_keys_add(struct kc_db_conn *conn, const struct kc_activation_key *key); /* KC_ERR_EXISTS */
/* Everything but `key`, `created` and `n_servers`. KC_ERR_INVALID_KEY: no such key. */
struct kc_error *kc_keys_change(struct kc_db_conn *conn, const struct kc_activation_key *key);
/* With its servers. KC_ERR_INVALID_KEY. */
struct kc_error *kc_keys_remove(struct kc_db_conn *conn, const char *key);
/*
 * `active_since`: servers silent since before do not count; KC_KEYS_UNCOUNTED: n_servers is 0, and it is cheaper.
 * KC_ERR_INVALID_KEY. The caller clears `key` either way.
 */
#define KC_KEYS_UNCOUNTED INT64_C(-1)
struct kc_error *kc_keys_get(struct kc_db_conn *conn, const char *name, int64_t active_since,
			     struct kc_activation_key *key);
/* All, by creation. `*keys` is for kc_keys_free(). */
struct kc_error *kc_keys_list(struct kc_db_conn *conn, int64_t active_since, struct kc_activation_key **keys,
			      size_t *n_keys);
/* Keys of a feed that is removed follow another one. */
struct kc_error *kc_keys_move_feed(struct kc_db_conn *conn, const char *from, const char *to);
/* Silent servers that come back are heard, also when others have their places. */
uint32_t kc_key_above_limit(const struct kc_activation_key *key);
void kc_activation_key_clear(struct kc_activation_key *key);
void kc_keys_free(struct kc_activation_key *keys, size_t n_keys);

/* "kernel,libs" and back. KC_ERR_INPUT. */
struct kc_error *kc_products_parse(const char *text, unsigned *products);
void kc_products_text(unsigned products, char text[32]);

#define KC_CLEANUP_ACTIVATION_KEY KC_CLEANUP(kc_activation_key_clear)

#endif
