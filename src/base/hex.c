/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/hex.h"

#include <errno.h>

void kc_hex_encode(const uint8_t *data, size_t size, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		*text++ = digits[data[i] >> 4];
		*text++ = digits[data[i] & 15];
	}
	*text = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int kc_hex_decode(const char *text, uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int high = digit_value(text[2 * i]);
		int low = high < 0 ? -1 : digit_value(text[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		data[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * size] ? -EINVAL : 0;
}
