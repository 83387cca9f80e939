/* SPDX-License-Identifier: GPL-2.0-or-later */
/* People and programs that use the portal. */
#include "portal/api/handlers.h"

#include <string.h>

#include "portal/api/answer.h"
#include "portal/api/work.h"
#include "portal/db/users.h"
#include "sign/password.h"

static json_t *user_json(const struct kc_user *user)
{
	return json_pack("{s:s, s:o, s:b, s:b, s:o}", "username", user->name, "description", kc_api_text(user->note),
			 "readonly", !user->is_admin, "has_password", *user->password != '\0', "created",
			 kc_api_time(user->created));
}

static struct kc_error *read_users(struct kc_db_conn *conn, void *data)
{
	struct kc_user *users = NULL;
	size_t n_users = 0;
	int failed = 0;

	KC_TRY(kc_users_list(conn, &users, &n_users));
	for (size_t i = 0; i < n_users; i++)
		failed |= json_array_append_new(data, user_json(&users[i]));
	kc_users_free(users, n_users);
	return failed ? kc_error_no_memory() : NULL;
}

void kc_api_users_get(void *data, struct kc_http_request *request)
{
	struct kc_portal *portal = data;
	json_t *result = json_array();
	struct kc_error *err = kc_db_read(portal->db, read_users, result);

	kc_api_reply_result(request, err, json_pack("{s:o}", "result", result));
}

/* ---- add, change ---- */

struct user_work {
	const char *name, *note; /* note NULL: not named */
	bool has_role, is_admin, has_password;
	char password[KC_PASSWORD_TEXT_SIZE]; /* as it is kept; "": as it was */
};

static void clear(void *data)
{
	struct user_work *own = data;

	explicit_bzero(own->password, sizeof(own->password));
}

static bool name_is_valid(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-");

	/* it would look like the caller through the socket, or like the portal itself, in the audit log */
	if (!strcmp(name, "local") || !strcmp(name, "eportald"))
		return false;
	return length > 0 && length <= 64 && !name[length];
}

struct look {
	const char *name;
	struct kc_user user;
};

static struct kc_error *read_user(struct kc_db_conn *conn, void *data)
{
	struct look *look = data;
	struct kc_error *err = kc_users_get(conn, look->name, &look->user);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		err = NULL;
	}
	return err;
}

/* The same password again is no change: hashes tell only to those who ask with the password. */
static struct kc_error *read_password(struct kc_work *work)
{
	struct user_work *own = work->data;
	struct look look = { .name = own->name };
	struct kc_error *err;
	const char *password;

	KC_TRY(kc_args_text(&work->args, "password", KC_PASSWORD_MAX, &password));
	if (!password)
		return NULL;
	if (strlen(password) < work->portal->config.password_min)
		return kc_error_new(KC_ERR_INPUT, "a password has at least %u characters here",
				    work->portal->config.password_min);
	err = kc_db_read(work->portal->db, read_user, &look);
	if (!err && look.user.password && *look.user.password) {
		err = kc_password_check(password, look.user.password);
		own->has_password = err;
		kc_error_free(err);
		err = NULL;
	} else {
		own->has_password = true;
	}
	kc_user_clear(&look.user);
	if (err || !own->has_password)
		return err;
	return kc_password_hash(password, own->password);
}

static struct kc_error *prepare_put(struct kc_work *work)
{
	struct user_work *own = work->data;
	const char *role;

	KC_TRY(kc_args_need_text(&work->args, "username", KC_ARGS_TEXT_MAX, &own->name));
	if (!name_is_valid(own->name))
		return kc_error_new(KC_ERR_INPUT,
				    "username has 1 to 64 letters, digits and . _ @ -, and is neither local "
				    "nor eportald");
	KC_TRY(kc_args_text(&work->args, "description", KC_ARGS_TEXT_MAX, &own->note));
	KC_TRY(kc_args_text(&work->args, "role", KC_ARGS_TEXT_MAX, &role));
	own->has_role = role;
	own->is_admin = role && !strcmp(role, "admin");
	if (role && !own->is_admin && strcmp(role, "readonly"))
		return kc_error_new(KC_ERR_INPUT, "role is admin or readonly, not %s", role);
	work->has_changed = true;
	KC_TRY(kc_work_set(&work->object, "%s", own->name));
	return read_password(work);
}

static struct kc_error *add_user(struct kc_db_conn *conn, struct kc_work *work)
{
	struct user_work *own = work->data;
	const struct kc_user user = {
		.name = (char *)own->name,
		.note = (char *)(own->note ? own->note : ""),
		.password = own->password,
		.is_admin = own->is_admin,
		.created = work->now,
	};

	work->action = "user add";
	work->n_changed = 1;
	return kc_users_add(conn, &user);
}

static struct kc_error *change_user(struct kc_db_conn *conn, struct kc_work *work, const struct kc_user *before)
{
	struct user_work *own = work->data;
	const struct kc_user user = {
		.name = before->name,
		.note = (char *)own->note,
		.password = own->has_password ? own->password : NULL,
		.is_admin = own->has_role ? own->is_admin : before->is_admin,
	};

	work->n_changed = (size_t)(own->note && strcmp(own->note, before->note)) + own->has_password +
			  (user.is_admin != before->is_admin);
	return work->n_changed ? kc_users_change(conn, &user) : NULL;
}

static struct kc_error *write_put(struct kc_db_conn *conn, struct kc_work *work)
{
	const struct user_work *own = work->data;
	KC_CLEANUP_USER struct kc_user before = { 0 }, now = { 0 };
	struct kc_error *err = kc_users_get(conn, own->name, &before);

	if (!err) {
		err = change_user(conn, work, &before);
	} else if (kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		err = add_user(conn, work);
	}
	if (err)
		return err;
	KC_TRY(kc_users_get(conn, own->name, &now));
	KC_TRY(kc_work_set(&work->detail, "role=%s%s", now.is_admin ? "admin" : "readonly",
			   own->has_password ? " password" : ""));
	work->answer = json_pack("{s:o}", "result", user_json(&now));
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_user_put(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "user change",
		.data_size = sizeof(struct user_work),
		.clear = clear,
		.prepare = prepare_put,
		.write = write_put,
	};

	kc_work_run(data, request, &kind);
}

/* ---- remove ---- */

static struct kc_error *write_delete(struct kc_db_conn *conn, struct kc_work *work)
{
	return kc_work_removed(work, kc_users_remove(conn, work->object));
}

void kc_api_user_delete(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "user remove",
		.prepare = kc_work_name_object,
		.write = write_delete,
	};

	kc_work_run(data, request, &kind);
}
