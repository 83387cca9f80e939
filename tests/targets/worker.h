/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker target: one program and two libraries with functions to patch, and much that can go on meanwhile. */
#ifndef TARGETS_WORKER_H
#define TARGETS_WORKER_H

#include "loop.h"

/* value.c, in the program; one.c and two.c, in libraries. */
long program_value(long x);
long one_value(long x);
long one_hold(long x, int stay);
long two_value(long x);

extern const struct command hold_commands[];	/* threads inside the functions to patch */
extern const struct command crowd_commands[];	/* many threads, signals, vfork */
extern const struct command wait_commands[];	/* blocking system calls that must see no EINTR */
extern const struct command confine_commands[]; /* seccomp, MDWE, other user, not dumpable */
extern const struct command life_commands[];	/* fork, exec, exit, dlopen */

#endif
