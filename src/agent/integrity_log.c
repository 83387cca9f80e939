/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/integrity_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/paths.h"
#include "base/file.h"
#include "repo/metadata.h"

bool kc_is_violation(const struct kc_error *err)
{
	switch (kc_error_code(err)) {
	case KC_ERR_UNSIGNED:
	case KC_ERR_UNKNOWN_KEY:
	case KC_ERR_BAD_SIGNATURE:
	case KC_ERR_REVOKED_KEY:
	case KC_ERR_ROLLBACK:
	case KC_ERR_EXPIRED:
	case KC_ERR_CLOCK:
	case KC_ERR_MIXED:
	case KC_ERR_WRONG_FEED:
	case KC_ERR_WRONG_TARGET:
	case KC_ERR_FAST_FORWARD:
	case KC_ERR_ROOT_CHAIN:
	case KC_ERR_REDIRECT:
	case KC_ERR_CORRUPT:
	case KC_ERR_LIMIT:
	case KC_ERR_NOT_A_PATCH:
		return true;
	default:
		return false;
	}
}

static void append_escaped(struct kc_buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f || c >= 0x80 || c == '\\')
			kc_buf_printf(out, "\\x%02x", c);
		else
			kc_buf_append(out, text, 1);
	}
}

void kc_integrity_line(const struct kc_error *err, const char *feed, const char *url, int64_t now, struct kc_buf *out)
{
	char when[21];

	kc_repo_time_text(now, when);
	kc_buf_printf(out, "%s %s ", when, kc_error_code_name(kc_error_code(err)));
	append_escaped(out, feed);
	kc_buf_append_str(out, " ");
	append_escaped(out, url ? url : "-");
	kc_buf_append_str(out, " ");
	append_escaped(out, kc_error_message(err));
	kc_buf_append_str(out, "\n");
}

/* Opens the log for appending, with its folder. Nobody else may have put it there: root would write where he says. */
static int open_log(const char *path)
{
	kc_autofree char *dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	kc_autoclose int fd = -1;
	struct stat st;
	int err = dir ? kc_dir_make(dir, 0750) : -ENOMEM;

	if (err)
		return err;
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return kc_steal_fd(&fd);
}

void kc_integrity_log(struct kc_ctx *ctx, const struct kc_error *err, const char *feed, const char *url)
{
	kc_autofree char *path = kc_user_path(KC_PATH_INTEGRITY_LOG);
	kc_autobuf struct kc_buf line = { 0 };
	kc_autoclose int fd = path ? open_log(path) : -ENOMEM;
	int failed;

	kc_integrity_line(err, feed, url, time(NULL), &line);
	failed = fd < 0 ? fd : line.failed ? -ENOMEM : kc_fd_write(fd, line.data, line.size);
	if (failed == -EPERM)
		kc_warning(ctx,
			   "%s or its folder belongs to somebody else, or others may write to it: nothing is logged "
			   "there",
			   path);
	else if (failed)
		kc_warning(ctx, "cannot write %s: %s", KC_PATH_INTEGRITY_LOG, strerror(-failed));
}
