/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define PRIVATE "private" /* of a repository: its keys, and what only the portal reads */

enum { COPY_SIZE = 1 << 20 };

static struct kc_error *write_error(int err, const char *path)
{
	return kc_error_errno(KC_ERR_SYSTEM, err, "cannot write %s", path);
}

static int copy_data(int from, int to)
{
	kc_autofree char *data = malloc(COPY_SIZE);
	ssize_t n;
	int err = 0;

	if (!data)
		return -ENOMEM;
	while (!err && (n = read(from, data, COPY_SIZE)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			err = kc_fd_write(to, data, (size_t)n);
	}
	return err;
}

static struct kc_error *copy_file(const char *from, const char *to, mode_t mode)
{
	kc_autoclose int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	kc_autoclose int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (in < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	if (out < 0)
		return write_error(errno, to);
	err = copy_data(in, out);
	if (!err && (fchmod(out, mode) < 0 || fsync(out) < 0))
		err = -errno;
	return err ? write_error(-err, to) : NULL;
}

/* "12h" leads to main: within the public folder, whoever made this tree. */
static struct kc_error *copy_link(const char *from, const char *to, off_t size)
{
	kc_autofree char *target = malloc((size_t)size + 1);
	ssize_t length = target ? readlink(from, target, (size_t)size) : -1;

	if (!target)
		return kc_error_no_memory();
	if (length < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	target[length] = '\0';
	if (*target == '/' || strstr(target, ".."))
		return kc_error_new(KC_ERR_CORRUPT, "the link %s leads out of its folder", from);
	return symlink(target, to) < 0 ? write_error(errno, to) : NULL;
}

/* Nobody but us may change it in place. What is private is copied all the same: who later changes the owner or mode of
 * a backup must not change the portal's own. */
static bool can_share(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static struct kc_error *copy_folder(const char *from, const char *to, bool is_private);

static struct kc_error *copy_entry(const char *from, const char *to, const char *name, bool is_private)
{
	kc_autofree char *source = kc_path_join(from, name), *copy = kc_path_join(to, name);
	struct stat st;

	if (!source || !copy)
		return kc_error_no_memory();
	/* who holds the one must not hold the other */
	if (!strcmp(name, "lock"))
		return NULL;
	if (lstat(source, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", source);
	if (S_ISDIR(st.st_mode))
		return copy_folder(source, copy, is_private || !strcmp(name, PRIVATE));
	if (S_ISLNK(st.st_mode))
		return copy_link(source, copy, st.st_size);
	if (!S_ISREG(st.st_mode) || (!is_private && can_share(&st) && link(source, copy) == 0))
		return NULL;
	return copy_file(source, copy, st.st_mode & (is_private ? 0700 : 0755));
}

static struct kc_error *copy_folder(const char *from, const char *to, bool is_private)
{
	kc_autoclosedir DIR *dir = opendir(from);
	struct dirent *entry;
	struct stat st;

	if (!dir || fstat(dirfd(dir), &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	if (mkdir(to, 0700) < 0)
		return write_error(errno, to);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			KC_TRY(copy_entry(from, to, entry->d_name, is_private));
	return chmod(to, st.st_mode & (is_private ? 0700 : 0755)) < 0 ? write_error(errno, to) : NULL;
}

struct kc_error *kc_tree_copy(const char *from, const char *to)
{
	return copy_folder(from, to, false);
}

struct kc_error *kc_tree_copy_part(const char *from, const char *to, const char *name)
{
	kc_autofree char *source = kc_path_join(from, name), *copy = kc_path_join(to, name);
	struct stat st;

	if (!source || !copy)
		return kc_error_no_memory();
	if (lstat(source, &st) < 0)
		return NULL;
	return S_ISDIR(st.st_mode) ? kc_tree_copy(source, copy) : copy_file(source, copy, 0600);
}

struct kc_error *kc_tree_sync(const char *path)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	return fd < 0 || syncfs(fd) < 0 ? write_error(errno, path) : NULL;
}
