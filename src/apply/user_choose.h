/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to a process under a policy: which patches fit, may it be patched, does it go forward. It decides;
 * apply/user.h switches.
 */
#ifndef KC_APPLY_USER_CHOOSE_H
#define KC_APPLY_USER_CHOOSE_H

#include "apply/user.h"
#include "apply/user_blacklist.h"
#include "apply/user_index.h"

/* What decides over a process. */
struct kc_user_policy {
	struct kc_user_index *index;
	struct kc_user_store *store;
	const struct kc_user_blacklist *blacklist;
	struct kc_user_options options;
};

/*
 * Patches one process as the policy says: selects, keeps the files in the store, asks the blacklist, switches. A level
 * below the one of the same type in the process is refused (KC_ERR_REFUSED): unpatch first. But what the index
 * withdraws goes: the lower level takes its place, or the original code. KC_ERR_BLACKLISTED names the rule. Errors do
 * not name the process; the caller does.
 */
struct kc_error *kc_user_apply(struct kc_ctx *ctx, const struct kc_user_policy *policy, pid_t pid,
			       struct kc_user_result *result);

#endif
