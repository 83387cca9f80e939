/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "sign/canonical.h"

enum { CONFIG_SIZE_MAX = 1 << 20, COPY_SIZE = 1 << 20, WAIT_S = 30 };

/* Folders of a portal that are restored as wholes. */
static const char *const folders[] = { "repository", "archives" };

static struct kc_error *write_error(int err, const char *path)
{
	return kc_error_errno(KC_ERR_SYSTEM, err, "cannot write %s", path);
}

/* ---- copies ---- */

static int copy_data(int from, int to)
{
	kc_autofree char *data = malloc(COPY_SIZE);
	ssize_t n;
	int err = 0;

	if (!data)
		return -ENOMEM;
	while (!err && (n = read(from, data, COPY_SIZE)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			err = kc_fd_write(to, data, (size_t)n);
	}
	return err;
}

static struct kc_error *copy_file(const char *from, const char *to, mode_t mode)
{
	kc_autoclose int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	kc_autoclose int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (in < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	if (out < 0)
		return write_error(errno, to);
	err = copy_data(in, out);
	if (!err && (fchmod(out, mode) < 0 || fsync(out) < 0))
		err = -errno;
	return err ? write_error(-err, to) : NULL;
}

static struct kc_error *copy_tree(const char *from, const char *to);

static struct kc_error *copy_entry(const char *from, const char *to, const char *name)
{
	kc_autofree char *source = kc_path_join(from, name), *copy = kc_path_join(to, name);
	struct stat st;
	char *target;

	if (!source || !copy)
		return kc_error_no_memory();
	/* who holds the one must not hold the other */
	if (!strcmp(name, "lock"))
		return NULL;
	if (lstat(source, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", source);
	if (S_ISDIR(st.st_mode))
		return copy_tree(source, copy);
	if (S_ISREG(st.st_mode))
		return link(source, copy) < 0 ? copy_file(source, copy, st.st_mode & 07777) : NULL;
	if (!S_ISLNK(st.st_mode))
		return NULL;
	/* of the public folder: "12h" leads to main */
	target = realloc(NULL, (size_t)st.st_size + 1);
	if (!target)
		return kc_error_no_memory();
	st.st_size = readlink(source, target, (size_t)st.st_size);
	if (st.st_size >= 0)
		target[st.st_size] = '\0';
	if (st.st_size < 0 || symlink(target, copy) < 0) {
		free(target);
		return write_error(errno, copy);
	}
	free(target);
	return NULL;
}

static struct kc_error *copy_tree(const char *from, const char *to)
{
	kc_autoclosedir DIR *dir = opendir(from);
	struct dirent *entry;
	struct stat st;

	if (!dir || fstat(dirfd(dir), &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	if (mkdir(to, 0700) < 0)
		return write_error(errno, to);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			KC_TRY(copy_entry(from, to, entry->d_name));
	return chmod(to, st.st_mode & 07777) < 0 ? write_error(errno, to) : NULL;
}

/* `name` of one folder into another; nothing, when it is not there. */
static struct kc_error *copy_part(const char *from, const char *to, const char *name)
{
	kc_autofree char *source = kc_path_join(from, name), *copy = kc_path_join(to, name);
	struct stat st;

	if (!source || !copy)
		return kc_error_no_memory();
	if (lstat(source, &st) < 0)
		return NULL;
	return S_ISDIR(st.st_mode) ? copy_tree(source, copy) : copy_file(source, copy, 0600);
}

/* ---- backup ---- */

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
	kc_autofree char *db = kc_path_join(path, "portal.db");

	if (!db)
		return kc_error_no_memory();
	if (mkdir(path, 0700) < 0)
		return write_error(errno, path);
	KC_TRY(kc_db_backup(portal->ctx, portal->db, db));
	KC_TRY(copy_part(portal->dir, path, "config"));
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++)
		KC_TRY(copy_part(portal->dir, path, folders[i]));
	return NULL;
}

static struct kc_error *sync_all(const char *path)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	return fd < 0 || syncfs(fd) < 0 ? write_error(errno, path) : NULL;
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
		err = sync_all(unfinished);
	if (!err && rename(unfinished, path) < 0)
		err = write_error(errno, path);
	if (err)
		kc_tree_remove(unfinished);
	return err;
}

/* ---- restore ---- */

/* Names beside the folder: what will take its place, and what it was before. */
static char *beside(const char *dir, const char *name, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/%s.%s", dir, name, suffix) < 0 ? NULL : path;
}

static struct kc_error *rename_part(const char *from, const char *to)
{
	if (rename(from, to) < 0 && errno != ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot rename %s to %s", from, to);
	return NULL;
}

static struct kc_error *bring_folder(const char *dir, const char *path, const char *name)
{
	kc_autofree char *from = kc_path_join(path, name), *new = beside(dir, name, "restored");

	if (!from || !new)
		return kc_error_no_memory();
	kc_tree_remove(new);
	return access(from, F_OK) < 0 ? NULL : copy_tree(from, new);
}

/* Two renames; kc_backup_recover() knows every state between them. */
static struct kc_error *exchange(const char *dir, const char *name)
{
	kc_autofree char *now = kc_path_join(dir, name), *new = beside(dir, name, "restored");
	kc_autofree char *before = beside(dir, name, "before");

	if (!now || !new || !before)
		return kc_error_no_memory();
	kc_tree_remove(before);
	KC_TRY(rename_part(now, before));
	return rename_part(new, now);
}

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

/* The highest version that hosts may have seen. */
static int64_t seen_version(const char *dir)
{
	kc_autofree char *path = kc_path_join(dir, "repository/public/feeds");
	kc_autoclosedir DIR *feeds = path ? opendir(path) : NULL;
	struct dirent *entry;
	int64_t version = 0;

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

/* All metadata gets new versions: hosts have seen what came after the backup. */
static struct kc_error *publish(struct kc_ctx *ctx, const char *dir)
{
	kc_autorepository struct kc_repository *repository = NULL;
	kc_autofree char *path = kc_path_join(dir, "repository");

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_repository_open(ctx, path, &repository));
	return kc_repository_refresh(ctx, repository, true);
}

static struct kc_error *restore_data(struct kc_portal *portal, const char *path)
{
	int64_t version = seen_version(portal->dir);

	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++)
		KC_TRY(bring_folder(portal->dir, path, folders[i]));
	KC_TRY(sync_all(portal->dir));
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++)
		KC_TRY(exchange(portal->dir, folders[i]));
	wait_for(version);
	KC_TRY(publish(portal->ctx, portal->dir));
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *before = beside(portal->dir, folders[i], "before");

		if (before)
			kc_tree_remove(before);
	}
	return NULL;
}

static struct kc_error *restore_config(struct kc_portal *portal, const char *path)
{
	kc_autofree char *from = kc_path_join(path, "config"), *to = kc_path_join(portal->dir, "config");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!from || !to)
		return kc_error_no_memory();
	err = kc_file_read_now(from, CONFIG_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL; /* the portal had none */
	if (!err)
		err = kc_file_write_atomic(to, text.data ? text.data : "", text.size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot restore %s", to) : NULL;
}

/* PATH is a folder made by kc_backup_write(), or, for the database alone, a file. */
static struct kc_error *find_database(const char *path, unsigned what, char **db)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return kc_error_errno(errno == ENOENT ? KC_ERR_NOT_FOUND : KC_ERR_SYSTEM, errno, "cannot read %s",
				      path);
	*db = S_ISDIR(st.st_mode) ? kc_path_join(path, "portal.db") : strdup(path);
	if (!*db)
		return kc_error_no_memory();
	if (!S_ISDIR(st.st_mode) && what != KC_RESTORE_DB)
		return kc_error_new(KC_ERR_INPUT, "%s is no folder: only a database can be a file", path);
	if (S_ISDIR(st.st_mode) && access(*db, R_OK) < 0)
		return kc_error_new(KC_ERR_NOT_FOUND, "%s is no backup of a portal: it has no portal.db", path);
	return NULL;
}

struct kc_error *kc_backup_restore(struct kc_portal *portal, const char *path, unsigned what)
{
	kc_autofree char *db = NULL, *repository = kc_path_join(path, "repository/private/repository.json");

	if (!repository)
		return kc_error_no_memory();
	KC_TRY(find_database(path, what, &db));
	if (what & KC_RESTORE_DATA && access(repository, R_OK) < 0)
		return kc_error_new(KC_ERR_NOT_FOUND, "%s has no repository", path);
	/* the database first: it is checked before anything changes */
	if (what & KC_RESTORE_DB)
		KC_TRY(kc_db_restore(portal->ctx, portal->db, db));
	if (what & KC_RESTORE_CONFIG)
		KC_TRY(restore_config(portal, path));
	return what & KC_RESTORE_DATA ? restore_data(portal, path) : NULL;
}

/* ---- after a cut ---- */

/*
 * Where the folder is missing, what was there before comes back. Where it is not, the restore is over, or had not begun
 * to show: what is left beside it goes. In both cases all that is published gets new versions.
 */
struct kc_error *kc_backup_recover(struct kc_ctx *ctx, const char *dir)
{
	bool was_cut = false;

	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *now = kc_path_join(dir, folders[i]), *new = beside(dir, folders[i], "restored");
		kc_autofree char *before = beside(dir, folders[i], "before");

		if (!now || !new || !before)
			return kc_error_no_memory();
		was_cut |= !access(before, F_OK);
		if (access(now, F_OK) < 0)
			KC_TRY(rename_part(before, now));
		kc_tree_remove(new);
		kc_tree_remove(before);
	}
	if (!was_cut)
		return NULL;
	kc_warning(ctx, "a restore was cut off: what hosts see is published anew");
	return publish(ctx, dir);
}
