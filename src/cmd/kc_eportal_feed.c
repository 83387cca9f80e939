/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal feed: the feeds that hosts follow. */
#include "cmd/kc_eportal.h"

#include <string.h>

static const struct kc_eportal_thing feeds = { "/admin/api/feeds/", "name", "feed", "; its keys follow main" };

struct request {
	enum kc_eportal_verb verb;
	const char *name;
	json_t *body; /* what is to be set */
	bool as_json;
};

static void clear_request(struct request *request)
{
	json_decref(request->body);
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;
	unsigned hours = 0;

	if (kc_eportal_is_verb(option))
		return kc_eportal_set_verb(&request->verb, option);
	switch (option) {
	case 'A':
	case 'N':
		return kc_eportal_set_either(request->body, "auto", option == 'A', "--auto and --no-auto");
	case 'h':
		KC_TRY(kc_command_parse_count(value, "number of hours", &hours));
		return kc_eportal_set(request->body, "deploy_after", json_integer(hours));
	case 'C':
		return kc_eportal_set(request->body, "channel", json_string(value));
	case 'n':
		return kc_eportal_set(request->body, "note", json_string(value));
	case 'f':
		return kc_eportal_set(request->body, "from", json_string(value));
	default:
		request->as_json = true;
		return NULL;
	}
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "auto", no_argument, NULL, 'A' },
		{ "no-auto", no_argument, NULL, 'N' },
		{ "deploy-after", required_argument, NULL, 'h' },
		{ "channel", required_argument, NULL, 'C' },
		{ "note", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":acdl", options, set_option, request));
	KC_TRY(kc_eportal_check_sets(request->verb, json_object_size(request->body)));
	if (json_object_get(request->body, "from") && request->verb != KC_EPORTAL_ADD)
		return kc_error_new(KC_ERR_USAGE, "--from goes with -a");
	return kc_eportal_name_argument(argc, argv, request->verb, false, &request->name);
}

static struct kc_error *list(struct kc_ctx *ctx, const struct request *request)
{
	static const char *const names[] = { "FEED", "AUTO", "AFTER H", "CHANNEL", "PATCHSETS", "NOTE", NULL };
	static const char *const members[] = { "name", "auto", "deploy_after", "channel", "patchsets", "note", NULL };

	return kc_eportal_show(ctx, &feeds, request->name, request->as_json, names, members);
}

struct kc_error *kc_eportal_feed_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { .body = json_object() };

	(void)terminal;
	if (!request.body)
		return kc_error_no_memory();
	KC_TRY(read_options(argc, argv, &request));
	if (request.verb == KC_EPORTAL_LIST)
		return list(ctx, &request);
	if (request.verb == KC_EPORTAL_REMOVE)
		return kc_eportal_remove(ctx, &feeds, request.name);
	KC_TRY(kc_eportal_check(ctx, &feeds, request.verb, request.name));
	return kc_eportal_put(ctx, &feeds, request.verb, request.name, request.body);
}
