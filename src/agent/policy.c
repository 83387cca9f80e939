/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/paths.h"
#include "base/file.h"

enum { MACHINE_ID_FILE_MAX = 4096 };

static struct kc_error *read_host(char host[KC_HOST_NAME_SIZE])
{
	kc_autofree char *path = kc_user_path(KC_PATH_MACHINE_ID);
	kc_autobuf struct kc_buf text = { 0 };

	if (!path)
		return kc_error_no_memory();
	if (!kc_file_read_now(path, MACHINE_ID_FILE_MAX, &text) && text.size)
		snprintf(host, KC_HOST_NAME_SIZE, "%.*s", (int)strcspn(text.data, "\n"), text.data);
	else if (gethostname(host, KC_HOST_NAME_SIZE) < 0)
		strcpy(host, "unknown");
	host[KC_HOST_NAME_SIZE - 1] = '\0';
	return NULL;
}

static struct kc_error *read_sticky(struct kc_ctx *ctx, const struct kc_config *config, bool is_automatic, int64_t now,
				    struct kc_choice_policy *choice)
{
	const struct kc_sticky *sticky = kc_config_sticky(config, is_automatic);
	char text[16];

	if (sticky->is_key)
		return kc_error_new(KC_ERR_REFUSED,
				    "STICKY_PATCH=KEY: the date comes from the key that a host is registered with, and "
				    "this host is not registered; nothing is changed. Set a date instead, or none: "
				    "'kcarectl --set-sticky-patch \"\"'");
	KC_TRY(kc_sticky_check(sticky, now));
	kc_sticky_text(sticky, text);
	if (kc_sticky_is_old(sticky, now, config->sticky_limit_days))
		kc_warning(ctx,
			   "the sticky date %s is more than %u days ago; it still holds: this host gets no newer fixes",
			   text, config->sticky_limit_days);
	choice->before = sticky->before;
	return NULL;
}

struct kc_error *kc_policy_read(struct kc_ctx *ctx, const struct kc_config *config, bool is_automatic, int64_t now,
				struct kc_policy *policy)
{
	*policy = (struct kc_policy){
		.choice = { .type = config->patch_type,
			    .now = now,
			    .delay_s = kc_config_delay_s(config, is_automatic),
			    .not_newer = kc_config_patchset(config, is_automatic),
			    .host = policy->host },
	};
	KC_TRY(read_host(policy->host));
	return read_sticky(ctx, config, is_automatic, now, &policy->choice);
}

char *kc_policy_rules(const struct kc_config *config, bool is_automatic)
{
	const char *patchset = kc_config_patchset(config, is_automatic);
	int64_t delay_s = kc_config_delay_s(config, is_automatic);
	kc_autobuf struct kc_buf rules = { 0 };
	char sticky[16];

	kc_sticky_text(kc_config_sticky(config, is_automatic), sticky);
	kc_buf_printf(&rules, "type=%s", config->patch_type);
	if (*sticky)
		kc_buf_printf(&rules, " sticky=%s", sticky);
	if (*patchset)
		kc_buf_printf(&rules, " patchset=%s", patchset);
	if (delay_s)
		kc_buf_printf(&rules, " delay=%" PRId64 "h", delay_s / 3600);
	return kc_buf_take(&rules);
}
