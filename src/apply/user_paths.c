/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/file.h"

char *kc_user_path(const char *fixed)
{
	const char *root = secure_getenv("KCARE_ROOT");
	char *path;

	return asprintf(&path, "%s%s", root ? root : "", fixed) < 0 ? NULL : path;
}

struct kc_error *kc_user_lock(const char *fixed, bool wait, int *fd)
{
	kc_autofree char *path = kc_user_path(fixed), *dir = NULL;
	int err;

	dir = path ? strndup(path, (size_t)(kc_path_name(path) - path - 1)) : NULL;
	if (!dir)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0755);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", dir);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	while (flock(*fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
		if (errno == EWOULDBLOCK)
			return kc_error_new(KC_ERR_BUSY, "another process holds %s", path);
		if (errno != EINTR)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot lock %s", path);
	}
	return NULL;
}
