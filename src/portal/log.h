/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's log, on standard error: one line for each event, as text or as JSON. Hostile bytes are escaped. */
#ifndef KC_PORTAL_LOG_H
#define KC_PORTAL_LOG_H

#include "base/ctx.h"

void kc_portal_log_open(struct kc_ctx *ctx, enum kc_log_level most_verbose, bool as_json);

#endif
