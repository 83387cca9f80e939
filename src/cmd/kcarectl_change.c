/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kcarectl changes: updates, unloading, and what is imported. */
#include "agent/agent.h"
#include "agent/checkin.h"
#include "agent/paths.h"
#include "agent/settings.h"
#include "cmd/kcarectl.h"
#include "repo/metadata.h"

static struct kc_kernel_options kernel_options(const struct kcarectl_request *request, const struct kc_config *config)
{
	return (struct kc_kernel_options){
		.freezer = request->has_freezer ? request->freezer : config->freezer,
		.force = request->force,
	};
}

static struct kc_error *load_config(struct kc_ctx *ctx, const struct kcarectl_request *request,
				    struct kc_config *config)
{
	KC_TRY(kc_config_load(ctx, config));
	return request->prefix ? kc_config_use_prefix(config, request->prefix) : NULL;
}

/* At once, and before any warning that follows. */
static void print_notice(void *data, const char *text)
{
	(void)data;
	puts(text);
	fflush(stdout);
}

static void print_update(const struct kc_update_result *result, bool was_downloaded)
{
	if (!result->level && !result->was_unloaded)
		return;
	if (result->was_unloaded) {
		puts("kcare protection disabled. Your kernel might not be safe");
		return;
	}
	if (!was_downloaded)
		puts("Updates already downloaded");
	if (result->was_applied)
		printf("Patch level %u applied. Effective kernel version %s\n", result->level,
		       result->effective_version);
	if (result->kernel.was_forced)
		puts("It was forced: only a reboot takes it out");
	puts("Kernel is safe");
}

static enum kc_update_mode mode_of(enum kcarectl_action action)
{
	if (action == KCARECTL_AUTO_UPDATE)
		return KC_UPDATE_AUTOMATIC;
	return action == KCARECTL_SMART_UPDATE ? KC_UPDATE_SMART : KC_UPDATE_ASKED;
}

static struct kc_error *update(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct kc_update_result result = { 0 };
	bool portal_is_away = false;
	struct kc_error *err;

	KC_TRY(load_config(ctx, request, &config));
	if (request->action == KCARECTL_AUTO_UPDATE && !config.auto_update) {
		kc_info(ctx, "AUTO_UPDATE is off in kcare.conf: nothing is done");
		kc_checkin_unlocked(ctx, &config, KC_CHECKIN_PERIODIC); /* it is alive */
		return NULL;
	}
	if (request->action != KCARECTL_SMART_UPDATE)
		portal_is_away = !kc_checkin_for_terms(ctx, &config, request->action == KCARECTL_AUTO_UPDATE);
	if (!*config.patch_server && request->action == KCARECTL_UPDATE)
		print_notice(NULL, "No PATCH_SERVER is configured: taking patches from the cache");
	err = kc_agent_update(ctx, &config,
			      &(struct kc_update_options){ .kernel = kernel_options(request, &config),
							   .mode = mode_of(request->action),
							   .portal_is_away = portal_is_away,
							   .notice = print_notice },
			      &result);
	if (!err || result.was_applied || result.was_unloaded)
		print_update(&result, result.was_downloaded);
	if (result.was_applied)
		kcarectl_check_in_later(ctx);
	kc_update_result_clear(&result);
	return err;
}

static void print_check(const struct kc_check_result *result, const struct kc_config *config)
{
	if (result->is_block && result->level)
		printf("The patch that is applied is blocked: 'kcarectl --update' goes to level %u\n", result->level);
	else if (result->is_block)
		puts("The patch that is applied is blocked: 'kcarectl --update' takes it out");
	else if (result->is_lower)
		printf("The configuration has changed: 'kcarectl --update' goes down to patch level %u\n",
		       result->level);
	else if (result->is_new)
		printf("Patch level %u is available%s%s\n", result->level, result->patchset ? ": " : "",
		       result->patchset ? result->patchset : "");
	else if (result->is_unknown && *config->patch_server)
		printf("There are no patches for this kernel in the feed %s\n", kc_config_feed(config));
	else if (result->is_unknown)
		puts("There are no patches for this kernel in the cache, and no PATCH_SERVER is configured");
	else
		puts("No new patches");
}

/* 0: there is something new, 1: nothing; whatever else goes wrong must not look like either. */
static struct kc_error *check(struct kc_ctx *ctx, const struct kcarectl_request *request, int *status)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct kc_check_result result = { 0 };
	struct kc_error *err;

	KC_TRY(load_config(ctx, request, &config));
	err = kc_agent_check(ctx, &config, &result);
	if (!err) {
		print_check(&result, &config);
		*status = result.is_new ? KC_EXIT_DONE : KC_EXIT_FAILED;
	}
	kc_check_result_clear(&result);
	return err;
}

static struct kc_error *set(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	const char *sticky = request->sticky;
	struct kc_sticky parsed = { 0 };
	char day[16];

	KC_TRY(kc_agent_set(ctx, request->patch_type, sticky));
	if (request->patch_type)
		printf("The patch type is %s from now on\n", request->patch_type);
	if (sticky)
		KC_TRY(kc_sticky_parse(sticky, &parsed));
	kc_sticky_text(&parsed, day); /* 021126 is in November: who means the other one should see it */
	if (sticky && *sticky)
		printf("Sticky from now on: %s\n", day);
	else if (sticky)
		puts("No longer sticky");
	if (request->action == KCARECTL_SETTINGS)
		puts("The next update applies it; 'kcarectl --update' does so now");
	return NULL;
}

/* Taking a patch out must work whatever is in the configuration. */
static struct kc_error *unload(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autoerror struct kc_error *err = kc_config_load(ctx, &config);
	struct kc_kernel_options options;
	struct kc_kernel_result result;

	if (err)
		kc_warning(ctx, "%s", kc_error_message(err));
	options = kernel_options(request, &config);
	KC_TRY(kc_agent_unload(ctx, &options, &result));
	puts("kcare protection disabled. Your kernel might not be safe");
	if (!err)
		kc_checkin_unlocked(ctx, &config, KC_CHECKIN_AFTER);
	return NULL;
}

static struct kc_error *import_root(struct kc_ctx *ctx, const char *source, bool replace)
{
	struct kc_trusted_root trusted = { 0 };
	struct kc_error *err = kc_agent_import_root(ctx, source, replace, &trusted);
	char expires[21];

	if (!err) {
		kc_repo_time_text(trusted.expires, expires);
		printf("Trusted from now on%s: the repository whose root keys have the fingerprints\n\n",
		       trusted.was_replaced ? ", instead of the one before" : "");
		for (size_t i = 0; i < trusted.n_keyids; i++)
			printf("    %s\n", trusted.keyids[i]);
		printf("\nRoot version %llu, %u of %zu keys sign, valid until %s. Compare the fingerprints with what "
		       "the\npublisher says elsewhere. If they differ: rm %s\n",
		       (unsigned long long)trusted.version, trusted.threshold, trusted.n_keyids, expires, KC_PATH_ROOT);
	}
	kc_trusted_root_clear(&trusted);
	return err;
}

static struct kc_error *import_key(struct kc_ctx *ctx, const char *source)
{
	kc_autofree char *path = NULL;
	char keyid[KC_KEYID_SIZE];

	KC_TRY(kc_agent_import_key(ctx, source, keyid, &path));
	printf("Trusted from now on: every patch signed by the key with the fingerprint\n\n    %s\n\n"
	       "Compare it with what the author publishes elsewhere. If it differs: rm %s\n",
	       keyid, path);
	return NULL;
}

static void print_imported(const struct kc_imported *imported)
{
	printf("%s: patch level %u (%s) for kernel %s, %s%s\n", imported->path, imported->level.number,
	       imported->level.type, imported->release,
	       imported->is_for_this_kernel ? "which is running" : "another one",
	       imported->was_there ? "; it was in the cache already" : "");
}

static struct kc_error *import_patch(struct kc_ctx *ctx, const char *path)
{
	struct kc_imported *imported = NULL;
	size_t n = 0, n_for_this_kernel = 0;
	struct kc_error *err;

	err = kc_agent_import_patch(ctx, path, &imported, &n);
	for (size_t i = 0; i < n; i++) {
		print_imported(&imported[i]);
		n_for_this_kernel += imported[i].is_for_this_kernel;
	}
	kc_imported_free(imported, n);
	if (err)
		return err;
	if (n_for_this_kernel)
		puts("'kcarectl --update' applies the newest one");
	else
		puts("None of it is for the running kernel; it is kept for the others");
	return NULL;
}

struct kc_error *kcarectl_change(struct kc_ctx *ctx, const struct kcarectl_request *request, int *status)
{
	if (request->patch_type || request->sticky)
		KC_TRY(set(ctx, request));
	switch (request->action) {
	case KCARECTL_SETTINGS:
		return NULL;
	case KCARECTL_CHECK:
		return check(ctx, request, status);
	case KCARECTL_UNLOAD:
		return unload(ctx, request);
	case KCARECTL_IMPORT_KEY:
		return kc_agent_is_root(request->path) ? import_root(ctx, request->path, request->force)
						       : import_key(ctx, request->path);
	case KCARECTL_IMPORT_PATCH:
		return import_patch(ctx, request->path);
	case KCARECTL_CONFIRM:
		return kc_agent_confirm(ctx, true);
	case KCARECTL_CONFIRM_LATER:
		return kc_agent_confirm(ctx, false);
	default:
		return update(ctx, request);
	}
}
