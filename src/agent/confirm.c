/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of the crash guard's watch. */
#include "agent/agent.h"

#include <signal.h>

#include "agent/guard.h"
#include "agent/lock.h"

static struct kc_error *settle(struct kc_ctx *ctx, bool now, int64_t *wait_s)
{
	KC_CLEANUP_STATE struct kc_state state = { 0 };
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_state_read(&state));
	return kc_guard_settle(ctx, &state, now, wait_s);
}

/* The lock is free while it waits: another update may come, and begin a new watch. `*ended`: SIGTERM came. */
static struct kc_error *watch(struct kc_ctx *ctx, const sigset_t *end, bool now, bool *ended)
{
	int64_t wait_s = 0;

	KC_TRY(settle(ctx, now, &wait_s));
	while (wait_s && !*ended) {
		const struct timespec pause = { .tv_sec = wait_s };

		*ended = sigtimedwait(end, NULL, &pause) == SIGTERM;
		KC_TRY(settle(ctx, *ended, &wait_s));
	}
	return NULL;
}

struct kc_error *kc_agent_confirm(struct kc_ctx *ctx, bool now)
{
	struct kc_error *err;
	sigset_t end, before;
	bool ended = false;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, &before);
	err = watch(ctx, &end, now, &ended);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}
