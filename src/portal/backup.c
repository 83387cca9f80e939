/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/backup.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/tree.h"

static struct kc_error *write_error(int err, const char *path)
{
	return kc_error_errno(KC_ERR_SYSTEM, err, "cannot write %s", path);
}

static struct kc_error *check_free(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? NULL : kc_error_new(KC_ERR_EXISTS, "%s is there already", path);
}

struct kc_error *kc_backup_write_db(struct kc_portal *portal, const char *path)
{
	KC_TRY(check_free(path));
	return kc_db_backup(portal->ctx, portal->db, path);
}

static struct kc_error *write_all(struct kc_portal *portal, const char *path)
{
	static const char *const parts[] = { "config", "repository", "archives" };
	kc_autofree char *db = kc_path_join(path, "portal.db");

	if (!db)
		return kc_error_no_memory();
	if (mkdir(path, 0700) < 0)
		return write_error(errno, path);
	KC_TRY(kc_db_backup(portal->ctx, portal->db, db));
	for (size_t i = 0; i < KC_ARRAY_SIZE(parts); i++)
		KC_TRY(kc_tree_copy_part(portal->dir, path, parts[i]));
	return NULL;
}

struct kc_error *kc_backup_write(struct kc_portal *portal, const char *path)
{
	kc_autofree char *unfinished = NULL;
	struct kc_error *err;

	KC_TRY(check_free(path));
	if (asprintf(&unfinished, "%s.unfinished", path) < 0) {
		unfinished = NULL;
		return kc_error_no_memory();
	}
	kc_tree_remove(unfinished);
	err = write_all(portal, unfinished);
	if (!err)
		err = kc_tree_sync(unfinished);
	if (!err && rename(unfinished, path) < 0)
		err = write_error(errno, path);
	if (err)
		kc_tree_remove(unfinished);
	return err;
}
