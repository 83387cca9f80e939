/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of threads of one attempt: complete even while the process makes new ones, and with the processes that share
 * its memory (children of vfork before exec). A child with memory of its own is let go at once.
 */
#include "apply/user_stop.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "apply/user_unwind.h"
#include "base/array.h"

#define OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)
#define PASSES_MAX 100

static struct kc_tracee *find_tracee(const struct kc_stop *stop, pid_t tid)
{
	for (size_t i = stop->n_tracees; i > 0; i--)
		if (stop->tracees[i - 1].tid == tid)
			return &stop->tracees[i - 1];
	return NULL;
}

static struct kc_tracee *add_tracee(struct kc_stop *stop, pid_t pid, pid_t tid)
{
	struct kc_tracee *tracee = kc_array_add(&stop->tracees, &stop->n_tracees);

	if (tracee) {
		tracee->pid = pid;
		tracee->tid = tid;
		tracee->running = true;
	}
	return tracee;
}

static bool shares_memory(const struct kc_stop *stop, pid_t pid)
{
	return syscall(SYS_kcmp, stop->transition->view->pid, pid, KCMP_VM, 0, 0) == 0;
}

static bool is_thread_of(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return access(path, F_OK) == 0;
}

/* A child that the kernel attached to us because its parent was. */
static struct kc_error *add_child(struct kc_stop *stop, pid_t tid)
{
	pid_t pid = stop->transition->view->pid;
	struct kc_tracee *tracee;

	if (find_tracee(stop, tid))
		return NULL;
	tracee = add_tracee(stop, is_thread_of(pid, tid) ? pid : tid, tid);
	if (!tracee)
		return kc_error_no_memory();
	tracee->other_memory = tracee->pid != pid && !shares_memory(stop, tid);
	return NULL;
}

/* Seizes what is not yet seized; `*added` tells whether there was something. */
static struct kc_error *seize_pass(struct kc_stop *stop, pid_t pid, bool *added)
{
	kc_autofree pid_t *tids = NULL;
	size_t n;

	if (kc_thread_list(pid, &tids, &n))
		return pid == stop->transition->view->pid ? kc_error_new(KC_ERR_EXITED, "process %d has ended", pid)
							  : NULL;
	for (size_t i = 0; i < n; i++) {
		struct kc_thread_status status;
		struct kc_tracee *tracee;
		int ret;

		if (find_tracee(stop, tids[i]))
			continue;
		tracee = add_tracee(stop, pid, tids[i]);
		if (!tracee)
			return kc_error_no_memory();
		*added = true;
		ret = kc_tracee_seize(tracee, OPTIONS);
		if (!ret)
			continue;
		if (ret == -ESRCH || kc_thread_status(pid, tids[i], &status) || status.state == 'Z' ||
		    status.state == 'X')
			tracee->gone = true;
		else if (status.tracer != stop->tracer)
			return kc_tracee_refusal(tracee, -ret);
	}
	return NULL;
}

static struct kc_error *seize_sharers(struct kc_stop *stop, bool *added)
{
	kc_autofree pid_t *pids = NULL;
	size_t n;

	KC_TRY(kc_process_list(stop->ctx, &pids, &n));
	for (size_t i = 0; i < n; i++)
		if (pids[i] != stop->transition->view->pid && shares_memory(stop, pids[i]))
			KC_TRY(seize_pass(stop, pids[i], added));
	return NULL;
}

struct kc_error *kc_stop_seize(struct kc_stop *stop)
{
	bool added = true;

	stop->tracer = (pid_t)syscall(SYS_gettid);
	for (int pass = 0; added; pass++) {
		added = false;
		KC_TRY(seize_pass(stop, stop->transition->view->pid, &added));
		if (!added) /* from here on every child attaches itself */
			KC_TRY(seize_sharers(stop, &added));
		KC_TRY(kc_stop_serve(stop));
		if (pass == PASSES_MAX)
			return kc_error_new(KC_ERR_BUSY, "process %d makes threads too fast",
					    stop->transition->view->pid);
	}
	return NULL;
}

struct kc_error *kc_stop_adopt(struct kc_stop *stop, struct kc_tracee *tracee)
{
	unsigned long child;

	switch (kc_tracee_event(tracee)) {
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		if (ptrace(PTRACE_GETEVENTMSG, tracee->tid, NULL, &child) == 0)
			return add_child(stop, (pid_t)child);
		return NULL;
	case PTRACE_EVENT_EXEC:
		if (tracee->pid == stop->transition->view->pid)
			return kc_error_new(KC_ERR_EXITED, "process %d runs another program now", tracee->pid);
		tracee->other_memory = true;
		return NULL;
	default:
		return NULL;
	}
}

struct kc_error *kc_stop_serve(struct kc_stop *stop)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG)) > 0) {
		size_t index;

		if (!find_tracee(stop, tid))
			KC_TRY(add_child(stop, tid));
		index = (size_t)(find_tracee(stop, tid) - stop->tracees);
		kc_tracee_note(&stop->tracees[index], status);
		if (stop->tracees[index].gone)
			continue;
		KC_TRY(kc_stop_adopt(stop, &stop->tracees[index])); /* may move the array */
		if (stop->tracees[index].other_memory)
			kc_tracee_release(&stop->tracees[index]);
		else
			kc_tracee_continue(&stop->tracees[index]);
	}
	return NULL;
}

struct kc_error *kc_stop_is_complete(struct kc_stop *stop)
{
	pid_t pid = stop->transition->view->pid;
	kc_autofree pid_t *tids = NULL;
	size_t n = 0;

	for (size_t i = 0; i < stop->n_tracees; i++)
		n += stop->tracees[i].pid == pid && !stop->tracees[i].gone;
	if (n == kc_thread_count(pid))
		return NULL;
	if (kc_thread_list(pid, &tids, &n))
		return kc_error_new(KC_ERR_EXITED, "process %d has ended", pid);
	for (size_t i = 0; i < n; i++)
		if (!find_tracee(stop, tids[i]))
			return kc_error_new(KC_ERR_BUSY, "process %d made thread %d meanwhile", pid, tids[i]);
	return NULL;
}

/* A look from outside has no registers to unwind with: it relies on what unwinding said of the same place before. */
static bool was_found_inside(struct kc_stop *stop, const struct kc_tracee *tracee, const struct kc_hit *hit)
{
	struct kc_inside *inside = &stop->transition->inside;

	return inside->tid == tracee->tid && inside->sp == tracee->look.sp && inside->pc == tracee->look.pc &&
	       inside->at == hit->at && inside->word == hit->pc && ++inside->uses % 8;
}

bool kc_stop_hit_stands(struct kc_stop *stop, const struct kc_tracee *tracee, const struct user_regs_struct *regs,
			const struct kc_hit *hit)
{
	struct kc_transition *transition = stop->transition;

	if (hit->sure)
		return true;
	if (!regs)
		return was_found_inside(stop, tracee, hit);
	if (!transition->unwind)
		transition->unwind = kc_unwind_new(transition->view);
	if (transition->unwind && !kc_unwind_is_inside(transition->unwind, &transition->forbidden, tracee->tid, regs))
		return false;
	transition->inside = (struct kc_inside){
		.tid = tracee->tid, .sp = tracee->look.sp, .pc = tracee->look.pc, .at = hit->at, .word = hit->pc
	};
	return true;
}

struct kc_error *kc_stop_busy(struct kc_stop *stop, const struct kc_tracee *tracee, const struct kc_hit *hit)
{
	pid_t pid = stop->transition->view->pid;

	if (!hit)
		return kc_error_new(KC_ERR_BUSY, "process %d: the stack of thread %d cannot be read", pid, tracee->tid);
	return kc_error_new(KC_ERR_BUSY, "process %d: thread %d is in code that would change (0x%lx)", pid, tracee->tid,
			    hit->pc);
}
