/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The repository that this host trusts: its root.json, by the hand of the administrator. */
#include "agent/agent.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/lock.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/file.h"
#include "repo/metadata.h"

bool kc_agent_is_root(const char *source)
{
	kc_autobuf struct kc_buf text = { 0 };
	size_t at;

	if (kc_file_read_now(source, KC_REPO_ROOT_SIZE_MAX, &text) || !text.data)
		return false;
	at = strspn(text.data, " \t\r\n");
	return text.data[at] == '{';
}

static struct kc_error *read_source(const char *source, struct kc_buf *text)
{
	int err = kc_file_read_now(source, KC_REPO_ROOT_SIZE_MAX, text);

	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %d bytes, so not a root.json", source,
				    KC_REPO_ROOT_SIZE_MAX);
	return err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", source) : NULL;
}

/* As yet nobody vouches for it. */
static struct kc_error *decode(const char *name, const struct kc_buf *text, struct kc_repo_root *root)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	struct kc_error *err = kc_envelope_peek(text->data, text->size, &envelope);

	if (!err)
		err = kc_repo_root_decode(envelope.signed_part, root);
	return err ? kc_error_prefix(err, "%s", name) : NULL;
}

/* Have the root keys of `root` signed this text? */
static struct kc_error *verify(const struct kc_buf *text, const struct kc_repo_root *root)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;

	KC_TRY(kc_repo_role_keyring(root, KC_ROLE_ROOT, &keyring));
	return kc_envelope_verify(text->data, text->size, keyring, root->roles[KC_ROLE_ROOT].threshold, &envelope);
}

static struct kc_error *describe(const struct kc_repo_root *root, struct kc_trusted_root *trusted)
{
	const struct kc_repo_role_keys *role = &root->roles[KC_ROLE_ROOT];

	trusted->keyids = calloc(role->n_keyids, sizeof(*trusted->keyids));
	if (!trusted->keyids)
		return kc_error_no_memory();
	memcpy(trusted->keyids, role->keyids, role->n_keyids * sizeof(*role->keyids));
	trusted->n_keyids = role->n_keyids;
	trusted->threshold = role->threshold;
	trusted->version = root->version;
	trusted->expires = root->expires;
	return NULL;
}

static bool has_signed(const struct kc_repo_root *root, const struct kc_buf *text)
{
	kc_autoerror struct kc_error *err = verify(text, root);

	return !err;
}

/* One repository, if the keys of one have signed the other: an earlier or later root of it. */
static struct kc_error *compare_with_trusted(const struct kc_buf *text, const struct kc_repo_root *root, bool replace,
					     struct kc_trusted_root *trusted)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root before = { 0 };
	kc_autobuf struct kc_buf old = { 0 };
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_ROOT, &old, &path, &exists));
	if (!exists)
		return NULL;
	if (!replace) /* else what is there may be damaged */
		KC_TRY(decode(path, &old, &before));
	else
		kc_error_free(decode(path, &old, &before));
	if (before.version && (has_signed(&before, text) || has_signed(root, &old)))
		return kc_error_new(KC_ERR_NOTHING,
				    "this repository is trusted already (its root version %llu); newer roots come with "
				    "the updates",
				    (unsigned long long)before.version);
	if (!replace)
		return kc_error_new(
			KC_ERR_REFUSED,
			"another repository is trusted already (%s): to trust this one instead, add --force", path);
	trusted->was_replaced = true;
	return NULL;
}

struct kc_error *kc_agent_import_root(struct kc_ctx *ctx, const char *source, bool replace,
				      struct kc_trusted_root *trusted)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoclose int lock = -1;
	struct kc_error *err;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(read_source(source, &text));
	KC_TRY(decode(source, &text, &root));
	err = verify(&text, &root);
	if (err)
		return kc_error_prefix(err, "%s: it is not signed by its own root keys", source);
	KC_TRY(compare_with_trusted(&text, &root, replace, trusted));
	KC_TRY(describe(&root, trusted));
	if (root.expires < time(NULL))
		kc_warning(ctx, "%s has expired: the patch server must have a newer root", source);
	return kc_root_file_write(KC_PATH_ROOT, text.data, text.size);
}

void kc_trusted_root_clear(struct kc_trusted_root *trusted)
{
	free(trusted->keyids);
	*trusted = (struct kc_trusted_root){ 0 };
}
