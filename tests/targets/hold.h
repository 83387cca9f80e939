/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between hold.c (patched) and hold_main.c (not patched). */
#ifndef TARGETS_HOLD_H
#define TARGETS_HOLD_H

#include <setjmp.h>
#include <stdatomic.h>

#include "loop.h"

struct hold_last {
	long x, value;
	int stay;
	jmp_buf back;
};

long hold_plain(long x, int stay);
void hold_last(struct hold_last *l);
long hold_cold(long x, int stay);
long hold_spin(long x, int stay);
long hold_signal(long x, int stay);
long hold_recursion(long n, int stay);
long hold_coroutine(long x, int stay);
long hold_overlap(long x, int stay_us);
long hold_fault(long x, const long *p);

extern atomic_int hold_go;
extern atomic_long hold_seen; /* the version that hold_overlap() was last seen in */
void hold_depart(struct hold_last *l) __attribute__((noreturn));
void hold_rare(void) __attribute__((cold));
void hold_raise(void);
void hold_yield(void);

#endif
