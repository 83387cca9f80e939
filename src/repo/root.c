/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The next root, and whether a root may follow another. */
#include "repo/root.h"

#include <string.h>

#include "base/array.h"
#include "repo/repository.h"

static struct kc_error *add_keyid(struct kc_repo_role_keys *role, const char *keyid)
{
	char(*slot)[KC_KEYID_SIZE] = kc_array_add(&role->keyids, &role->n_keyids);

	if (!slot)
		return kc_error_no_memory();
	memcpy(*slot, keyid, KC_KEYID_SIZE);
	return NULL;
}

static bool is_used(const struct kc_repo_root *root, const char *keyid)
{
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		if (kc_repo_role_has_key(&root->roles[role], keyid))
			return true;
	return false;
}

/* The key itself, unless another role has it already. */
static struct kc_error *add_key(struct kc_repo_root *root, const uint8_t public[KC_PUBLIC_KEY_SIZE], const char *keyid)
{
	uint8_t(*slot)[KC_PUBLIC_KEY_SIZE];

	if (is_used(root, keyid))
		return NULL;
	slot = kc_array_add(&root->keys, &root->n_keys);
	if (!slot)
		return kc_error_no_memory();
	memcpy(*slot, public, KC_PUBLIC_KEY_SIZE);
	return NULL;
}

/* Keys that no role has any more are not carried on. */
static struct kc_error *drop_unused_keys(struct kc_repo_root *root)
{
	size_t n = 0;

	for (size_t i = 0; i < root->n_keys; i++) {
		char keyid[KC_KEYID_SIZE];

		KC_TRY(kc_public_key_raw_id(root->keys[i], keyid));
		if (is_used(root, keyid))
			memmove(root->keys[n++], root->keys[i], KC_PUBLIC_KEY_SIZE);
	}
	root->n_keys = n;
	return NULL;
}

static struct kc_error *add_root_key(struct kc_repo_root *root, const uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	char keyid[KC_KEYID_SIZE];

	KC_TRY(kc_public_key_raw_id(public, keyid));
	if (is_used(root, keyid))
		return kc_error_new(KC_ERR_USAGE, "root %llu has the key %s already",
				    (unsigned long long)root->version - 1, keyid);
	KC_TRY(add_key(root, public, keyid));
	return add_keyid(&root->roles[KC_ROLE_ROOT], keyid);
}

static struct kc_error *remove_root_key(struct kc_repo_root *root, const char *keyid)
{
	struct kc_repo_role_keys *role = &root->roles[KC_ROLE_ROOT];

	for (size_t i = 0; i < role->n_keyids; i++) {
		if (strcmp(role->keyids[i], keyid))
			continue;
		memmove(role->keyids + i, role->keyids + i + 1, (role->n_keyids - i - 1) * sizeof(*role->keyids));
		role->n_keyids--;
		return NULL;
	}
	return kc_error_new(KC_ERR_USAGE, "%s is not the id of a root key of root %llu", keyid,
			    (unsigned long long)root->version - 1);
}

static struct kc_error *change_root_keys(struct kc_repo_root *root, const struct kc_root_changes *changes)
{
	struct kc_repo_role_keys *role = &root->roles[KC_ROLE_ROOT];

	for (size_t i = 0; i < changes->n_added; i++)
		KC_TRY(add_root_key(root, changes->added[i]));
	for (const char *const *keyid = changes->removed; keyid && *keyid; keyid++)
		KC_TRY(remove_root_key(root, *keyid));
	if (changes->threshold)
		role->threshold = changes->threshold;
	if (role->threshold > role->n_keyids)
		return kc_error_new(KC_ERR_USAGE,
				    "%u signatures would be needed, but there would be only %zu root keys: add keys "
				    "(--add-root-key), or lower the number (--threshold)",
				    role->threshold, role->n_keyids);
	return NULL;
}

static struct kc_error *replace_online_key(struct kc_repo_root *root, enum kc_repo_role role,
					   const uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	struct kc_repo_role_keys *keys = &root->roles[role];
	char keyid[KC_KEYID_SIZE];

	KC_TRY(kc_public_key_raw_id(public, keyid));
	KC_TRY(add_key(root, public, keyid));
	keys->n_keyids = 0;
	keys->threshold = 1;
	return add_keyid(keys, keyid);
}

static struct kc_error *copy_root(const struct kc_repo_root *root, struct kc_repo_root *copy)
{
	kc_autojson json_t *signed_part = NULL;

	KC_TRY(kc_repo_root_encode(root, &signed_part));
	return kc_repo_root_decode(signed_part, copy);
}

struct kc_error *kc_root_next(const struct kc_repo_root *current, const struct kc_root_changes *changes, int64_t now,
			      struct kc_repo_root *next)
{
	KC_TRY(copy_root(current, next));
	next->version = current->version + 1;
	next->expires = now + KC_REPO_ROOT_VALID_S;
	KC_TRY(change_root_keys(next, changes));
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		if (role != KC_ROLE_ROOT && changes->online[role])
			KC_TRY(replace_online_key(next, role, changes->online[role]));
	return drop_unused_keys(next);
}

/* ---- may it follow? ---- */

/* Do enough root keys of `by` vouch for it? */
static struct kc_error *verify_by(const char *text, size_t size, const struct kc_repo_root *by)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;

	KC_TRY(kc_repo_role_keyring(by, KC_ROLE_ROOT, &keyring));
	return kc_envelope_verify(text, size, keyring, by->roles[KC_ROLE_ROOT].threshold, &envelope);
}

static struct kc_error *peek(const char *text, size_t size, struct kc_repo_root *root)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(kc_envelope_peek(text, size, &envelope));
	return kc_repo_root_decode(envelope.signed_part, root);
}

static struct kc_error *check_follows(const char *text, size_t size, const struct kc_repo_root *previous,
				      const struct kc_repo_root *root)
{
	kc_autoerror struct kc_error *err = verify_by(text, size, previous);

	if (err)
		return kc_error_new(KC_ERR_ROOT_CHAIN, "root %llu is not signed as root %llu demands: %s",
				    (unsigned long long)root->version, (unsigned long long)previous->version,
				    kc_error_message(err));
	if (root->version != previous->version + 1)
		return kc_error_new(KC_ERR_ROOT_CHAIN, "root %llu cannot follow root %llu",
				    (unsigned long long)root->version, (unsigned long long)previous->version);
	return NULL;
}

struct kc_error *kc_root_verify(const char *text, size_t size, const struct kc_repo_root *previous,
				struct kc_repo_root *root)
{
	struct kc_error *err;

	KC_TRY(peek(text, size, root));
	if (previous)
		KC_TRY(check_follows(text, size, previous, root));
	err = verify_by(text, size, root);
	return err ? kc_error_prefix(err, "root %llu, by its own keys", (unsigned long long)root->version) : NULL;
}

char *kc_root_warning(const struct kc_repo_root *root, int64_t now)
{
	int64_t left = root->expires - now;
	char date[21], *text;
	int n;

	if (left > KC_ROOT_WARN_S)
		return NULL;
	kc_repo_time_text(root->expires, date);
	if (left <= 0)
		n = asprintf(&text,
			     "root %llu expired on %.10s: hosts take nothing new; renew it with 'kcare-repo sign-root "
			     "--renew'",
			     (unsigned long long)root->version, date);
	else
		n = asprintf(&text,
			     "root %llu expires in %lld days, on %.10s; then hosts take nothing new: renew it before, "
			     "with 'kcare-repo sign-root --renew'",
			     (unsigned long long)root->version, (long long)(left / 86400), date);
	return n < 0 ? NULL : text;
}
