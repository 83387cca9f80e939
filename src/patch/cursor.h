/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounds-checked walk over little-endian bytes; private to this room. Once something did not fit, `failed` stays set
 * and everything further is zero or NULL, so that a row of reads is checked once, at its end.
 */
#ifndef KC_PATCH_CURSOR_H
#define KC_PATCH_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kc_cursor {
	const uint8_t *data;
	size_t size; /* what is left */
	bool failed;
};

static inline const uint8_t *kc_cursor_bytes(struct kc_cursor *cursor, size_t size)
{
	const uint8_t *bytes = cursor->data;

	if (cursor->failed || size > cursor->size) {
		cursor->failed = true;
		return NULL;
	}
	cursor->data += size;
	cursor->size -= size;
	return bytes;
}

static inline uint64_t kc_cursor_integer(struct kc_cursor *cursor, size_t size)
{
	const uint8_t *bytes = kc_cursor_bytes(cursor, size);
	uint64_t value = 0;

	for (size_t i = size; bytes && i; i--)
		value = value << 8 | bytes[i - 1];
	return value;
}

static inline uint32_t kc_cursor_u32(struct kc_cursor *cursor)
{
	return (uint32_t)kc_cursor_integer(cursor, 4);
}

static inline uint64_t kc_cursor_u64(struct kc_cursor *cursor)
{
	return kc_cursor_integer(cursor, 8);
}

/* A string that takes `size` bytes with its '\0', and has no other '\0' in it. */
static inline const char *kc_cursor_string(struct kc_cursor *cursor, size_t size)
{
	const char *text = (const char *)kc_cursor_bytes(cursor, size);

	if (text && size && strnlen(text, size) == size - 1)
		return text;
	cursor->failed = true;
	return NULL;
}

#endif
