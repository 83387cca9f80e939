/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patchsets come in, are enabled, disabled, blocked, and leave. Until the feed's file is written, nothing has happened;
 * from then on all of it has, and the next run publishes it if this one cannot.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

enum { SYNCS_MAX = 8 };

static struct kc_error *check_rollout(unsigned rollout)
{
	if (rollout > KC_ROLLOUT_ALL)
		return kc_error_new(KC_ERR_USAGE, "a rollout is 1 to 100 per cent of the hosts, not %u", rollout);
	return NULL;
}

/* ---- blobs ---- */

static int sync_file(const char *path, int flags)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* From the unpacked archive to its place, without a copy. What is there is replaced: it may be what a power cut left.
 */
static struct kc_error *move_blob(const struct kc_repository *repository, const char *incoming,
				  const struct kc_patchset_file *file, bool sync, size_t *n_new)
{
	kc_autofree char *from = kc_path_join(incoming, file->name), *blob = kc_blob_path(file->hash);
	kc_autofree char *to = blob ? kc_repository_path(repository, "public/%s", blob) : NULL;
	kc_autofree char *folder = to ? strndup(to, (size_t)(kc_path_name(to) - to - 1)) : NULL;
	int err = 0;

	if (!from || !folder)
		return kc_error_no_memory();
	if (access(folder, F_OK) < 0)
		err = kc_dir_make(folder, 0755);
	*n_new += access(to, F_OK) < 0;
	if (!err && sync)
		err = sync_file(from, 0);
	if (!err && rename(from, to) < 0)
		err = -errno;
	if (!err && sync)
		err = sync_file(folder, O_DIRECTORY);
	return err ? kc_repository_write_error(err, to) : NULL;
}

static struct kc_error *move_blobs(struct kc_ctx *ctx, const struct kc_repository *repository, const char *incoming,
				   const struct kc_patchset *patchset, size_t *n_new)
{
	kc_autofree char *public = kc_repository_path(repository, "public");
	kc_autoclose int fd = public ? open(public, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool one_by_one = patchset->n_files <= SYNCS_MAX;

	if (!public)
		return kc_error_no_memory();
	for (size_t i = 0; i < patchset->n_files; i++) {
		KC_TRY(move_blob(repository, incoming, &patchset->files[i], one_by_one, n_new));
		kc_progress(ctx, "storing", i + 1, patchset->n_files);
	}
	if (fd < 0 || (!one_by_one && syncfs(fd) < 0))
		return kc_repository_write_error(-errno, public);
	return NULL;
}

/* ---- the store ---- */

static struct kc_error *list_name(const char *patchset, char **name)
{
	if (asprintf(name, "private/patchsets/%s.json", patchset) >= 0)
		return NULL;
	*name = NULL;
	return kc_error_no_memory();
}

static struct kc_error *remove_table(const struct kc_repository *repository, const char *patchset)
{
	kc_autofree char *name = NULL;

	if (asprintf(&name, "private/patchsets/%s.table", patchset) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_repository_unlink(repository, name);
}

/* A name means one list for ever: hosts pin patchsets by name. */
static struct kc_error *check_same(const struct kc_repository *repository, const char *patchset,
				   const struct kc_buf *list)
{
	kc_autofree char *name = NULL, *path = NULL;
	kc_autobuf struct kc_buf stored = { 0 };
	int err;

	KC_TRY(list_name(patchset, &name));
	path = kc_repository_path(repository, "%s", name);
	if (!path)
		return kc_error_no_memory();
	err = kc_file_read(path, KC_PATCHSET_LIST_SIZE_MAX, &stored);
	if (err == -ENOENT)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	if (stored.size != list->size || memcmp(stored.data, list->data, list->size))
		return kc_error_new(KC_ERR_REFUSED,
				    "the repository has another patchset by the name of %s: give the new one the next "
				    "number",
				    patchset);
	return NULL;
}

static struct kc_error *read_list(const char *incoming, struct kc_buf *list)
{
	kc_autofree char *path = kc_path_join(incoming, KC_PATCHSET_LIST_NAME);
	int err = path ? kc_file_read(path, KC_PATCHSET_LIST_SIZE_MAX, list) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read the list that was just unpacked") : NULL;
}

/* ---- deploy ---- */

static struct kc_error *append(struct kc_repository *repository, struct kc_feed_info *feed, const char *name,
			       enum kc_patchset_state state, unsigned rollout)
{
	struct kc_feed_patchset *added = kc_array_add(&feed->patchsets, &feed->n_patchsets);

	if (!added)
		return kc_error_no_memory();
	added->state = state;
	added->rollout = rollout ? rollout : KC_ROLLOUT_ALL;
	added->deployed = repository->now;
	added->name = strdup(name);
	if (!added->name)
		return kc_error_no_memory();
	kc_feed_set_undeployed(feed, name, false);
	return NULL;
}

/* The patchset is in the store: into the feed with it. */
static struct kc_error *add_to_feed(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info *feed,
				    const char *name, enum kc_patchset_state state, unsigned rollout,
				    struct kc_repository_change *change)
{
	const struct kc_patchset_table *table;

	KC_TRY(kc_patchset_table_get(ctx, repository, name, &table));
	KC_TRY(kc_feed_check_levels(ctx, repository, feed, table));
	KC_TRY(append(repository, feed, name, state, rollout));
	return kc_feed_commit(ctx, repository, feed, table, change);
}

static struct kc_error *store(struct kc_ctx *ctx, struct kc_repository *repository, const char *incoming,
			      const struct kc_patchset *patchset, const struct kc_buf *list, size_t *n_blobs)
{
	kc_autofree char *name = NULL;

	KC_TRY(list_name(patchset->name, &name));
	KC_TRY(move_blobs(ctx, repository, incoming, patchset, n_blobs));
	return kc_repository_write(repository, name, list->data, list->size, 0600);
}

/* The table is written first: it is what the levels are checked with. */
static struct kc_error *check_and_store(struct kc_ctx *ctx, struct kc_repository *repository,
					const struct kc_feed_info *feed, const char *incoming,
					const struct kc_patchset *patchset, const struct kc_buf *list, size_t *n_blobs)
{
	const struct kc_patchset_table *table;
	struct kc_error *err;

	KC_TRY(kc_patchset_table_write(repository, patchset));
	err = kc_patchset_table_get(ctx, repository, patchset->name, &table);
	if (!err)
		err = kc_feed_check_levels(ctx, repository, feed, table);
	if (!err)
		err = store(ctx, repository, incoming, patchset, list, n_blobs);
	if (err && !kc_repository_has_patchset(repository, patchset->name)) {
		kc_autoerror struct kc_error *ignored = remove_table(repository, patchset->name);
	}
	return err;
}

/* Is the patch file in the store, and not damaged? */
static struct kc_error *is_stored(const struct kc_repository *repository, const struct kc_patchset_file *file,
				  bool *stored)
{
	kc_autofree char *blob = kc_blob_path(file->hash);
	kc_autofree char *path = blob ? kc_repository_path(repository, "public/%s", blob) : NULL;
	kc_autobuf struct kc_buf data = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, file->size, &data);
	if (err == -ENOMEM)
		return kc_error_no_memory();
	kc_sha256_text(data.data, data.size, hash);
	*stored = !err && !strcmp(hash, file->hash);
	return NULL;
}

/* Deployed again, an archive brings back what was lost of it here; KC_ERR_NOTHING when nothing was. */
static struct kc_error *restore(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				const char *incoming, const struct kc_patchset *patchset, const struct kc_buf *list,
				size_t *n_blobs)
{
	bool has_list = kc_repository_has_patchset(repository, patchset->name), stored;
	kc_autofree char *name = NULL;
	size_t n_absent = 0;

	for (size_t i = 0; i < patchset->n_files; i++) {
		KC_TRY(is_stored(repository, &patchset->files[i], &stored));
		if (stored)
			continue;
		KC_TRY(move_blob(repository, incoming, &patchset->files[i], true, &n_absent));
		(*n_blobs)++;
	}
	if (has_list && !*n_blobs)
		return kc_error_new(KC_ERR_NOTHING, "the feed %s has %s already; it is %s", feed->name, patchset->name,
				    kc_patchset_state_name(kc_feed_patchset_find(feed, patchset->name)->state));
	KC_TRY(list_name(patchset->name, &name));
	KC_TRY(kc_repository_write(repository, name, list->data, list->size, 0600));
	return kc_repository_try_complete(ctx, repository);
}

struct kc_error *kc_repository_take_in(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info *feed,
				       const char *incoming, const struct kc_patchset *patchset,
				       enum kc_patchset_state state, unsigned rollout,
				       struct kc_repository_change *change)
{
	kc_autobuf struct kc_buf list = { 0 };
	size_t n_blobs = 0;

	KC_TRY(read_list(incoming, &list));
	KC_TRY(check_same(repository, patchset->name, &list));
	if (kc_feed_patchset_find(feed, patchset->name))
		return restore(ctx, repository, feed, incoming, patchset, &list, &change->n_blobs);
	KC_TRY(check_and_store(ctx, repository, feed, incoming, patchset, &list, &n_blobs));
	KC_TRY(add_to_feed(ctx, repository, feed, patchset->name, state, rollout, change));
	change->n_blobs = n_blobs;
	return NULL;
}

struct kc_error *kc_repository_take_in_start(struct kc_ctx *ctx, struct kc_repository *repository, const char *feed,
					     unsigned rollout, struct kc_repository_change *change,
					     struct kc_feed_info **found, char **incoming)
{
	*change = (struct kc_repository_change){ 0 };
	*incoming = kc_repository_path(repository, "private/incoming-%d", (int)getpid());
	if (!*incoming)
		return kc_error_no_memory();
	KC_TRY(check_rollout(rollout));
	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, feed, found));
	if (kc_keyring_size(repository->authors) == 0)
		return kc_error_new(KC_ERR_UNKNOWN_KEY, "no author is trusted here: 'kcare-repo trust DIR --author "
							"PUB' adds one");
	return NULL;
}

struct kc_error *kc_repository_deploy(struct kc_ctx *ctx, struct kc_repository *repository, const char *archive,
				      const char *feed, enum kc_patchset_state state, unsigned rollout,
				      struct kc_repository_change *change)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autofree char *incoming = NULL;
	struct kc_feed_info *found;
	struct kc_error *err;

	KC_TRY(kc_repository_take_in_start(ctx, repository, feed, rollout, change, &found, &incoming));
	KC_TRY(kc_patchset_archive_read(ctx, archive, repository->authors, incoming, &patchset));
	err = kc_repository_take_in(ctx, repository, found, incoming, patchset, state, rollout, change);
	kc_tree_remove(incoming);
	return err;
}

/* ---- states ---- */

static struct kc_error *change_state(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info *feed,
				     struct kc_feed_patchset *patchset, enum kc_patchset_state state, unsigned rollout,
				     struct kc_repository_change *change)
{
	const struct kc_patchset_table *table;

	if (patchset->state == state && (!rollout || patchset->rollout == rollout))
		return kc_error_new(KC_ERR_NOTHING, "%s is %s in the feed %s already", patchset->name,
				    kc_patchset_state_name(state), feed->name);
	KC_TRY(kc_patchset_table_get(ctx, repository, patchset->name, &table));
	patchset->state = state;
	if (rollout)
		patchset->rollout = rollout;
	return kc_feed_commit(ctx, repository, feed, table, change);
}

struct kc_error *kc_repository_set_state(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					 const char *feed, enum kc_patchset_state state, unsigned rollout,
					 struct kc_repository_change *change)
{
	struct kc_feed_patchset *known;
	struct kc_feed_info *found;

	*change = (struct kc_repository_change){ 0 };
	KC_TRY(check_rollout(rollout));
	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, feed, &found));
	known = kc_feed_patchset_find(found, patchset);
	if (known)
		return change_state(ctx, repository, found, known, state, rollout, change);
	if (!kc_repository_has_patchset(repository, patchset))
		return kc_error_new(KC_ERR_NOT_FOUND,
				    "the repository has no patchset '%s'; 'deploy' brings its archive", patchset);
	if (state != KC_PATCHSET_ENABLED)
		return kc_error_new(KC_ERR_NOT_FOUND, "the feed %s does not have %s", feed, patchset);
	return add_to_feed(ctx, repository, found, patchset, state, rollout, change);
}

struct kc_error *kc_repository_add(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
				   const char *feed, enum kc_patchset_state state, unsigned rollout,
				   struct kc_repository_change *change)
{
	struct kc_feed_info *found;

	*change = (struct kc_repository_change){ 0 };
	KC_TRY(check_rollout(rollout));
	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, feed, &found));
	if (kc_feed_patchset_find(found, patchset))
		return kc_error_new(KC_ERR_NOTHING, "the feed %s has %s already", feed, patchset);
	if (!kc_repository_has_patchset(repository, patchset))
		return kc_error_new(KC_ERR_NOT_FOUND, "the repository has no patchset '%s'", patchset);
	return add_to_feed(ctx, repository, found, patchset, state, rollout, change);
}

/* ---- undeploy ---- */

static bool is_in_any_feed(const struct kc_repository *repository, const char *patchset)
{
	for (size_t i = 0; i < repository->n_feeds; i++)
		if (kc_feed_patchset_find(&repository->feeds[i], patchset))
			return true;
	return false;
}

/* Its blobs are removed by a later refresh: a host may be fetching one right now. */
static struct kc_error *remove_from_store(const struct kc_repository *repository, const char *patchset)
{
	kc_autofree char *name = NULL;

	KC_TRY(list_name(patchset, &name));
	KC_TRY(kc_repository_unlink(repository, name));
	return remove_table(repository, patchset);
}

struct kc_error *kc_repository_undeploy(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					const char *feed, struct kc_repository_change *change)
{
	const struct kc_patchset_table *table = NULL;
	kc_autoerror struct kc_error *damage = NULL;
	struct kc_feed_patchset *known;
	kc_autofree char *name = NULL;
	struct kc_feed_info *found;

	*change = (struct kc_repository_change){ 0 };
	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, feed, &found));
	known = kc_feed_patchset_find(found, patchset);
	if (!known)
		return kc_error_new(KC_ERR_NOTHING, "the feed %s does not have %s", feed, patchset);
	/* a patchset that is damaged can be taken out, too */
	damage = kc_patchset_table_get(ctx, repository, patchset, &table);
	name = kc_steal(known->name);
	found->n_patchsets--;
	memmove(known, known + 1, (size_t)(found->patchsets + found->n_patchsets - known) * sizeof(*known));
	KC_TRY(kc_feed_set_undeployed(found, name, true));
	KC_TRY(kc_feed_commit(ctx, repository, found, damage ? NULL : table, change));
	return is_in_any_feed(repository, name) ? NULL : remove_from_store(repository, name);
}

struct kc_error *kc_repository_discard(struct kc_repository *repository, const char *patchset)
{
	return is_in_any_feed(repository, patchset) ? NULL : remove_from_store(repository, patchset);
}

/* Nothing that hosts see. */
struct kc_error *kc_repository_leave_out(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					 const char *feed)
{
	struct kc_feed_info *found;

	(void)ctx;
	KC_TRY(kc_feed_find(repository, feed, &found));
	if (kc_feed_patchset_find(found, patchset))
		return kc_error_new(KC_ERR_NOTHING, "the feed %s has %s", feed, patchset);
	if (kc_feed_was_undeployed(found, patchset))
		return NULL;
	KC_TRY(kc_feed_set_undeployed(found, patchset, true));
	return kc_feed_write(repository, found);
}
