/* SPDX-License-Identifier: GPL-2.0-or-later */
/* API keys: they act for their user. Only their hashes are kept; who makes one sees it once. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/random.h"
#include "portal/api/answer.h"
#include "portal/api/work.h"
#include "portal/db/users.h"
#include "sign/hash.h"

enum {
	ID_LENGTH = 8,
	SECRET_LENGTH = 40,
	DAYS_MAX = 3650,
};

static json_t *api_key_json(const struct kc_api_key *key)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "id", key->id, "user", key->user, "note", kc_api_text(key->note),
			 "created", kc_api_time(key->created), "expires", kc_api_time(key->expires));
}

static struct kc_error *read_api_keys(struct kc_db_conn *conn, void *data)
{
	struct kc_api_key *keys = NULL;
	size_t n_keys = 0;
	int failed = 0;

	KC_TRY(kc_api_keys_list(conn, &keys, &n_keys));
	for (size_t i = 0; i < n_keys; i++)
		failed |= json_array_append_new(data, api_key_json(&keys[i]));
	kc_api_keys_free(keys, n_keys);
	return failed ? kc_error_no_memory() : NULL;
}

void kc_api_api_keys_get(void *data, struct kc_http_request *request)
{
	struct kc_portal *portal = data;
	json_t *result = json_array();
	struct kc_error *err = kc_db_read(portal->db, read_api_keys, result);

	kc_api_reply_result(request, err, json_pack("{s:o}", "result", result));
}

/* ---- add ---- */

struct api_key_work {
	const char *user, *note;
	int64_t days;
	char id[ID_LENGTH + 1], secret[SECRET_LENGTH + 1];
};

static void clear(void *data)
{
	explicit_bzero(data, sizeof(struct api_key_work));
}

static struct kc_error *prepare_add(struct kc_work *work)
{
	struct api_key_work *own = work->data;

	KC_TRY(kc_args_need_text(&work->args, "user", KC_ARGS_TEXT_MAX, &own->user));
	KC_TRY(kc_args_text(&work->args, "note", KC_ARGS_TEXT_MAX, &own->note));
	KC_TRY(kc_args_number(&work->args, "days", 1, DAYS_MAX, &own->days));
	if (kc_random_name(own->id, ID_LENGTH) || kc_random_name(own->secret, SECRET_LENGTH))
		return kc_error_new(KC_ERR_SYSTEM, "there is no randomness for a key");
	KC_TRY(kc_work_set(&work->object, "%s", own->id));
	return kc_work_set(&work->detail, "user=%s days=%lld", own->user, (long long)own->days);
}

static struct kc_error *write_add(struct kc_db_conn *conn, struct kc_work *work)
{
	struct api_key_work *own = work->data;
	KC_CLEANUP_USER struct kc_user user = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];
	const struct kc_api_key key = {
		.id = own->id,
		.user = (char *)own->user,
		.note = (char *)(own->note ? own->note : ""),
		.created = work->now,
		.expires = own->days ? work->now + own->days * 86400 : 0,
	};

	KC_TRY(kc_users_get(conn, own->user, &user));
	kc_sha256_text(own->secret, SECRET_LENGTH, hash);
	KC_TRY(kc_api_keys_add(conn, &key, hash));
	work->answer = json_pack("{s:o, s:s}", "result", api_key_json(&key), "api_key", own->secret);
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_api_key_add(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "api-key add",
		.data_size = sizeof(struct api_key_work),
		.clear = clear,
		.prepare = prepare_add,
		.write = write_add,
	};

	kc_work_run(data, request, &kind);
}

/* ---- remove ---- */

static struct kc_error *write_delete(struct kc_db_conn *conn, struct kc_work *work)
{
	return kc_work_removed(work, kc_api_keys_remove(conn, work->object));
}

void kc_api_api_key_delete(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "api-key remove",
		.prepare = kc_work_name_object,
		.write = write_delete,
	};

	kc_work_run(data, request, &kind);
}
