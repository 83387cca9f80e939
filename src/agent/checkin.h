/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a registered host tells its portal, and when; each answer brings the key's terms. Nothing here may make an
 * update fail, or wait for long: one try with short limits, and what goes wrong is only logged. On a host that is not
 * registered nothing happens. The caller holds the agent's lock, but where it is said.
 */
#ifndef KC_AGENT_CHECKIN_H
#define KC_AGENT_CHECKIN_H

#include "agent/config.h"
#include "agent/portal_state.h"

/* How a run ended. */
struct kc_run_end {
	enum kc_run_kind kind;
	const struct kc_error *err;	 /* NULL: well */
	uint32_t n_processes, n_patched; /* KC_RUN_USERSPACE */
};

/*
 * False: the portal is away, so whoever has something more to tell in this run need not try. When it does not know this
 * host, or another one speaks with its id, the host registers anew with the key that it has.
 */
bool kc_checkin(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event);
/*
 * The same at the end of a run: `has_changed` something, or failed (to do nothing is no failure). The end is remembered
 * until the next run of its kind, and told by all check-ins until then.
 */
bool kc_checkin_end(struct kc_ctx *ctx, const struct kc_config *config, const struct kc_run_end *end, bool has_changed);
/* Only remembers it, when it is known that the portal is away. */
void kc_checkin_remember_end(struct kc_ctx *ctx, const struct kc_run_end *end);
/* Takes the lock for it. */
bool kc_checkin_unlocked(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event);
/*
 * Before a run that somebody waits for, or that goes by the date of its key: asks for the terms as they are now. Takes
 * the lock. False as above; the last terms count then.
 */
bool kc_checkin_for_terms(struct kc_ctx *ctx, struct kc_config *config, bool is_automatic);
/* After a change: 1, 5 and 15 minutes from now. Takes the lock each time. */
struct kc_error *kc_checkin_later(struct kc_ctx *ctx);

#endif
