/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcarectl's options for processes: what the patch server has for them comes into a folder (agent/userspace.h), and
 * from there into them, as libcare-ctl does it. Texts that begin with "The patches have been", "Object `" and
 * "Userspace patches are" are those that administrators and their scripts know.
 */
#include "agent/userspace.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent/checkin.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "apply/user_server.h"
#include "cmd/kcarectl.h"
#include "cmd/libcare_switch.h"
#include "cmd/systemd.h"

#define SERVER_UNIT "libcare-server.service"

/* ---- the server of this host ---- */

static void reload_server(struct kc_ctx *ctx)
{
	kc_autoerror struct kc_error *err = NULL;
	pid_t pid;

	err = kc_user_server_find(&pid);
	if (!err && pid && kill(pid, SIGHUP) < 0)
		err = kc_error_errno(KC_ERR_SYSTEM, errno, "cannot signal process %d", pid);
	if (err)
		kc_warning(ctx, "libcare-server does not know of the new patches: %s", kc_error_message(err));
	else if (pid)
		kc_info(ctx, "libcare-server (process %d) reads its patches again", pid);
}

/* ---- from the server into the folder ---- */

static void print_change(const struct kc_userspace_change *change)
{
	switch (change->step) {
	case KC_STEP_LOWER:
		printf("%s goes from level %u down to level %u: so it is configured now\n", change->object,
		       change->from, change->to);
		break;
	case KC_STEP_FALL_BACK:
		printf("%s: level %u of %s is blocked; level %u takes its place\n", change->object, change->from,
		       change->patchset, change->to);
		break;
	case KC_STEP_UNLOAD:
		printf("%s: level %u of %s is blocked, and there is no other to be had: its original code is put "
		       "back\n",
		       change->object, change->from, change->patchset);
		break;
	case KC_STEP_ASK:
		printf("%s stays at level %u, although the configuration chooses a lower one: "
		       "'kcarectl --userspace-update' goes there\n",
		       change->object, change->from);
		break;
	default:
		break;
	}
}

static struct kc_error *refresh(struct kc_ctx *ctx, const struct kc_config *config,
				const struct kc_userspace_options *options, bool *is_changed)
{
	KC_CLEANUP_USERSPACE_RESULT struct kc_userspace_result result = { 0 };
	struct kc_error *err;

	if (!*config->patch_server) {
		puts("No PATCH_SERVER is configured: taking patches from " KC_PATH_CURRENT);
		return NULL;
	}
	err = kc_userspace_refresh(ctx, config, options, &result);
	*is_changed = result.is_changed;
	if (result.n_downloads)
		puts("Downloading updates");
	else if (!err)
		puts("Updates already downloaded");
	for (size_t i = 0; i < result.n_changes; i++)
		print_change(&result.changes[i]);
	fflush(stdout); /* before what is said of processes */
	return err;
}

/* ---- from the folder into processes ---- */

/* What a run came to. */
struct applied {
	size_t n_done, n_applied;
	struct kc_report_totals totals;
};

static struct kc_error *print_applied(struct kc_ctx *ctx, const struct libcare_switch *run, struct applied *applied)
{
	kc_autouserreport struct kc_user_report *report = NULL;
	kc_autofree struct kc_report_count *counts = NULL;
	size_t n = 0;

	KC_TRY(libcare_report_collect(ctx, &run->host, &run->targets, &report));
	kc_user_report_totals(report, &applied->totals);
	KC_TRY(kc_user_report_count(report, &counts, &n));
	for (size_t i = 0; i < n; i++)
		applied->n_applied += counts[i].n_processes;
	if (applied->n_applied)
		printf("The patches have been successfully applied to %zu newly discovered processes. The overall "
		       "amount of applied patches is %zu.\n",
		       applied->n_done, applied->n_applied);
	for (size_t i = 0; i < n; i++)
		printf("Object `%s` is patched for %zu processes.\n", counts[i].name, counts[i].n_processes);
	return NULL;
}

/* The folder may be missing: there was never an update. */
static struct kc_error *load_folder(struct kc_ctx *ctx, struct libcare_host *host, bool *exists)
{
	kc_autofree char *dir = kc_user_path(KC_PATH_CURRENT);

	if (!dir)
		return kc_error_no_memory();
	*exists = !access(dir, F_OK);
	return *exists ? libcare_host_load(ctx, dir, host) : NULL;
}

static struct kc_error *apply(struct kc_ctx *ctx, struct kc_terminal *terminal, bool is_automatic,
			      struct applied *applied)
{
	KC_CLEANUP_LIBCARE_SWITCH struct libcare_switch run = { .wait_ms = LIBCARE_WAIT_MS };
	struct libcare_outcome outcome = { 0 };
	bool exists = false;

	KC_TRY(load_folder(ctx, &run.host, &exists));
	if (exists) {
		KC_TRY(libcare_targets_parse(ctx, "all", &run.targets));
		libcare_switch_all(ctx, terminal, &run, NULL, libcare_patch_process, &outcome);
		applied->n_done = outcome.n_done;
		if (libcare_outcome_matters(&outcome))
			KC_TRY(libcare_host_update_cvelist(ctx, &run.host));
		KC_TRY(print_applied(ctx, &run, applied));
	}
	KC_TRY(libcare_outcome_attention(&outcome, "patched"));
	if (applied->n_applied)
		puts("Userspace patches are applied.");
	else if (!outcome.n_done && !is_automatic)
		return kc_error_new(KC_ERR_NOTHING, "there are no patches for what runs here");
	return NULL;
}

/* Both went their way; the first error is the command's, the other one is told. */
static struct kc_error *combine(struct kc_terminal *terminal, struct kc_error *refreshed, struct kc_error *applied)
{
	if (refreshed && applied && kc_error_code(applied) != KC_ERR_NOTHING)
		kc_terminal_error(terminal, applied);
	else if (refreshed)
		kc_error_free(applied);
	return refreshed ? refreshed : applied;
}

/* What the server could have told is missing, and what is here is applied. */
static struct kc_error *forgive_network(struct kc_ctx *ctx, struct kc_error *err)
{
	if (!err || kc_error_code_exit(kc_error_code(err)) != KC_EXIT_NETWORK)
		return err;
	kc_warning(ctx, "the patch server is not available, so this is what the host has already: %s",
		   kc_error_message(err));
	kc_error_free(err);
	return NULL;
}

static struct kc_error *read_kinds(const struct kcarectl_request *request, const struct kc_config *config,
				   unsigned *kinds)
{
	if (request->action == KCARECTL_LIB_UPDATE)
		*kinds = KC_USERSPACE_LIBS;
	else if (request->kinds)
		return kc_userspace_kinds_parse(request->kinds, kinds);
	else
		*kinds = config->userspace;
	return NULL;
}

static void tell_portal(struct kc_ctx *ctx, const struct kc_config *config, bool is_away, const struct applied *applied,
			const struct kc_error *err)
{
	const struct kc_run_end end = { .kind = KC_RUN_USERSPACE,
					.err = err,
					.n_processes = applied->totals.n_processes,
					.n_patched = applied->totals.n_patched };

	fflush(stdout);
	if (is_away)
		kc_checkin_remember_end(ctx, &end);
	else
		kc_checkin_end(ctx, config, &end, applied->n_done > 0);
}

static struct kc_error *update(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct kcarectl_request *request,
			       const struct kc_config *config, bool portal_is_away)
{
	struct kc_userspace_options options = { .is_automatic = request->is_automatic };
	struct kc_error *refreshed, *err;
	struct applied applied = { 0 };
	kc_autoclose int lock = -1;
	bool is_changed = false;

	KC_TRY(read_kinds(request, config, &options.kinds));
	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	refreshed = refresh(ctx, config, &options, &is_changed);
	if (request->action == KCARECTL_LIB_UPDATE)
		refreshed = forgive_network(ctx, refreshed);
	err = apply(ctx, terminal, request->is_automatic, &applied);
	if (is_changed)
		reload_server(ctx);
	err = combine(terminal, refreshed, err);
	tell_portal(ctx, config, portal_is_away, &applied, err);
	return err;
}

static struct kc_error *load_and_update(struct kc_ctx *ctx, struct kc_terminal *terminal,
					const struct kcarectl_request *request)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	bool portal_is_away;

	KC_TRY(kc_config_load(ctx, &config));
	if (request->prefix)
		KC_TRY(kc_config_use_prefix(&config, request->prefix));
	if (request->is_automatic && (!config.auto_update || config.libcare_disabled)) {
		kc_info(ctx, "%s in kcare.conf: nothing is done",
			config.auto_update ? "LIBCARE_DISABLED is on" : "AUTO_UPDATE is off");
		kc_checkin_unlocked(ctx, &config, KC_CHECKIN_PERIODIC); /* it is alive */
		return NULL;
	}
	KC_TRY(kc_userspace_check_enabled(&config));
	portal_is_away = !kc_checkin_for_terms(ctx, &config, request->is_automatic);
	return update(ctx, terminal, request, &config, portal_is_away);
}

/* ---- what is in processes ---- */

static struct kc_error *print_report(struct kc_ctx *ctx, bool by_patch)
{
	KC_CLEANUP_LIBCARE_TARGETS struct libcare_targets targets = { 0 };
	KC_CLEANUP_LIBCARE_HOST struct libcare_host host = { 0 };
	kc_autouserreport struct kc_user_report *report = NULL;
	kc_autobuf struct kc_buf out = { 0 };

	KC_TRY(libcare_host_load(ctx, NULL, &host));
	KC_TRY(libcare_targets_parse(ctx, "all", &targets));
	KC_TRY(libcare_report_collect(ctx, &host, &targets, &report));
	if (by_patch)
		KC_TRY(kc_user_report_patches_json(report, &out));
	else
		KC_TRY(kc_user_report_json(report, &out));
	if (out.size)
		fwrite(out.data, 1, out.size, stdout);
	return NULL;
}

static struct kc_error *unload(struct kc_ctx *ctx, struct kc_terminal *terminal)
{
	KC_CLEANUP_LIBCARE_SWITCH struct libcare_switch run = { .wait_ms = LIBCARE_WAIT_MS };
	struct libcare_outcome outcome = { 0 };
	kc_autoclose int lock = -1;
	pid_t server;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(libcare_host_load(ctx, NULL, &run.host));
	KC_TRY(kc_user_server_find(&server));
	if (server)
		kc_warning(ctx,
			   "libcare-server (process %d) runs, and patches processes again as they start or map "
			   "something; 'kcarectl --disable-libcare' stops it",
			   server);
	KC_TRY(libcare_targets_parse(ctx, "all", &run.targets));
	libcare_switch_all(ctx, terminal, &run, NULL, libcare_unpatch_process, &outcome);
	if (libcare_outcome_matters(&outcome))
		KC_TRY(libcare_host_update_cvelist(ctx, &run.host));
	KC_TRY(libcare_outcome_attention(&outcome, "unpatched"));
	if (!outcome.n_done)
		return kc_error_new(KC_ERR_NOTHING, "no process has a patch");
	printf("The patches have been taken out of %zu processes.\nUserspace patches are unloaded.\n", outcome.n_done);
	return NULL;
}

/* ---- whether it is allowed at all ---- */

static struct kc_error *stop_server(struct kc_ctx *ctx)
{
	bool is_systemd;
	pid_t server;

	KC_TRY(systemd_is_here(&is_systemd));
	if (is_systemd) {
		KC_TRY(systemd_set("disable", SERVER_UNIT));
		puts("libcare-server is stopped; 'systemctl enable --now libcare-server' starts it again");
	}
	KC_TRY(kc_user_server_find(&server));
	if (server)
		kc_warning(ctx, "libcare-server (process %d) runs on: end it as you started it", server);
	return NULL;
}

static struct kc_error *set_disabled(struct kc_ctx *ctx, bool is_disabled)
{
	kc_autoclose int lock = -1;

	KC_TRY(kc_agent_lock(KC_AGENT_LOCK_WAIT_MS, &lock));
	KC_TRY(kc_config_set(ctx, "LIBCARE_DISABLED", is_disabled ? "YES" : NULL));
	if (!is_disabled) {
		puts("Patching of processes is enabled; 'kcarectl --lib-update' patches them now");
		return NULL;
	}
	puts("Patching of processes is disabled. Those that are patched stay so; 'kcarectl --lib-unload' takes the "
	     "patches out");
	return stop_server(ctx);
}

struct kc_error *kcarectl_userspace(struct kc_ctx *ctx, struct kc_terminal *terminal,
				    const struct kcarectl_request *request)
{
	switch (request->action) {
	case KCARECTL_LIB_INFO:
		return print_report(ctx, false);
	case KCARECTL_LIB_PATCH_INFO:
		return print_report(ctx, true);
	case KCARECTL_LIB_UNLOAD:
		return unload(ctx, terminal);
	case KCARECTL_DISABLE_LIBCARE:
		return set_disabled(ctx, true);
	case KCARECTL_ENABLE_LIBCARE:
		return set_disabled(ctx, false);
	default:
		return load_and_update(ctx, terminal, request);
	}
}
