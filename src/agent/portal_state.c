/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/portal_state.h"

#include <string.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/state_json.h"

#define DOCUMENT "kcare-portal-1"

static const char *const error_names[KC_N_RUN_KINDS] = { "kernel_error", "userspace_error" };

void kc_portal_state_clear(struct kc_portal_state *state)
{
	kc_checkin_answer_clear(&state->answer);
	for (int i = 0; i < KC_N_RUN_KINDS; i++)
		free(state->errors[i]);
	memset(state, 0, sizeof(*state));
}

/* The answer is kept as it came, so that its limits hold here, too. */
static struct kc_error *read_answer(const json_t *json, struct kc_portal_state *state)
{
	const json_t *answer = json_object_get(json, "answer");
	kc_autofree char *text = json_is_object(answer) ? json_dumps(answer, JSON_COMPACT) : NULL;

	if (!text)
		return kc_error_new(KC_ERR_CORRUPT, "no answer");
	return kc_checkin_answer_decode(text, strlen(text), &state->answer);
}

static uint32_t count(const json_t *json, const char *name)
{
	json_int_t number = json_integer_value(json_object_get(json, name));

	return number < 0 || number > UINT32_MAX ? 0 : (uint32_t)number;
}

static struct kc_error *read_members(const json_t *json, struct kc_portal_state *state)
{
	const char *id = json_string_value(json_object_get(json, "server_id"));

	KC_TRY(read_answer(json, state));
	state->answered_at = json_integer_value(json_object_get(json, "answered_at"));
	if (state->answered_at < 0)
		return kc_error_new(KC_ERR_CORRUPT, "a time before all times");
	if (id && kc_server_id_is_valid(id))
		memcpy(state->server_id, id, KC_SERVER_ID_SIZE);
	state->n_processes = count(json, "n_processes");
	state->n_patched = count(json, "n_patched");
	for (int i = 0; i < KC_N_RUN_KINDS; i++) {
		const char *text = json_string_value(json_object_get(json, error_names[i]));

		if (!text)
			continue;
		state->errors[i] = kc_plain_text(text, KC_PROTO_ERROR_MAX);
		if (!state->errors[i])
			return kc_error_no_memory();
	}
	return NULL;
}

struct kc_error *kc_portal_state_parse(const char *text, size_t size, struct kc_portal_state *state)
{
	kc_autoerror struct kc_error *err = NULL;
	kc_autoagentjson json_t *json = NULL;

	*state = (struct kc_portal_state){ 0 };
	err = kc_agent_json_load(KC_PATH_PORTAL, text, size, DOCUMENT, &json);
	if (!err)
		err = read_members(json, state);
	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	kc_portal_state_clear(state);
	return NULL;
}

struct kc_error *kc_portal_state_read(struct kc_portal_state *state)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	*state = (struct kc_portal_state){ 0 };
	KC_TRY(kc_root_file_read(KC_PATH_PORTAL, &text, &path, &exists));
	return exists ? kc_portal_state_parse(text.data, text.size, state) : NULL;
}

struct kc_error *kc_portal_state_write(const struct kc_portal_state *state)
{
	kc_autoagentjson json_t *json = NULL, *answer = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int failed = 0;

	KC_TRY(kc_checkin_answer_encode(&state->answer, &text));
	answer = json_loadb(text.data, text.size, 0, NULL);
	json = json_pack("{s:s, s:O, s:I, s:s, s:I, s:I}", "document", DOCUMENT, "answer", answer, "answered_at",
			 (json_int_t)state->answered_at, "server_id", state->server_id, "n_processes",
			 (json_int_t)state->n_processes, "n_patched", (json_int_t)state->n_patched);
	for (int i = 0; json && i < KC_N_RUN_KINDS; i++)
		if (state->errors[i])
			failed |= json_object_set_new(json, error_names[i], json_string(state->errors[i]));
	if (failed)
		return kc_error_no_memory();
	KC_TRY(kc_root_folder_make(KC_PATH_CACHE, NULL));
	return kc_agent_json_write(KC_PATH_PORTAL, json);
}

struct kc_error *kc_portal_state_remove(void)
{
	return kc_root_file_remove(KC_PATH_PORTAL);
}
