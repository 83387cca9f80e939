/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

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

static struct kc_error *copy_entry(const char *from, const char *to, const char *name)
{
	kc_autofree char *source = kc_path_join(from, name), *copy = kc_path_join(to, name);
	struct stat st;
	char *target;

	if (!source || !copy)
		return kc_error_no_memory();
	/* who holds the one must not hold the other */
	if (!strcmp(name, "lock"))
		return NULL;
	if (lstat(source, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", source);
	if (S_ISDIR(st.st_mode))
		return kc_tree_copy(source, copy);
	if (S_ISREG(st.st_mode))
		return link(source, copy) < 0 ? copy_file(source, copy, st.st_mode & 07777) : NULL;
	if (!S_ISLNK(st.st_mode))
		return NULL;
	/* of the public folder: "12h" leads to main */
	target = realloc(NULL, (size_t)st.st_size + 1);
	if (!target)
		return kc_error_no_memory();
	st.st_size = readlink(source, target, (size_t)st.st_size);
	if (st.st_size >= 0)
		target[st.st_size] = '\0';
	if (st.st_size < 0 || symlink(target, copy) < 0) {
		free(target);
		return write_error(errno, copy);
	}
	free(target);
	return NULL;
}

struct kc_error *kc_tree_copy(const char *from, const char *to)
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
			KC_TRY(copy_entry(from, to, entry->d_name));
	return chmod(to, st.st_mode & 07777) < 0 ? write_error(errno, to) : NULL;
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
