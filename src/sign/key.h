/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ed25519 keys of authors (and later of repository roles), as PEM files: NAME.key (PKCS#8, 0600, optionally protected
 * by a passphrase) and NAME.pub (SubjectPublicKeyInfo). A key is named by its key id: the SHA-256 of its DER public
 * key, 64 hexadecimal digits.
 */
#ifndef KC_SIGN_KEY_H
#define KC_SIGN_KEY_H

#include "base/ctx.h"

#define KC_KEYID_SIZE 65 /* with '\0' */

struct kc_key;	   /* private key, can sign */
struct kc_keyring; /* public keys that are trusted */

/* Writes DIR/author.key and DIR/author.pub; refuses to overwrite. `keyid` receives the id. */
struct kc_error *kc_key_generate(struct kc_ctx *ctx, const char *dir, const char *name, char keyid[KC_KEYID_SIZE]);
struct kc_error *kc_key_load(struct kc_ctx *ctx, const char *path, struct kc_key **key);
void kc_key_free(struct kc_key *key);
const char *kc_key_id(const struct kc_key *key);

/* One public key file, or every *.pub of a folder. An empty folder gives an empty keyring, which trusts nobody. */
struct kc_error *kc_keyring_load(struct kc_ctx *ctx, const char *path, struct kc_keyring **keyring);
void kc_keyring_free(struct kc_keyring *keyring);
size_t kc_keyring_size(const struct kc_keyring *keyring);

KC_DEFINE_CLEANUP(kc_cleanup_key, struct kc_key *, kc_key_free)
KC_DEFINE_CLEANUP(kc_cleanup_keyring, struct kc_keyring *, kc_keyring_free)
#define kc_autokey KC_CLEANUP(kc_cleanup_key)
#define kc_autokeyring KC_CLEANUP(kc_cleanup_keyring)

#endif
