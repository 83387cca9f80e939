/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the host's facts are shown. The first four lines of --info have the form that control panels parse:
 * "kpatch-description: LEVEL-TYPE:CREATED;EFFECTIVE-VERSION", where the type "default" is empty.
 */
#include "agent/info.h"

#include <string.h>
#include <time.h>

#include "agent/state_json.h"

#define NOTE "kpatch-note: "
#define NONE_NOW                                                                                    \
	"The feed has patches for this kernel, but none that this host may have now (type, delay, " \
	"sticky date, patchset, blocks)."

static void append_time(struct kc_buf *out, const char *format, int64_t seconds)
{
	time_t value = seconds;
	char text[64] = "N/A";
	struct tm utc;

	if (seconds && gmtime_r(&value, &utc))
		strftime(text, sizeof(text), format, &utc);
	kc_buf_append_str(out, text);
}

static void append_loaded(const struct kc_agent_info *info, struct kc_buf *out)
{
	bool is_default = !strcmp(info->loaded.type, "default");

	kc_buf_printf(out, "kpatch-state: patch is applied\nkpatch-for: %s\nkpatch-build-time: ", info->version);
	append_time(out, "%a %b %e %H:%M:%S %Y", info->created);
	kc_buf_printf(out, "\nkpatch-description: %u-%s:%lld;%s\n", info->loaded.level,
		      is_default ? "" : info->loaded.type, (long long)info->created, info->effective_version);
}

/* "3 hours ago" */
static void append_age(struct kc_buf *out, int64_t seconds)
{
	static const struct {
		int64_t below, unit;
		const char *name;
	} units[] = {
		{ 2 * 60, 1, "second" },
		{ 2 * 3600, 60, "minute" },
		{ 2 * 86400, 3600, "hour" },
		{ INT64_MAX, 86400, "day" },
	};
	size_t i = 0;

	if (seconds < 0) {
		kc_buf_append_str(out, "at a time that has not come yet: the clock was set back");
		return;
	}
	while (seconds >= units[i].below)
		i++;
	kc_buf_printf(out, "%lld %s%s ago", (long long)(seconds / units[i].unit), units[i].name,
		      seconds / units[i].unit == 1 ? "" : "s");
}

/* How far what we say can be relied on. Nothing for a host without a patch server. */
static void append_checked(const struct kc_agent_info *info, const char *before, const char *after, struct kc_buf *out)
{
	if (!info->has_server || info->is_container)
		return;
	kc_buf_append_str(out, before);
	if (info->checked_at) {
		kc_buf_append_str(out, "Checked ");
		append_age(out, info->now - info->checked_at);
		kc_buf_printf(out, ", feed %s.", info->feed);
	} else if (info->is_outdated) {
		kc_buf_append_str(out, "The configuration has changed since the last check; 'kcarectl --check' asks "
				       "again.");
	} else {
		kc_buf_append_str(out, "The patch server has not been asked about this kernel yet; 'kcarectl --check' "
				       "does.");
	}
	kc_buf_append_str(out, after);
}

static bool is_newer(const struct kc_agent_info *info)
{
	return info->status == KC_STATUS_NEW_PATCHES || info->status == KC_STATUS_NO_PATCHES;
}

static void append_crashes(const struct kc_agent_info *info, const char *prefix, struct kc_buf *out)
{
	for (size_t i = 0; i < info->n_crashes; i++) {
		const struct kc_crash *crash = &info->crashes[i];

		kc_buf_printf(out, "%sthe host went down after patch level %u (%s) was loaded on ", prefix,
			      crash->level.number, crash->level.type);
		append_time(out, "%Y-%m-%d %H:%M:%S UTC", crash->loaded_at);
		kc_buf_append_str(out, "; it is not loaded at boot; 'kcarectl --update' tries it again\n");
	}
}

static void append_notes(const struct kc_agent_info *info, struct kc_buf *out)
{
	if (info->loaded.in_transition)
		kc_buf_append_str(out, NOTE "the kernel is switching: some tasks still run the code from before\n");
	if (info->loaded.is_forced)
		kc_buf_append_str(out, NOTE "the patch was forced: only a reboot takes it out\n");
	if (info->is_blocked)
		kc_buf_append_str(out, NOTE "the patch is blocked; 'kcarectl --update' takes it out\n");
	if (is_newer(info) && info->newest.number)
		kc_buf_printf(out, NOTE "patch level %u (%s) is %s; 'kcarectl --update' applies it\n",
			      info->newest.number, info->newest.type, info->is_cached ? "in the cache" : "available");
	if (info->is_known && !info->loaded.level)
		kc_buf_append_str(out, NOTE NONE_NOW "\n");
	if (info->is_container)
		kc_buf_append_str(out, NOTE "this is a container: the kernel is patched on its host\n");
	else if (info->status == KC_STATUS_UNSUPPORTED)
		kc_buf_printf(out,
			      NOTE "no patch for this kernel (%s) is known; 'kcarectl --import-patch PATH' adds one\n",
			      info->kernel_id);
	append_checked(info, NOTE, "\n", out);
	if (info->loaded.other)
		kc_buf_printf(out, NOTE "another live patch is loaded: %s\n", info->loaded.other);
	append_crashes(info, NOTE, out);
}

struct kc_error *kc_agent_info_text(const struct kc_agent_info *info, struct kc_buf *out)
{
	if (info->loaded.level)
		append_loaded(info, out);
	else
		kc_buf_append_str(out, "No patches applied\n");
	append_notes(info, out);
	return out->failed ? kc_error_no_memory() : NULL;
}

static void append_status(const struct kc_agent_info *info, struct kc_buf *out)
{
	const struct kc_level *newest = &info->newest;

	switch (info->status) {
	case KC_STATUS_LATEST:
		kc_buf_printf(out, "Patch level %u is applied. It is the latest for this kernel.", info->loaded.level);
		break;
	case KC_STATUS_NO_PATCHES:
		if (newest->number)
			kc_buf_printf(out, "No patches applied. Patch level %u is available.", newest->number);
		else
			kc_buf_append_str(out, "No patches applied. " NONE_NOW);
		break;
	case KC_STATUS_NEW_PATCHES:
		if (info->is_blocked)
			kc_buf_printf(out, "Patch level %u is applied, but blocked: 'kcarectl --update' takes it out.",
				      info->loaded.level);
		else
			kc_buf_printf(out, "Patch level %u is applied. Patch level %u (%s) is available.",
				      info->loaded.level, newest->number, newest->type);
		break;
	case KC_STATUS_UNSUPPORTED:
		kc_buf_append_str(out, info->is_container ? "The kernel is unsupported: this is a container."
							  : "The kernel is unsupported: no patch for it is known.");
		break;
	}
}

struct kc_error *kc_agent_info_status(const struct kc_agent_info *info, struct kc_buf *out)
{
	append_status(info, out);
	append_checked(info, " ", "", out);
	kc_buf_append_str(out, "\n");
	append_crashes(info, "Note: ", out);
	return out->failed ? kc_error_no_memory() : NULL;
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *time_or_null(int64_t seconds)
{
	return seconds ? json_integer(seconds) : json_null();
}

static json_t *level_or_null(uint32_t level)
{
	return level ? json_integer(level) : json_null();
}

static const char *state_name(const struct kc_agent_info *info)
{
	if (info->loaded.in_transition)
		return "transition";
	return info->loaded.level ? "applied" : "none";
}

static const char *status_name(enum kc_agent_status status)
{
	static const char *const names[] = {
		[KC_STATUS_LATEST] = "latest",
		[KC_STATUS_NO_PATCHES] = "no-patches",
		[KC_STATUS_NEW_PATCHES] = "new-patches",
		[KC_STATUS_UNSUPPORTED] = "unsupported",
	};

	return names[status];
}

static json_t *crashes_json(const struct kc_agent_info *info)
{
	json_t *array = json_array();

	for (size_t i = 0; i < info->n_crashes; i++) {
		const struct kc_crash *crash = &info->crashes[i];

		json_array_append_new(array, json_pack("{s:I, s:s, s:s, s:o}", "level", (json_int_t)crash->level.number,
						       "type", crash->level.type, "hash", crash->level.hash,
						       "loaded-at", time_or_null(crash->loaded_at)));
	}
	return array;
}

/* "unset" is what control panels know for a host without a patch. */
static const char *type_name(const struct kc_agent_info *info)
{
	return *info->loaded.type ? info->loaded.type : "unset";
}

struct kc_error *kc_agent_info_json(const struct kc_agent_info *info, struct kc_buf *out)
{
	const struct {
		const char *key;
		json_t *value;
	} members[] = {
		{ "patch-state", json_string(state_name(info)) },
		{ "patch-type", json_string(type_name(info)) },
		{ "patch-level", level_or_null(info->loaded.level) },
		{ "patchset", text_or_null(info->patchset) },
		{ "build-time", time_or_null(info->created) },
		{ "applied-at", time_or_null(info->applied_at) },
		{ "is-forced", json_boolean(info->loaded.is_forced) },
		{ "kernel", text_or_null(info->release) },
		{ "kernel-version", text_or_null(info->version) },
		{ "kernel-id", text_or_null(info->kernel_id) },
		{ "effective-version", text_or_null(info->effective_version) },
		{ "available-level", level_or_null(info->newest.number) },
		{ "available-type", info->newest.number ? json_string(info->newest.type) : json_null() },
		{ "is-blocked", json_boolean(info->is_blocked) },
		{ "feed", info->has_server ? text_or_null(info->feed) : json_null() },
		{ "checked-at", time_or_null(info->checked_at) },
		{ "status", json_string(status_name(info->status)) },
		{ "other-livepatch", text_or_null(info->loaded.other) },
		{ "is-container", json_boolean(info->is_container) },
		{ "crashed-levels", crashes_json(info) },
	};
	kc_autoagentjson json_t *json = json_object();
	kc_autofree char *text = NULL;
	int failed = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		failed |= json_object_set_new(json, members[i].key, members[i].value);
	text = failed ? NULL : json_dumps(json, JSON_COMPACT);
	if (!text)
		return kc_error_no_memory();
	kc_buf_printf(out, "%s\n", text);
	return out->failed ? kc_error_no_memory() : NULL;
}
