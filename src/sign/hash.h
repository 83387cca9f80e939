/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hashes, over libcrypto. */
#ifndef KC_SIGN_HASH_H
#define KC_SIGN_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define KC_SHA256_SIZE 32
#define KC_SHA256_TEXT_SIZE 65 /* hexadecimal, with '\0' */

void kc_sha256(const void *data, size_t size, uint8_t hash[KC_SHA256_SIZE]);
void kc_sha256_text(const void *data, size_t size, char text[KC_SHA256_TEXT_SIZE]);

/* SHA-256 of what arrives in pieces. NULL when out of memory. */
struct kc_hasher;
struct kc_hasher *kc_hasher_new(void);
void kc_hasher_add(struct kc_hasher *hasher, const void *data, size_t size);
/* The hash of all that was added; the next one begins. KC_ERR_SYSTEM: libcrypto failed, now or before. */
struct kc_error *kc_hasher_finish(struct kc_hasher *hasher, char text[KC_SHA256_TEXT_SIZE]);
void kc_hasher_free(struct kc_hasher *hasher);

KC_DEFINE_CLEANUP(kc_cleanup_hasher, struct kc_hasher *, kc_hasher_free)
#define kc_autohasher KC_CLEANUP(kc_cleanup_hasher)

#define KC_KERNEL_ID_SIZE 41 /* SHA-1 in hexadecimal, with '\0' */

/* The kernel id: SHA-1 of the whole /proc/version, with its newline. A name, not a proof. */
void kc_kernel_id(const void *proc_version, size_t size, char id[KC_KERNEL_ID_SIZE]);

#endif
