/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/manifest.h"

#include <string.h>
#include <time.h>

#include "base/array.h"
#include "patch/manifest.h"

/* NULL gives NULL. */
static bool copy(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

static struct kc_error *fix_copy(const struct kc_fix_info *from, struct kc_fix_info *to)
{
	if (!copy(from->name, &to->name) || !copy(from->description, &to->description) ||
	    !copy(from->cvss, &to->cvss) || !copy(from->cve_url, &to->cve_url) ||
	    !copy(from->patch_url, &to->patch_url) || !copy(from->license, &to->license))
		return kc_error_no_memory();
	for (size_t i = 0; i < from->n_cves; i++) {
		char **cve = kc_array_add(&to->cves, &to->n_cves);

		if (!cve || !copy(from->cves[i], cve))
			return kc_error_no_memory();
	}
	return NULL;
}

/* One strict fix makes the whole patch strict. */
static enum kc_consistency consistency_of(struct kc_fix *const *fixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fixes[i]->consistency == KC_CONSISTENCY_STRICT)
			return KC_CONSISTENCY_STRICT;
	return KC_CONSISTENCY_FUNCTION;
}

struct kc_error *kc_build_manifest(const struct kc_manifest_values *values, struct kc_manifest *manifest)
{
	manifest->kind = values->kind;
	manifest->level = values->level;
	manifest->created = time(NULL);
	manifest->consistency = consistency_of(values->fixes, values->n_fixes);
	if (!copy(values->target, &manifest->target) || !copy(values->object, &manifest->object) ||
	    !copy(values->type ? values->type : "default", &manifest->type) ||
	    !copy(values->patchset, &manifest->patchset) || !copy(values->package, &manifest->package) ||
	    !copy(values->version, &manifest->version))
		return kc_error_no_memory();
	for (size_t i = 0; i < values->n_fixes; i++) {
		struct kc_fix_info *info = kc_array_add(&manifest->fixes, &manifest->n_fixes);

		if (!info)
			return kc_error_no_memory();
		KC_TRY(fix_copy(&values->fixes[i]->info, info));
	}
	for (const char *const *rule = values->allowed; rule && *rule; rule++) {
		char **slot = kc_array_add(&manifest->allowed, &manifest->n_allowed);

		if (!slot || !copy(*rule, slot))
			return kc_error_no_memory();
	}
	return NULL;
}

/* What is known only later gets values that are always allowed. */
static struct kc_error *fill_unknown(struct kc_manifest *manifest)
{
	struct kc_kernel_manifest *kernel = &manifest->kernel;

	if (manifest->kind != KC_PATCH_KERNEL)
		return NULL;
	kernel->release = strdup("any");
	kernel->effective_version = strdup("any");
	kernel->build_id = strdup("00");
	kernel->module = strdup("kcare_livepatch_1");
	return kernel->release && kernel->effective_version && kernel->build_id && kernel->module
		       ? NULL
		       : kc_error_no_memory();
}

struct kc_error *kc_build_manifest_check(const struct kc_manifest_values *values)
{
	struct kc_manifest_values known = *values;
	struct kc_manifest manifest = { 0 };
	struct kc_error *err;

	known.target = "0000000000000000000000000000000000000000";
	known.object = "any";
	err = kc_build_manifest(&known, &manifest);
	if (!err)
		err = fill_unknown(&manifest);
	if (!err)
		err = kc_manifest_check(&manifest);
	kc_manifest_clear(&manifest);
	return err;
}
