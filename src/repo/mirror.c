/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mirror's run: all feeds are verified, then all patch files fetched, then everything is shown. */
#include "repo/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "repo/mirror_internal.h"
#include "repo/public_files.h"
#include "repo/repository.h"

enum { FEEDS_SIZE_MAX = 1 << 20, CERTIFICATE_SIZE_MAX = 1 << 20 };

#define CERTIFICATE_NAME "kernelcare_pub.der"

char *kc_mirror_path(const struct kc_mirror *mirror, const char *format, ...)
{
	kc_autofree char *name = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&name, format, args);
	va_end(args);
	if (n < 0) {
		name = NULL;
		return NULL;
	}
	return kc_path_join(mirror->dir, name);
}

struct kc_error *kc_mirror_write(const struct kc_mirror *mirror, const char *name, const void *data, size_t size)
{
	kc_autofree char *path = kc_path_join(mirror->dir, name), *folder = NULL;
	int err;

	if (!path)
		return kc_error_no_memory();
	folder = strndup(path, (size_t)(kc_path_name(path) - path));
	err = folder ? kc_dir_make(folder, 0755) : -ENOMEM;
	if (!err)
		err = kc_file_replace(path, data, size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

/* ---- the folder ---- */

static struct kc_error *make_folders(const struct kc_mirror *mirror)
{
	static const char *const folders[] = { "private", "private/state", "private/download", "public" };
	kc_autofree char *keys = kc_mirror_path(mirror, "private/keys");

	if (!keys)
		return kc_error_no_memory();
	if (!access(keys, F_OK))
		return kc_error_new(KC_ERR_REFUSED, "%s is a repository; a mirror needs a folder of its own",
				    mirror->dir);
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *path = kc_path_join(mirror->dir, folders[i]);
		int err = path ? kc_dir_make(path, i + 1 < KC_ARRAY_SIZE(folders) ? 0700 : 0755) : -ENOMEM;

		if (err)
			return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s/%s", mirror->dir,
					      folders[i]);
	}
	return NULL;
}

/* The root to trust: the one that is named, which is remembered, or the one from before. */
static struct kc_error *read_anchor(struct kc_mirror *mirror, const char *root)
{
	kc_autofree char *own = kc_mirror_path(mirror, "private/root.json");
	KC_CLEANUP_REPO_ROOT struct kc_repo_root decoded = { 0 };
	struct kc_error *verified;
	int err;

	if (!own)
		return kc_error_no_memory();
	err = kc_file_read_now(root ? root : own, KC_REPO_ROOT_SIZE_MAX, &mirror->anchor);
	if (err == -ENOENT && !root)
		return kc_error_new(KC_ERR_REFUSED,
				    "this mirror does not know whom to trust: get root.json from those who run the "
				    "repository, not from its web server, and name it with --root");
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", root ? root : own);
	verified = kc_root_verify(mirror->anchor.data, mirror->anchor.size, NULL, &decoded);
	if (verified)
		return kc_error_prefix(verified, "%s", root ? root : own);
	mirror->anchor_version = decoded.version;
	if (!root)
		return NULL;
	err = kc_file_write_atomic(own, mirror->anchor.data, mirror->anchor.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", own) : NULL;
}

/* ---- what the upstream has ---- */

static struct kc_error *list_feeds(struct kc_mirror *mirror, struct kc_mirror_names *feeds)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err =
		mirror->source->get(mirror->ctx, mirror->source->data, KC_PUBLIC_FEEDS_NAME, FEEDS_SIZE_MAX, &text);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND)
		return kc_error_prefix(err, "no repository of kcare is there");
	if (err)
		return err;
	return kc_public_feeds_decode(text.data, text.size, &feeds->names, &feeds->n_names);
}

/* A feed that is gone upstream is left alone: whoever only withholds it must not make hosts forget it. */
static struct kc_error *warn_about_lost(struct kc_mirror *mirror, const struct kc_mirror_names *feeds)
{
	kc_autofree char *path = kc_mirror_path(mirror, "public/feeds");
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t i = 0;

		while (i < feeds->n_names && strcmp(feeds->names[i], entry->d_name))
			i++;
		if (i == feeds->n_names && kc_feed_name_is_valid(entry->d_name))
			kc_warning(mirror->ctx,
				   "the upstream has no feed '%s' any more; the mirror keeps what it has: if that is "
				   "right, remove %s/%s and private/state/%s",
				   entry->d_name, path, entry->d_name, entry->d_name);
	}
	return path ? NULL : kc_error_no_memory();
}

/* Not signed by anybody: taken once, never replaced. */
static struct kc_error *fetch_certificate(struct kc_mirror *mirror)
{
	kc_autofree char *path = kc_mirror_path(mirror, "public/%s", CERTIFICATE_NAME);
	kc_autobuf struct kc_buf upstream = { 0 }, own = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	bool is_here;

	if (!path)
		return kc_error_no_memory();
	err = mirror->source->get(mirror->ctx, mirror->source->data, CERTIFICATE_NAME, CERTIFICATE_SIZE_MAX, &upstream);
	is_here = !kc_file_read_now(path, CERTIFICATE_SIZE_MAX, &own);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND)
		return NULL;
	if (err)
		return kc_steal(err);
	if (!is_here)
		return kc_mirror_write(mirror, "public/" CERTIFICATE_NAME, upstream.data, upstream.size);
	if (own.size != upstream.size || memcmp(own.data, upstream.data, own.size))
		kc_warning(mirror->ctx,
			   "the upstream has another %s, which nobody signed; the mirror keeps its own: if the new one "
			   "is right, remove %s",
			   CERTIFICATE_NAME, path);
	return NULL;
}

/* ---- the run ---- */

static struct kc_error *fetch_all(struct kc_mirror *mirror, const struct kc_mirror_names *feeds)
{
	mirror->feeds = calloc(feeds->n_names + 1, sizeof(*mirror->feeds));
	if (!mirror->feeds)
		return kc_error_no_memory();
	for (size_t i = 0; i < feeds->n_names; i++) {
		struct kc_error *err;

		mirror->n_feeds++;
		err = kc_mirror_feed_fetch(mirror, feeds->names[i], &mirror->feeds[i]);
		if (err)
			return kc_error_prefix(err, "feed %s", feeds->names[i]);
	}
	for (size_t i = 0; i < mirror->n_feeds; i++)
		KC_TRY(kc_mirror_blobs_fetch(mirror, &mirror->feeds[i]));
	KC_TRY(kc_mirror_patchsets_fetch(mirror));
	return fetch_certificate(mirror);
}

/* What a timestamp leads to must be on disk before it is. */
static struct kc_error *sync_public(const char *public_dir)
{
	kc_autoclose int fd = open(public_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write %s", public_dir);
	return NULL;
}

static struct kc_error *show_all(struct kc_mirror *mirror, const struct kc_mirror_names *feeds)
{
	kc_autofree char *public_dir = kc_mirror_path(mirror, "public");
	kc_autopublicfiles struct kc_public_files *files = NULL;
	kc_autofree const char **names = calloc(feeds->n_names + 1, sizeof(*names));

	if (!public_dir || !names)
		return kc_error_no_memory();
	KC_TRY(kc_public_files_open(mirror->ctx, public_dir, &files));
	for (size_t i = 0; i < mirror->n_feeds; i++) {
		names[i] = feeds->names[i];
		KC_TRY(kc_mirror_feed_prepare(mirror, &mirror->feeds[i], files));
	}
	KC_TRY(kc_public_files_finish(mirror->ctx, files, names));
	KC_TRY(sync_public(public_dir));
	for (size_t i = 0; i < mirror->n_feeds; i++)
		KC_TRY(kc_mirror_feed_show(mirror, &mirror->feeds[i]));
	return NULL;
}

static void clear_mirror(struct kc_mirror *mirror)
{
	for (size_t i = 0; i < mirror->n_feeds; i++)
		kc_mirror_feed_clear(&mirror->feeds[i]);
	free(mirror->feeds);
	kc_mirror_patchsets_clear(mirror);
	kc_buf_free(&mirror->anchor);
}

static struct kc_error *update(struct kc_mirror *mirror, const char *root)
{
	KC_CLEANUP_MIRROR_NAMES struct kc_mirror_names feeds = { 0 };

	KC_TRY(read_anchor(mirror, root));
	KC_TRY(list_feeds(mirror, &feeds));
	KC_TRY(fetch_all(mirror, &feeds));
	KC_TRY(show_all(mirror, &feeds));
	return warn_about_lost(mirror, &feeds);
}

struct kc_error *kc_mirror_update(struct kc_ctx *ctx, const char *dir, const struct kc_mirror_source *source,
				  const char *root, int64_t now, struct kc_mirrored *mirrored)
{
	struct kc_mirror mirror = { .ctx = ctx, .dir = dir, .source = source, .now = now, .mirrored = mirrored };
	kc_autoclose int lock = -1;
	struct kc_error *err;

	*mirrored = (struct kc_mirrored){ 0 };
	KC_TRY(make_folders(&mirror));
	KC_TRY(kc_repository_lock(ctx, dir, &lock));
	err = update(&mirror, root);
	mirrored->n_feeds = mirror.n_feeds;
	clear_mirror(&mirror);
	return err;
}
