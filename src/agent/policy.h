/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kcare.conf says about choosing, in the words of repo/choice.h; for kernels and for userspace. */
#ifndef KC_AGENT_POLICY_H
#define KC_AGENT_POLICY_H

#include "repo/choice.h"
#include "agent/config.h"
#include "agent/identity.h"

struct kc_policy {
	struct kc_choice_policy choice; /* points into `host` and into the configuration */
	char host[KC_SHA256_TEXT_SIZE]; /* kc_machine_id() */
};

/*
 * `is_automatic`: the AUTO_ keys count. KC_ERR_REFUSED: the sticky date is not over, or comes from a key that this host
 * does not have, or that is not over. A date that is older than its limit is a warning, and holds. `policy` must stay
 * where it is.
 */
struct kc_error *kc_policy_read(struct kc_ctx *ctx, const struct kc_config *config, bool is_automatic, int64_t now,
				struct kc_policy *policy);

/*
 * The part of it that an administrator chose as text, "type=extra sticky=2026-11-20 patchset=K20261120_01
 * delay=48h" (caller frees; NULL when out of memory). Two runs with the same text differ only by what time and server
 * brought.
 */
char *kc_policy_rules(const struct kc_config *config, bool is_automatic);

#endif
