/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens in the life of a process: fork, exec, exit, dlopen. Never patched. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker.h"

static const struct command child_commands[];
static int to_child = -1;
static long (*opened)(long x);

/* Answers the child's pid; "child COMMAND" is answered by the child from now on. */
static long run_fork(const char *argument)
{
	int pair[2];
	pid_t pid;

	(void)argument;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		loop(pair[1], pair[1], (const struct command *const[]){ child_commands, NULL });
		_exit(0);
	}
	close(pair[1]);
	to_child = pair[0];
	return pid;
}

static long run_child(const char *line)
{
	char text[64] = "";

	dprintf(to_child, "%s\n", line);
	return read(to_child, text, sizeof(text) - 1) > 0 ? number(text) : -1;
}

static long run_exec(const char *argument)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	(void)argument;
	if (n < 0)
		return -1;
	path[n] = '\0';
	execl(path, path, NULL);
	return -1;
}

static void *exit_later(void *us)
{
	usleep((useconds_t)(intptr_t)us);
	_exit(0);
}

static long run_exit_in(const char *us)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, exit_later, (void *)(intptr_t)number(us));
}

static long run_dlopen(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	if (!library)
		return -1;
	opened = (long (*)(long))(intptr_t)dlsym(library, "two_value");
	return opened ? 0 : -1;
}

static long run_two(const char *argument)
{
	return opened ? opened(number(argument)) : -1;
}

static long run_value(const char *argument)
{
	return program_value(number(argument));
}

static long run_one(const char *argument)
{
	return one_value(number(argument));
}

static const struct command child_commands[] = {
	{ "value", run_value },
	{ "one", run_one },
	{ "two", run_two },
	{ NULL, NULL },
};

const struct command life_commands[] = {
	{ "value", run_value },	    { "one", run_one },	      { "two", run_two },
	{ "fork", run_fork },	    { "child", run_child },   { "exec", run_exec },
	{ "exit-in", run_exit_in }, { "dlopen", run_dlopen }, { NULL, NULL },
};
