/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls and calls of one function in the process, on a thread that is borrowed for them.
 *
 * Before anything else the thread gets a signal frame on its stack, below the red zone, that holds its whole state, and
 * is sent to the code that ends signal handlers. From then on it finds its own way back whenever we die: each step ends
 * in rt_sigreturn. Its signals are blocked meanwhile, by a mask that the frame undoes. When we live, the original state
 * is put back by ptrace inside a stop of the first kind, so that the kernel restarts an interrupted system call as if
 * nothing had been.
 */
#include "apply/user_remote.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "apply/user_tracee.h"
#include "apply/user_unwind.h"

#define STOP_MAX_NS 20000000ull	  /* for a thread to stop */
#define CALL_MAX_NS 2000000000ull /* for a function to return */
#define STACK_ROOM 16384	  /* below the stack pointer, as much as a signal needs */
#define RED_ZONE 128
#define ALL_SIGNALS (~(uint64_t)0)

struct remote {
	struct kc_ctx *ctx;
	const struct kc_process_view *view;
	const struct kc_gadgets *gadgets;
	const struct kc_range *quiet;
	size_t n_quiet;
	struct kc_unwind *unwind;
	struct kc_remote_op *ops;
	size_t n_ops, n_done;
	struct kc_tracee tracee;
	struct user_regs_struct original, armed; /* as found; as set when all is ready */
	uint64_t mask;
	struct kc_xstate xstate;
	uint64_t frame;
};

/* Waits until the tracee stops. */
static bool wait_stop(struct kc_tracee *tracee, uint64_t limit_ns)
{
	uint64_t end = kc_now_ns() + limit_ns;

	while (!kc_tracee_poll(tracee)) {
		if (kc_now_ns() > end)
			return false;
		kc_nap(10);
	}
	return tracee->stopped;
}

static bool resume_until_stop(struct remote *remote, int request, uint64_t limit_ns)
{
	ptrace(request, remote->tracee.tid, NULL, NULL); /* fails when it was killed: then wait says so */
	remote->tracee.stopped = false;
	return wait_stop(&remote->tracee, limit_ns) && remote->tracee.stopped;
}

static bool is_syscall_stop(const struct kc_tracee *tracee)
{
	return tracee->stopped && WSTOPSIG(tracee->status) == (SIGTRAP | 0x80);
}

/* Runs until the next entry to or exit from a system call; other stops are passed over. */
static bool resume_until_syscall(struct remote *remote, uint64_t limit_ns)
{
	uint64_t end = kc_now_ns() + limit_ns;

	do {
		if (!resume_until_stop(remote, PTRACE_SYSCALL, limit_ns))
			return false;
	} while (!is_syscall_stop(&remote->tracee) && kc_now_ns() < end);
	return is_syscall_stop(&remote->tracee);
}

static bool set_regs(const struct remote *remote, const struct user_regs_struct *regs)
{
	return ptrace(PTRACE_SETREGS, remote->tracee.tid, NULL, regs) == 0;
}

static bool set_mask(const struct remote *remote, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, remote->tracee.tid, (void *)sizeof(mask), &mask) == 0;
}

/* Writes the frame and sends the thread to it. From here on it is safe for us to die. */
static bool arm(struct remote *remote)
{
	struct kc_tracee *tracee = &remote->tracee;
	uint8_t frame[KC_SIGNAL_FRAME_MAX];
	size_t size;

	if (ptrace(PTRACE_GETSIGMASK, tracee->tid, (void *)sizeof(remote->mask), &remote->mask) ||
	    !kc_xstate_get(tracee->tid, &remote->xstate))
		return false;
	size = kc_signal_frame_build(&remote->original, remote->mask, &remote->xstate, remote->gadgets->restorer,
				     remote->original.rsp - RED_ZONE, frame, &remote->frame);
	if (!size || kc_remote_write(remote->view, tracee->tid, remote->frame, frame, size))
		return false;
	remote->armed = remote->original;
	remote->armed.rip = remote->gadgets->restorer;
	remote->armed.rsp = remote->frame + 8;
	remote->armed.orig_rax = (unsigned long long)-1;
	remote->armed.eflags &= ~0x400ull; /* direction flag, as at any function's entry */
	return set_regs(remote, &remote->armed) && set_mask(remote, ALL_SIGNALS);
}

/* Back inside a stop where the kernel decides about restarts, with everything as it was found. */
static void disarm(struct remote *remote)
{
	struct kc_tracee *tracee = &remote->tracee;

	if (is_syscall_stop(tracee)) {
		set_regs(remote, &remote->armed);
		do {
			ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
			if (!resume_until_stop(remote, PTRACE_CONT, STOP_MAX_NS))
				return; /* it is on its way back by itself */
		} while (kc_tracee_event(tracee) != PTRACE_EVENT_STOP);
	}
	kc_xstate_set(tracee->tid, &remote->xstate);
	set_mask(remote, remote->mask);
	set_regs(remote, &remote->original);
}

static bool run_syscall(struct remote *remote, struct kc_remote_op *op)
{
	struct user_regs_struct regs = remote->armed;

	regs.rip = remote->gadgets->syscall_ret;
	regs.rsp = remote->frame;
	regs.rax = op->nr_or_addr;
	regs.rdi = op->args[0];
	regs.rsi = op->args[1];
	regs.rdx = op->args[2];
	regs.r10 = op->args[3];
	regs.r8 = op->args[4];
	regs.r9 = op->args[5];
	if (!set_regs(remote, &regs) || !resume_until_syscall(remote, STOP_MAX_NS * 50) ||
	    !resume_until_syscall(remote, STOP_MAX_NS * 50) || kc_tracee_regs(&remote->tracee, &regs))
		return false;
	op->result = (int64_t)regs.rax;
	return true;
}

/* The function returns to the code that ends handlers; we catch it as it enters rt_sigreturn. */
static bool run_call(struct remote *remote, struct kc_remote_op *op)
{
	struct user_regs_struct regs = remote->armed;
	uint64_t end = kc_now_ns() + CALL_MAX_NS;
	bool entering = false;

	regs.rip = op->nr_or_addr;
	regs.rsp = remote->frame;
	regs.rax = 0;
	regs.rdi = op->args[0];
	regs.rsi = op->args[1];
	regs.rdx = op->args[2];
	if (op->mark_addr &&
	    kc_remote_write(remote->view, remote->tracee.tid, op->mark_addr, &op->mark, sizeof(op->mark)))
		return false;
	if (!set_regs(remote, &regs))
		return false;
	do {
		if (kc_now_ns() > end || !resume_until_syscall(remote, CALL_MAX_NS) ||
		    kc_tracee_regs(&remote->tracee, &regs))
			return false;
		entering = !entering;
	} while (!entering || regs.orig_rax != SYS_rt_sigreturn || regs.rsp != remote->frame + 8);
	/* skip that system call, go to its exit: there the next step can be set up */
	if (!set_regs(remote, &remote->armed))
		return false;
	op->result = 0;
	return resume_until_syscall(remote, STOP_MAX_NS);
}

/* Is the thread parked in a system call, and not inside the quiet ranges? Unwound: what is left on stacks tells
 * nothing. */
static bool is_quiet(const struct remote *remote)
{
	struct kc_forbidden forbidden = { .ranges = (struct kc_range *)remote->quiet, .n_ranges = remote->n_quiet };

	if (!remote->n_quiet)
		return true;
	return (int64_t)remote->original.orig_rax >= 0 && remote->unwind &&
	       !kc_unwind_is_inside(remote->unwind, &forbidden, remote->tracee.tid, &remote->original);
}

/*
 * The frame needs room, and others must not use it: a stack that a program made for itself (a goroutine's) may be small
 * and lie among other data. A thread made by the C library has its thread pointer at the top of its stack.
 */
static bool is_on_own_stack(const struct remote *remote)
{
	uint64_t sp = remote->original.rsp, thread_pointer = remote->original.fs_base;
	const struct kc_map *map = kc_process_map_at(remote->view, sp);

	if (!map)
		return false;
	if (strcmp(map->path, "[stack]") == 0)
		return true;
	return map->start + STACK_ROOM <= sp && thread_pointer > sp && thread_pointer < map->end;
}

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* Syscall user dispatch kills a thread for a system call from a place that is not allowed. */
static bool filters_by_address(const struct kc_tracee *tracee)
{
	struct {
		uint64_t mode, selector, offset, size;
	} config = { 0 };

	return ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tracee->tid, (void *)sizeof(config), &config) == 0 &&
	       config.mode;
}

/* Is this a state from which a thread can be borrowed? */
static bool is_fit(struct remote *remote)
{
	struct kc_tracee *tracee = &remote->tracee;

	kc_tracee_hide(tracee);
	if (kc_tracee_event(tracee) != PTRACE_EVENT_STOP || kc_tracee_regs(tracee, &remote->original))
		return false;
	if (remote->original.cs != 0x33 || !is_on_own_stack(remote) || filters_by_address(tracee))
		return false;
	if ((int64_t)remote->original.orig_rax < 0 && kc_in_rseq(remote->view, tracee->tid, remote->original.rip))
		return false;
	return is_quiet(remote);
}

/* After a successful mmap: its content, while the thread is still ours. */
static bool write_content(struct remote *remote, const struct kc_remote_op *op)
{
	if (!op->data || op->result < 0)
		return true;
	return kc_remote_write(remote->view, remote->tracee.tid, op->data_addr, op->data, op->data_size) == 0;
}

static struct kc_error *run_ops(struct remote *remote)
{
	struct kc_error *err = NULL;

	for (; remote->n_done < remote->n_ops && !err; remote->n_done++) {
		struct kc_remote_op *op = &remote->ops[remote->n_done];

		if (op->is_call ? !run_call(remote, op) : !run_syscall(remote, op))
			err = kc_error_new(remote->tracee.gone ? KC_ERR_EXITED : KC_ERR_BUSY,
					   "process %d: the borrowed thread %d did not come back", remote->view->pid,
					   remote->tracee.tid);
		else if (!op->is_call && op->result < 0)
			break;
		else if (!write_content(remote, op))
			err = kc_error_new(KC_ERR_PERMISSION, "process %d: cannot write to its memory",
					   remote->view->pid);
	}
	return err;
}

/* A thread that is on its way out of the kernel would see EINTR if it was left alone now. */
static void wait_for_straggler(struct kc_tracee *tracee)
{
	struct kc_thread_look look;

	for (int i = 0; i < 50 && kc_thread_look(tracee->pid, tracee->tid, &look) == 0 && !look.blocked; i++)
		if (wait_stop(tracee, STOP_MAX_NS))
			break;
	kc_tracee_release(tracee);
}

/* Tries one thread: NULL and `*done`, or not fit, or an error. */
static struct kc_error *try_thread(struct remote *remote, pid_t tid, bool *done)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD;
	struct kc_thread_status status;
	struct kc_error *err = NULL;
	int ret;

	remote->tracee = (struct kc_tracee){ .pid = remote->view->pid, .tid = tid };
	if (kc_thread_status(remote->view->pid, tid, &status) || status.state == 'Z' || status.state == 'X')
		return NULL;
	if (status.seccomp)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	ret = kc_tracee_seize(&remote->tracee, options);
	if (ret == -EPERM && status.seccomp && !status.tracer)
		return kc_error_new(KC_ERR_PERMISSION,
				    "process %d filters its system calls; to suspend that needs CAP_SYS_ADMIN",
				    remote->view->pid);
	if (ret)
		return ret == -ESRCH ? NULL : kc_tracee_refusal(&remote->tracee, -ret);
	kc_tracee_look(&remote->tracee);
	kc_tracee_interrupt(&remote->tracee);
	if (!wait_stop(&remote->tracee, STOP_MAX_NS)) {
		wait_for_straggler(&remote->tracee);
		return NULL;
	}
	if (is_fit(remote)) {
		if (arm(remote)) {
			err = run_ops(remote);
			*done = true;
			if (remote->tracee.stopped)
				disarm(remote);
		} else if (remote->tracee.stopped) {
			set_regs(remote, &remote->original);
		}
	}
	kc_tracee_release(&remote->tracee);
	return err;
}

/* How good is a thread for borrowing? Blocked in an ordinary system call is best: nobody waits for it. */
static int rank(pid_t pid, pid_t tid)
{
	struct kc_thread_look look;

	if (kc_thread_look(pid, tid, &look))
		return 3;
	if (!look.blocked)
		return 1;
	if (!look.sp)
		return 3; /* a worker of the kernel */
	switch (look.syscall) {
	case SYS_clone:
	case SYS_clone3:
	case SYS_fork:
	case SYS_vfork:
	case -1:
		return 2; /* it may not stop for long */
	default:
		return 0;
	}
}

static struct kc_error *remote_main(void *data)
{
	struct remote *remote = data;
	kc_autofree pid_t *tids = NULL;
	bool done = false;
	size_t n;

	if (kc_thread_list(remote->view->pid, &tids, &n))
		return kc_error_new(KC_ERR_EXITED, "process %d has ended", remote->view->pid);
	for (int wanted = 0; wanted <= (remote->n_quiet ? 0 : 2); wanted++) {
		for (size_t i = 0, tried = 0; i < n && tried < 32; i++) {
			if (rank(remote->view->pid, tids[i]) != wanted)
				continue;
			KC_TRY(try_thread(remote, tids[i], &done));
			if (done)
				return NULL;
			tried++;
		}
	}
	return kc_error_new(KC_ERR_BUSY, "process %d: no thread can be borrowed now", remote->view->pid);
}

struct kc_error *kc_remote_run(struct kc_ctx *ctx, const struct kc_process_view *view, const struct kc_gadgets *gadgets,
			       const struct kc_range *quiet, size_t n_quiet, struct kc_remote_op *ops, size_t n_ops,
			       size_t *n_done)
{
	struct remote remote = { .ctx = ctx,
				 .view = view,
				 .gadgets = gadgets,
				 .quiet = quiet,
				 .n_quiet = n_quiet,
				 .ops = ops,
				 .n_ops = n_ops };
	struct kc_error *err;

	if (n_quiet)
		remote.unwind = kc_unwind_new(view);
	err = kc_on_tracer(remote_main, &remote);
	kc_unwind_free(remote.unwind);
	*n_done = remote.n_done;
	return err;
}
