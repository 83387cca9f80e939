/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/line_numbers.h"

#include <ctype.h>
#include <string.h>

enum lexer_state {
	IN_CODE,
	IN_COMMENT,
	IN_STRING,
	IN_CHAR,
	IN_LINE_COMMENT,
	IN_RAW_STRING, /* R"x( … )x" of C++ */
};

struct lexer {
	enum lexer_state state;
	bool continued;	  /* the last line ended in a backslash */
	char raw_end[20]; /* )x" */
};

static void line_append(const struct kc_source_line *line, struct kc_buf *out)
{
	kc_buf_append(out, line->text, line->size);
	if (line->newline)
		kc_buf_append(out, "\n", 1);
}

/* R"delimiter( at `p`: remembers what ends it. */
static bool raw_string_starts(struct lexer *lexer, const char *p, const char *end)
{
	const char *paren;
	size_t size;

	if (end - p < 3 || p[0] != 'R' || p[1] != '"')
		return false;
	paren = memchr(p, '(', (size_t)(end - p));
	size = paren ? (size_t)(paren - p) - 2 : 0;
	if (!paren || size > 16)
		return false;
	lexer->raw_end[0] = ')';
	memcpy(lexer->raw_end + 1, p + 2, size);
	memcpy(lexer->raw_end + 1 + size, "\"", 2);
	return true;
}

/* One character of code; returns how many were used. */
static size_t lex_code(struct lexer *lexer, const char *start, const char *p, const char *end)
{
	bool in_word = p > start && (isalnum((unsigned char)p[-1]) || p[-1] == '_');

	if (end - p >= 2 && p[0] == '/' && (p[1] == '*' || p[1] == '/')) {
		lexer->state = p[1] == '*' ? IN_COMMENT : IN_LINE_COMMENT;
		return 2;
	}
	if ((!in_word || p[-1] == 'u' || p[-1] == 'U' || p[-1] == 'L' || p[-1] == '8') &&
	    raw_string_starts(lexer, p, end)) {
		lexer->state = IN_RAW_STRING;
		return 2;
	}
	if (*p == '"')
		lexer->state = IN_STRING;
	else if (*p == '\'' && !(in_word && isxdigit((unsigned char)p[-1]) && end - p >= 2 &&
				 isxdigit((unsigned char)p[1]))) /* 1'000 of C++ */
		lexer->state = IN_CHAR;
	return 1;
}

/* Follows comments and strings through one line. */
static void lex_line(struct lexer *lexer, const struct kc_source_line *line)
{
	const char *p = line->text, *end = p + line->size;

	while (p < end) {
		size_t raw_size = strlen(lexer->raw_end);

		if (lexer->state == IN_CODE) {
			p += lex_code(lexer, line->text, p, end);
			continue;
		}
		if (lexer->state == IN_COMMENT && end - p >= 2 && p[0] == '*' && p[1] == '/') {
			lexer->state = IN_CODE;
			p++;
		} else if (lexer->state == IN_RAW_STRING && (size_t)(end - p) >= raw_size &&
			   !memcmp(p, lexer->raw_end, raw_size)) {
			lexer->state = IN_CODE;
			p += raw_size - 1;
		} else if ((lexer->state == IN_STRING || lexer->state == IN_CHAR) && *p == '\\') {
			p++;
		} else if ((lexer->state == IN_STRING && *p == '"') || (lexer->state == IN_CHAR && *p == '\'')) {
			lexer->state = IN_CODE;
		}
		p++;
	}
	lexer->continued = lexer->state != IN_RAW_STRING && line->size && end[-1] == '\\';
	if (!lexer->continued && lexer->state != IN_COMMENT && lexer->state != IN_RAW_STRING)
		lexer->state = IN_CODE;
}

/* +1 for #if…, -1 for #endif, 0 otherwise; `*branch` for #else and #elif…. */
static int conditional(const struct kc_source_line *line, bool *branch)
{
	const char *p = line->text, *end = p + line->size;

	*branch = false;
	while (p < end && isspace((unsigned char)*p))
		p++;
	if (p == end || *p++ != '#')
		return 0;
	while (p < end && isspace((unsigned char)*p))
		p++;
	if (end - p >= 2 && !memcmp(p, "if", 2))
		return 1;
	if (end - p >= 5 && !memcmp(p, "endif", 5))
		return -1;
	*branch = end - p >= 4 && (!memcmp(p, "else", 4) || !memcmp(p, "elif", 4));
	return 0;
}

void kc_lines_render(const struct kc_source_line *lines, size_t n, struct kc_buf *out)
{
	for (size_t i = 0; i < n; i++)
		line_append(&lines[i], out);
}

void kc_lines_render_numbered(const struct kc_source_line *lines, size_t n, struct kc_buf *out)
{
	struct lexer lexer = { 0 };
	unsigned long expected = 1;  /* the number that the compiler would give to the next line */
	int depth = 0, doubtful = 0; /* inside #if; below this depth a #line may have been skipped */
	bool lost = false;	     /* the next original line needs a #line */

	for (size_t i = 0; i < n; i++) {
		bool can_direct = lexer.state == IN_CODE && !lexer.continued, branch;
		int change;

		lost |= lines[i].number && lines[i].number != expected;
		if (lost && lines[i].number && can_direct) {
			kc_buf_printf(out, "#line %lu\n", lines[i].number);
			lost = false;
			doubtful = doubtful > depth ? doubtful : depth;
		}
		expected = lines[i].number ? lines[i].number + 1 : expected + 1;
		line_append(&lines[i], out);
		change = can_direct ? conditional(&lines[i], &branch) : 0;
		if (can_direct && (change < 0 || branch) && depth <= doubtful && doubtful) {
			lost = true;
			doubtful = change < 0 ? depth - 1 : depth;
		}
		depth += change;
		depth = depth < 0 ? 0 : depth;
		lex_line(&lexer, &lines[i]);
	}
}
