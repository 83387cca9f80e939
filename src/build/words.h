/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Splits shell text into words and operators, as far as compile commands need it: quotes, backslashes, and automake's
 * `test -f 'x.c' || echo '../src/'`x.c. Other substitutions are left as they are.
 */
#ifndef KC_BUILD_WORDS_H
#define KC_BUILD_WORDS_H

#include "base/error.h"

struct kc_words {
	char **items; /* a NULL pointer stands between commands (; & | newline and parentheses) */
	size_t n_items;
};

/* `dir` is where `test -f` looks. */
struct kc_error *kc_words_split(const char *text, const char *dir, struct kc_words *words);
void kc_words_clear(struct kc_words *words);

#define kc_autowords KC_CLEANUP(kc_words_clear)

#endif
