/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/kcare_build_request.h"

#include <string.h>

#include "cmd/command.h"

static const struct option options[] = {
	{ "fix", required_argument, NULL, 'f' },      { "level", required_argument, NULL, 'l' },
	{ "patchset", required_argument, NULL, 'p' }, { "key", required_argument, NULL, 'k' },
	{ "output", required_argument, NULL, 'o' },   { "elf", required_argument, NULL, 'e' },
	{ "source", required_argument, NULL, 's' },   { "commands", required_argument, NULL, 'c' },
	{ "allow", required_argument, NULL, 'a' },    { "type", required_argument, NULL, 't' },
	{ "jobs", required_argument, NULL, 'j' },     { "cache", required_argument, NULL, 'C' },
	{ "print-path", no_argument, NULL, 'P' },     { NULL, 0, NULL, 0 },
};

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct kc_request *request = data;
	struct kc_build_user_request *user = &request->user;

	switch (option) {
	case 'f':
		return kc_command_list_add(&request->fixes, &request->n_fixes, value);
	case 'a':
		return kc_command_list_add(&request->allowed, &request->n_allowed, value);
	case 'l':
		return kc_command_parse_number(value, "level", &user->level);
	case 'j':
		return kc_command_parse_number(value, "number of jobs", &user->jobs);
	case 'p':
		user->patchset = value;
		break;
	case 'k':
		user->key_path = value;
		break;
	case 'o':
		user->output_dir = value;
		break;
	case 'e':
		user->elf_path = value;
		break;
	case 's':
		user->source_dir = value;
		break;
	case 'c':
		user->commands_path = value;
		break;
	case 't':
		user->type = value;
		break;
	case 'C':
		user->cache_dir = value;
		break;
	case 'P':
		request->print_path = true;
		break;
	}
	return NULL;
}

struct kc_error *kc_request_parse(struct kc_request *request, int argc, char **argv)
{
	KC_TRY(kc_command_read_options(argc, argv, ":o:j:", options, set_option, request));
	request->user.fix_paths = request->fixes;
	request->user.allowed = request->allowed;
	return NULL;
}

struct kc_error *kc_request_set_package(struct kc_request *request, const char *argument)
{
	char *equals;

	request->package = strdup(argument);
	if (!request->package)
		return kc_error_no_memory();
	equals = strchr(request->package, '=');
	if (!equals || equals == request->package || !equals[1])
		return kc_error_new(KC_ERR_USAGE, "\"%s\" is not PACKAGE=VERSION", argument);
	*equals = '\0';
	request->user.package = request->package;
	request->user.version = equals + 1;
	return NULL;
}

void kc_request_clear(struct kc_request *request)
{
	free(request->fixes);
	free(request->allowed);
	free(request->package);
}
