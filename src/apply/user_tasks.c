/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_tasks.h"

#include <stdlib.h>

#include "base/array.h"

struct kc_task *kc_tasks_find(struct kc_tasks *tasks, pid_t pid)
{
	for (size_t i = 0; i < tasks->n; i++) {
		if (tasks->items[i].pid == pid)
			return &tasks->items[i];
	}
	return NULL;
}

struct kc_task *kc_tasks_need(struct kc_tasks *tasks, pid_t pid, uint64_t now_ns)
{
	struct kc_task *task = kc_tasks_find(tasks, pid);

	if (task || tasks->n >= tasks->max)
		return task;
	task = kc_array_add(&tasks->items, &tasks->n);
	if (!task)
		return NULL;
	task->pid = pid;
	task->seen_ns = task->due_ns = now_ns;
	return task;
}

void kc_task_add_addr(struct kc_task *task, uint64_t addr, uint64_t now_ns)
{
	/* With more objects than places the last ones stand for all: they are the newest. */
	if (task->n_addrs == KC_TASK_ADDRS_MAX)
		task->n_addrs--;
	task->addrs[task->n_addrs++] = addr;
	task->settled = false;
	task->delay_ns = 0;
	task->due_ns = now_ns;
}

struct kc_task *kc_tasks_next(struct kc_tasks *tasks)
{
	struct kc_task *next = NULL;

	for (size_t i = 0; i < tasks->n; i++) {
		if (!next || tasks->items[i].due_ns < next->due_ns)
			next = &tasks->items[i];
	}
	return next;
}

void kc_task_postpone(struct kc_task *task, uint64_t now_ns, uint64_t least_ns, uint64_t most_ns)
{
	task->delay_ns *= 2;
	if (task->delay_ns < least_ns)
		task->delay_ns = least_ns;
	if (task->delay_ns > most_ns)
		task->delay_ns = most_ns;
	task->due_ns = now_ns + task->delay_ns;
}

bool kc_tasks_has_fresh(const struct kc_tasks *tasks)
{
	for (size_t i = 0; i < tasks->n; i++) {
		if (!tasks->items[i].looked_at)
			return true;
	}
	return false;
}

void kc_tasks_drop(struct kc_tasks *tasks, struct kc_task *task)
{
	*task = tasks->items[tasks->n - 1];
	tasks->n--;
}

void kc_tasks_clear(struct kc_tasks *tasks)
{
	free(tasks->items);
	tasks->items = NULL;
	tasks->n = 0;
}
