/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/libcare_common.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "apply/user_cvelist.h"
#include "apply/user_paths.h"
#include "base/array.h"

/* Missing keys: an error when patches are to be trusted, else a warning. */
static struct kc_error *load_keys(struct kc_ctx *ctx, bool required, struct kc_keyring **keyring)
{
	kc_autofree char *path = kc_user_path(KC_PATH_KEYS);
	kc_autoerror struct kc_error *err = NULL;

	if (!path)
		return kc_error_no_memory();
	if (!access(path, F_OK))
		err = kc_keyring_load(ctx, path, keyring);
	if (!err && (!*keyring || !kc_keyring_size(*keyring)))
		err = kc_error_new(KC_ERR_UNKNOWN_KEY, "no author is trusted: put the author's public key into %s/",
				   path);
	if (err && !required && kc_error_code(err) == KC_ERR_UNKNOWN_KEY) {
		kc_warning(ctx, "%s", kc_error_message(err));
		return NULL;
	}
	return kc_steal(err);
}

struct kc_error *libcare_host_load(struct kc_ctx *ctx, const char *patches, struct libcare_host *host)
{
	KC_TRY(load_keys(ctx, patches != NULL, &host->keyring));
	KC_TRY(kc_user_store_open(ctx, NULL, host->keyring, &host->store));
	KC_TRY(kc_user_blacklist_load(ctx, &host->blacklist));
	return patches ? kc_user_index_load(ctx, patches, host->keyring, &host->index) : NULL;
}

void libcare_host_clear(struct libcare_host *host)
{
	kc_user_index_free(host->index);
	kc_user_blacklist_free(host->blacklist);
	kc_user_store_free(host->store);
	kc_keyring_free(host->keyring);
	memset(host, 0, sizeof(*host));
}

struct kc_user_policy libcare_host_policy(const struct libcare_host *host, unsigned wait_ms)
{
	return (struct kc_user_policy){
		.index = host->index,
		.store = host->store,
		.blacklist = host->blacklist,
		.options = { .wait_ms = wait_ms },
	};
}

struct kc_error *libcare_host_update_cvelist(struct kc_ctx *ctx, const struct libcare_host *host)
{
	return kc_user_cvelist_write(ctx, host->store, host->blacklist);
}

struct kc_error *libcare_targets_parse(struct kc_ctx *ctx, const char *text, struct libcare_targets *targets)
{
	char *end;
	long pid;

	if (!strcmp(text, "all")) {
		size_t n = 0;

		targets->all = true;
		KC_TRY(kc_process_list(ctx, &targets->pids, &targets->n_pids));
		for (size_t i = 0; i < targets->n_pids; i++) {
			if (targets->pids[i] != getpid())
				targets->pids[n++] = targets->pids[i];
		}
		targets->n_pids = n;
		return NULL;
	}
	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || *end || end == text || pid <= 0 || pid > INT_MAX)
		return kc_error_new(KC_ERR_USAGE, "-p takes a process id or 'all', not '%s'", text);
	if (pid == getpid())
		return kc_error_new(KC_ERR_USAGE, "process %ld is this program itself", pid);
	targets->pids = malloc(sizeof(pid_t));
	if (!targets->pids)
		return kc_error_no_memory();
	targets->pids[0] = (pid_t)pid;
	targets->n_pids = 1;
	return NULL;
}

void libcare_targets_clear(struct libcare_targets *targets)
{
	free(targets->pids);
	memset(targets, 0, sizeof(*targets));
}

struct kc_error *libcare_seconds_parse(const char *text, unsigned *ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 86400))
		return kc_error_new(KC_ERR_USAGE, "'%s' is not a number of seconds from 0 to 86400", text);
	*ms = (unsigned)(seconds * 1000);
	return NULL;
}

/* Under `-p all`: is there nothing that an administrator could do? */
static bool needs_no_attention(enum kc_error_code code)
{
	return code == KC_ERR_NO_PROCESS || code == KC_ERR_BLACKLISTED || kc_error_code_exit(code) == KC_EXIT_NOTHING;
}

void libcare_outcome_add(struct kc_ctx *ctx, struct kc_terminal *terminal, struct libcare_outcome *outcome,
			 const struct libcare_targets *targets, pid_t pid, struct kc_error *err)
{
	if (!err) {
		outcome->n_done++;
		return;
	}
	err = kc_error_prefix(err, "pid %d", pid);
	if (!targets->all) {
		kc_error_free(outcome->single);
		outcome->single = err;
	} else if (needs_no_attention(kc_error_code(err))) {
		kc_debug(ctx, "%s", kc_error_message(err));
		outcome->n_blacklisted += kc_error_code(err) == KC_ERR_BLACKLISTED;
		kc_error_free(err);
	} else {
		outcome->n_by_exit[kc_terminal_error(terminal, err)]++;
	}
}

bool libcare_outcome_matters(const struct libcare_outcome *outcome)
{
	size_t n = outcome->n_done + outcome->n_blacklisted;

	for (size_t i = 0; i < KC_ARRAY_SIZE(outcome->n_by_exit); i++)
		n += outcome->n_by_exit[i];
	return n || (outcome->single && kc_error_code_exit(kc_error_code(outcome->single)) != KC_EXIT_NOTHING);
}

static const struct {
	enum kc_error_code code;
	const char *name;
} attention[] = {
	{ KC_ERR_SYSTEM, "failed" },
	{ KC_ERR_REFUSED, "refused" },
	{ KC_ERR_BUSY, "busy" },
	{ KC_ERR_INPUT, "bad input" },
};

/* "patched 3 processes; busy: 1; blacklisted: 2" */
static void summarize(const struct libcare_outcome *outcome, const char *verb, struct kc_buf *summary,
		      enum kc_error_code *worst, bool *needs_attention)
{
	kc_buf_printf(summary, "%s %zu process%s", verb, outcome->n_done, outcome->n_done == 1 ? "" : "es");
	for (size_t i = 0; i < KC_ARRAY_SIZE(attention); i++) {
		size_t n = outcome->n_by_exit[kc_error_code_exit(attention[i].code)];

		if (!n)
			continue;
		kc_buf_printf(summary, "; %s: %zu", attention[i].name, n);
		if (!*needs_attention)
			*worst = attention[i].code;
		*needs_attention = true;
	}
	if (outcome->n_blacklisted)
		kc_buf_printf(summary, "; blacklisted: %zu", outcome->n_blacklisted);
}

struct kc_error *libcare_outcome_attention(const struct libcare_outcome *outcome, const char *verb)
{
	enum kc_error_code worst = KC_ERR_NOTHING;
	kc_autobuf struct kc_buf summary = { 0 };
	bool needs_attention = false;

	summarize(outcome, verb, &summary, &worst, &needs_attention);
	if (summary.failed)
		return kc_error_no_memory();
	return needs_attention ? kc_error_new(worst, "%s", summary.data) : NULL;
}

struct kc_error *libcare_outcome_finish(struct libcare_outcome *outcome, const struct libcare_targets *targets,
					const char *verb)
{
	enum kc_error_code worst = KC_ERR_NOTHING;
	kc_autobuf struct kc_buf summary = { 0 };
	bool needs_attention = false;

	if (!targets->all)
		return kc_steal(outcome->single);
	summarize(outcome, verb, &summary, &worst, &needs_attention);
	if (summary.failed)
		return kc_error_no_memory();
	if (needs_attention || !outcome->n_done)
		return kc_error_new(worst, "%s", summary.data);
	puts(summary.data);
	return NULL;
}

struct kc_error *libcare_report_collect(struct kc_ctx *ctx, const struct libcare_host *host,
					const struct libcare_targets *targets, struct kc_user_report **report)
{
	return kc_user_report_collect(ctx, host->store, host->blacklist, targets->pids, targets->n_pids, !targets->all,
				      report);
}
