/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing byte buffer, for text and for binary data.
 * Invariants: data[size] is '\0' when data is set; a zeroed struct is an empty buffer; after a failed allocation
 * `failed` stays set and further appends do nothing, so that a row of appends is checked once, at its end.
 */
#ifndef KC_BASE_BUF_H
#define KC_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct kc_buf {
	char *data;
	size_t size;
	size_t capacity;
	bool failed;
};

void kc_buf_append(struct kc_buf *buf, const void *data, size_t size);
void kc_buf_append_str(struct kc_buf *buf, const char *text);
void kc_buf_append_zeros(struct kc_buf *buf, size_t size);
/* Zeros up to the next multiple of `alignment` (a power of two). */
void kc_buf_align(struct kc_buf *buf, size_t alignment);
void kc_buf_printf(struct kc_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Little-endian integers, as all our formats use. */
void kc_buf_append_u16(struct kc_buf *buf, uint16_t value);
void kc_buf_append_u32(struct kc_buf *buf, uint32_t value);
void kc_buf_append_u64(struct kc_buf *buf, uint64_t value);
/* Drops the content, keeps the memory. */
void kc_buf_reset(struct kc_buf *buf);
/* Frees the content and zeroes the struct. */
void kc_buf_free(struct kc_buf *buf);
/* The content as an allocated, zero-terminated string (caller frees; NULL when out of memory); empties the buffer. */
char *kc_buf_take(struct kc_buf *buf);

#define kc_autobuf KC_CLEANUP(kc_buf_free)

#endif
