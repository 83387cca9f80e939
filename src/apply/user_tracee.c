/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracing one thread so that it notices nothing. The one thing that a ptrace stop would show is EINTR from system calls
 * that the kernel does not restart by itself (epoll_wait, semop, sigtimedwait, sockets with a timeout): they are
 * started again here, unless a signal with a handler is the reason.
 */
#include "apply/user_tracee.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"

struct tracer {
	kc_tracer_fn *fn;
	void *data;
	pid_t tid;
	struct kc_error *err;
};

static void *tracer_main(void *arg)
{
	struct tracer *tracer = arg;

	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	tracer->tid = (pid_t)syscall(SYS_gettid);
	tracer->err = tracer->fn(tracer->data);
	return NULL;
}

struct kc_error *kc_on_tracer(kc_tracer_fn *fn, void *data)
{
	struct tracer tracer = { .fn = fn, .data = data };
	pthread_t thread;
	int ret;

	ret = pthread_create(&thread, NULL, tracer_main, &tracer);
	if (ret)
		return kc_error_errno(KC_ERR_SYSTEM, ret, "cannot start a thread");
	pthread_join(thread, NULL);
	/* joined is not yet gone: the kernel lets go of the tracees a little later */
	while (syscall(SYS_tgkill, getpid(), tracer.tid, 0) == 0)
		kc_nap(10);
	return tracer.err;
}

uint64_t kc_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void kc_nap(unsigned microseconds)
{
	struct timespec time = { microseconds / 1000000, (long)(microseconds % 1000000) * 1000 };

	nanosleep(&time, NULL);
}

int kc_tracee_seize(struct kc_tracee *tracee, unsigned long options)
{
	return ptrace(PTRACE_SEIZE, tracee->tid, NULL, options) ? -errno : 0;
}

static bool has_timeout_register(uint64_t nr)
{
	return nr == SYS_epoll_wait || nr == SYS_epoll_pwait;
}

void kc_tracee_look(struct kc_tracee *tracee)
{
	struct kc_thread_look *look = &tracee->look;

	if (kc_thread_look(tracee->pid, tracee->tid, look))
		look->blocked = false;
	tracee->running = !look->blocked;
	tracee->slept_ms = 0;
	if (look->blocked && look->syscall >= 0 && has_timeout_register((uint64_t)look->syscall) &&
	    (int32_t)look->args[3] > 0)
		tracee->slept_ms = kc_thread_slept_ms(tracee->pid, tracee->tid);
	tracee->look_ns = kc_now_ns(); /* behind slept_ms: no time may count twice */
}

void kc_tracee_interrupt(struct kc_tracee *tracee)
{
	if (tracee->stopped || tracee->gone)
		return;
	tracee->interrupted = true;
	ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL); /* fails only when it is gone: then wait says so */
}

void kc_tracee_note(struct kc_tracee *tracee, int status)
{
	tracee->status = status;
	tracee->hidden = false;
	if (WIFSTOPPED(status))
		tracee->stopped = true;
	else
		tracee->gone = true;
}

bool kc_tracee_poll(struct kc_tracee *tracee)
{
	int status;
	pid_t ret;

	if (tracee->stopped || tracee->gone)
		return true;
	ret = waitpid(tracee->tid, &status, __WALL | __WNOTHREAD | WNOHANG);
	if (ret == tracee->tid)
		kc_tracee_note(tracee, status);
	else if (ret < 0)
		tracee->gone = true;
	return tracee->stopped || tracee->gone;
}

int kc_tracee_event(const struct kc_tracee *tracee)
{
	return tracee->stopped ? tracee->status >> 16 : 0;
}

int kc_tracee_signal(const struct kc_tracee *tracee)
{
	int signal = WSTOPSIG(tracee->status);

	return tracee->stopped && !kc_tracee_event(tracee) && !(signal & 0x80) ? signal : 0;
}

int kc_tracee_regs(const struct kc_tracee *tracee, struct user_regs_struct *regs)
{
	return ptrace(PTRACE_GETREGS, tracee->tid, NULL, regs) ? -errno : 0;
}

/*
 * epoll_wait's timeout is relative and sits in a register: it must not begin anew. How long the thread had slept is
 * known when it has run exactly once since the look: to stop. A thread whose time was over has instead run because of
 * that, and is in its next wait already: this one begins now.
 */
static void shorten_timeout(const struct kc_tracee *tracee, struct user_regs_struct *regs)
{
	int32_t timeout = (int32_t)regs->r10;
	uint64_t runs, passed;

	if (!has_timeout_register(regs->orig_rax) || timeout <= 0)
		return;
	if (!tracee->look.blocked || kc_thread_runs(tracee->pid, tracee->tid, &runs) || runs > tracee->look.runs + 1)
		return;
	passed = tracee->slept_ms + (kc_now_ns() - tracee->look_ns) / 1000000;
	passed -= passed ? 1 : 0; /* rather late than early */
	if (passed + 2 < (uint64_t)timeout)
		regs->r10 = (uint64_t)timeout - passed;
}

/* Is a signal with a handler about to be delivered? Then EINTR is what the program must see. */
static bool handler_is_due(const struct kc_tracee *tracee)
{
	struct kc_thread_status status;

	return kc_thread_status(tracee->pid, tracee->tid, &status) == 0 &&
	       (status.pending & ~status.blocked & status.caught);
}

/*
 * While a thread is traced, signals that it ignores reach it, too: they stop it, and would end a system call. Those
 * that are ignored by default count when they have no handler.
 */
static bool signal_is_ignored(const struct kc_tracee *tracee)
{
	static const uint64_t by_default =
		1ull << (SIGCHLD - 1) | 1ull << (SIGCONT - 1) | 1ull << (SIGURG - 1) | 1ull << (SIGWINCH - 1);
	int signal = kc_tracee_signal(tracee);
	struct kc_thread_status status;

	if (signal <= 0 || kc_thread_status(tracee->pid, tracee->tid, &status))
		return false;
	return (status.ignored | (by_default & ~status.caught)) >> (signal - 1) & 1;
}

/* close() has closed even when it returns EINTR: a second one would hit another file. */
static bool can_start_again(uint64_t nr)
{
	return nr != SYS_close;
}

void kc_tracee_hide(struct kc_tracee *tracee)
{
	struct user_regs_struct regs;

	if (tracee->hidden || (kc_tracee_event(tracee) != PTRACE_EVENT_STOP && !signal_is_ignored(tracee)) ||
	    kc_tracee_regs(tracee, &regs))
		return;
	tracee->hidden = true;
	if ((int64_t)regs.orig_rax < 0 || (int64_t)regs.rax != -EINTR || !can_start_again(regs.orig_rax) ||
	    handler_is_due(tracee))
		return;
	shorten_timeout(tracee, &regs);
	regs.rax = regs.orig_rax;
	regs.rip -= 2; /* size of the syscall instruction */
	ptrace(PTRACE_SETREGS, tracee->tid, NULL, &regs);
}

void kc_tracee_release(struct kc_tracee *tracee)
{
	if (!tracee->stopped)
		return;
	kc_tracee_hide(tracee);
	ptrace(PTRACE_DETACH, tracee->tid, NULL, (long)kc_tracee_signal(tracee));
	tracee->stopped = false;
	tracee->gone = true;
}

void kc_tracee_continue(struct kc_tracee *tracee)
{
	bool group_stop = kc_tracee_event(tracee) == PTRACE_EVENT_STOP && WSTOPSIG(tracee->status) != SIGTRAP;

	if (!tracee->stopped)
		return;
	kc_tracee_hide(tracee);
	ptrace(group_stop ? PTRACE_LISTEN : PTRACE_CONT, tracee->tid, NULL, (long)kc_tracee_signal(tracee));
	tracee->stopped = false;
	tracee->interrupted = false;
}

/* Another run of this program will be done soon. */
static bool is_our_program(pid_t pid)
{
	char path[64], ours[PATH_MAX], theirs[PATH_MAX];
	ssize_t n_ours, n_theirs;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n_ours = readlink("/proc/self/exe", ours, sizeof(ours));
	n_theirs = readlink(path, theirs, sizeof(theirs));
	return n_ours > 0 && n_ours == n_theirs && memcmp(ours, theirs, (size_t)n_ours) == 0;
}

struct kc_error *kc_traced_error(pid_t pid, pid_t tracer)
{
	if (is_our_program(tracer))
		return kc_error_new(KC_ERR_BUSY, "process %d is being patched by process %d", pid, tracer);
	return kc_error_new(KC_ERR_TRACED, "process %d is traced by process %d", pid, tracer);
}

struct kc_error *kc_tracee_refusal(const struct kc_tracee *tracee, int errnum)
{
	struct kc_thread_status status;

	if (errnum == EPERM && kc_thread_status(tracee->pid, tracee->tid, &status) == 0 && status.tracer)
		return kc_traced_error(tracee->pid, status.tracer);
	if (errnum == EPERM || errnum == EACCES)
		return kc_error_new(KC_ERR_PERMISSION, "not permitted to trace process %d", tracee->pid);
	return kc_error_errno(KC_ERR_SYSTEM, errnum, "cannot trace thread %d of process %d", tracee->tid, tracee->pid);
}
