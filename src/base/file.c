/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

/* The end of what is begun. The random part alone could be somebody's "backup". */
#define BEGUN ".new-"
#define BEGUN_RANDOM "XXXXXX"
#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

int kc_fd_read(int fd, size_t limit, struct kc_buf *buf)
{
	char chunk[65536];
	size_t total = 0;
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		total += (size_t)n;
		if (total > limit)
			return -EFBIG;
		kc_buf_append(buf, chunk, (size_t)n);
	}
	kc_buf_append(buf, "", 0);
	return buf->failed ? -ENOMEM : 0;
}

int kc_file_read(const char *path, size_t limit, struct kc_buf *buf)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : kc_fd_read(fd, limit, buf);
}

int kc_file_read_now(const char *path, size_t limit, struct kc_buf *buf)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISFIFO(st.st_mode) ? -EINVAL : kc_fd_read(fd, limit, buf);
}

int kc_fd_write(int fd, const void *data, size_t size)
{
	const char *p = data;
	ssize_t n;

	while (size) {
		n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

/* A rename is only durable once its folder is. */
static int sync_parent(const char *path)
{
	kc_autofree char *dir = strdup(path);
	kc_autoclose int fd = -1;
	char *slash;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int kc_file_begin(const char *path, char **temporary, int *fd)
{
	if (asprintf(temporary, "%s" BEGUN BEGUN_RANDOM, path) < 0) {
		*temporary = NULL;
		return -ENOMEM;
	}
	*fd = mkostemp(*temporary, O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int kc_file_commit(const char *path, const char *temporary, int fd, mode_t mode)
{
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0)
		return -errno;
	return sync_parent(path);
}

/* What kc_file_begin() makes for a file that is called `of`? */
static bool is_begun(const char *name, const char *of)
{
	size_t size = strlen(of);

	if (strncmp(name, of, size) || strncmp(name + size, BEGUN, strlen(BEGUN)))
		return false;
	name += size + strlen(BEGUN);
	return strlen(name) == strlen(BEGUN_RANDOM) && !name[strspn(name, LETTERS_AND_DIGITS)];
}

void kc_file_remove_begun(const char *path)
{
	kc_autofree char *folder = strndup(path, (size_t)(kc_path_name(path) - path));
	kc_autoclosedir DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (is_begun(entry->d_name, kc_path_name(path)) &&
		    !fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
			unlinkat(dirfd(dir), entry->d_name, 0);
}

int kc_file_write_atomic(const char *path, const void *data, size_t size, mode_t mode)
{
	kc_autofree char *temporary = NULL;
	kc_autoclose int fd = -1;
	int err = kc_file_begin(path, &temporary, &fd);

	if (err)
		return err;
	err = kc_fd_write(fd, data, size);
	if (!err)
		err = kc_file_commit(path, temporary, fd, mode);
	if (err)
		unlink(temporary);
	return err;
}

int kc_file_replace(const char *path, const void *data, size_t size, mode_t mode)
{
	kc_autofree char *temporary = NULL;
	kc_autoclose int fd = -1;
	int err = kc_file_begin(path, &temporary, &fd);

	if (err)
		return err;
	err = kc_fd_write(fd, data, size);
	if (!err && (fchmod(fd, mode) < 0 || rename(temporary, path) < 0))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

int kc_dir_make(const char *path, mode_t mode)
{
	kc_autofree char *copy = NULL;

	/* nearly always it is there already */
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	if (!*copy)
		return -ENOENT;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) < 0 ? -errno : 0;
}

int kc_tree_remove(const char *path)
{
	int err = nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);

	if (err == -1)
		return errno == ENOENT ? 0 : -errno;
	return err;
}

char *kc_path_join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

const char *kc_path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
