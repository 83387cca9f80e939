/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The demo's server: a small vault that encrypts. A client sends one line, a nonce of 12 letters or digits; the vault
 * answers with a fixed secret text, encrypted with AES-128-OCB under a key of its own and that nonce, in hexadecimal.
 *
 * It is an honest program: with a sound OpenSSL every nonce gives another ciphertext. With CVE-2026-45445 the nonce is
 * ignored by EVP_Cipher(), so that two messages tell an attacker their difference.
 *
 * Usage: vault THREADS. Prints the port it listens on (127.0.0.1) and serves until its standard input ends.
 */
#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	NONCE_SIZE = 12,
	SECRET_SIZE = 32,
	MAX_THREADS = 256,
};

static const unsigned char key[16] = "the vault's key!";
static const unsigned char secret[SECRET_SIZE + 1] = "the meeting is on Monday at noon";

static int encrypt(const unsigned char *nonce, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_128_ocb(), NULL, NULL, NULL) &&
		 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE_SIZE, NULL) &&
		 EVP_EncryptInit_ex(ctx, NULL, NULL, key, nonce) && EVP_Cipher(ctx, out, secret, SECRET_SIZE) > 0;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static void serve(int client)
{
	unsigned char request[NONCE_SIZE + 1], out[SECRET_SIZE];
	char answer[2 * SECRET_SIZE + 2];
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(request) && (n = read(client, request + got, sizeof(request) - got)) > 0)
		got += (size_t)n;
	if (got != sizeof(request) || !encrypt(request, out))
		return;
	for (int i = 0; i < SECRET_SIZE; i++)
		sprintf(answer + 2 * i, "%02x", out[i]);
	strcat(answer, "\n");
	if (write(client, answer, strlen(answer)) < 0)
		perror("vault: write");
}

static void *work(void *listener)
{
	for (;;) {
		int client = accept(*(int *)listener, NULL, NULL);

		if (client < 0)
			continue;
		serve(client);
		close(client);
	}
	return NULL;
}

static int listen_on_localhost(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
		perror("vault");
		exit(1);
	}
	printf("port %d, %s\n", ntohs(address.sin_port), OpenSSL_version(OPENSSL_VERSION));
	fflush(stdout);
	return listener;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	int listener = listen_on_localhost();
	pthread_t thread;
	char c;

	for (int i = 0; i < threads && i < MAX_THREADS; i++)
		if (pthread_create(&thread, NULL, work, &listener)) {
			fprintf(stderr, "vault: cannot start thread %d\n", i);
			return 1;
		}
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
