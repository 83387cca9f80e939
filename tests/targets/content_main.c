/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program around content.c. */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "content.h"
#include "loop.h"

#define COMMAND(function)                               \
	static long run_##function(const char *arg)     \
	{                                               \
		return content_##function(number(arg)); \
	}

COMMAND(value)
COMMAND(new_function)
COMMAND(new_global)
COMMAND(references)
COMMAND(import)
COMMAND(import_data)
COMMAND(import_ifunc)
COMMAND(import_float)
COMMAND(own_ifunc)
COMMAND(tls)
COMMAND(jump_table)
COMMAND(static_local)
COMMAND(literals)
COMMAND(recursion)
COMMAND(edge)
COMMAND(through_pointer)
COMMAND(fire)

static long run_peek(const char *arg)
{
	(void)arg;
	return content_peek();
}

static long run_tls_peek(const char *arg)
{
	(void)arg;
	return content_tls_peek();
}

static void *tls_thread(void *arg)
{
	return (void *)content_tls((intptr_t)arg);
}

/* The same as "tls", in a new thread with its own variables. */
static long run_tls_thread(const char *arg)
{
	pthread_t thread;
	void *value = NULL;

	if (pthread_create(&thread, NULL, tls_thread, (void *)(intptr_t)number(arg)))
		return -1;
	pthread_join(thread, &value);
	return (intptr_t)value;
}

static long run_arm(const char *arg)
{
	content_arm(number(arg));
	return 0;
}

static const struct command commands[] = {
	{ "value", run_value },
	{ "new_function", run_new_function },
	{ "new_global", run_new_global },
	{ "references", run_references },
	{ "peek", run_peek },
	{ "import", run_import },
	{ "import_data", run_import_data },
	{ "import_ifunc", run_import_ifunc },
	{ "import_float", run_import_float },
	{ "own_ifunc", run_own_ifunc },
	{ "tls", run_tls },
	{ "tls_peek", run_tls_peek },
	{ "tls_thread", run_tls_thread },
	{ "jump_table", run_jump_table },
	{ "static_local", run_static_local },
	{ "literals", run_literals },
	{ "recursion", run_recursion },
	{ "edge", run_edge },
	{ "through_pointer", run_through_pointer },
	{ "arm", run_arm },
	{ "fire", run_fire },
	{ NULL, NULL },
};

int main(void)
{
	return loop_main((const struct command *const[]){ commands, NULL });
}
