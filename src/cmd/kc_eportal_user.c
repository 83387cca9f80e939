/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal user and api-key: who uses the portal over the network. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "cmd/secret.h"

static const struct kc_eportal_thing users = { "/admin/api/users/", "username", "user", ", with its API keys" };
static const struct kc_eportal_thing api_keys = { "/admin/api/api_keys/", "id", "API key", NULL };

struct request {
	struct kc_ctx *ctx;
	enum kc_eportal_verb verb;
	const char *name, *role, *note, *password, *password_path;
	bool asks_password, has_none, as_json;
};

/* ---- user ---- */

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	if (kc_eportal_is_verb(option))
		return kc_eportal_set_verb(&request->verb, option);
	switch (option) {
	case 'p':
		kc_warning(request->ctx,
			   "a password in the command line can be seen by all users of this machine, in ps and "
			   "in the shell's history; --password-file and --ask-password do not show it");
		request->password = value;
		break;
	case 'P':
		request->password_path = value;
		break;
	case 'A':
		request->asks_password = true;
		break;
	case 'N':
		request->has_none = true;
		break;
	case 'r':
		request->role = value;
		break;
	case 'n':
		request->note = value;
		break;
	default:
		request->as_json = true;
	}
	return NULL;
}

static struct kc_error *check_request(const struct request *request)
{
	int n_passwords = !!request->password + !!request->password_path + request->asks_password + request->has_none;

	if (n_passwords > 1)
		return kc_error_new(KC_ERR_USAGE, "one of -p, --password-file, --ask-password and --no-password");
	KC_TRY(kc_eportal_check_sets(request->verb, n_passwords || request->role || request->note));
	if (request->has_none && request->verb == KC_EPORTAL_CHANGE)
		return kc_error_new(KC_ERR_USAGE, "a password cannot be taken away: remove the user");
	if (request->role && strcmp(request->role, "admin") && strcmp(request->role, "readonly"))
		return kc_error_new(KC_ERR_USAGE, "a role is admin or readonly, not '%s'", request->role);
	return NULL;
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "password-file", required_argument, NULL, 'P' },
		{ "ask-password", no_argument, NULL, 'A' },
		{ "no-password", no_argument, NULL, 'N' },
		{ "note", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":acdlp:r:", options, set_option, request));
	KC_TRY(check_request(request));
	return kc_eportal_name_argument(argc, argv, request->verb, false, &request->name);
}

/* A new user has one unless he is said to have none; another one is only for who asks. */
static struct kc_error *read_password(const struct request *request, struct kc_buf *password)
{
	if (request->password) {
		kc_buf_append_str(password, request->password);
		return password->failed ? kc_error_no_memory() : NULL;
	}
	if (request->verb == KC_EPORTAL_ADD || request->password_path || request->asks_password)
		return kc_secret_new_password(request->password_path, request->has_none,
					      "--password-file FILE or --no-password", password);
	return NULL;
}

static struct kc_error *put_user(struct kc_ctx *ctx, const struct request *request)
{
	KC_CLEANUP(kc_secret_wipe) struct kc_buf password = { 0 };
	kc_autojson json_t *body = NULL;

	KC_TRY(kc_eportal_check(ctx, &users, request->verb, request->name));
	KC_TRY(read_password(request, &password));
	body = json_pack("{s:s*, s:s*, s:s*}", "password", password.data, "role", request->role, "description",
			 request->note);
	if (!body)
		return kc_error_new(KC_ERR_INPUT, "an argument is not UTF-8");
	return kc_eportal_put(ctx, &users, request->verb, request->name, body);
}

static struct kc_error *list_users(struct kc_ctx *ctx, const char *name, bool as_json)
{
	static const char *const names[] = { "USER", "READONLY", "PASSWORD", "CREATED", "NOTE", NULL };
	static const char *const members[] = { "username", "readonly", "has_password", "created", "description", NULL };

	return kc_eportal_show(ctx, &users, name, as_json, names, members);
}

struct kc_error *kc_eportal_user_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	struct request request = { .ctx = ctx };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	if (request.verb == KC_EPORTAL_LIST)
		return list_users(ctx, request.name, request.as_json);
	if (request.verb == KC_EPORTAL_REMOVE)
		return kc_eportal_remove(ctx, &users, request.name);
	return put_user(ctx, &request);
}

/* ---- api-key ---- */

static struct kc_error *list_api_keys(struct kc_ctx *ctx, const char *id, bool as_json)
{
	static const char *const names[] = { "ID", "USER", "CREATED", "EXPIRES", "NOTE", NULL };
	static const char *const members[] = { "id", "user", "created", "expires", "note", NULL };

	return kc_eportal_show(ctx, &api_keys, id, as_json, names, members);
}

/* Nothing but the key on stdout, for scripts. */
static struct kc_error *add_api_key(struct kc_ctx *ctx, const char *user, const char *note, unsigned days)
{
	kc_autojson json_t *answer = NULL;
	json_t *body =
		json_pack("{s:s, s:s*, s:o*}", "user", user, "note", note, "days", days ? json_integer(days) : NULL);
	const char *id;

	if (!body)
		return kc_error_new(KC_ERR_INPUT, "an argument is not UTF-8");
	KC_TRY(kc_eportal_ask(ctx, "POST", api_keys.path, body, &answer));
	id = json_string_value(json_object_get(json_object_get(answer, "result"), "id"));
	puts(json_string_value(json_object_get(answer, "api_key")));
	kc_warning(ctx, "this is shown only once; 'kc.eportal api-key -d %s' takes it back", id);
	return NULL;
}

struct kc_error *kc_eportal_api_key_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "days", required_argument, NULL, 'D' },
		{ "note", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	enum kc_eportal_verb verb = KC_EPORTAL_LIST;
	const char *name, *note = NULL;
	unsigned days = 0;
	bool as_json = false;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":adl", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		if (kc_eportal_is_verb(option))
			KC_TRY(kc_eportal_set_verb(&verb, option));
		else if (option == 'D')
			KC_TRY(kc_command_parse_number(optarg, "number of days", &days));
		else if (option == 'n')
			note = optarg;
		else
			as_json = true;
	}
	if ((days || note) && verb != KC_EPORTAL_ADD)
		return kc_error_new(KC_ERR_USAGE, "--days and --note go with -a");
	KC_TRY(kc_eportal_name_argument(argc, argv, verb, false, &name));
	if (verb == KC_EPORTAL_LIST)
		return list_api_keys(ctx, name, as_json);
	return verb == KC_EPORTAL_ADD ? add_api_key(ctx, name, note, days) : kc_eportal_remove(ctx, &api_keys, name);
}
