/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new repository: its keys, its first root, the feed main. What an init that fails has made is gone again. */
#include "repo/repository_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "sign/canonical.h"

static struct kc_error *system_error(const char *what, const char *path)
{
	return kc_error_errno(KC_ERR_SYSTEM, errno, "%s %s", what, path);
}

static const char *const offline_files[] = { "root.key", "root.pub", "root.json" };

/* ---- where it goes ---- */

static struct kc_error *check_empty(const char *dir)
{
	kc_autoclosedir DIR *folder = opendir(dir);
	struct dirent *entry;

	if (!folder)
		return system_error("cannot read the folder", dir);
	while ((entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return kc_error_new(KC_ERR_REFUSED, "%s is not empty: a new repository needs a new folder",
					    dir);
	return NULL;
}

/* `*made` when the folder was not there before. */
static struct kc_error *make_folder(const char *path, mode_t mode, bool *made)
{
	int err;

	*made = access(path, F_OK) < 0;
	err = kc_dir_make(path, mode);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", path) : NULL;
}

static bool is_inside(const char *real_dir, const char *real_path)
{
	size_t length = strlen(real_dir);

	return !strncmp(real_path, real_dir, length) && (!real_path[length] || real_path[length] == '/');
}

/* Before it is made: what there is of the way to it must not be inside `dir` either. */
static struct kc_error *check_apart(const char *dir, const char *name, const char *keys_dir)
{
	kc_autofree char *real_dir = realpath(dir, NULL), *way = strdup(keys_dir), *real_way = NULL;

	if (!real_dir)
		return system_error("cannot find", dir);
	while (way && !(real_way = realpath(way, NULL)) && errno == ENOENT && strcmp(way, ".")) {
		char *slash = strrchr(way, '/');

		if (slash) {
			slash[slash == way] = '\0';
			continue;
		}
		free(way);
		way = strdup(".");
	}
	if (!way)
		return kc_error_no_memory();
	if (!real_way)
		return system_error("cannot find", keys_dir);
	if (is_inside(real_dir, real_way))
		return kc_error_new(KC_ERR_REFUSED, "%s is inside %s: the root key must stay apart from it", keys_dir,
				    name);
	return NULL;
}

static struct kc_error *check_keys_dir(const char *keys_dir, char **real_keys_dir)
{
	*real_keys_dir = realpath(keys_dir, NULL);
	if (!*real_keys_dir)
		return system_error("cannot find", keys_dir);
	for (size_t i = 0; i < KC_ARRAY_SIZE(offline_files); i++) {
		kc_autofree char *path = kc_path_join(*real_keys_dir, offline_files[i]);

		if (!path)
			return kc_error_no_memory();
		if (access(path, F_OK) == 0)
			return kc_error_new(KC_ERR_REFUSED, "%s exists already; it is never overwritten", path);
	}
	return NULL;
}

/* ---- keys ---- */

static struct kc_error *give_passphrase(void *data, const char *question, struct kc_buf *secret)
{
	const char *passphrase = data;

	(void)question;
	kc_buf_append_str(secret, passphrase ? passphrase : "");
	return secret->failed ? kc_error_no_memory() : NULL;
}

/* The key that was just made, without asking anybody. */
static struct kc_error *load_root_key(const struct kc_repository_options *options, const char *keys_dir,
				      struct kc_key **key)
{
	kc_autofree char *path = kc_path_join(keys_dir, "root.key");
	kc_autoctx struct kc_ctx *quiet = kc_ctx_new();

	if (!path || !quiet)
		return kc_error_no_memory();
	kc_ctx_set_ask(quiet, give_passphrase, (void *)options->passphrase);
	return kc_key_load(quiet, path, key);
}

static struct kc_error *add_role(struct kc_repo_root *root, enum kc_repo_role role, const struct kc_key *key)
{
	struct kc_repo_role_keys *keys = &root->roles[role];
	uint8_t(*public)[KC_PUBLIC_KEY_SIZE] = kc_array_add(&root->keys, &root->n_keys);
	char(*keyid)[KC_KEYID_SIZE] = kc_array_add(&keys->keyids, &keys->n_keyids);

	if (!public || !keyid)
		return kc_error_no_memory();
	keys->threshold = 1;
	memcpy(*keyid, kc_key_id(key), KC_KEYID_SIZE);
	return kc_key_public(key, *public);
}

static struct kc_error *add_online_role(struct kc_ctx *ctx, const struct kc_repository *repository,
					struct kc_repo_root *root, enum kc_repo_role role)
{
	kc_autofree char *dir = kc_repository_path(repository, "private/keys"), *path = NULL;
	kc_autokey struct kc_key *key = NULL;
	char keyid[KC_KEYID_SIZE];

	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_key_generate(ctx, dir, kc_repo_role_name(role), NULL, keyid));
	path = kc_repository_path(repository, "private/keys/%s.key", kc_repo_role_name(role));
	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_key_load(ctx, path, &key));
	return add_role(root, role, key);
}

static struct kc_error *make_root(struct kc_ctx *ctx, const struct kc_repository *repository,
				  const struct kc_repository_options *options, struct kc_buf *text)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = {
		.version = 1,
		.expires = repository->now + KC_REPO_ROOT_VALID_S,
	};
	kc_autojson json_t *signed_part = NULL;
	kc_autokey struct kc_key *key = NULL;
	char keyid[KC_KEYID_SIZE];

	KC_TRY(kc_key_generate(ctx, repository->keys_dir, "root", options->passphrase, keyid));
	KC_TRY(load_root_key(options, repository->keys_dir, &key));
	KC_TRY(add_role(&root, KC_ROLE_ROOT, key));
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		KC_TRY(add_online_role(ctx, repository, &root, role));
	KC_TRY(kc_repo_root_encode(&root, &signed_part));
	return kc_envelope_encode(signed_part, (const struct kc_key *const *)&key, 1, text);
}

static struct kc_error *write_root(struct kc_ctx *ctx, const struct kc_repository *repository,
				   const struct kc_repository_options *options)
{
	kc_autofree char *copy = kc_path_join(repository->keys_dir, "root.json");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!copy)
		return kc_error_no_memory();
	KC_TRY(make_root(ctx, repository, options, &text));
	err = kc_file_write_atomic(copy, text.data, text.size, 0644);
	if (err)
		return kc_repository_write_error(err, copy);
	return kc_repository_write(repository, "private/roots/1.root.json", text.data, text.size, 0644);
}

/* ---- the rest ---- */

static struct kc_error *make_folders(const struct kc_repository *repository)
{
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {
		{ "private", 0700 },	       { "private/keys", 0700 },  { "private/authors", 0700 },
		{ "private/patchsets", 0700 }, { "private/feeds", 0700 }, { "public", 0755 },
		{ "public/blobs", 0755 },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *path = kc_repository_path(repository, "%s", folders[i].name);
		bool made;

		if (!path)
			return kc_error_no_memory();
		KC_TRY(make_folder(path, folders[i].mode, &made));
	}
	return NULL;
}

static struct kc_error *make_main_feed(struct kc_ctx *ctx, struct kc_repository *repository)
{
	struct kc_feed_info *feed = kc_array_add(&repository->feeds, &repository->n_feeds);

	if (!feed)
		return kc_error_no_memory();
	feed->name = strdup("main");
	feed->note = strdup("");
	feed->channel = strdup("default");
	if (!feed->name || !feed->note || !feed->channel)
		return kc_error_no_memory();
	return kc_feed_commit(ctx, repository, feed, NULL, NULL);
}

/* The settings come last: what has them is a repository. */
static struct kc_error *fill(struct kc_ctx *ctx, struct kc_repository *repository,
			     const struct kc_repository_options *options)
{
	KC_TRY(make_folders(repository));
	KC_TRY(kc_repository_lock(ctx, repository->dir, &repository->lock_fd));
	for (char *const *author = options->authors; author && *author; author++)
		KC_TRY(kc_repository_add_author(repository, *author));
	if (options->module_certificate)
		KC_TRY(kc_repository_set_certificate(repository, options->module_certificate));
	KC_TRY(write_root(ctx, repository, options));
	KC_TRY(kc_repository_load_keys(ctx, repository));
	KC_TRY(make_main_feed(ctx, repository));
	return kc_repository_write_settings(repository);
}

/* Nobody has used these keys yet. */
static void undo(const struct kc_repository *repository, bool made_dir, bool made_keys_dir)
{
	static const char *const folders[] = { "private", "public" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *path = kc_repository_path(repository, "%s", folders[i]);

		if (path)
			kc_tree_remove(path);
	}
	for (size_t i = 0; repository->keys_dir && i < KC_ARRAY_SIZE(offline_files); i++) {
		kc_autofree char *path = kc_path_join(repository->keys_dir, offline_files[i]);

		if (path)
			unlink(path);
	}
	if (made_keys_dir && repository->keys_dir)
		rmdir(repository->keys_dir);
	if (made_dir)
		rmdir(repository->dir);
}

struct kc_error *kc_repository_init(struct kc_ctx *ctx, const char *dir, const struct kc_repository_options *options)
{
	kc_autorepository struct kc_repository *repository = kc_repository_new(dir);
	bool made_dir = false, made_keys_dir = false;
	struct kc_error *err;

	if (!repository)
		return kc_error_no_memory();
	err = make_folder(dir, 0755, &made_dir);
	if (!err)
		err = check_empty(dir);
	if (!err)
		err = options->apart_from ? check_apart(options->apart_from, options->apart_from, options->keys_dir)
					  : check_apart(dir, "the repository", options->keys_dir);
	if (!err)
		err = make_folder(options->keys_dir, 0700, &made_keys_dir);
	if (!err)
		err = check_keys_dir(options->keys_dir, &repository->keys_dir);
	if (err) { /* only what is empty can be removed so */
		if (made_keys_dir)
			rmdir(options->keys_dir);
		if (made_dir)
			rmdir(dir);
		return err;
	}
	err = fill(ctx, repository, options);
	if (err)
		undo(repository, made_dir, made_keys_dir);
	return err;
}
