/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The administrator's part of the policy as text. By itself: programs that only look link it, and no hashes with it. */
#include "agent/policy.h"

#include <inttypes.h>

#include "base/buf.h"

char *kc_policy_rules(const struct kc_config *config, bool is_automatic)
{
	const struct kc_sticky *chosen = kc_config_sticky(config, is_automatic);
	const char *patchset = kc_config_patchset(config, is_automatic);
	int64_t delay_s = kc_config_delay_s(config, is_automatic);
	kc_autobuf struct kc_buf rules = { 0 };
	char sticky[16];

	kc_sticky_text(chosen, sticky);
	kc_buf_printf(&rules, "type=%s", config->patch_type);
	if (*sticky)
		kc_buf_printf(&rules, " sticky=%s", sticky);
	if (chosen->is_key && *config->key_sticky)
		kc_buf_printf(&rules, ":%s", config->key_sticky);
	if (*patchset)
		kc_buf_printf(&rules, " patchset=%s", patchset);
	if (delay_s)
		kc_buf_printf(&rules, " delay=%" PRId64 "h", delay_s / 3600);
	return kc_buf_take(&rules);
}
