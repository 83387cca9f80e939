/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "portal/db/users.h"
#include "portal/http/address.h"
#include "portal/portal.h"
#include "sign/password.h"

static struct kc_error *check_empty(const char *path)
{
	kc_autoclosedir DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? NULL : kc_error_errno(KC_ERR_SYSTEM, errno, "cannot look into %s", path);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return kc_error_new(KC_ERR_REFUSED, "%s is not empty: a portal needs a folder of its own",
					    path);
	return NULL;
}

static struct kc_error *add_admin(struct kc_db_conn *conn, void *data)
{
	return kc_users_add(conn, data);
}

static struct kc_error *make_database(struct kc_ctx *ctx, const char *dir, const char *password)
{
	kc_autofree char *path = kc_path_join(dir, "portal.db");
	kc_autodb struct kc_db *db = NULL;
	char text[KC_PASSWORD_TEXT_SIZE];
	struct kc_user admin = {
		.name = (char *)"admin", .note = (char *)"", .password = text, .is_admin = true, .created = time(NULL)
	};

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_db_open(ctx, path, &db));
	if (!password)
		return NULL;
	KC_TRY(kc_password_hash(password, text));
	return kc_db_write_wait(db, add_admin, &admin);
}

/* Hosts may ask for the prefix "test" from the first day on: the newest, and whatever the other feeds have. */
static struct kc_error *add_test_feed(struct kc_ctx *ctx, const char *path)
{
	static char name[] = "test", note[] = "before others have it";
	const struct kc_feed_info info = { .name = name, .note = note, .channel = name, .auto_update = true };
	kc_autorepository struct kc_repository *repository = NULL;

	KC_TRY(kc_repository_open(ctx, path, &repository));
	return kc_repository_feed_add(ctx, repository, &info, NULL);
}

static struct kc_error *write_config(const char *dir, const char *listen)
{
	kc_autofree char *path = kc_path_join(dir, "config");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	kc_buf_printf(&text,
		      "# Read when eportald starts; eportald(8) lists all keys.\n\n"
		      "# Where hosts ask. Without TLS only behind a web server: https://portal.example.org\n"
		      "LISTEN=%s\n"
		      "#TLS_CERTIFICATE=/etc/ssl/eportal/cert.pem\n"
		      "#TLS_KEY=/etc/ssl/eportal/key.pem\n"
		      "#TRUSTED_PROXIES=127.0.0.1\n\n"
		      "# Another repository that this one follows, and the root that it is verified with.\n"
		      "#UPSTREAM=https://patches.example.org\n"
		      "#UPSTREAM_ROOT=/etc/eportal/upstream-root.json\n",
		      listen);
	if (!path || text.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text.data, text.size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

/* There from before anything else is until all of it is. */
static char *unfinished_path(const char *dir)
{
	return kc_path_join(dir, "unfinished");
}

/* Repository and archives are shown to web servers; whatever else is below is the portal's own. */
static struct kc_error *begin(const char *dir)
{
	kc_autofree char *path = unfinished_path(dir);
	int err = path ? kc_dir_make(dir, 0755) : -ENOMEM;
	kc_autoclose int fd = err ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (!err && fd < 0)
		err = -errno;
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write into %s", dir) : NULL;
}

bool kc_portal_is_unfinished(const char *dir)
{
	kc_autofree char *path = unfinished_path(dir);

	return path && !access(path, F_OK);
}

static struct kc_error *finish(const char *dir)
{
	kc_autofree char *path = unfinished_path(dir);

	if (!path)
		return kc_error_no_memory();
	if (unlink(path) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s", path);
	return NULL;
}

/* Nothing is in the way of the next try. The folder was empty: all that is in it is ours. */
static void undo_init(const char *dir, bool is_new)
{
	kc_autofree char *mark = unfinished_path(dir);
	kc_autoclosedir DIR *found = opendir(dir);
	struct dirent *entry;

	while (found && mark && (entry = readdir(found))) {
		kc_autofree char *path = kc_path_join(dir, entry->d_name);

		if (path && strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(path, mark))
			kc_tree_remove(path);
	}
	if (mark)
		unlink(mark);
	if (is_new)
		rmdir(dir);
}

static struct kc_error *make(struct kc_ctx *ctx, const char *dir, const char *listen, const struct kc_portal_init *init)
{
	kc_autofree char *repository = kc_path_join(dir, "repository");
	const struct kc_repository_options options = {
		.keys_dir = init->keys_dir,
		.apart_from = dir,
		.passphrase = init->passphrase,
		.authors = init->authors,
	};

	if (!repository)
		return kc_error_no_memory();
	KC_TRY(begin(dir));
	KC_TRY(write_config(dir, listen));
	KC_TRY(make_database(ctx, dir, init->admin_password));
	/* last: it takes its keys back when it fails */
	KC_TRY(kc_repository_init(ctx, repository, &options));
	KC_TRY(add_test_feed(ctx, repository));
	return finish(dir);
}

struct kc_error *kc_portal_init(struct kc_ctx *ctx, const char *dir, const struct kc_portal_init *init)
{
	const char *listen = init->listen ? init->listen : KC_PORTAL_LISTEN;
	struct sockaddr_storage address;
	struct kc_error *err;
	socklen_t size;
	bool is_new;

	KC_TRY(kc_listen_parse(listen, &address, &size));
	if (kc_portal_is_unfinished(dir))
		undo_init(dir, false);
	KC_TRY(check_empty(dir));
	is_new = access(dir, F_OK) < 0;
	err = make(ctx, dir, listen, init);
	if (err)
		undo_init(dir, is_new);
	return err;
}
