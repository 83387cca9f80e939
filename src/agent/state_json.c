/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/state_json.h"

#include <string.h>

#include "agent/root_file.h"

struct kc_error *kc_agent_json_damaged(const char *name, const char *what)
{
	return kc_error_new(
		KC_ERR_CORRUPT,
		"%s is damaged (%s): remove it; what is forgotten then is which patch was applied when, and "
		"which levels this host went down with",
		name, what);
}

struct kc_error *kc_agent_json_load(const char *name, const char *text, size_t size, const char *document,
				    json_t **json)
{
	kc_autoagentjson json_t *loaded = NULL;
	const char *found;
	json_error_t err;

	loaded = json_loadb(text, size, JSON_REJECT_DUPLICATES, &err);
	if (!loaded)
		return kc_agent_json_damaged(name, err.text);
	found = json_string_value(json_object_get(loaded, "document"));
	if (!found || strcmp(found, document))
		return kc_agent_json_damaged(name, "it is another kind of file, or written by a newer kcare");
	*json = kc_steal(loaded);
	return NULL;
}

struct kc_error *kc_agent_json_write(const char *fixed, const json_t *json)
{
	kc_autofree char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;

	if (!text)
		return kc_error_no_memory();
	return kc_root_file_write(fixed, text, strlen(text));
}

bool kc_agent_json_copy(const json_t *json, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(json, key));

	if (!value || strlen(value) >= size)
		return false;
	memcpy(text, value, strlen(value) + 1);
	return true;
}

static bool is_hex(const char *text, size_t length)
{
	return strspn(text, "0123456789abcdef") == length && !text[length];
}

bool kc_kernel_and_type_read(const json_t *json, struct kc_level *level)
{
	return kc_agent_json_copy(json, "kernel_id", level->kernel_id, sizeof(level->kernel_id)) &&
	       is_hex(level->kernel_id, KC_KERNEL_ID_SIZE - 1) &&
	       kc_agent_json_copy(json, "type", level->type, sizeof(level->type)) && *level->type;
}

bool kc_level_read(const json_t *json, struct kc_level *level)
{
	json_int_t number = json_integer_value(json_object_get(json, "level"));

	if (number < 1 || number > UINT32_MAX)
		return false;
	level->number = (uint32_t)number;
	return kc_kernel_and_type_read(json, level) &&
	       kc_agent_json_copy(json, "hash", level->hash, sizeof(level->hash)) &&
	       is_hex(level->hash, KC_SHA256_TEXT_SIZE - 1);
}

int kc_level_set(json_t *json, const struct kc_level *level)
{
	return json_object_set_new(json, "kernel_id", json_string(level->kernel_id)) ||
	       json_object_set_new(json, "type", json_string(level->type)) ||
	       json_object_set_new(json, "level", json_integer(level->number)) ||
	       json_object_set_new(json, "hash", json_string(level->hash));
}
