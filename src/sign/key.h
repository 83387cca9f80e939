/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ed25519 keys of authors and of repository roles, as PEM files: NAME.key (PKCS#8, 0600, optionally protected
 * by a passphrase) and NAME.pub (SubjectPublicKeyInfo). A key is named by its key id: the SHA-256 of its DER public
 * key, 64 hexadecimal digits.
 *
 * What is signed, and what several signatures mean together, is sign/envelope.h.
 */
#ifndef KC_SIGN_KEY_H
#define KC_SIGN_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/ctx.h"

#define KC_KEYID_SIZE 65 /* with '\0' */
#define KC_SIGNATURE_SIZE 64
#define KC_PUBLIC_KEY_SIZE 32

struct kc_key;	   /* private key, can sign */
struct kc_keyring; /* public keys that are trusted */

/*
 * Writes DIR/NAME.key and DIR/NAME.pub; refuses to overwrite. `passphrase` protects the private file; NULL: none.
 * `keyid` receives the id.
 */
struct kc_error *kc_key_generate(struct kc_ctx *ctx, const char *dir, const char *name, const char *passphrase,
				 char keyid[KC_KEYID_SIZE]);
/* Asks for the passphrase (kc_ask()) when the file is protected by one. KC_ERR_KEY. */
struct kc_error *kc_key_load(struct kc_ctx *ctx, const char *path, struct kc_key **key);
void kc_key_free(struct kc_key *key);
const char *kc_key_id(const struct kc_key *key);
struct kc_error *kc_key_sign(const struct kc_key *key, const void *data, size_t size,
			     uint8_t signature[KC_SIGNATURE_SIZE]);

/*
 * One public key file, or every *.pub of a folder. An empty folder gives an empty keyring, which trusts nobody. A file
 * that cannot be used is an error (KC_ERR_KEY) and not skipped. For root, a folder or file that others may write is
 * KC_ERR_PERMISSION.
 */
struct kc_error *kc_keyring_load(struct kc_ctx *ctx, const char *path, struct kc_keyring **keyring);
/* An empty keyring, and keys for it as repository metadata writes them: the 32 bytes of an Ed25519 public key. */
struct kc_error *kc_keyring_new(struct kc_keyring **keyring);
struct kc_error *kc_keyring_add(struct kc_keyring *keyring, const uint8_t public[KC_PUBLIC_KEY_SIZE]);
/* The key id of such a key. */
struct kc_error *kc_public_key_raw_id(const uint8_t public[KC_PUBLIC_KEY_SIZE], char keyid[KC_KEYID_SIZE]);
/* Those bytes of a private key, and of the one public key in PEM text. */
struct kc_error *kc_key_public(const struct kc_key *key, uint8_t public[KC_PUBLIC_KEY_SIZE]);
struct kc_error *kc_public_key_raw(const char *name, const struct kc_buf *pem, uint8_t public[KC_PUBLIC_KEY_SIZE]);
/* The key id of the one public key in PEM text; `name` is for messages. KC_ERR_KEY. */
struct kc_error *kc_public_key_id(const char *name, const struct kc_buf *pem, char keyid[KC_KEYID_SIZE]);
void kc_keyring_free(struct kc_keyring *keyring);
size_t kc_keyring_size(const struct kc_keyring *keyring);
/* KC_ERR_UNKNOWN_KEY when `keyid` is not in the keyring, KC_ERR_BAD_SIGNATURE when the signature is not by that key. */
struct kc_error *kc_keyring_verify(const struct kc_keyring *keyring, const char *keyid, const void *data, size_t size,
				   const uint8_t signature[KC_SIGNATURE_SIZE]);

KC_DEFINE_CLEANUP(kc_cleanup_key, struct kc_key *, kc_key_free)
KC_DEFINE_CLEANUP(kc_cleanup_keyring, struct kc_keyring *, kc_keyring_free)
#define kc_autokey KC_CLEANUP(kc_cleanup_key)
#define kc_autokeyring KC_CLEANUP(kc_cleanup_keyring)

#endif
