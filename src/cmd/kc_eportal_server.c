/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal server: the servers that are registered. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "base/array.h"

#define SERVERS "/admin/api/servers"

enum { N_NAMES = 2 }; /* of `filters` */

enum {
	OPTION_UPDATED = 1000, /* above all letters */
	OPTION_OUTDATED,
	OPTION_COUNT,
	OPTION_CSV,
	OPTION_JSON,
	OPTION_INACTIVE,
	OPTION_DAYS,
	OPTION_OLD_LIST,
	OPTION_FILTER, /* from here on: parameters of the API, in the order of `filters` */
};

/* Each verb takes options of some kinds. */
enum kind {
	KIND_NAME,   /* which one */
	KIND_FILTER, /* which of them */
	KIND_FORM,   /* as what they are shown */
	KIND_CLEAN,
	KINDS
};

/* Options that are parameters of the API; the first two are names. */
static const struct {
	const char *option, *parameter;
} filters[] = {
	{ "hostname", "hostname" },
	{ "ip", "ip" },
	{ "id", "service_id" },
	{ "feed", "feed" },
	{ "key", "key" },
	{ "tag", "tag" },
	{ "registered-age", "registered_age" },
	{ "checkin-age", "checkin_age" },
	{ "updated-age", "updated_age" },
	{ "limit", "limit" },
	{ "offset", "offset" },
};

struct request {
	struct kc_buf target; /* of the list, with its parameters */
	const char *values[KC_ARRAY_SIZE(filters)];
	int updated; /* OPTION_UPDATED or OPTION_OUTDATED */
	unsigned days;
	bool only_count, as_csv, as_json, inactive, old_list;
	const char *given[KINDS]; /* an option of each kind that was given; NULL: none */
};

static void clear_request(struct request *request)
{
	kc_buf_free(&request->target);
}

static enum kind kind_of(int option)
{
	switch (option) {
	case OPTION_COUNT:
	case OPTION_CSV:
	case OPTION_JSON:
		return KIND_FORM;
	case OPTION_INACTIVE:
	case OPTION_DAYS:
		return KIND_CLEAN;
	default:
		return option >= OPTION_FILTER && option < OPTION_FILTER + N_NAMES ? KIND_NAME : KIND_FILTER;
	}
}

static struct kc_error *set_option(struct request *request, int option, const char *name, const char *value)
{
	enum kind kind = kind_of(option);

	if (kind == KIND_FORM && request->given[kind] && strcmp(request->given[kind], name))
		return kc_error_new(KC_ERR_USAGE, "--%s and --%s exclude each other", request->given[kind], name);
	request->given[kind] = name;
	switch (option) {
	case OPTION_UPDATED:
	case OPTION_OUTDATED:
		if (request->updated && request->updated != option)
			return kc_error_new(KC_ERR_USAGE, "--updated and --outdated exclude each other");
		request->updated = option;
		kc_eportal_query(&request->target, "is_updated", option == OPTION_UPDATED ? "1" : "0");
		break;
	case OPTION_COUNT:
		request->only_count = true;
		break;
	case OPTION_CSV:
		request->as_csv = true;
		break;
	case OPTION_JSON:
		request->as_json = true;
		break;
	case OPTION_INACTIVE:
		request->inactive = true;
		break;
	case OPTION_DAYS:
		return kc_command_parse_number(value, "number of days", &request->days);
	case OPTION_OLD_LIST:
		request->old_list = true;
		break;
	default:
		request->values[option - OPTION_FILTER] = value;
		kc_eportal_query(&request->target, filters[option - OPTION_FILTER].parameter, value);
	}
	return NULL;
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	struct option options[KC_ARRAY_SIZE(filters) + 9] = {
		{ "updated", no_argument, NULL, OPTION_UPDATED },
		{ "outdated", no_argument, NULL, OPTION_OUTDATED },
		{ "count", no_argument, NULL, OPTION_COUNT },
		{ "csv", no_argument, NULL, OPTION_CSV },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "inactive", no_argument, NULL, OPTION_INACTIVE },
		{ "days", required_argument, NULL, OPTION_DAYS },
		{ "list-servers", no_argument, NULL, OPTION_OLD_LIST },
	};
	int option, index;

	for (size_t i = 0; i < KC_ARRAY_SIZE(filters); i++)
		options[8 + i] = (struct option){ filters[i].option, required_argument, NULL, OPTION_FILTER + (int)i };
	kc_buf_append_str(&request->target, SERVERS);
	while ((option = getopt_long(argc, argv, ":", options, &index)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		/* the name is a text of `filters`, or a literal: it stays when the array is gone */
		KC_TRY(set_option(request, option, options[index].name, optarg));
	}
	return request->target.failed ? kc_error_no_memory() : NULL;
}

/* ---- list ---- */

static struct kc_error *print_count(struct kc_ctx *ctx, struct request *request)
{
	kc_autojson json_t *answer = NULL;
	char buffer[32];

	kc_eportal_query(&request->target, "only_count", "1");
	KC_TRY(kc_eportal_ask(ctx, "GET", request->target.data, NULL, &answer));
	puts(kc_eportal_text(answer, "count", buffer));
	return NULL;
}

static struct kc_error *print_csv(struct kc_ctx *ctx, struct request *request)
{
	kc_autobuf struct kc_buf text = { 0 };

	kc_eportal_query(&request->target, "format", "csv");
	KC_TRY(kc_eportal_ask_text(ctx, request->target.data, &text));
	fwrite(text.data, 1, text.size, stdout);
	return NULL;
}

/* The list is a page of ten unless somebody asks for more. */
static void tell_of_others(struct kc_ctx *ctx, const json_t *answer)
{
	json_int_t count = json_integer_value(json_object_get(answer, "count"));
	size_t shown = json_array_size(json_object_get(answer, "result"));

	if ((json_int_t)shown < count)
		kc_warning(ctx, "%zu of %lld servers are shown: --limit and --offset show others", shown,
			   (long long)count);
}

static struct kc_error *list(struct kc_ctx *ctx, struct request *request, int argc, char **argv)
{
	static const char *const names[] = { "ID",    "HOSTNAME", "IP",	       "KEY",	   "FEED", "STATUS", "KERNEL",
					     "LEVEL", "OFFERED",  "PROCESSES", "CHECK IN", "TAGS", NULL };
	static const char *const members[] = { "id",	  "hostname", "ip",	     "key",	      "feed",
					       "status",  "euname",   "patch_level", "offered_level", "libcare",
					       "checkin", "tags",     NULL };

	kc_autojson json_t *answer = NULL;

	(void)argv;
	if (argc > optind + 1)
		return kc_command_need_arguments(argc, 1, "list");
	if (request->only_count)
		return print_count(ctx, request);
	if (request->as_csv)
		return print_csv(ctx, request);
	KC_TRY(kc_eportal_ask(ctx, "GET", request->target.data, NULL, &answer));
	KC_TRY(request->as_json ? kc_eportal_print_json(answer) : kc_eportal_print_table(answer, names, members));
	tell_of_others(ctx, answer);
	return NULL;
}

/* As the first versions had it: how many servers each key has. */
static struct kc_error *list_keys(struct kc_ctx *ctx)
{
	static const char *const names[] = { "Count", "Key", NULL };
	static const char *const members[] = { "servers", "key", NULL };

	return kc_eportal_list(ctx, "/admin/api/keys/", false, names, members);
}

/* ---- change ---- */

static struct kc_error *print_removed(const json_t *answer)
{
	json_int_t n = json_integer_value(json_object_get(answer, "result"));

	printf("%lld server%s deleted\n", (long long)n, n == 1 ? " was" : "s were");
	return NULL;
}

static struct kc_error *tag(struct kc_ctx *ctx, struct request *request, int argc, char **argv)
{
	kc_autojson json_t *answer = NULL;
	json_t *body;

	(void)request;
	KC_TRY(kc_command_need_arguments(argc, 3, "tag, an ID and its tags (\"\" for none)"));
	body = json_pack("{s:s, s:s}", "server_id", argv[optind + 1], "tags", argv[optind + 2]);
	if (!body)
		return kc_error_new(KC_ERR_INPUT, "the tags are not UTF-8");
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/set_tags", body, &answer));
	return kc_eportal_print_changed(answer, "the tags were set", "it has these tags already");
}

static struct kc_error *remove_one(struct kc_ctx *ctx, struct request *request, int argc, char **argv)
{
	kc_autojson json_t *answer = NULL, *body = json_object();

	for (size_t i = 0; i < N_NAMES; i++)
		if (request->values[i])
			KC_TRY(kc_eportal_set(body, filters[i].parameter, json_string(request->values[i])));
	if (json_object_size(body)) {
		KC_TRY(kc_command_need_arguments(argc, 1, "remove, with --hostname and --ip"));
	} else {
		KC_TRY(kc_command_need_arguments(argc, 2, "remove and an ID, or --hostname or --ip"));
		KC_TRY(kc_eportal_set(body, "server_id", json_string(argv[optind + 1])));
	}
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/delete_server", json_incref(body), &answer));
	if (!json_integer_value(json_object_get(answer, "result")))
		return kc_error_new(KC_ERR_NOTHING, "there is no such server");
	return print_removed(answer);
}

static struct kc_error *clean(struct kc_ctx *ctx, struct request *request, int argc, char **argv)
{
	kc_autobuf struct kc_buf target = { 0 };
	kc_autojson json_t *answer = NULL;

	(void)argv;
	KC_TRY(kc_command_need_arguments(argc, 1, "clean"));
	if (!request->inactive)
		return kc_error_new(KC_ERR_USAGE, "'clean' needs --inactive: it removes servers that are silent");
	kc_buf_append_str(&target, SERVERS);
	if (request->days)
		kc_buf_printf(&target, "?checkin_age=%u", request->days);
	else
		kc_eportal_query(&target, "inactive", "1");
	if (target.failed)
		return kc_error_no_memory();
	KC_TRY(kc_eportal_ask(ctx, "DELETE", target.data, NULL, &answer));
	return print_removed(answer);
}

/* ---- all of it ---- */

struct verb {
	const char *name;
	unsigned takes; /* kinds, as bits */
	struct kc_error *(*run)(struct kc_ctx *ctx, struct request *request, int argc, char **argv);
};

static struct kc_error *run_verb(struct kc_ctx *ctx, struct request *request, const struct verb *verb, int argc,
				 char **argv)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		if (request->given[kind] && !(verb->takes & 1 << kind))
			return kc_error_new(KC_ERR_USAGE, "'%s' does not take --%s", verb->name, request->given[kind]);
	return verb->run(ctx, request, argc, argv);
}

struct kc_error *kc_eportal_server_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "list", 1 << KIND_NAME | 1 << KIND_FILTER | 1 << KIND_FORM, list },
		{ "tag", 0, tag },
		{ "remove", 1 << KIND_NAME, remove_one },
		{ "clean", 1 << KIND_CLEAN, clean },
	};
	KC_CLEANUP(clear_request) struct request request = { 0 };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	if (request.old_list)
		return list_keys(ctx);
	if (optind == argc)
		return run_verb(ctx, &request, &verbs[0], argc, argv);
	for (size_t i = 0; i < KC_ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[optind], verbs[i].name))
			return run_verb(ctx, &request, &verbs[i], argc, argv);
	return kc_error_new(KC_ERR_USAGE, "servers can be listed, tagged, removed and cleaned; not '%s'", argv[optind]);
}
