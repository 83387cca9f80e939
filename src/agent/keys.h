/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The authors that this host trusts. */
#ifndef KC_AGENT_KEYS_H
#define KC_AGENT_KEYS_H

#include "sign/key.h"

/* KC_ERR_UNKNOWN_KEY, which says what to do, when nobody is trusted. */
struct kc_error *kc_agent_keyring_load(struct kc_ctx *ctx, struct kc_keyring **keyring);

#endif
