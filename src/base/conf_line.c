/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/conf_line.h"

#include <string.h>
#include <strings.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_key_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static bool is_end_or_comment(const char *p, const char *end)
{
	p = skip_blanks(p, end);
	return p == end || *p == '#';
}

static const char *read_quoted(const char *p, const char *end, struct kc_conf_line *line)
{
	const char *close = memchr(p + 1, *p, (size_t)(end - p - 1));

	if (!close)
		return "the quote is not closed";
	line->quote = *p;
	line->value = p + 1;
	line->value_size = (size_t)(close - p - 1);
	return is_end_or_comment(close + 1, end) ? NULL : "something follows the closing quote";
}

static const char *read_value(const char *p, const char *end, struct kc_conf_line *line)
{
	const char *stop = p;

	p = skip_blanks(p, end);
	if (p < end && (*p == '"' || *p == '\''))
		return read_quoted(p, end, line);
	line->value = p;
	/* "KEY= # note" has no value; in "KEY=a#b" the '#' is a part of it */
	for (stop = p; stop < end; stop++)
		if (*stop == '#' && is_blank(stop[-1]))
			break;
	while (stop > p && is_blank(stop[-1]))
		stop--;
	line->value_size = (size_t)(stop - p);
	return NULL;
}

static const char *read_assignment(const char *p, const char *end, struct kc_conf_line *line)
{
	const char *key = p, *problem;

	while (p < end && is_key_char(*p))
		p++;
	line->key_size = (size_t)(p - key);
	p = skip_blanks(p, end);
	if (!line->key_size && end - p > 3 && !memcmp(p, BYTE_ORDER_MARK, 3))
		return "a byte order mark is in front of it, which many editors hide: save the file as UTF-8 without "
		       "one";
	if (!line->key_size || p == end || *p != '=')
		return "expected KEY=VALUE, or # and a comment";
	problem = read_value(p + 1, end, line);
	line->key = problem ? NULL : key;
	return problem;
}

bool kc_conf_line_next(const char **at, const char *end, struct kc_conf_line *line)
{
	const char *start = *at, *newline, *stop;

	*line = (struct kc_conf_line){ .text = start };
	if (start == end)
		return false;
	newline = memchr(start, '\n', (size_t)(end - start));
	stop = newline ? newline : end;
	*at = newline ? newline + 1 : end;
	line->size = (size_t)(*at - start);
	while (stop > start && stop[-1] == '\r')
		stop--;
	if (is_end_or_comment(start, stop))
		return true;
	line->problem = memchr(start, '\0', line->size) ? "this is not text"
							: read_assignment(skip_blanks(start, stop), stop, line);
	return true;
}

bool kc_conf_line_has_key(const struct kc_conf_line *line, const char *key)
{
	return line->key && strlen(key) == line->key_size && !strncasecmp(line->key, key, line->key_size);
}
