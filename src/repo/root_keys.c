/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A repository's roots and online keys on disk. */
#include "repo/root_keys.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

#define ROOTS_DIR "private/roots"
#define KEYS_DIR "private/keys"
#define NEXT_DIR "private/keys/next"
#define REVOKED_DIR "private/keys/revoked"

/* asprintf(), or the error for it; the caller frees `*path`. */
static struct kc_error *__attribute__((format(printf, 2, 3))) make_path(char **path, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(path, format, args);
	va_end(args);
	if (n >= 0)
		return NULL;
	*path = NULL;
	return kc_error_no_memory();
}

/* ---- roots ---- */

/* "12.root.json": 12; 0: something else. */
static uint64_t root_number(const char *name)
{
	char *end;
	unsigned long long number;

	if (*name < '1' || *name > '9')
		return 0;
	errno = 0;
	number = strtoull(name, &end, 10);
	return errno || strcmp(end, ".root.json") ? 0 : number;
}

static struct kc_error *find_current(const char *dir, uint64_t *number)
{
	kc_autofree char *path = kc_path_join(dir, ROOTS_DIR);
	kc_autoclosedir DIR *roots = path ? opendir(path) : NULL;
	struct dirent *entry;

	*number = 0;
	if (!path)
		return kc_error_no_memory();
	if (!roots && errno != ENOENT && errno != ENOTDIR)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", path);
	while (roots && (entry = readdir(roots)))
		if (root_number(entry->d_name) > *number)
			*number = root_number(entry->d_name);
	if (!*number)
		return kc_error_new(KC_ERR_INPUT, "%s is not a repository: it has no %s/1.root.json", dir, ROOTS_DIR);
	return NULL;
}

struct kc_error *kc_root_load(struct kc_ctx *ctx, const char *dir, struct kc_buf *text, struct kc_repo_root *root)
{
	kc_autofree char *path = NULL;
	struct kc_error *err;
	uint64_t number;
	int failed;

	(void)ctx;
	KC_TRY(find_current(dir, &number));
	KC_TRY(make_path(&path, "%s/%s/%llu.root.json", dir, ROOTS_DIR, (unsigned long long)number));
	failed = kc_file_read(path, KC_REPO_ROOT_SIZE_MAX, text);
	if (failed)
		return kc_error_errno(KC_ERR_SYSTEM, -failed, "cannot read %s", path);
	err = kc_root_verify(text->data, text->size, NULL, root);
	if (!err && root->version != number)
		err = kc_error_new(KC_ERR_CORRUPT, "it has root %llu", (unsigned long long)root->version);
	return err ? kc_error_prefix(err, "%s", path) : NULL;
}

/* ---- keys ---- */

/* The key id of a private key; "" when there is none, or none that can be used. */
static struct kc_error *read_keyid(struct kc_ctx *ctx, const char *dir, const char *folder, const char *role,
				   char keyid[KC_KEYID_SIZE])
{
	kc_autofree char *path = NULL;
	kc_autoerror struct kc_error *err = NULL;
	kc_autokey struct kc_key *key = NULL;

	*keyid = '\0';
	KC_TRY(make_path(&path, "%s/%s/%s.key", dir, folder, role));
	if (access(path, F_OK))
		return NULL;
	err = kc_key_load(ctx, path, &key);
	if (!err)
		memcpy(keyid, kc_key_id(key), KC_KEYID_SIZE);
	else
		kc_warning(ctx, "%s", kc_error_message(err));
	return NULL;
}

static struct kc_error *rename_file(const char *from, const char *to)
{
	if (rename(from, to) && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot rename %s to %s", from, to);
	return NULL;
}

/* next/ROLE.SUFFIX takes the place of ROLE.SUFFIX, which goes to revoked/. */
static struct kc_error *replace_part(const char *dir, const char *role, const char *old_id, const char *suffix)
{
	kc_autofree char *next = NULL, *current = NULL, *revoked = NULL;

	KC_TRY(make_path(&next, "%s/%s/%s.%s", dir, NEXT_DIR, role, suffix));
	KC_TRY(make_path(&current, "%s/%s/%s.%s", dir, KEYS_DIR, role, suffix));
	KC_TRY(make_path(&revoked, "%s/%s/%s-%.12s.%s", dir, REVOKED_DIR, role, *old_id ? old_id : "lost", suffix));
	if (access(next, F_OK))
		return NULL;
	KC_TRY(rename_file(current, revoked));
	return rename_file(next, current);
}

/* The private part goes last: as long as the old one is there, this is done again. */
static struct kc_error *settle_role(struct kc_ctx *ctx, const char *dir, const struct kc_repo_root *root,
				    enum kc_repo_role role)
{
	const char *name = kc_repo_role_name(role);
	char current[KC_KEYID_SIZE], next[KC_KEYID_SIZE];
	kc_autofree char *revoked = NULL;
	int err;

	KC_TRY(read_keyid(ctx, dir, KEYS_DIR, name, current));
	if (kc_repo_role_has_key(&root->roles[role], current))
		return NULL;
	KC_TRY(read_keyid(ctx, dir, NEXT_DIR, name, next));
	if (!kc_repo_role_has_key(&root->roles[role], next))
		return kc_error_new(KC_ERR_KEY,
				    "%s/%s/%s.key is missing, or not the key that root %llu names: bring it back from "
				    "the backup, or make a new one with 'kcare-repo sign-root %s --rotate %s'",
				    dir, KEYS_DIR, name, (unsigned long long)root->version, dir, name);
	revoked = kc_path_join(dir, REVOKED_DIR);
	err = revoked ? kc_dir_make(revoked, 0700) : -ENOMEM;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s/%s", dir, REVOKED_DIR);
	KC_TRY(replace_part(dir, name, current, "pub"));
	return replace_part(dir, name, current, "key");
}

struct kc_error *kc_root_keys_settle(struct kc_ctx *ctx, const char *dir)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(kc_root_load(ctx, dir, &text, &root));
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		if (role != KC_ROLE_ROOT)
			KC_TRY(settle_role(ctx, dir, &root, role));
	return NULL;
}

/* ---- a new root ---- */

struct kc_error *kc_root_discard(struct kc_ctx *ctx, const char *dir)
{
	kc_autofree char *next = kc_path_join(dir, NEXT_DIR);
	int err = next ? kc_tree_remove(next) : -ENOMEM;

	(void)ctx;
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s/%s", dir, NEXT_DIR) : NULL;
}

static struct kc_error *make_key(struct kc_ctx *ctx, const char *next_dir, const char *role,
				 uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	kc_autofree char *path = NULL;
	kc_autokey struct kc_key *key = NULL;
	char keyid[KC_KEYID_SIZE];

	KC_TRY(kc_key_generate(ctx, next_dir, role, NULL, keyid));
	KC_TRY(make_path(&path, "%s/%s.key", next_dir, role));
	KC_TRY(kc_key_load(ctx, path, &key));
	return kc_key_public(key, public);
}

struct kc_error *kc_root_prepare(struct kc_ctx *ctx, const char *dir, const bool rotated[KC_ROLE_COUNT],
				 const struct kc_root_changes *changes, int64_t now, struct kc_root_request *request)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autoerror struct kc_error *unsettled = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *next_dir = NULL;
	struct kc_root_changes all = *changes;
	uint8_t public[KC_ROLE_COUNT][KC_PUBLIC_KEY_SIZE];

	KC_TRY(kc_root_load(ctx, dir, &text, &root));
	/* what a killed run left in next/ must not be lost; that a key is missing is no reason not to replace it */
	unsettled = kc_root_keys_settle(ctx, dir);
	if (unsettled && kc_error_code(unsettled) != KC_ERR_KEY)
		return kc_steal(unsettled);
	KC_TRY(kc_root_discard(ctx, dir));
	KC_TRY(make_path(&next_dir, "%s/%s", dir, NEXT_DIR));
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++) {
		if (role == KC_ROLE_ROOT || !rotated[role])
			continue;
		KC_TRY(make_key(ctx, next_dir, kc_repo_role_name(role), public[role]));
		all.online[role] = public[role];
	}
	return kc_root_request_make(text.data, text.size, &all, now, request);
}

/* The keys of the next root must be here, in use or waiting; else nobody could sign with them. */
static struct kc_error *check_keys(struct kc_ctx *ctx, const char *dir, const struct kc_root_request *request)
{
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++) {
		const struct kc_repo_role_keys *keys = &request->next.roles[role];
		char current[KC_KEYID_SIZE], next[KC_KEYID_SIZE];

		if (role == KC_ROLE_ROOT)
			continue;
		KC_TRY(read_keyid(ctx, dir, KEYS_DIR, kc_repo_role_name(role), current));
		KC_TRY(read_keyid(ctx, dir, NEXT_DIR, kc_repo_role_name(role), next));
		if (!kc_repo_role_has_key(keys, current) && !kc_repo_role_has_key(keys, next))
			return kc_error_new(KC_ERR_REFUSED,
					    "the private key of the role %s that root %llu names is not in %s/%s: "
					    "prepare the root again, and rotate "
					    "this role too",
					    kc_repo_role_name(role), (unsigned long long)request->next.version, dir,
					    KEYS_DIR);
	}
	return NULL;
}

struct kc_error *kc_root_adopt(struct kc_ctx *ctx, const char *dir, const struct kc_root_request *request)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = NULL;
	int err;

	KC_TRY(kc_root_load(ctx, dir, &text, &root));
	if (text.size != request->current_text.size || memcmp(text.data, request->current_text.data, text.size))
		return kc_error_new(KC_ERR_REFUSED,
				    "the repository has root %llu now, and this was made to follow another root %llu: "
				    "prepare it again with --export",
				    (unsigned long long)root.version, (unsigned long long)request->current.version);
	KC_TRY(kc_root_request_check(request));
	KC_TRY(check_keys(ctx, dir, request));
	KC_TRY(make_path(&path, "%s/%s/%llu.root.json", dir, ROOTS_DIR, (unsigned long long)request->next.version));
	err = kc_file_write_atomic(path, request->next_text.data, request->next_text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}
