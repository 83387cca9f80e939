/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kcarectl changes: updates, unloading, and what is imported. */
#include "agent/agent.h"
#include "cmd/kcarectl.h"

static struct kc_kernel_options kernel_options(const struct kcarectl_request *request, const struct kc_config *config)
{
	return (struct kc_kernel_options){
		.freezer = request->has_freezer ? request->freezer : config->freezer,
		.force = request->force,
	};
}

/* Where patches come from: only the cache, for now. */
static void print_source(struct kc_ctx *ctx, const struct kcarectl_request *request, const struct kc_config *config)
{
	bool is_local = request->action == KCARECTL_SMART_UPDATE && config->update_policy != KC_UPDATE_REMOTE;

	if (is_local)
		return;
	if (*config->patch_server)
		kc_warning(ctx, "PATCH_SERVER is set, but this version of kcarectl does not download: it takes patches "
				"from the cache; 'kcarectl --import-patch' adds some");
	else
		puts("No PATCH_SERVER is configured: taking patches from the cache");
}

static void print_update(const struct kc_update_result *result)
{
	if (!result->level)
		return;
	puts("Updates already downloaded");
	if (result->was_applied)
		printf("Patch level %u applied. Effective kernel version %s\n", result->level,
		       result->effective_version);
	if (result->kernel.was_forced)
		puts("It was forced: only a reboot takes it out");
	puts("Kernel is safe");
}

static struct kc_error *update(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct kc_update_result result = { 0 };
	struct kc_error *err;

	KC_TRY(kc_config_load(ctx, &config));
	print_source(ctx, request, &config);
	fflush(stdout); /* before warnings */
	err = kc_agent_update(ctx, &config,
			      &(struct kc_update_options){ .kernel = kernel_options(request, &config),
							   .is_smart = request->action == KCARECTL_SMART_UPDATE },
			      &result);
	if (!err)
		print_update(&result);
	kc_update_result_clear(&result);
	return err;
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
	return NULL;
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

struct kc_error *kcarectl_change(struct kc_ctx *ctx, const struct kcarectl_request *request)
{
	switch (request->action) {
	case KCARECTL_UNLOAD:
		return unload(ctx, request);
	case KCARECTL_IMPORT_KEY:
		return import_key(ctx, request->path);
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
