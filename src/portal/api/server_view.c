/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/api/server_view.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/answer.h"

int64_t kc_api_active_since(const struct kc_portal *portal, int64_t now)
{
	return now - (int64_t)portal->config.inactive_days * 86400;
}

/* As the host itself chooses, by the rules that it reported. */
struct kc_error *kc_server_look(const struct kc_portal *portal, const struct kc_server *server, int64_t now,
				struct kc_server_state *state)
{
	const struct kc_checkin *last = &server->last;
	const struct kc_choice_policy policy = {
		.type = *last->type ? last->type : "default",
		.now = now,
		.delay_s = last->delay_s,
		.before = last->sticky_before,
		.not_newer = last->pinned,
		.host = last->host_tag,
	};
	struct kc_error *err;
	int64_t seen = server->checked_in > server->registered ? server->checked_in : server->registered;

	*state = (struct kc_server_state){
		.offer = KC_OFFER_UNSUPPORTED,
		.is_silent = seen < kc_api_active_since(portal, now),
	};
	if (!*last->kernel_id) /* it has not checked in yet */
		return NULL;
	err = kc_publisher_offer(portal->publisher, server->feed, last->kernel_id, &policy, last->level, &state->offer,
				 &state->offered);
	/* hosts say themselves what they follow: one that names no feed of ours must not end the list */
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		state->offer = KC_OFFER_UNSUPPORTED;
		state->offered = 0;
		return NULL;
	}
	return err;
}

const char *kc_server_state_name(const struct kc_server_state *state)
{
	return state->is_silent ? "inactive" : kc_offer_name(state->offer);
}

/* ---- JSON ---- */

/* Those of the operator and those of the host; NULL when out of memory. */
static char *all_tags(const struct kc_server *server)
{
	bool both = *server->tags && *server->last.tags;
	char *text;

	return asprintf(&text, "%s%s%s", server->tags, both ? ";" : "", server->last.tags) < 0 ? NULL : text;
}

json_t *kc_server_json(const struct kc_server *server, const struct kc_server_state *state)
{
	const struct kc_checkin *last = &server->last;
	kc_autofree char *tags = all_tags(server);

	if (!tags)
		return NULL;
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:I, s:s, s:o, s:o, s:I, s:s, s:s, s:s, s:s, "
		"s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:{s:b, s:I, s:I}}",
		"id", server->id, "ip", server->ip, "hostname", server->hostname, "key", server->key, "feed",
		server->feed, "registered", kc_api_time(server->registered), "checkin", kc_api_time(server->checked_in),
		"updated", kc_api_time(server->updated), "euname", last->effective_version, "release", last->release,
		"kernel_id", last->kernel_id, "patch_level", (json_int_t)last->level, "patch_type", last->type, "tags",
		kc_api_text(tags), "portal_tags", kc_api_text(server->tags), "uptime", (json_int_t)last->uptime_s,
		"version", "", "virt", last->virtualization, "kcare_version", last->agent_version, "distro",
		last->distro, "distro_version", last->distro_version, "machine", last->machine, "processor",
		last->processor, "status", kc_server_state_name(state), "offered_level", (json_int_t)state->offered,
		"patchset", last->patchset, "last_error", last->last_error, "libcare", "enabled",
		last->libcare_is_enabled, "processes", (json_int_t)last->n_processes, "patched",
		(json_int_t)last->n_patched);
}

/* ---- CSV ---- */

/*
 * RFC 4180. A host that calls itself "=HYPERLINK(…)" must not become a formula in somebody's spreadsheet: such a text
 * gets an apostrophe, which spreadsheets show as the text that follows it.
 */
static void add_cell(struct kc_buf *out, const char *text, bool is_last)
{
	if (*text && strchr("=+-@\t\r\n", *text)) {
		kc_buf_append_str(out, "\"'");
	} else {
		kc_buf_append_str(out, "\"");
	}
	for (; *text; text++) {
		if (*text == '"')
			kc_buf_append_str(out, "\"");
		kc_buf_append(out, text, 1);
	}
	kc_buf_append_str(out, is_last ? "\"\r\n" : "\",");
}

void kc_server_csv_head(struct kc_buf *out)
{
	kc_buf_append_str(out, "id,ip,hostname,key,feed,status,registered,checkin,updated,euname,release,kernel_id,"
			       "patch_level,offered_level,patch_type,patchset,tags,uptime,virt,kcare_version,distro,"
			       "distro_version,machine,processor,last_error\r\n");
}

void kc_server_csv(const struct kc_server *server, const struct kc_server_state *state, struct kc_buf *out)
{
	const struct kc_checkin *last = &server->last;
	char registered[32], checkin[32], updated[32], level[16], offered[16], uptime[24];
	kc_autofree char *tags = all_tags(server);
	const char *const cells[] = {
		server->id,
		server->ip,
		server->hostname,
		server->key,
		server->feed,
		kc_server_state_name(state),
		registered,
		checkin,
		updated,
		last->effective_version,
		last->release,
		last->kernel_id,
		level,
		offered,
		last->type,
		last->patchset,
		tags ? tags : "",
		uptime,
		last->virtualization,
		last->agent_version,
		last->distro,
		last->distro_version,
		last->machine,
		last->processor,
		last->last_error,
	};

	kc_api_time_text(server->registered, registered);
	kc_api_time_text(server->checked_in, checkin);
	kc_api_time_text(server->updated, updated);
	snprintf(level, sizeof(level), "%u", last->level);
	snprintf(offered, sizeof(offered), "%u", state->offered);
	snprintf(uptime, sizeof(uptime), "%lld", (long long)last->uptime_s);
	out->failed |= !tags;
	for (size_t i = 0; i < KC_ARRAY_SIZE(cells); i++)
		add_cell(out, cells[i], i + 1 == KC_ARRAY_SIZE(cells));
}
