/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hosts are offered, by the lists that are published, as hosts see them: a client of repo/client.h for each feed,
 * which looks again only when timestamp.json is another file. What it verifies is our own; its state can be lost.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/feeds/publisher_internal.h"
#include "repo/client.h"
#include "repo/source_folder.h"
#include "sign/canonical.h"

enum { PATIENCE_S = 10 };

struct offered_list {
	char kernel_id[KC_KERNEL_ID_SIZE];
	bool exists;
	struct kc_target_list list;
};

struct offered_feed {
	char *name;
	char *folder; /* public/feeds/NAME */
	struct kc_repo_client *client;
	struct kc_repo_source source;
	struct timespec seen; /* mtime and inode of timestamp.json */
	ino_t inode;
	/* What was wrong with that file, and when: a whole list of servers must not try it anew for each. */
	enum kc_error_code failure;
	char *failure_text; /* NULL: nothing */
	time_t failed;
	struct offered_list **lists; /* those that were asked for, by kernel id */
	size_t n_lists;
};

struct kc_offers {
	struct kc_ctx *ctx;
	char *state;  /* DATA/view */
	char *public; /* DATA/repository/public */
	pthread_mutex_t mutex;
	struct offered_feed **feeds;
	size_t n_feeds;
};

const char *kc_offer_name(enum kc_offer offer)
{
	static const char *const names[] = {
		[KC_OFFER_UPDATED] = "uptodate",
		[KC_OFFER_OUTDATED] = "outdated",
		[KC_OFFER_UNSUPPORTED] = "unsupported",
	};

	return names[offer];
}

/* ---- one feed ---- */

static void clear_lists(struct offered_feed *feed)
{
	for (size_t i = 0; i < feed->n_lists; i++) {
		kc_target_list_clear(&feed->lists[i]->list);
		free(feed->lists[i]);
	}
	free(feed->lists);
	feed->lists = NULL;
	feed->n_lists = 0;
}

static void free_feed(struct offered_feed *feed)
{
	if (!feed)
		return;
	clear_lists(feed);
	kc_repo_client_free(feed->client);
	free(feed->failure_text);
	free(feed->name);
	free(feed->folder);
	free(feed);
}

static struct kc_error *open_client(struct kc_offers *offers, struct offered_feed *feed)
{
	kc_autofree char *state = kc_path_join(offers->state, feed->name);
	kc_autofree char *anchor = kc_path_join(feed->folder, "metadata/1.root.json");
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!state || !anchor)
		return kc_error_no_memory();
	err = kc_file_read_now(anchor, KC_REPO_ROOT_SIZE_MAX, &text);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", anchor);
	kc_repo_client_free(kc_steal(feed->client));
	return kc_repo_client_open(offers->ctx, state, feed->name, text.data, text.size, &feed->client);
}

/* What it remembers may be of another time than what is published: of before a restore, say. */
static struct kc_error *refresh(struct kc_offers *offers, struct offered_feed *feed)
{
	kc_autofree char *state = kc_path_join(offers->state, feed->name);
	struct kc_repo_refreshed refreshed;
	struct kc_error *err = NULL;

	if (!state)
		return kc_error_no_memory();
	if (!feed->client)
		err = open_client(offers, feed);
	if (!err)
		err = kc_repo_client_refresh(offers->ctx, feed->client, &feed->source, time(NULL), &refreshed);
	if (!err)
		return NULL;
	kc_debug(offers->ctx, "the view of the feed %s begins anew: %s", feed->name, kc_error_message(err));
	kc_error_free(err);
	kc_tree_remove(state);
	KC_TRY(open_client(offers, feed));
	return kc_repo_client_refresh(offers->ctx, feed->client, &feed->source, time(NULL), &refreshed);
}

/* Whatever is remembered is about the file that `st` is of. */
static bool is_same(const struct offered_feed *feed, const struct stat *st)
{
	return feed->client && st->st_ino == feed->inode && st->st_mtim.tv_sec == feed->seen.tv_sec &&
	       st->st_mtim.tv_nsec == feed->seen.tv_nsec;
}

static struct kc_error *remember_failure(struct offered_feed *feed, struct kc_error *err)
{
	free(feed->failure_text);
	feed->failure_text = err ? strdup(kc_error_message(err)) : NULL;
	feed->failure = err ? kc_error_code(err) : KC_ERR_NOTHING;
	feed->failed = time(NULL);
	return err;
}

static struct kc_error *look_again(struct kc_offers *offers, struct offered_feed *feed)
{
	kc_autofree char *path = kc_path_join(feed->folder, "metadata/timestamp.json");
	struct stat st;

	if (!path)
		return kc_error_no_memory();
	if (stat(path, &st) < 0)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%s'", feed->name);
	if (is_same(feed, &st) && !feed->failure_text)
		return NULL;
	if (is_same(feed, &st) && time(NULL) - feed->failed < PATIENCE_S)
		return kc_error_new(feed->failure, "%s", feed->failure_text);
	clear_lists(feed);
	feed->inode = st.st_ino;
	feed->seen = st.st_mtim;
	return remember_failure(feed, refresh(offers, feed));
}

static struct kc_error *add_feed(struct kc_offers *offers, const char *name, struct offered_feed **feed)
{
	struct offered_feed *made = calloc(1, sizeof(*made)), **added;

	if (!made)
		return kc_error_no_memory();
	made->name = strdup(name);
	if (asprintf(&made->folder, "%s/feeds/%s", offers->public, name) < 0)
		made->folder = NULL;
	added = made->name && made->folder ? kc_array_add(&offers->feeds, &offers->n_feeds) : NULL;
	if (!added) {
		free_feed(made);
		return kc_error_no_memory();
	}
	kc_repo_source_folder(made->folder, &made->source);
	*added = *feed = made;
	return NULL;
}

static struct kc_error *find_feed(struct kc_offers *offers, const char *name, struct offered_feed **feed)
{
	struct kc_error *err;

	/* delays on main are the host's to count */
	if (!*name || !strcmp(name, "12h") || !strcmp(name, "24h") || !strcmp(name, "48h"))
		name = "main";
	if (!kc_feed_name_is_valid(name))
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed '%.64s'", name);
	for (size_t i = 0; i < offers->n_feeds; i++)
		if (!strcmp(offers->feeds[i]->name, name)) {
			*feed = offers->feeds[i];
			return look_again(offers, *feed);
		}
	KC_TRY(add_feed(offers, name, feed));
	err = look_again(offers, *feed);
	/* hosts say names: what is not there is not remembered */
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND)
		free_feed(offers->feeds[--offers->n_feeds]);
	return err;
}

/* ---- one list ---- */

/* The first one that is not smaller. */
static size_t place_of(const struct offered_feed *feed, const char *kernel_id)
{
	size_t from = 0, to = feed->n_lists;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (strcmp(feed->lists[middle]->kernel_id, kernel_id) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct kc_error *read_list(struct kc_offers *offers, struct offered_feed *feed, struct offered_list *list)
{
	struct kc_error *err;
	char path[64];

	snprintf(path, sizeof(path), "kernel/%s", list->kernel_id);
	err = kc_repo_client_list(offers->ctx, feed->client, &feed->source, path, &list->list);
	list->exists = !err;
	if (!err || kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	return NULL;
}

static struct kc_error *find_list(struct kc_offers *offers, struct offered_feed *feed, const char *kernel_id,
				  const struct offered_list **list)
{
	size_t at = place_of(feed, kernel_id);
	struct offered_list *made, **added;
	struct kc_error *err;

	if (feed->n_lists >= KC_OFFERS_LISTS_MAX) {
		clear_lists(feed);
		at = 0;
	}
	if (at < feed->n_lists && !strcmp(feed->lists[at]->kernel_id, kernel_id)) {
		*list = feed->lists[at];
		return NULL;
	}
	made = calloc(1, sizeof(*made));
	if (!made)
		return kc_error_no_memory();
	snprintf(made->kernel_id, sizeof(made->kernel_id), "%s", kernel_id);
	err = read_list(offers, feed, made);
	added = err ? NULL : kc_array_add(&feed->lists, &feed->n_lists);
	if (!added) {
		kc_target_list_clear(&made->list);
		free(made);
		return err ? err : kc_error_no_memory();
	}
	memmove(feed->lists + at + 1, feed->lists + at, (feed->n_lists - 1 - at) * sizeof(*feed->lists));
	*list = feed->lists[at] = made;
	return NULL;
}

/* ---- the offer ---- */

/* What the list says of the level that is in; it may be of the default type where there is none of the host's. */
static const struct kc_target_entry *find_level(const struct kc_target_list *list, const char *type, uint32_t level)
{
	const struct kc_target_entry *entry = kc_choice_find(list, NULL, type, level);

	return entry ? entry : kc_choice_find(list, NULL, "default", level);
}

/* Has it anything above `level` that is for some hosts only? */
static bool rolls_out(const struct kc_target_list *list, uint32_t level)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		const struct kc_target_entry *entry = &list->entries[i];

		if (entry->rollout < KC_ROLLOUT_ALL && entry->level > level && !entry->blocked)
			return true;
	}
	return false;
}

static enum kc_offer judge(const struct offered_list *list, const struct kc_choice_policy *policy, uint32_t level,
			   uint32_t *offered)
{
	const struct kc_target_entry *chosen, *has;

	if (!list->exists)
		return KC_OFFER_UNSUPPORTED;
	chosen = kc_choice_pick(&list->list, NULL, policy);
	has = level ? find_level(&list->list, policy->type, level) : NULL;
	*offered = chosen ? chosen->level : 0;
	if (!policy->host && rolls_out(&list->list, level))
		return KC_OFFER_BY_HOST;
	/* hosts never go lower by themselves, unless what they have is blocked */
	return (has && has->blocked) || *offered > level ? KC_OFFER_OUTDATED : KC_OFFER_UPDATED;
}

struct kc_error *kc_publisher_offer(struct kc_publisher *publisher, const char *feed, const char *kernel_id,
				    const struct kc_choice_policy *policy, uint32_t level, enum kc_offer *offer,
				    uint32_t *offered)
{
	struct kc_offers *offers = publisher->offers;
	const struct offered_list *list;
	struct offered_feed *found;
	struct kc_error *err;

	*offered = 0;
	*offer = KC_OFFER_UNSUPPORTED;
	if (strlen(kernel_id) != KC_KERNEL_ID_SIZE - 1 ||
	    strspn(kernel_id, "0123456789abcdef") != KC_KERNEL_ID_SIZE - 1)
		return NULL; /* it has said nothing yet */
	pthread_mutex_lock(&offers->mutex);
	err = find_feed(offers, feed, &found);
	if (!err)
		err = find_list(offers, found, kernel_id, &list);
	if (!err)
		*offer = judge(list, policy, level, offered);
	pthread_mutex_unlock(&offers->mutex);
	return err;
}

/* ---- when things expire ---- */

/* Of signed metadata of our own: only its time. 0: not known. */
static int64_t expiry_of(const char *path)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *root = NULL;
	const char *expires = NULL;
	int64_t seconds;

	if (kc_file_read_now(path, KC_REPO_ROOT_SIZE_MAX, &text))
		return 0;
	root = json_loadb(text.data, text.size, 0, NULL);
	if (!root || json_unpack(root, "{s:{s:s}}", "signed", "expires", &expires) ||
	    !kc_repo_time_parse(expires, &seconds))
		return 0;
	return seconds;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* The root of a feed is the one with the highest number. */
static int64_t root_expiry_of(const char *metadata)
{
	kc_autoclosedir DIR *dir = opendir(metadata);
	kc_autofree char *path = NULL;
	unsigned newest = 0, number;
	struct dirent *entry;
	int end;

	while (dir && (entry = readdir(dir))) {
		end = 0;
		if (sscanf(entry->d_name, "%u.root.json%n", &number, &end) == 1 && end && number > newest)
			newest = number;
	}
	if (!newest || asprintf(&path, "%s/%u.root.json", metadata, newest) < 0) {
		path = NULL;
		return 0;
	}
	return expiry_of(path);
}

struct kc_error *kc_publisher_expiry(struct kc_publisher *publisher, int64_t *timestamp, int64_t *root)
{
	kc_autofree char *feeds = kc_path_join(publisher->offers->public, "feeds");
	kc_autoclosedir DIR *dir = feeds ? opendir(feeds) : NULL;
	struct dirent *entry;

	*timestamp = *root = 0;
	if (!feeds)
		return kc_error_no_memory();
	while (dir && (entry = readdir(dir))) {
		kc_autofree char *metadata = NULL, *path = NULL;

		if (!kc_feed_name_is_valid(entry->d_name))
			continue;
		if (asprintf(&metadata, "%s/%s/metadata", feeds, entry->d_name) < 0) {
			metadata = NULL;
			return kc_error_no_memory();
		}
		path = kc_path_join(metadata, "timestamp.json");
		if (!path)
			return kc_error_no_memory();
		*timestamp = earlier(*timestamp, expiry_of(path));
		*root = earlier(*root, root_expiry_of(metadata));
	}
	return NULL;
}

/* ---- all of it ---- */

struct kc_error *kc_offers_new(const struct kc_publisher *publisher, struct kc_offers **offers)
{
	struct kc_offers *made = calloc(1, sizeof(*made));
	int err;

	if (!made)
		return kc_error_no_memory();
	made->ctx = publisher->ctx;
	made->state = kc_path_join(publisher->dir, "view");
	made->public = kc_path_join(publisher->repository, "public");
	pthread_mutex_init(&made->mutex, NULL);
	err = made->state && made->public ? kc_dir_make(made->state, 0700) : -ENOMEM;
	if (err) {
		kc_offers_free(made);
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s/view", publisher->dir);
	}
	*offers = made;
	return NULL;
}

size_t kc_offers_remembered(struct kc_offers *offers)
{
	size_t n;

	pthread_mutex_lock(&offers->mutex);
	n = offers->n_feeds;
	for (size_t i = 0; i < offers->n_feeds; i++)
		n += offers->feeds[i]->n_lists;
	pthread_mutex_unlock(&offers->mutex);
	return n;
}

void kc_offers_free(struct kc_offers *offers)
{
	if (!offers)
		return;
	for (size_t i = 0; i < offers->n_feeds; i++)
		free_feed(offers->feeds[i]);
	free(offers->feeds);
	pthread_mutex_destroy(&offers->mutex);
	free(offers->state);
	free(offers->public);
	free(offers);
}
