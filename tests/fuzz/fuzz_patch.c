/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the patch file: first as it comes, where the signature stops nearly everything; then with its hashes
 * made right and signed again by a trusted key, which leads to what lies behind: manifest, sizes, decompression.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "patch/patch_file.h"
#include "sample.h"
#include "sign/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_SIZE = 16, ENVELOPE_SIZE_OFFSET = 12 };

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

static void decode(const struct trust *trust, const void *data, size_t size)
{
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autoerror struct kc_error *err = kc_patch_decode(trust->ctx, "fuzz", data, size, trust->keyring, &patch);
	kc_autofree char *text = NULL;

	if (err)
		return;
	err = kc_manifest_to_json(&patch->manifest, &text);
	if (err || patch->n_payloads == 0 || !kc_patch_payload_find(patch, patch->payloads[0].name))
		abort();
}

/* Gives each payload entry the hash of the bytes that it would be read from. */
static void fix_hashes(const json_t *manifest, const uint8_t *frames, size_t size)
{
	const json_t *entries = json_object_get(manifest, "payloads");
	size_t i;
	json_t *entry;

	json_array_foreach(entries, i, entry)
	{
		json_int_t frame_size = json_integer_value(json_object_get(entry, "compressed_size"));
		char hash[KC_SHA256_TEXT_SIZE];

		if (!json_is_object(entry) || frame_size < 0 || (uint64_t)frame_size > size)
			return;
		kc_sha256_text(frames, (size_t)frame_size, hash);
		json_object_set_new(entry, "compressed_sha256", json_string(hash));
		frames += frame_size;
		size -= (size_t)frame_size;
	}
}

static void decode_signed_again(const struct trust *trust, const uint8_t *data, size_t size)
{
	kc_autobuf struct kc_buf envelope = { 0 }, file = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	kc_autojson json_t *whole = NULL;
	const struct kc_key *key = trust->key;
	json_t *manifest;
	uint32_t length;

	if (size < HEADER_SIZE)
		return;
	memcpy(&length, data + ENVELOPE_SIZE_OFFSET, sizeof(length));
	if (length > size - HEADER_SIZE)
		return;
	whole = json_loadb((const char *)data + HEADER_SIZE, length, 0, NULL);
	manifest = json_object_get(whole, "signed");
	if (!manifest)
		return;
	fix_hashes(manifest, data + HEADER_SIZE + length, size - HEADER_SIZE - length);
	err = kc_envelope_encode(manifest, &key, 1, &envelope);
	if (err)
		return;
	kc_buf_append(&file, data, ENVELOPE_SIZE_OFFSET);
	kc_buf_append_u32(&file, (uint32_t)envelope.size);
	kc_buf_append(&file, envelope.data, envelope.size);
	kc_buf_append(&file, data + HEADER_SIZE + length, size - HEADER_SIZE - length);
	decode(trust, file.data, file.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct trust *trust = get_trust();

	decode(trust, data, size);
	decode_signed_again(trust, data, size);
	return 0;
}
