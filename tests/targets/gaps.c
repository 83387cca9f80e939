/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measures how long others keep it from running: spinning threads that call the patched function all the time and
 * remember the largest gap between two turns, beside threads that sleep. For bench/ and rule 4. Never patched.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "loop.h"

long gaps_call(long x);
long gaps_same(long x);

#define SPINNERS_MAX 64
/*
 * A spinner rests at each reset, and never else: a real-time thread that never does is held by the scheduler for up to
 * 50 ms of every second, so that other threads do not starve. A rest is no gap.
 */
#define REST_US 20000

/* One cache line each: threads must not wait for each other's counters. */
static struct spinner {
	atomic_ulong largest; /* ticks, since the last reset */
	atomic_long value;
	atomic_uint epoch;
} __attribute__((aligned(128))) spinners[SPINNERS_MAX];

static atomic_int n_spinners;
static atomic_uint epoch;
static double ticks_per_ns;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *spin(void *arg)
{
	struct spinner *me = arg;
	uint64_t before = __rdtsc(), largest = 0;
	unsigned seen = 0;

	for (;;) {
		long value = gaps_call(0);
		uint64_t now = __rdtsc(), gap = now - before;
		unsigned wanted = atomic_load_explicit(&epoch, memory_order_relaxed);

		before = now;
		if (wanted != seen) {
			seen = wanted;
			largest = 0;
			usleep(REST_US);
			before = __rdtsc();
			atomic_store(&me->largest, 0);
			atomic_store(&me->epoch, seen);
		} else if (gap > largest) {
			largest = gap;
			atomic_store_explicit(&me->largest, gap, memory_order_relaxed);
		}
		if (value != atomic_load_explicit(&me->value, memory_order_relaxed))
			atomic_store_explicit(&me->value, value, memory_order_relaxed);
	}
	return NULL;
}

static void *sleep_for_ever(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (;;)
		pthread_cond_wait(&never, &mutex);
	return arg;
}

static void *stutter(void *arg)
{
	for (;;) {
		gaps_call(0);
		usleep(50000);
	}
	return arg;
}

static int start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	return pthread_create(&thread, &attributes, run, arg);
}

static long run_sleepers(const char *n)
{
	long failed = 0;

	for (long i = number(n); i > 0; i--)
		failed += start(sleep_for_ever, NULL) != 0;
	return failed;
}

/* Threads that block and run in turns. */
static long run_stutterers(const char *n)
{
	long failed = 0;

	for (long i = number(n); i > 0; i--)
		failed += start(stutter, NULL) != 0;
	return failed;
}

static long run_spinners(const char *n)
{
	long failed = 0;

	for (long i = number(n); i > 0 && n_spinners < SPINNERS_MAX; i--)
		failed += start(spin, &spinners[n_spinners++]) != 0;
	return failed;
}

/* Forgets the gaps so far; returns when every spinner has. */
static long run_reset(const char *argument)
{
	unsigned wanted = atomic_fetch_add(&epoch, 1) + 1;

	(void)argument;
	for (int i = 0; i < n_spinners; i++)
		while (atomic_load(&spinners[i].epoch) != wanted)
			usleep(100);
	return 0;
}

/* The largest gap of any spinner since the reset, in ns. */
static long run_largest(const char *argument)
{
	uint64_t largest = 0;

	(void)argument;
	for (int i = 0; i < n_spinners; i++)
		if (atomic_load(&spinners[i].largest) > largest)
			largest = atomic_load(&spinners[i].largest);
	return (long)((double)largest / ticks_per_ns);
}

/* The sum of what the spinners' last calls answered: tells old from new. */
static long run_value(const char *argument)
{
	long sum = 0;

	(void)argument;
	for (int i = 0; i < n_spinners; i++)
		sum += atomic_load(&spinners[i].value);
	return sum;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static long time_calls(long (*volatile function)(long), long n)
{
	uint64_t before = now_ns();
	long x = 0;

	for (long i = 0; i < n; i++)
		x = function(x);
	return (long)(now_ns() - before) * 1000 / n;
}

/* "cost N" and "cost-same N": picoseconds of one call, over N calls, of the function that is patched and of its twin.
 */
static long run_cost(const char *n)
{
	return time_calls(gaps_call, number(n));
}

static long run_cost_same(const char *n)
{
	return time_calls(gaps_same, number(n));
}

static void calibrate(void)
{
	uint64_t ns = now_ns(), ticks = __rdtsc();

	usleep(50000);
	ticks_per_ns = (double)(__rdtsc() - ticks) / (double)(now_ns() - ns);
}

static const struct command commands[] = {
	{ "sleepers", run_sleepers }, { "stutterers", run_stutterers }, { "spinners", run_spinners },
	{ "reset", run_reset },	      { "largest", run_largest },	{ "value", run_value },
	{ "cost", run_cost },	      { "cost-same", run_cost_same },	{ NULL, NULL },
};

int main(void)
{
	calibrate();
	return loop_main((const struct command *const[]){ commands, NULL });
}
