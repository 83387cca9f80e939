// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tasks that livepatch waits for: which they are, where they are, and how they are moved on. A task switches when it
 * leaves the kernel, so it is enough to interrupt it: it is at home before it has stopped. Stopping without a trace is
 * user_tracee.c's.
 */
#include <errno.h>
#include <string.h>

#include "apply/kernel_internal.h"
#include "apply/user_tracee.h"
#include "base/array.h"
#include "base/file.h"

#define STACK_FRAMES_MAX 8
#define SMALL_FILE_MAX ((size_t)64 << 10)
#define BATCH_SIZE 64	       /* tasks that are seized at once */
#define STOP_LIMIT_NS 50000000 /* what does not stop by then is let go */
#define POLL_US 100
#define PF_KTHREAD 0x00200000u /* include/linux/sched.h, as in field 9 of stat */
#define PF_IO_WORKER 0x00000010u

static int read_task_file(const struct kc_kernel_task *task, const char *name, struct kc_buf *text)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", task->pid, task->tid, name);
	return kc_file_read(path, SMALL_FILE_MAX, text);
}

int kc_task_stat_parse(const char *text, struct kc_kernel_task *task)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')'); /* the name may hold both */
	unsigned flags;

	if (!open || !close || close < open ||
	    sscanf(close + 1, " %c %*d %*d %*d %*d %*d %u", &task->state, &flags) != 2)
		return -EINVAL;
	snprintf(task->comm, sizeof(task->comm), "%.*s", (int)(close - open - 1), open + 1);
	task->is_kernel = flags & (PF_KTHREAD | PF_IO_WORKER);
	return 0;
}

/* 0, 1 or -1 (no transition), or less: it has ended, or may not be read. */
static int patch_state(const struct kc_kernel_task *task)
{
	kc_autobuf struct kc_buf text = { 0 };

	return read_task_file(task, "patch_state", &text) || !text.size ? -2 : (int)strtol(text.data, NULL, 10);
}

static struct kc_error *add_threads(pid_t pid, int target, struct kc_kernel_task **tasks, size_t *n, size_t *n_total)
{
	kc_autofree pid_t *tids = NULL;
	size_t n_tids = 0;

	if (kc_thread_list(pid, &tids, &n_tids))
		return NULL;
	*n_total += n_tids;
	for (size_t i = 0; i < n_tids; i++) {
		struct kc_kernel_task task = { .pid = pid, .tid = tids[i] }, *added;
		kc_autobuf struct kc_buf stat = { 0 };

		if (target >= 0 && patch_state(&task) != !target)
			continue;
		if (read_task_file(&task, "stat", &stat) || !stat.size || kc_task_stat_parse(stat.data, &task))
			continue;
		added = kc_array_add(tasks, n);
		if (!added)
			return kc_error_no_memory();
		*added = task;
	}
	return NULL;
}

struct kc_error *kc_task_list(struct kc_ctx *ctx, int target, struct kc_kernel_task **tasks, size_t *n, size_t *n_total)
{
	kc_autofree struct kc_kernel_task *list = NULL;
	kc_autofree pid_t *pids = NULL;
	size_t n_pids;

	*n = *n_total = 0;
	KC_TRY(kc_process_list(ctx, &pids, &n_pids));
	for (size_t i = 0; i < n_pids; i++)
		KC_TRY(add_threads(pids[i], target, &list, n, n_total));
	*tasks = kc_steal(list);
	return NULL;
}

/* The kernel stack as lines "\n      frame", innermost first. */
static void read_stack(const struct kc_kernel_task *task, struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };
	unsigned n = 0;
	char *line, *rest;

	if (task->state == 'R') {
		kc_buf_append_str(out, "\n      (running)");
		return;
	}
	if (read_task_file(task, "stack", &text) || !text.size) {
		kc_buf_append_str(out, "\n      (its kernel stack cannot be read)");
		return;
	}
	for (line = strtok_r(text.data, "\n", &rest); line && n < STACK_FRAMES_MAX;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *frame = strncmp(line, "[<0>] ", 6) == 0 ? line + 6 : line;

		kc_buf_printf(out, "\n      %s", frame);
		n++;
	}
}

struct described {
	char *stack;
	bool done;
};

/* Task `first` and all later ones with its name and stack. */
static void describe_group(const struct kc_kernel_task *tasks, struct described *described, size_t n, size_t first,
			   struct kc_buf *out)
{
	const struct kc_kernel_task *task = &tasks[first];
	size_t count = 0;

	kc_buf_printf(out, "\n  %s%s", task->is_kernel ? "kernel thread " : "", task->comm);
	for (size_t i = first; i < n; i++) {
		if (described[i].done || strcmp(tasks[i].comm, task->comm) ||
		    strcmp(described[i].stack, described[first].stack))
			continue;
		described[i].done = true;
		kc_buf_printf(out, "%s %d", count++ ? "," : ", task", tasks[i].tid);
	}
	kc_buf_printf(out, ":%s", described[first].stack);
}

void kc_task_describe(const struct kc_kernel_task *tasks, size_t n, struct kc_buf *out)
{
	struct described *described = calloc(n + 1, sizeof(*described));

	for (size_t i = 0; described && i < n; i++) {
		struct kc_buf stack = { 0 };

		read_stack(&tasks[i], &stack);
		described[i].stack = kc_buf_take(&stack);
		if (!described[i].stack)
			out->failed = true;
	}
	for (size_t i = 0; described && i < n && !out->failed; i++) {
		if (!described[i].done)
			describe_group(tasks, described, n, i, out);
	}
	for (size_t i = 0; described && i < n; i++)
		free(described[i].stack);
	free(described);
}

struct interrupting {
	struct kc_ctx *ctx;
	const struct kc_kernel_task *tasks;
	size_t n;
	size_t n_interrupted;
};

/* One that cannot be stopped is not asked: it would only see a spurious interrupt when it wakes up. */
static bool can_interrupt(const struct kc_kernel_task *task)
{
	return !task->is_kernel && task->pid != getpid() && task->state != 'D' && task->state != 'Z' &&
	       task->state != 'X';
}

static void seize_batch(struct interrupting *job, size_t first, struct kc_tracee *tracees, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct kc_kernel_task *task = &job->tasks[first + i];
		int ret = can_interrupt(task) ? 0 : -ESRCH;

		tracees[i] = (struct kc_tracee){ .pid = task->pid, .tid = task->tid };
		if (!ret)
			ret = kc_tracee_seize(&tracees[i], 0);
		if (ret == -EPERM)
			kc_debug(job->ctx, "task %d (%s) cannot be interrupted: it is traced, or that is forbidden",
				 task->tid, task->comm);
		tracees[i].gone = ret != 0;
		if (ret)
			continue;
		kc_tracee_look(&tracees[i]);
		kc_tracee_interrupt(&tracees[i]);
	}
}

/* Each goes on as soon as it has stopped. */
static size_t release_batch(struct kc_tracee *tracees, size_t n)
{
	uint64_t end = kc_now_ns() + STOP_LIMIT_NS;
	size_t released = 0, waiting;

	do {
		waiting = 0;
		for (size_t i = 0; i < n; i++) {
			if (tracees[i].gone)
				continue;
			if (kc_tracee_poll(&tracees[i]) && tracees[i].stopped) {
				kc_tracee_release(&tracees[i]);
				released++;
			}
			waiting += !tracees[i].gone;
		}
		if (waiting)
			kc_nap(POLL_US);
	} while (waiting && kc_now_ns() < end);
	return released;
}

static struct kc_error *interrupt_all(void *data)
{
	struct interrupting *job = data;
	struct kc_tracee tracees[BATCH_SIZE];

	for (size_t first = 0; first < job->n; first += BATCH_SIZE) {
		size_t n = job->n - first < BATCH_SIZE ? job->n - first : BATCH_SIZE;

		seize_batch(job, first, tracees, n);
		job->n_interrupted += release_batch(tracees, n);
	}
	return NULL; /* what is still seized is let go by the end of this thread */
}

struct kc_error *kc_task_interrupt(struct kc_ctx *ctx, const struct kc_kernel_task *tasks, size_t n,
				   size_t *n_interrupted)
{
	struct interrupting job = { .ctx = ctx, .tasks = tasks, .n = n };
	struct kc_error *err = kc_on_tracer(interrupt_all, &job);

	*n_interrupted += job.n_interrupted;
	return err;
}
