/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal key: the keys with which servers register. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "base/array.h"

static const struct kc_eportal_thing keys = { "/admin/api/keys/", "key", "key", ", with its servers" };

struct request {
	enum kc_eportal_verb verb;
	const char *name;
	json_t *body; /* what is to be set */
	bool has_products, has_default_products, as_json;
};

static void clear_request(struct request *request)
{
	json_decref(request->body);
}

/* 0 is "none". */
static struct kc_error *set_limit(struct request *request, const char *text)
{
	unsigned limit;

	KC_TRY(kc_command_parse_count(text, "server limit", &limit));
	return kc_eportal_set(request->body, "server_limit", json_integer(limit));
}

/* As the commands are called, and what each is for. */
static const char *product_name(const char *text)
{
	static const char *const others[][2] = { { "kcare", "kernel" }, { "libcare", "libs" }, { "user", "libs" } };

	for (size_t i = 0; i < KC_ARRAY_SIZE(others); i++)
		if (!strcmp(text, others[i][0]))
			return others[i][1];
	return text;
}

/* One or several: each --product adds one. */
static struct kc_error *add_product(struct request *request, const char *text)
{
	json_t *products = json_object_get(request->body, "products");
	const char *product = product_name(text);

	request->has_products = true;
	if (!products) {
		products = json_array();
		KC_TRY(kc_eportal_set(request->body, "products", products));
	}
	return json_array_append_new(products, json_string(product))
		       ? kc_error_new(KC_ERR_INPUT, "the product is not UTF-8")
		       : NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	if (kc_eportal_is_verb(option))
		return kc_eportal_set_verb(&request->verb, option);
	switch (option) {
	case 'f':
		return kc_eportal_set(request->body, "feed", json_string(value));
	case 's':
		return set_limit(request, value);
	case 'n':
		return kc_eportal_set(request->body, "note", json_string(value));
	case 'p':
		return add_product(request, value);
	case 'D':
		request->has_default_products = true;
		return kc_eportal_set(request->body, "products", json_pack("[s, s, s]", "kernel", "libs", "qemu"));
	case 'S':
		return kc_eportal_set(request->body, "sticky", json_string(value));
	case 'e':
		return kc_eportal_set(request->body, "ends", json_string(value));
	case 'A':
		return kc_eportal_set(request->body, "addresses", json_string(value));
	case 'L':
	case 'U':
		return kc_eportal_set_either(request->body, "locked", option == 'L', "--lock and --unlock");
	default:
		request->as_json = true;
		return NULL;
	}
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "feed", required_argument, NULL, 'f' },
		{ "server-limit", required_argument, NULL, 's' },
		{ "note", required_argument, NULL, 'n' },
		{ "product", required_argument, NULL, 'p' },
		{ "default-products", no_argument, NULL, 'D' },
		{ "sticky", required_argument, NULL, 'S' },
		{ "ends", required_argument, NULL, 'e' },
		{ "addresses", required_argument, NULL, 'A' },
		{ "lock", no_argument, NULL, 'L' },
		{ "unlock", no_argument, NULL, 'U' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":acdl", options, set_option, request));
	KC_TRY(kc_eportal_check_sets(request->verb, json_object_size(request->body)));
	if (request->has_default_products && request->has_products)
		return kc_error_new(KC_ERR_USAGE, "--product and --default-products exclude each other");
	return kc_eportal_name_argument(argc, argv, request->verb, request->verb == KC_EPORTAL_ADD, &request->name);
}

static struct kc_error *list(struct kc_ctx *ctx, const struct request *request)
{
	static const char *const names[] = { "KEY",    "SERVERS", "LIMIT",  "ABOVE",	 "FEED", "PRODUCTS",
					     "STICKY", "ENDS",	  "LOCKED", "ADDRESSES", "NOTE", NULL };
	static const char *const members[] = { "key",	 "servers", "server_limit", "above_limit", "feed", "products",
					       "sticky", "ends",    "locked",	    "addresses",   "note", NULL };

	return kc_eportal_show(ctx, &keys, request->name, request->as_json, names, members);
}

/* The new key is all that is on stdout, for scripts. */
static struct kc_error *add(struct kc_ctx *ctx, const struct request *request)
{
	kc_autojson json_t *answer = NULL;
	const char *key;

	if (request->name) {
		/* to the portal, "" is the wish for a new one: here it is a shell's variable that is not set */
		if (!*request->name)
			return kc_error_new(KC_ERR_USAGE, "a key cannot be empty; with no name a new one is made");
		KC_TRY(kc_eportal_check(ctx, &keys, KC_EPORTAL_ADD, request->name));
		KC_TRY(kc_eportal_set(request->body, "key", json_string(request->name)));
	}
	KC_TRY(kc_eportal_ask(ctx, "POST", keys.path, json_incref(request->body), &answer));
	key = json_string_value(json_object_get(json_object_get(answer, "result"), "key"));
	puts(key ? key : "");
	return NULL;
}

struct kc_error *kc_eportal_key_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { .body = json_object() };

	(void)terminal;
	if (!request.body)
		return kc_error_no_memory();
	KC_TRY(read_options(argc, argv, &request));
	if (request.verb == KC_EPORTAL_LIST)
		return list(ctx, &request);
	if (request.verb == KC_EPORTAL_REMOVE)
		return kc_eportal_remove(ctx, &keys, request.name);
	if (request.verb == KC_EPORTAL_ADD)
		return add(ctx, &request);
	KC_TRY(kc_eportal_check(ctx, &keys, request.verb, request.name));
	return kc_eportal_put(ctx, &keys, request.verb, request.name, request.body);
}
