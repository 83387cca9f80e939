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

struct kc_error *kc_root_file_read(const char *fixed, struct kc_buf *buf, char **path, bool *exists)
{
	kc_autoclose int fd = -1;
	struct stat st;
	int err;

	*exists = false;
	*path = kc_user_path(fixed);
	if (!*path)
		return kc_error_no_memory();
	fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", *path);
	KC_TRY(check_file(*path, &st));
	err = kc_fd_read(fd, FILE_SIZE_MAX, buf);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %d bytes", *path, FILE_SIZE_MAX);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", *path);
	*exists = true;
	return NULL;
}

/* The folder that `path` is in (caller frees). */
static char *folder_of(const char *path)
{
	return strndup(path, (size_t)(kc_path_name(path) - path - 1));
}

struct kc_error *kc_root_file_write(const char *fixed, const void *data, size_t size)
{
	kc_autofree char *path = kc_user_path(fixed), *dir = NULL;
	int err;

	dir = path ? folder_of(path) : NULL;
	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0755);
	if (!err)
		err = kc_file_write_atomic(path, data, size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
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
