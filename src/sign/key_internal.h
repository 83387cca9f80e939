/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about keys share; private to them. */
#ifndef KC_SIGN_KEY_INTERNAL_H
#define KC_SIGN_KEY_INTERNAL_H

#include <openssl/evp.h>

#include "sign/key.h"

KC_DEFINE_CLEANUP(kc_cleanup_pkey, EVP_PKEY *, EVP_PKEY_free)
KC_DEFINE_CLEANUP(kc_cleanup_md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)
KC_DEFINE_CLEANUP(kc_cleanup_bio, BIO *, BIO_free_all)
#define kc_autopkey KC_CLEANUP(kc_cleanup_pkey)
#define kc_automdctx KC_CLEANUP(kc_cleanup_md_ctx)
#define kc_autobio KC_CLEANUP(kc_cleanup_bio)

/* A private key of any algorithm from a PEM file. Asks for the passphrase when it has one. KC_ERR_KEY. */
struct kc_error *kc_pkey_load(struct kc_ctx *ctx, const char *path, EVP_PKEY **pkey);
/* KC_ERR_KEY for other algorithms than Ed25519; `path` is for the message. */
struct kc_error *kc_pkey_id(EVP_PKEY *pkey, const char *path, char keyid[KC_KEYID_SIZE]);
/* The raw public key; the same error. */
struct kc_error *kc_pkey_public(EVP_PKEY *pkey, const char *path, uint8_t public[KC_PUBLIC_KEY_SIZE]);
/* An error with what libcrypto says; empties its queue. */
struct kc_error *kc_crypto_error(enum kc_error_code code, const char *path, const char *what);

#endif
