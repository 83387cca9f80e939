// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waiting for a transition. Livepatch itself looks at all tasks once a second and sends a fake signal to the rest after
 * 15 s; the freezer modes `smart` and `full` do not wait for that. Nobody is held, and nothing is decided here: what
 * happens to a transition that does not settle is the caller's.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "apply/kernel_internal.h"
#include "apply/user_tracee.h"

#define SETTLE_MS_DEFAULT 60000
#define FIRST_LOOK_MS 100 /* most tasks have switched by then */
#define LAST_LOOK_MS 1000
#define FIRST_POLL_US 1000
#define LAST_POLL_US 50000

struct wait {
	struct kc_ctx *ctx;
	const char *name;
	const struct kc_kernel_options *options;
	struct kc_kernel_result *result;
	uint64_t begin_ns, next_look_ns, limit_ns;
	unsigned look_ms;
	bool looked;
};

void kc_signals_hold(struct kc_signal_guard *guard)
{
	sigemptyset(&guard->watched);
	sigaddset(&guard->watched, SIGINT);
	sigaddset(&guard->watched, SIGTERM);
	sigaddset(&guard->watched, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &guard->watched, &guard->before);
}

void kc_signals_release(struct kc_signal_guard *guard)
{
	pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* Sleeps, or returns the signal that came. */
static int nap_or_signal(const struct kc_signal_guard *guard, unsigned us)
{
	struct timespec time = { us / 1000000, (long)(us % 1000000) * 1000 };
	int signal;

	if (!guard) {
		kc_nap(us);
		return 0;
	}
	signal = sigtimedwait(&guard->watched, NULL, &time);
	return signal > 0 ? signal : 0;
}

static uint64_t limit_of(const struct kc_kernel_options *options)
{
	return (options->settle_ms ? options->settle_ms : SETTLE_MS_DEFAULT) * UINT64_C(1000000);
}

static const char *progress_text(int target)
{
	return target ? "switching tasks to the new code" : "switching tasks to the old code";
}

/* The tasks that have not switched; those that the mode is for are interrupted. */
static struct kc_error *look_at_tasks(struct wait *wait, int target)
{
	kc_autofree struct kc_kernel_task *tasks = NULL, *all = NULL;
	size_t n, n_all, n_total;
	enum kc_freezer freezer = wait->options->freezer;
	bool first = !wait->looked;

	wait->looked = true;
	KC_TRY(kc_task_list(wait->ctx, target, &tasks, &n, &n_total));
	kc_progress(wait->ctx, progress_text(target), n < n_total ? n_total - n : 0, n_total + 1);
	if (freezer == KC_FREEZER_NONE)
		return NULL;
	if (freezer == KC_FREEZER_FULL && first) {
		KC_TRY(kc_task_list(wait->ctx, -1, &all, &n_all, &n_total));
		return kc_task_interrupt(wait->ctx, all, n_all, &wait->result->n_interrupted);
	}
	return n ? kc_task_interrupt(wait->ctx, tasks, n, &wait->result->n_interrupted) : NULL;
}

/*
 * The time is over. When every task has switched, the kernel is at its last steps (6.12 then patches thousands of
 * places one by one, 60 s in a busy guest under emulation), or waits for a CPU to idle: it gets twice the time more.
 */
static struct kc_error *end_wait(struct wait *wait, int target)
{
	kc_autofree struct kc_kernel_task *tasks = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	uint64_t first_ns = limit_of(wait->options), ms = wait->limit_ns / 1000000;
	size_t n, n_total;

	KC_TRY(kc_task_list(wait->ctx, target, &tasks, &n, &n_total));
	if (!n && wait->limit_ns == first_ns) {
		wait->limit_ns = 3 * first_ns;
		kc_info(wait->ctx, "%s: all tasks have switched; waiting for the kernel to finish", wait->name);
		return NULL;
	}
	kc_task_describe(tasks, n, &text);
	kc_buf_append_str(&text, n ? "\n" : "; the kernel waits for an idle CPU; ");
	kc_buf_append_str(&text, "try again later, or with --force (only a reboot takes the patch out then)");
	if (text.failed)
		return kc_error_no_memory();
	return kc_error_new(KC_ERR_NOT_SETTLED,
			    "%s: %zu of %zu tasks did not switch to the %s code within %" PRIu64 ".%" PRIu64 " s%s%s",
			    wait->name, n, n_total, target ? "new" : "old", ms / 1000, ms % 1000 / 100, n ? ":" : "",
			    text.data);
}

/* NULL and `*over`: done. */
static struct kc_error *step(struct wait *wait, bool *over)
{
	uint64_t now = kc_now_ns();
	int transition = kc_livepatch_get(wait->name, "transition"), target = kc_livepatch_get(wait->name, "enabled");

	*over = transition == 0 || transition == -ENOENT;
	if (*over)
		return NULL;
	if (transition < 0 || target < 0)
		return target == -ENOENT ? NULL
					 : kc_error_errno(KC_ERR_SYSTEM, transition < 0 ? -transition : -target,
							  "cannot read the state of %s", wait->name);
	if (now - wait->begin_ns >= wait->limit_ns)
		return end_wait(wait, target);
	if (now < wait->next_look_ns)
		return NULL;
	KC_TRY(look_at_tasks(wait, target));
	wait->look_ms = wait->look_ms * 2 < LAST_LOOK_MS ? wait->look_ms * 2 : LAST_LOOK_MS;
	wait->next_look_ns = kc_now_ns() + (uint64_t)wait->look_ms * 1000000;
	return NULL;
}

struct kc_error *kc_kernel_settle(struct kc_ctx *ctx, const char *name, const struct kc_kernel_options *options,
				  const struct kc_signal_guard *guard, struct kc_kernel_result *result)
{
	struct wait wait = { .ctx = ctx, .name = name, .options = options, .result = result };
	unsigned poll_us = FIRST_POLL_US;
	struct kc_error *err;
	bool over = false;
	int signal = 0;

	wait.limit_ns = limit_of(options);
	wait.begin_ns = kc_now_ns();
	wait.look_ms = FIRST_LOOK_MS;
	wait.next_look_ns = wait.begin_ns + FIRST_LOOK_MS * UINT64_C(1000000);
	while (!(err = step(&wait, &over)) && !over && !signal) {
		signal = nap_or_signal(guard, poll_us);
		poll_us = poll_us * 3 / 2 < LAST_POLL_US ? poll_us * 3 / 2 : LAST_POLL_US;
	}
	result->transition_ns += kc_now_ns() - wait.begin_ns;
	if (over && wait.looked)
		kc_progress(ctx, "switching tasks", 1, 1);
	if (signal)
		return kc_error_new(KC_ERR_BUSY, "%s: interrupted by %s", name, strsignal(signal));
	return err;
}
