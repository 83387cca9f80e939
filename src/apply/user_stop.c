/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch: seize, look, stop, check, write, go. docs/switching.md has the protocol and its reasons. One attempt
 * here; who calls it again, and for how long, is user.c.
 *
 * Blocked threads are stopped and checked first, while the running ones go on; these are stopped last and let go first.
 */
#include "apply/user_stop.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "apply/user_remote.h"
#include "base/array.h"

#define STOP_MAX_MS 20
#define LEAVE_NS 300000		/* for running threads to leave the code that changes; doubled with each attempt */
#define BLOCKED_NS 50000	/* for each blocked thread to stop, beside the limit */
#define SETTLE_NS 1000000000ull /* for an interrupted thread to stop although the attempt is over */

/* ---- look ---- */

/* Threads that the kernel makes in a process have no place in the program. */
static bool is_worker(uint64_t pc, uint64_t sp)
{
	return !pc && !sp;
}

/* An attempt that is bound to fail is not made: a thread that is blocked inside stays there. */
static struct kc_error *look(struct kc_stop *stop)
{
	for (size_t i = 0; i < stop->n_tracees; i++) {
		struct kc_tracee *tracee = &stop->tracees[i];
		struct kc_hit hit;

		if (tracee->stopped || tracee->gone || tracee->other_memory)
			continue;
		kc_tracee_look(tracee);
		tracee->worker = tracee->look.blocked && is_worker(tracee->look.pc, tracee->look.sp);
		if (tracee->worker)
			continue; /* an interrupt would end what it does for the program with EINTR */
		if (tracee->look.blocked &&
		    kc_stack_search(stop->transition, tracee->pid, tracee->look.pc, tracee->look.sp, 0, &stop->scratch,
				    &hit) == KC_VERDICT_INSIDE &&
		    kc_stop_hit_stands(stop, tracee, NULL, &hit))
			return kc_stop_busy(stop, tracee, &hit);
		if (i % 16 == 15)
			KC_TRY(kc_stop_serve(stop));
	}
	return kc_stop_serve(stop);
}

/* ---- stop ---- */

/*
 * Is it where it was when it was looked at, inside the kernel? A pending interrupt keeps it from leaving. A fork that
 * is under way must not see half of what is written: it is waited for, unless the child shares the memory.
 */
static bool is_held_in_kernel(const struct kc_tracee *tracee)
{
	struct kc_thread_look now;

	if (!tracee->interrupted || kc_thread_look(tracee->pid, tracee->tid, &now) || !now.blocked)
		return false;
	if (now.syscall == SYS_fork || now.syscall == SYS_clone3 ||
	    (now.syscall == SYS_clone && !(now.args[0] & CLONE_VM)))
		return now.syscall == SYS_clone3 && tracee->look.syscall == SYS_clone3;
	return now.syscall == tracee->look.syscall && now.sp == tracee->look.sp && now.pc == tracee->look.pc &&
	       tracee->look.blocked;
}

/* Where a thread is that is held in the kernel: its stack does not change either. */
static struct kc_error *check_held(struct kc_stop *stop, struct kc_tracee *tracee)
{
	struct kc_hit hit;

	switch (kc_stack_search(stop->transition, tracee->pid, tracee->look.pc, tracee->look.sp, 0, &stop->scratch,
				&hit)) {
	case KC_VERDICT_OUTSIDE:
		return NULL;
	case KC_VERDICT_UNKNOWN:
		return kc_stop_busy(stop, tracee, NULL);
	default:
		return kc_stop_busy(stop, tracee, &hit); /* without its registers a stale word cannot be told */
	}
}

static struct kc_error *check_stopped(struct kc_stop *stop, struct kc_tracee *tracee)
{
	struct user_regs_struct regs;
	struct kc_hit hit;

	if (tracee->gone || tracee->other_memory || tracee->worker)
		return NULL;
	if (kc_tracee_regs(tracee, &regs))
		return kc_stop_busy(stop, tracee, NULL);
	if (is_worker(regs.rip, regs.rsp))
		return NULL;
	tracee->sp = regs.rsp;
	tracee->thread_pointer = regs.fs_base;
	switch (kc_stack_search(stop->transition, tracee->pid, regs.rip, regs.rsp, regs.fs_base, &stop->scratch,
				&hit)) {
	case KC_VERDICT_OUTSIDE:
		return NULL;
	case KC_VERDICT_UNKNOWN:
		return kc_stop_busy(stop, tracee, NULL);
	default:
		return kc_stop_hit_stands(stop, tracee, &regs, &hit) ? kc_stop_busy(stop, tracee, &hit) : NULL;
	}
}

/* Waits until all interrupted threads of one kind have stopped; those that cannot are proved to be in the kernel. */
static struct kc_error *wait_for(struct kc_stop *stop, bool running, uint64_t end_ns)
{
	uint64_t begin = kc_now_ns();

	for (size_t i = 0; i < stop->n_tracees; i++) {
		struct kc_tracee *tracee = &stop->tracees[i];

		if (tracee->running != running || tracee->other_memory || tracee->worker)
			continue;
		while (!kc_tracee_poll(tracee)) {
			uint64_t now = kc_now_ns();

			if (!running && now - begin > 2000000 && is_held_in_kernel(tracee)) {
				tracee->in_kernel = true;
				break;
			}
			if (now > end_ns)
				return kc_error_new(KC_ERR_BUSY, "process %d: thread %d does not stop",
						    stop->transition->view->pid, tracee->tid);
			kc_nap(10);
		}
		kc_tracee_hide(tracee);
		if (tracee->stopped)
			KC_TRY(kc_stop_adopt(stop, tracee)); /* may move the array */
	}
	return NULL;
}

/* A blocked thread that is inside stays there: one is enough to give up. */
static struct kc_error *check_blocked(struct kc_stop *stop)
{
	for (size_t i = 0; i < stop->n_tracees; i++) {
		struct kc_tracee *tracee = &stop->tracees[i];

		if (tracee->running)
			continue;
		if (tracee->in_kernel)
			KC_TRY(check_held(stop, tracee));
		else
			KC_TRY(check_stopped(stop, tracee));
	}
	return NULL;
}

static void interrupt(struct kc_stop *stop, bool running)
{
	for (size_t i = 0; i < stop->n_tracees; i++)
		if (stop->tracees[i].running == running && !stop->tracees[i].worker)
			kc_tracee_interrupt(&stop->tracees[i]);
}

/* New threads that were born while the others were being stopped count as running. */
static struct kc_error *stop_running(struct kc_stop *stop, uint64_t end_ns)
{
	size_t n;

	do {
		n = stop->n_tracees;
		interrupt(stop, true);
		KC_TRY(wait_for(stop, true, end_ns));
	} while (stop->n_tracees != n);
	return NULL;
}

/* Marks the running threads that are inside; the error of the last one, or NULL. */
static struct kc_error *check_running(struct kc_stop *stop)
{
	struct kc_error *busy = NULL;

	for (size_t i = 0; i < stop->n_tracees; i++) {
		struct kc_tracee *tracee = &stop->tracees[i];
		struct kc_error *err;

		if (!tracee->running || tracee->outside)
			continue;
		err = check_stopped(stop, tracee);
		tracee->outside = !err;
		if (!err)
			continue;
		kc_error_free(busy);
		busy = err;
		if (kc_error_code(err) != KC_ERR_BUSY)
			return err;
	}
	return busy;
}

/* Without sleeping, which takes longer. */
static void let_run(unsigned ns)
{
	uint64_t end = kc_now_ns() + ns;

	do
		sched_yield();
	while (kc_now_ns() < end);
}

/*
 * A function that is called all the time nearly always has a thread inside. Those that are inside run on for a moment,
 * while the others wait, until all are out: each round leaves fewer.
 */
static struct kc_error *stop_and_check_running(struct kc_stop *stop, uint64_t end_ns)
{
	uint64_t begin_ns = kc_now_ns(), leave_ns = (uint64_t)LEAVE_NS << (stop->attempt < 6 ? stop->attempt : 6);
	struct kc_error *err;

	if (leave_ns > (end_ns - begin_ns) / 2)
		leave_ns = (end_ns - begin_ns) / 2;

	for (unsigned round = 0;; round++) {
		KC_TRY(stop_running(stop, end_ns));
		err = check_running(stop);
		if (!err || kc_error_code(err) != KC_ERR_BUSY || kc_now_ns() - begin_ns > leave_ns)
			return err;
		kc_error_free(err);
		for (size_t i = 0; i < stop->n_tracees; i++)
			if (stop->tracees[i].running && !stop->tracees[i].outside && !stop->tracees[i].other_memory)
				kc_tracee_continue(&stop->tracees[i]);
		let_run(3000 + round * 1700 % 11000); /* not in step with a loop */
	}
}

/* Each microsecond that we wait for a CPU, stopped threads wait, too. Not permitted: then so be it. */
static void hurry(bool on)
{
	struct sched_param param = { .sched_priority = on ? 1 : 0 };

	if (sched_getscheduler(0) == (on ? SCHED_OTHER : SCHED_FIFO))
		sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &param);
}

/* The limit is for running threads; that many blocked ones cannot stop in it, and miss nothing. */
static struct kc_error *stop_and_check(struct kc_stop *stop, uint64_t max_ns)
{
	interrupt(stop, false);
	KC_TRY(wait_for(stop, false, stop->stop_ns + max_ns + stop->n_tracees * BLOCKED_NS));
	KC_TRY(check_blocked(stop));
	hurry(true);
	stop->begin_ns = kc_now_ns();
	KC_TRY(stop_and_check_running(stop, stop->begin_ns + max_ns));
	KC_TRY(kc_stop_search_memory(stop, true));
	return kc_stop_is_complete(stop);
}

/* ---- write ---- */

static struct kc_error *write_failed(struct kc_stop *stop, int ret)
{
	if (ret == -ESRCH)
		return kc_error_new(KC_ERR_EXITED, "process %d ended", stop->transition->view->pid);
	return kc_error_errno(KC_ERR_PERMISSION, -ret, "process %d: cannot write to its code",
			      stop->transition->view->pid);
}

static pid_t stopped_tid(const struct kc_stop *stop)
{
	for (size_t i = 0; i < stop->n_tracees; i++)
		if (stop->tracees[i].stopped)
			return stop->tracees[i].tid;
	return 0;
}

static int write_state(struct kc_stop *stop, const struct kc_state_write *write, enum kc_record_state state)
{
	uint32_t value = state;

	return kc_remote_write(stop->transition->view, stopped_tid(stop),
			       write->record + offsetof(struct kc_record_header, state), &value, sizeof(value));
}

static int write_entry(struct kc_stop *stop, const struct kc_write *write, const uint8_t *bytes)
{
	return kc_remote_write(stop->transition->view, stopped_tid(stop), write->addr, bytes, KC_JUMP_SIZE);
}

static struct kc_error *compare_entries(struct kc_stop *stop)
{
	const struct kc_transition *transition = stop->transition;

	for (size_t i = 0; i < transition->n_writes; i++) {
		uint8_t bytes[KC_JUMP_SIZE];
		int ret = kc_process_read(transition->view, transition->writes[i].addr, bytes, sizeof(bytes));

		if (ret)
			return write_failed(stop, ret);
		if (memcmp(bytes, transition->writes[i].expected, sizeof(bytes)) != 0)
			return kc_error_new(KC_ERR_BYTES_DIFFER, "process %d: the code at 0x%lx changed meanwhile",
					    transition->view->pid, transition->writes[i].addr);
	}
	return NULL;
}

static struct kc_error *write_all(struct kc_stop *stop)
{
	const struct kc_transition *transition = stop->transition;
	size_t n_states = 0, n_entries = 0;
	int ret = 0;

	KC_TRY(compare_entries(stop));
	for (; n_states < transition->n_states && !ret; n_states++)
		ret = write_state(stop, &transition->states[n_states], transition->states[n_states].during);
	for (; n_entries < transition->n_writes && !ret; n_entries++)
		ret = write_entry(stop, &transition->writes[n_entries], transition->writes[n_entries].bytes);
	for (size_t i = 0; i < transition->n_states && !ret; i++)
		ret = write_state(stop, &transition->states[i], transition->states[i].to);
	if (!ret)
		return NULL;
	while (n_entries-- > 0)
		write_entry(stop, &transition->writes[n_entries], transition->writes[n_entries].expected);
	while (n_states-- > 0)
		write_state(stop, &transition->states[n_states], transition->states[n_states].from);
	return write_failed(stop, ret);
}

/* ---- go ---- */

/* A thread that was interrupted, or that a signal stopped, would see EINTR when we left it alone. */
static void settle(struct kc_stop *stop)
{
	uint64_t end = kc_now_ns() + SETTLE_NS;

	for (size_t i = 0; i < stop->n_tracees; i++) {
		struct kc_tracee *tracee = &stop->tracees[i];

		if (tracee->gone)
			continue;
		while (!kc_tracee_poll(tracee) && tracee->interrupted && kc_now_ns() < end &&
		       !is_held_in_kernel(tracee))
			kc_nap(20);
		kc_tracee_release(tracee);
	}
}

static void go(struct kc_stop *stop)
{
	for (int running = 1; running >= 0; running--) {
		for (size_t i = 0; i < stop->n_tracees; i++)
			if (stop->tracees[i].running == (bool)running)
				kc_tracee_release(&stop->tracees[i]);
		if (running) {
			stop->end_ns = kc_now_ns();
			hurry(false);
		}
	}
	settle(stop);
}

static struct kc_error *attempt(void *data)
{
	struct kc_stop *stop = data;
	struct kc_error *err;
	unsigned max_ms = stop->options->stop_max_ms ? stop->options->stop_max_ms : STOP_MAX_MS;

	err = kc_stop_seize(stop);
	if (!err)
		err = look(stop);
	if (!err)
		err = kc_stop_search_memory(stop, false); /* may take seconds: nobody is stopped yet */
	if (!err) {
		stop->stop_ns = kc_now_ns();
		err = stop_and_check(stop, (uint64_t)max_ms * 1000000);
	}
	if (!err)
		err = write_all(stop);
	go(stop);
	return err;
}

struct kc_error *kc_transition_try(struct kc_ctx *ctx, struct kc_transition *transition,
				   const struct kc_user_options *options, struct kc_user_result *result)
{
	kc_autofree struct kc_stop *stop = calloc(1, sizeof(*stop));
	struct kc_error *err;

	if (!stop)
		return kc_error_no_memory();
	stop->ctx = ctx;
	stop->transition = transition;
	stop->options = options;
	stop->attempt = result->attempts;
	if (transition->search_memory)
		KC_TRY(kc_process_view_open(ctx, transition->view->pid, &stop->fresh));
	err = kc_on_tracer(attempt, stop);
	result->n_threads = stop->n_tracees;
	if (!err)
		result->stop_ns = stop->end_ns - stop->begin_ns;
	kc_process_view_free(stop->fresh);
	free(stop->tracees);
	return err;
}
