/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking the patch out. */
#include "agent/agent.h"

#include "agent/guard.h"
#include "agent/lock.h"
#include "agent/update.h"

struct kc_error *kc_agent_unload(struct kc_ctx *ctx, const struct kc_kernel_options *options,
				 struct kc_kernel_result *result)
{
	KC_CLEANUP_STATE struct kc_state state = { 0 };
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	kc_autoerror struct kc_error *damage = NULL;
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	damage = kc_agent_open(ctx, &state, &kernel);
	if (damage && kc_error_code(damage) != KC_ERR_CORRUPT)
		return kc_steal(damage);
	if (damage) /* a patch can be taken out whatever is remembered */
		kc_warning(ctx, "%s", kc_error_message(damage));
	KC_TRY(kc_kernel_unload(ctx, options, result));
	/* the host has lived with it up to here, and is without it now */
	KC_TRY(kc_guard_cancel());
	return damage ? NULL : kc_state_forget_applied(&state);
}
