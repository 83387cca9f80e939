/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as lower-case hexadecimal text. */
#ifndef KC_BASE_HEX_H
#define KC_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * size digits and '\0' to `text`. */
void kc_hex_encode(const uint8_t *data, size_t size, char *text);
/* Reads exactly 2 * size digits followed by '\0', lower or upper case. 0 or -EINVAL. */
int kc_hex_decode(const char *text, uint8_t *data, size_t size);

#endif
