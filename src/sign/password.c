/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sign/password.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/hex.h"
#include "base/random.h"

#define NAME "scrypt$"

enum {
	SALT_SIZE = 16,
	HASH_SIZE = 32,
	/* what new ones have: 100 ms and 32 MiB for each check on a small server */
	COST = 1 << 15,
	BLOCK = 8,
	PARALLEL = 1,
	/* what kept ones may ask for: eight times the work, four times the memory */
	BLOCK_MAX = 32,
	PARALLEL_MAX = 16,
	WORK_MAX = 8 * COST * BLOCK * PARALLEL,
	BLOCKS_MAX = 4 * COST * BLOCK,
	BLOCK_BYTES = 128,
	MEMORY_MAX = (BLOCKS_MAX + 2 * BLOCK_MAX * PARALLEL_MAX) * BLOCK_BYTES,
};

struct scrypt {
	uint32_t cost, block, parallel;
	uint8_t salt[SALT_SIZE], hash[HASH_SIZE];
};

static struct kc_error *derive(const char *password, const struct scrypt *scrypt, uint8_t hash[HASH_SIZE])
{
	if (EVP_PBE_scrypt(password, strlen(password), scrypt->salt, SALT_SIZE, scrypt->cost, scrypt->block,
			   scrypt->parallel, MEMORY_MAX, hash, HASH_SIZE) != 1)
		return kc_error_new(KC_ERR_SYSTEM, "libcrypto cannot compute scrypt");
	return NULL;
}

/* A decimal number from 1 to `max` and the '$' behind it. */
static bool take_number(const char **text, uint32_t max, uint32_t *value)
{
	uint32_t number = 0;

	if (**text == '0')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		number = number * 10 + (uint32_t)(**text - '0');
		if (number > max)
			return false;
	}
	*value = number;
	return number > 0 && *(*text)++ == '$';
}

static bool parse(const char *text, struct scrypt *scrypt)
{
	char salt[2 * SALT_SIZE + 1];

	if (strncmp(text, NAME, strlen(NAME)))
		return false;
	text += strlen(NAME);
	if (!take_number(&text, BLOCKS_MAX, &scrypt->cost) || !take_number(&text, BLOCK_MAX, &scrypt->block) ||
	    !take_number(&text, PARALLEL_MAX, &scrypt->parallel))
		return false;
	if (scrypt->cost < 2 || scrypt->cost & (scrypt->cost - 1) || scrypt->cost > BLOCKS_MAX / scrypt->block ||
	    scrypt->cost > WORK_MAX / (scrypt->block * scrypt->parallel))
		return false;
	if (strlen(text) != 2 * SALT_SIZE + 1 + 2 * HASH_SIZE || text[2 * SALT_SIZE] != '$')
		return false;
	memcpy(salt, text, 2 * SALT_SIZE);
	salt[2 * SALT_SIZE] = '\0';
	return !kc_hex_decode(salt, scrypt->salt, SALT_SIZE) &&
	       !kc_hex_decode(text + 2 * SALT_SIZE + 1, scrypt->hash, HASH_SIZE);
}

struct kc_error *kc_password_hash(const char *password, char text[KC_PASSWORD_TEXT_SIZE])
{
	struct scrypt scrypt = { .cost = COST, .block = BLOCK, .parallel = PARALLEL };
	char salt[2 * SALT_SIZE + 1], hash[2 * HASH_SIZE + 1];
	int err;

	if (!*password)
		return kc_error_new(KC_ERR_INPUT, "an empty password");
	if (strlen(password) > KC_PASSWORD_MAX)
		return kc_error_new(KC_ERR_INPUT, "a password of more than %d bytes", KC_PASSWORD_MAX);
	err = kc_random_bytes(scrypt.salt, SALT_SIZE);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "no randomness");
	KC_TRY(derive(password, &scrypt, scrypt.hash));
	kc_hex_encode(scrypt.salt, SALT_SIZE, salt);
	kc_hex_encode(scrypt.hash, HASH_SIZE, hash);
	snprintf(text, KC_PASSWORD_TEXT_SIZE, NAME "%d$%d$%d$%s$%s", COST, BLOCK, PARALLEL, salt, hash);
	return NULL;
}

static struct kc_error *wrong(void)
{
	return kc_error_new(KC_ERR_UNAUTHORIZED, "%s", kc_error_code_text(KC_ERR_UNAUTHORIZED));
}

struct kc_error *kc_password_check(const char *password, const char *text)
{
	struct scrypt scrypt = { .cost = COST, .block = BLOCK, .parallel = PARALLEL };
	bool exists = text && *text, same;
	uint8_t hash[HASH_SIZE];

	if (exists && !parse(text, &scrypt))
		return kc_error_new(KC_ERR_CORRUPT, "a kept password is not what we write; set it again");
	if (strlen(password) > KC_PASSWORD_MAX)
		return wrong();
	KC_TRY(derive(password, &scrypt, hash));
	same = CRYPTO_memcmp(hash, scrypt.hash, HASH_SIZE) == 0;
	OPENSSL_cleanse(hash, sizeof(hash));
	return exists && same ? NULL : wrong();
}

bool kc_secret_equals(const char *a, const char *b)
{
	size_t size = strlen(a);

	return size == strlen(b) && CRYPTO_memcmp(a, b, size) == 0;
}
