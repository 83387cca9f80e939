/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/lock.h"

#include <sys/stat.h>
#include <time.h>

#include "agent/paths.h"

enum { RETRY_MS = 100 };

/* A lock that another user made, or may open, if only for reading, he could hold for ever. */
static struct kc_error *check_owner(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IRWXG | S_IRWXO))
		return kc_error_new(KC_ERR_PERMISSION,
				    "the lock " KC_PATH_AGENT_LOCK " belongs to somebody else, or others may open it: "
				    "remove it");
	return NULL;
}

struct kc_error *kc_agent_lock(unsigned wait_ms, int *fd)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000 };

	/* whoever prepares an image may do so as anybody */
	if (geteuid() != 0 && !secure_getenv("KCARE_ROOT"))
		return kc_error_new(KC_ERR_PERMISSION, "only root may do this: try again with sudo");
	for (unsigned waited_ms = 0;; waited_ms += RETRY_MS) {
		kc_autoerror struct kc_error *err = kc_user_lock(KC_PATH_AGENT_LOCK, false, fd);

		if (!err)
			return check_owner(*fd);
		if (kc_error_code(err) != KC_ERR_BUSY)
			return kc_steal(err);
		kc_cleanup_fd(fd);
		*fd = -1;
		if (waited_ms >= wait_ms)
			return kc_error_new(
				KC_ERR_LOCKED,
				"another kcarectl has been at work for %u seconds or more; try again when it "
				"has finished",
				wait_ms / 1000);
		nanosleep(&pause, NULL);
	}
}
