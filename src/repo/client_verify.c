/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What metadata must be, before anything that it says is believed. */
#include "repo/client_internal.h"

#include <string.h>

#include "base/array.h"

/* ---- signatures ---- */

struct kc_error *kc_repo_remember_keys(struct kc_repo_client *client, const struct kc_repo_root *root)
{
	for (size_t i = 0; i < root->n_keys; i++) {
		char keyid[KC_KEYID_SIZE];
		struct kc_repo_former_key *key = kc_array_add(&client->former, &client->n_former);

		if (!key)
			return kc_error_no_memory();
		KC_TRY(kc_public_key_raw_id(root->keys[i], keyid));
		memcpy(key->public, root->keys[i], sizeof(key->public));
		for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
			key->roles |= (unsigned)kc_repo_role_has_key(&root->roles[role], keyid) << role;
	}
	return NULL;
}

/* The keys that a role had once and has no more. One that two roots had is there twice, which does no harm. */
static struct kc_error *former_keyring(const struct kc_repo_client *client, enum kc_repo_role role,
				       struct kc_keyring **keyring)
{
	kc_autokeyring struct kc_keyring *made = NULL;

	KC_TRY(kc_keyring_new(&made));
	for (size_t i = 0; i < client->n_former; i++) {
		const struct kc_repo_former_key *key = &client->former[i];
		char keyid[KC_KEYID_SIZE];

		KC_TRY(kc_public_key_raw_id(key->public, keyid));
		if (key->roles & 1U << role && !kc_repo_role_has_key(&client->root.roles[role], keyid))
			KC_TRY(kc_keyring_add(made, key->public));
	}
	*keyring = kc_steal(made);
	return NULL;
}

/* Takes `err`. */
static struct kc_error *explain(const struct kc_repo_client *client, enum kc_repo_role role, const struct kc_buf *text,
				struct kc_error *err)
{
	kc_autoerror struct kc_error *reason = err, *is_other = NULL;
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	kc_autokeyring struct kc_keyring *former = NULL;

	KC_TRY(former_keyring(client, role, &former));
	is_other = kc_envelope_verify(text->data, text->size, former, 1, &envelope);
	if (is_other)
		return kc_steal(reason);
	return kc_error_new(
		KC_ERR_REVOKED_KEY,
		"signed by the key %.16s…, which was replaced as a key of the role '%s' (root %llu): whoever "
		"has the old key may have made it, or the server forgot the rotation",
		envelope.keyids[0], kc_repo_role_name(role), (unsigned long long)client->root.version);
}

struct kc_error *kc_repo_verify(const struct kc_repo_client *client, enum kc_repo_role role, const struct kc_buf *text,
				struct kc_envelope *envelope)
{
	kc_autokeyring struct kc_keyring *keyring = NULL;
	struct kc_error *err;

	KC_TRY(kc_repo_role_keyring(&client->root, role, &keyring));
	err = kc_envelope_verify(text->data, text->size, keyring, client->root.roles[role].threshold, envelope);
	if (err && (kc_error_code(err) == KC_ERR_UNKNOWN_KEY || kc_error_code(err) == KC_ERR_UNSIGNED))
		return explain(client, role, text, err);
	return err;
}

/* ---- documents ---- */

void kc_repo_held_clear(struct kc_repo_held *held)
{
	kc_repo_document_clear(&held->document);
	memset(held, 0, sizeof(*held));
}

struct kc_error *kc_repo_held_read(const struct kc_repo_client *client, enum kc_repo_role role,
				   const struct kc_buf *text, struct kc_repo_held *held)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(kc_repo_verify(client, role, text, &envelope));
	KC_TRY(kc_repo_document_decode(envelope.signed_part, role, &client->root, &held->document));
	if (strcmp(held->document.feed, client->feed))
		return kc_error_new(KC_ERR_WRONG_FEED, "it is the metadata of the feed '%.64s', not of '%s'",
				    held->document.feed, client->feed);
	held->size = text->size;
	kc_sha256_text(text->data, text->size, held->hash);
	held->is_set = true;
	return NULL;
}

bool kc_repo_held_is(const struct kc_repo_held *held, const struct kc_repo_meta *meta)
{
	return held->is_set && held->document.version == meta->version &&
	       (!*meta->hash || !strcmp(held->hash, meta->hash));
}

static struct kc_error *check_version(uint64_t version, const struct kc_repo_document *document, int64_t now)
{
	char said[21], own[21];

	kc_repo_time_text((int64_t)version, said);
	kc_repo_time_text(now, own);
	if (version > (uint64_t)document->expires)
		return kc_error_new(KC_ERR_FAST_FORWARD,
				    "the version %llu is a time behind its own expiry: somebody who has a key of the "
				    "server wants to make this host blind for later versions",
				    (unsigned long long)version);
	if ((int64_t)version > now + KC_REPO_CLOCK_MAX_S)
		return kc_error_new(
			KC_ERR_CLOCK,
			"it was signed at %s, and the clock of this host says %s: set the clock; if that is "
			"right, the clock of the server is wrong",
			said, own);
	return NULL;
}

struct kc_error *kc_repo_check_versions(const struct kc_repo_document *document, int64_t now)
{
	KC_TRY(check_version(document->version, document, now));
	for (size_t i = 0; i < document->n_files; i++)
		KC_TRY(check_version(document->files[i].version, document, now));
	return NULL;
}

struct kc_error *kc_repo_check_expiry(int64_t expires, const char *what, int64_t now)
{
	char end[21], own[21];

	if (now < expires)
		return NULL;
	kc_repo_time_text(expires, end);
	kc_repo_time_text(now, own);
	return kc_error_new(
		KC_ERR_EXPIRED,
		"%s expired at %s, and the clock of this host says %s: either that is wrong, or the server is "
		"no longer kept up to date, or somebody holds newer files back",
		what, end, own);
}
