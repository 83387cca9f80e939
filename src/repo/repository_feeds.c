/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds: their files in private/feeds, and the commands that make, change and remove them. */
#include "repo/repository_internal.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "sign/canonical.h"

#define DOCUMENT "kcare-feed-1"
#define FOLDER "private/feeds"
#define MARKERS "private/unpublished"
#define SUFFIX ".json"

enum {
	FEED_SIZE_MAX = 16 << 20,
	NOTE_MAX = 1000,
	DEPLOY_AFTER_MAX_H = 24 * 365,
};

static const char *const state_names[] = {
	[KC_PATCHSET_DISABLED] = "disabled",
	[KC_PATCHSET_ENABLED] = "enabled",
	[KC_PATCHSET_BLOCKED] = "blocked",
};

const char *kc_patchset_state_name(enum kc_patchset_state state)
{
	return state_names[state];
}

static void clear_feed(struct kc_feed_info *feed)
{
	for (size_t i = 0; i < feed->n_patchsets; i++)
		free(feed->patchsets[i].name);
	free(feed->patchsets);
	for (size_t i = 0; i < feed->n_undeployed; i++)
		free(feed->undeployed[i]);
	free(feed->undeployed);
	free(feed->name);
	free(feed->note);
	free(feed->channel);
}

void kc_feed_infos_free(struct kc_feed_info *feeds, size_t n_feeds)
{
	for (size_t i = 0; i < n_feeds; i++)
		clear_feed(&feeds[i]);
	free(feeds);
}

struct kc_feed_patchset *kc_feed_patchset_find(const struct kc_feed_info *feed, const char *patchset)
{
	for (size_t i = 0; i < feed->n_patchsets; i++)
		if (!strcmp(feed->patchsets[i].name, patchset))
			return &feed->patchsets[i];
	return NULL;
}

bool kc_feed_was_undeployed(const struct kc_feed_info *feed, const char *patchset)
{
	for (size_t i = 0; i < feed->n_undeployed; i++)
		if (!strcmp(feed->undeployed[i], patchset))
			return true;
	return false;
}

struct kc_error *kc_feed_set_undeployed(struct kc_feed_info *feed, const char *patchset, bool is_undeployed)
{
	size_t i = 0;
	char **added;

	while (i < feed->n_undeployed && strcmp(feed->undeployed[i], patchset))
		i++;
	if (i < feed->n_undeployed) {
		if (!is_undeployed) {
			free(feed->undeployed[i]);
			feed->undeployed[i] = feed->undeployed[--feed->n_undeployed];
		}
		return NULL;
	}
	if (!is_undeployed)
		return NULL;
	added = kc_array_add(&feed->undeployed, &feed->n_undeployed);
	if (!added)
		return kc_error_no_memory();
	*added = strdup(patchset);
	if (*added)
		return NULL;
	feed->n_undeployed--;
	return kc_error_no_memory();
}

struct kc_error *kc_feed_find(struct kc_repository *repository, const char *name, struct kc_feed_info **feed)
{
	kc_autobuf struct kc_buf names = { 0 };

	for (size_t i = 0; i < repository->n_feeds; i++) {
		*feed = &repository->feeds[i];
		if (!strcmp((*feed)->name, name))
			return NULL;
		kc_buf_printf(&names, " %s", (*feed)->name);
	}
	return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%s', only:%s", name, names.data ? names.data : "");
}

/* ---- reading ---- */

static struct kc_error *damaged(const char *path, const char *what)
{
	return kc_error_new(KC_ERR_CORRUPT, "%s is damaged (%s): restore it from a backup", path, what);
}

static struct kc_error *copy(const char *from, char **to)
{
	*to = strdup(from);
	return *to ? NULL : kc_error_no_memory();
}

static struct kc_error *read_patchset(const char *path, const json_t *json, struct kc_feed_info *feed)
{
	struct kc_feed_patchset *patchset = kc_array_add(&feed->patchsets, &feed->n_patchsets);
	const char *name, *state;
	json_int_t rollout, deployed;

	if (!patchset)
		return kc_error_no_memory();
	if (json_unpack((json_t *)json, "{s:s, s:s, s:I, s:I}", "name", &name, "state", &state, "rollout", &rollout,
			"deployed", &deployed) ||
	    !kc_patchset_name_is_valid(name) || rollout < 1 || rollout > KC_ROLLOUT_ALL)
		return damaged(path, "patchsets");
	KC_TRY(copy(name, &patchset->name));
	patchset->rollout = (unsigned)rollout;
	patchset->deployed = deployed;
	for (size_t i = 0; i < KC_ARRAY_SIZE(state_names); i++) {
		patchset->state = (enum kc_patchset_state)i;
		if (!strcmp(state, state_names[i]))
			return NULL;
	}
	return damaged(path, "the state of a patchset");
}

/* Older files have no such member. */
static struct kc_error *read_undeployed(const char *path, const json_t *names, struct kc_feed_info *feed)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (!name || !kc_patchset_name_is_valid(name))
			return damaged(path, "patchsets that were undeployed");
		KC_TRY(kc_feed_set_undeployed(feed, name, true));
	}
	return NULL;
}

static struct kc_error *read_feed(const char *path, const char *name, const json_t *json, struct kc_feed_info *feed)
{
	const char *document, *its_name, *note, *channel;
	json_t *patchsets, *undeployed = NULL;
	json_int_t deploy_after;
	int automatic;

	if (json_unpack((json_t *)json, "{s:s, s:s, s:s, s:b, s:I, s:s, s:o, s?o}", "document", &document, "name",
			&its_name, "note", &note, "auto", &automatic, "deploy_after", &deploy_after, "channel",
			&channel, "patchsets", &patchsets, "undeployed", &undeployed) ||
	    strcmp(document, DOCUMENT) || strcmp(name, its_name) || !json_is_array(patchsets))
		return damaged(path, "not such a file");
	feed->auto_update = automatic;
	feed->deploy_after_h = (unsigned)deploy_after;
	KC_TRY(copy(name, &feed->name));
	KC_TRY(copy(note, &feed->note));
	KC_TRY(copy(channel, &feed->channel));
	for (size_t i = 0; i < json_array_size(patchsets); i++)
		KC_TRY(read_patchset(path, json_array_get(patchsets, i), feed));
	return read_undeployed(path, undeployed, feed);
}

/* "main.json"; temporary files have another end. */
static struct kc_error *load_feed(void *data, const char *file)
{
	struct kc_repository *repository = data;
	size_t length = strlen(file);
	kc_autofree char *name = NULL, *path = kc_repository_path(repository, FOLDER "/%s", file);
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *json = NULL;
	struct kc_feed_info *feed;
	json_error_t problem;
	int err;

	if (length <= strlen(SUFFIX) || strcmp(file + length - strlen(SUFFIX), SUFFIX))
		return NULL;
	name = strndup(file, length - strlen(SUFFIX));
	if (!path || !name)
		return kc_error_no_memory();
	if (!kc_feed_name_is_valid(name))
		return damaged(path, "its name is no feed's");
	err = kc_file_read(path, FEED_SIZE_MAX, &text);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &problem);
	if (!json)
		return damaged(path, problem.text);
	feed = kc_array_add(&repository->feeds, &repository->n_feeds);
	return feed ? read_feed(path, name, json, feed) : kc_error_no_memory();
}

static int compare_feeds(const void *a, const void *b)
{
	return strcmp(((const struct kc_feed_info *)a)->name, ((const struct kc_feed_info *)b)->name);
}

static void sort_feeds(struct kc_repository *repository)
{
	if (repository->n_feeds)
		qsort(repository->feeds, repository->n_feeds, sizeof(*repository->feeds), compare_feeds);
}

struct kc_error *kc_feeds_load(struct kc_repository *repository)
{
	KC_TRY(kc_repository_each(repository, FOLDER, load_feed, repository));
	sort_feeds(repository);
	return NULL;
}

static struct kc_error *copy_feed(const struct kc_feed_info *from, struct kc_feed_info *to)
{
	to->auto_update = from->auto_update;
	to->deploy_after_h = from->deploy_after_h;
	KC_TRY(copy(from->name, &to->name));
	KC_TRY(copy(from->note ? from->note : "", &to->note));
	KC_TRY(copy(from->channel ? from->channel : "default", &to->channel));
	for (size_t i = 0; i < from->n_patchsets; i++) {
		struct kc_feed_patchset *patchset = kc_array_add(&to->patchsets, &to->n_patchsets);

		if (!patchset)
			return kc_error_no_memory();
		*patchset = from->patchsets[i];
		patchset->name = NULL;
		KC_TRY(copy(from->patchsets[i].name, &patchset->name));
	}
	for (size_t i = 0; i < from->n_undeployed; i++)
		KC_TRY(kc_feed_set_undeployed(to, from->undeployed[i], true));
	return NULL;
}

struct kc_error *kc_repository_feeds(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info **feeds,
				     size_t *n_feeds)
{
	struct kc_feed_info *copies = calloc(repository->n_feeds + 1, sizeof(*copies));
	struct kc_error *err = copies ? NULL : kc_error_no_memory();

	(void)ctx;
	for (size_t i = 0; !err && i < repository->n_feeds; i++)
		err = copy_feed(&repository->feeds[i], &copies[i]);
	if (err) {
		kc_feed_infos_free(copies, copies ? repository->n_feeds : 0);
		return err;
	}
	*feeds = copies;
	*n_feeds = repository->n_feeds;
	return NULL;
}

/* ---- writing ---- */

static json_t *patchset_to_json(const struct kc_feed_patchset *patchset)
{
	return json_pack("{s:s, s:s, s:I, s:I}", "name", patchset->name, "state", state_names[patchset->state],
			 "rollout", (json_int_t)patchset->rollout, "deployed", (json_int_t)patchset->deployed);
}

static json_t *feed_to_json(const struct kc_feed_info *feed)
{
	kc_autojson json_t *patchsets = json_array(), *undeployed = json_array();

	for (size_t i = 0; i < feed->n_patchsets; i++)
		if (json_array_append_new(patchsets, patchset_to_json(&feed->patchsets[i])))
			return NULL;
	for (size_t i = 0; i < feed->n_undeployed; i++)
		if (json_array_append_new(undeployed, json_string(feed->undeployed[i])))
			return NULL;
	return json_pack("{s:s, s:s, s:s, s:b, s:I, s:s, s:O, s:O}", "document", DOCUMENT, "name", feed->name, "note",
			 feed->note, "auto", feed->auto_update, "deploy_after", (json_int_t)feed->deploy_after_h,
			 "channel", feed->channel, "patchsets", patchsets, "undeployed", undeployed);
}

struct kc_error *kc_feed_infos_to_json(const struct kc_feed_info *feeds, size_t n_feeds, char **text)
{
	kc_autojson json_t *array = json_array();

	for (size_t i = 0; i < n_feeds; i++) {
		json_t *json = feed_to_json(&feeds[i]);

		if (!json || json_object_del(json, "document") || json_array_append_new(array, json))
			return kc_error_no_memory();
	}
	*text = json_dumps(array, JSON_INDENT(2) | JSON_SORT_KEYS);
	return *text ? NULL : kc_error_no_memory();
}

struct kc_error *kc_feed_write(const struct kc_repository *repository, const struct kc_feed_info *feed)
{
	kc_autojson json_t *json = feed_to_json(feed);
	kc_autofree char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL, *name = NULL;

	if (!text || asprintf(&name, FOLDER "/%s" SUFFIX, feed->name) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_repository_write(repository, name, text, strlen(text), 0600);
}

static struct kc_error *marker_name(const char *feed, char **name)
{
	if (asprintf(name, MARKERS "/%s", feed) >= 0)
		return NULL;
	*name = NULL;
	return kc_error_no_memory();
}

struct kc_error *kc_feed_mark(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *marker = NULL;

	KC_TRY(marker_name(name, &marker));
	return kc_repository_write(repository, marker, "", 0, 0600);
}

struct kc_error *kc_feed_unmark(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *marker = NULL;

	KC_TRY(marker_name(name, &marker));
	return kc_repository_unlink(repository, marker);
}

bool kc_feed_is_marked(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *marker = kc_repository_path(repository, MARKERS "/%s", name);

	return !marker || access(marker, F_OK) == 0;
}

struct kc_error *kc_feed_commit(struct kc_ctx *ctx, struct kc_repository *repository, const struct kc_feed_info *feed,
				const struct kc_patchset_table *touched, struct kc_repository_change *change)
{
	struct kc_error *err;

	if (kc_feed_is_marked(repository, feed->name)) /* hosts wait for an earlier change, too */
		touched = NULL;
	KC_TRY(kc_feed_mark(repository, feed->name));
	KC_TRY(kc_feed_write(repository, feed));
	err = kc_feed_publish(ctx, repository, feed, KC_PUBLISH_CHANGES, touched, change);
	if (err)
		return kc_error_prefix(err, "the change is stored, but hosts still see what was before; "
					    "'kcare-repo refresh' completes it");
	return kc_feed_unmark(repository, feed->name);
}

/* Out of sight in one step, then away: no host ever sees a half of it. */
static struct kc_error *remove_public(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *from = kc_repository_path(repository, "public/feeds/%s", name);
	kc_autofree char *to = kc_repository_path(repository, "private/removed-%s", name);
	int err;

	if (!from || !to)
		return kc_error_no_memory();
	err = kc_tree_remove(to);
	if (!err && rename(from, to) < 0 && errno != ENOENT)
		err = -errno;
	if (!err)
		err = kc_tree_remove(to);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot remove %s", from) : NULL;
}

/* The feed is none of the repository's any more: nobody is told of it, then it is gone. */
static struct kc_error *retire(struct kc_ctx *ctx, const struct kc_repository *repository, const char *name)
{
	kc_autofree char *dir = kc_repository_path(repository, "public");
	kc_autopublicfiles struct kc_public_files *files = NULL;

	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_public_files_open(ctx, dir, &files));
	KC_TRY(kc_repository_finish_public(ctx, repository, files));
	KC_TRY(remove_public(repository, name));
	return kc_feed_unmark(repository, name);
}

struct completion {
	struct kc_ctx *ctx;
	struct kc_repository *repository;
	struct kc_error *first; /* problem of a feed */
};

/* Its feed is published; a feed that is gone is also gone from public/. */
static struct kc_error *publish_marked(struct completion *completion, const char *name)
{
	struct kc_repository *repository = completion->repository;
	struct kc_feed_info wanted = { .name = (char *)name }, *feed;

	feed = repository->n_feeds
		       ? bsearch(&wanted, repository->feeds, repository->n_feeds, sizeof(wanted), compare_feeds)
		       : NULL;
	if (!feed)
		return retire(completion->ctx, repository, name);
	KC_TRY(kc_feed_publish(completion->ctx, repository, feed, KC_PUBLISH_CHANGES, NULL, NULL));
	return kc_feed_unmark(repository, name);
}

/* The first problem is kept: one feed must not stand in the way of another. */
static struct kc_error *complete_feed(void *data, const char *name)
{
	struct completion *completion = data;
	struct kc_error *err;

	if (!kc_feed_name_is_valid(name)) /* the temporary file of a marker */
		return kc_feed_unmark(completion->repository, name);
	kc_info(completion->ctx, "the feed %s was not published to its end; doing so now", name);
	err = publish_marked(completion, name);
	if (!err)
		return NULL;
	err = kc_error_prefix(err, "the feed %s has a change that hosts do not see yet", name);
	if (completion->first) {
		kc_warning(completion->ctx, "%s", kc_error_message(err));
		kc_error_free(err);
	} else {
		completion->first = err;
	}
	return NULL;
}

struct kc_error *kc_repository_complete(struct kc_ctx *ctx, struct kc_repository *repository)
{
	struct completion completion = { .ctx = ctx, .repository = repository };
	struct kc_error *err = kc_repository_each(repository, MARKERS, complete_feed, &completion);

	if (!err)
		return completion.first;
	kc_error_free(completion.first);
	return err;
}

struct kc_error *kc_repository_try_complete(struct kc_ctx *ctx, struct kc_repository *repository)
{
	kc_autoerror struct kc_error *err = kc_repository_complete(ctx, repository);

	if (err && kc_error_code(err) == KC_ERR_NO_MEMORY)
		return kc_steal(err);
	if (err)
		kc_warning(ctx, "%s", kc_error_message(err));
	return NULL;
}

/* ---- commands ---- */

static struct kc_error *check_settings(const struct kc_feed_info *info)
{
	const char *channel = info->channel ? info->channel : "default";

	if (info->note && (strlen(info->note) > NOTE_MAX || strchr(info->note, '\n')))
		return kc_error_new(KC_ERR_USAGE, "a note is one line of at most %d characters", NOTE_MAX);
	if (info->deploy_after_h > DEPLOY_AFTER_MAX_H)
		return kc_error_new(KC_ERR_USAGE, "--deploy-after takes at most %d hours", DEPLOY_AFTER_MAX_H);
	if (strcmp(channel, "default") && strcmp(channel, "test") && strcmp(channel, "unstable"))
		return kc_error_new(KC_ERR_USAGE, "there is no channel '%s': default, test or unstable", channel);
	return NULL;
}

static struct kc_error *check_new(struct kc_repository *repository, const struct kc_feed_info *info)
{
	kc_autoerror struct kc_error *absent = NULL;
	struct kc_feed_info *found;

	if (!kc_feed_name_is_valid(info->name))
		return kc_error_new(KC_ERR_USAGE,
				    "'%s' is no name for a feed: 1 to 64 of a-z 0-9 . _ -, beginning with a letter or "
				    "digit; 12h, 24h and 48h are delays",
				    info->name);
	if (kc_public_name_is_reserved(info->name))
		return kc_error_new(KC_ERR_USAGE,
				    "a feed cannot have the name '%s': the repository shows other files there",
				    info->name);
	absent = kc_feed_find(repository, info->name, &found);
	if (!absent)
		return kc_error_new(KC_ERR_REFUSED, "there is a feed '%s' already; 'feed change' changes it",
				    info->name);
	return check_settings(info);
}

/* The new feed, after the others; sorted in at the next load. */
static struct kc_error *append_feed(struct kc_repository *repository, const struct kc_feed_info *info,
				    const struct kc_feed_info *source)
{
	struct kc_feed_info wanted = *info;
	struct kc_feed_info *added;

	wanted.patchsets = source ? source->patchsets : NULL;
	wanted.n_patchsets = source ? source->n_patchsets : 0;
	wanted.undeployed = source ? source->undeployed : NULL;
	wanted.n_undeployed = source ? source->n_undeployed : 0;
	added = kc_array_add(&repository->feeds, &repository->n_feeds);
	return added ? copy_feed(&wanted, added) : kc_error_no_memory();
}

struct kc_error *kc_repository_feed_add(struct kc_ctx *ctx, struct kc_repository *repository,
					const struct kc_feed_info *info, const char *from)
{
	struct kc_feed_info *source = NULL, *feed;

	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(check_new(repository, info));
	if (from)
		KC_TRY(kc_feed_find(repository, from, &source));
	if (source) { /* adding moves the array that it is in */
		size_t i = (size_t)(source - repository->feeds);
		struct kc_feed_info copied = repository->feeds[i];

		KC_TRY(append_feed(repository, info, &copied));
	} else {
		KC_TRY(append_feed(repository, info, NULL));
	}
	sort_feeds(repository);
	KC_TRY(kc_feed_find(repository, info->name, &feed));
	for (size_t i = 0; i < feed->n_patchsets; i++)
		feed->patchsets[i].deployed = repository->now;
	return kc_feed_commit(ctx, repository, feed, NULL, NULL);
}

static struct kc_error *replace_text(const char *from, char **to)
{
	char *copied;

	if (!from)
		return NULL;
	KC_TRY(copy(from, &copied));
	free(*to);
	*to = copied;
	return NULL;
}

/* Settings are nothing that hosts see. */
struct kc_error *kc_repository_feed_change(struct kc_ctx *ctx, struct kc_repository *repository,
					   const struct kc_feed_info *info)
{
	struct kc_feed_info *feed;

	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, info->name, &feed));
	KC_TRY(check_settings(info));
	feed->auto_update = info->auto_update;
	feed->deploy_after_h = info->deploy_after_h;
	KC_TRY(replace_text(info->note, &feed->note));
	KC_TRY(replace_text(info->channel, &feed->channel));
	return kc_feed_write(repository, feed);
}

struct kc_error *kc_repository_feed_remove(struct kc_ctx *ctx, struct kc_repository *repository, const char *name)
{
	kc_autofree char *file = NULL;
	struct kc_feed_info *feed;

	KC_TRY(kc_repository_try_complete(ctx, repository));
	KC_TRY(kc_feed_find(repository, name, &feed));
	if (!strcmp(name, "main"))
		return kc_error_new(KC_ERR_REFUSED, "the feed 'main' always exists");
	if (asprintf(&file, FOLDER "/%s" SUFFIX, name) < 0) {
		file = NULL;
		return kc_error_no_memory();
	}
	KC_TRY(kc_feed_mark(repository, name));
	KC_TRY(kc_repository_unlink(repository, file));
	clear_feed(feed);
	repository->n_feeds--;
	memmove(feed, feed + 1, (size_t)(repository->feeds + repository->n_feeds - feed) * sizeof(*feed));
	return retire(ctx, repository, name);
}
