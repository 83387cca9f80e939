/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/policy.h"

#include <string.h>

enum { DAY_S = 86400 };

/* What STICKY_PATCH=KEY means on this host, by the portal's last answer. No date: the key has none. */
static struct kc_error *read_key_sticky(const struct kc_config *config, int64_t now, struct kc_sticky *sticky)
{
	kc_autoerror struct kc_error *err = NULL;

	*sticky = (struct kc_sticky){ 0 };
	if (!config->has_terms)
		return kc_error_new(
			KC_ERR_REFUSED,
			"STICKY_PATCH=KEY: the date comes from the key that a host is registered with, and "
			"this host is not registered, or its portal did not answer yet; nothing is changed. "
			"Register it ('kcarectl --register KEY'), or set a date, or none: "
			"'kcarectl --set-sticky-patch \"\"'");
	if (!strcmp(config->key_sticky, "yesterday")) {
		sticky->before = now - now % DAY_S;
		return NULL;
	}
	err = kc_sticky_parse(config->key_sticky, sticky);
	if (!err && !sticky->is_key)
		return NULL;
	return kc_error_new(KC_ERR_REFUSED,
			    "STICKY_PATCH=KEY: '%s', which the portal says, is not a day; nothing is changed. Whoever "
			    "runs the portal must give the key another one",
			    config->key_sticky);
}

static struct kc_error *read_sticky(struct kc_ctx *ctx, const struct kc_config *config, bool is_automatic, int64_t now,
				    struct kc_choice_policy *choice)
{
	const struct kc_sticky *sticky = kc_config_sticky(config, is_automatic);
	struct kc_sticky of_key;
	char text[16];

	if (sticky->is_key) {
		KC_TRY(read_key_sticky(config, now, &of_key));
		sticky = &of_key;
	}
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
	KC_TRY(kc_machine_id(policy->host));
	return read_sticky(ctx, config, is_automatic, now, &policy->choice);
}
