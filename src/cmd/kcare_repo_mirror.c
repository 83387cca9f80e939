/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-repo mirror: a copy of a repository, over HTTP. */
#include "cmd/kcare_repo.h"

#include <string.h>
#include <time.h>

#include "fetch/site.h"
#include "repo/mirror.h"

struct kc_error *kc_repo_mirror_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "root", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };
	const struct kc_fetch_options fetch_options = { 0 };
	kc_autofetch struct kc_fetch *fetch = NULL;
	struct kc_mirror_source source = { NULL, kc_fetch_site_get, kc_fetch_site_file, NULL };
	struct kc_mirrored mirrored;
	struct kc_fetch_site upstream;
	const char *root = NULL;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option != 'r')
			return kc_command_bad_option(option, argv);
		root = optarg;
	}
	KC_TRY(kc_command_need_arguments(argc, 2, "URL DIR"));
	if (strncmp(argv[optind], "http://", 7) && strncmp(argv[optind], "https://", 8))
		return kc_error_new(KC_ERR_USAGE, "the URL begins with http:// or https://, not \"%.80s\"",
				    argv[optind]);
	KC_TRY(kc_fetch_new(ctx, &fetch_options, &fetch));
	upstream = (struct kc_fetch_site){ fetch, argv[optind] };
	source.data = &upstream;
	KC_TRY(kc_mirror_update(ctx, argv[optind + 1], &source, root, (int64_t)time(NULL), &mirrored));
	printf("%zu feed%s, %zu targets; new: %zu lists, %zu patch files (%llu bytes)\n", mirrored.n_feeds,
	       mirrored.n_feeds == 1 ? "" : "s", mirrored.n_targets, mirrored.n_new_lists, mirrored.n_new_blobs,
	       (unsigned long long)mirrored.n_new_bytes);
	return NULL;
}
