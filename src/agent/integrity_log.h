/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /var/log/kcare/integrity.log: one line for each violation of integrity: when, its name, the feed, the URL, and what
 * happened. For auditors: it is written whatever --quiet says, and whatever becomes of the run.
 */
#ifndef KC_AGENT_INTEGRITY_LOG_H
#define KC_AGENT_INTEGRITY_LOG_H

#include <stdbool.h>

#include "base/ctx.h"

/* Does this kind of error mean that something is not what its signer made, or not the newest of it? */
bool kc_is_violation(const struct kc_error *err);
/* A log that cannot be written is a warning. `url`: what was asked for last; NULL: nothing. */
void kc_integrity_log(struct kc_ctx *ctx, const struct kc_error *err, const char *feed, const char *url);
/* Appends the line, with its newline. Whatever could end a line or deceive a terminal is escaped: "\x1b". */
void kc_integrity_line(const struct kc_error *err, const char *feed, const char *url, int64_t now, struct kc_buf *out);

#endif
