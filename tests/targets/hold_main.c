/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that go into the functions of hold.c and stay there: "enter KIND" starts one, "leave" lets it go on, "join"
 * answers what its call returned. "hold KIND" calls without staying. Never patched.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "hold.h"
#include "worker.h"

#define COROUTINE_STACK 65536

atomic_int hold_go;
atomic_long hold_seen = 1;
static atomic_long overlaps, slow_calls;
static pthread_t holder;
static char alternate_stack[65536];
static ucontext_t loop_context, coroutine_context;
static long coroutine_result;

void hold_depart(struct hold_last *l)
{
	if (l->stay)
		block();
	longjmp(l->back, 1);
}

void hold_rare(void)
{
	block();
}

static void handler(int signal)
{
	(void)signal;
	block();
}

static void use_alternate_stack(void)
{
	stack_t stack = { .ss_sp = alternate_stack, .ss_size = sizeof(alternate_stack) };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
}

void hold_raise(void)
{
	pthread_kill(pthread_self(), SIGUSR1);
}

void hold_yield(void)
{
	swapcontext(&coroutine_context, &loop_context);
}

static long call_last(long x, int stay)
{
	struct hold_last l = { .x = x, .stay = stay };

	if (!setjmp(l.back))
		hold_last(&l);
	return l.value;
}

static long call_library(long x, int stay)
{
	return one_hold(x, stay);
}

/* The page of *p can be read only after somebody let the handler go on. */
static void *fault_page;

static void handle_fault(int signal)
{
	(void)signal;
	block();
	mprotect(fault_page, 4096, PROT_READ);
}

static long call_fault(long x, int stay)
{
	struct sigaction action = { .sa_handler = handle_fault };

	sigaction(SIGSEGV, &action, NULL);
	fault_page = mmap(NULL, 4096, stay ? PROT_NONE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return hold_fault(x, fault_page);
}

static const struct kind {
	const char *name;
	long (*call)(long x, int stay);
} kinds[] = {
	{ "plain", hold_plain },	 { "last", call_last },	      { "cold", hold_cold },
	{ "spin", hold_spin },		 { "signal", hold_signal },   { "recursion", hold_recursion },
	{ "coroutine", hold_coroutine }, { "library", call_library }, { "fault", call_fault },
};

static const struct kind *find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return &kinds[0];
}

static void *hold(void *arg)
{
	use_alternate_stack();
	return (void *)((const struct kind *)arg)->call(100, 1);
}

static long run_hold(const char *name)
{
	return find(name)->call(100, 0);
}

static long run_enter(const char *name)
{
	atomic_store(&hold_go, 0);
	return pthread_create(&holder, NULL, hold, (void *)find(name));
}

/* A signal for the thread inside: its handler blocks on the alternate stack. */
static long run_interrupt(const char *argument)
{
	(void)argument;
	return pthread_kill(holder, SIGUSR1);
}

/* For the thread that spins. */
static long run_go(const char *argument)
{
	(void)argument;
	atomic_store(&hold_go, 1);
	return 0;
}

static long run_join(const char *argument)
{
	void *value = NULL;

	(void)argument;
	pthread_join(holder, &value);
	return (intptr_t)value;
}

static void *call_slowly(void *arg)
{
	for (;;) {
		if (hold_overlap(0, 300) < 0)
			atomic_fetch_add(&overlaps, 1);
		atomic_fetch_add(&slow_calls, 1);
		usleep(700);
	}
	return arg;
}

static void *call_quickly(void *arg)
{
	for (;;)
		atomic_store(&hold_seen, hold_overlap(0, 0));
	return arg;
}

/* "overlap N": N threads that are inside for a third of the time, and one that watches which version is called. */
static long run_overlap(const char *n)
{
	pthread_t thread;
	long failed = pthread_create(&thread, NULL, call_quickly, NULL) != 0;

	for (long i = 0; i < number(n); i++)
		failed += pthread_create(&thread, NULL, call_slowly, NULL) != 0;
	return failed;
}

static long run_overlaps(const char *argument)
{
	(void)argument;
	return atomic_load(&overlaps);
}

static long run_slow_calls(const char *argument)
{
	(void)argument;
	return atomic_load(&slow_calls);
}

static long run_seen(const char *argument)
{
	(void)argument;
	return atomic_load(&hold_seen);
}

static volatile long vfork_result;

/* The child of a vfork shares all memory, and has a thread's view of the code. */
static void *hold_in_vfork(void *arg)
{
	if (vfork() == 0) {
		vfork_result = hold_plain(100, 1);
		_exit(0);
	}
	(void)arg;
	return (void *)vfork_result;
}

static long run_enter_vfork(const char *argument)
{
	(void)argument;
	return pthread_create(&holder, NULL, hold_in_vfork, NULL);
}

static void coroutine(void)
{
	coroutine_result = hold_coroutine(100, 1);
}

static void *coroutine_stack;

static void *make_stack(const char *where)
{
	if (!strcmp(where, "mmap"))
		return mmap(NULL, COROUTINE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1,
			    0);
	if (!strcmp(where, "merged")) /* the kernel lists it as one with what lies above */
		return mmap(NULL, COROUTINE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return malloc(COROUTINE_STACK);
}

/* Leaves a coroutine suspended inside hold_coroutine(): on no thread's stack. */
static long run_suspend(const char *where)
{
	getcontext(&coroutine_context);
	coroutine_stack = make_stack(where);
	coroutine_context.uc_stack.ss_sp = coroutine_stack;
	coroutine_context.uc_stack.ss_size = COROUTINE_STACK;
	coroutine_context.uc_link = &loop_context;
	makecontext(&coroutine_context, coroutine, 0);
	return swapcontext(&loop_context, &coroutine_context);
}

/* Nobody can tell a stack that was left from one that is suspended, as long as their content is there: so clear it. */
static long run_resume(const char *argument)
{
	(void)argument;
	swapcontext(&loop_context, &coroutine_context);
	explicit_bzero(coroutine_stack, COROUTINE_STACK);
	explicit_bzero(&coroutine_context, sizeof(coroutine_context));
	return coroutine_result;
}

const struct command hold_commands[] = {
	{ "hold", run_hold },
	{ "enter", run_enter },
	{ "enter-vfork", run_enter_vfork },
	{ "interrupt", run_interrupt },
	{ "go", run_go },
	{ "join", run_join },
	{ "overlap", run_overlap },
	{ "overlaps", run_overlaps },
	{ "slow-calls", run_slow_calls },
	{ "seen", run_seen },
	{ "suspend", run_suspend },
	{ "resume", run_resume },
	{ "leave", block_release },
	{ "inside", block_count },
	{ NULL, NULL },
};
