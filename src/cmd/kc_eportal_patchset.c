/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal kcare, libcare, qemu: patchsets of one product, and what feeds do with them. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "base/array.h"

struct request {
	const char *product; /* as the API names it */
	const char *verb, *name;
	const char **feeds; /* NULL-terminated */
	size_t n_feeds;
	const char **distros;
	size_t n_distros;
	bool disabled, as_json, remove;
};

static void clear_request(struct request *request)
{
	free(request->feeds);
	free(request->distros);
}

/* ---- what is asked ---- */

static struct kc_error *set_product(const char *command, struct request *request)
{
	static const struct {
		const char *command, *product;
	} products[] = { { "kcare", "kernel" }, { "libcare", "user" }, { "qemu", "qemu" } };

	for (size_t i = 0; i < KC_ARRAY_SIZE(products); i++)
		if (!strcmp(command, products[i].command))
			request->product = products[i].product;
	return NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	switch (option) {
	case 'f':
		return kc_command_list_add(&request->feeds, &request->n_feeds, value);
	case 'd':
		return kc_command_list_add(&request->distros, &request->n_distros, value);
	case 'x':
		request->disabled = true;
		return NULL;
	case 'D':
		request->remove = true;
		return NULL;
	default:
		request->as_json = true;
		return NULL;
	}
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "feed", required_argument, NULL, 'f' }, { "distro", required_argument, NULL, 'd' },
		{ "disabled", no_argument, NULL, 'x' },	  { "delete", no_argument, NULL, 'D' },
		{ "json", no_argument, NULL, 'j' },	  { NULL, 0, NULL, 0 },
	};

	return kc_command_read_options(argc, argv, ":", options, set_option, request);
}

/* Which of the options a verb takes, and whether it needs the name of a patchset, or of an archive. */
struct verb {
	const char *name;
	const char *action; /* of /patchsets/manage */
	bool needs_name, takes_many_feeds, takes_feed, takes_distros, takes_disabled, takes_delete, takes_json;
	struct kc_error *(*run)(struct kc_ctx *ctx, const struct request *request, const struct verb *verb);
};

static struct kc_error *check_options(const struct request *request, const struct verb *verb)
{
	const char *wrong = NULL;

	if (request->n_feeds && !verb->takes_feed)
		wrong = "--feed";
	if (request->n_feeds > 1 && !verb->takes_many_feeds)
		wrong = "more than one --feed";
	if (request->n_distros && !verb->takes_distros)
		wrong = "--distro";
	if (request->disabled && !verb->takes_disabled)
		wrong = "--disabled";
	if (request->remove && !verb->takes_delete)
		wrong = "--delete";
	if (request->as_json && !verb->takes_json)
		wrong = "--json";
	return wrong ? kc_error_new(KC_ERR_USAGE, "'%s' does not take %s", verb->name, wrong) : NULL;
}

static const char *only_feed(const struct request *request)
{
	return request->n_feeds ? request->feeds[0] : "main";
}

/* ---- verbs ---- */

static struct kc_error *deploy(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autobuf struct kc_buf target = { 0 };
	kc_autojson json_t *answer = NULL;

	(void)verb;
	kc_buf_append_str(&target, "/admin/api/patchsets/deploy");
	kc_eportal_query(&target, "feed", only_feed(request));
	kc_eportal_query(&target, "product", request->product);
	kc_eportal_query(&target, "disabled", request->disabled ? "1" : NULL);
	if (target.failed)
		return kc_error_no_memory();
	KC_TRY(kc_eportal_upload(ctx, target.data, request->name, &answer));
	return kc_eportal_print_changed(answer, "deployed", "the feed has it already");
}

static struct kc_error *list(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	static const char *const names[] = { "PATCHSET", "STATUS", "RELEASED", "ARRIVED", "DISTRO", "CHANNEL", NULL };
	static const char *const members[] = {
		"patchset", "status", "released", "arrived", "distros", "channel", NULL
	};
	kc_autobuf struct kc_buf target = { 0 };

	(void)verb;
	kc_buf_append_str(&target, "/admin/api/patchsets/");
	kc_eportal_query(&target, "feed", only_feed(request));
	kc_eportal_query(&target, "product", request->product);
	for (size_t i = 0; i < request->n_distros; i++)
		kc_eportal_query(&target, "distro", request->distros[i]);
	return target.failed ? kc_error_no_memory()
			     : kc_eportal_list(ctx, target.data, request->as_json, names, members);
}

static struct kc_error *update(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autojson json_t *answer = NULL;
	json_t *body = json_pack("{s:s, s:s}", "product", request->product, "feed", only_feed(request));

	(void)verb;
	if (!body)
		return kc_error_new(KC_ERR_INPUT, "the feed's name is not UTF-8");
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/patchsets/update", body, &answer));
	return kc_eportal_print_changed(answer, "updated", "there is nothing new");
}

static struct kc_error *auto_update(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autojson json_t *answer = NULL;

	(void)verb;
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/patchsets/auto-update",
			      json_pack("{s:s}", "product", request->product), &answer));
	return kc_eportal_print_changed(answer, "updated", "there is nothing new");
}

static struct kc_error *manage(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autojson json_t *answer = NULL, *feeds = json_array();
	json_t *body;

	if (!request->n_feeds)
		json_array_append_new(feeds, json_string("main"));
	for (size_t i = 0; i < request->n_feeds; i++)
		json_array_append_new(feeds, json_string(request->feeds[i]));
	body = json_pack("{s:s, s:s, s:s, s:O}", "product", request->product, "patchset", request->name, "action",
			 verb->action, "feed", feeds);
	if (!body)
		return kc_error_new(KC_ERR_INPUT, "an argument is not UTF-8");
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/patchsets/manage", body, &answer));
	return kc_eportal_print_changed(answer, "done", "it is so already");
}

static struct kc_error *unroll(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autojson json_t *answer = NULL;
	json_t *body = json_pack("{s:s, s:b}", "patchset", request->name, "delete", request->remove);

	(void)verb;
	if (!body)
		return kc_error_new(KC_ERR_INPUT, "the name is not UTF-8");
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/patchsets/unroll", body, &answer));
	return kc_eportal_print_changed(
		answer, "done", request->remove ? "no feed has it, and there are no files of it" : "no feed has it");
}

static struct kc_error *download(struct kc_ctx *ctx, const struct request *request, const struct verb *verb)
{
	kc_autojson json_t *answer = NULL;

	(void)request;
	(void)verb;
	KC_TRY(kc_eportal_ask(ctx, "POST", "/admin/api/patchsets/download-missing", json_object(), &answer));
	return kc_eportal_print_changed(answer, "downloaded", "nothing that the upstream has is missing");
}

static const struct verb verbs[] = {
	{ "deploy", .needs_name = true, .takes_feed = true, .takes_disabled = true, .run = deploy },
	{ "list", .takes_feed = true, .takes_distros = true, .takes_json = true, .run = list },
	{ "update", .takes_feed = true, .run = update },
	{ "auto-update", .run = auto_update },
	{ "download-missing", .run = download }, /* of all products */
	{ "enable", "enable", .needs_name = true, .takes_feed = true, .takes_many_feeds = true, .run = manage },
	{ "disable", "disable", .needs_name = true, .takes_feed = true, .takes_many_feeds = true, .run = manage },
	{ "block", "block", .needs_name = true, .takes_feed = true, .takes_many_feeds = true, .run = manage },
	{ "undeploy", "undeploy", .needs_name = true, .takes_feed = true, .takes_many_feeds = true, .run = manage },
	{ "enable-up-to", "enable-upto", .needs_name = true, .takes_feed = true, .takes_many_feeds = true,
	  .run = manage },
	{ "undeploy-down-to", "undeploy-downto", .needs_name = true, .takes_feed = true, .takes_many_feeds = true,
	  .run = manage },
	{ "unroll", .needs_name = true, .takes_delete = true, .run = unroll },
};

/* ---- all of it ---- */

static struct kc_error *run_verb(struct kc_ctx *ctx, int argc, struct request *request, const struct verb *verb)
{
	KC_TRY(check_options(request, verb));
	KC_TRY(kc_command_need_arguments(argc, verb->needs_name ? 2 : 1,
					 verb->needs_name ? "what to do and a patchset" : "what to do"));
	return verb->run(ctx, request, verb);
}

struct kc_error *kc_eportal_patchset_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };

	(void)terminal;
	KC_TRY(set_product(argv[0], &request));
	KC_TRY(read_options(argc, argv, &request));
	if (optind == argc)
		return kc_error_new(KC_ERR_USAGE, "missing argument: deploy, list, update, enable …; see --help");
	request.verb = argv[optind];
	request.name = optind + 1 < argc ? argv[optind + 1] : NULL;
	for (size_t i = 0; i < KC_ARRAY_SIZE(verbs); i++)
		if (!strcmp(request.verb, verbs[i].name))
			return run_verb(ctx, argc, &request, &verbs[i]);
	return kc_error_new(KC_ERR_USAGE, "patchsets can be deployed, listed, enabled and more, not '%s'; see --help",
			    request.verb);
}

struct kc_error *kc_eportal_unroll_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };
	const struct verb verb = { .name = "unroll", .takes_delete = true };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	KC_TRY(check_options(&request, &verb));
	KC_TRY(kc_command_need_arguments(argc, 1, "a patchset"));
	request.name = argv[optind];
	return unroll(ctx, &request, &verb);
}

struct kc_error *kc_eportal_download_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(clear_request) struct request request = { 0 };
	const struct verb verb = { .name = "download-missing" };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	KC_TRY(check_options(&request, &verb));
	KC_TRY(kc_command_need_arguments(argc, 0, "nothing"));
	return download(ctx, &request, &verb);
}
