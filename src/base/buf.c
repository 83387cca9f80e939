/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buf.h"

#include <stdarg.h>
#include <string.h>

/* Makes room for `extra` bytes and the closing '\0'. */
static bool reserve(struct kc_buf *buf, size_t extra)
{
	size_t needed, capacity;
	char *data;

	if (buf->failed || __builtin_add_overflow(buf->size, extra, &needed) || needed > SIZE_MAX / 2 - 1) {
		buf->failed = true;
		return false;
	}
	if (needed < buf->capacity)
		return true;
	capacity = buf->capacity * 2 > needed + 1 ? buf->capacity * 2 : needed + 1;
	data = realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

void kc_buf_append(struct kc_buf *buf, const void *data, size_t size)
{
	if (!reserve(buf, size))
		return;
	if (size)
		memcpy(buf->data + buf->size, data, size);
	buf->size += size;
	buf->data[buf->size] = '\0';
}

void kc_buf_append_str(struct kc_buf *buf, const char *text)
{
	kc_buf_append(buf, text, strlen(text));
}

void kc_buf_append_zeros(struct kc_buf *buf, size_t size)
{
	if (!reserve(buf, size))
		return;
	memset(buf->data + buf->size, 0, size + 1);
	buf->size += size;
}

void kc_buf_align(struct kc_buf *buf, size_t alignment)
{
	kc_buf_append_zeros(buf, -buf->size & (alignment - 1));
}

void kc_buf_printf(struct kc_buf *buf, const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0) {
		buf->failed = true;
		return;
	}
	kc_buf_append(buf, text, (size_t)length);
	free(text);
}

static void append_le(struct kc_buf *buf, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	kc_buf_append(buf, bytes, size);
}

void kc_buf_append_u16(struct kc_buf *buf, uint16_t value)
{
	append_le(buf, value, 2);
}

void kc_buf_append_u32(struct kc_buf *buf, uint32_t value)
{
	append_le(buf, value, 4);
}

void kc_buf_append_u64(struct kc_buf *buf, uint64_t value)
{
	append_le(buf, value, 8);
}

void kc_buf_reset(struct kc_buf *buf)
{
	buf->size = 0;
	buf->failed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

void kc_buf_free(struct kc_buf *buf)
{
	free(buf->data);
	*buf = (struct kc_buf){ 0 };
}

char *kc_buf_take(struct kc_buf *buf)
{
	char *data;

	kc_buf_append(buf, "", 0);
	if (buf->failed) {
		kc_buf_free(buf);
		return NULL;
	}
	data = buf->data;
	*buf = (struct kc_buf){ 0 };
	return data;
}
