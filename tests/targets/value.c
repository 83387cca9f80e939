/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The function of the worker program that scenarios patch. */
#include "worker.h"

long program_value(long x)
{
	return x * 3 + 1;
}
