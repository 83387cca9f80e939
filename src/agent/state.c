/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/state.h"

#include <string.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/state_json.h"
#include "base/array.h"

#define DOCUMENT "kcare-state-1"

enum { LEVELS_MAX = 1000 };

bool kc_level_is_same(const struct kc_level *a, const struct kc_level *b)
{
	return a->number == b->number && !strcmp(a->kernel_id, b->kernel_id) && !strcmp(a->type, b->type);
}

const struct kc_crash *kc_state_find_crash(const struct kc_state *state, const struct kc_level *level)
{
	for (size_t i = 0; i < state->n_crashes; i++)
		if (kc_level_is_same(&state->crashes[i].level, level))
			return &state->crashes[i];
	return NULL;
}

struct kc_error *kc_state_add_crash(struct kc_state *state, const struct kc_level *level, int64_t loaded_at)
{
	struct kc_crash *added;

	kc_state_drop_crash(state, level);
	if (state->n_crashes == LEVELS_MAX) /* the oldest goes */
		kc_state_drop_crash(state, &state->crashes[0].level);
	added = kc_array_add(&state->crashes, &state->n_crashes);
	if (!added)
		return kc_error_no_memory();
	*added = (struct kc_crash){ *level, loaded_at };
	return NULL;
}

void kc_state_drop_crash(struct kc_state *state, const struct kc_level *level)
{
	const struct kc_crash *found = kc_state_find_crash(state, level);
	size_t i = found ? (size_t)(found - state->crashes) : 0;

	if (!found)
		return;
	state->n_crashes--;
	memmove(&state->crashes[i], &state->crashes[i + 1], (state->n_crashes - i) * sizeof(*state->crashes));
}

static const struct kc_level *find_level(const struct kc_level *levels, size_t n, const struct kc_level *level)
{
	for (size_t i = 0; i < n; i++)
		if (kc_level_is_same(&levels[i], level))
			return &levels[i];
	return NULL;
}

struct kc_error *kc_state_add_imported(struct kc_state *state, const struct kc_level *level)
{
	const struct kc_level *found = find_level(state->imported, state->n_imported, level);
	struct kc_level *added;

	if (!found && state->n_imported == LEVELS_MAX) { /* the oldest goes */
		memmove(state->imported, state->imported + 1, (LEVELS_MAX - 1) * sizeof(*state->imported));
		found = &state->imported[LEVELS_MAX - 1];
	}
	if (found) {
		state->imported[found - state->imported] = *level;
		return NULL;
	}
	added = kc_array_add(&state->imported, &state->n_imported);
	if (!added)
		return kc_error_no_memory();
	*added = *level;
	return NULL;
}

void kc_state_drop_imported(struct kc_state *state, const struct kc_level *level)
{
	const struct kc_level *found = find_level(state->imported, state->n_imported, level);
	size_t i = found ? (size_t)(found - state->imported) : 0;

	if (!found)
		return;
	state->n_imported--;
	memmove(&state->imported[i], &state->imported[i + 1], (state->n_imported - i) * sizeof(*state->imported));
}

bool kc_state_is_imported(const struct kc_state *state, const struct kc_level *level)
{
	return find_level(state->imported, state->n_imported, level) != NULL;
}

bool kc_state_is_blocked(const struct kc_state *state, const struct kc_level *level)
{
	const struct kc_checked *checked = &state->checked;

	for (size_t i = 0; i < checked->n_blocked; i++)
		if (kc_level_is_same(&checked->blocked[i], level) &&
		    (!*level->hash || !strcmp(checked->blocked[i].hash, level->hash)))
			return true;
	return false;
}

bool kc_state_allows(const struct kc_state *state, const struct kc_level *level, bool has_server)
{
	const struct kc_level *chosen = &state->checked.chosen;

	if (kc_state_is_blocked(state, level))
		return false;
	if (!has_server || !state->checked.at || strcmp(chosen->kernel_id, level->kernel_id) ||
	    kc_state_is_imported(state, level))
		return true;
	return !strcmp(chosen->type, level->type) && level->number <= chosen->number;
}

/* ---- reading ---- */

static struct kc_error *copy_text(const json_t *json, const char *key, char **text)
{
	const char *value = json_string_value(json_object_get(json, key));

	*text = value ? strdup(value) : NULL;
	return value && !*text ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_applied(const char *name, const json_t *json, struct kc_applied *applied)
{
	if (!kc_level_read(json, &applied->level) ||
	    !kc_agent_json_copy(json, "boot_id", applied->boot_id, sizeof(applied->boot_id)))
		return kc_agent_json_damaged(name, "applied");
	applied->created = json_integer_value(json_object_get(json, "created"));
	applied->applied_at = json_integer_value(json_object_get(json, "applied_at"));
	KC_TRY(copy_text(json, "effective_version", &applied->effective_version));
	KC_TRY(copy_text(json, "origin", &applied->origin));
	return copy_text(json, "patchset", &applied->patchset);
}

static struct kc_error *read_levels(const char *name, const char *key, const json_t *parent, struct kc_level **levels,
				    size_t *n)
{
	const json_t *array = json_object_get(parent, key);

	if (array && (!json_is_array(array) || json_array_size(array) > LEVELS_MAX))
		return kc_agent_json_damaged(name, key);
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct kc_level *added = kc_array_add(levels, n);

		if (!added)
			return kc_error_no_memory();
		if (!kc_level_read(json_array_get(array, i), added))
			return kc_agent_json_damaged(name, key);
	}
	return NULL;
}

static struct kc_error *read_checked(const char *name, const json_t *json, struct kc_checked *checked)
{
	const json_t *chosen = json_object_get(json, "chosen");

	checked->at = json_integer_value(json_object_get(json, "at"));
	checked->is_known = json_is_true(json_object_get(json, "is_known"));
	if (checked->at <= 0 || !kc_agent_json_copy(json, "root", checked->root, sizeof(checked->root)) ||
	    !kc_agent_json_copy(json, "feed", checked->feed, sizeof(checked->feed)) ||
	    !(chosen ? kc_level_read(chosen, &checked->chosen) : kc_kernel_and_type_read(json, &checked->chosen)))
		return kc_agent_json_damaged(name, "checked");
	KC_TRY(copy_text(json, "rules", &checked->rules));
	KC_TRY(copy_text(json, "patchset", &checked->patchset));
	return read_levels(name, "blocked", json, &checked->blocked, &checked->n_blocked);
}

static struct kc_error *read_crashes(const char *name, const json_t *array, struct kc_state *state)
{
	if (array && (!json_is_array(array) || json_array_size(array) > LEVELS_MAX))
		return kc_agent_json_damaged(name, "crashes");
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *json = json_array_get(array, i);
		struct kc_level level = { 0 };

		if (!kc_level_read(json, &level))
			return kc_agent_json_damaged(name, "crashes");
		KC_TRY(kc_state_add_crash(state, &level, json_integer_value(json_object_get(json, "loaded_at"))));
	}
	return NULL;
}

static struct kc_error *read_state(const char *name, const json_t *json, struct kc_state *state)
{
	const json_t *applied = json_object_get(json, "applied"), *checked = json_object_get(json, "checked");

	if (!kc_agent_json_copy(json, "kernel_id", state->kernel_id, sizeof(state->kernel_id)))
		return kc_agent_json_damaged(name, "kernel_id");
	KC_TRY(copy_text(json, "kernel_version", &state->kernel_version));
	if (applied)
		KC_TRY(read_applied(name, applied, &state->applied));
	if (checked)
		KC_TRY(read_checked(name, checked, &state->checked));
	KC_TRY(read_levels(name, "imported", json, &state->imported, &state->n_imported));
	return read_crashes(name, json_object_get(json, "crashes"), state);
}

struct kc_error *kc_state_parse(const char *name, const char *text, size_t size, struct kc_state *state)
{
	kc_autoagentjson json_t *json = NULL;
	struct kc_error *err;

	KC_TRY(kc_agent_json_load(name, text, size, DOCUMENT, &json));
	err = read_state(name, json, state);
	if (err)
		kc_state_clear(state);
	return err;
}

struct kc_error *kc_state_read(struct kc_state *state)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_STATE, &text, &path, &exists));
	return exists ? kc_state_parse(path, text.data, text.size, state) : NULL;
}

/* ---- writing ---- */

static int set_text(json_t *json, const char *key, const char *text)
{
	return text ? json_object_set_new(json, key, json_string(text)) : 0;
}

static int set_applied(json_t *json, const struct kc_applied *applied)
{
	json_t *object = json_object();

	return json_object_set_new(json, "applied", object) || kc_level_set(object, &applied->level) ||
	       set_text(object, "effective_version", applied->effective_version) ||
	       set_text(object, "patchset", applied->patchset) || set_text(object, "origin", applied->origin) ||
	       set_text(object, "boot_id", applied->boot_id) ||
	       json_object_set_new(object, "created", json_integer(applied->created)) ||
	       json_object_set_new(object, "applied_at", json_integer(applied->applied_at));
}

static int set_crashes(json_t *json, const struct kc_state *state)
{
	json_t *array = json_array();

	if (json_object_set_new(json, "crashes", array))
		return -1;
	for (size_t i = 0; i < state->n_crashes; i++) {
		json_t *object = json_object();

		if (json_array_append_new(array, object) || kc_level_set(object, &state->crashes[i].level) ||
		    json_object_set_new(object, "loaded_at", json_integer(state->crashes[i].loaded_at)))
			return -1;
	}
	return 0;
}

static int set_levels(json_t *json, const char *key, const struct kc_level *levels, size_t n)
{
	json_t *array = json_array();

	if (json_object_set_new(json, key, array))
		return -1;
	for (size_t i = 0; i < n; i++) {
		json_t *object = json_object();

		if (json_array_append_new(array, object) || kc_level_set(object, &levels[i]))
			return -1;
	}
	return 0;
}

static int set_chosen(json_t *json, const struct kc_level *chosen)
{
	json_t *object;

	if (!chosen->number)
		return json_object_set_new(json, "kernel_id", json_string(chosen->kernel_id)) ||
		       json_object_set_new(json, "type", json_string(chosen->type));
	object = json_object();
	return json_object_set_new(json, "chosen", object) || kc_level_set(object, chosen);
}

static int set_checked(json_t *json, const struct kc_checked *checked)
{
	json_t *object = json_object();

	return json_object_set_new(json, "checked", object) ||
	       json_object_set_new(object, "at", json_integer(checked->at)) ||
	       json_object_set_new(object, "root", json_string(checked->root)) ||
	       json_object_set_new(object, "feed", json_string(checked->feed)) ||
	       json_object_set_new(object, "is_known", json_boolean(checked->is_known)) ||
	       set_text(object, "rules", checked->rules) || set_text(object, "patchset", checked->patchset) ||
	       set_chosen(object, &checked->chosen) ||
	       set_levels(object, "blocked", checked->blocked, checked->n_blocked);
}

struct kc_error *kc_state_write(const struct kc_state *state)
{
	kc_autoagentjson json_t *json = json_object();

	if (set_text(json, "document", DOCUMENT) || set_text(json, "kernel_id", state->kernel_id) ||
	    set_text(json, "kernel_version", state->kernel_version) || set_crashes(json, state) ||
	    (state->applied.level.number && set_applied(json, &state->applied)) ||
	    (state->checked.at && set_checked(json, &state->checked)) ||
	    (state->n_imported && set_levels(json, "imported", state->imported, state->n_imported)))
		return kc_error_no_memory();
	return kc_agent_json_write(KC_PATH_STATE, json);
}

void kc_applied_clear(struct kc_applied *applied)
{
	free(applied->effective_version);
	free(applied->patchset);
	free(applied->origin);
	*applied = (struct kc_applied){ 0 };
}

struct kc_error *kc_state_forget_applied(struct kc_state *state)
{
	kc_applied_clear(&state->applied);
	return kc_state_write(state);
}

void kc_checked_clear(struct kc_checked *checked)
{
	free(checked->rules);
	free(checked->patchset);
	free(checked->blocked);
	memset(checked, 0, sizeof(*checked));
}

void kc_state_clear(struct kc_state *state)
{
	kc_checked_clear(&state->checked);
	free(state->imported);
	kc_applied_clear(&state->applied);
	free(state->kernel_version);
	free(state->crashes);
	memset(state, 0, sizeof(*state));
}
