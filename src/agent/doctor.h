/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What whoever helps this host's administrator needs to see: versions, configuration, state, logs; and no secrets. */
#ifndef KC_AGENT_DOCTOR_H
#define KC_AGENT_DOCTOR_H

#include "base/buf.h"
#include "base/ctx.h"

#define KC_DOCTOR_FALLBACK "/root/cl-report" /* where it is kept when it cannot be sent */

enum { KC_DOCTOR_REPORT_MAX = 1 << 20 };

/*
 * Appends the report: text, at most KC_DOCTOR_REPORT_MAX bytes; what cannot be read is said in its place. Secrets and
 * addresses of the kernel are hidden.
 */
struct kc_error *kc_doctor_report(struct kc_ctx *ctx, struct kc_buf *out);
/* A line of a configuration without what only its owner may know: keys, secrets, and passwords in URLs. */
void kc_doctor_mask(const char *line, size_t size, struct kc_buf *out);

#endif
