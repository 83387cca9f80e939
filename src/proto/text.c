/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a text may be: names, tags and messages come from hosts and people, and end up on terminals, in logs, in pages
 * and in tables. Nothing in them may move a cursor, begin a line, or turn the direction of what follows.
 */
#include <ctype.h>
#include <string.h>

#include "proto/member.h"
#include "proto/proto.h"

/* Bytes of the character at `text`, and its code point; 0: not UTF-8 (too long forms and surrogates are not, either).
 */
static size_t character(const char *text, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)*text;
	size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;

	if (size < 2) {
		*code = first;
		return size;
	}
	*code = first & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80) /* the '\0' at the end, too */
			return 0;
		*code = *code << 6 | ((unsigned char)text[i] & 0x3f);
	}
	return *code < least[size] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : size;
}

/* U+2028, U+2029: separators of lines and paragraphs. U+202A.., U+2066..: they turn the direction of writing. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

const char *kc_text_problem(const char *text, size_t limit, bool may_have_lines)
{
	const char *p = text;

	while (*p) {
		uint32_t code;
		size_t size = character(p, &code);

		if (!size)
			return "not UTF-8";
		if (is_control(code) && !(may_have_lines && (code == '\n' || code == '\t')))
			return "has a control character";
		p += size;
		if ((size_t)(p - text) > limit)
			return "too long";
	}
	return NULL;
}

char *kc_plain_text(const char *text, size_t limit)
{
	kc_autobuf struct kc_buf plain = { 0 };

	while (*text) {
		uint32_t code;
		size_t size = character(text, &code);
		bool is_plain = size && !is_control(code);
		size_t n = is_plain ? size : 1;

		if (plain.size + n > limit)
			break;
		kc_buf_append(&plain, is_plain ? text : "?", n);
		text += size ? size : 1;
	}
	return kc_buf_take(&plain);
}

bool kc_server_id_is_valid(const char *id)
{
	size_t n = 0;

	while (n < KC_SERVER_ID_SIZE && isascii((unsigned char)id[n]) && isalnum((unsigned char)id[n]))
		n++;
	return n == KC_SERVER_ID_SIZE - 1 && !id[n] && isalpha((unsigned char)*id);
}

static struct kc_error *check_tag(const char *tag, size_t size)
{
	const char *colon = memchr(tag, ':', size);
	size_t name_size = colon ? (size_t)(colon - tag) : size;

	if (!name_size || *tag == ' ' || tag[size - 1] == ' ')
		return kc_error_new(KC_ERR_INPUT,
				    "the tag '%.*s' must begin with a name, and have no space at its ends: "
				    "name:value;name",
				    (int)size, tag);
	return NULL;
}

struct kc_error *kc_tags_check(const char *tags)
{
	const char *problem = kc_text_problem(tags, KC_PROTO_TAGS_MAX, false);

	if (problem)
		return kc_error_new(KC_ERR_INPUT, "the tags: %s", problem);
	for (const char *tag = tags; *tag;) {
		size_t size = strcspn(tag, ";");

		KC_TRY(check_tag(tag, size));
		if (!tag[size])
			break;
		tag += size + 1;
	}
	return NULL;
}
