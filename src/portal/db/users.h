/* SPDX-License-Identifier: GPL-2.0-or-later */
/* People and programs that use the portal. Functions are for kc_db_read() and kc_db_write(). */
#ifndef KC_PORTAL_DB_USERS_H
#define KC_PORTAL_DB_USERS_H

#include "portal/db/db.h"

struct kc_user {
	char *name; /* 1 to 64 of A-Z a-z 0-9 . _ @ - */
	char *note;
	char *password; /* sign/password.h; "": none, only API keys */
	bool is_admin;
	int64_t created;
};

struct kc_error *kc_users_add(struct kc_db_conn *conn, const struct kc_user *user); /* KC_ERR_EXISTS */
/* Everything but name and created; a NULL password or note stays. KC_ERR_NOT_FOUND. */
struct kc_error *kc_users_change(struct kc_db_conn *conn, const struct kc_user *user);
/* With its API keys. KC_ERR_NOT_FOUND. */
struct kc_error *kc_users_remove(struct kc_db_conn *conn, const char *name);
/* KC_ERR_NOT_FOUND. The caller clears `user` either way. */
struct kc_error *kc_users_get(struct kc_db_conn *conn, const char *name, struct kc_user *user);
/* By creation, for kc_users_free(). */
struct kc_error *kc_users_list(struct kc_db_conn *conn, struct kc_user **users, size_t *n_users);
void kc_user_clear(struct kc_user *user);
void kc_users_free(struct kc_user *users, size_t n_users);

/* API keys act for their user until they expire. Only their hash is kept. */
struct kc_api_key {
	char *id, *user, *note;
	int64_t created, expires; /* Unix seconds; 0: never */
};
/* KC_ERR_NOT_FOUND: no such user. KC_ERR_EXISTS. `hash`: SHA-256 of the key, hexadecimal. */
struct kc_error *kc_api_keys_add(struct kc_db_conn *conn, const struct kc_api_key *key, const char *hash);
struct kc_error *kc_api_keys_remove(struct kc_db_conn *conn, const char *id); /* KC_ERR_NOT_FOUND */
struct kc_error *kc_api_keys_list(struct kc_db_conn *conn, struct kc_api_key **keys, size_t *n_keys);
/* Whose it is. KC_ERR_UNAUTHORIZED: nobody's, or expired. */
struct kc_error *kc_api_keys_user(struct kc_db_conn *conn, const char *hash, int64_t now, struct kc_user *user);
void kc_api_keys_free(struct kc_api_key *keys, size_t n_keys);

#define KC_CLEANUP_USER KC_CLEANUP(kc_user_clear)

#endif
