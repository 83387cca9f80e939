/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"

#define PREFIX "kcare-build-"

enum { MIN_AGE = 60 };

/* Opens a folder and takes its lock; -1 when someone else has it. */
static int lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Only folders of this user; a new one may not be locked yet. */
static void remove_stale(const char *base)
{
	kc_autoclosedir DIR *dir = opendir(base);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		kc_autofree char *path = NULL;
		kc_autoclose int fd = -1;
		struct stat st;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)))
			continue;
		path = kc_path_join(base, entry->d_name);
		if (!path || lstat(path, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		    time(NULL) - st.st_mtime < MIN_AGE)
			continue;
		fd = lock(path);
		if (fd >= 0)
			kc_tree_remove(path);
	}
}

struct kc_error *kc_scratch_make(const char *base, struct kc_scratch *scratch)
{
	char *template = kc_path_join(base, PREFIX "XXXXXX");

	remove_stale(base);
	if (!template)
		return kc_error_no_memory();
	if (!mkdtemp(template)) {
		free(template);
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make a folder in %s", base);
	}
	scratch->path = template;
	scratch->lock_fd = lock(template);
	return NULL;
}

void kc_scratch_remove(struct kc_scratch *scratch)
{
	if (!scratch->path)
		return;
	kc_tree_remove(scratch->path);
	kc_cleanup_fd(&scratch->lock_fd);
	free(scratch->path);
	*scratch = (struct kc_scratch){ 0 };
}
