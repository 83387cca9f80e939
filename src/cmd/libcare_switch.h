/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `libcare-ctl patch` and `unpatch` have in common, and kcarectl with them: the way through the processes, and
 * what is said of each; and their options.
 */
#ifndef KC_CMD_LIBCARE_SWITCH_H
#define KC_CMD_LIBCARE_SWITCH_H

#include "cmd/libcare_common.h"

enum { LIBCARE_WAIT_MS = 1000 }; /* for a busy process, unless somebody says otherwise */

/* One run of the command. */
struct libcare_switch {
	struct libcare_targets targets;
	struct libcare_host host;
	unsigned wait_ms;
	const char *argument; /* behind the options; NULL: none */
};

/* Brings one process from old code to new, or back. */
typedef struct kc_error *libcare_switch_fn(struct kc_ctx *ctx, const struct libcare_switch *run, pid_t pid,
					   struct kc_user_result *result);

libcare_switch_fn libcare_patch_process;   /* as the patches of run->host say */
libcare_switch_fn libcare_unpatch_process; /* run->argument: only this patchset, or NULL */

/* `-p PID|all [--wait SECONDS]`; the arguments behind them start at optind. */
struct kc_error *libcare_switch_parse(struct kc_ctx *ctx, int argc, char **argv, struct libcare_switch *run);
/* All processes; `done`: a line for each, NULL: none. */
void libcare_switch_all(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_switch *run,
			const char *done, libcare_switch_fn *switch_process, struct libcare_outcome *outcome);
/* The same, then the list of fixed CVEs and the result; `done` is the word for success: "patched". run->host is loaded.
 */
struct kc_error *libcare_switch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_switch *run,
				    const char *done, libcare_switch_fn *switch_process);
void libcare_switch_clear(struct libcare_switch *run);

#define KC_CLEANUP_LIBCARE_SWITCH KC_CLEANUP(libcare_switch_clear)

#endif
