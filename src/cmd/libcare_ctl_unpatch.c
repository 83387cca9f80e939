/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl unpatch: restores the original code of one process or of all. */
#include "cmd/libcare_common.h"

#define WAIT_MS 1000

static struct kc_error *unpatch(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_targets *targets,
				const char *patchset, unsigned wait_ms)
{
	KC_CLEANUP_LIBCARE_HOST struct libcare_host host = { 0 };
	struct kc_user_options options = { .wait_ms = wait_ms };
	struct libcare_outcome outcome = { 0 };
	struct kc_error *err;

	KC_TRY(libcare_host_load(ctx, NULL, &host));
	for (size_t i = 0; i < targets->n_pids; i++) {
		struct kc_user_result result = { 0 };

		err = kc_user_unpatch(ctx, targets->pids[i], patchset, &options, &result);
		if (!err)
			libcare_tell_switch(targets->pids[i], "unpatched", &result);
		libcare_outcome_add(ctx, terminal, &outcome, targets, targets->pids[i], err);
	}
	err = libcare_outcome_matters(&outcome) ? libcare_host_update_cvelist(ctx, &host) : NULL;
	if (err) {
		kc_error_free(outcome.single);
		return err;
	}
	return libcare_outcome_finish(&outcome, targets, "unpatched");
}

struct kc_error *libcare_unpatch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "wait", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	KC_CLEANUP_LIBCARE_TARGETS struct libcare_targets targets = { 0 };
	const char *pid = NULL;
	unsigned wait_ms = WAIT_MS;
	int option;

	while ((option = getopt_long(argc, argv, ":p:w:", options, NULL)) != -1) {
		if (option == 'p')
			pid = optarg;
		else if (option == 'w')
			KC_TRY(libcare_seconds_parse(optarg, &wait_ms));
		else
			return kc_command_bad_option(option, argv);
	}
	if (!pid)
		return kc_error_new(KC_ERR_USAGE, "-p PID or -p all is missing");
	if (argc - optind > 1)
		return kc_command_need_arguments(argc, 1, "at most one PATCHSET");
	KC_TRY(libcare_targets_parse(ctx, pid, &targets));
	return unpatch(ctx, terminal, &targets, argv[optind], wait_ms);
}
