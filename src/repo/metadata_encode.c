/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Repository metadata as JSON, in the words of The Update Framework. What is written is read again before it is used.
 */
#include "repo/metadata.h"

#include "base/hex.h"

/* Takes `value`; NULL: jansson is out of memory, or a string is not UTF-8. */
static struct kc_error *put(json_t *object, const char *key, json_t *value)
{
	if (!value)
		return kc_error_new(KC_ERR_INPUT, "'%s' is not valid text", key);
	return json_object_set_new(object, key, value) ? kc_error_no_memory() : NULL;
}

static struct kc_error *put_number(json_t *object, const char *key, uint64_t number)
{
	return put(object, key, json_integer((json_int_t)number));
}

/* The members that all roles have. */
static struct kc_error *put_head(json_t *object, enum kc_repo_role role, uint64_t version, int64_t expires)
{
	char text[21];

	kc_repo_time_text(expires, text);
	KC_TRY(put(object, "_type", json_string(kc_repo_role_name(role))));
	KC_TRY(put(object, "spec_version", json_string(KC_REPO_SPEC_VERSION)));
	KC_TRY(put(object, "expires", json_string(text)));
	return put_number(object, "version", version);
}

static struct kc_error *put_key(json_t *keys, const uint8_t public[KC_PUBLIC_KEY_SIZE], const char *keyid)
{
	char hex[2 * KC_PUBLIC_KEY_SIZE + 1];

	kc_hex_encode(public, KC_PUBLIC_KEY_SIZE, hex);
	return put(keys, keyid,
		   json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ed25519", "scheme", "ed25519", "keyval", "public",
			     hex));
}

/* All keys of the root, or those of one role. */
static struct kc_error *put_keys(json_t *object, const struct kc_repo_root *root, const struct kc_repo_role_keys *only)
{
	json_t *keys = json_object();

	KC_TRY(put(object, "keys", keys));
	for (size_t i = 0; i < root->n_keys; i++) {
		char keyid[KC_KEYID_SIZE];

		KC_TRY(kc_public_key_raw_id(root->keys[i], keyid));
		if (!only || kc_repo_role_has_key(only, keyid))
			KC_TRY(put_key(keys, root->keys[i], keyid));
	}
	return NULL;
}

static struct kc_error *put_role_keys(json_t *object, const struct kc_repo_role_keys *role)
{
	json_t *keyids = json_array();

	KC_TRY(put(object, "keyids", keyids));
	for (size_t i = 0; i < role->n_keyids; i++)
		if (json_array_append_new(keyids, json_string(role->keyids[i])))
			return kc_error_no_memory();
	return put_number(object, "threshold", role->threshold);
}

struct kc_error *kc_repo_root_encode(const struct kc_repo_root *root, json_t **signed_part)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root again = { 0 };
	kc_autojson json_t *object = json_object();
	json_t *roles = json_object();

	KC_TRY(put(object, "roles", roles));
	KC_TRY(put_head(object, KC_ROLE_ROOT, root->version, root->expires));
	KC_TRY(put(object, "consistent_snapshot", json_true()));
	KC_TRY(put_keys(object, root, NULL));
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++) {
		json_t *keys = json_object();

		KC_TRY(put(roles, kc_repo_role_name(role), keys));
		KC_TRY(put_role_keys(keys, &root->roles[role]));
	}
	KC_TRY(kc_repo_root_decode(object, &again));
	*signed_part = kc_steal(object);
	return NULL;
}

static struct kc_error *put_files(json_t *object, const struct kc_repo_document *document, enum kc_repo_role role)
{
	json_t *files = json_object();

	KC_TRY(put(object, role == KC_ROLE_TARGETS ? "targets" : "meta", files));
	for (size_t i = 0; i < document->n_files; i++) {
		const struct kc_repo_meta *file = &document->files[i];
		json_t *member = json_object();

		KC_TRY(put(files, file->name, member));
		if (*file->hash)
			KC_TRY(put(member, "hashes", json_pack("{s:s}", "sha256", file->hash)));
		if (file->size || role == KC_ROLE_TARGETS)
			KC_TRY(put_number(member, "length", file->size));
		if (role != KC_ROLE_TARGETS)
			KC_TRY(put_number(member, "version", file->version));
	}
	return NULL;
}

/* Every bin has the keys of the role targets: they lie on the same machine. */
static struct kc_error *put_bins(json_t *object, unsigned bits, const struct kc_repo_root *root)
{
	const struct kc_repo_role_keys *role = &root->roles[KC_ROLE_TARGETS];
	json_t *delegations = json_object(), *bins = json_object();

	KC_TRY(put(object, "delegations", delegations));
	KC_TRY(put(delegations, "succinct_roles", bins));
	KC_TRY(put_keys(delegations, root, role));
	KC_TRY(put_role_keys(bins, role));
	KC_TRY(put_number(bins, "bit_length", bits));
	return put(bins, "name_prefix", json_string("bin"));
}

struct kc_error *kc_repo_document_encode(const struct kc_repo_document *document, enum kc_repo_role role,
					 const struct kc_repo_root *root, json_t **signed_part)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document again = { 0 };
	kc_autojson json_t *object = json_object();

	if (!object)
		return kc_error_no_memory();
	KC_TRY(put_head(object, role, document->version, document->expires));
	KC_TRY(put(object, KC_REPO_FEED_MEMBER, json_string(document->feed)));
	KC_TRY(put_files(object, document, role));
	if (document->bin_bits)
		KC_TRY(put_bins(object, document->bin_bits, root));
	KC_TRY(kc_repo_document_decode(object, role, root, &again));
	*signed_part = kc_steal(object);
	return NULL;
}
