/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two holes of libcrypto, each asked for as often as one likes in one process:
 * CVE-2026-42766: a CMS message for a password recipient without a key derivation algorithm. "pwri FILE" answers the
 * signal that decrypting it raises, 0 for a clean error, -1 when it could be decrypted.
 * CVE-2026-45445: AES-OCB through EVP_Cipher() ignores the nonce. "ocb" answers 1 when two nonces give one ciphertext.
 */
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"

static sigjmp_buf before;

static void caught(int signal)
{
	siglongjmp(before, signal);
}

static long decrypt(const char *path)
{
	BIO *in = BIO_new_file(path, "rb"), *out = BIO_new(BIO_s_null());
	CMS_ContentInfo *message = d2i_CMS_bio(in, NULL);
	char *password = OPENSSL_strdup("secret");
	long result = -2;

	if (message && CMS_decrypt_set1_password(message, (unsigned char *)password, -1))
		result = CMS_decrypt(message, NULL, NULL, NULL, out, 0) ? -1 : -3;
	else if (message)
		result = 0;
	CMS_ContentInfo_free(message);
	BIO_free(in);
	BIO_free(out);
	OPENSSL_free(password);
	ERR_clear_error();
	return result;
}

static long run_pwri(const char *path)
{
	struct sigaction action = { .sa_handler = caught }, old;
	long result;

	sigaction(SIGSEGV, &action, &old);
	result = sigsetjmp(before, 1);
	if (!result)
		result = decrypt(path);
	sigaction(SIGSEGV, &old, NULL);
	return result;
}

static int encrypt(const char *nonce, unsigned char out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ok = EVP_EncryptInit_ex(ctx, EVP_aes_128_ocb(), NULL, (const unsigned char *)"0123456789abcdef",
				    (const unsigned char *)nonce) &&
		 EVP_Cipher(ctx, out, (const unsigned char *)"sixteen letters!", 16) > 0;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static long run_ocb(const char *argument)
{
	unsigned char one[16], two[16];

	(void)argument;
	if (!encrypt("first nonce!", one) || !encrypt("other nonce!", two))
		return -1;
	return !memcmp(one, two, sizeof(one));
}

static long run_version(const char *argument)
{
	(void)argument;
	return (long)OpenSSL_version_num();
}

static const struct command commands[] = {
	{ "pwri", run_pwri },
	{ "ocb", run_ocb },
	{ "version", run_version },
	{ NULL, NULL },
};

int main(void)
{
	return loop_main((const struct command *const[]){ commands, NULL });
}
