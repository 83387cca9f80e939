/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private keys: making, writing, loading, signing. */
#include "sign/key_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "base/file.h"
#include "sign/hash.h"

enum { PASSPHRASE_ITERATIONS = 600000, SALT_SIZE = 16 };

struct kc_key {
	EVP_PKEY *pkey;
	char id[KC_KEYID_SIZE];
};

struct kc_error *kc_crypto_error(enum kc_error_code code, const char *path, const char *what)
{
	unsigned long last = ERR_peek_last_error();
	const char *reason = last ? ERR_reason_error_string(last) : NULL;

	ERR_clear_error();
	return kc_error_new(code, "%s: %s%s%s", path, what, reason ? ": " : "", reason ? reason : "");
}

struct kc_error *kc_pkey_public(EVP_PKEY *pkey, const char *path, uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	size_t size = KC_PUBLIC_KEY_SIZE;

	if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
		return kc_error_new(KC_ERR_KEY, "%s: not an Ed25519 key", path);
	if (EVP_PKEY_get_raw_public_key(pkey, public, &size) != 1 || size != KC_PUBLIC_KEY_SIZE)
		return kc_crypto_error(KC_ERR_KEY, path, "cannot encode the public key");
	return NULL;
}

/*
 * The SubjectPublicKeyInfo of an Ed25519 key is always this and the key (RFC 8410). libcrypto would write the same, but
 * setting up its encoders takes as long as the rest of a check that finds nothing new.
 */
struct kc_error *kc_public_key_raw_id(const uint8_t public[KC_PUBLIC_KEY_SIZE], char keyid[KC_KEYID_SIZE])
{
	static const uint8_t prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	uint8_t der[sizeof(prefix) + KC_PUBLIC_KEY_SIZE];

	memcpy(der, prefix, sizeof(prefix));
	memcpy(der + sizeof(prefix), public, KC_PUBLIC_KEY_SIZE);
	kc_sha256_text(der, sizeof(der), keyid);
	return NULL;
}

struct kc_error *kc_pkey_id(EVP_PKEY *pkey, const char *path, char keyid[KC_KEYID_SIZE])
{
	uint8_t public[KC_PUBLIC_KEY_SIZE];

	KC_TRY(kc_pkey_public(pkey, path, public));
	return kc_public_key_raw_id(public, keyid);
}

/* libcrypto would derive with 2,048 rounds when it encrypts a PEM file on its own: guessable for a stolen file. */
static X509_SIG *encrypt_pkcs8(EVP_PKEY *pkey, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	unsigned char salt[SALT_SIZE];
	X509_SIG *encrypted = NULL;
	X509_ALGOR *algorithm = NULL;

	if (RAND_bytes(salt, sizeof(salt)) == 1)
		algorithm = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), PASSPHRASE_ITERATIONS, salt, sizeof(salt), NULL,
					      NID_hmacWithSHA256);
	if (info && algorithm)
		encrypted = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, algorithm);
	if (!encrypted)
		X509_ALGOR_free(algorithm);
	PKCS8_PRIV_KEY_INFO_free(info);
	return encrypted;
}

static bool write_private_pem(BIO *bio, EVP_PKEY *pkey, const char *passphrase)
{
	X509_SIG *encrypted;
	bool written;

	if (!passphrase)
		return PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
	encrypted = encrypt_pkcs8(pkey, passphrase);
	written = encrypted && PEM_write_bio_PKCS8(bio, encrypted) == 1;
	X509_SIG_free(encrypted);
	return written;
}

enum key_part { PRIVATE_PART, PUBLIC_PART };

/* Creates the file, never replaces one: a lost author key cannot be made again. */
static struct kc_error *write_part(const char *path, EVP_PKEY *pkey, enum key_part part, const char *passphrase)
{
	kc_autoclose int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, part == PRIVATE_PART ? 0600 : 0644);
	kc_autobio BIO *bio = NULL;
	struct kc_error *err = NULL;
	bool written;

	if (fd < 0 && errno == EEXIST)
		return kc_error_new(KC_ERR_KEY, "%s exists already; it is never overwritten", path);
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot create %s", path);
	bio = BIO_new_fd(fd, BIO_NOCLOSE);
	errno = 0;
	if (!bio)
		written = false;
	else if (part == PRIVATE_PART)
		written = write_private_pem(bio, pkey, passphrase);
	else
		written = PEM_write_bio_PUBKEY(bio, pkey) == 1;
	if (!written && errno)
		err = kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write %s", path);
	else if (!written)
		err = kc_crypto_error(KC_ERR_SYSTEM, path, "cannot write the key");
	else if (fsync(fd) < 0)
		err = kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write %s", path);
	if (err)
		unlink(path);
	return err;
}

static struct kc_error *write_pair(const char *dir, const char *name, EVP_PKEY *pkey, const char *passphrase)
{
	kc_autofree char *private_path = NULL, *public_path = NULL;
	struct kc_error *err;

	if (asprintf(&private_path, "%s/%s.key", dir, name) < 0)
		private_path = NULL;
	if (asprintf(&public_path, "%s/%s.pub", dir, name) < 0)
		public_path = NULL;
	if (!private_path || !public_path)
		return kc_error_no_memory();
	KC_TRY(write_part(private_path, pkey, PRIVATE_PART, passphrase));
	err = write_part(public_path, pkey, PUBLIC_PART, NULL);
	if (err)
		unlink(private_path);
	return err;
}

struct kc_error *kc_key_generate(struct kc_ctx *ctx, const char *dir, const char *name, const char *passphrase,
				 char keyid[KC_KEYID_SIZE])
{
	kc_autopkey EVP_PKEY *pkey = NULL;
	int err;

	(void)ctx;
	if (!*name || *name == '.' || strchr(name, '/'))
		return kc_error_new(KC_ERR_USAGE, "'%s' is no name for a key", name);
	if (!*dir)
		return kc_error_new(KC_ERR_USAGE, "the folder for the keys has no name");
	err = kc_dir_make(dir, 0700);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", dir);
	pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!pkey)
		return kc_crypto_error(KC_ERR_SYSTEM, name, "cannot make a key");
	KC_TRY(kc_pkey_id(pkey, name, keyid));
	return write_pair(dir, name, pkey, passphrase);
}

/* What the passphrase callback of libcrypto needs, and the error that it cannot return itself. */
struct passphrase_request {
	struct kc_ctx *ctx;
	const char *path;
	struct kc_buf secret;
	bool asked; /* libcrypto calls again for each decoder that it tries */
	struct kc_error *err;
};

static int give_passphrase(char *out, int out_size, int is_writing, void *data)
{
	struct passphrase_request *request = data;
	char question[512];

	(void)is_writing;
	if (!request->asked) {
		snprintf(question, sizeof(question), "passphrase of %s", request->path);
		request->err = kc_ask(request->ctx, question, &request->secret);
		request->asked = true;
	}
	if (!request->err && request->secret.size > (size_t)out_size)
		request->err = kc_error_new(KC_ERR_KEY, "%s: the passphrase is too long", request->path);
	if (request->err)
		return -1;
	memcpy(out, request->secret.data, request->secret.size);
	return (int)request->secret.size;
}

static void wipe_request(struct passphrase_request *request)
{
	if (request->secret.data)
		explicit_bzero(request->secret.data, request->secret.size);
	kc_buf_free(&request->secret);
}

static struct kc_error *check_private_mode(struct kc_ctx *ctx, int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_KEY, "%s: not a file", path);
	if (st.st_mode & 077)
		kc_warning(ctx, "%s: the private key can be read by others (mode %03o): chmod 600 it", path,
			   st.st_mode & 0777);
	return NULL;
}

struct kc_error *kc_pkey_load(struct kc_ctx *ctx, const char *path, EVP_PKEY **pkey)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct passphrase_request request = { .ctx = ctx, .path = path };
	kc_autopkey EVP_PKEY *loaded = NULL;
	kc_autobio BIO *bio = NULL;

	if (fd < 0)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot open the key %s", path);
	KC_TRY(check_private_mode(ctx, fd, path));
	bio = BIO_new_fd(fd, BIO_NOCLOSE);
	if (!bio)
		return kc_error_no_memory();
	loaded = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &request);
	wipe_request(&request);
	if (request.err) {
		ERR_clear_error();
		return request.err;
	}
	if (!loaded)
		return kc_crypto_error(KC_ERR_KEY, path, "not a private key, or the passphrase is wrong");
	*pkey = kc_steal(loaded);
	return NULL;
}

struct kc_error *kc_key_load(struct kc_ctx *ctx, const char *path, struct kc_key **key)
{
	kc_autokey struct kc_key *loaded = calloc(1, sizeof(*loaded));

	if (!loaded)
		return kc_error_no_memory();
	KC_TRY(kc_pkey_load(ctx, path, &loaded->pkey));
	KC_TRY(kc_pkey_id(loaded->pkey, path, loaded->id));
	*key = kc_steal(loaded);
	return NULL;
}

void kc_key_free(struct kc_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

const char *kc_key_id(const struct kc_key *key)
{
	return key->id;
}

struct kc_error *kc_key_public(const struct kc_key *key, uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	return kc_pkey_public(key->pkey, key->id, public);
}

struct kc_error *kc_key_sign(const struct kc_key *key, const void *data, size_t size,
			     uint8_t signature[KC_SIGNATURE_SIZE])
{
	kc_automdctx EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t length = KC_SIGNATURE_SIZE;

	if (!md)
		return kc_error_no_memory();
	if (EVP_DigestSignInit(md, NULL, NULL, NULL, key->pkey) != 1 ||
	    EVP_DigestSign(md, signature, &length, data, size) != 1 || length != KC_SIGNATURE_SIZE)
		return kc_crypto_error(KC_ERR_KEY, key->id, "cannot sign");
	return NULL;
}
