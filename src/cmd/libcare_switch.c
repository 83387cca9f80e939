/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/libcare_switch.h"

#include <stdio.h>

void libcare_switch_clear(struct libcare_switch *run)
{
	libcare_targets_clear(&run->targets);
	libcare_host_clear(&run->host);
}

struct kc_error *libcare_switch_parse(struct kc_ctx *ctx, int argc, char **argv, struct libcare_switch *run)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "wait", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	const char *pid = NULL;
	int option;

	run->wait_ms = LIBCARE_WAIT_MS;
	while ((option = getopt_long(argc, argv, ":p:w:", options, NULL)) != -1) {
		if (option == 'p')
			pid = optarg;
		else if (option == 'w')
			KC_TRY(libcare_seconds_parse(optarg, &run->wait_ms));
		else
			return kc_command_bad_option(option, argv);
	}
	if (!pid)
		return kc_error_new(KC_ERR_USAGE, "-p PID or -p all is missing");
	run->argument = argv[optind];
	return libcare_targets_parse(ctx, pid, &run->targets);
}

/* One line on standard output: what was done to a process, and how long its running threads stood still. */
static void tell(pid_t pid, const char *done, const struct kc_user_result *result)
{
	printf("pid %d: %s, %zu function%s, %zu thread%s, stopped for %lu us", pid, done, result->n_functions,
	       result->n_functions == 1 ? "" : "s", result->n_threads, result->n_threads == 1 ? "" : "s",
	       result->stop_ns / 1000);
	if (result->attempts > 1)
		printf(", attempt %u", result->attempts);
	putchar('\n');
}

struct kc_error *libcare_patch_process(struct kc_ctx *ctx, const struct libcare_switch *run, pid_t pid,
				       struct kc_user_result *result)
{
	struct kc_user_policy policy = libcare_host_policy(&run->host, run->wait_ms);

	return kc_user_apply(ctx, &policy, pid, result);
}

struct kc_error *libcare_unpatch_process(struct kc_ctx *ctx, const struct libcare_switch *run, pid_t pid,
					 struct kc_user_result *result)
{
	struct kc_user_options options = { .wait_ms = run->wait_ms };

	return kc_user_unpatch(ctx, pid, run->argument, &options, result);
}

void libcare_switch_all(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_switch *run,
			const char *done, libcare_switch_fn *switch_process, struct libcare_outcome *outcome)
{
	for (size_t i = 0; i < run->targets.n_pids; i++) {
		struct kc_user_result result = { 0 };
		pid_t pid = run->targets.pids[i];
		struct kc_error *err = switch_process(ctx, run, pid, &result);

		if (!err && done)
			tell(pid, done, &result);
		libcare_outcome_add(ctx, terminal, outcome, &run->targets, pid, err);
	}
}

struct kc_error *libcare_switch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_switch *run,
				    const char *done, libcare_switch_fn *switch_process)
{
	struct libcare_outcome outcome = { 0 };
	struct kc_error *err;

	libcare_switch_all(ctx, terminal, run, done, switch_process, &outcome);
	err = libcare_outcome_matters(&outcome) ? libcare_host_update_cvelist(ctx, &run->host) : NULL;
	if (err && outcome.single) { /* what happened to the process comes first */
		kc_terminal_error(terminal, err);
	} else if (err) {
		return err;
	}
	return libcare_outcome_finish(&outcome, &run->targets, done);
}
