/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One feed of a mirror. What is shown is what the client of repo/client.h accepted, byte for byte. */
#include "repo/mirror_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

void kc_mirror_names_clear(struct kc_mirror_names *names)
{
	for (size_t i = 0; i < names->n_names; i++)
		free(names->names[i]);
	free(names->names);
}

void kc_mirror_feed_clear(struct kc_mirror_feed *feed)
{
	free(feed->name);
	kc_repo_client_free(feed->client);
	kc_mirror_names_clear(&feed->paths);
}

/* ---- from the upstream ---- */

struct feed_source {
	const struct kc_mirror *mirror;
	const char *feed;
};

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	const struct feed_source *from = data;
	kc_autofree char *name = NULL;

	if (asprintf(&name, "feeds/%s/%s", from->feed, path) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return from->mirror->source->get(ctx, from->mirror->source->data, name, limit, out);
}

struct kc_error *kc_mirror_feed_fetch(struct kc_mirror *mirror, const char *name, struct kc_mirror_feed *feed)
{
	kc_autofree char *state = kc_mirror_path(mirror, "private/state/%s", name);
	struct feed_source from = { mirror, name };
	const struct kc_repo_source source = { &from, get };
	struct kc_repo_refreshed refreshed;

	feed->name = strdup(name);
	if (!state || !feed->name)
		return kc_error_no_memory();
	KC_TRY(kc_repo_client_open(mirror->ctx, state, name, mirror->anchor.data, mirror->anchor.size, &feed->client));
	KC_TRY(kc_repo_client_refresh(mirror->ctx, feed->client, &source, mirror->now, &refreshed));
	return kc_repo_client_paths(mirror->ctx, feed->client, &source, &feed->paths.names, &feed->paths.n_names);
}

/* A list, from the state folder or the upstream. */
static struct kc_error *read_target(struct kc_mirror *mirror, struct kc_mirror_feed *feed, const char *path,
				    struct kc_buf *text, char hash[KC_SHA256_TEXT_SIZE])
{
	struct feed_source from = { mirror, feed->name };
	const struct kc_repo_source source = { &from, get };

	return kc_repo_client_target(mirror->ctx, feed->client, &source, path, KC_TARGET_LIST_SIZE_MAX, text, hash);
}

/*
 * Names have versions or hashes, so a file that is whole needs no second look; one that a power cut left has another
 * size.
 */
static bool has_file(const char *path, uint64_t size)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

static struct kc_error *fetch_blob(struct kc_mirror *mirror, const struct kc_target_entry *entry)
{
	kc_autofree char *name = kc_blob_path(entry->hash);
	kc_autofree char *to = name ? kc_mirror_path(mirror, "public/%s", name) : NULL;
	kc_autofree char *part = kc_mirror_path(mirror, "private/download/%s", entry->hash), *folder = NULL;
	char what[128];
	int err;

	if (!to || !part)
		return kc_error_no_memory();
	if (has_file(to, entry->size))
		return NULL;
	snprintf(what, sizeof(what), "downloading %.64s", entry->patchset);
	KC_TRY(mirror->source->get_file(mirror->ctx, mirror->source->data, name, entry->hash, entry->size, part, what));
	folder = strndup(to, (size_t)(kc_path_name(to) - to));
	err = folder ? kc_dir_make(folder, 0755) : -ENOMEM;
	if (!err && (chmod(part, 0644) < 0 || rename(part, to) < 0))
		err = -errno;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot move %s to %s", part, to);
	mirror->mirrored->n_new_blobs++;
	mirror->mirrored->n_new_bytes += entry->size;
	return NULL;
}

static struct kc_error *fetch_blobs_of(struct kc_mirror *mirror, struct kc_mirror_feed *feed, const char *path)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(read_target(mirror, feed, path, &text, hash));
	mirror->mirrored->n_targets++;
	if (!strcmp(path, KC_USER_INDEX_PATH))
		return NULL;
	KC_TRY(kc_target_list_decode(text.data, text.size, feed->name, path, &list));
	for (size_t i = 0; i < list.n_entries; i++) {
		size_t before = mirror->mirrored->n_new_blobs;

		KC_TRY(fetch_blob(mirror, &list.entries[i]));
		KC_TRY(kc_mirror_patchset_note(mirror, &list.entries[i], mirror->mirrored->n_new_blobs > before));
	}
	return mirror->source->list ? mirror->source->list(mirror->source->data, &list) : NULL;
}

struct kc_error *kc_mirror_blobs_fetch(struct kc_mirror *mirror, struct kc_mirror_feed *feed)
{
	for (size_t i = 0; i < feed->paths.n_names; i++) {
		struct kc_error *err = fetch_blobs_of(mirror, feed, feed->paths.names[i]);

		if (err)
			return kc_error_prefix(err, "feed %s, %s", feed->name, feed->paths.names[i]);
	}
	return NULL;
}

/* ---- to those who look at the mirror ---- */

static struct kc_error *prepare_target(struct kc_mirror *mirror, struct kc_mirror_feed *feed, const char *path,
				       struct kc_public_files *files)
{
	kc_autofree char *name = NULL, *file = NULL, *full = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(read_target(mirror, feed, path, &text, hash));
	file = kc_repo_target_file_path(path, hash);
	if (!file || asprintf(&name, "public/feeds/%s/%s", feed->name, file) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	full = kc_path_join(mirror->dir, name);
	if (!full)
		return kc_error_no_memory();
	if (has_file(full, text.size))
		return NULL;
	KC_TRY(kc_public_files_put(mirror->ctx, files, feed->name, path, text.data, text.size));
	mirror->mirrored->n_new_lists++;
	/* last: a run that was cut off before makes the files of this target again */
	return kc_mirror_write(mirror, name, text.data, text.size);
}

static struct kc_error *read_state(const struct kc_mirror *mirror, const struct kc_mirror_feed *feed, const char *name,
				   struct kc_buf *text)
{
	kc_autofree char *path = kc_mirror_path(mirror, "private/state/%s/%s", feed->name, name);
	int err = path ? kc_file_read_now(path, KC_REPO_TARGETS_SIZE_MAX, text) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path) : NULL;
}

/* From the state folder, where it was verified, to "VERSION.NAME". */
static struct kc_error *show_file(const struct kc_mirror *mirror, const struct kc_mirror_feed *feed, const char *name,
				  uint64_t version)
{
	kc_autofree char *path = NULL, *shown = NULL, *full = NULL;
	kc_autobuf struct kc_buf text = { 0 };

	path = version ? kc_repo_metadata_path(version, name) : NULL;
	if ((version && !path) ||
	    asprintf(&shown, "public/feeds/%s/%s%s", feed->name, path ? "" : "metadata/", path ? path : name) < 0) {
		shown = NULL;
		return kc_error_no_memory();
	}
	full = kc_path_join(mirror->dir, shown);
	if (!full)
		return kc_error_no_memory();
	KC_TRY(read_state(mirror, feed, name, &text));
	if (version && has_file(full, text.size))
		return NULL;
	return kc_mirror_write(mirror, shown, text.data, text.size);
}

static struct kc_error *peek_snapshot(const struct kc_mirror *mirror, const struct kc_mirror_feed *feed,
				      struct kc_repo_document *snapshot)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(read_state(mirror, feed, "snapshot.json", &text));
	KC_TRY(kc_envelope_peek(text.data, text.size, &envelope));
	return kc_repo_document_decode(envelope.signed_part, KC_ROLE_SNAPSHOT, NULL, snapshot);
}

struct kc_error *kc_mirror_feed_prepare(struct kc_mirror *mirror, struct kc_mirror_feed *feed,
					struct kc_public_files *files)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document snapshot = { 0 };

	for (size_t i = 0; i < feed->paths.n_names; i++)
		KC_TRY(prepare_target(mirror, feed, feed->paths.names[i], files));
	KC_TRY(peek_snapshot(mirror, feed, &snapshot));
	for (size_t i = 0; i < snapshot.n_files; i++)
		KC_TRY(show_file(mirror, feed, snapshot.files[i].name, snapshot.files[i].version));
	KC_TRY(show_file(mirror, feed, "snapshot.json", snapshot.version));
	return kc_public_files_keep(mirror->ctx, files, feed->name, feed->paths.names, feed->paths.n_names);
}

/* Hosts may know an older root than this mirror does: they need those between, which they verify. */
static struct kc_error *show_older_root(struct kc_mirror *mirror, const struct kc_mirror_feed *feed, uint64_t version)
{
	kc_autofree char *path = kc_repo_metadata_path(version, "root.json"), *shown = NULL, *full = NULL;
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	struct feed_source from = { mirror, feed->name };
	kc_autobuf struct kc_buf text = { 0 };
	struct stat st;

	if (!path || asprintf(&shown, "public/feeds/%s/%s", feed->name, path) < 0) {
		shown = NULL;
		return kc_error_no_memory();
	}
	full = kc_path_join(mirror->dir, shown);
	if (!full)
		return kc_error_no_memory();
	if (!stat(full, &st) && st.st_size > 0)
		return NULL;
	KC_TRY(get(mirror->ctx, &from, path, KC_REPO_ROOT_SIZE_MAX, &text));
	KC_TRY(kc_root_verify(text.data, text.size, NULL, &root));
	if (root.version != version)
		return kc_error_new(KC_ERR_ROOT_CHAIN, "%s is root %llu", path, (unsigned long long)root.version);
	return kc_mirror_write(mirror, shown, text.data, text.size);
}

static struct kc_error *show_roots(struct kc_mirror *mirror, const struct kc_mirror_feed *feed)
{
	for (uint64_t version = 1; version < mirror->anchor_version; version++)
		KC_TRY(show_older_root(mirror, feed, version));
	for (uint64_t version = mirror->anchor_version;; version++) {
		kc_autofree char *name = NULL, *path = NULL;
		char number[32];

		snprintf(number, sizeof(number), "%llu.root.json", (unsigned long long)version);
		path = kc_mirror_path(mirror, "private/state/%s/%s", feed->name, number);
		if (!path)
			return kc_error_no_memory();
		if (access(path, F_OK))
			return NULL;
		KC_TRY(show_file(mirror, feed, number, 0));
	}
}

struct kc_error *kc_mirror_feed_show(struct kc_mirror *mirror, const struct kc_mirror_feed *feed)
{
	KC_TRY(show_roots(mirror, feed));
	return show_file(mirror, feed, "timestamp.json", 0);
}
