/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/cache.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"

struct kc_error *kc_cache_make_dir(const char *path)
{
	int err = kc_dir_make(path, 0755);

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make %s", path) : NULL;
}

static char *default_dir(void)
{
	const char *root = getenv("KCARE_ROOT"), *cache = getenv("KCARE_BUILD_CACHE");
	const char *user_cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *dir;
	int n;

	if (cache && *cache)
		return strdup(cache);
	if (!geteuid() || (root && *root))
		n = asprintf(&dir, "%s/var/cache/kcare/build", root ? root : "");
	else if (user_cache && *user_cache)
		n = asprintf(&dir, "%s/kcare/build", user_cache);
	else
		n = asprintf(&dir, "%s/.cache/kcare/build", home ? home : "/tmp");
	return n < 0 ? NULL : dir;
}

bool kc_cache_path_is_plain(const char *path)
{
	for (; *path; path++)
		if (!isalnum((unsigned char)*path) && !strchr("/._+~-@,", *path))
			return false;
	return true;
}

/* Root runs makefiles from here, and signs what comes out. */
static struct kc_error *check_owner(const char *dir)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot use %s", dir);
	if ((st.st_uid == geteuid() || !st.st_uid) && !(st.st_mode & S_IWOTH))
		return NULL;
	return kc_error_new(KC_ERR_PERMISSION, "the cache %s can be changed by others; name another with --cache", dir);
}

struct kc_error *kc_cache_open(const char *wanted, char **dir)
{
	kc_autofree char *path = wanted ? strdup(wanted) : default_dir(), *real = NULL;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_cache_make_dir(path));
	real = realpath(path, NULL);
	if (!real)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot use %s", path);
	KC_TRY(check_owner(real));
	if (!kc_cache_path_is_plain(real))
		return kc_error_new(KC_ERR_INPUT, "the cache's path %s has characters that makefiles do not bear",
				    real);
	*dir = kc_steal(real);
	return NULL;
}

struct kc_error *kc_cache_check_space(const char *dir, unsigned long long needed_mib, const char *what)
{
	unsigned long long free_mib;
	struct statvfs fs;

	if (statvfs(dir, &fs) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot use %s", dir);
	free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
	if (free_mib >= needed_mib)
		return NULL;
	return kc_error_new(KC_ERR_SYSTEM, "the cache %s has %llu MiB free, but %s need at least %llu", dir, free_mib,
			    what, needed_mib);
}

struct kc_error *kc_cache_lock(struct kc_ctx *ctx, const char *path, const char *what, int *fd)
{
	kc_autofree char *lock = NULL;

	if (asprintf(&lock, "%s.lock", path) < 0) {
		lock = NULL;
		return kc_error_no_memory();
	}
	*fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (*fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", lock);
	if (!flock(*fd, LOCK_EX | LOCK_NB))
		return NULL;
	kc_info(ctx, "waiting for another kcare-build that works on %s", what);
	while (flock(*fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot lock %s", lock);
	return NULL;
}
