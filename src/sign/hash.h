/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256, over libcrypto. */
#ifndef KC_SIGN_HASH_H
#define KC_SIGN_HASH_H

#include <stddef.h>
#include <stdint.h>

#define KC_SHA256_SIZE 32
#define KC_SHA256_TEXT_SIZE 65 /* hexadecimal, with '\0' */

void kc_sha256(const void *data, size_t size, uint8_t hash[KC_SHA256_SIZE]);
void kc_sha256_text(const void *data, size_t size, char text[KC_SHA256_TEXT_SIZE]);

#endif
