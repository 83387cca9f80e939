/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all targets share. A target is a small program that a scenario patches while it runs: it reads commands from its
 * standard input ("name" or "name argument", one a line) and answers each with one number on one line.
 */
#ifndef TARGETS_LOOP_H
#define TARGETS_LOOP_H

#ifdef __cplusplus
extern "C" {
#endif

struct command {
	const char *name; /* NULL ends a table */
	long (*run)(const char *argument);
};

/* Answers commands until the end of input. `tables` ends with NULL. */
int loop(int in, int out, const struct command *const *tables);
/* loop() on standard input and output, after saying "ready". */
int loop_main(const struct command *const *tables);

long number(const char *argument);

/* Blocks the calling thread in read() until block_release() lets one thread go. Returns 0. */
long block(void);
long block_release(const char *argument);
/* How many threads are in block() now. */
long block_count(const char *argument);

#ifdef __cplusplus
}
#endif

#endif
