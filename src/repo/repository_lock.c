/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run at a time changes a repository. */
#include "repo/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { WAIT_TRIES = 300, WAIT_MS = 100 };

static struct kc_error *wait_for_lock(struct kc_ctx *ctx, int fd, const char *path)
{
	const struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };

	for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot lock %s", path);
		if (tries == WAIT_TRIES)
			return kc_error_new(KC_ERR_LOCKED, "another run of kcare-repo holds %s for %d s", path,
					    WAIT_TRIES * WAIT_MS / 1000);
		if (tries == 0)
			kc_info(ctx, "waiting for another run that holds %s", path);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Whoever held it may have put another folder in the place of this one: then it is the lock of nothing. */
static bool is_same_file(int fd, const char *path)
{
	struct stat held, now;

	return !fstat(fd, &held) && !stat(path, &now) && held.st_dev == now.st_dev && held.st_ino == now.st_ino;
}

struct kc_error *kc_repository_lock(struct kc_ctx *ctx, const char *dir, int *fd)
{
	kc_autofree char *path = NULL;
	kc_autoclose int opened = -1;

	if (asprintf(&path, "%s/private/lock", dir) < 0) {
		path = NULL;
		return kc_error_no_memory();
	}
	do {
		kc_cleanup_fd(&opened);
		opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (opened < 0 && (errno == ENOENT || errno == ENOTDIR))
			return kc_error_new(KC_ERR_INPUT, "%s is not a repository: it has no folder private/", dir);
		if (opened < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
		KC_TRY(wait_for_lock(ctx, opened, path));
	} while (!is_same_file(opened, path));
	*fd = kc_steal_fd(&opened);
	return NULL;
}
