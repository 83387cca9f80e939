/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kcarectl writes into kcare.conf. */
#ifndef KC_AGENT_SETTINGS_H
#define KC_AGENT_SETTINGS_H

#include "agent/config.h"

/*
 * Checks PATCH_TYPE and STICKY_PATCH (each NULL: stays as it is), then writes them. "" for the latter is none.
 * KC_ERR_USAGE: not a type, not a date; KC_ERR_REFUSED: the day is not over, or it is older than STICKY_LIMIT.
 */
struct kc_error *kc_agent_set(struct kc_ctx *ctx, const char *patch_type, const char *sticky);

#endif
