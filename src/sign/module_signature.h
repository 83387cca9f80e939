/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signatures of kernel modules, as scripts/sign-file appends them: a detached PKCS#7 message over the module, a
 * trailer of 12 bytes, and "~Module signature appended~\n". For kernels that only load signed modules (Secure Boot).
 */
#ifndef KC_SIGN_MODULE_SIGNATURE_H
#define KC_SIGN_MODULE_SIGNATURE_H

#include "base/buf.h"
#include "base/ctx.h"

struct kc_module_key;

/* A PEM file with a private key and its X.509 certificate. Asks for a passphrase when the key has one. KC_ERR_KEY. */
struct kc_error *kc_module_key_load(struct kc_ctx *ctx, const char *path, struct kc_module_key **key);
void kc_module_key_free(struct kc_module_key *key);
/* Appends the signature to the module in `module`. SHA-256. */
struct kc_error *kc_module_sign(const struct kc_module_key *key, struct kc_buf *module);
/* Does this module carry a signature (of anybody)? */
bool kc_module_is_signed(const void *module, size_t size);

KC_DEFINE_CLEANUP(kc_cleanup_module_key, struct kc_module_key *, kc_module_key_free)
#define kc_automodulekey KC_CLEANUP(kc_cleanup_module_key)

#endif
