/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel image, of a few functions, made by the host's compiler: linked where kernels are, with kallsyms tables, a
 * table of exports and a banner; stripped. And a module made of the same objects.
 */
#ifndef KC_TESTS_UNIT_SMALL_KERNEL_H
#define KC_TESTS_UNIT_SMALL_KERNEL_H

#include "sample_kallsyms.h"
#include "target/kernel/kernel_object.h"
#include "workshop.h"

#define SMALL_KERNEL_BANNER                                                                         \
	"Linux version 6.1.0-1-small (builder@host) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld) #1 " \
	"SMP Debian 6.1.1-1 (2026-01-01)"

/* part.o (what tests place), rest.o, vmlinux.full (with symbols), vmlinux (without). */
void small_kernel_make(struct workshop *shop, enum sample_layout layout);
/* small.ko, of part.o and rest.o. */
void small_kernel_make_module(struct workshop *shop);
/* Opens a file of the workshop; the test frees it. */
struct kc_kernel_object *small_kernel_open(const struct workshop *shop, const char *name);

#endif
