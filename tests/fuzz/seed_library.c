/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small shared library with versions to need, unwind data, TLS, relocations: a seed for the ELF reader. */
#include <stdio.h>

static __thread int calls;
static const char *const names[] = { "one", "two" };
const char *seed_name(unsigned i);

const char *seed_name(unsigned i)
{
	printf("%d\n", ++calls);
	return names[i % 2];
}
