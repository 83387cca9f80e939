/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef KC_CMD_NOTIFY_H
#define KC_CMD_NOTIFY_H

#include "base/ctx.h"

/* Tells the service manager, if one asked for it, "READY=1" and the like: the protocol of sd_notify(3). */
void notify_systemd(struct kc_ctx *ctx, const char *state);

#endif
