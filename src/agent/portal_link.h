/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host and its portal: registering, checking in, asking for the licence, sending a report. What the portal said
 * last is in agent/portal_state.h, who this host is in agent/identity.h. A portal that is away is never a reason for an
 * update to fail, or to wait for long.
 */
#ifndef KC_AGENT_PORTAL_LINK_H
#define KC_AGENT_PORTAL_LINK_H

#include "agent/config.h"
#include "agent/identity.h"

/* Where the portal is: REGISTRATION_URL, or below PATCH_SERVER (caller frees). KC_ERR_CONFIG: neither is set. */
struct kc_error *kc_portal_url(const struct kc_config *config, const char *path, char **url);

/*
 * Registers this host with a key; the same machine again replaces its entry. Takes the agent's lock. Errors of the
 * portal (KC_ERR_INVALID_KEY, KC_ERR_KEY_LIMIT, …) and of the network.
 */
struct kc_error *kc_portal_register(struct kc_ctx *ctx, const struct kc_config *config, const char *key);
/* Whether trying again may help: the network, a portal that is busy. */
bool kc_portal_is_temporary(const struct kc_error *err);
/*
 * The portal forgets this host, and this host its identity; the second one also when the portal does not know it any
 * more. KC_ERR_NOT_REGISTERED.
 */
struct kc_error *kc_portal_unregister(struct kc_ctx *ctx, const struct kc_config *config);
/* KC_ERR_NOT_REGISTERED. The caller clears `info` either way. */
struct kc_error *kc_portal_licence(struct kc_ctx *ctx, const struct kc_config *config, struct kc_licence_info *info);

/*
 * Tells the portal how this host is, and takes the key's terms from its answer. `error`: of the run; NULL: it was fine.
 * When the portal does not know this host, or another one speaks with its id, it registers anew with the key that it
 * has. The caller holds the agent's lock. KC_ERR_NOT_REGISTERED: there is nobody to tell.
 */
struct kc_error *kc_portal_check_in(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event,
				    const char *error);
/* The same from within a run: with short limits, and what goes wrong is only logged. */
void kc_portal_tell(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event,
		    const struct kc_error *err);
/* The same for those who do not hold the lock. */
void kc_portal_tell_unlocked(struct kc_ctx *ctx, const struct kc_config *config, enum kc_checkin_event event);
/* Takes the lock, and checks in: 1, 5 and 15 minutes from now. Ends at once when this host is not registered. */
struct kc_error *kc_portal_check_in_later(struct kc_ctx *ctx);

/* `key`: to quote (17 characters at least; caller frees). The report may be of a host that is not registered. */
struct kc_error *kc_portal_send_report(struct kc_ctx *ctx, const struct kc_config *config, const char *report,
				       char **key);

#endif
