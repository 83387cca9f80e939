/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Public keys that are trusted, and the check of one signature. */
#include "sign/key_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/array.h"
#include "base/file.h"

enum { PUBLIC_FILE_MAX = 65536, KEYRING_MAX = 1024 };

struct public_key {
	EVP_PKEY *pkey;
	char id[KC_KEYID_SIZE];
};

struct kc_keyring {
	struct public_key *keys;
	size_t n_keys;
};

static const struct public_key *find_key(const struct kc_keyring *keyring, const char *keyid)
{
	for (size_t i = 0; i < keyring->n_keys; i++)
		if (!strcmp(keyring->keys[i].id, keyid))
			return &keyring->keys[i];
	return NULL;
}

/* Whoever can write here decides what root trusts. */
static struct kc_error *check_writers(const struct stat *st, const char *path)
{
	if (geteuid() == 0 && st->st_mode & (S_IWGRP | S_IWOTH))
		return kc_error_new(KC_ERR_PERMISSION,
				    "%s: others may write to it (mode %03o), so root cannot trust "
				    "its keys: chmod go-w it",
				    path, st->st_mode & 0777);
	if (geteuid() == 0 && st->st_uid != 0)
		return kc_error_new(KC_ERR_PERMISSION,
				    "%s: it belongs to another user (%u), so root cannot trust its keys: chown root it",
				    path, st->st_uid);
	return NULL;
}

/* One file, one key: a second one would be trusted or not depending on who reads the file. */
static struct kc_error *parse_public(const char *path, const struct kc_buf *pem, EVP_PKEY **pkey)
{
	static const char begin[] = "-----BEGIN ";
	kc_autobio BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
	const char *first = memmem(pem->data, pem->size, begin, strlen(begin));

	if (!bio)
		return kc_error_no_memory();
	if (!first)
		return kc_error_new(KC_ERR_KEY, "%s: not a PEM file with a public key", path);
	if (memmem(first + 1, pem->size - (size_t)(first + 1 - pem->data), begin, strlen(begin)))
		return kc_error_new(KC_ERR_KEY, "%s: there is more than one key in it", path);
	*pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	if (!*pkey)
		return kc_crypto_error(KC_ERR_KEY, path, "not a public key");
	return NULL;
}

struct kc_error *kc_public_key_id(const char *name, const struct kc_buf *pem, char keyid[KC_KEYID_SIZE])
{
	kc_autopkey EVP_PKEY *pkey = NULL;

	KC_TRY(parse_public(name, pem, &pkey));
	return kc_pkey_id(pkey, name, keyid);
}

struct kc_error *kc_public_key_raw(const char *name, const struct kc_buf *pem, uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	kc_autopkey EVP_PKEY *pkey = NULL;

	KC_TRY(parse_public(name, pem, &pkey));
	return kc_pkey_public(pkey, name, public);
}

static struct kc_error *pkey_of_raw(const uint8_t public[KC_PUBLIC_KEY_SIZE], EVP_PKEY **pkey)
{
	*pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, KC_PUBLIC_KEY_SIZE);
	return *pkey ? NULL : kc_crypto_error(KC_ERR_KEY, "a public key", "cannot be used");
}

/* Takes `pkey`, in every case. */
static struct kc_error *add_pkey(struct kc_keyring *keyring, const char *path, EVP_PKEY *pkey)
{
	kc_autopkey EVP_PKEY *owned = pkey;
	char keyid[KC_KEYID_SIZE];
	struct public_key *key;

	KC_TRY(kc_pkey_id(owned, path, keyid));
	if (find_key(keyring, keyid))
		return NULL;
	if (keyring->n_keys >= KEYRING_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%s: more than %d keys", path, KEYRING_MAX);
	key = kc_array_add(&keyring->keys, &keyring->n_keys);
	if (!key)
		return kc_error_no_memory();
	memcpy(key->id, keyid, sizeof(key->id));
	key->pkey = kc_steal(owned);
	return NULL;
}

static struct kc_error *add_file(struct kc_keyring *keyring, const char *path)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	kc_autobuf struct kc_buf pem = { 0 };
	kc_autopkey EVP_PKEY *pkey = NULL;
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot open the key %s", path);
	if (!S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_KEY, "%s: not a file", path);
	KC_TRY(check_writers(&st, path));
	err = kc_fd_read(fd, PUBLIC_FILE_MAX, &pem);
	if (err)
		return kc_error_errno(KC_ERR_KEY, -err, "cannot read the key %s", path);
	KC_TRY(parse_public(path, &pem, &pkey));
	return add_pkey(keyring, path, kc_steal(pkey));
}

static struct kc_error *add_folder(struct kc_ctx *ctx, struct kc_keyring *keyring, int fd, const char *path)
{
	kc_autoclosedir DIR *dir = fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close(fd);
		return kc_error_errno(KC_ERR_KEY, errno, "cannot read the folder %s", path);
	}
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		const char *suffix = strrchr(entry->d_name, '.');
		kc_autofree char *file = NULL;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		file = kc_path_join(path, entry->d_name);
		if (!file)
			return kc_error_no_memory();
		if (!suffix || strcmp(suffix, ".pub"))
			kc_info(ctx, "%s: not a .pub file, so not a key", file);
		else
			KC_TRY(add_file(keyring, file));
	}
	if (errno)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot read the folder %s", path);
	return NULL;
}

struct kc_error *kc_keyring_load(struct kc_ctx *ctx, const char *path, struct kc_keyring **keyring)
{
	kc_autokeyring struct kc_keyring *loaded = calloc(1, sizeof(*loaded));
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (!loaded)
		return kc_error_no_memory();
	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot open the keys %s", path);
	if (S_ISDIR(st.st_mode)) {
		KC_TRY(check_writers(&st, path));
		KC_TRY(add_folder(ctx, loaded, kc_steal_fd(&fd), path));
	} else {
		KC_TRY(add_file(loaded, path));
	}
	*keyring = kc_steal(loaded);
	return NULL;
}

struct kc_error *kc_keyring_new(struct kc_keyring **keyring)
{
	*keyring = calloc(1, sizeof(**keyring));
	return *keyring ? NULL : kc_error_no_memory();
}

struct kc_error *kc_keyring_add(struct kc_keyring *keyring, const uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	kc_autopkey EVP_PKEY *pkey = NULL;

	KC_TRY(pkey_of_raw(public, &pkey));
	return add_pkey(keyring, "a public key", kc_steal(pkey));
}

void kc_keyring_free(struct kc_keyring *keyring)
{
	if (!keyring)
		return;
	for (size_t i = 0; i < keyring->n_keys; i++)
		EVP_PKEY_free(keyring->keys[i].pkey);
	free(keyring->keys);
	free(keyring);
}

size_t kc_keyring_size(const struct kc_keyring *keyring)
{
	return keyring->n_keys;
}

struct kc_error *kc_keyring_verify(const struct kc_keyring *keyring, const char *keyid, const void *data, size_t size,
				   const uint8_t signature[KC_SIGNATURE_SIZE])
{
	const struct public_key *key = find_key(keyring, keyid);
	kc_automdctx EVP_MD_CTX *md = NULL;

	if (!key)
		return kc_error_new(KC_ERR_UNKNOWN_KEY, "signed by the key %s, which is not trusted", keyid);
	md = EVP_MD_CTX_new();
	if (!md)
		return kc_error_no_memory();
	if (EVP_DigestVerifyInit(md, NULL, NULL, NULL, key->pkey) == 1 &&
	    EVP_DigestVerify(md, signature, KC_SIGNATURE_SIZE, data, size) == 1)
		return NULL;
	ERR_clear_error();
	return kc_error_new(KC_ERR_BAD_SIGNATURE, "the signature by the key %s is wrong", keyid);
}
