/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/db/users.h"

#include "portal/db/rows.h"

#define USER "name, note, password, is_admin, created"

/* ---- users ---- */

static struct kc_error *no_such_user(const char *name)
{
	return kc_error_new(KC_ERR_NOT_FOUND, "there is no user %s", name);
}

struct kc_error *kc_users_add(struct kc_db_conn *conn, const struct kc_user *user)
{
	KC_TRY(kc_db_exec(conn, "INSERT INTO users (" USER ") VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", "sssui",
			  user->name, user->note, user->password, user->is_admin, user->created));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_EXISTS, "the user %s exists already", user->name);
	return NULL;
}

struct kc_error *kc_users_change(struct kc_db_conn *conn, const struct kc_user *user)
{
	KC_TRY(kc_db_exec(conn,
			  "UPDATE users SET is_admin = ?, note = CASE WHEN ? = 1 THEN ? ELSE note END, "
			  "password = CASE WHEN ? = 1 THEN ? ELSE password END WHERE name = ?",
			  "uususs", user->is_admin, user->note != NULL, user->note, user->password != NULL,
			  user->password, user->name));
	return kc_db_changed(conn) ? NULL : no_such_user(user->name);
}

struct kc_error *kc_users_remove(struct kc_db_conn *conn, const char *name)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM users WHERE name = ?", "s", name));
	if (!kc_db_changed(conn))
		return no_such_user(name);
	return kc_db_exec(conn, "DELETE FROM api_keys WHERE user_name = ?", "s", name);
}

static struct kc_error *read_user(const struct kc_db_rows *rows, void *data)
{
	struct kc_user *user = data;

	user->is_admin = kc_db_int(rows, 3);
	user->created = kc_db_int(rows, 4);
	return KC_DB_TEXTS_COPY(rows, 0, &user->name, &user->note, &user->password);
}

struct kc_error *kc_users_get(struct kc_db_conn *conn, const char *name, struct kc_user *user)
{
	struct kc_db_rows *rows;

	*user = (struct kc_user){ 0 };
	KC_TRY(kc_db_query(conn, &rows, "SELECT " USER " FROM users WHERE name = ?", "s", name));
	return kc_db_rows_one(rows, read_user, user, no_such_user(name));
}

struct user_list {
	struct kc_user **users;
	size_t *n_users;
};

static struct kc_error *add_user(const struct kc_db_rows *rows, void *data)
{
	struct user_list *list = data;
	struct kc_user *user = kc_array_add(list->users, list->n_users);

	return user ? read_user(rows, user) : kc_error_no_memory();
}

struct kc_error *kc_users_list(struct kc_db_conn *conn, struct kc_user **users, size_t *n_users)
{
	struct user_list list = { users, n_users };
	struct kc_error *err;
	struct kc_db_rows *rows;

	*users = NULL;
	*n_users = 0;
	KC_TRY(kc_db_query(conn, &rows, "SELECT " USER " FROM users ORDER BY created, name", ""));
	err = kc_db_rows_each(rows, add_user, &list);
	if (err)
		kc_users_free(kc_steal(*users), *n_users);
	return err;
}

void kc_user_clear(struct kc_user *user)
{
	free(user->name);
	free(user->note);
	free(user->password);
	*user = (struct kc_user){ 0 };
}

void kc_users_free(struct kc_user *users, size_t n_users)
{
	for (size_t i = 0; i < n_users; i++)
		kc_user_clear(&users[i]);
	free(users);
}

/* ---- API keys ---- */

struct kc_error *kc_api_keys_add(struct kc_db_conn *conn, const struct kc_api_key *key, const char *hash)
{
	KC_CLEANUP_USER struct kc_user user = { 0 };

	KC_TRY(kc_users_get(conn, key->user, &user));
	KC_TRY(kc_db_exec(conn,
			  "INSERT INTO api_keys (id, user_name, note, hash, created, expires) "
			  "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			  "ssssii", key->id, key->user, key->note, hash, key->created, key->expires));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_EXISTS, "the API key %s exists already", key->id);
	return NULL;
}

struct kc_error *kc_api_keys_remove(struct kc_db_conn *conn, const char *id)
{
	KC_TRY(kc_db_exec(conn, "DELETE FROM api_keys WHERE id = ?", "s", id));
	if (!kc_db_changed(conn))
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no API key %s", id);
	return NULL;
}

struct api_key_list {
	struct kc_api_key **keys;
	size_t *n_keys;
};

static struct kc_error *add_api_key(const struct kc_db_rows *rows, void *data)
{
	struct api_key_list *list = data;
	struct kc_api_key *key = kc_array_add(list->keys, list->n_keys);

	if (!key)
		return kc_error_no_memory();
	key->created = kc_db_int(rows, 3);
	key->expires = kc_db_int(rows, 4);
	return KC_DB_TEXTS_COPY(rows, 0, &key->id, &key->user, &key->note);
}

struct kc_error *kc_api_keys_list(struct kc_db_conn *conn, struct kc_api_key **keys, size_t *n_keys)
{
	struct api_key_list list = { keys, n_keys };
	struct kc_error *err;
	struct kc_db_rows *rows;

	*keys = NULL;
	*n_keys = 0;
	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT id, user_name, note, created, expires FROM api_keys ORDER BY created, id", ""));
	err = kc_db_rows_each(rows, add_api_key, &list);
	if (err)
		kc_api_keys_free(kc_steal(*keys), *n_keys);
	return err;
}

struct kc_error *kc_api_keys_user(struct kc_db_conn *conn, const char *hash, int64_t now, struct kc_user *user)
{
	struct kc_db_rows *rows;

	*user = (struct kc_user){ 0 };
	KC_TRY(kc_db_query(conn, &rows,
			   "SELECT " USER " FROM users WHERE name = (SELECT user_name FROM api_keys "
			   "WHERE hash = ? AND (expires = 0 OR expires > ?))",
			   "si", hash, now));
	return kc_db_rows_one(rows, read_user, user,
			      kc_error_new(KC_ERR_UNAUTHORIZED, "the API key is wrong, or its time is over"));
}

void kc_api_keys_free(struct kc_api_key *keys, size_t n_keys)
{
	for (size_t i = 0; i < n_keys; i++) {
		free(keys[i].id);
		free(keys[i].user);
		free(keys[i].note);
	}
	free(keys);
}
