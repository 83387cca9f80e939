/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of patchsets: the list, signed again by a trusted key, and the archive. An archive is read as it comes
 * (bzip2 stops nearly everything) and as a bare tar whose checksums were made right and whose list was signed again,
 * which leads to what lies behind: headers, names, sizes, files.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "patchset/archive_internal.h"
#include "sample.h"
#include "sign/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	BLOCK_SIZE = 512,
	SIZE_OFFSET = 124, /* of a tar header: 11 octal digits */
	SIZE_DIGITS = 11,
	CHECKSUM_OFFSET = 148,
	CHECKSUM_SIZE = 8,
	MAGIC_OFFSET = 257,
};

struct trust {
	struct kc_ctx *ctx;
	struct kc_key *key;
	struct kc_keyring *keyring;
};

/* Made once, for all inputs. */
static const struct trust *get_trust(void)
{
	static struct trust trust;

	if (!trust.ctx) {
		trust.ctx = kc_ctx_new();
		sample_keys(trust.ctx, &trust.key, &trust.keyring);
	}
	return &trust;
}

/* The list in `text` with a good signature; nothing when it is not JSON. */
static void sign_again(const struct trust *trust, const void *text, size_t size, struct kc_buf *out)
{
	kc_autojson json_t *whole = json_loadb(text, size, 0, NULL);
	const json_t *signed_part = json_object_get(whole, "signed");
	const struct kc_key *key = trust->key;

	if (signed_part)
		kc_error_free(kc_envelope_encode(signed_part, &key, 1, out));
}

/* What was read is written as it was. */
static void decode_list(const struct trust *trust, const void *data, size_t size)
{
	kc_autobuf struct kc_buf list = { 0 }, again = { 0 };
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autoerror struct kc_error *err = NULL;

	sign_again(trust, data, size, &list);
	if (list.size == 0)
		return;
	err = kc_patchset_decode("fuzz", list.data, list.size, trust->keyring, &patchset);
	if (err)
		return;
	sample_must(kc_patchset_encode(patchset, trust->key, &again));
	if (again.size != list.size || memcmp(again.data, list.data, list.size))
		abort();
}

static void read_archive(const struct trust *trust, const void *data, size_t size, bool is_tar)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;

	kc_error_free(kc_patchset_memory_read(trust->ctx, "fuzz", data, size, is_tar, trust->keyring, NULL, &patchset));
}

static void fix_checksums(char *tar, size_t size)
{
	for (size_t at = 0; at + BLOCK_SIZE <= size; at += BLOCK_SIZE) {
		unsigned sum = 0;

		if (memcmp(tar + at + MAGIC_OFFSET, "ustar", 5))
			continue;
		memset(tar + at + CHECKSUM_OFFSET, ' ', CHECKSUM_SIZE);
		for (size_t i = 0; i < BLOCK_SIZE; i++)
			sum += (uint8_t)tar[at + i];
		snprintf(tar + at + CHECKSUM_OFFSET, CHECKSUM_SIZE, "%06o", sum);
	}
}

/* A signature does not change the size of a list, so the new one fits into its place. */
static void sign_first_member(const struct trust *trust, char *tar, size_t size)
{
	kc_autobuf struct kc_buf list = { 0 };
	char digits[SIZE_DIGITS + 1] = "";
	size_t list_size;

	if (size < BLOCK_SIZE)
		return;
	memcpy(digits, tar + SIZE_OFFSET, SIZE_DIGITS);
	list_size = strtoul(digits, NULL, 8);
	if (list_size > size - BLOCK_SIZE)
		return;
	sign_again(trust, tar + BLOCK_SIZE, list_size, &list);
	if (list.size && list.size == list_size)
		memcpy(tar + BLOCK_SIZE, list.data, list_size);
}

static void read_tar(const struct trust *trust, const void *data, size_t size)
{
	kc_autofree char *tar = malloc(size + 1);

	if (!tar)
		return;
	memcpy(tar, data, size);
	sign_first_member(trust, tar, size);
	fix_checksums(tar, size);
	read_archive(trust, tar, size, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct trust *trust = get_trust();

	decode_list(trust, data, size);
	if (size > 3 && !memcmp(data, "BZh", 3))
		read_archive(trust, data, size, false);
	else
		read_tar(trust, data, size);
	return 0;
}
