/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host and its portal, as an administrator asks: registering, the licence, a report. What runs tell by themselves
 * is agent/checkin.h; what the portal said last agent/portal_state.h; who this host is agent/identity.h.
 */
#ifndef KC_AGENT_PORTAL_LINK_H
#define KC_AGENT_PORTAL_LINK_H

#include "agent/config.h"
#include "agent/identity.h"

/* Where the portal is: REGISTRATION_URL, or below PATCH_SERVER (caller frees). KC_ERR_CONFIG: neither is set. */
struct kc_error *kc_portal_url(const struct kc_config *config, const char *path, char **url);

/*
 * Registers this host with a key; the same machine again replaces its entry, and with another key leaves the one of
 * before. Takes the agent's lock. Errors of the
 * portal (KC_ERR_INVALID_KEY, KC_ERR_KEY_LIMIT, …) and of the network.
 */
struct kc_error *kc_portal_register(struct kc_ctx *ctx, const struct kc_config *config, const char *key);
/* Whether trying again may help: the network, a portal that is busy. */
bool kc_portal_is_temporary(const struct kc_error *err);
/*
 * The portal forgets this host, and this host its identity; the second one also when the portal does not know it any
 * more. One try with short limits: packages call it when they are removed. KC_ERR_NOT_REGISTERED.
 */
struct kc_error *kc_portal_unregister(struct kc_ctx *ctx, const struct kc_config *config);
/* KC_ERR_NOT_REGISTERED. The caller clears `info` either way. */
struct kc_error *kc_portal_licence(struct kc_ctx *ctx, const struct kc_config *config, struct kc_licence_info *info);

/* `key`: to quote (17 characters at least; caller frees). The report may be of a host that is not registered. */
struct kc_error *kc_portal_send_report(struct kc_ctx *ctx, const struct kc_config *config, const char *report,
				       char **key);

#endif
