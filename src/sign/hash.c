/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sign/hash.h"

#include <stdbool.h>
#include <stdlib.h>

#include <openssl/evp.h>
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

struct kc_hasher {
	EVP_MD_CTX *md;
	bool failed;
};

struct kc_hasher *kc_hasher_new(void)
{
	struct kc_hasher *hasher = calloc(1, sizeof(*hasher));

	if (hasher)
		hasher->md = EVP_MD_CTX_new();
	if (!hasher || !hasher->md) {
		free(hasher);
		return NULL;
	}
	hasher->failed = EVP_DigestInit_ex(hasher->md, EVP_sha256(), NULL) != 1;
	return hasher;
}

void kc_hasher_add(struct kc_hasher *hasher, const void *data, size_t size)
{
	if (!hasher->failed)
		hasher->failed = EVP_DigestUpdate(hasher->md, data, size) != 1;
}

struct kc_error *kc_hasher_finish(struct kc_hasher *hasher, char text[KC_SHA256_TEXT_SIZE])
{
	uint8_t hash[KC_SHA256_SIZE];

	if (hasher->failed || EVP_DigestFinal_ex(hasher->md, hash, NULL) != 1)
		return kc_error_new(KC_ERR_SYSTEM, "libcrypto cannot hash");
	hasher->failed = EVP_DigestInit_ex(hasher->md, EVP_sha256(), NULL) != 1;
	kc_hex_encode(hash, sizeof(hash), text);
	return NULL;
}

void kc_hasher_free(struct kc_hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->md);
	free(hasher);
}

void kc_kernel_id(const void *proc_version, size_t size, char id[KC_KERNEL_ID_SIZE])
{
	uint8_t hash[SHA_DIGEST_LENGTH];

	SHA1(proc_version, size, hash);
	kc_hex_encode(hash, sizeof(hash), id);
}
