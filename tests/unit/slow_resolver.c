/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A library whose relocation takes as long as the test wants: the resolver of its IFUNC, which the loader calls while
 * it relocates, says so on descriptor 201 and waits on 200. No libc here: it is not relocated yet.
 */
int slow_value(void);
int (*const slow_table[1])(void) = { slow_value };

static long call(long number, long a, void *b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static int one(void)
{
	return 1;
}

static int (*resolve(void))(void)
{
	char byte = 'r';

	call(1, 201, &byte, 1);
	call(0, 200, &byte, 1);
	return one;
}

int slow_value(void) __attribute__((ifunc("resolve")));
