/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A restore has two halves. All that will take the place of something is made beside it, NAME.restored: checked, and
 * published with versions that no host has seen. Then DATA/restoring says so, and from there on it is completed, now or
 * at the next start. What is cut off before that leaves everything as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/backup.h"
#include "portal/restore_check.h"
#include "portal/tree.h"
#include "sign/canonical.h"

enum { CONFIG_SIZE_MAX = 1 << 20, MARK_SIZE_MAX = 80, WAIT_S = 30 };

static const char *const folders[] = { "repository", "archives" };

/* What is to be completed: what, or-ed; which folders shall have the names of `folders`. */
struct mark {
	unsigned what;
	uintmax_t inodes[KC_ARRAY_SIZE(folders)];
};

/* Names beside something: what will take its place, and what it was before. */
static char *beside(const char *dir, const char *name, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/%s.%s", dir, name, suffix) < 0 ? NULL : path;
}

/* ---- versions ---- */

/* Of the last thing that this feed showed; 0: nothing. */
static int64_t version_of(const char *feed)
{
	kc_autofree char *path = kc_path_join(feed, "metadata/timestamp.json");
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *root = NULL;
	json_int_t version = 0;

	if (!path || kc_file_read_now(path, KC_REPO_TIMESTAMP_SIZE_MAX, &text))
		return 0;
	root = json_loadb(text.data, text.size, 0, NULL);
	return root && !json_unpack(root, "{s:{s:I}}", "signed", "version", &version) ? version : 0;
}

/* The highest version that hosts may have seen of a repository. */
static int64_t shown_version(const char *dir, const char *repository)
{
	kc_autofree char *path = NULL;
	kc_autoclosedir DIR *feeds = NULL;
	struct dirent *entry;
	int64_t version = 0;

	if (asprintf(&path, "%s/%s/public/feeds", dir, repository) < 0) {
		path = NULL;
		return 0;
	}
	feeds = opendir(path);
	while (feeds && (entry = readdir(feeds))) {
		kc_autofree char *feed = kc_path_join(path, entry->d_name);
		int64_t its = feed && *entry->d_name != '.' ? version_of(feed) : 0;

		version = its > version ? its : version;
	}
	return version;
}

/* Versions are Unix seconds: what is published after that moment is newer than what hosts have seen. */
static void wait_for(int64_t version)
{
	for (int tries = 0; time(NULL) <= version && tries < WAIT_S * 10; tries++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

/* All metadata gets new versions, above `seen`. */
static struct kc_error *publish(struct kc_portal *portal, const char *name, int64_t seen)
{
	kc_autorepository struct kc_repository *repository = NULL;
	kc_autofree char *path = kc_path_join(portal->dir, name);

	if (!path)
		return kc_error_no_memory();
	wait_for(seen);
	KC_TRY(kc_repository_open(portal->ctx, path, &repository));
	return kc_repository_refresh(portal->ctx, repository, true);
}

/* ---- the first half ---- */

static struct kc_error *bring_db(const struct kc_portal *portal, const char *db)
{
	kc_autofree char *ready = beside(portal->dir, "portal.db", "restored");

	return ready ? kc_db_make_ready(db, ready) : kc_error_no_memory();
}

static struct kc_error *bring_config(const struct kc_portal *portal, const char *path)
{
	kc_autofree char *from = kc_path_join(path, "config"), *to = beside(portal->dir, "config", "restored");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!from || !to)
		return kc_error_no_memory();
	KC_TRY(kc_restore_check_config(portal->ctx, from));
	err = kc_file_read_now(from, CONFIG_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL; /* the portal had none */
	if (!err)
		err = kc_file_write_atomic(to, text.data ? text.data : "", text.size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot restore %s", from) : NULL;
}

/* What was not there becomes empty. */
static struct kc_error *bring_folder(const char *dir, const char *path, const char *name)
{
	kc_autofree char *from = kc_path_join(path, name), *new = beside(dir, name, "restored");

	if (!from || !new)
		return kc_error_no_memory();
	if (!access(from, F_OK))
		return kc_tree_copy(from, new);
	return mkdir(new, 0755) < 0 ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make %s", new) : NULL;
}

static struct kc_error *bring_data(struct kc_portal *portal, const char *path)
{
	kc_autofree char *copy = beside(portal->dir, "repository", "restored");
	struct kc_error *err;

	if (!copy)
		return kc_error_no_memory();
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++)
		KC_TRY(bring_folder(portal->dir, path, folders[i]));
	err = publish(portal, "repository.restored", shown_version(portal->dir, "repository"));
	if (!err)
		err = kc_restore_check_shown(copy, path);
	return kc_restore_name_backup(err, copy, path);
}

/* `db` is that of the backup. */
static struct kc_error *bring(struct kc_portal *portal, const char *path, const char *db, unsigned what)
{
	if (what & KC_RESTORE_DB)
		KC_TRY(bring_db(portal, db));
	if (what & KC_RESTORE_CONFIG)
		KC_TRY(bring_config(portal, path));
	if (what & KC_RESTORE_DATA)
		KC_TRY(bring_data(portal, path));
	return kc_tree_sync(portal->dir);
}

/* Of both halves: whatever stands beside something. */
static void clear(const struct kc_portal *portal)
{
	static const char *const names[] = { "repository", "archives", "config", "portal.db" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		kc_autofree char *new = beside(portal->dir, names[i], "restored");
		kc_autofree char *before = beside(portal->dir, names[i], "before");

		if (new)
			kc_tree_remove(new);
		if (before)
			kc_tree_remove(before);
	}
}

/* ---- the mark ---- */

/* 0: it is not there. */
static uintmax_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static char *mark_path(const struct kc_portal *portal)
{
	return kc_path_join(portal->dir, "restoring");
}

static struct kc_error *set_mark(const struct kc_portal *portal, unsigned what, struct mark *mark)
{
	kc_autofree char *path = mark_path(portal);
	char text[MARK_SIZE_MAX];
	int err, size;

	if (!path)
		return kc_error_no_memory();
	*mark = (struct mark){ .what = what };
	for (size_t i = 0; what & KC_RESTORE_DATA && i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *new = beside(portal->dir, folders[i], "restored");

		if (!new)
			return kc_error_no_memory();
		mark->inodes[i] = inode_of(new);
	}
	size = snprintf(text, sizeof(text), "%u %ju %ju\n", what, mark->inodes[0], mark->inodes[1]);
	err = kc_file_write_atomic(path, text, (size_t)size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

/* `what` 0: nothing is to be completed. */
static struct kc_error *read_mark(const struct kc_portal *portal, struct mark *mark)
{
	kc_autofree char *path = mark_path(portal);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	*mark = (struct mark){ 0 };
	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, MARK_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	if (sscanf(text.data ? text.data : "", "%u %ju %ju", &mark->what, &mark->inodes[0], &mark->inodes[1]) != 3)
		return kc_error_new(KC_ERR_CORRUPT, "%s is damaged: restore a backup by hand", path);
	return NULL;
}

static struct kc_error *remove_mark(const struct kc_portal *portal)
{
	kc_autofree char *path = mark_path(portal);

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_tree_sync(portal->dir));
	if (unlink(path) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	return kc_tree_sync(portal->dir);
}

/* ---- the second half: each step may have been done already ---- */

static struct kc_error *take_db(const struct kc_portal *portal, unsigned what)
{
	kc_autofree char *ready = beside(portal->dir, "portal.db", "restored");

	if (!(what & KC_RESTORE_DB))
		return NULL;
	return ready ? kc_db_take_place(portal->db, ready) : kc_error_no_memory();
}

/* In one moment, where the file system can do it: hosts always see one of the two. */
static int exchange(const char *new, const char *now, const char *before)
{
	if (!renameat2(AT_FDCWD, new, AT_FDCWD, now, RENAME_EXCHANGE))
		return 0;
	if (errno == EINVAL && rename(now, before) < 0)
		return -errno;
	return rename(new, now) < 0 ? -errno : 0;
}

static struct kc_error *take_folder(const struct kc_portal *portal, const char *name, uintmax_t inode)
{
	kc_autofree char *now = kc_path_join(portal->dir, name), *new = beside(portal->dir, name, "restored");
	kc_autofree char *before = beside(portal->dir, name, "before");
	int err;

	if (!now || !new || !before)
		return kc_error_no_memory();
	if (inode_of(now) == inode)
		return NULL;
	err = exchange(new, now, before);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot rename %s to %s", new, now) : NULL;
}

static struct kc_error *take_config(const struct kc_portal *portal)
{
	kc_autofree char *now = kc_path_join(portal->dir, "config"), *new = beside(portal->dir, "config", "restored");

	if (!now || !new)
		return kc_error_no_memory();
	if (rename(new, now) < 0 && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot rename %s to %s", new, now);
	return NULL;
}

/* Somebody may have published in between, while the portal was down. */
static struct kc_error *publish_above(struct kc_portal *portal)
{
	int64_t seen = shown_version(portal->dir, "repository.restored");
	int64_t before = shown_version(portal->dir, "repository.before");

	seen = before > seen ? before : seen;
	return shown_version(portal->dir, "repository") > seen ? NULL : publish(portal, "repository", seen);
}

static struct kc_error *take_files(struct kc_portal *portal, const struct mark *mark)
{
	if (mark->what & KC_RESTORE_CONFIG)
		KC_TRY(take_config(portal));
	if (mark->what & KC_RESTORE_DATA) {
		for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++)
			KC_TRY(take_folder(portal, folders[i], mark->inodes[i]));
		KC_TRY(publish_above(portal));
	}
	KC_TRY(remove_mark(portal));
	clear(portal);
	return NULL;
}

/* ---- all of it ---- */

static enum kc_error_code read_code(int err)
{
	return err == EACCES ? KC_ERR_PERMISSION : err == EIO || err == ENOMEM ? KC_ERR_SYSTEM : KC_ERR_NOT_FOUND;
}

/* PATH is a folder made by kc_backup_write(), or, for the database alone, a file. */
static struct kc_error *find_database(const char *path, unsigned what, char **db)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return kc_error_errno(read_code(errno), errno, "cannot read %s", path);
	*db = S_ISDIR(st.st_mode) ? kc_path_join(path, "portal.db") : strdup(path);
	if (!*db)
		return kc_error_no_memory();
	if (!S_ISDIR(st.st_mode) && what != KC_RESTORE_DB)
		return kc_error_new(KC_ERR_INPUT, "%s is no folder: only a database can be a file", path);
	if (S_ISDIR(st.st_mode) && access(*db, R_OK) < 0)
		return kc_error_new(KC_ERR_NOT_FOUND, "%s is no backup of a portal: it has no portal.db", path);
	return NULL;
}

static struct kc_error *check(const struct kc_portal *portal, const char *path, unsigned what)
{
	kc_autofree char *repository = kc_path_join(path, "repository/private/repository.json");
	struct mark unfinished;

	if (!repository)
		return kc_error_no_memory();
	if (what & KC_RESTORE_DATA && access(repository, R_OK) < 0)
		return kc_error_new(KC_ERR_NOT_FOUND, "%s has no repository", path);
	KC_TRY(read_mark(portal, &unfinished));
	return unfinished.what
		       ? kc_error_new(KC_ERR_BUSY, "the restore of before is completed when eportald starts again")
		       : NULL;
}

struct kc_error *kc_backup_restore(struct kc_portal *portal, const char *path, unsigned what)
{
	kc_autofree char *db = NULL;
	struct kc_error *err;
	struct mark mark = { 0 };

	KC_TRY(find_database(path, what, &db));
	KC_TRY(check(portal, path, what));
	clear(portal);
	err = bring(portal, path, db, what);
	if (!err)
		err = set_mark(portal, what, &mark);
	if (err) {
		clear(portal);
		return err;
	}
	err = take_db(portal, what);
	if (err) {
		kc_error_free(remove_mark(portal));
		clear(portal);
		return err;
	}
	err = take_files(portal, &mark);
	return err ? kc_error_prefix(err, "the restore is completed when eportald starts again") : NULL;
}

struct kc_error *kc_backup_recover(struct kc_portal *portal)
{
	struct mark mark;

	KC_TRY(read_mark(portal, &mark));
	if (!mark.what) {
		clear(portal);
		return NULL;
	}
	kc_warning(portal->ctx, "a restore was cut off: it is completed now");
	KC_TRY(take_db(portal, mark.what));
	return take_files(portal, &mark);
}
