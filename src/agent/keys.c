/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/keys.h"

#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "base/file.h"

enum { KEY_FILE_MAX = 65536 };

struct kc_error *kc_agent_keyring_load(struct kc_ctx *ctx, struct kc_keyring **keyring)
{
	kc_autofree char *path = kc_user_path(KC_PATH_KEYS);

	if (!path)
		return kc_error_no_memory();
	if (access(path, F_OK) == 0)
		KC_TRY(kc_keyring_load(ctx, path, keyring));
	if (*keyring && kc_keyring_size(*keyring))
		return NULL;
	return kc_error_new(KC_ERR_UNKNOWN_KEY,
			    "no author is trusted: add the author's public key with 'kcarectl --import-key FILE'");
}

static struct kc_error *read_key(const char *source, struct kc_buf *pem, char keyid[KC_KEYID_SIZE])
{
	static const char openpgp[] = "-----BEGIN PGP";
	int err = kc_file_read_now(source, KEY_FILE_MAX, pem);

	if (err == -EFBIG)
		return kc_error_new(KC_ERR_KEY, "%s: larger than %d bytes, so not a key", source, KEY_FILE_MAX);
	if (err)
		return kc_error_errno(KC_ERR_KEY, -err, "cannot read the key %s", source);
	if (memmem(pem->data, pem->size, openpgp, strlen(openpgp)))
		return kc_error_new(
			KC_ERR_KEY,
			"%s: this is an OpenPGP key; authors of patches sign with Ed25519 keys: it takes the "
			"NAME.pub that 'kcare-build keygen' made",
			source);
	return kc_public_key_id(source, pem, keyid);
}

static struct kc_error *keep_key(const char *path, const struct kc_buf *pem)
{
	kc_autofree char *dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	int err;

	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0755);
	if (!err)
		err = kc_file_write_atomic(path, pem->data, pem->size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep the key as %s", path) : NULL;
}

struct kc_error *kc_agent_import_key(struct kc_ctx *ctx, const char *source, char keyid[KC_KEYID_SIZE], char **path)
{
	kc_autofree char *dir = kc_user_path(KC_PATH_KEYS);
	kc_autobuf struct kc_buf pem = { 0 };
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(read_key(source, &pem, keyid));
	if (!dir || asprintf(path, "%s/%.16s.pub", dir, keyid) < 0)
		return kc_error_no_memory();
	if (access(*path, F_OK) == 0)
		return kc_error_new(KC_ERR_NOTHING, "the key %s is trusted already", keyid);
	KC_TRY(keep_key(*path, &pem));
	kc_info(ctx, "the key %s is now %s", source, *path);
	return NULL;
}
