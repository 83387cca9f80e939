/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `libcare-ctl patch` and `unpatch` have in common: their options, the way through the processes, and what is said
 * of each.
 */
#ifndef KC_CMD_LIBCARE_SWITCH_H
#define KC_CMD_LIBCARE_SWITCH_H

#include "cmd/libcare_common.h"

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

/* `-p PID|all [--wait SECONDS]`; the arguments behind them start at optind. */
struct kc_error *libcare_switch_parse(struct kc_ctx *ctx, int argc, char **argv, struct libcare_switch *run);
/* All processes, then the list of fixed CVEs; `done` is the word for success: "patched". run->host is loaded. */
struct kc_error *libcare_switch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct libcare_switch *run,
				    const char *done, libcare_switch_fn *switch_process);
void libcare_switch_clear(struct libcare_switch *run);

#define KC_CLEANUP_LIBCARE_SWITCH KC_CLEANUP(libcare_switch_clear)

#endif
