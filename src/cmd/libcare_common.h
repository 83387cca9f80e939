/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the subcommands of libcare-ctl share: the trusted keys, store, blacklist and patches of this host, the processes
 * that `-p PID|all` names, and what is said and returned when all is done. Only programs include it: it prints.
 */
#ifndef KC_CMD_LIBCARE_COMMON_H
#define KC_CMD_LIBCARE_COMMON_H

#include "apply/user_choose.h"

/* The subcommands. argv[0] is the subcommand's name; the result is the exit code. */
int libcare_patch(struct kc_ctx *ctx, int argc, char **argv);
int libcare_unpatch(struct kc_ctx *ctx, int argc, char **argv);
int libcare_info(struct kc_ctx *ctx, int argc, char **argv);
int libcare_server(struct kc_ctx *ctx, int argc, char **argv);

/* For kc_ctx_set_log(): one line on stderr, "libcare-ctl: warning: …". `data` is unused. */
void libcare_log(void *data, enum kc_log_level level, const char *message);
/* Prints "libcare-ctl: NAME: MESSAGE", frees the error, returns its exit code. */
int libcare_fail(struct kc_error *err);

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
 * What happened to the processes. One process: its result is the exit code. All: the exit code is the worst that needs
 * attention, in this order: failed, refused, busy, bad input; if nothing does, done when at least one was changed, else
 * "nothing to do". A process that ended meanwhile and one that the blacklist names need no attention.
 */
struct libcare_outcome {
	size_t n_by_exit[8]; /* processes, by enum kc_exit */
	size_t n_blacklisted;
};

/* Takes `err` (NULL: done), and prints it with the pid if it needs attention or the process was asked for by number. */
void libcare_outcome_add(struct kc_ctx *ctx, struct libcare_outcome *outcome, const struct libcare_targets *targets,
			 pid_t pid, struct kc_error *err);
/* Prints one line when all were asked for ("patched 3 processes; busy: 1; blacklisted: 2"); returns the exit code. */
int libcare_outcome_finish(const struct libcare_outcome *outcome, const struct libcare_targets *targets,
			   const char *verb);

#define KC_CLEANUP_LIBCARE_HOST KC_CLEANUP(libcare_host_clear)
#define KC_CLEANUP_LIBCARE_TARGETS KC_CLEANUP(libcare_targets_clear)

#endif
