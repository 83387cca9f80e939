/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_loop LIBRARY FUNCTION OLD N: makes N processes, one after the other; each opens the library and calls the
 * function until it no longer returns OLD. Prints for each: microseconds that dlopen() took, and from just before
 * dlopen() until the function was a new one. With N negative nobody waits: only dlopen() is measured.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_US 5000000

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int measure(const char *path, const char *name, long old, int wait)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	double start = now_us(), opened;
	void *library = dlopen(path, RTLD_LAZY);
	long (*function)(long x) = library ? (long (*)(long x))dlsym(library, name) : NULL;

	opened = now_us();
	if (!function) {
		fprintf(stderr, "map_loop: %s\n", dlerror());
		return 1;
	}
	while (wait && function(0) == old) {
		if (now_us() - start > GIVE_UP_US) {
			fprintf(stderr, "map_loop: not patched within %d us\n", GIVE_UP_US);
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	printf("%.0f %.0f\n", opened - start, now_us() - start);
	return 0;
}

/* The library calls back into the program that it was made for; here nobody calls that. */
long block(void);
long block(void)
{
	return 0;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int n = argc == 5 ? atoi(argv[4]) : 0, status = 0;

	if (!n) {
		fprintf(stderr, "usage: map_loop LIBRARY FUNCTION OLD N\n");
		return 2;
	}
	for (int i = 0; i < abs(n) && !status; i++) {
		pid_t pid = fork();

		if (!pid) {
			int failed = measure(argv[1], argv[2], atol(argv[3]), n > 0);

			fflush(stdout);
			_exit(failed);
		}
		waitpid(pid, &status, 0);
		nanosleep(&pause, NULL);
	}
	return status != 0;
}
