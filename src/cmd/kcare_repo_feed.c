/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo feed: lists, adds, changes and removes feeds. */
#include "cmd/kcare_repo.h"

#include <string.h>
#include <time.h>

#include "base/array.h"
#include "repo/repository.h"

struct request {
	const char *dir, *verb, *name;
	const char *note, *channel, *from;
	unsigned deploy_after_h;
	bool has_auto, is_auto, has_deploy_after, as_json;
};

static struct kc_error *parse_hours(const char *text, unsigned *hours)
{
	*hours = 0;
	return strcmp(text, "0") ? kc_command_parse_number(text, "number of hours", hours) : NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	switch (option) {
	case 'n':
		request->note = value;
		break;
	case 'A':
	case 'N':
		request->has_auto = true;
		request->is_auto = option == 'A';
		break;
	case 'd':
		request->has_deploy_after = true;
		return parse_hours(value, &request->deploy_after_h);
	case 'c':
		request->channel = value;
		break;
	case 'f':
		request->from = value;
		break;
	default:
		request->as_json = true;
	}
	return NULL;
}

static struct kc_error *read_options(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "note", required_argument, NULL, 'n' },    { "auto", no_argument, NULL, 'A' },
		{ "no-auto", no_argument, NULL, 'N' },	     { "deploy-after", required_argument, NULL, 'd' },
		{ "channel", required_argument, NULL, 'c' }, { "from", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },	     { NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":", options, set_option, request));
	if (argc - optind < 2)
		return kc_error_new(KC_ERR_USAGE, "missing argument: expected DIR and list, add, change or remove");
	request->dir = argv[optind];
	request->verb = argv[optind + 1];
	if (!strcmp(request->verb, "list"))
		return kc_command_need_arguments(argc, 2, "DIR list");
	KC_TRY(kc_command_need_arguments(argc, 3, "DIR, what to do, and NAME"));
	request->name = argv[optind + 2];
	return NULL;
}

static struct kc_error *check_options(const struct request *request, bool may_set, bool may_copy, bool may_json)
{
	bool sets = request->note || request->channel || request->has_auto || request->has_deploy_after;

	if ((sets && !may_set) || (request->from && !may_copy) || (request->as_json && !may_json))
		return kc_error_new(KC_ERR_USAGE, "'feed %s' does not take one of these options", request->verb);
	return NULL;
}

/* ---- list ---- */

static void print_feed(const struct kc_feed_info *feed)
{
	printf("%s", feed->name);
	if (feed->auto_update)
		printf("  follows the channel %s by itself, after %u h", feed->channel, feed->deploy_after_h);
	printf("%s%s\n", *feed->note ? "  # " : "", feed->note);
	for (size_t i = 0; i < feed->n_patchsets; i++) {
		const struct kc_feed_patchset *patchset = &feed->patchsets[i];
		char when[21];

		kc_repo_time_text(patchset->deployed, when);
		printf("  %-20s %-8s %3u %%  %s\n", patchset->name, kc_patchset_state_name(patchset->state),
		       patchset->rollout, when);
	}
}

static struct kc_error *print_feeds(const struct request *request, const struct kc_feed_info *feeds, size_t n_feeds)
{
	kc_autofree char *text = NULL;

	for (size_t i = 0; !request->as_json && i < n_feeds; i++)
		print_feed(&feeds[i]);
	if (!request->as_json)
		return NULL;
	KC_TRY(kc_feed_infos_to_json(feeds, n_feeds, &text));
	puts(text);
	return NULL;
}

static struct kc_error *list(struct kc_ctx *ctx, struct kc_repository *repository, const struct request *request)
{
	struct kc_feed_info *feeds;
	struct kc_error *err;
	size_t n_feeds;

	KC_TRY(check_options(request, false, false, true));
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	err = print_feeds(request, feeds, n_feeds);
	kc_feed_infos_free(feeds, n_feeds);
	return err;
}

/* ---- add, change, remove ---- */

static struct kc_error *add(struct kc_ctx *ctx, struct kc_repository *repository, const struct request *request)
{
	const struct kc_feed_info info = {
		.name = (char *)request->name,
		.note = (char *)request->note,
		.auto_update = request->is_auto,
		.deploy_after_h = request->deploy_after_h,
		.channel = (char *)request->channel,
	};

	KC_TRY(check_options(request, true, true, false));
	KC_TRY(kc_repository_feed_add(ctx, repository, &info, request->from));
	printf("feed %s was added%s%s\n", request->name, request->from ? ", with the patchsets of " : "",
	       request->from ? request->from : "");
	return NULL;
}

/* What is not said stays. */
static struct kc_error *change(struct kc_ctx *ctx, struct kc_repository *repository, const struct request *request)
{
	struct kc_feed_info *feeds, info = { .name = (char *)request->name };
	size_t n_feeds;

	KC_TRY(check_options(request, true, false, false));
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; i < n_feeds; i++) {
		if (strcmp(feeds[i].name, request->name))
			continue;
		info.auto_update = feeds[i].auto_update;
		info.deploy_after_h = feeds[i].deploy_after_h;
	}
	kc_feed_infos_free(feeds, n_feeds);
	info.note = (char *)request->note;
	info.channel = (char *)request->channel;
	if (request->has_auto)
		info.auto_update = request->is_auto;
	if (request->has_deploy_after)
		info.deploy_after_h = request->deploy_after_h;
	KC_TRY(kc_repository_feed_change(ctx, repository, &info));
	printf("feed %s was changed\n", request->name);
	return NULL;
}

static struct kc_error *feed_remove(struct kc_ctx *ctx, struct kc_repository *repository, const struct request *request)
{
	KC_TRY(check_options(request, false, false, false));
	KC_TRY(kc_repository_feed_remove(ctx, repository, request->name));
	printf("feed %s was removed\n", request->name);
	return NULL;
}

struct kc_error *kc_repo_feed_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct {
		const char *name;
		struct kc_error *(*run)(struct kc_ctx *ctx, struct kc_repository *repository,
					const struct request *request);
	} verbs[] = { { "list", list }, { "add", add }, { "change", change }, { "remove", feed_remove } };
	kc_autorepository struct kc_repository *repository = NULL;
	struct request request = { 0 };

	(void)terminal;
	KC_TRY(read_options(argc, argv, &request));
	for (size_t i = 0; i < KC_ARRAY_SIZE(verbs); i++) {
		if (strcmp(request.verb, verbs[i].name))
			continue;
		KC_TRY(kc_repo_open(ctx, request.dir, &repository));
		return verbs[i].run(ctx, repository, &request);
	}
	return kc_error_new(KC_ERR_USAGE, "a feed can be listed, or you can add, change or remove one; not '%s'",
			    request.verb);
}
