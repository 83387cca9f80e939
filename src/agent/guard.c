/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/guard.h"

#include <string.h>
#include <time.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/state_json.h"
#include "base/file.h"

#define DOCUMENT "kcare-loading-1"

struct kc_error *kc_boot_id_read(char boot_id[KC_BOOT_ID_SIZE])
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read_now(KC_PATH_BOOT_ID, 4096, &text);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", KC_PATH_BOOT_ID);
	if (text.size < KC_BOOT_ID_SIZE - 1)
		return kc_error_new(KC_ERR_SYSTEM, "%s has no id", KC_PATH_BOOT_ID);
	memcpy(boot_id, text.data, KC_BOOT_ID_SIZE - 1);
	boot_id[KC_BOOT_ID_SIZE - 1] = '\0';
	return NULL;
}

int64_t kc_up_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

struct kc_error *kc_guard_begin(const struct kc_level *level)
{
	kc_autoagentjson json_t *json = json_object();
	char boot_id[KC_BOOT_ID_SIZE];

	KC_TRY(kc_boot_id_read(boot_id));
	if (json_object_set_new(json, "document", json_string(DOCUMENT)) || kc_level_set(json, level) ||
	    json_object_set_new(json, "boot_id", json_string(boot_id)) ||
	    json_object_set_new(json, "at", json_integer(time(NULL))) ||
	    json_object_set_new(json, "up_s", json_integer(kc_up_seconds())))
		return kc_error_no_memory();
	return kc_agent_json_write(KC_PATH_LOADING, json);
}

struct kc_error *kc_guard_cancel(void)
{
	return kc_root_file_remove(KC_PATH_LOADING);
}

struct kc_error *kc_guard_parse(const char *name, const char *text, size_t size, struct kc_loading *loading)
{
	kc_autoagentjson json_t *json = NULL;

	KC_TRY(kc_agent_json_load(name, text, size, DOCUMENT, &json));
	if (!kc_level_read(json, &loading->level) ||
	    !kc_agent_json_copy(json, "boot_id", loading->boot_id, sizeof(loading->boot_id))) {
		*loading = (struct kc_loading){ 0 };
		return kc_agent_json_damaged(name, "level");
	}
	loading->at = json_integer_value(json_object_get(json, "at"));
	loading->up_s = json_integer_value(json_object_get(json, "up_s"));
	return NULL;
}

struct kc_error *kc_guard_read(struct kc_loading *loading)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	*loading = (struct kc_loading){ 0 };
	KC_TRY(kc_root_file_read(KC_PATH_LOADING, &text, &path, &exists));
	return exists ? kc_guard_parse(path, text.data, text.size, loading) : NULL;
}

/* The state is on disk before the marker goes: a host that goes down in between finds one of them. */
static struct kc_error *finish(const struct kc_state *state)
{
	KC_TRY(kc_state_write(state));
	return kc_root_file_remove(KC_PATH_LOADING);
}

struct kc_error *kc_guard_settle(struct kc_ctx *ctx, struct kc_state *state, bool proved, int64_t *wait_s)
{
	char boot_id[KC_BOOT_ID_SIZE];
	struct kc_loading loading;
	int64_t left;

	if (wait_s)
		*wait_s = 0;
	KC_TRY(kc_guard_read(&loading));
	if (!loading.level.number)
		return NULL;
	KC_TRY(kc_boot_id_read(boot_id));
	if (strcmp(loading.boot_id, boot_id)) {
		kc_warning(
			ctx,
			"the host went down after patch level %u was loaded; automatic runs leave it out from now on",
			loading.level.number);
		KC_TRY(kc_state_add_crash(state, &loading.level, loading.at));
		return finish(state);
	}
	left = loading.up_s + KC_GUARD_PROVED_S - kc_up_seconds();
	if (!proved && left > 0) {
		if (wait_s)
			*wait_s = left;
		return NULL;
	}
	if (!strcmp(state->applied.boot_id, boot_id) && kc_level_is_same(&state->applied.level, &loading.level))
		kc_state_drop_crash(state, &loading.level);
	return finish(state);
}
