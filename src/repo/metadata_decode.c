/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repository metadata out of JSON. What is needed is checked to the last character; members that are not known are left
 * alone, as The Update Framework wants it: the signature covers them, and nothing here depends on them.
 */
#include "repo/metadata.h"

#include <string.h>

#include "base/hex.h"

static struct kc_error *bad(const char *key)
{
	return kc_error_new(KC_ERR_CORRUPT, "bad metadata: '%s' is missing, or not what it should be", key);
}

static struct kc_error *get_number(const json_t *object, const char *key, uint64_t min, uint64_t *number)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)min ||
	    json_integer_value(value) > KC_CANONICAL_INTEGER_MAX)
		return bad(key);
	*number = (uint64_t)json_integer_value(value);
	return NULL;
}

static bool is_hash(const char *text)
{
	return text && strlen(text) == KC_SHA256_TEXT_SIZE - 1 &&
	       strspn(text, "0123456789abcdef") == KC_SHA256_TEXT_SIZE - 1;
}

/* The members that all roles have. */
static struct kc_error *read_head(const json_t *object, enum kc_repo_role role, uint64_t *version, int64_t *expires)
{
	const char *type = json_string_value(json_object_get(object, "_type"));
	const char *spec = json_string_value(json_object_get(object, "spec_version"));
	const char *end = json_string_value(json_object_get(object, "expires"));

	if (!type)
		return bad("_type");
	if (strcmp(type, kc_repo_role_name(role)))
		return kc_error_new(KC_ERR_CORRUPT, "this is metadata of another role, not of '%s'",
				    kc_repo_role_name(role));
	if (!spec)
		return bad("spec_version");
	if (strncmp(spec, "1.", 2))
		return kc_error_new(KC_ERR_VERSION, "metadata of TUF %.16s; this kcare knows TUF 1", spec);
	if (!end || !kc_repo_time_parse(end, expires))
		return bad("expires");
	return get_number(object, "version", 1, version);
}

/* ---- root ---- */

static struct kc_error *read_key(const char *keyid, const json_t *object, uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	const char *type = json_string_value(json_object_get(object, "keytype"));
	const char *scheme = json_string_value(json_object_get(object, "scheme"));
	const char *hex = json_string_value(json_object_get(json_object_get(object, "keyval"), "public"));
	char real[KC_KEYID_SIZE];

	if (!type || !scheme || strcmp(type, "ed25519") || strcmp(scheme, "ed25519") || !is_hash(hex) ||
	    kc_hex_decode(hex, public, KC_PUBLIC_KEY_SIZE))
		return bad("keys");
	KC_TRY(kc_public_key_raw_id(public, real));
	if (strcmp(real, keyid))
		return kc_error_new(KC_ERR_CORRUPT, "bad metadata: the key %s goes by the id of another", real);
	return NULL;
}

static struct kc_error *read_keys(const json_t *keys, struct kc_repo_root *root)
{
	const char *keyid;
	json_t *key;

	if (!json_is_object(keys) || json_object_size(keys) > KC_REPO_KEYS_MAX)
		return bad("keys");
	root->keys = calloc(json_object_size(keys) + 1, sizeof(*root->keys));
	if (!root->keys)
		return kc_error_no_memory();
	json_object_foreach((json_t *)keys, keyid, key)
	{
		KC_TRY(read_key(keyid, key, root->keys[root->n_keys]));
		root->n_keys++;
	}
	return NULL;
}

static bool is_repeated(const struct kc_repo_role_keys *role)
{
	for (size_t i = 1; i < role->n_keyids; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(role->keyids[i], role->keyids[k]))
				return true;
	return false;
}

static struct kc_error *read_role(const json_t *object, const json_t *keys, struct kc_repo_role_keys *role)
{
	const json_t *keyids = json_object_get(object, "keyids");
	uint64_t threshold = 0;

	if (!json_is_array(keyids) || json_array_size(keyids) > KC_REPO_ROLE_KEYS_MAX)
		return bad("keyids");
	role->keyids = calloc(json_array_size(keyids) + 1, sizeof(*role->keyids));
	if (!role->keyids)
		return kc_error_no_memory();
	for (size_t i = 0; i < json_array_size(keyids); i++) {
		const char *keyid = json_string_value(json_array_get(keyids, i));

		if (!is_hash(keyid) || !json_object_get(keys, keyid))
			return bad("keyids");
		memcpy(role->keyids[role->n_keyids++], keyid, KC_KEYID_SIZE);
	}
	KC_TRY(get_number(object, "threshold", 1, &threshold));
	if (threshold > role->n_keyids || is_repeated(role))
		return bad("threshold");
	role->threshold = (unsigned)threshold;
	return NULL;
}

struct kc_error *kc_repo_root_decode(const json_t *signed_part, struct kc_repo_root *root)
{
	const json_t *keys = json_object_get(signed_part, "keys");
	const json_t *roles = json_object_get(signed_part, "roles");

	KC_TRY(read_head(signed_part, KC_ROLE_ROOT, &root->version, &root->expires));
	if (!json_is_true(json_object_get(signed_part, "consistent_snapshot")))
		return bad("consistent_snapshot");
	KC_TRY(read_keys(keys, root));
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		KC_TRY(read_role(json_object_get(roles, kc_repo_role_name(role)), keys, &root->roles[role]));
	return NULL;
}

/* ---- timestamp, snapshot, targets ---- */

/* "targets.json", "bin-3f.json": a name for a file, and nothing more. */
static bool is_metadata_name(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length > 0 && !strcmp(name + length, ".json");
}

static struct kc_error *read_file(const char *name, const json_t *object, enum kc_repo_role role,
				  struct kc_repo_meta *file)
{
	const char *hash = json_string_value(json_object_get(json_object_get(object, "hashes"), "sha256"));
	bool is_target = role == KC_ROLE_TARGETS;

	if (is_target ? !kc_repo_target_path_is_valid(name) : !is_metadata_name(name))
		return kc_error_new(KC_ERR_CORRUPT, "bad metadata: it names a file in a way that is not allowed");
	file->name = strdup(name);
	if (!file->name)
		return kc_error_no_memory();
	/* The snapshot may leave out size and hash: the version and the signature of the file are enough. */
	if (hash ? !is_hash(hash) : role != KC_ROLE_SNAPSHOT || json_object_get(object, "hashes"))
		return bad("hashes");
	if (hash)
		memcpy(file->hash, hash, sizeof(file->hash));
	if (role != KC_ROLE_SNAPSHOT || json_object_get(object, "length"))
		KC_TRY(get_number(object, "length", !is_target, &file->size));
	return is_target ? NULL : get_number(object, "version", 1, &file->version);
}

static int compare_files(const void *left, const void *right)
{
	return strcmp(((const struct kc_repo_meta *)left)->name, ((const struct kc_repo_meta *)right)->name);
}

static struct kc_error *read_files(const json_t *files, enum kc_repo_role role, struct kc_repo_document *document)
{
	const char *name;
	json_t *file;

	if (!json_is_object(files))
		return bad(role == KC_ROLE_TARGETS ? "targets" : "meta");
	document->files = calloc(json_object_size(files) + 1, sizeof(*document->files));
	if (!document->files)
		return kc_error_no_memory();
	json_object_foreach((json_t *)files, name, file)
		KC_TRY(read_file(name, file, role, &document->files[document->n_files++]));
	qsort(document->files, document->n_files, sizeof(*document->files), compare_files);
	return NULL;
}

static bool has_keys_of(const struct kc_repo_role_keys *left, const struct kc_repo_role_keys *right)
{
	for (size_t i = 0; i < left->n_keyids; i++)
		if (!kc_repo_role_has_key(right, left->keyids[i]))
			return false;
	return left->n_keyids == right->n_keyids && left->threshold == right->threshold;
}

static void clear_role(struct kc_repo_role_keys *role)
{
	free(role->keyids);
}

/* Bins, with the keys of the role targets; no other delegation is known here, and none is skipped in silence. */
static struct kc_error *read_delegations(const json_t *object, const struct kc_repo_root *root,
					 struct kc_repo_document *document)
{
	KC_CLEANUP(clear_role) struct kc_repo_role_keys keys = { 0 };
	const json_t *bins = json_object_get(object, "succinct_roles");
	const char *prefix = json_string_value(json_object_get(bins, "name_prefix"));
	uint64_t bits = 0;

	if (json_object_get(object, "roles"))
		return bad("delegations");
	if (!prefix || strcmp(prefix, "bin"))
		return bad("name_prefix");
	KC_TRY(get_number(bins, "bit_length", KC_REPO_BIN_BITS_MIN, &bits));
	if (bits > KC_REPO_BIN_BITS_MAX)
		return bad("bit_length");
	KC_TRY(read_role(bins, json_object_get(object, "keys"), &keys));
	if (!root || !has_keys_of(&keys, &root->roles[KC_ROLE_TARGETS]))
		return kc_error_new(KC_ERR_CORRUPT, "bad metadata: the bins have other keys than the role targets");
	document->bin_bits = (unsigned)bits;
	return NULL;
}

struct kc_error *kc_repo_document_decode(const json_t *signed_part, enum kc_repo_role role,
					 const struct kc_repo_root *root, struct kc_repo_document *document)
{
	const char *feed = json_string_value(json_object_get(signed_part, KC_REPO_FEED_MEMBER));
	const json_t *delegations = json_object_get(signed_part, "delegations");

	KC_TRY(read_head(signed_part, role, &document->version, &document->expires));
	if (!feed)
		return bad(KC_REPO_FEED_MEMBER);
	document->feed = strdup(feed);
	if (!document->feed)
		return kc_error_no_memory();
	KC_TRY(read_files(json_object_get(signed_part, role == KC_ROLE_TARGETS ? "targets" : "meta"), role, document));
	if (role == KC_ROLE_TIMESTAMP && (document->n_files != 1 || !kc_repo_document_find(document, "snapshot.json")))
		return bad("snapshot.json");
	if (role == KC_ROLE_SNAPSHOT && !kc_repo_document_find(document, "targets.json"))
		return bad("targets.json");
	if (role == KC_ROLE_TARGETS && delegations)
		KC_TRY(read_delegations(delegations, root, document));
	return NULL;
}
