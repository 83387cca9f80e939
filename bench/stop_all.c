/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor for bench/bench_stop_time.py: stops all threads of a process with ptrace and lets them go on, and nothing
 * else. Usage: stop_all PID.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum {
	THREADS_MAX = 4096,
};

static pid_t threads[THREADS_MAX];
static int n_threads;

static void seize_all(const char *pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir) {
		perror(path);
		exit(1);
	}
	while (n_threads < THREADS_MAX && (entry = readdir(dir))) {
		pid_t thread = atoi(entry->d_name);

		if (thread > 0 && !ptrace(PTRACE_SEIZE, thread, 0, 0))
			threads[n_threads++] = thread;
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	seize_all(argv[1]);
	for (int i = 0; i < n_threads; i++)
		ptrace(PTRACE_INTERRUPT, threads[i], 0, 0);
	for (int i = 0; i < n_threads; i++)
		waitpid(threads[i], NULL, __WALL);
	for (int i = 0; i < n_threads; i++)
		ptrace(PTRACE_DETACH, threads[i], 0, 0);
	return n_threads ? 0 : 1;
}
