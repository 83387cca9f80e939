/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/info.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "agent/cache.h"
#include "agent/paths.h"
#include "agent/policy.h"
#include "base/array.h"
#include "base/file.h"

enum { PROC_FILE_MAX = 16 << 20 };

void kc_agent_info_clear(struct kc_agent_info *info)
{
	free(info->release);
	free(info->version);
	free(info->effective_version);
	free(info->patchset);
	free(info->feed);
	kc_loaded_clear(&info->loaded);
	free(info->crashes);
	memset(info, 0, sizeof(*info));
}

/* The first line of a file of /proc; NULL in `*line` when there is no such file. */
static struct kc_error *read_line(const char *path, char **line)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read_now(path, PROC_FILE_MAX, &text);

	*line = NULL;
	if (err == -ENOENT)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	*line = strndup(text.data, strcspn(text.data, "\n"));
	return *line ? NULL : kc_error_no_memory();
}

static struct kc_error *read_release(char **release)
{
	struct utsname name;

	if (uname(&name) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "uname");
	*release = strdup(name.release);
	return *release ? NULL : kc_error_no_memory();
}

struct kc_error *kc_effective_version_read(char **version)
{
	KC_TRY(read_line(KC_PATH_PROC_EFFECTIVE_VERSION, version));
	if (*version && **version)
		return NULL;
	free(*version);
	return read_release(version);
}

struct kc_error *kc_patch_info_read(struct kc_buf *out)
{
	int err = kc_file_read_now(KC_PATH_PROC_PATCH_INFO, PROC_FILE_MAX, out);

	if (err == -ENOENT || (!err && !out->size))
		return kc_error_not_found();
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", KC_PATH_PROC_PATCH_INFO) : NULL;
}

/* The text of /proc/version, with its newline, as the state has it. */
static struct kc_error *read_version(const struct kc_kernel *kernel, const struct kc_state *state,
				     struct kc_agent_info *info)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read_now(KC_PATH_PROC_VERSION, PROC_FILE_MAX, &text);
	const char *id = kernel ? kernel->kernel_id : state->kernel_id;

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", KC_PATH_PROC_VERSION);
	if (!kernel && (!state->kernel_version || strcmp(state->kernel_version, text.data)))
		return kc_error_not_found();
	memcpy(info->kernel_id, id, KC_KERNEL_ID_SIZE);
	info->version = strndup(text.data, strcspn(text.data, "\n"));
	return info->version ? NULL : kc_error_no_memory();
}

/* Where the loaded patch came from, if it was this agent, in this boot. */
static void read_origin(struct kc_state *state, const char *boot_id, struct kc_agent_info *info)
{
	struct kc_applied *applied = &state->applied;

	if (!info->loaded.level || applied->level.number != info->loaded.level || strcmp(applied->boot_id, boot_id) ||
	    strcmp(applied->level.type, info->loaded.type))
		return;
	info->patchset = kc_steal(applied->patchset);
	info->created = applied->created;
	info->applied_at = applied->applied_at;
}

/* A marker of another boot is a crash already, although nobody has recorded it yet. */
static struct kc_error *read_crashes(struct kc_state *state, const char *boot_id, struct kc_agent_info *info)
{
	struct kc_loading loading;

	KC_TRY(kc_guard_read(&loading));
	if (loading.level.number && strcmp(loading.boot_id, boot_id))
		KC_TRY(kc_state_add_crash(state, &loading.level, loading.at));
	for (size_t i = 0; i < state->n_crashes; i++) {
		struct kc_crash *added;

		if (strcmp(state->crashes[i].level.kernel_id, info->kernel_id))
			continue;
		added = kc_array_add(&info->crashes, &info->n_crashes);
		if (!added)
			return kc_error_no_memory();
		*added = state->crashes[i];
	}
	return NULL;
}

bool kc_agent_is_in_container(const struct kc_kernel *kernel)
{
	return kernel->is_container && !secure_getenv("KCARE_ROOT");
}

enum kc_agent_status kc_agent_status_of(const struct kc_agent_info *info)
{
	const struct kc_loaded *loaded = &info->loaded;

	if (info->is_container || (!loaded->level && !info->newest.number && !info->is_known))
		return KC_STATUS_UNSUPPORTED;
	if (!loaded->level)
		return KC_STATUS_NO_PATCHES;
	if (info->is_blocked)
		return KC_STATUS_NEW_PATCHES;
	if (info->newest.number && strcmp(info->newest.type, loaded->type)) /* see KC_STEP_KEEP */
		return strcmp(loaded->type, info->wanted_type) ? KC_STATUS_NEW_PATCHES : KC_STATUS_LATEST;
	return info->newest.number > loaded->level ? KC_STATUS_NEW_PATCHES : KC_STATUS_LATEST;
}

/* Did the last check ask for what the configuration says now? */
static struct kc_error *read_checked(struct kc_state *state, const struct kc_config *config, struct kc_agent_info *info)
{
	const struct kc_checked *checked = &state->checked;
	kc_autofree char *plain = kc_policy_rules(config, false), *automatic = kc_policy_rules(config, true);

	info->feed = strdup(kc_config_feed(config));
	if (!plain || !automatic || !info->feed)
		return kc_error_no_memory();
	info->now = time(NULL);
	info->has_server = *config->patch_server != '\0';
	if (!info->has_server || !checked->at || strcmp(checked->chosen.kernel_id, info->kernel_id))
		return NULL;
	info->is_outdated = strcmp(checked->feed, info->feed) || !checked->rules ||
			    (strcmp(checked->rules, plain) && strcmp(checked->rules, automatic));
	if (!info->is_outdated)
		info->checked_at = checked->at;
	return NULL;
}

/* What the server offered, or what the cache has that is higher, that is: imported. */
static struct kc_error *read_newest(const struct kc_state *state, const char *type, struct kc_agent_info *info)
{
	const struct kc_level *chosen = &state->checked.chosen;
	struct kc_level cached;
	size_t n_left_out;

	KC_TRY(kc_cache_newest(
		&(struct kc_cache_query){
			.kernel_id = info->kernel_id, .type = type, .state = state, .has_server = info->has_server },
		&cached, &n_left_out));
	info->newest = info->checked_at ? *chosen : cached;
	if (cached.number &&
	    (!chosen->number || (cached.number > chosen->number && !strcmp(cached.type, chosen->type))))
		info->newest = cached;
	info->is_known = info->checked_at && state->checked.is_known && !info->newest.number;
	snprintf(info->wanted_type, sizeof(info->wanted_type), "%s", type);
	info->is_cached = kc_level_is_same(&info->newest, &cached);
	return NULL;
}

static struct kc_error *read_all(struct kc_ctx *ctx, const struct kc_kernel *kernel, struct kc_state *state,
				 const struct kc_config *config, struct kc_agent_info *info)
{
	char boot_id[KC_BOOT_ID_SIZE];
	struct kc_level level;

	KC_TRY(read_version(kernel, state, info));
	KC_TRY(kc_boot_id_read(boot_id));
	KC_TRY(read_release(&info->release));
	KC_TRY(kc_effective_version_read(&info->effective_version));
	KC_TRY(kc_loaded_read(ctx, &info->loaded));
	kc_loaded_level(&info->loaded, state, info->kernel_id, boot_id, &level);
	info->is_blocked = level.number && kc_state_is_blocked(state, &level);
	read_origin(state, boot_id, info);
	KC_TRY(read_crashes(state, boot_id, info));
	info->is_container = kernel && kc_agent_is_in_container(kernel);
	KC_TRY(read_checked(state, config, info));
	KC_TRY(read_newest(state, config->patch_type, info));
	info->status = kc_agent_status_of(info);
	return NULL;
}

struct kc_error *kc_agent_info_read(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_config *config,
				    struct kc_agent_info *info)
{
	KC_CLEANUP_STATE struct kc_state state = { 0 };

	*info = (struct kc_agent_info){ 0 };
	KC_TRY(kc_state_read(&state));
	return read_all(ctx, kernel, &state, config, info);
}
