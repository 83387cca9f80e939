/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root on its way to the root keys and back: {"current":ENVELOPE,"document":…,"next":ENVELOPE}, canonical JSON. It is
 * no secret; what is wrong in it is found when it comes back, and on the machine that signs.
 */
#include "repo/root.h"

#include <string.h>

static bool has_root_key(const struct kc_repo_root *root, const char *keyid)
{
	return kc_repo_role_has_key(&root->roles[KC_ROLE_ROOT], keyid);
}

/* An envelope that nobody has signed yet. */
static struct kc_error *unsigned_envelope(const struct kc_repo_root *root, struct kc_buf *out)
{
	kc_autojson json_t *signed_part = NULL;

	KC_TRY(kc_repo_root_encode(root, &signed_part));
	return kc_envelope_encode(signed_part, NULL, 0, out);
}

struct kc_error *kc_root_request_make(const char *current, size_t current_size, const struct kc_root_changes *changes,
				      int64_t now, struct kc_root_request *request)
{
	KC_TRY(kc_root_verify(current, current_size, NULL, &request->current));
	KC_TRY(kc_root_next(&request->current, changes, now, &request->next));
	kc_buf_append(&request->current_text, current, current_size);
	return request->current_text.failed ? kc_error_no_memory()
					    : unsigned_envelope(&request->next, &request->next_text);
}

static struct kc_error *load(const struct kc_buf *text, json_t **value)
{
	return kc_canonical_parse(text->data, text->size, value);
}

struct kc_error *kc_root_request_encode(const struct kc_root_request *request, struct kc_buf *out)
{
	kc_autojson json_t *current = NULL, *next = NULL, *whole = NULL;

	KC_TRY(load(&request->current_text, &current));
	KC_TRY(load(&request->next_text, &next));
	whole = json_pack("{s:s, s:O, s:O}", "document", KC_ROOT_REQUEST_DOCUMENT, "current", current, "next", next);
	return whole ? kc_canonical_encode(whole, out) : kc_error_no_memory();
}

/* Every signature that is there is by a root key of either root, and right. */
static struct kc_error *check_signatures(const struct kc_root_request *request)
{
	kc_autoenvelope struct kc_envelope claimed = { 0 }, verified = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;

	KC_TRY(kc_envelope_peek(request->next_text.data, request->next_text.size, &claimed));
	if (!claimed.n_keyids)
		return NULL;
	KC_TRY(kc_repo_role_keyring(&request->current, KC_ROLE_ROOT, &keyring));
	for (size_t i = 0; i < request->next.n_keys; i++) {
		char keyid[KC_KEYID_SIZE];

		KC_TRY(kc_public_key_raw_id(request->next.keys[i], keyid));
		if (has_root_key(&request->next, keyid))
			KC_TRY(kc_keyring_add(keyring, request->next.keys[i]));
	}
	return kc_envelope_verify(request->next_text.data, request->next_text.size, keyring, (unsigned)claimed.n_keyids,
				  &verified);
}

static struct kc_error *decode_next(struct kc_root_request *request)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(kc_envelope_peek(request->next_text.data, request->next_text.size, &envelope));
	KC_TRY(kc_repo_root_decode(envelope.signed_part, &request->next));
	if (request->next.version != request->current.version + 1)
		return kc_error_new(KC_ERR_ROOT_CHAIN, "root %llu cannot follow root %llu",
				    (unsigned long long)request->next.version,
				    (unsigned long long)request->current.version);
	return check_signatures(request);
}

static struct kc_error *decode(const char *text, size_t size, struct kc_root_request *request)
{
	kc_autojson json_t *whole = NULL;
	const char *document;

	KC_TRY(kc_canonical_parse(text, size, &whole));
	document = json_string_value(json_object_get(whole, "document"));
	if (!document || strcmp(document, KC_ROOT_REQUEST_DOCUMENT) || json_object_size(whole) != 3 ||
	    !json_is_object(json_object_get(whole, "current")) || !json_is_object(json_object_get(whole, "next")))
		return kc_error_new(KC_ERR_CORRUPT, "not a root that waits for signatures (%s)",
				    KC_ROOT_REQUEST_DOCUMENT);
	KC_TRY(kc_canonical_encode(json_object_get(whole, "current"), &request->current_text));
	KC_TRY(kc_canonical_encode(json_object_get(whole, "next"), &request->next_text));
	KC_TRY(kc_root_verify(request->current_text.data, request->current_text.size, NULL, &request->current));
	return decode_next(request);
}

struct kc_error *kc_root_request_decode(const char *name, const char *text, size_t size,
					struct kc_root_request *request)
{
	struct kc_error *err = decode(text, size, request);

	return err ? kc_error_prefix(err, "%s", name) : NULL;
}

void kc_root_request_clear(struct kc_root_request *request)
{
	kc_buf_free(&request->current_text);
	kc_buf_free(&request->next_text);
	kc_repo_root_clear(&request->current);
	kc_repo_root_clear(&request->next);
}

struct kc_error *kc_root_request_sign(struct kc_root_request *request, const struct kc_key *key)
{
	kc_autobuf struct kc_buf text = { 0 };

	if (!has_root_key(&request->current, kc_key_id(key)) && !has_root_key(&request->next, kc_key_id(key)))
		return kc_error_new(KC_ERR_UNKNOWN_KEY,
				    "the key %s is a root key neither of root %llu nor of root %llu", kc_key_id(key),
				    (unsigned long long)request->current.version,
				    (unsigned long long)request->next.version);
	KC_TRY(kc_envelope_sign_more(request->next_text.data, request->next_text.size, key, &text));
	kc_buf_free(&request->next_text);
	request->next_text = text;
	text = (struct kc_buf){ 0 };
	return NULL;
}

/* ---- who is missing ---- */

static bool has_signed(const struct kc_envelope *envelope, const char *keyid)
{
	for (size_t i = 0; i < envelope->n_keyids; i++)
		if (!strcmp(envelope->keyids[i], keyid))
			return true;
	return false;
}

static struct kc_error *check_threshold(const struct kc_envelope *envelope, const struct kc_repo_root *next,
					const struct kc_repo_root *by)
{
	const struct kc_repo_role_keys *role = &by->roles[KC_ROLE_ROOT];
	kc_autobuf struct kc_buf others = { 0 };
	unsigned n = 0;

	for (size_t i = 0; i < role->n_keyids; i++) {
		if (has_signed(envelope, role->keyids[i]))
			n++;
		else
			kc_buf_printf(&others, "%s%s", others.size ? ", or " : "", role->keyids[i]);
	}
	if (n >= role->threshold)
		return NULL;
	return kc_error_new(KC_ERR_UNSIGNED,
			    "root %llu has %u of the %u signatures that it needs from root keys of root %llu; sign it "
			    "with %s",
			    (unsigned long long)next->version, n, role->threshold, (unsigned long long)by->version,
			    others.data ? others.data : "one more");
}

struct kc_error *kc_root_request_check(const struct kc_root_request *request)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(check_signatures(request));
	KC_TRY(kc_envelope_peek(request->next_text.data, request->next_text.size, &envelope));
	KC_TRY(check_threshold(&envelope, &request->next, &request->current));
	return check_threshold(&envelope, &request->next, &request->next);
}

/* ---- for people ---- */

static void describe_role(const struct kc_repo_role_keys *before, const struct kc_repo_role_keys *after,
			  const char *name, struct kc_buf *out)
{
	for (size_t i = 0; i < before->n_keyids; i++)
		if (!kc_repo_role_has_key(after, before->keyids[i]))
			kc_buf_printf(out, "  %-9s  - %s\n", name, before->keyids[i]);
	for (size_t i = 0; i < after->n_keyids; i++)
		kc_buf_printf(out, "  %-9s  %c %s\n", name, kc_repo_role_has_key(before, after->keyids[i]) ? ' ' : '+',
			      after->keyids[i]);
	if (before->threshold != after->threshold)
		kc_buf_printf(out, "  %-9s  signatures needed: %u -> %u\n", name, before->threshold, after->threshold);
}

struct kc_error *kc_root_request_describe(const struct kc_root_request *request, struct kc_buf *out)
{
	char before[21], after[21];

	kc_repo_time_text(request->current.expires, before);
	kc_repo_time_text(request->next.expires, after);
	kc_buf_printf(out, "root %llu -> root %llu  (+ new key, - key that is no longer trusted)\n",
		      (unsigned long long)request->current.version, (unsigned long long)request->next.version);
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		describe_role(&request->current.roles[role], &request->next.roles[role], kc_repo_role_name(role), out);
	kc_buf_printf(out, "  expires    %.10s -> %.10s\n", before, after);
	return out->failed ? kc_error_no_memory() : NULL;
}
