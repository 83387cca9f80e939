/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What portal_link.c and checkin.c share; private to them. */
#ifndef KC_AGENT_PORTAL_INTERNAL_H
#define KC_AGENT_PORTAL_INTERNAL_H

#include "agent/config.h"
#include "agent/identity.h"

/*
 * Sends `request`, and appends the answer to `answer`; what the portal says went wrong is that error. `is_hasty`: one
 * try with short limits.
 */
struct kc_error *kc_portal_ask(struct kc_ctx *ctx, const struct kc_config *config, const char *path,
			       const struct kc_buf *request, bool is_hasty, struct kc_buf *answer);
/* Around a decoder of the answer: what is not understood is the portal's fault, KC_ERR_SERVER. */
struct kc_error *kc_portal_not_understood(struct kc_error *err);
/* `identity` has key, machine and instance; it gets the rest, and is on disk then. */
struct kc_error *kc_portal_register_identity(struct kc_ctx *ctx, const struct kc_config *config,
					     struct kc_identity *identity, bool is_hasty);
/*
 * The entry with another key would keep its place at the portal until it has been silent for long. It is removed there,
 * and then here.
 */
struct kc_error *kc_portal_leave_former(struct kc_ctx *ctx, const struct kc_config *config,
					struct kc_identity *identity);
/* KC_ERR_NOT_REGISTERED. */
struct kc_error *kc_portal_need_identity(struct kc_identity *identity);
/* The portal's answer to this server, for runs to come. */
struct kc_error *kc_portal_remember(const char *server_id, const char *nonce, struct kc_key_terms *terms);

#endif
