/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the subcommands of libcare-ctl share: the trusted keys, store, blacklist and patches of this host, the processes
 * that `-p PID|all` names, and what is said and returned when all is done. Only programs include it: it prints.
 */
#ifndef KC_CMD_LIBCARE_COMMON_H
#define KC_CMD_LIBCARE_COMMON_H

#include "apply/user_choose.h"
#include "apply/user_report.h"
#include "cmd/command.h"

/* The subcommands, as cmd/command.h calls them. */
struct kc_error *libcare_patch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *libcare_unpatch_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *libcare_info_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
struct kc_error *libcare_server_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);

/* What decides on this host. Zeroed: nothing loaded. */
struct libcare_host {
	struct kc_keyring *keyring;
	struct kc_user_store *store;
	struct kc_user_blacklist *blacklist;
	struct kc_user_index *index; /* NULL without patches */
};

/*
 * Loads keys, store and blacklist, and the patches of FILE or DIR unless `patches` is NULL. Patches need at least one
 * trusted key; without patches missing keys are only a warning (then no CVE can be named).
 */
struct kc_error *libcare_host_load(struct kc_ctx *ctx, const char *patches, struct libcare_host *host);
void libcare_host_clear(struct libcare_host *host);
struct kc_user_policy libcare_host_policy(const struct libcare_host *host, unsigned wait_ms);
/* Writes the list of fixed CVEs; call after every change. Warns about what keeps a CVE off. */
struct kc_error *libcare_host_update_cvelist(struct kc_ctx *ctx, const struct libcare_host *host);

/* The processes of `-p`. */
struct libcare_targets {
	pid_t *pids;
	size_t n_pids;
	bool all;
};

/* "all" (each process but this one) or one PID. KC_ERR_USAGE. */
struct kc_error *libcare_targets_parse(struct kc_ctx *ctx, const char *text, struct libcare_targets *targets);
void libcare_targets_clear(struct libcare_targets *targets);

/* Seconds with an optional fraction, "2.5", at most a day. KC_ERR_USAGE. */
struct kc_error *libcare_seconds_parse(const char *text, unsigned *ms);

/*
 * What happened to the processes. One process: its error is the command's. All: the worst that needs attention, in this
 * order: failed, refused, busy, bad input; if nothing does, none when at least one was changed, else KC_ERR_NOTHING. A
 * process that ended meanwhile and one that the blacklist names need no attention.
 */
struct libcare_outcome {
	size_t n_done;
	size_t n_blacklisted;
	size_t n_by_exit[8]; /* processes that need attention, by enum kc_exit */
	struct kc_error *single;
};

/* Takes `err` (NULL: done). Under `-p all` prints it, with the pid, if it needs attention. */
void libcare_outcome_add(struct kc_ctx *ctx, struct kc_terminal *terminal, struct libcare_outcome *outcome,
			 const struct libcare_targets *targets, pid_t pid, struct kc_error *err);
/* May the list of fixed CVEs be another now? Also what was refused counts: its patch is known from now on. */
bool libcare_outcome_matters(const struct libcare_outcome *outcome);
/*
 * What the command returns. Under `-p all` a summary, "patched 3 processes; busy: 1; blacklisted: 2", is the message of
 * the error, or printed when there is none.
 */
struct kc_error *libcare_outcome_finish(struct libcare_outcome *outcome, const struct libcare_targets *targets,
					const char *verb);
/* Only what needs attention, as an error with that message; else NULL. For `-p all`. */
struct kc_error *libcare_outcome_attention(const struct libcare_outcome *outcome, const char *verb);

/* Who is patched; one process is in the report also when it has nothing to tell. */
struct kc_error *libcare_report_collect(struct kc_ctx *ctx, const struct libcare_host *host,
					const struct libcare_targets *targets, struct kc_user_report **report);

#define KC_CLEANUP_LIBCARE_HOST KC_CLEANUP(libcare_host_clear)
#define KC_CLEANUP_LIBCARE_TARGETS KC_CLEANUP(libcare_targets_clear)

#endif
