/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The feeds, and what they lead to. */
#include "repo/verify_internal.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "repo/public_files.h"
#include "repo/source_folder.h"

enum { FEEDS_SIZE_MAX = 1 << 20 };

struct names {
	char **names;
	size_t n_names;
};

static void clear_names(struct names *names)
{
	for (size_t i = 0; i < names->n_names; i++)
		free(names->names[i]);
	free(names->names);
}

#define CLEANUP_NAMES KC_CLEANUP(clear_names)

struct kc_error *kc_verify_report(struct kc_verify *verify, struct kc_error *err, const char *what)
{
	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return err;
	verify->verified->n_problems++;
	verify->options->problem(verify->options->data, what ? kc_error_prefix(err, "%s", what) : err);
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct kc_error *kc_verify_mark(struct kc_verify *verify, const char *name)
{
	kc_autofree char *copy = strdup(name);
	char **found = copy ? tsearch(copy, &verify->files, compare_names) : NULL;

	if (!found)
		return kc_error_no_memory();
	if (*found == copy)
		copy = NULL;
	return NULL;
}

static struct kc_error *__attribute__((format(printf, 2, 3))) mark(struct kc_verify *verify, const char *format, ...)
{
	kc_autofree char *name = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&name, format, args);
	va_end(args);
	if (n < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_verify_mark(verify, name);
}

/* ---- one feed ---- */

struct feed {
	struct kc_verify *verify;
	const char *name, *state_dir;
	struct kc_repo_source source;
	struct kc_repo_client *client;
};

/* The trust that a host would begin with. */
static struct kc_error *read_anchor(const struct feed *feed, struct kc_buf *text)
{
	const char *path = feed->verify->options->root;
	kc_autofree char *first = NULL;
	int err;

	if (!path) {
		if (asprintf(&first, "%s/feeds/%s/metadata/1.root.json", feed->verify->dir, feed->name) < 0) {
			first = NULL;
			return kc_error_no_memory();
		}
		path = first;
	}
	err = kc_file_read_now(path, KC_REPO_ROOT_SIZE_MAX, text);
	return err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path) : NULL;
}

static struct kc_error *verify_list(struct feed *feed, const char *path, const struct kc_buf *text)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };

	KC_TRY(kc_target_list_decode(text->data, text->size, feed->name, path, &list));
	for (size_t i = 0; i < list.n_entries; i++)
		KC_TRY(kc_verify_entry(feed->verify, &list, &list.entries[i]));
	return NULL;
}

static struct kc_error *verify_target(struct feed *feed, const char *path)
{
	struct kc_verify *verify = feed->verify;
	KC_CLEANUP_USER_PACKAGE_INDEX struct kc_user_package_index index = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *file = NULL;
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_repo_client_target(verify->ctx, feed->client, &feed->source, path, KC_TARGET_LIST_SIZE_MAX, &text,
				     hash));
	file = kc_repo_target_file_path(path, hash);
	if (!file)
		return kc_error_no_memory();
	KC_TRY(mark(verify, "feeds/%s/%s", feed->name, file));
	verify->verified->n_targets++;
	if (!strcmp(path, KC_USER_INDEX_PATH))
		return kc_user_package_index_decode(text.data, text.size, feed->name, &index);
	return verify_list(feed, path, &text);
}

static struct kc_error *verify_targets(struct feed *feed)
{
	struct kc_verify *verify = feed->verify;
	CLEANUP_NAMES struct names paths = { 0 };
	struct kc_error *err;

	KC_TRY(kc_repo_client_paths(verify->ctx, feed->client, &feed->source, &paths.names, &paths.n_names));
	for (size_t i = 0; i < paths.n_names; i++) {
		kc_autofree char *what = NULL;

		err = verify_target(feed, paths.names[i]);
		if (err && asprintf(&what, "feed %s, %s", feed->name, paths.names[i]) < 0)
			what = NULL;
		KC_TRY(kc_verify_report(verify, err, what));
		kc_progress(verify->ctx, feed->name, i + 1, paths.n_names);
	}
	return NULL;
}

static struct kc_error *verify_feed(struct kc_verify *verify, const char *name, const char *state_dir)
{
	struct feed feed = { .verify = verify, .name = name, .state_dir = state_dir };
	kc_autofree char *folder = NULL, *state = kc_path_join(state_dir, name);
	kc_autorepoclient struct kc_repo_client *client = NULL;
	kc_autobuf struct kc_buf anchor = { 0 };
	struct kc_repo_refreshed refreshed;

	if (!state || asprintf(&folder, "%s/feeds/%s", verify->dir, name) < 0) {
		folder = NULL;
		return kc_error_no_memory();
	}
	kc_repo_source_folder(folder, &feed.source);
	KC_TRY(read_anchor(&feed, &anchor));
	KC_TRY(kc_repo_client_open(verify->ctx, state, name, anchor.data, anchor.size, &client));
	KC_TRY(kc_repo_client_refresh(verify->ctx, client, &feed.source, verify->options->now, &refreshed));
	feed.client = client;
	verify->verified->n_feeds++;
	return verify_targets(&feed);
}

/* ---- all feeds ---- */

static struct kc_error *add_name(struct names *names, const char *name)
{
	char **slot;

	for (size_t i = 0; i < names->n_names; i++)
		if (!strcmp(names->names[i], name))
			return NULL;
	slot = kc_array_add(&names->names, &names->n_names);
	if (!slot || !(*slot = strdup(name)))
		return kc_error_no_memory();
	return NULL;
}

static int compare_name_pointers(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A folder without a timestamp is of a feed that is being made: hosts cannot follow it yet. */
static struct kc_error *add_shown(struct names *feeds, const char *folder, const char *name)
{
	kc_autofree char *timestamp = NULL;

	if (!kc_feed_name_is_valid(name))
		return NULL;
	if (asprintf(&timestamp, "%s/%s/metadata/timestamp.json", folder, name) < 0) {
		timestamp = NULL;
		return kc_error_no_memory();
	}
	return access(timestamp, F_OK) ? NULL : add_name(feeds, name);
}

/* Those that feeds.json names, and those that have a folder. */
static struct kc_error *list_feeds(struct kc_verify *verify, struct names *feeds)
{
	kc_autofree char *list = kc_path_join(verify->dir, KC_PUBLIC_FEEDS_NAME);
	kc_autofree char *folder = kc_path_join(verify->dir, "feeds");
	kc_autoclosedir DIR *dir = folder ? opendir(folder) : NULL;
	kc_autobuf struct kc_buf text = { 0 };
	struct dirent *entry;
	int err;

	if (!list || !folder)
		return kc_error_no_memory();
	if (!dir)
		return kc_error_errno(KC_ERR_INPUT, errno, "%s is no repository: cannot read %s", verify->dir, folder);
	err = kc_file_read_now(list, FEEDS_SIZE_MAX, &text);
	KC_TRY(kc_verify_report(verify,
				err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", list)
				    : kc_public_feeds_decode(text.data, text.size, &feeds->names, &feeds->n_names),
				NULL));
	while ((entry = readdir(dir)))
		KC_TRY(add_shown(feeds, folder, entry->d_name));
	qsort(feeds->names, feeds->n_names, sizeof(*feeds->names), compare_name_pointers);
	return NULL;
}

/* Where a host would keep its state; in memory when there is a place for that, as it is written with care. */
static struct kc_error *make_state_dir(char **dir)
{
	const char *parent = getenv("TMPDIR");

	if (!parent || !*parent)
		parent = access("/dev/shm", W_OK | X_OK) ? "/tmp" : "/dev/shm";
	if (asprintf(dir, "%s/kcare-verify-XXXXXX", parent) < 0) {
		*dir = NULL;
		return kc_error_no_memory();
	}
	if (mkdtemp(*dir))
		return NULL;
	free(*dir);
	*dir = NULL;
	return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make a folder in %s", parent);
}

static struct kc_error *verify_feeds(struct kc_verify *verify)
{
	CLEANUP_NAMES struct names feeds = { 0 };
	kc_autofree char *state_dir = NULL;
	struct kc_error *err = NULL;

	KC_TRY(list_feeds(verify, &feeds));
	KC_TRY(make_state_dir(&state_dir));
	for (size_t i = 0; !err && i < feeds.n_names; i++) {
		kc_autofree char *what = NULL;

		if (asprintf(&what, "feed %s", feeds.names[i]) < 0)
			what = NULL;
		err = kc_verify_report(verify, verify_feed(verify, feeds.names[i], state_dir), what);
	}
	kc_tree_remove(state_dir);
	return err;
}

struct kc_error *kc_public_verify(struct kc_ctx *ctx, const char *dir, const struct kc_verify_options *options,
				  struct kc_verified *verified)
{
	struct kc_verify verify = { .ctx = ctx, .dir = dir, .options = options, .verified = verified };
	struct kc_error *err;

	*verified = (struct kc_verified){ 0 };
	err = verify_feeds(&verify);
	for (char *const *hash = options->known; !err && hash && *hash; hash++) {
		kc_autofree char *path = kc_blob_path(*hash);

		err = path ? kc_verify_mark(&verify, path) : kc_error_no_memory();
	}
	/* without whole metadata everything would look like a stray */
	if (!err && !verified->n_problems)
		err = kc_verify_strays(&verify);
	kc_verify_blobs_free(&verify);
	kc_verify_patchsets_free(&verify);
	tdestroy(verify.files, free);
	return err;
}
