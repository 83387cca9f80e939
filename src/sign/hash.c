/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sign/hash.h"

#include <openssl/sha.h>

#include "base/hex.h"

void kc_sha256(const void *data, size_t size, uint8_t hash[KC_SHA256_SIZE])
{
	SHA256(data, size, hash);
}

void kc_sha256_text(const void *data, size_t size, char text[KC_SHA256_TEXT_SIZE])
{
	uint8_t hash[KC_SHA256_SIZE];

	kc_sha256(data, size, hash);
	kc_hex_encode(hash, sizeof(hash), text);
}

void kc_kernel_id(const void *proc_version, size_t size, char id[KC_KERNEL_ID_SIZE])
{
	uint8_t hash[SHA_DIGEST_LENGTH];

	SHA1(proc_version, size, hash);
	kc_hex_encode(hash, sizeof(hash), id);
}
