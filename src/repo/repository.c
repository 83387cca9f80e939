/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder of a repository: opening it, its online keys, the authors that it trusts, its files. */
#include "repo/repository_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "repo/root_keys.h"
#include "sign/canonical.h"

#define SETTINGS "private/repository.json"
#define DOCUMENT "kcare-repository-1"

enum { SETTINGS_SIZE_MAX = 1 << 20, PUBLIC_KEY_FILE_MAX = 65536, CERTIFICATE_SIZE_MAX = 1 << 20 };

/* ---- files ---- */

char *kc_repository_path(const struct kc_repository *repository, const char *format, ...)
{
	kc_autobuf struct kc_buf path = { 0 };
	kc_autofree char *name = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&name, format, args);
	va_end(args);
	if (length < 0) {
		name = NULL;
		return NULL;
	}
	return kc_path_join(repository->dir, name);
}

struct kc_error *kc_repository_write_error(int err, const char *path)
{
	if (err == -ENOSPC || err == -EDQUOT)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s (make room, then repeat the command)",
				      path);
	return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path);
}

struct kc_error *kc_repository_write(const struct kc_repository *repository, const char *name, const void *data,
				     size_t size, mode_t mode)
{
	kc_autofree char *path = kc_repository_path(repository, "%s", name), *folder = NULL;
	int err;

	if (!path)
		return kc_error_no_memory();
	folder = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	if (!folder)
		return kc_error_no_memory();
	err = kc_dir_make(folder, 0755);
	if (!err)
		err = kc_file_write_atomic(path, data, size, mode);
	return err ? kc_repository_write_error(err, path) : NULL;
}

struct kc_error *kc_repository_unlink(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *path = kc_repository_path(repository, "%s", name), *folder = NULL;
	kc_autoclose int fd = -1;

	if (!path)
		return kc_error_no_memory();
	if (unlink(path) < 0 && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	folder = strndup(path, (size_t)(kc_path_name(path) - path));
	fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (!folder)
		return kc_error_no_memory();
	if (fd >= 0 ? fsync(fd) < 0 : errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	return NULL;
}

struct kc_error *kc_repository_each(const struct kc_repository *repository, const char *folder,
				    struct kc_error *(*each)(void *data, const char *name), void *data)
{
	kc_autofree char *path = kc_repository_path(repository, "%s", folder);
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	if (!path)
		return kc_error_no_memory();
	if (!dir && errno == ENOENT)
		return NULL;
	if (!dir)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", path);
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			KC_TRY(each(data, entry->d_name));
	return errno ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read the folder %s", path) : NULL;
}

/* ---- opening ---- */

static struct kc_error *load_settings(struct kc_repository *repository)
{
	kc_autofree char *path = kc_repository_path(repository, SETTINGS);
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *json = NULL;
	const char *document, *keys_dir;
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read(path, SETTINGS_SIZE_MAX, &text);
	if (err == -ENOENT || err == -ENOTDIR)
		return kc_error_new(KC_ERR_INPUT,
				    "%s is not a repository: '%s' is missing; 'kcare-repo init' makes one",
				    repository->dir, SETTINGS);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
	if (!json || json_unpack(json, "{s:s, s:s}", "document", &document, "keys_dir", &keys_dir) ||
	    strcmp(document, DOCUMENT))
		return kc_error_new(KC_ERR_CORRUPT,
				    "%s is damaged, or written by a newer kcare: restore it from a backup", path);
	repository->keys_dir = strdup(keys_dir);
	return repository->keys_dir ? NULL : kc_error_no_memory();
}

struct kc_error *kc_repository_write_settings(const struct kc_repository *repository)
{
	kc_autojson json_t *json = json_pack("{s:s, s:s}", "document", DOCUMENT, "keys_dir", repository->keys_dir);
	kc_autofree char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;

	if (!text)
		return kc_error_new(KC_ERR_INPUT, "the path '%s' is not valid UTF-8", repository->keys_dir);
	return kc_repository_write(repository, SETTINGS, text, strlen(text), 0600);
}

/* A key that the root does not name would sign what no host accepts. */
static struct kc_error *load_key(struct kc_ctx *ctx, struct kc_repository *repository, enum kc_repo_role role)
{
	const char *name = kc_repo_role_name(role);
	kc_autofree char *path = kc_repository_path(repository, "private/keys/%s.key", name);

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_key_load(ctx, path, &repository->keys[role]));
	if (!kc_repo_role_has_key(&repository->root.roles[role], kc_key_id(repository->keys[role])))
		return kc_error_new(KC_ERR_KEY,
				    "%s: the root does not name this key for the role '%s': restore the right one, or "
				    "replace it with 'kcare-repo sign-root'",
				    path, name);
	return NULL;
}

static struct kc_error *load_authors(struct kc_ctx *ctx, struct kc_repository *repository)
{
	kc_autofree char *path = kc_repository_path(repository, "private/authors");

	return path ? kc_keyring_load(ctx, path, &repository->authors) : kc_error_no_memory();
}

struct kc_error *kc_repository_load_keys(struct kc_ctx *ctx, struct kc_repository *repository)
{
	kc_autobuf struct kc_buf root_text = { 0 };

	KC_TRY(kc_root_keys_settle(ctx, repository->dir));
	KC_TRY(kc_root_load(ctx, repository->dir, &root_text, &repository->root));
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		KC_TRY(load_key(ctx, repository, role));
	return load_authors(ctx, repository);
}

struct kc_repository *kc_repository_new(const char *dir)
{
	struct kc_repository *repository = calloc(1, sizeof(*repository));

	if (!repository)
		return NULL;
	repository->lock_fd = -1;
	repository->now = (int64_t)time(NULL);
	repository->dir = strdup(dir);
	if (repository->dir)
		return repository;
	free(repository);
	return NULL;
}

/* Unpacked archives and removed feeds of runs that were killed: nobody else is at work here now. */
static struct kc_error *remove_leftover(void *data, const char *name)
{
	const struct kc_repository *repository = data;
	kc_autofree char *path = NULL;
	int err;

	if (strncmp(name, "incoming-", 9) && strncmp(name, "removed-", 8))
		return NULL;
	path = kc_repository_path(repository, "private/%s", name);
	if (!path)
		return kc_error_no_memory();
	err = kc_tree_remove(path);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s", path) : NULL;
}

struct kc_error *kc_repository_open(struct kc_ctx *ctx, const char *dir, struct kc_repository **repository)
{
	kc_autorepository struct kc_repository *opened = kc_repository_new(dir);

	if (!opened)
		return kc_error_no_memory();
	KC_TRY(load_settings(opened)); /* before the lock, which would make a file in any folder */
	KC_TRY(kc_repository_lock(ctx, dir, &opened->lock_fd));
	KC_TRY(kc_repository_each(opened, "private", remove_leftover, opened));
	KC_TRY(kc_repository_load_keys(ctx, opened));
	KC_TRY(kc_feeds_load(opened));
	*repository = kc_steal(opened);
	return NULL;
}

void kc_repository_close(struct kc_repository *repository)
{
	if (!repository)
		return;
	for (size_t i = 0; i < KC_ROLE_COUNT; i++)
		kc_key_free(repository->keys[i]);
	for (size_t i = 0; i < repository->n_tables; i++)
		kc_patchset_table_free(repository->tables[i]);
	free(repository->tables);
	kc_feed_infos_free(repository->feeds, repository->n_feeds);
	kc_keyring_free(repository->authors);
	kc_repo_root_clear(&repository->root);
	free(repository->keys_dir);
	free(repository->dir);
	kc_cleanup_fd(&repository->lock_fd);
	free(repository);
}

/* ---- trust ---- */

/* By its key id: one file for one key, whatever it was called. */
struct kc_error *kc_repository_add_author(const struct kc_repository *repository, const char *path)
{
	kc_autobuf struct kc_buf pem = { 0 };
	kc_autofree char *name = NULL;
	char keyid[KC_KEYID_SIZE];
	int err = kc_file_read_now(path, PUBLIC_KEY_FILE_MAX, &pem);

	if (err)
		return kc_error_errno(KC_ERR_KEY, -err, "cannot read the author's public key %s", path);
	KC_TRY(kc_public_key_id(path, &pem, keyid));
	if (asprintf(&name, "private/authors/%s.pub", keyid) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_repository_write(repository, name, pem.data, pem.size, 0644);
}

/* DER begins with a sequence; PEM, the usual mistake, with dashes. */
struct kc_error *kc_repository_set_certificate(const struct kc_repository *repository, const char *path)
{
	kc_autobuf struct kc_buf der = { 0 };
	int err = kc_file_read_now(path, CERTIFICATE_SIZE_MAX, &der);

	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read the certificate %s", path);
	if (der.size < 2 || (uint8_t)der.data[0] != 0x30)
		return kc_error_new(KC_ERR_INPUT,
				    "%s is not a certificate in DER: 'openssl x509 -outform DER' makes one of a PEM "
				    "file",
				    path);
	return kc_repository_write(repository, "public/kernelcare_pub.der", der.data, der.size, 0644);
}

struct kc_error *kc_repository_trust(struct kc_ctx *ctx, struct kc_repository *repository, char *const *authors,
				     const char *module_certificate)
{
	KC_TRY(kc_repository_try_complete(ctx, repository));
	for (; authors && *authors; authors++)
		KC_TRY(kc_repository_add_author(repository, *authors));
	if (module_certificate)
		KC_TRY(kc_repository_set_certificate(repository, module_certificate));
	kc_keyring_free(kc_steal(repository->authors));
	return load_authors(ctx, repository);
}
