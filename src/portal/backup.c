/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/backup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/tree.h"

enum { NAME_LENGTH_MAX = 200 }; /* more is added while it is not complete */

static struct kc_error *write_error(int err, const char *path)
{
	return kc_error_errno(KC_ERR_SYSTEM, err, "cannot write %s", path);
}

/* Where the operator wants to have it: a path that cannot be is his mistake, not ours. */
static struct kc_error *check_place(const char *path)
{
	kc_autofree char *folder = strdup(path);
	struct stat st;

	if (!folder)
		return kc_error_no_memory();
	if (!lstat(path, &st))
		return kc_error_new(KC_ERR_EXISTS, "%s is there already", path);
	if (errno != ENOENT)
		return kc_error_errno(errno == EACCES ? KC_ERR_PERMISSION : KC_ERR_INPUT, errno, "%s", path);
	if (strlen(strrchr(path, '/')) > NAME_LENGTH_MAX)
		return kc_error_new(KC_ERR_INPUT, "the name of %s is too long", path);
	*strrchr(folder, '/') = '\0';
	if (stat(*folder ? folder : "/", &st) < 0 || !S_ISDIR(st.st_mode))
		return kc_error_new(KC_ERR_INPUT, "there is no folder %s", folder);
	if (access(*folder ? folder : "/", W_OK) < 0)
		return kc_error_errno(KC_ERR_PERMISSION, errno, "eportald may not write into %s", folder);
	return NULL;
}

struct kc_error *kc_backup_write_db(struct kc_portal *portal, const char *path)
{
	KC_TRY(check_place(path));
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

	KC_TRY(check_place(path));
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
