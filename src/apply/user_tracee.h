/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One traced thread: seize, interrupt, wait, read, let go without a trace. All calls come from the one thread that
 * kc_on_tracer() started: when that ends, the kernel lets go of every thread that is still seized and not stopped.
 */
#ifndef KC_APPLY_USER_TRACEE_H
#define KC_APPLY_USER_TRACEE_H

#include <sys/user.h>

#include "apply/user_internal.h"
#include "proc/thread.h"

struct kc_tracee {
	pid_t pid, tid;
	bool interrupted;
	bool stopped;
	bool gone;
	bool running;		     /* was not blocked when last looked at */
	bool other_memory;	     /* a child that only has to be let go */
	bool worker;		     /* of the kernel (io_uring): runs no code of the program */
	bool hidden;		     /* its stop */
	bool in_kernel;		     /* not waited for: blocked in the kernel, and an interrupt keeps it there */
	uint64_t sp, thread_pointer; /* when it was checked; 0: not yet */
	bool outside;		     /* stopped, and not in code that would change */
	int status;		     /* of the wait that said that it stopped */
	struct kc_thread_look look;
	uint64_t look_ns;  /* when: kc_now_ns() */
	uint64_t slept_ms; /* before the look; known for epoll_wait only */
};

typedef struct kc_error *kc_tracer_fn(void *data);
/* Runs `fn` on a thread of its own and waits for it. */
struct kc_error *kc_on_tracer(kc_tracer_fn *fn, void *data);

/* 0 or -errno: -ESRCH ended, -EPERM not permitted or traced by another. */
int kc_tracee_seize(struct kc_tracee *tracee, unsigned long options);
/* Its place as seen from outside; in epoll_wait, how long it has been there. */
void kc_tracee_look(struct kc_tracee *tracee);
void kc_tracee_interrupt(struct kc_tracee *tracee);
/* Has it stopped (or ended)? Does not wait. */
bool kc_tracee_poll(struct kc_tracee *tracee);
/* Notes a wait status. */
void kc_tracee_note(struct kc_tracee *tracee, int status);
int kc_tracee_regs(const struct kc_tracee *tracee, struct user_regs_struct *regs);
/* The ptrace event that it stopped for, or 0. */
int kc_tracee_event(const struct kc_tracee *tracee);
/* The signal that it is about to receive, or 0. */
int kc_tracee_signal(const struct kc_tracee *tracee);
/*
 * Makes the stop invisible: a system call that would return EINTR begins again. At once, not when the thread is let go:
 * the program must not see it when we are killed either.
 */
void kc_tracee_hide(struct kc_tracee *tracee);
/* Makes the stop invisible and detaches. Only for stopped threads; others are let go by the end of the tracer. */
void kc_tracee_release(struct kc_tracee *tracee);
/* The same without detaching: it runs on, still seized. */
void kc_tracee_continue(struct kc_tracee *tracee);
/* KC_ERR_TRACED; KC_ERR_BUSY when the tracer is this program. */
struct kc_error *kc_traced_error(pid_t pid, pid_t tracer);
/* Why could it not be seized? */
struct kc_error *kc_tracee_refusal(const struct kc_tracee *tracee, int errnum);

uint64_t kc_now_ns(void);
void kc_nap(unsigned microseconds);

#endif
