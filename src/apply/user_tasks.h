/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's bounded work queue: processes that may need a patch, and when to look at each. At most one task for a
 * process. Plain data: no clock, no system calls.
 */
#ifndef KC_APPLY_USER_TASKS_H
#define KC_APPLY_USER_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KC_TASK_ADDRS_MAX 8

/* A file as the kernel names it when it knows no build-id. */
struct kc_task_file {
	uint32_t dev_major, dev_minor;
	uint64_t inode, generation;
};

struct kc_task {
	pid_t pid;
	uint64_t seen_ns; /* when it came into the queue */
	uint64_t due_ns;
	uint64_t delay_ns;		   /* the last one, which the next one grows from */
	uint64_t addrs[KC_TASK_ADDRS_MAX]; /* the loader must have finished with these objects */
	size_t n_addrs;
	bool settled;	/* the loader has finished */
	bool looked_at; /* once at least */
	bool is_busy;	/* patching was tried and must be tried again */
	bool is_asked;	/* does `file` have a patch at all? Then addrs[0] lies in it */
	struct kc_task_file file;
};

struct kc_tasks {
	struct kc_task *items;
	size_t n;
	size_t max; /* 0 is not allowed */
};

struct kc_task *kc_tasks_find(struct kc_tasks *tasks, pid_t pid);
/* The task of that process, a new one due at once if need be; NULL when the queue is full (or out of memory). */
struct kc_task *kc_tasks_need(struct kc_tasks *tasks, pid_t pid, uint64_t now_ns);
/* One more object that must be relocated; the task has to settle again. */
void kc_task_add_addr(struct kc_task *task, uint64_t addr, uint64_t now_ns);
/* The one that is due first, or NULL. */
struct kc_task *kc_tasks_next(struct kc_tasks *tasks);
/* Due again after twice the last delay, within the given bounds. */
void kc_task_postpone(struct kc_task *task, uint64_t now_ns, uint64_t least_ns, uint64_t most_ns);
/* Is there a task that nobody has looked at? */
bool kc_tasks_has_fresh(const struct kc_tasks *tasks);
/* Pointers to other tasks are invalid afterwards. */
void kc_tasks_drop(struct kc_tasks *tasks, struct kc_task *task);
void kc_tasks_clear(struct kc_tasks *tasks);

#endif
