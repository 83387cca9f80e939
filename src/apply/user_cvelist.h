/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /var/cache/kcare/libcare_cvelist: what is fixed in the memory of this host, one CVE per line, for scanners. What
 * counts is defined in docs/cvelist.md; in short: a CVE is listed when some process has its fix, every process that
 * maps a file for which a stored patch fixes it has it, too, and no process was unreadable.
 */
#ifndef KC_APPLY_USER_CVELIST_H
#define KC_APPLY_USER_CVELIST_H

#include "apply/user_report.h"

/*
 * Appends the list to `out`. `report` covers all processes. Says in the log what keeps a CVE off: unreadable processes
 * as warnings, unfixed ones as information.
 */
struct kc_error *kc_user_cvelist_compute(struct kc_ctx *ctx, const struct kc_user_report *report, struct kc_buf *out);

/*
 * Looks at all processes (but not at this one, which is about to end or tells of itself otherwise) and replaces the
 * list. Callers on one host take turns, so that an older view never replaces a newer one.
 */
struct kc_error *kc_user_cvelist_write(struct kc_ctx *ctx, struct kc_user_store *store,
				       const struct kc_user_blacklist *blacklist);

#endif
