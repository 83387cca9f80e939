/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libtwo.so: a second library, linked or opened with dlopen(). */
#include "worker.h"

static long two_base = 2000;

long two_value(long x)
{
	return x + two_base;
}
