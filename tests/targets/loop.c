/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command loop of all targets, and the place where their threads block. Nothing here is ever patched. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

static int gate[2] = { -1, -1 };
static atomic_long blocked;

static void open_gate(void)
{
	if (gate[0] < 0 && pipe(gate) < 0)
		abort();
}

long block(void)
{
	char byte;

	open_gate();
	atomic_fetch_add(&blocked, 1);
	if (read(gate[0], &byte, 1) != 1)
		abort();
	atomic_fetch_sub(&blocked, 1);
	return 0;
}

long block_release(const char *argument)
{
	(void)argument;
	open_gate();
	return write(gate[1], "", 1);
}

long block_count(const char *argument)
{
	(void)argument;
	return atomic_load(&blocked);
}

long number(const char *argument)
{
	return strtol(argument, NULL, 0);
}

static const struct command *find(const struct command *const *tables, const char *name)
{
	for (; *tables; tables++)
		for (const struct command *c = *tables; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

static void answer(int out, const char *text)
{
	if (write(out, text, strlen(text)) < 0)
		_exit(1);
}

/* One line, read byte by byte so that a forked child never finds a part of it in a buffer. */
static int read_line(int in, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && read(in, line + n, 1) == 1) {
		if (line[n] == '\n') {
			line[n] = '\0';
			return 1;
		}
		n++;
	}
	return 0;
}

int loop(int in, int out, const struct command *const *tables)
{
	char line[4096], text[64];

	open_gate();
	while (read_line(in, line, sizeof(line))) {
		char *argument = strchr(line, ' ');

		if (argument)
			*argument++ = '\0';
		const struct command *c = find(tables, line);

		if (c) {
			snprintf(text, sizeof(text), "%ld\n", c->run(argument ? argument : "0"));
			answer(out, text);
		} else {
			answer(out, "unknown command\n");
		}
	}
	return 0;
}

int loop_main(const struct command *const *tables)
{
	answer(STDOUT_FILENO, "ready\n");
	return loop(STDIN_FILENO, STDOUT_FILENO, tables);
}
