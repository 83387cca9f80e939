/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a feed to what hosts see: the lists that changed, then the metadata above them, from below to above. No file
 * that hosts may be reading changes: all have new names, and timestamp.json, renamed last, makes them visible at once.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"

enum {
	SYNCS_MAX = 8,	       /* so many files are synced one by one; more of them with the whole file system */
	CLOCK_SLACK_S = 86400, /* hosts take no version that is further ahead of their clocks */
};

/* One publication of one feed. */
struct publication {
	struct kc_ctx *ctx;
	struct kc_repository *repository;
	const struct kc_feed_info *feed;
	enum kc_publish what;
	uint64_t version; /* of all metadata that is new */
	struct kc_published published;
	struct kc_feed_lists lists;
	unsigned bin_bits;
	struct kc_repo_document snapshot; /* the new one */
	size_t n_written;
	bool needs_sync;
};

static void clear_publication(struct publication *publication)
{
	kc_published_clear(&publication->published);
	kc_feed_lists_clear(&publication->lists);
	kc_repo_document_clear(&publication->snapshot);
}

/* ---- files ---- */

static struct kc_error *make_folder(const char *path)
{
	kc_autofree char *folder = strndup(path, (size_t)(kc_path_name(path) - path - 1));
	int err = folder ? 0 : -ENOMEM;

	if (!err && access(folder, F_OK) < 0)
		err = kc_dir_make(folder, 0755);
	return err ? kc_repository_write_error(err, folder ? folder : path) : NULL;
}

/* `name` is below the feed's public folder. */
static struct kc_error *write_file(struct publication *publication, const char *name, const void *data, size_t size)
{
	kc_autofree char *path =
		kc_repository_path(publication->repository, "public/feeds/%s/%s", publication->feed->name, name);
	int err;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(make_folder(path));
	if (publication->n_written++ < SYNCS_MAX) {
		err = kc_file_write_atomic(path, data, size, 0644);
	} else {
		publication->needs_sync = true;
		err = kc_file_replace(path, data, size, 0644);
	}
	return err ? kc_repository_write_error(err, path) : NULL;
}

/* What the timestamp leads to must be on disk before it. */
static struct kc_error *sync_files(struct publication *publication)
{
	kc_autofree char *path = kc_repository_path(publication->repository, "public");
	kc_autoclose int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!path)
		return kc_error_no_memory();
	if (fd < 0 || (publication->needs_sync && syncfs(fd) < 0))
		return kc_repository_write_error(-errno, path);
	publication->needs_sync = false;
	publication->n_written = 0;
	return NULL;
}

/* ---- lists ---- */

static bool is_same(const struct kc_repo_meta *a, const struct kc_repo_meta *b)
{
	return !strcmp(a->hash, b->hash) && a->size == b->size && !strcmp(a->name, b->name);
}

/* It is the same as what hosts see, and that is all right. */
static bool is_shown(const struct publication *publication, const struct kc_repo_meta *list)
{
	const struct kc_repo_meta *shown = NULL;

	if (publication->published.is_trusted)
		shown = kc_repo_document_find(&publication->published.all, list->name);
	return shown && is_same(shown, list);
}

static struct kc_error *write_list(struct publication *publication, const struct kc_feed_list *list)
{
	kc_autofree char *name = kc_repo_target_file_path(list->meta.name, list->meta.hash);

	return name ? write_file(publication, name, list->text, list->meta.size) : kc_error_no_memory();
}

static struct kc_error *write_lists(struct publication *publication, struct kc_repository_change *change)
{
	size_t n_changed = 0;

	for (size_t i = 0; i < publication->lists.n_lists; i++) {
		struct kc_feed_list *list = &publication->lists.lists[i];

		list->is_new = !is_shown(publication, &list->meta);
		n_changed += list->is_new && strcmp(list->meta.name, KC_USER_INDEX_PATH);
		if (list->text && (list->is_new || publication->what == KC_PUBLISH_ALL))
			KC_TRY(write_list(publication, list));
		kc_progress(publication->ctx, "publishing", i + 1, publication->lists.n_lists);
	}
	if (change)
		change->n_targets += n_changed;
	return NULL;
}

/* ---- files for older tools ---- */

static struct kc_error *put_public_list(struct publication *publication, struct kc_public_files *files,
					const struct kc_feed_list *list)
{
	if (!list->text || (!list->is_new && publication->what != KC_PUBLISH_ALL))
		return NULL;
	return kc_public_files_put(publication->ctx, files, publication->feed->name, list->meta.name, list->text,
				   list->meta.size);
}

/* Paths that hosts see, and that are no more. Both are in order. */
static struct kc_error *drop_public_lists(struct publication *publication, struct kc_public_files *files,
					  struct kc_repository_change *change)
{
	const struct kc_repo_document *shown = &publication->published.all;
	const struct kc_feed_lists *lists = &publication->lists;

	for (size_t i = 0, k = 0; i < shown->n_files; i++) {
		const char *path = shown->files[i].name;

		while (k < lists->n_lists && strcmp(lists->lists[k].meta.name, path) < 0)
			k++;
		if (k < lists->n_lists && !strcmp(lists->lists[k].meta.name, path))
			continue;
		if (change)
			change->n_targets += strcmp(path, KC_USER_INDEX_PATH) != 0;
		KC_TRY(kc_public_files_put(publication->ctx, files, publication->feed->name, path, NULL, 0));
	}
	return NULL;
}

/* Only feeds that hosts can follow are named: a new one is not before its first timestamp. */
struct kc_error *kc_repository_finish_public(struct kc_ctx *ctx, const struct kc_repository *repository,
					     struct kc_public_files *files)
{
	kc_autofree const char **names = calloc(repository->n_feeds + 1, sizeof(*names));
	size_t n = 0;

	if (!names)
		return kc_error_no_memory();
	for (size_t i = 0; i < repository->n_feeds; i++) {
		const char *name = repository->feeds[i].name;
		kc_autofree char *timestamp =
			kc_repository_path(repository, "public/feeds/%s/metadata/timestamp.json", name);

		if (!timestamp)
			return kc_error_no_memory();
		if (access(timestamp, F_OK) == 0)
			names[n++] = name;
	}
	KC_TRY(kc_repository_show_patchsets(repository));
	return kc_public_files_finish(ctx, files, names);
}

static struct kc_error *write_public_files(struct publication *publication, struct kc_repository_change *change)
{
	kc_autofree char *dir = kc_repository_path(publication->repository, "public");
	kc_autopublicfiles struct kc_public_files *files = NULL;

	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_public_files_open(publication->ctx, dir, &files));
	for (size_t i = 0; i < publication->lists.n_lists; i++)
		KC_TRY(put_public_list(publication, files, &publication->lists.lists[i]));
	KC_TRY(drop_public_lists(publication, files, change));
	return kc_repository_finish_public(publication->ctx, publication->repository, files);
}

/* ---- metadata ---- */

static struct kc_error *sign(struct publication *publication, const struct kc_repo_document *document,
			     enum kc_repo_role role, struct kc_buf *text)
{
	const struct kc_key *key = publication->repository->keys[role];
	kc_autojson json_t *signed_part = NULL;

	KC_TRY(kc_repo_document_encode(document, role, &publication->repository->root, &signed_part));
	return kc_envelope_encode(signed_part, &key, 1, text);
}

static struct kc_error *add_meta(struct kc_repo_document *document, const char *name, uint64_t version, size_t size,
				 const char *hash)
{
	struct kc_repo_meta *meta = kc_array_add(&document->files, &document->n_files);

	if (!meta)
		return kc_error_no_memory();
	meta->name = strdup(name);
	meta->version = version;
	meta->size = size;
	memcpy(meta->hash, hash, KC_SHA256_TEXT_SIZE);
	return meta->name ? NULL : kc_error_no_memory();
}

/* Signs it, writes it as VERSION.NAME, and names it in `above`. */
static struct kc_error *write_document(struct publication *publication, struct kc_repo_document *document,
				       enum kc_repo_role role, int64_t valid_s, const char *name,
				       struct kc_repo_document *above)
{
	kc_autofree char *path = kc_repo_metadata_path(publication->version, name);
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	if (!path)
		return kc_error_no_memory();
	document->version = publication->version;
	document->expires = publication->repository->now + valid_s;
	document->feed = publication->feed->name;
	KC_TRY(sign(publication, document, role, &text));
	KC_TRY(write_file(publication, path, text.data, text.size));
	kc_sha256_text(text.data, text.size, hash);
	return add_meta(above, name, document->version, text.size, hash);
}

/* What was signed at this version is half over; also when our clock was set back. */
static bool is_old(const struct publication *publication, uint64_t version, int64_t valid_s)
{
	return publication->repository->now - (int64_t)version > valid_s / 2;
}

static bool has_same_files(const struct kc_repo_document *a, const struct kc_repo_document *b)
{
	if (a->n_files != b->n_files || a->bin_bits != b->bin_bits)
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (!is_same(&a->files[i], &b->files[i]))
			return false;
	return true;
}

/* targets.json or a bin: as it is when nothing has changed. Its files are borrowed. */
static struct kc_error *put_targets(struct publication *publication, const char *name,
				    struct kc_repo_document *document)
{
	const struct kc_published *published = &publication->published;
	const struct kc_repo_meta *meta = NULL;

	if (published->is_trusted && published->documents && publication->what != KC_PUBLISH_ALL)
		meta = kc_repo_document_find(&published->snapshot, name);
	if (meta && !is_old(publication, meta->version, KC_REPO_TARGETS_VALID_S) &&
	    has_same_files(&published->documents[meta - published->snapshot.files], document))
		return add_meta(&publication->snapshot, name, meta->version, meta->size, meta->hash);
	return write_document(publication, document, KC_ROLE_TARGETS, KC_REPO_TARGETS_VALID_S, name,
			      &publication->snapshot);
}

static void free_documents(struct kc_repo_document **documents)
{
	for (size_t i = 0; *documents && i < (size_t)1 << KC_REPO_BIN_BITS_MAX; i++)
		free((*documents)[i].files);
	free(*documents);
}

/* The bin of a path, as a number. */
static unsigned bin_index(const char *path, unsigned bits)
{
	char name[16];

	kc_repo_bin_name(path, bits, name);
	return (unsigned)strtoul(name + strlen("bin-"), NULL, 16);
}

static struct kc_error *put_bins(struct publication *publication)
{
	KC_CLEANUP(free_documents)
	struct kc_repo_document *bins = calloc((size_t)1 << KC_REPO_BIN_BITS_MAX, sizeof(*bins));
	unsigned bits = publication->bin_bits;

	if (!bins)
		return kc_error_no_memory();
	for (size_t i = 0; i < publication->lists.n_lists; i++) {
		const struct kc_repo_meta *meta = &publication->lists.lists[i].meta;
		struct kc_repo_document *bin = &bins[bin_index(meta->name, bits)];
		struct kc_repo_meta *added = kc_array_add(&bin->files, &bin->n_files);

		if (!added)
			return kc_error_no_memory();
		*added = *meta;
	}
	for (unsigned i = 0; i < 1U << bits; i++) {
		char bin[16], name[32];

		kc_repo_bin_name_at(i, bits, bin);
		snprintf(name, sizeof(name), "%s.json", bin);
		KC_TRY(put_targets(publication, name, &bins[i]));
	}
	return NULL;
}

static struct kc_error *put_top_targets(struct publication *publication)
{
	kc_autofree struct kc_repo_meta *files = calloc(publication->lists.n_lists + 1, sizeof(*files));
	struct kc_repo_document targets = { .files = files, .bin_bits = publication->bin_bits };

	if (!files)
		return kc_error_no_memory();
	for (size_t i = 0; !targets.bin_bits && i < publication->lists.n_lists; i++)
		files[targets.n_files++] = publication->lists.lists[i].meta;
	return put_targets(publication, "targets.json", &targets);
}

/* The roots that this feed does not show yet, in their order: a host must find each one behind another. */
static struct kc_error *put_roots(struct publication *publication)
{
	const struct kc_repository *repository = publication->repository;

	for (uint64_t version = 1; version <= repository->root.version; version++) {
		kc_autofree char *name = kc_repo_metadata_path(version, "root.json");
		kc_autofree char *shown = NULL, *path = NULL;
		kc_autobuf struct kc_buf text = { 0 };
		int err;

		if (!name)
			return kc_error_no_memory();
		shown = kc_repository_path(repository, "public/feeds/%s/%s", publication->feed->name, name);
		path = kc_repository_path(repository, "private/roots/%ju.root.json", (uintmax_t)version);
		if (!shown || !path)
			return kc_error_no_memory();
		if (access(shown, F_OK) == 0 && publication->what != KC_PUBLISH_ALL)
			continue;
		err = kc_file_read(path, KC_REPO_ROOT_SIZE_MAX, &text);
		if (err)
			return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
		KC_TRY(write_file(publication, name, text.data, text.size));
	}
	return NULL;
}

/*
 * Everything below it is on disk; from here on hosts see it. Roots come next to last: a host that has the new one and
 * still the old timestamp would see a key that was replaced.
 */
static struct kc_error *put_timestamp(struct publication *publication, const struct kc_repo_meta *snapshot)
{
	struct kc_repo_meta meta = *snapshot;
	struct kc_repo_document timestamp = {
		.version = publication->version,
		.expires = publication->repository->now + KC_REPO_TIMESTAMP_VALID_S,
		.feed = publication->feed->name,
		.files = &meta,
		.n_files = 1,
	};
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(sign(publication, &timestamp, KC_ROLE_TIMESTAMP, &text));
	KC_TRY(sync_files(publication));
	KC_TRY(put_roots(publication));
	KC_TRY(sync_files(publication)); /* many roots need it; a few files are synced by themselves, as the last one */
	return write_file(publication, "metadata/timestamp.json", text.data, text.size);
}

static struct kc_error *put_metadata(struct publication *publication)
{
	struct kc_repo_document above = { 0 };
	struct kc_error *err;

	publication->bin_bits = kc_repo_bin_bits(publication->lists.n_lists);
	if (publication->bin_bits < publication->published.bin_bits)
		publication->bin_bits = publication->published.bin_bits;
	if (publication->bin_bits)
		KC_TRY(put_bins(publication));
	KC_TRY(put_top_targets(publication));
	err = write_document(publication, &publication->snapshot, KC_ROLE_SNAPSHOT, KC_REPO_SNAPSHOT_VALID_S,
			     "snapshot.json", &above);
	publication->snapshot.feed = NULL; /* the feed's own */
	if (!err)
		err = put_timestamp(publication, &above.files[0]);
	kc_repo_document_clear(&above);
	return err;
}

/* ---- the whole ---- */

/* Hosts refuse versions, which are times, that are ahead of their own clock. */
static struct kc_error *choose_version(struct publication *publication)
{
	int64_t now = publication->repository->now;
	uint64_t next = publication->published.version + 1;

	publication->version = now > 0 && (uint64_t)now > next ? (uint64_t)now : next;
	if ((int64_t)publication->version - now > CLOCK_SLACK_S)
		return kc_error_new(KC_ERR_CLOCK,
				    "the clock of this machine is %jd hours behind what it has signed for the feed %s: "
				    "set it",
				    ((intmax_t)publication->version - (intmax_t)now) / 3600, publication->feed->name);
	return NULL;
}

/* After such a gap hosts may know versions that a restored backup does not. */
static bool is_after_gap(const struct publication *publication)
{
	return publication->repository->now - (int64_t)publication->published.version > KC_REPO_GAP_S;
}

static bool anything_is_old(const struct publication *publication)
{
	const struct kc_repo_document *snapshot = &publication->published.snapshot;

	for (size_t i = 0; i < snapshot->n_files; i++)
		if (is_old(publication, snapshot->files[i].version, KC_REPO_TARGETS_VALID_S))
			return true;
	return is_old(publication, snapshot->version, KC_REPO_SNAPSHOT_VALID_S);
}

/* Hosts can follow the feed from now on. */
static struct kc_error *announce(struct publication *publication)
{
	kc_autofree char *dir = kc_repository_path(publication->repository, "public");
	kc_autopublicfiles struct kc_public_files *files = NULL;

	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_public_files_open(publication->ctx, dir, &files));
	return kc_repository_finish_public(publication->ctx, publication->repository, files);
}

static struct kc_error *publish_lists(struct publication *publication, const struct kc_patchset_table *touched,
				      struct kc_repository_change *change)
{
	struct kc_published *published = &publication->published;

	if (published->is_trusted)
		KC_TRY(kc_published_load_documents(publication->ctx, publication->repository, publication->feed->name,
						   published));
	if (!published->is_trusted || publication->what == KC_PUBLISH_ALL)
		touched = NULL;
	KC_TRY(kc_feed_lists_make(publication->ctx, publication->repository, publication->feed, touched,
				  &published->all, &publication->lists));
	KC_TRY(write_lists(publication, change));
	KC_TRY(write_public_files(publication, change));
	KC_TRY(put_metadata(publication));
	return published->version ? NULL : announce(publication);
}

/* The same snapshot again. */
static struct kc_error *publish_timestamp(struct publication *publication)
{
	const struct kc_published *published = &publication->published;

	return put_timestamp(publication, &published->top);
}

static struct kc_error *publish(struct publication *publication, const struct kc_patchset_table *touched,
				struct kc_repository_change *change)
{
	KC_TRY(kc_published_load(publication->ctx, publication->repository, publication->feed->name,
				 &publication->published));
	KC_TRY(choose_version(publication));
	if (!publication->published.is_trusted || is_after_gap(publication))
		publication->what = KC_PUBLISH_ALL;
	if (publication->what == KC_PUBLISH_TIMESTAMP && !anything_is_old(publication))
		return publish_timestamp(publication);
	return publish_lists(publication, touched, change);
}

struct kc_error *kc_feed_publish(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				 enum kc_publish what, const struct kc_patchset_table *touched,
				 struct kc_repository_change *change)
{
	KC_CLEANUP(clear_publication)
	struct publication publication = {
		.ctx = ctx,
		.repository = repository,
		.feed = feed,
		.what = what,
	};

	return publish(&publication, touched, change);
}
