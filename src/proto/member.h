/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages as tables: one entry for each member says where it lies in the struct, what it may be, and how long.
 * Encoder, decoder and clean-up of all messages are this one code. Private to the room.
 */
#ifndef KC_PROTO_MEMBER_H
#define KC_PROTO_MEMBER_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum kc_member_kind {
	KC_MEMBER_TEXT,	  /* char *, at most `limit` bytes */
	KC_MEMBER_LINES,  /* the same with newlines and tabs */
	KC_MEMBER_TAGS,	  /* the same as kc_tags_check() has it */
	KC_MEMBER_HEX,	  /* char *, "" or `limit` hexadecimal digits */
	KC_MEMBER_DIGITS, /* char[limit + 1], "" or `limit` hexadecimal digits */
	KC_MEMBER_ID,	  /* char[KC_SERVER_ID_SIZE], "" or a server id */
	KC_MEMBER_FLAG,	  /* bool */
	KC_MEMBER_COUNT,  /* uint32_t */
	KC_MEMBER_NUMBER, /* int64_t, from 0 */
	KC_MEMBER_EVENT,  /* enum kc_checkin_event; one that this version does not know is "periodic" */
	KC_MEMBER_TERMS,  /* struct kc_key_terms: an object of its own */
};

struct kc_member {
	const char *name;
	size_t offset;
	size_t limit;
	enum kc_member_kind kind;
	bool is_needed;
};

/* The first two of a member that is named as it is in messages. */
#define KC_MEMBER_AT(type, member) #member, offsetof(struct type, member)

struct kc_message {
	const char *what;
	size_t struct_size, text_limit; /* bytes */
	const struct kc_member *members;
	size_t n_members;
};

/* Appends the JSON text. What is empty, 0 or false is left out. KC_ERR_INPUT, KC_ERR_LIMIT. */
struct kc_error *kc_message_encode(const struct kc_message *message, const void *from, struct kc_buf *out);
/* KC_ERR_INPUT: no JSON object, a member that is needed and missing, or is not what it must be. KC_ERR_LIMIT. */
struct kc_error *kc_message_decode(const struct kc_message *message, const char *text, size_t size, void *to);
void kc_message_clear(const struct kc_message *message, void *from);

#endif
