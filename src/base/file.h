/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files as wholes: read with a limit, write atomically (write, fsync, rename), make folders. 0 or -errno.
 */
#ifndef KC_BASE_FILE_H
#define KC_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"

/* Appends the content to `buf`. -EFBIG when there is more than `limit` bytes; pseudo files (/proc) work too. */
int kc_file_read(const char *path, size_t limit, struct kc_buf *buf);
/* The same where nobody may make us wait: a FIFO is an error, -EINVAL. */
int kc_file_read_now(const char *path, size_t limit, struct kc_buf *buf);
int kc_fd_read(int fd, size_t limit, struct kc_buf *buf);
/* Writes all bytes; retries short writes and EINTR. */
int kc_fd_write(int fd, const void *data, size_t size);
/* Replaces `path` as a whole: other programs see the old content or the new one, also after a power cut. */
int kc_file_write_atomic(const char *path, const void *data, size_t size, mode_t mode);
/* The same without waiting for the disk: for many files that can be made again, or before one syncfs(2). */
int kc_file_replace(const char *path, const void *data, size_t size, mode_t mode);
/*
 * The same for content that comes in pieces: opens a new file beside `path` (the caller frees its name), and puts it in
 * the place of `path`. Who begins and does not commit, or fails to, unlinks `*temporary`.
 */
int kc_file_begin(const char *path, char **temporary, int *fd);
int kc_file_commit(const char *path, const char *temporary, int fd, mode_t mode);
/*
 * Removes what runs that were killed began and left beside `path` ("DIR/NAME"), as far as it can. Only for who knows
 * that nobody else writes it now: that looks the same.
 */
void kc_file_remove_begun(const char *path);
/* mkdir -p. */
int kc_dir_make(const char *path, mode_t mode);
/* rm -r; a missing path is fine. Does not follow links. */
int kc_tree_remove(const char *path);

/* "dir/name" (caller frees; NULL when out of memory). */
char *kc_path_join(const char *dir, const char *name);
/* The part behind the last '/'. */
const char *kc_path_name(const char *path);

#endif
