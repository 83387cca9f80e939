/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads as /proc shows them. /proc/PID/task/TID/syscall names the place of a blocked thread; schedstat's third field
 * counts how often it was put on a CPU (context-switch counters do not change while a thread is awake).
 */
#include "proc/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/file.h"
#include "proc/internal.h"

#define STATUS_SIZE_MAX ((size_t)2 << 20) /* with 65,536 groups */

static int compare_pids(const void *a, const void *b)
{
	pid_t first = *(const pid_t *)a, second = *(const pid_t *)b;

	return first < second ? -1 : first > second;
}

int kc_pid_dir_list(const char *path, pid_t **pids, size_t *n)
{
	kc_autoclosedir DIR *dir = opendir(path);
	kc_autofree pid_t *list = NULL;
	size_t count = 0;
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char *end;
		long number = strtol(entry->d_name, &end, 10);
		pid_t *pid;

		if (*end || number <= 0)
			continue;
		pid = kc_array_add(&list, &count);
		if (!pid)
			return -ENOMEM;
		*pid = (pid_t)number;
	}
	if (count)
		qsort(list, count, sizeof(*list), compare_pids);
	*pids = kc_steal(list);
	*n = count;
	return 0;
}

int kc_thread_list(pid_t pid, pid_t **tids, size_t *n)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	ret = kc_pid_dir_list(path, tids, n);
	return ret == -ENOENT || (!ret && !*n) ? -ESRCH : ret;
}

/* Reads a small file of a thread as text. */
static int read_thread_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	kc_autoclose int fd = -1;
	char path[80];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return n ? 0 : -ESRCH;
}

int kc_thread_runs(pid_t pid, pid_t tid, uint64_t *runs)
{
	char text[96];
	int ret = read_thread_file(pid, tid, "schedstat", text, sizeof(text));

	if (ret)
		return ret;
	return sscanf(text, "%*u %*u %" SCNu64, runs) == 1 ? 0 : -EINVAL;
}

/* "running", "-1 sp pc" or "number arg0 … arg5 sp pc" */
static int parse_syscall(const char *text, struct kc_thread_look *look)
{
	uint64_t *args = look->args;

	look->blocked = strncmp(text, "running", 7) != 0;
	if (!look->blocked)
		return 0;
	if (sscanf(text, "%" SCNd64, &look->syscall) != 1)
		return -EINVAL;
	if (look->syscall == -1)
		return sscanf(text, "-1 %" SCNx64 " %" SCNx64, &look->sp, &look->pc) == 2 ? 0 : -EINVAL;
	return sscanf(text,
		      "%*d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		      " %" SCNx64,
		      &args[0], &args[1], &args[2], &args[3], &args[4], &args[5], &look->sp, &look->pc) == 8
		       ? 0
		       : -EINVAL;
}

int kc_thread_look(pid_t pid, pid_t tid, struct kc_thread_look *look)
{
	char text[256];
	uint64_t runs_after;
	int ret;

	memset(look, 0, sizeof(*look));
	ret = kc_thread_runs(pid, tid, &look->runs);
	if (!ret)
		ret = read_thread_file(pid, tid, "syscall", text, sizeof(text));
	if (!ret)
		ret = parse_syscall(text, look);
	if (!ret)
		ret = kc_thread_runs(pid, tid, &runs_after);
	if (ret)
		return ret;
	if (look->runs != runs_after)
		look->blocked = false;
	return 0;
}

bool kc_thread_look_same(const struct kc_thread_look *a, const struct kc_thread_look *b)
{
	return a->blocked && b->blocked && a->runs == b->runs && a->syscall == b->syscall && a->sp == b->sp &&
	       a->pc == b->pc;
}

/* The scheduler's clock when the thread last ran, in ms; 0 when there is none. */
static double last_ran_ms(const char *path)
{
	kc_autobuf struct kc_buf text = { 0 };
	const char *field;
	double ms = 0;

	if (kc_file_read(path, 65536, &text))
		return 0;
	field = strstr(text.data, "se.exec_start");
	field = field ? strchr(field, ':') : NULL;
	return field && sscanf(field + 1, "%lf", &ms) == 1 ? ms : 0;
}

/* Field `number` of a thread's stat, counted from 1; -1 when it cannot be read. Not for the second, the name. */
static long stat_field(pid_t pid, pid_t tid, int number)
{
	char text[1024];
	const char *at;

	if (read_thread_file(pid, tid, "stat", text, sizeof(text)))
		return -1;
	at = strrchr(text, ')');
	for (int i = 2; at && i < number; i++)
		at = strchr(at + 1, ' ');
	return at ? strtol(at, NULL, 10) : -1;
}

size_t kc_thread_count(pid_t pid)
{
	long n = stat_field(pid, pid, 20);

	return n > 0 ? (size_t)n : 0;
}

/* The clock differs from CPU to CPU, by what interrupts and other machines took: it is read where the thread last ran.
 */
uint64_t kc_thread_slept_ms(pid_t pid, pid_t tid)
{
	long cpu = stat_field(pid, tid, 39);
	double then, now = 0;
	cpu_set_t before, there;
	char path[80];

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/sched", pid, tid);
	then = last_ran_ms(path);
	CPU_ZERO(&there);
	CPU_SET(cpu, &there);
	if (sched_setaffinity(0, sizeof(there), &there) == 0)
		now = last_ran_ms("/proc/thread-self/sched");
	sched_setaffinity(0, sizeof(before), &before);
	return then > 0 && now > then ? (uint64_t)(now - then) : 0;
}

/* The value of "Name:\t…" in the text of a status file, or NULL. */
static const char *status_field(const char *text, const char *name)
{
	size_t size = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, size) == 0 && line[size] == ':')
			return line + size + 1;
	}
	return NULL;
}

static uint64_t status_mask(const char *text, const char *name)
{
	const char *value = status_field(text, name);

	return value ? strtoull(value, NULL, 16) : 0;
}

int kc_thread_status(pid_t pid, pid_t tid, struct kc_thread_status *status)
{
	char path[80], small[8192] = "";
	kc_autobuf struct kc_buf large = { 0 };
	const char *value, *text = small;
	int ret = read_thread_file(pid, tid, "status", small, sizeof(small));

	if (!ret && strlen(small) == sizeof(small) - 1) { /* many groups */
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
		ret = kc_file_read(path, STATUS_SIZE_MAX, &large);
		text = large.data;
	}
	if (ret)
		return ret == -ENOENT ? -ESRCH : ret;
	memset(status, 0, sizeof(*status));
	value = status_field(text, "State");
	status->state = value ? value[strspn(value, " \t")] : '?';
	value = status_field(text, "TracerPid");
	status->tracer = value ? (pid_t)strtol(value, NULL, 10) : 0;
	value = status_field(text, "Seccomp");
	status->seccomp = value ? (int)strtol(value, NULL, 10) : 0;
	status->pending = status_mask(text, "SigPnd") | status_mask(text, "ShdPnd");
	status->blocked = status_mask(text, "SigBlk");
	status->ignored = status_mask(text, "SigIgn");
	status->caught = status_mask(text, "SigCgt");
	return 0;
}
