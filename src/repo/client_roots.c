/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain of roots, from the one that the host was given to the newest: each is signed by the one before and by
 * itself (TUF, section 5.3).
 */
#include "repo/client_internal.h"

#include <string.h>

static void root_name(uint64_t version, char name[40])
{
	snprintf(name, 40, "%llu.root.json", (unsigned long long)version);
}

static struct kc_error *check_self_signed(const struct kc_repo_root *root, const struct kc_buf *text)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;

	KC_TRY(kc_repo_role_keyring(root, KC_ROLE_ROOT, &keyring));
	return kc_envelope_verify(text->data, text->size, keyring, root->roles[KC_ROLE_ROOT].threshold, &envelope);
}

/* Takes `err`: too few signatures mean more here than elsewhere. */
static struct kc_error *as_broken_chain(struct kc_error *err, const char *who)
{
	kc_autoerror struct kc_error *reason = err;

	if (!err || (kc_error_code(err) != KC_ERR_UNKNOWN_KEY && kc_error_code(err) != KC_ERR_UNSIGNED))
		return kc_steal(reason);
	return kc_error_new(KC_ERR_ROOT_CHAIN, "not signed by enough keys of %s: %s", who, kc_error_message(err));
}

static struct kc_error *check_successor(uint64_t version, uint64_t trusted)
{
	if (version <= trusted)
		return kc_error_new(KC_ERR_ROLLBACK, "this is root %llu, and root %llu is trusted already",
				    (unsigned long long)version, (unsigned long long)trusted);
	if (version > trusted + 1)
		return kc_error_new(KC_ERR_ROOT_CHAIN, "this is root %llu, and root %llu must come next",
				    (unsigned long long)version, (unsigned long long)trusted + 1);
	return NULL;
}

/* Steps 5.3.4 and 5.3.5. The caller clears `next` either way. */
static struct kc_error *verify_next(const struct kc_repo_client *client, const struct kc_buf *text,
				    struct kc_repo_root *next)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(as_broken_chain(kc_repo_verify(client, KC_ROLE_ROOT, text, &envelope), "the root before it"));
	KC_TRY(kc_repo_root_decode(envelope.signed_part, next));
	KC_TRY(check_successor(next->version, client->root.version));
	return as_broken_chain(check_self_signed(next, text), "its own");
}

/* Takes what `next` holds. */
static struct kc_error *trust(struct kc_repo_client *client, struct kc_repo_root *next)
{
	KC_TRY(kc_repo_remember_keys(client, &client->root));
	kc_repo_root_clear(&client->root);
	client->root = *next;
	*next = (struct kc_repo_root){ 0 };
	return NULL;
}

/* ---- from the folder ---- */

/* Roots older than the anchor, from the time of an earlier one: they only name keys that nobody trusts any more. */
static struct kc_error *load_former(struct kc_repo_client *client)
{
	for (uint64_t version = 1; version < client->anchor_version && version <= KC_REPO_ROOTS_MAX; version++) {
		KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
		kc_autoenvelope struct kc_envelope envelope = { 0 };
		kc_autobuf struct kc_buf text = { 0 };
		struct kc_error *err;
		char name[40];
		bool exists;

		root_name(version, name);
		KC_TRY(kc_repo_state_read(client, name, KC_REPO_ROOT_SIZE_MAX, &text, &exists));
		if (!exists)
			continue;
		err = kc_envelope_peek(text.data, text.size, &envelope);
		if (!err)
			err = kc_repo_root_decode(envelope.signed_part, &root);
		if (!err)
			err = check_self_signed(&root, &text);
		if (err)
			return kc_repo_state_damaged(client, name, err);
		KC_TRY(kc_repo_remember_keys(client, &root));
	}
	return NULL;
}

static struct kc_error *load_anchor(struct kc_repo_client *client)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(kc_envelope_peek(client->anchor.data, client->anchor.size, &envelope));
	KC_TRY(kc_repo_root_decode(envelope.signed_part, &client->root));
	KC_TRY(check_self_signed(&client->root, &client->anchor));
	client->anchor_version = client->root.version;
	return NULL;
}

/* The folder's copy of the anchor must be the anchor. */
static struct kc_error *compare_anchor(struct kc_repo_client *client)
{
	kc_autobuf struct kc_buf text = { 0 };
	char name[40];
	bool exists;

	root_name(client->anchor_version, name);
	KC_TRY(kc_repo_state_read(client, name, KC_REPO_ROOT_SIZE_MAX, &text, &exists));
	client->has_new_root = !exists;
	if (exists && (text.size != client->anchor.size || memcmp(text.data, client->anchor.data, text.size)))
		return kc_repo_state_damaged(
			client, name, kc_error_new(KC_ERR_MIXED, "it is not the root.json that this host trusts"));
	return NULL;
}

static struct kc_error *load_next(struct kc_repo_client *client, bool *exists)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root next = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;
	char name[40];

	root_name(client->root.version + 1, name);
	KC_TRY(kc_repo_state_read(client, name, KC_REPO_ROOT_SIZE_MAX, &text, exists));
	if (!*exists)
		return NULL;
	err = verify_next(client, &text, &next);
	if (err)
		return kc_repo_state_damaged(client, name, err);
	client->has_new_root = false;
	return trust(client, &next);
}

struct kc_error *kc_repo_roots_load(struct kc_repo_client *client)
{
	struct kc_error *err = load_anchor(client);
	bool exists = true;

	if (err)
		return kc_error_prefix(err, "the root.json that this host trusts");
	KC_TRY(load_former(client));
	KC_TRY(compare_anchor(client));
	while (exists)
		KC_TRY(load_next(client, &exists));
	return NULL;
}

/* ---- from the source ---- */

static bool has_same_keys(const struct kc_repo_role_keys *before, const struct kc_repo_role_keys *after)
{
	for (size_t i = 0; i < before->n_keyids; i++)
		if (!kc_repo_role_has_key(after, before->keyids[i]))
			return false;
	return before->n_keyids == after->n_keyids && before->threshold == after->threshold;
}

static struct kc_error *forget(const struct kc_repo_client *client, const char *name, struct kc_repo_held *held)
{
	kc_repo_held_clear(held);
	return kc_repo_state_forget(client, name);
}

/*
 * Step 5.3.11: versions that the holder of a replaced key drove up do not bind this host. What the snapshot said goes
 * with the timestamp, which names it. Targets and bins have no memory of their own, and are downloaded again when their
 * signature is not by a key of now.
 */
static struct kc_error *forget_rotated(struct kc_repo_client *client, const struct kc_repo_root *next)
{
	const struct kc_repo_role_keys *before = client->root.roles, *after = next->roles;

	if (!has_same_keys(&before[KC_ROLE_TIMESTAMP], &after[KC_ROLE_TIMESTAMP]) ||
	    !has_same_keys(&before[KC_ROLE_SNAPSHOT], &after[KC_ROLE_SNAPSHOT])) {
		KC_TRY(forget(client, "timestamp.json", &client->timestamp));
		KC_TRY(forget(client, "snapshot.json", &client->snapshot));
	}
	return NULL;
}

/* The folder forgets before it learns the new root: a run that is cut off between finds nothing that it cannot read. */
static struct kc_error *fetch_next(struct kc_ctx *ctx, struct kc_repo_client *client,
				   const struct kc_repo_source *source, bool *exists)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root next = { 0 };
	kc_autofree char *path = kc_repo_metadata_path(client->root.version + 1, "root.json");
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;
	char name[40];

	if (!path)
		return kc_error_no_memory();
	err = source->get(ctx, source->data, path, KC_REPO_ROOT_SIZE_MAX, &text);
	*exists = !err;
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return NULL;
	}
	if (err)
		return err;
	err = verify_next(client, &text, &next);
	if (err)
		return kc_error_prefix(err, "feeds/%s/%s", client->feed, path);
	root_name(next.version, name);
	KC_TRY(forget_rotated(client, &next));
	KC_TRY(kc_repo_state_write(client, name, &text));
	kc_info(ctx, "%s: root %llu is trusted now", client->feed, (unsigned long long)next.version);
	return trust(client, &next);
}

struct kc_error *kc_repo_roots_refresh(struct kc_ctx *ctx, struct kc_repo_client *client,
				       const struct kc_repo_source *source)
{
	bool exists = true;

	if (client->has_new_root) {
		char name[40];

		root_name(client->anchor_version, name);
		KC_TRY(kc_repo_state_write(client, name, &client->anchor));
		client->has_new_root = false;
	}
	for (unsigned i = 0; exists && i < KC_REPO_ROOTS_MAX; i++)
		KC_TRY(fetch_next(ctx, client, source, &exists));
	return NULL;
}
