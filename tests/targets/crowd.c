/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crowds of threads that call the patched function all the time and count every answer that is neither old nor new:
 * blocked and spinning ones, a thread that starts threads without end, a storm of signals, a vfork. Never patched.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

static atomic_long turns, wrong, mixed, started, handled;
static atomic_int stop;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

/*
 * Old, level 1 or level 2? The program's function is asked before and after the library's: when both answers agree with
 * each other and not with the library's, then the two objects did not switch together.
 */
static void check_once(void)
{
	long program = program_value(10) - 31, library = one_value(10) - 1010, again = program_value(10) - 31;

	if (program < 0 || program > 2 || library < 0 || library > 2)
		atomic_fetch_add(&wrong, 1);
	if (program == again && program != library)
		atomic_fetch_add(&mixed, 1);
	atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
}

static int start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	return pthread_create(&thread, &attributes, run, arg);
}

static long start_many(void *(*run)(void *), long n)
{
	long failed = 0;

	atomic_store(&stop, 0);
	for (long i = 0; i < n; i++)
		failed += start(run, NULL) != 0;
	return failed;
}

static void *sleeper(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (;;)
		pthread_cond_wait(&never, &mutex);
	return arg;
}

static void *spinner(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		check_once();
	return arg;
}

/* Blocks and runs in turns. */
static void *stutterer(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		check_once();
		usleep(500);
	}
	return arg;
}

static void *short_lived(void *arg)
{
	check_once();
	atomic_fetch_add(&started, 1);
	return arg;
}

static void *creator(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, short_lived, NULL))
			abort();
		pthread_join(thread, NULL);
	}
	return arg;
}

static void handle(int signal)
{
	(void)signal;
	check_once();
	atomic_fetch_add(&handled, 1);
}

static void *storm(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		kill(getpid(), SIGRTMIN + 3);
		kill(getpid(), SIGUSR2);
	}
	return arg;
}

static void *vfork_parent(void *milliseconds)
{
	struct timespec time = { .tv_sec = (intptr_t)milliseconds / 1000,
				 .tv_nsec = (intptr_t)milliseconds % 1000 * 1000000 };
	pid_t pid = vfork();

	if (pid == 0) {
		nanosleep(&time, NULL);
		_exit(0);
	}
	atomic_fetch_add(&handled, 1);
	return NULL;
}

static long run_sleepers(const char *n)
{
	return start_many(sleeper, number(n));
}

static long run_spinners(const char *n)
{
	return start_many(spinner, number(n));
}

static long run_stutterers(const char *n)
{
	return start_many(stutterer, number(n));
}

static long run_creators(const char *n)
{
	return start_many(creator, number(n));
}

static long run_storm(const char *n)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };

	sigaction(SIGRTMIN + 3, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	return start_many(storm, number(n));
}

static long run_vfork(const char *milliseconds)
{
	return start(vfork_parent, (void *)(intptr_t)number(milliseconds));
}

static long run_stop(const char *argument)
{
	(void)argument;
	atomic_store(&stop, 1);
	return 0;
}

static long run_turns(const char *argument)
{
	(void)argument;
	return atomic_load(&turns);
}

static long run_wrong(const char *argument)
{
	(void)argument;
	return atomic_load(&wrong);
}

static long run_mixed(const char *argument)
{
	(void)argument;
	return atomic_load(&mixed);
}

static long run_started(const char *argument)
{
	(void)argument;
	return atomic_load(&started);
}

static long run_handled(const char *argument)
{
	(void)argument;
	return atomic_load(&handled);
}

const struct command crowd_commands[] = {
	{ "sleepers", run_sleepers },
	{ "spinners", run_spinners },
	{ "stutterers", run_stutterers },
	{ "creators", run_creators },
	{ "storm", run_storm },
	{ "vfork", run_vfork },
	{ "stop", run_stop },
	{ "turns", run_turns },
	{ "wrong", run_wrong },
	{ "mixed", run_mixed },
	{ "started", run_started },
	{ "handled", run_handled },
	{ NULL, NULL },
};
