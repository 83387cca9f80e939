/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state folder of a feed: files that were verified before they were written. Whoever can change them could make a
 * host forget what it has seen, so nobody but its user may.
 */
#include "repo/client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

/* Its user is the one who runs this; root's files are good for everybody. */
static struct kc_error *check_owner(int fd, const char *path, mode_t type)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	if ((st.st_mode & S_IFMT) != type)
		return kc_error_new(KC_ERR_PERMISSION, "%s: it is something else than kcare writes there: remove it",
				    path);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
		return kc_error_new(
			KC_ERR_PERMISSION,
			"%s: somebody else may change it (owner %u, mode %03o), so it cannot be believed: find "
			"out who made it, then remove it",
			path, st.st_uid, st.st_mode & 0777);
	return NULL;
}

/* -1 without an error: there is no such file. */
static struct kc_error *open_checked(int at, const char *name, const char *path, mode_t type, int *fd)
{
	kc_autoclose int opened =
		openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (type == S_IFDIR ? O_DIRECTORY : 0));

	*fd = -1;
	if (opened < 0 && errno == ENOENT)
		return NULL;
	if (opened < 0 && (errno == ELOOP || errno == ENOTDIR))
		return kc_error_new(KC_ERR_PERMISSION, "%s: it is a link, and kcare makes none there: remove it", path);
	if (opened < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	KC_TRY(check_owner(opened, path, type));
	*fd = kc_steal_fd(&opened);
	return NULL;
}

struct kc_error *kc_repo_state_read(const struct kc_repo_client *client, const char *name, size_t limit,
				    struct kc_buf *text, bool *exists)
{
	kc_autofree char *path = kc_path_join(client->dir, name);
	kc_autoclose int dir = -1, fd = -1;
	int err;

	*exists = false;
	if (!path)
		return kc_error_no_memory();
	KC_TRY(open_checked(AT_FDCWD, client->dir, client->dir, S_IFDIR, &dir));
	if (dir < 0)
		return NULL;
	KC_TRY(open_checked(dir, name, path, S_IFREG, &fd));
	if (fd < 0)
		return NULL;
	err = kc_fd_read(fd, limit, text);
	if (err == -EFBIG)
		return kc_repo_state_damaged(client, name, kc_error_new(KC_ERR_LIMIT, "larger than %zu bytes", limit));
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	*exists = true;
	return NULL;
}

typedef int write_fn(const char *path, const void *data, size_t size, mode_t mode);

static struct kc_error *write_with(write_fn *write_file, const struct kc_repo_client *client, const char *name,
				   const struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(client->dir, name), *folder = NULL;
	int err;

	folder = path ? strndup(path, (size_t)(kc_path_name(path) - path - 1)) : NULL;
	if (!folder)
		return kc_error_no_memory();
	err = kc_dir_make(folder, 0755);
	if (!err)
		err = write_file(path, text->data, text->size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

struct kc_error *kc_repo_state_write(const struct kc_repo_client *client, const char *name, const struct kc_buf *text)
{
	return write_with(kc_file_write_atomic, client, name, text);
}

struct kc_error *kc_repo_state_keep(const struct kc_repo_client *client, const char *name, const struct kc_buf *text)
{
	return write_with(kc_file_replace, client, name, text);
}

struct kc_error *kc_repo_state_forget(const struct kc_repo_client *client, const char *name)
{
	kc_autofree char *path = kc_path_join(client->dir, name);

	if (!path)
		return kc_error_no_memory();
	if (unlink(path) < 0 && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	return NULL;
}

struct kc_error *kc_repo_state_damaged(const struct kc_repo_client *client, const char *name, struct kc_error *err)
{
	kc_autoerror struct kc_error *reason = err;

	if (kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(reason);
	return kc_error_new(
		KC_ERR_CORRUPT,
		"%s/%s is damaged (%s): remove the folder %s; it is downloaded again, and what is forgotten "
		"is only which versions this host has seen",
		client->dir, name, kc_error_message(err), client->dir);
}
