/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kc.eportal's -a, -c and -d: what users, keys and feeds have in common. */
#include "cmd/kc_eportal.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

bool kc_eportal_is_verb(int option)
{
	return option && strchr("acdl", option);
}

struct kc_error *kc_eportal_set_verb(enum kc_eportal_verb *verb, int option)
{
	if (*verb != KC_EPORTAL_LIST)
		return kc_error_new(KC_ERR_USAGE, "one of -a, -c, -d and -l at a time");
	*verb = option == 'a'	? KC_EPORTAL_ADD
		: option == 'c' ? KC_EPORTAL_CHANGE
		: option == 'd' ? KC_EPORTAL_REMOVE
				: KC_EPORTAL_LIST;
	return NULL;
}

struct kc_error *kc_eportal_check_sets(enum kc_eportal_verb verb, bool sets)
{
	return sets && (verb == KC_EPORTAL_LIST || verb == KC_EPORTAL_REMOVE)
		       ? kc_error_new(KC_ERR_USAGE, "only -a and -c set something")
		       : NULL;
}

struct kc_error *kc_eportal_name_argument(int argc, char **argv, enum kc_eportal_verb verb, bool may_miss,
					  const char **name)
{
	*name = NULL;
	if (optind == argc && (verb == KC_EPORTAL_LIST || may_miss))
		return NULL;
	KC_TRY(kc_command_need_arguments(argc, 1, "a name"));
	if (verb != KC_EPORTAL_LIST || strcmp(argv[optind], "list"))
		*name = argv[optind];
	return NULL;
}

struct kc_error *kc_eportal_absolute(const char *path, char **absolute)
{
	kc_autofree char *dir = NULL;

	if (*path == '/') {
		*absolute = strdup(path);
	} else {
		dir = getcwd(NULL, 0);
		if (!dir)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot tell where %s is", path);
		*absolute = kc_path_join(dir, path);
	}
	return *absolute ? NULL : kc_error_no_memory();
}

/* ---- things that have a name ---- */

/* NULL: there is none of that name. */
static json_t *find(const json_t *answer, const struct kc_eportal_thing *thing, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, "result"), i, item)
	{
		const char *text = json_string_value(json_object_get(item, thing->member));

		if (text && !strcmp(text, name))
			return item;
	}
	return NULL;
}

struct kc_error *kc_eportal_show(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, const char *name,
				 bool as_json, const char *const *names, const char *const *members)
{
	kc_autojson json_t *answer = NULL, *one = NULL;
	json_t *item;

	KC_TRY(kc_eportal_ask(ctx, "GET", thing->path, NULL, &answer));
	if (name) {
		item = find(answer, thing, name);
		if (!item)
			return kc_error_new(KC_ERR_NOT_FOUND, "there is no %s %s", thing->what, name);
		one = json_pack("{s:[O]}", "result", item);
		if (!one)
			return kc_error_no_memory();
	}
	return as_json ? kc_eportal_print_json(one ? one : answer)
		       : kc_eportal_print_table(one ? one : answer, names, members);
}

struct kc_error *kc_eportal_check(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, enum kc_eportal_verb verb,
				  const char *name)
{
	kc_autojson json_t *answer = NULL;
	bool is_there;

	KC_TRY(kc_eportal_ask(ctx, "GET", thing->path, NULL, &answer));
	is_there = find(answer, thing, name);
	if (verb == KC_EPORTAL_ADD && is_there)
		return kc_error_new(KC_ERR_EXISTS, "the %s %s is there already; -c changes it", thing->what, name);
	if (verb == KC_EPORTAL_CHANGE && !is_there)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no %s %s; -a adds it", thing->what, name);
	return NULL;
}

struct kc_error *kc_eportal_put(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, enum kc_eportal_verb verb,
				const char *name, json_t *body)
{
	kc_autojson json_t *answer = NULL;

	KC_TRY(kc_eportal_set(body, thing->member, json_string(name)));
	KC_TRY(kc_eportal_ask(ctx, "POST", thing->path, json_incref(body), &answer));
	if (!json_integer_value(json_object_get(answer, "changed")))
		return kc_error_new(KC_ERR_NOTHING, "the %s %s is so already", thing->what, name);
	printf("%s %s was %s\n", thing->what, name, verb == KC_EPORTAL_ADD ? "added" : "changed");
	return NULL;
}

struct kc_error *kc_eportal_remove(struct kc_ctx *ctx, const struct kc_eportal_thing *thing, const char *name)
{
	kc_autojson json_t *answer = NULL;

	KC_TRY(kc_eportal_ask_named(ctx, "DELETE", thing->path, name, NULL, &answer));
	if (!json_integer_value(json_object_get(answer, "result")))
		return kc_error_new(KC_ERR_NOTHING, "there is no %s %s", thing->what, name);
	printf("%s %s was removed%s\n", thing->what, name, thing->removed ? thing->removed : "");
	return NULL;
}

struct kc_error *kc_eportal_set(json_t *body, const char *member, json_t *value)
{
	return json_object_set_new(body, member, value) ? kc_error_new(KC_ERR_INPUT, "the %s is not UTF-8", member)
							: NULL;
}

struct kc_error *kc_eportal_set_either(json_t *body, const char *member, bool value, const char *both)
{
	const json_t *before = json_object_get(body, member);

	if (before && json_is_true(before) != value)
		return kc_error_new(KC_ERR_USAGE, "%s exclude each other", both);
	return kc_eportal_set(body, member, json_boolean(value));
}
