/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What code is made of: references to read-only data, data, zeroed data, thread-local variables, literals, jump tables,
 * imports, IFUNCs. The scenarios patch each function; where a fix needs a line to hold on to, it is here.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"

static const long primes[] = { 2, 3, 5, 7, 11, 13, 17, 19 };
static const char *const words[] = { "none", "a", "two", "three", "fours" };
static long stored = 100;
static long counted;
static _Thread_local long tls_static = 7;
_Thread_local long tls_exported = 70;
long (*content_hook)(long);

long content_value(long x)
{
	return x * 3 + 1;
}

static __attribute__((noinline)) long triple(long x)
{
	return x * 3 + stored - 100;
}

long content_new_function(long x)
{
	return triple(x) + 1;
}

long content_new_global(long x)
{
	return x + stored;
}

long content_references(long x)
{
	counted += x;
	return primes[x & 7] + stored + (long)strlen(words[x % 5]);
}

long content_peek(void)
{
	return stored * 1000 + counted;
}

long content_import(long x)
{
	return x + primes[1];
}

long content_import_data(long x)
{
	return x + primes[2];
}

long content_import_ifunc(long x)
{
	return x + primes[3];
}

long content_import_float(long x)
{
	return x + primes[4];
}

static long pick_even(long x)
{
	return x * 2;
}

static long (*resolve_pick(void))(long)
{
	return pick_even;
}

static long pick(long x) __attribute__((ifunc("resolve_pick")));

long content_own_ifunc(long x)
{
	return pick(x) + 1;
}

long content_tls(long x)
{
	tls_static += x;
	tls_exported += 1;
	return tls_static * 1000 + tls_exported;
}

long content_tls_peek(void)
{
	return tls_static * 1000 + tls_exported;
}

long content_jump_table(long x)
{
	switch (x) {
	case 0:
		return triple(9);
	case 1:
		return stored + 1;
	case 2:
		return counted - 5;
	case 3:
		return (long)strlen(words[4]);
	case 4:
		return primes[5] * 7;
	case 5:
		return triple(stored);
	case 6:
		return getpid() > 0 ? 66 : 0;
	case 7:
		return errno == -1 ? 1 : 77;
	default:
		return -1;
	}
}

long content_static_local(long x)
{
	static long calls;

	calls += x;
	return calls;
}

long content_literals(long x)
{
	char text[64];

	snprintf(text, sizeof(text), "%s-%ld", x > 5 ? "greater" : "less", x);
	return (long)strlen(text);
}

__attribute__((noinline)) long content_recursion(long n)
{
	long below;

	if (n <= 0)
		return 0;
	below = content_recursion(n - 1);
	__asm__ volatile("" : "+r"(below)); /* keeps it a recursion */
	return below + 1;
}

/* Five bytes of code: exactly as long as the jump. */
long content_edge(long x)
{
	return x + 1;
}

static long behind_pointer(long x)
{
	return x + 20;
}

long (*const volatile content_pointer)(long) = behind_pointer;

long content_through_pointer(long x)
{
	return content_pointer(x);
}

void content_arm(long x)
{
	stored += x;
	content_hook = NULL;
}

long content_fire(long x)
{
	return content_hook ? content_hook(x) : -1;
}
