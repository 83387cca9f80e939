/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CVE-2025-15281: wordexp() with WRDE_REUSE and WRDE_APPEND together forgets to reset the counts, so that the vector
 * has entries that nobody wrote. "wordexp" answers how many words one word gives: 3 with the hole, 1 without.
 */
#include <stddef.h>
#include <string.h>
#include <wordexp.h>

#include "loop.h"

static long run_wordexp(const char *argument)
{
	wordexp_t words;

	(void)argument;
	memset(&words, 0, sizeof(words));
	if (wordexp("one two", &words, 0))
		return -1;
	if (wordexp("three", &words, WRDE_REUSE | WRDE_APPEND))
		return -2;
	return (long)words.we_wordc; /* not freed: with the hole, the entries are not pointers */
}

static const struct command commands[] = {
	{ "wordexp", run_wordexp },
	{ NULL, NULL },
};

int main(void)
{
	return loop_main((const struct command *const[]){ commands, NULL });
}
