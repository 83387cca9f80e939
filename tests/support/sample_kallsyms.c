/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "sample_kallsyms.h"

enum {
	LONG_TOKEN = 0x80, /* stands for "init_"; all other tokens are one character, or empty */
	FIRST_LETTER = '$',
	LAST_LETTER = 'z',
};

static void add_tokens(struct kc_buf *buf)
{
	uint16_t offsets[256];
	size_t start = buf->size;

	for (int i = 0; i < 256; i++) {
		char letter = (char)i;

		offsets[i] = (uint16_t)(buf->size - start);
		if (i == LONG_TOKEN)
			kc_buf_append_str(buf, "init_");
		else if (i >= FIRST_LETTER && i <= LAST_LETTER)
			kc_buf_append(buf, &letter, 1);
		kc_buf_append(buf, "", 1);
	}
	kc_buf_align(buf, 8);
	kc_buf_append(buf, offsets, sizeof(offsets));
	kc_buf_align(buf, 8);
}

static void add_name(struct kc_buf *buf, const char *name)
{
	kc_autobuf struct kc_buf tokens = { 0 };
	uint8_t length[2];

	while (*name) {
		bool is_long = !strncmp(name, "init_", 5);
		char token = is_long ? (char)LONG_TOKEN : *name;

		kc_buf_append(&tokens, &token, 1);
		name += is_long ? 5 : 1;
	}
	length[0] = (tokens.size & 0x7f) | (tokens.size > 0x7f ? 0x80 : 0);
	length[1] = (uint8_t)(tokens.size >> 7);
	kc_buf_append(buf, length, tokens.size > 0x7f ? 2 : 1);
	kc_buf_append(buf, tokens.data, tokens.size);
}

static void add_names(const struct sample_ksym *symbols, size_t n, struct kc_buf *buf)
{
	kc_autobuf struct kc_buf markers = { 0 };
	size_t start;

	kc_buf_append_u64(buf, n);
	start = buf->size;
	for (size_t i = 0; i < n; i++) {
		if (i % 256 == 0)
			kc_buf_append_u32(&markers, (uint32_t)(buf->size - start));
		add_name(buf, symbols[i].name);
	}
	kc_buf_align(buf, 8);
	kc_buf_append(buf, markers.data, markers.size);
	kc_buf_align(buf, 8);
}

static void add_offsets(const struct sample_ksym *symbols, size_t n, struct kc_buf *buf)
{
	uint64_t base = 0;

	for (size_t i = 0; i < n; i++) {
		if (base == 0 && symbols[i].addr >> 63)
			base = symbols[i].addr;
		kc_buf_append_u32(buf, (uint32_t)(base ? base - 1 - symbols[i].addr : symbols[i].addr));
	}
	kc_buf_align(buf, 8);
	kc_buf_append_u64(buf, base);
}

void sample_kallsyms(enum sample_layout layout, const struct sample_ksym *symbols, size_t n, struct kc_buf *buf)
{
	if (layout == SAMPLE_LAYOUT_6_1)
		add_offsets(symbols, n, buf);
	add_names(symbols, n, buf);
	add_tokens(buf);
	if (layout == SAMPLE_LAYOUT_6_12)
		add_offsets(symbols, n, buf);
}
