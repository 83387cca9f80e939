/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Activation keys. */
#include "portal/api/handlers.h"

#include <string.h>
#include <time.h>

#include "base/random.h"
#include "portal/api/answer.h"
#include "portal/api/lookup.h"
#include "portal/api/server_view.h"
#include "portal/api/work.h"
#include "portal/db/keys.h"
#include "portal/http/address.h"
#include "repo/metadata.h"

enum { ADDRESSES_MAX = 1000, PRODUCTS_MAX = 100 };

/* ---- as JSON ---- */

static json_t *products_json(unsigned products)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { KC_PRODUCT_KERNEL, "kernel" }, { KC_PRODUCT_LIBS, "libs" }, { KC_PRODUCT_QEMU, "qemu" } };
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (products & names[i].bit)
			json_array_append_new(array, json_string(names[i].name));
	return array;
}

static json_t *key_json(const struct kc_activation_key *key)
{
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:b, s:o}", "key", key->key, "feed",
			 key->feed, "note", kc_api_text(key->note), "server_limit", (json_int_t)key->server_limit,
			 "servers", (json_int_t)key->n_servers, "above_limit", (json_int_t)kc_key_above_limit(key),
			 "products", products_json(key->products), "sticky", kc_api_text(key->sticky), "ends",
			 kc_api_time(key->ends), "addresses", kc_api_text(key->addresses), "locked", key->is_locked,
			 "created", kc_api_time(key->created));
}

/* ---- list ---- */

struct listing {
	struct kc_portal *portal;
	json_t *result;
};

static struct kc_error *read_keys(struct kc_db_conn *conn, void *data)
{
	struct listing *listing = data;
	struct kc_activation_key *keys = NULL;
	size_t n_keys = 0;
	int failed = 0;

	KC_TRY(kc_keys_list(conn, kc_api_active_since(listing->portal, time(NULL)), &keys, &n_keys));
	for (size_t i = 0; i < n_keys; i++)
		failed |= json_array_append_new(listing->result, key_json(&keys[i]));
	kc_keys_free(keys, n_keys);
	return failed ? kc_error_no_memory() : NULL;
}

static void answer_keys(struct kc_portal *portal, struct kc_http_request *request)
{
	struct listing listing = { .portal = portal, .result = json_array() };
	struct kc_error *err = kc_db_read(listing.portal->db, read_keys, &listing);

	kc_api_reply_result(request, err, json_pack("{s:o}", "result", listing.result));
}

void kc_api_keys_get(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_keys);
}

/* ---- add, change ---- */

struct key_work {
	struct kc_activation_key key; /* what is asked for; texts that are NULL were not named */
	int64_t server_limit;	      /* -1: not named */
	bool has_products, has_ends, has_locked;
};

/* Its texts belong to the arguments, but for a key that was made up. */
static bool name_is_valid(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

	return length > 0 && length <= 64 && !name[length];
}

/* The last second of that day, UTC. */
static struct kc_error *parse_day(const char *name, const char *text, int64_t *end)
{
	char moment[32];

	snprintf(moment, sizeof(moment), "%.20sT23:59:59Z", text);
	if (strlen(text) != 10 || !kc_repo_time_parse(moment, end))
		return kc_error_new(KC_ERR_INPUT, "%s is a day, as in 2026-11-30, not %s", name, text);
	return NULL;
}

static struct kc_error *read_products(struct kc_work *work, struct key_work *own)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;
	json_t *names, *item;
	size_t i;

	KC_TRY(kc_args_texts(&work->args, "products", PRODUCTS_MAX, &names));
	own->has_products = names;
	/* a form has them as one text: "kernel,libs" */
	json_array_foreach(names, i, item) kc_buf_printf(&text, "%s%s", i ? "," : "", json_string_value(item));
	if (text.failed)
		return kc_error_no_memory();
	err = names ? kc_products_parse(text.data ? text.data : "", &own->key.products) : NULL;
	return err ? kc_error_prefix(err, "products") : NULL;
}

static struct kc_error *read_ends(struct kc_work *work, struct key_work *own)
{
	const char *text;

	KC_TRY(kc_args_text(&work->args, "ends", KC_ARGS_TEXT_MAX, &text));
	own->has_ends = text;
	return text && *text ? parse_day("ends", text, &own->key.ends) : NULL;
}

static struct kc_error *read_texts(struct kc_work *work, struct key_work *own)
{
	struct kc_activation_key *key = &own->key;
	int64_t day = 0;

	KC_TRY(kc_args_text(&work->args, "note", KC_ARGS_TEXT_MAX, (const char **)&key->note));
	KC_TRY(kc_args_text(&work->args, "feed", KC_ARGS_TEXT_MAX, (const char **)&key->feed));
	KC_TRY(kc_args_text(&work->args, "sticky", KC_ARGS_TEXT_MAX, (const char **)&key->sticky));
	KC_TRY(kc_args_text(&work->args, "addresses", ADDRESSES_MAX, (const char **)&key->addresses));
	if (key->feed)
		KC_TRY(kc_api_need_feed(work->portal, key->feed));
	if (key->sticky && *key->sticky && strcmp(key->sticky, "yesterday")) {
		KC_TRY(parse_day("sticky", key->sticky, &day));
		/* hosts refuse it, each at another moment */
		if (day >= work->now)
			return kc_error_new(KC_ERR_INPUT, "sticky is a day that is over (UTC), not %s", key->sticky);
	}
	return key->addresses ? kc_networks_check(key->addresses) : NULL;
}

static struct kc_error *prepare_put(struct kc_work *work)
{
	struct key_work *own = work->data;
	const char *name;

	own->server_limit = -1;
	KC_TRY(kc_args_text(&work->args, "key", KC_ARGS_TEXT_MAX, &name));
	if (name && *name && !name_is_valid(name))
		return kc_error_new(KC_ERR_INPUT, "a key has 1 to 64 letters, digits, _ and -");
	KC_TRY(read_texts(work, own));
	KC_TRY(kc_args_number(&work->args, "server_limit", 0, INT32_MAX, &own->server_limit));
	KC_TRY(read_products(work, own));
	KC_TRY(read_ends(work, own));
	own->has_locked = kc_args_has(&work->args, "locked");
	KC_TRY(kc_args_flag(&work->args, "locked", &own->key.is_locked));
	work->has_changed = true;
	own->key.key = calloc(1, KC_ARGS_TEXT_MAX + 1);
	if (!own->key.key)
		return kc_error_no_memory();
	if (name && *name)
		snprintf(own->key.key, KC_ARGS_TEXT_MAX + 1, "%s", name);
	else if (kc_random_name(own->key.key, KC_ACTIVATION_KEY_SIZE - 1))
		return kc_error_new(KC_ERR_SYSTEM, "there is no randomness for a key");
	return kc_work_set(&work->object, "%s", own->key.key);
}

static void clear_put(void *data)
{
	free(((struct key_work *)data)->key.key);
}

static bool replace_text(char **text, const char *other)
{
	if (!other || !strcmp(*text, other))
		return false;
	free(*text);
	*text = strdup(other);
	return true;
}

/* What was asked for, over what the key was; counts what differs. */
static struct kc_error *merge(const struct key_work *own, struct kc_activation_key *key, size_t *n)
{
	*n = replace_text(&key->note, own->key.note);
	*n += replace_text(&key->feed, own->key.feed);
	*n += replace_text(&key->sticky, own->key.sticky);
	*n += replace_text(&key->addresses, own->key.addresses);
	*n += own->server_limit >= 0 && key->server_limit != own->server_limit;
	*n += own->has_products && key->products != own->key.products;
	*n += own->has_ends && key->ends != own->key.ends;
	*n += own->has_locked && key->is_locked != own->key.is_locked;
	if (own->server_limit >= 0)
		key->server_limit = (uint32_t)own->server_limit;
	if (own->has_products)
		key->products = own->key.products;
	if (own->has_ends)
		key->ends = own->key.ends;
	if (own->has_locked)
		key->is_locked = own->key.is_locked;
	return key->note && key->feed && key->sticky && key->addresses ? NULL : kc_error_no_memory();
}

static struct kc_error *add_key(struct kc_db_conn *conn, struct kc_work *work)
{
	const struct key_work *own = work->data;
	struct kc_activation_key key = own->key;
	char main_feed[] = "main";

	work->action = "key add";
	work->n_changed = 1;
	key.created = work->now;
	key.feed = key.feed ? key.feed : main_feed;
	key.server_limit = own->server_limit > 0 ? (uint32_t)own->server_limit : 0;
	if (!own->has_products)
		key.products = KC_PRODUCT_KERNEL | KC_PRODUCT_LIBS | KC_PRODUCT_QEMU;
	return kc_keys_add(conn, &key);
}

static struct kc_error *change_key(struct kc_db_conn *conn, struct kc_work *work, struct kc_activation_key *key)
{
	work->action = "key change";
	KC_TRY(merge(work->data, key, &work->n_changed));
	return work->n_changed ? kc_keys_change(conn, key) : NULL;
}

/* For the audit log: all that it has now, but for what is as usual. */
static struct kc_error *describe(const struct kc_activation_key *key, char **text)
{
	kc_autojson json_t *products = products_json(key->products);
	kc_autobuf struct kc_buf buf = { 0 };
	char ends[21];
	json_t *product;
	size_t i;

	kc_buf_printf(&buf, "feed=%s limit=%u", key->feed, key->server_limit);
	if (*key->sticky)
		kc_buf_printf(&buf, " sticky=%s", key->sticky);
	if (key->ends) {
		kc_repo_time_text(key->ends, ends);
		kc_buf_printf(&buf, " ends=%.10s", ends);
	}
	if (*key->addresses)
		kc_buf_printf(&buf, " addresses=%s", key->addresses);
	json_array_foreach(products, i, product)
		kc_buf_printf(&buf, "%s%s", i ? "," : " products=", json_string_value(product));
	if (key->is_locked)
		kc_buf_append_str(&buf, " locked");
	return buf.failed ? kc_error_no_memory() : kc_work_set(text, "%s", buf.data);
}

static struct kc_error *write_put(struct kc_db_conn *conn, struct kc_work *work)
{
	const struct key_work *own = work->data;
	KC_CLEANUP_ACTIVATION_KEY struct kc_activation_key before = { 0 }, now = { 0 };
	int64_t since = kc_api_active_since(work->portal, work->now);
	struct kc_error *err = kc_keys_get(conn, own->key.key, since, &before);

	if (!err) {
		err = change_key(conn, work, &before);
	} else if (kc_error_code(err) == KC_ERR_INVALID_KEY) {
		kc_error_free(err);
		err = add_key(conn, work);
	}
	if (err)
		return err;
	KC_TRY(kc_keys_get(conn, own->key.key, since, &now));
	KC_TRY(describe(&now, &work->detail));
	work->answer = json_pack("{s:o}", "result", key_json(&now));
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_key_put(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "key change",
		.data_size = sizeof(struct key_work),
		.clear = clear_put,
		.prepare = prepare_put,
		.write = write_put,
	};

	kc_work_run(data, request, &kind);
}

/* ---- remove ---- */

static struct kc_error *write_delete(struct kc_db_conn *conn, struct kc_work *work)
{
	return kc_work_removed(work, kc_keys_remove(conn, work->object));
}

void kc_api_key_delete(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "key remove",
		.prepare = kc_work_name_object,
		.write = write_delete,
	};

	kc_work_run(data, request, &kind);
}
