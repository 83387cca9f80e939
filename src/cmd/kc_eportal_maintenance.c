/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal doctor, audit, backup, backup-db, restore. */
#include "cmd/kc_eportal.h"

#include <string.h>

#include "base/array.h"

/* ---- looking ---- */

static struct kc_error *read_json_option(int argc, char **argv, bool *as_json)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "no-send", no_argument, NULL, 'n' }, /* nothing is ever sent */
						 { NULL, 0, NULL, 0 } };
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		*as_json |= option == 'j';
	}
	return kc_command_need_arguments(argc, 0, "nothing");
}

static void print_checks(const json_t *answer)
{
	json_t *check;
	size_t i;

	json_array_foreach(json_object_get(answer, "checks"), i, check)
		printf("%-4s %-12s %s\n", json_is_true(json_object_get(check, "ok")) ? "ok" : "BAD",
		       json_string_value(json_object_get(check, "name")),
		       json_string_value(json_object_get(check, "message")));
}

static struct kc_error *count_bad(const json_t *answer)
{
	size_t i, n = 0;
	json_t *check;

	json_array_foreach(json_object_get(answer, "checks"), i, check) n +=
		json_is_false(json_object_get(check, "ok"));
	return n ? kc_error_new(KC_ERR_SYSTEM, "%zu of %zu checks: something is to be done", n, i) : NULL;
}

struct kc_error *kc_eportal_doctor_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	kc_autojson json_t *answer = NULL;
	bool as_json = false;

	(void)terminal;
	KC_TRY(read_json_option(argc, argv, &as_json));
	KC_TRY(kc_eportal_ask(ctx, "GET", "/admin/api/doctor", NULL, &answer));
	if (as_json)
		KC_TRY(kc_eportal_print_json(answer));
	else
		print_checks(answer);
	return count_bad(answer);
}

struct kc_error *kc_eportal_audit_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "limit", required_argument, NULL, 'l' },
						 { "offset", required_argument, NULL, 'o' },
						 { "json", no_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	static const char *const names[] = { "AT", "WHO", "ADDRESS", "ACTION", "OBJECT", "DETAIL", "OUTCOME", NULL };
	static const char *const members[] = { "at", "who", "address", "action", "object", "detail", "outcome", NULL };
	kc_autobuf struct kc_buf target = { 0 };
	bool as_json = false;
	int option;

	(void)terminal;
	kc_buf_append_str(&target, "/admin/api/audit");
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		as_json |= option == 'j';
		if (option != 'j')
			kc_eportal_query(&target, option == 'l' ? "limit" : "offset", optarg);
	}
	KC_TRY(kc_command_need_arguments(argc, 0, "nothing"));
	return target.failed ? kc_error_no_memory() : kc_eportal_list(ctx, target.data, as_json, names, members);
}

/* ---- backup and restore ---- */

static struct kc_error *ask_with_path(struct kc_ctx *ctx, const char *target, const char *path, json_t *what,
				      json_t **answer)
{
	kc_autojson json_t *owned = what, *body = json_object();
	kc_autofree char *absolute = NULL;

	KC_TRY(kc_eportal_absolute(path, &absolute));
	KC_TRY(kc_eportal_set(body, "path", json_string(absolute)));
	if (owned)
		KC_TRY(kc_eportal_set(body, "what", json_incref(owned)));
	return kc_eportal_ask(ctx, "POST", target, json_incref(body), answer);
}

static struct kc_error *back_up(struct kc_ctx *ctx, int argc, char **argv, const char *target, const char *what)
{
	static const struct option none[] = { { NULL, 0, NULL, 0 } };
	kc_autojson json_t *answer = NULL;
	int option;

	/* -v of the reference's: it says what it does anyway */
	while ((option = getopt_long(argc, argv, ":v", none, NULL)) != -1)
		if (option != 'v')
			return kc_command_bad_option(option, argv);
	KC_TRY(kc_command_need_arguments(argc, 1, "PATH"));
	KC_TRY(ask_with_path(ctx, target, argv[optind], NULL, &answer));
	printf("%s: %s\n", argv[optind], what);
	return NULL;
}

struct kc_error *kc_eportal_backup_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	(void)terminal;
	return back_up(ctx, argc, argv, "/admin/api/backup", "the whole portal; it has secrets, keep it safe");
}

struct kc_error *kc_eportal_backup_db_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	(void)terminal;
	return back_up(ctx, argc, argv, "/admin/api/backup-db", "the database; it has secrets, keep it safe");
}

struct kc_error *kc_eportal_restore_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "db", no_argument, NULL, 'd' },
						 { "config", no_argument, NULL, 'c' },
						 { "data", no_argument, NULL, 'D' },
						 { "full", no_argument, NULL, 'f' },
						 { NULL, 0, NULL, 0 } };
	kc_autojson json_t *answer = NULL, *what = json_array();
	const char *said;
	int option, index;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":", options, &index)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		json_array_append_new(what, json_string(options[index].name));
	}
	if (!json_array_size(what))
		return kc_error_new(KC_ERR_USAGE, "say what to restore: --db, --config, --data or --full");
	KC_TRY(kc_command_need_arguments(argc, 1, "PATH"));
	KC_TRY(ask_with_path(ctx, "/admin/api/restore", argv[optind], json_incref(what), &answer));
	said = json_string_value(json_object_get(answer, "message"));
	printf("restored from %s%s%s\n", argv[optind], said ? "; " : "", said ? said : "");
	return NULL;
}
