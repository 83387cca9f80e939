/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "apply/user_paths.h"
#include "base/file.h"

enum { FILE_SIZE_MAX = 1 << 20 };

static struct kc_error *check_file(const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return kc_error_new(KC_ERR_INPUT, "%s: not a file", path);
	if (geteuid() == 0 && (st->st_uid != 0 || st->st_mode & (S_IWGRP | S_IWOTH)))
		return kc_error_new(KC_ERR_PERMISSION,
				    "%s: somebody else may change it (owner %u, mode %03o), so root does not obey it: "
				    "chown root it and chmod go-w it",
				    path, st->st_uid, st->st_mode & 0777);
	return NULL;
}

struct kc_error *kc_root_file_read_path(const char *path, size_t limit, struct kc_buf *buf, bool *exists)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int err;

	*exists = false;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	KC_TRY(check_file(path, &st));
	err = kc_fd_read(fd, limit, buf);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %zu bytes", path, limit);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	*exists = true;
	return NULL;
}

struct kc_error *kc_root_file_read(const char *fixed, struct kc_buf *buf, char **path, bool *exists)
{
	*exists = false;
	*path = kc_user_path(fixed);
	return *path ? kc_root_file_read_path(*path, FILE_SIZE_MAX, buf, exists) : kc_error_no_memory();
}

/* `path` is one folder; a link to one would be as good as its owner. */
static struct kc_error *check_folder(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open the folder %s", path);
	if (!S_ISDIR(st.st_mode))
		return kc_error_new(KC_ERR_PERMISSION, "%s: not a folder: move it away", path);
	if (geteuid() == 0 && (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)))
		return kc_error_new(
			KC_ERR_PERMISSION,
			"%s: somebody else may change what is in it (owner %u, mode %03o), so root does not "
			"use it: chown root it and chmod go-w it, and remove what is not yours",
			path, st.st_uid, st.st_mode & 0777);
	return NULL;
}

struct kc_error *kc_root_folder_make(const char *fixed, char **path)
{
	kc_autofree char *whole = kc_user_path(fixed);
	size_t n_parts = 0;
	char *end, after;
	int err = 0;

	if (!whole)
		return kc_error_no_memory();
	/* one after the other: nothing is made in a folder that is not checked */
	for (end = whole + strlen(whole) - strlen(fixed); *end && !err; *end = after, n_parts++) {
		end += 1 + strcspn(end + 1, "/");
		after = *end;
		*end = '\0';
		err = kc_dir_make(whole, 0755);
		if (!err && n_parts >= 2)
			KC_TRY(check_folder(whole));
	}
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", whole);
	if (path)
		*path = kc_steal(whole);
	return NULL;
}

/* The folder that `path` is in (caller frees). */
static char *folder_of(const char *path)
{
	return strndup(path, (size_t)(kc_path_name(path) - path - 1));
}

static struct kc_error *write_file(const char *fixed, const void *data, size_t size, mode_t mode)
{
	kc_autofree char *path = kc_user_path(fixed), *dir = NULL;
	int err;

	dir = path ? folder_of(path) : NULL;
	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0755);
	if (!err)
		err = kc_file_write_atomic(path, data, size, mode);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

struct kc_error *kc_root_file_write(const char *fixed, const void *data, size_t size)
{
	return write_file(fixed, data, size, 0644);
}

struct kc_error *kc_root_file_write_secret(const char *fixed, const void *data, size_t size)
{
	return write_file(fixed, data, size, 0600);
}

struct kc_error *kc_root_file_remove(const char *fixed)
{
	kc_autofree char *path = kc_user_path(fixed), *dir = NULL;
	kc_autoclose int fd = -1;

	dir = path ? folder_of(path) : NULL;
	if (!dir)
		return kc_error_no_memory();
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write the folder %s", dir);
	return NULL;
}
