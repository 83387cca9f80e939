/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The functions that a thread can be inside of while the patcher comes. Each takes a `stay` flag: 0 returns at once,
 * and the answer tells old from new. How the thread stays differs: that is what the scenarios are about. The threads
 * and commands around them are in hold_main.c.
 */
#include <unistd.h>

#include "hold.h"

/* A return address in the middle. */
long hold_plain(long x, int stay)
{
	if (stay)
		block();
	return x + 1;
}

/* The only trace is the return address behind the last call, and so behind the function itself. */
void hold_last(struct hold_last *l)
{
	l->value = l->x + 1;
	hold_depart(l);
}

/* gcc moves the unlikely part into hold_cold.cold. */
long hold_cold(long x, int stay)
{
	if (__builtin_expect(stay, 0)) {
		hold_rare();
		return x + 101;
	}
	return x + 1;
}

/* No call at all: only the program counter is inside. */
long hold_spin(long x, int stay)
{
	while (stay && !atomic_load_explicit(&hold_go, memory_order_relaxed))
		;
	return x + 1;
}

/* The handler of the signal blocks on an alternate stack; the frame of this one is on the main stack. */
long hold_signal(long x, int stay)
{
	if (stay)
		hold_raise();
	return x + 1;
}

long hold_recursion(long n, int stay)
{
	long below = 0;

	if (n > 0)
		below = hold_recursion(n - 1, stay);
	else if (stay)
		block();
	__asm__ volatile("" : "+r"(below)); /* keeps it a recursion */
	return below + 1;
}

/* Runs on a stack made by makecontext() and leaves it suspended. */
long hold_coroutine(long x, int stay)
{
	if (stay)
		hold_yield();
	return x + 1;
}

/* Says which version it is, or -1 when another thread saw the other version begin while this call was not over. */
long hold_overlap(long x, int stay_us)
{
	long mine = 1, before = atomic_load(&hold_seen);

	if (stay_us)
		usleep((useconds_t)stay_us);
	return before == mine && atomic_load(&hold_seen) != mine ? -1 : mine + x;
}

/* The second instruction reads *p: when it faults, the handler's frame remembers a pc three bytes behind the entry. */
long hold_fault(long x, const long *p)
{
	return x - *p;
}
