/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds. The repository is the authority on them: all of this is done by the publisher. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/answer.h"
#include "portal/api/work.h"
#include "portal/db/keys.h"

enum { DEPLOY_AFTER_MAX = 8760 };

static json_t *feed_json(const struct kc_feed_info *feed)
{
	return json_pack("{s:s, s:b, s:I, s:s, s:o, s:I}", "name", feed->name, "auto", feed->auto_update,
			 "deploy_after", (json_int_t)feed->deploy_after_h, "channel", feed->channel, "note",
			 kc_api_text(feed->note), "patchsets", (json_int_t)feed->n_patchsets);
}

static const struct kc_feed_info *find(const struct kc_feed_info *feeds, size_t n_feeds, const char *name)
{
	for (size_t i = 0; i < n_feeds; i++)
		if (!strcmp(feeds[i].name, name))
			return &feeds[i];
	return NULL;
}

/* ---- list ---- */

static struct kc_error *list(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			     struct kc_work *work)
{
	json_t *result = json_array();
	struct kc_feed_info *feeds;
	size_t n_feeds;

	(void)publisher;
	work->answer = json_pack("{s:o}", "result", result);
	if (!work->answer)
		return kc_error_no_memory();
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; i < n_feeds; i++)
		json_array_append_new(result, feed_json(&feeds[i]));
	kc_feed_infos_free(feeds, n_feeds);
	return json_array_size(result) == n_feeds ? NULL : kc_error_no_memory();
}

void kc_api_feeds_get(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = { .has_own_body = true, .publish = list };

	kc_work_run(data, request, &kind);
}

/* ---- add, change ---- */

struct feed_work {
	const char *name, *channel, *note, *from; /* NULL: not named */
	int64_t deploy_after_h;			  /* -1: not named */
	int is_auto;				  /* -1: not named */
};

static struct kc_error *prepare_put(struct kc_work *work)
{
	static const char *const channels[] = { "default", "test", "unstable" };
	struct feed_work *own = work->data;
	bool is_auto = false;

	*own = (struct feed_work){ .deploy_after_h = -1 };
	KC_TRY(kc_args_need_text(&work->args, "name", KC_ARGS_TEXT_MAX, &own->name));
	KC_TRY(kc_args_text(&work->args, "channel", KC_ARGS_TEXT_MAX, &own->channel));
	KC_TRY(kc_args_text(&work->args, "note", KC_ARGS_TEXT_MAX, &own->note));
	KC_TRY(kc_args_text(&work->args, "from", KC_ARGS_TEXT_MAX, &own->from));
	KC_TRY(kc_args_number(&work->args, "deploy_after", 0, DEPLOY_AFTER_MAX, &own->deploy_after_h));
	KC_TRY(kc_args_flag(&work->args, "auto", &is_auto));
	own->is_auto = kc_args_has(&work->args, "auto") ? is_auto : -1;
	if (!kc_feed_name_is_valid(own->name))
		return kc_error_new(KC_ERR_INPUT, "the name of a feed has 1 to 64 of a-z 0-9 . _ -, begins with a "
						  "letter or digit; 12h, 24h and 48h are delays on main");
	for (size_t i = 0; own->channel && strcmp(own->channel, channels[i]);)
		if (++i == KC_ARRAY_SIZE(channels))
			return kc_error_new(KC_ERR_INPUT, "channel is default, test or unstable, not %s", own->channel);
	if (own->from)
		KC_TRY(kc_api_need_feed(work->portal, own->from));
	work->has_changed = true;
	return kc_work_set(&work->object, "%s", own->name);
}

static struct kc_error *add(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_work *work)
{
	const struct feed_work *own = work->data;
	const struct kc_feed_info info = {
		.name = (char *)own->name,
		.note = (char *)own->note,
		.channel = (char *)own->channel,
		.auto_update = own->is_auto == 1,
		.deploy_after_h = own->deploy_after_h > 0 ? (unsigned)own->deploy_after_h : 0,
	};

	work->action = "feed add";
	work->n_changed = 1;
	return kc_repository_feed_add(ctx, repository, &info, own->from);
}

/* What is not named stays. */
static struct kc_error *change(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_work *work,
			       const struct kc_feed_info *before)
{
	const struct feed_work *own = work->data;
	const struct kc_feed_info info = {
		.name = before->name,
		.note = own->note ? (char *)own->note : before->note,
		.channel = own->channel ? (char *)own->channel : before->channel,
		.auto_update = own->is_auto < 0 ? before->auto_update : own->is_auto == 1,
		.deploy_after_h = own->deploy_after_h < 0 ? before->deploy_after_h : (unsigned)own->deploy_after_h,
	};

	work->n_changed = (size_t)(strcmp(info.note, before->note) != 0) +
			  (strcmp(info.channel, before->channel) != 0) + (info.auto_update != before->auto_update) +
			  (info.deploy_after_h != before->deploy_after_h);
	return work->n_changed ? kc_repository_feed_change(ctx, repository, &info) : NULL;
}

/* The feed as it is in the end is the answer. */
static struct kc_error *answer_feed(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_work *work)
{
	const struct feed_work *own = work->data;
	const struct kc_feed_info *feed;
	struct kc_feed_info *feeds;
	struct kc_error *err;
	size_t n_feeds;

	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	feed = find(feeds, n_feeds, own->name);
	work->answer = feed ? json_pack("{s:o}", "result", feed_json(feed)) : NULL;
	err = work->answer ? NULL : kc_error_no_memory();
	if (feed && !err)
		err = kc_work_set(&work->detail, "auto=%d deploy_after=%u channel=%s", feed->auto_update,
				  feed->deploy_after_h, feed->channel);
	kc_feed_infos_free(feeds, n_feeds);
	return err;
}

static struct kc_error *put(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			    struct kc_work *work)
{
	const struct feed_work *own = work->data;
	const struct kc_feed_info *before;
	struct kc_feed_info *feeds;
	struct kc_error *err;
	size_t n_feeds;

	(void)publisher;
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	before = find(feeds, n_feeds, own->name);
	err = before ? change(ctx, repository, work, before) : add(ctx, repository, work);
	kc_feed_infos_free(feeds, n_feeds);
	return err ? err : answer_feed(ctx, repository, work);
}

void kc_api_feed_put(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "feed change",
		.data_size = sizeof(struct feed_work),
		.prepare = prepare_put,
		.publish = put,
	};

	kc_work_run(data, request, &kind);
}

/* ---- remove ---- */

static struct kc_error *prepare_delete(struct kc_work *work)
{
	KC_TRY(kc_work_name_object(work));
	if (!strcmp(work->object, "main"))
		return kc_error_new(KC_ERR_REFUSED, "the feed main is always there");
	return NULL;
}

static struct kc_error *move_keys(struct kc_db_conn *conn, void *data)
{
	const struct kc_work *work = data;

	return kc_keys_move_feed(conn, work->object, "main");
}

/* Keys first: no key ever names a feed that is not there, wherever a power cut comes. */
static struct kc_error *delete (struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				struct kc_work *work)
{
	struct kc_feed_info *feeds;
	size_t n_feeds;
	bool is_there;

	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	is_there = find(feeds, n_feeds, work->object);
	kc_feed_infos_free(feeds, n_feeds);
	KC_TRY(kc_db_write_wait(work->portal->db, move_keys, work));
	if (is_there)
		KC_TRY(kc_publisher_remove_feed(ctx, publisher, repository, work->object));
	work->is_unchanged = !is_there;
	work->answer = kc_api_count(is_there);
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_feed_delete(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "feed remove",
		.prepare = prepare_delete,
		.publish = delete,
	};

	kc_work_run(data, request, &kind);
}
