/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rusage ROUNDS PROGRAM [ARGUMENT…]: runs a program again and again and prints, one line for each run, its CPU time in
 * microseconds and its peak memory in KiB. Small itself: a process inherits the peak of the one that it replaced.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(char **argv)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

static long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000L + time.tv_usec;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[1]) : 0;

	if (rounds < 1) {
		fprintf(stderr, "usage: rusage ROUNDS PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	for (int i = 0; i < rounds; i++) {
		struct rusage usage;
		int status;
		pid_t pid = fork();

		if (pid == 0)
			run(argv + 2);
		if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
			return 1;
		if (WIFSIGNALED(status) || WEXITSTATUS(status) >= 126) {
			fprintf(stderr, "rusage: %s did not run\n", argv[2]);
			return 1;
		}
		printf("%ld %ld\n", microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_maxrss);
	}
	return 0;
}
