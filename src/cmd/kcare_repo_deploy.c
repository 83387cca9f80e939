/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo deploy, enable, disable, block, undeploy and refresh: what a feed has, and that hosts hear of it. */
#include "cmd/kcare_repo.h"

#include <string.h>

#include "repo/repository.h"

struct request {
	const char *dir, *name; /* of an archive or of a patchset */
	const char *feed;
	unsigned rollout; /* 0: not said */
	bool is_disabled;
};

struct kc_error *kc_repo_open(struct kc_ctx *ctx, const char *dir, struct kc_repository **repository)
{
	char **warnings;

	KC_TRY(kc_repository_open(ctx, dir, repository));
	warnings = kc_repository_warnings(*repository);
	if (!warnings)
		return kc_error_no_memory();
	for (size_t i = 0; warnings[i]; i++) {
		kc_warning(ctx, "%s", warnings[i]);
		free(warnings[i]);
	}
	free(warnings);
	return NULL;
}

/* `deploy` knows all of these, the others --feed and perhaps --rollout. */
static struct kc_error *read_options(int argc, char **argv, const struct option *options, const char *arguments,
				     struct request *request)
{
	int option;

	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'f')
			request->feed = optarg;
		else if (option == 'd')
			request->is_disabled = true;
		else if (option == 'r')
			KC_TRY(kc_command_parse_number(optarg, "rollout", &request->rollout));
		else
			return kc_command_bad_option(option, argv);
	}
	KC_TRY(kc_command_need_arguments(argc, 2, arguments));
	if (!request->feed)
		return kc_error_new(KC_ERR_USAGE, "name the feed with --feed, as in --feed main");
	request->dir = argv[optind];
	request->name = argv[optind + 1];
	return NULL;
}

static void print_change(const char *what, const char *feed, const struct kc_repository_change *change)
{
	printf("%s %s: %zu target%s changed", what, feed, change->n_targets, change->n_targets == 1 ? "" : "s");
	if (change->n_blobs)
		printf(", %zu new patch file%s", change->n_blobs, change->n_blobs == 1 ? "" : "s");
	printf("\n");
}

struct kc_error *kc_repo_deploy_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "feed", required_argument, NULL, 'f' },
		{ "disabled", no_argument, NULL, 'd' },
		{ "rollout", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;
	struct request request = { 0 };

	(void)terminal;
	KC_TRY(read_options(argc, argv, options, "DIR and ARCHIVE", &request));
	KC_TRY(kc_repo_open(ctx, request.dir, &repository));
	KC_TRY(kc_repository_deploy(ctx, repository, request.name, request.feed,
				    request.is_disabled ? KC_PATCHSET_DISABLED : KC_PATCHSET_ENABLED, request.rollout,
				    &change));
	print_change(request.is_disabled ? "deployed, disabled, to" : "deployed to", request.feed, &change);
	return NULL;
}

static struct kc_error *set_state(struct kc_ctx *ctx, int argc, char **argv, enum kc_patchset_state state)
{
	static const struct option options[] = {
		{ "feed", required_argument, NULL, 'f' },
		{ "rollout", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;
	struct request request = { 0 };
	char what[128];

	KC_TRY(read_options(argc, argv, options, "DIR and PATCHSET", &request));
	KC_TRY(kc_repo_open(ctx, request.dir, &repository));
	KC_TRY(kc_repository_set_state(ctx, repository, request.name, request.feed, state, request.rollout, &change));
	snprintf(what, sizeof(what), "%s was %s in", request.name, kc_patchset_state_name(state));
	print_change(what, request.feed, &change);
	return NULL;
}

struct kc_error *kc_repo_enable_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	(void)terminal;
	return set_state(ctx, argc, argv, KC_PATCHSET_ENABLED);
}

struct kc_error *kc_repo_disable_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	(void)terminal;
	return set_state(ctx, argc, argv, KC_PATCHSET_DISABLED);
}

struct kc_error *kc_repo_block_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	(void)terminal;
	return set_state(ctx, argc, argv, KC_PATCHSET_BLOCKED);
}

struct kc_error *kc_repo_undeploy_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "feed", required_argument, NULL, 'f' }, { NULL, 0, NULL, 0 } };
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;
	struct request request = { 0 };
	char what[128];

	(void)terminal;
	KC_TRY(read_options(argc, argv, options, "DIR and PATCHSET", &request));
	KC_TRY(kc_repo_open(ctx, request.dir, &repository));
	KC_TRY(kc_repository_undeploy(ctx, repository, request.name, request.feed, &change));
	snprintf(what, sizeof(what), "%s was undeployed from", request.name);
	print_change(what, request.feed, &change);
	return NULL;
}

struct kc_error *kc_repo_refresh_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "all", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 } };
	kc_autorepository struct kc_repository *repository = NULL;
	bool all = false;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option != 'a')
			return kc_command_bad_option(option, argv);
		all = true;
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "DIR"));
	KC_TRY(kc_repo_open(ctx, argv[optind], &repository));
	return kc_repository_refresh(ctx, repository, all);
}
