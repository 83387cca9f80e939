/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sign/envelope.h"

#include <string.h>

#include "base/hex.h"

struct signature {
	const char *keyid;
	uint8_t bytes[KC_SIGNATURE_SIZE];
};

static struct kc_error *append_signature(json_t *signatures, const struct kc_key *key, const struct kc_buf *text)
{
	uint8_t bytes[KC_SIGNATURE_SIZE];
	char hex[2 * KC_SIGNATURE_SIZE + 1];

	KC_TRY(kc_key_sign(key, text->data, text->size, bytes));
	kc_hex_encode(bytes, sizeof(bytes), hex);
	if (json_array_append_new(signatures, json_pack("{s:s, s:s}", "keyid", kc_key_id(key), "sig", hex)))
		return kc_error_no_memory();
	return NULL;
}

struct kc_error *kc_envelope_encode(const json_t *signed_part, const struct kc_key *const *keys, size_t n_keys,
				    struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *whole = NULL;
	json_t *signatures = json_array();

	if (!signatures)
		return kc_error_no_memory();
	whole = json_pack("{s:o, s:O}", "signatures", signatures, "signed", signed_part);
	if (!whole)
		return kc_error_no_memory();
	KC_TRY(kc_canonical_encode(signed_part, &text));
	for (size_t i = 0; i < n_keys; i++)
		KC_TRY(append_signature(signatures, keys[i], &text));
	return kc_canonical_encode(whole, out);
}

static bool is_lower_hex(const char *text, size_t length)
{
	return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

static struct kc_error *read_signature(const json_t *value, struct signature *signature)
{
	const char *keyid = json_string_value(json_object_get(value, "keyid"));
	const char *sig = json_string_value(json_object_get(value, "sig"));

	if (!keyid || !sig || json_object_size(value) != 2 || !is_lower_hex(keyid, KC_KEYID_SIZE - 1) ||
	    !is_lower_hex(sig, 2 * KC_SIGNATURE_SIZE) || kc_hex_decode(sig, signature->bytes, KC_SIGNATURE_SIZE))
		return kc_error_new(KC_ERR_CORRUPT, "a signature is not made of a key id and 64 bytes");
	signature->keyid = keyid;
	return NULL;
}

static bool has_keyid(const struct kc_envelope *envelope, const char *keyid)
{
	for (size_t i = 0; i < envelope->n_keyids; i++)
		if (!strcmp(envelope->keyids[i], keyid))
			return true;
	return false;
}

static void add_keyid(struct kc_envelope *envelope, const char *keyid)
{
	memcpy(envelope->keyids[envelope->n_keyids++], keyid, KC_KEYID_SIZE);
}

/* The two members of an envelope; the caller owns `*whole`, which owns them. */
static struct kc_error *open_envelope(const char *text, size_t size, json_t **whole, json_t **signed_part,
				      json_t **signatures)
{
	KC_TRY(kc_canonical_parse(text, size, whole));
	*signed_part = json_object_get(*whole, "signed");
	*signatures = json_object_get(*whole, "signatures");
	if (!json_is_object(*signed_part) || !json_is_array(*signatures) || json_object_size(*whole) != 2)
		return kc_error_new(KC_ERR_CORRUPT, "not a signed envelope");
	if (json_array_size(*signatures) > KC_ENVELOPE_SIGNATURES_MAX)
		return kc_error_new(KC_ERR_LIMIT, "more than %d signatures", KC_ENVELOPE_SIGNATURES_MAX);
	return NULL;
}

struct kc_error *kc_envelope_peek(const char *text, size_t size, struct kc_envelope *envelope)
{
	kc_autoenvelope struct kc_envelope found = { 0 };
	kc_autojson json_t *whole = NULL;
	json_t *signed_part = NULL, *signatures = NULL;

	KC_TRY(open_envelope(text, size, &whole, &signed_part, &signatures));
	for (size_t i = 0; i < json_array_size(signatures); i++) {
		struct signature signature = { .keyid = "" };

		KC_TRY(read_signature(json_array_get(signatures, i), &signature));
		add_keyid(&found, signature.keyid);
	}
	found.signed_part = json_incref(signed_part);
	*envelope = found;
	found.signed_part = NULL;
	return NULL;
}

struct kc_error *kc_envelope_sign_more(const char *text, size_t size, const struct kc_key *key, struct kc_buf *out)
{
	kc_autoenvelope struct kc_envelope claimed = { 0 };
	kc_autobuf struct kc_buf signed_text = { 0 };
	kc_autojson json_t *whole = NULL;
	json_t *signed_part = NULL, *signatures = NULL;

	KC_TRY(kc_envelope_peek(text, size, &claimed));
	KC_TRY(open_envelope(text, size, &whole, &signed_part, &signatures));
	KC_TRY(kc_canonical_encode(signed_part, &signed_text));
	if (!has_keyid(&claimed, kc_key_id(key)))
		KC_TRY(append_signature(signatures, key, &signed_text));
	return kc_canonical_encode(whole, out);
}

/* Counts the signature of a trusted key; leaves that of another alone. */
static struct kc_error *check_signature(const json_t *value, const struct kc_buf *text,
					const struct kc_keyring *keyring, struct kc_envelope *trusted,
					struct kc_error **unknown)
{
	struct signature signature = { .keyid = "" };
	struct kc_error *err;

	KC_TRY(read_signature(value, &signature));
	if (has_keyid(trusted, signature.keyid))
		return kc_error_new(KC_ERR_CORRUPT, "two signatures by the key %s", signature.keyid);
	err = kc_keyring_verify(keyring, signature.keyid, text->data, text->size, signature.bytes);
	if (!err) {
		add_keyid(trusted, signature.keyid);
	} else if (kc_error_code(err) == KC_ERR_UNKNOWN_KEY) {
		kc_error_free(*unknown);
		*unknown = err;
		err = NULL;
	}
	return err;
}

static struct kc_error *count_signatures(const json_t *signatures, const struct kc_buf *text,
					 const struct kc_keyring *keyring, unsigned threshold,
					 struct kc_envelope *trusted)
{
	kc_autoerror struct kc_error *unknown = NULL;

	if (json_array_size(signatures) == 0)
		return kc_error_new(KC_ERR_UNSIGNED, "there is no signature");
	for (size_t i = 0; i < json_array_size(signatures); i++)
		KC_TRY(check_signature(json_array_get(signatures, i), text, keyring, trusted, &unknown));
	if (trusted->n_keyids == 0)
		return kc_steal(unknown);
	if (trusted->n_keyids < threshold)
		return kc_error_new(KC_ERR_UNSIGNED, "%zu of the %u signatures that are needed", trusted->n_keyids,
				    threshold);
	return NULL;
}

struct kc_error *kc_envelope_verify(const char *text, size_t size, const struct kc_keyring *keyring, unsigned threshold,
				    struct kc_envelope *envelope)
{
	kc_autoenvelope struct kc_envelope found = { 0 };
	kc_autobuf struct kc_buf signed_text = { 0 };
	kc_autojson json_t *whole = NULL;
	json_t *signed_part = NULL, *signatures = NULL;

	KC_TRY(open_envelope(text, size, &whole, &signed_part, &signatures));
	KC_TRY(kc_canonical_encode(signed_part, &signed_text));
	KC_TRY(count_signatures(signatures, &signed_text, keyring, threshold, &found));
	found.signed_part = json_incref(signed_part);
	*envelope = found;
	found.signed_part = NULL;
	return NULL;
}

void kc_envelope_clear(struct kc_envelope *envelope)
{
	json_decref(envelope->signed_part);
	*envelope = (struct kc_envelope){ 0 };
}
