/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of KEY=VALUE lines, line by line, as it is written: each part is a range of the text, so that a line can be
 * rewritten without touching the rest. Blanks around '=' and a CR at the end are tolerated; a value may be in single
 * or double quotes (no escapes inside); '#' begins a comment, at the start or behind a blank.
 */
#ifndef KC_BASE_CONF_LINE_H
#define KC_BASE_CONF_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct kc_conf_line {
	const char *text; /* with its newline, if it has one */
	size_t size;
	const char *key; /* NULL: a comment or a blank line, or there is a problem */
	size_t key_size;
	const char *value; /* without quotes */
	size_t value_size;
	char quote;	     /* '"', '\'' or 0 */
	const char *problem; /* why it is none of these */
};

/* The line at `*at`, which moves behind it; false at the end. */
bool kc_conf_line_next(const char **at, const char *end, struct kc_conf_line *line);
bool kc_conf_line_has_key(const struct kc_conf_line *line, const char *key);

#endif
