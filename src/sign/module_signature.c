/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signing kernel modules. The format is that of the kernel's include/linux/module_signature.h: module, CMS message,
 * trailer, marker. The kernel looks the signer up by issuer and serial number of the certificate, in its own keyring
 * and in that of the firmware (db, MOK).
 */
#include "sign/module_signature.h"

#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "sign/key_internal.h"

#define MARKER "~Module signature appended~\n"
#define MARKER_SIZE (sizeof(MARKER) - 1)

enum {
	TRAILER_SIZE = 12,
	TRAILER_ID_TYPE = 2, /* offset of the only byte that is not zero, beside the length */
	TRAILER_LENGTH = 8,  /* offset, big-endian */
	ID_TYPE_PKCS7 = 2,
};

struct kc_module_key {
	EVP_PKEY *pkey;
	X509 *certificate;
	char *path;
};

KC_DEFINE_CLEANUP(cleanup_cms, CMS_ContentInfo *, CMS_ContentInfo_free)
#define autocms KC_CLEANUP(cleanup_cms)

/* The kernel verifies RSA always, ECDSA where it was built in, nothing else. */
static struct kc_error *check_key(const struct kc_module_key *key)
{
	int type = EVP_PKEY_get_base_id(key->pkey);

	if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
		return kc_error_new(KC_ERR_KEY,
				    "%s: kernels verify modules by RSA keys; make one with `openssl req -x509 "
				    "-newkey rsa:2048`",
				    key->path);
	if (X509_check_private_key(key->certificate, key->pkey) != 1) {
		ERR_clear_error();
		return kc_error_new(KC_ERR_KEY, "%s: the certificate is not of this private key", key->path);
	}
	return NULL;
}

struct kc_error *kc_module_key_load(struct kc_ctx *ctx, const char *path, struct kc_module_key **key)
{
	kc_automodulekey struct kc_module_key *loaded = calloc(1, sizeof(*loaded));
	kc_autobio BIO *bio = NULL;

	if (!loaded)
		return kc_error_no_memory();
	loaded->path = strdup(path);
	if (!loaded->path)
		return kc_error_no_memory();
	KC_TRY(kc_pkey_load(ctx, path, &loaded->pkey));
	bio = BIO_new_file(path, "r");
	if (bio)
		loaded->certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (!loaded->certificate)
		return kc_crypto_error(
			KC_ERR_KEY, path,
			"has no certificate; append the one that is enrolled, in PEM, to the private key");
	KC_TRY(check_key(loaded));
	*key = kc_steal(loaded);
	return NULL;
}

void kc_module_key_free(struct kc_module_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	X509_free(key->certificate);
	free(key->path);
	free(key);
}

/* The signature goes with the digest of the module alone: the kernel takes no signed attributes. */
static struct kc_error *make_message(const struct kc_module_key *key, const struct kc_buf *module, unsigned char **der,
				     size_t *size)
{
	const unsigned int flags = CMS_NOCERTS | CMS_BINARY | CMS_DETACHED;
	kc_autobio BIO *content = BIO_new_mem_buf(module->data, (int)module->size);
	autocms CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL | CMS_STREAM);
	int length;

	if (!content || !cms)
		return kc_error_no_memory();
	if (!CMS_add1_signer(cms, key->certificate, key->pkey, EVP_sha256(), flags | CMS_NOATTR | CMS_NOSMIMECAP) ||
	    CMS_final(cms, content, NULL, flags) != 1)
		return kc_crypto_error(KC_ERR_KEY, key->path, "cannot sign the module");
	length = i2d_CMS_ContentInfo(cms, der);
	if (length <= 0)
		return kc_crypto_error(KC_ERR_KEY, key->path, "cannot encode the signature");
	*size = (size_t)length;
	return NULL;
}

struct kc_error *kc_module_sign(const struct kc_module_key *key, struct kc_buf *module)
{
	unsigned char trailer[TRAILER_SIZE] = { [TRAILER_ID_TYPE] = ID_TYPE_PKCS7 };
	unsigned char *der = NULL;
	size_t size = 0;

	if (module->size > INT_MAX)
		return kc_error_new(KC_ERR_INPUT, "a module of %zu bytes is too large to sign", module->size);
	if (kc_module_is_signed(module->data, module->size))
		return kc_error_new(KC_ERR_INPUT, "the module is signed already");
	KC_TRY(make_message(key, module, &der, &size));
	for (int i = 0; i < 4; i++)
		trailer[TRAILER_LENGTH + i] = (unsigned char)(size >> (24 - 8 * i));
	kc_buf_append(module, der, size);
	kc_buf_append(module, trailer, sizeof(trailer));
	kc_buf_append(module, MARKER, MARKER_SIZE);
	OPENSSL_free(der);
	return module->failed ? kc_error_no_memory() : NULL;
}

bool kc_module_is_signed(const void *module, size_t size)
{
	return size > TRAILER_SIZE + MARKER_SIZE &&
	       !memcmp((const char *)module + size - MARKER_SIZE, MARKER, MARKER_SIZE);
}
