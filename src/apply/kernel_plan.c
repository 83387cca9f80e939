// SPDX-License-Identifier: GPL-2.0-or-later
/* May this patch go into this kernel? Reads, changes nothing. */
#include <string.h>

#include "apply/kernel_internal.h"
#include "apply/kernel_read.h"

static struct kc_error *check_target(const struct kc_kernel *kernel, const struct kc_manifest *manifest)
{
	const char *release = manifest->kernel.release ? manifest->kernel.release : "another kernel";
	const char *build_id = manifest->kernel.build_id;

	if (manifest->kind != KC_PATCH_KERNEL)
		return kc_error_new(KC_ERR_WRONG_TARGET, "the patch is for %s, not for a kernel",
				    manifest->object ? manifest->object : "a library");
	if (strcmp(manifest->target, kernel->kernel_id) != 0)
		return kc_error_new(KC_ERR_WRONG_TARGET,
				    "the patch is for %s (kernel id %.12s); %s (kernel id %.12s) is running", release,
				    manifest->target, kernel->release, kernel->kernel_id);
	if (!build_id || !*build_id)
		return NULL; /* this kernel was built without one */
	if (!*kernel->build_id)
		return kc_error_new(KC_ERR_WRONG_TARGET,
				    "the build-id of the running kernel cannot be read from /sys/kernel/notes");
	if (strcmp(build_id, kernel->build_id) != 0)
		return kc_error_new(
			KC_ERR_WRONG_TARGET,
			"the patch is for the build of %s with build-id %s; one with build-id %s is running", release,
			build_id, kernel->build_id);
	return NULL;
}

static struct kc_error *check_payloads(const struct kc_patch *patch)
{
	const char *const names[] = { KC_PATCH_MODULE_NAME, KC_PATCH_KCARE_NAME };

	for (size_t i = 0; i < 2; i++) {
		if (!kc_patch_payload_find(patch, names[i]))
			return kc_error_new(KC_ERR_INPUT, "the patch file has no payload %s", names[i]);
	}
	if (!patch->manifest.kernel.module || !kc_module_is_ours(patch->manifest.kernel.module) ||
	    strlen(patch->manifest.kernel.module) >= KC_MODULE_NAME_SIZE)
		return kc_error_new(KC_ERR_INPUT, "the module of the patch is not named %sLEVEL", KC_MODULE_PREFIX);
	return NULL;
}

/* Atomic replace would take a foreign livepatch out without a word. */
static struct kc_error *check_loaded(const struct kc_patch *patch, const struct kc_kernel_loaded *loaded, size_t n)
{
	const char *module = patch->manifest.kernel.module;

	for (size_t i = 0; i < n; i++) {
		if (!loaded[i].is_ours)
			return kc_error_new(KC_ERR_CONFLICT,
					    "the livepatch %s is in the kernel; loading ours would revert it: disable "
					    "it first (echo 0 > %s/%s/enabled)",
					    loaded[i].name, KC_LIVEPATCH_DIR, loaded[i].name);
		if (strcmp(loaded[i].name, module) == 0 && loaded[i].is_enabled && !loaded[i].in_transition &&
		    loaded[i].level == patch->manifest.level)
			return kc_error_new(KC_ERR_NOTHING, "%s is in the kernel already", module);
	}
	return NULL;
}

/* A module named kcare that is not ours, such as KernelCare's own. */
static struct kc_error *check_kcare(void)
{
	if (kc_module_is_loaded(KC_KCARE_MODULE) && !kc_module_kcare_is_ours())
		return kc_error_new(KC_ERR_CONFLICT, "another module named %s is in the kernel; unload it first",
				    KC_KCARE_MODULE);
	return NULL;
}

struct kc_error *kc_kernel_plan(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_patch *patch)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	size_t n;

	if (kernel->is_container)
		return kc_error_new(KC_ERR_CONTAINER,
				    "this is a container: its kernel is patched from the host, not from here");
	KC_TRY(check_target(kernel, &patch->manifest));
	KC_TRY(check_payloads(patch));
	if (access(KC_LIVEPATCH_DIR, F_OK) != 0)
		return kc_error_new(
			KC_ERR_REFUSED,
			"the running kernel has no live patching (CONFIG_LIVEPATCH), or /sys is not mounted");
	KC_TRY(kc_kernel_list(ctx, &loaded, &n));
	KC_TRY(check_loaded(patch, loaded, n));
	KC_TRY(check_kcare());
	return kc_kernel_users_check(ctx, patch);
}
