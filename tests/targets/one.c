/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libone.so: a value, and a function that a thread can be kept in. */
#include "worker.h"

static long one_base = 1000;

long one_value(long x)
{
	return x + one_base;
}

long one_hold(long x, int stay)
{
	if (stay)
		block();
	return x + one_base + 1;
}
