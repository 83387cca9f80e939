/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "repo/source_folder.h"

#include <errno.h>

#include "base/file.h"

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *name, size_t limit, struct kc_buf *out)
{
	kc_autofree char *path = kc_path_join(data, name);
	int err;

	(void)ctx;
	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, limit, out);
	if (err == -ENOENT || err == -ENOTDIR)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no %s", path);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %zu bytes", path, limit);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path) : NULL;
}

void kc_repo_source_folder(const char *folder, struct kc_repo_source *source)
{
	*source = (struct kc_repo_source){ (void *)folder, get };
}
