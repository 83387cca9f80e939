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

struct kc_error *kc_build_manifest(const struct kc_build_user_request *request, struct kc_fix *const *fixes,
				   size_t n_fixes, const char *target, const char *object, struct kc_manifest *manifest)
{
	manifest->kind = KC_PATCH_USER;
	manifest->level = request->level;
	manifest->created = time(NULL);
	manifest->consistency = consistency_of(fixes, n_fixes);
	if (!copy(target, &manifest->target) || !copy(object, &manifest->object) ||
	    !copy(request->type ? request->type : "default", &manifest->type) ||
	    !copy(request->patchset, &manifest->patchset) || !copy(request->package, &manifest->package) ||
	    !copy(request->version, &manifest->version))
		return kc_error_no_memory();
	for (size_t i = 0; i < n_fixes; i++) {
		struct kc_fix_info *info = kc_array_add(&manifest->fixes, &manifest->n_fixes);

		if (!info)
			return kc_error_no_memory();
		KC_TRY(fix_copy(&fixes[i]->info, info));
	}
	for (const char *const *rule = request->allowed; rule && *rule; rule++) {
		char **slot = kc_array_add(&manifest->allowed, &manifest->n_allowed);

		if (!slot || !copy(*rule, slot))
			return kc_error_no_memory();
	}
	return NULL;
}

struct kc_error *kc_build_manifest_check(const struct kc_build_user_request *request, struct kc_fix *const *fixes,
					 size_t n_fixes)
{
	struct kc_manifest manifest = { 0 };
	struct kc_error *err = kc_build_manifest(request, fixes, n_fixes, "0000000000000000000000000000000000000000",
						 "any", &manifest);

	if (!err)
		err = kc_manifest_check(&manifest);
	kc_manifest_clear(&manifest);
	return err;
}
