/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of a process as /proc shows them, without stopping them.
 */
#ifndef KC_PROC_THREAD_H
#define KC_PROC_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Thread ids of a process, ascending (caller frees). 0 or -errno; -ESRCH when it has ended. */
int kc_thread_list(pid_t pid, pid_t **tids, size_t *n);

/* How many threads a process has; 0 when it has ended. Cheaper than listing them. */
size_t kc_thread_count(pid_t pid);

/* Where a thread is that is not on a CPU. */
struct kc_thread_look {
	bool blocked;	 /* false: it runs or is about to; nothing below is valid */
	uint64_t runs;	 /* how often it was put on a CPU: unchanged means that it did not run in between */
	int64_t syscall; /* its number, or -1: blocked in a page fault or another exception */
	uint64_t args[6];
	uint64_t sp, pc; /* in user mode */
};

/*
 * One look that is consistent in itself: the run count was the same before and after. 0 or -errno (-ESRCH: ended,
 * -EACCES: not permitted).
 */
int kc_thread_look(pid_t pid, pid_t tid, struct kc_thread_look *look);
/* The same place at the same run: the thread was not in user mode between the two looks. */
bool kc_thread_look_same(const struct kc_thread_look *a, const struct kc_thread_look *b);
/* How often it was put on a CPU. 0 or -errno. */
int kc_thread_runs(pid_t pid, pid_t tid, uint64_t *runs);

/* How long it has not run, in ms, as its scheduler statistics say; 0 when they say nothing. */
uint64_t kc_thread_slept_ms(pid_t pid, pid_t tid);

/* From the thread's `status`. */
struct kc_thread_status {
	char state; /* R S D T t Z X I */
	pid_t tracer;
	uint64_t pending; /* signals, its own and the process's; bit N-1 is signal N */
	uint64_t blocked; /* by the mask that is in force now */
	uint64_t ignored, caught;
	int seccomp; /* 0 off, 1 strict, 2 filter */
};
int kc_thread_status(pid_t pid, pid_t tid, struct kc_thread_status *status);

#endif
