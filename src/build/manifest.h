/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a patch file says of itself, from the request and the fixes. */
#ifndef KC_BUILD_MANIFEST_H
#define KC_BUILD_MANIFEST_H

#include "build/fix.h"
#include "patch/patch_file.h"

struct kc_manifest_values {
	enum kc_patch_kind kind;
	const char *target; /* build-id or kernel id */
	const char *object; /* the linked file's name */
	const char *type, *patchset;
	const char *package, *version; /* may be NULL */
	unsigned level;
	const char *const *allowed; /* NULL-terminated, or NULL */
	struct kc_fix *const *fixes;
	size_t n_fixes;
};

/* All but manifest->kernel. */
struct kc_error *kc_build_manifest(const struct kc_manifest_values *values, struct kc_manifest *manifest);
/* KC_ERR_INPUT for what would be refused at the very end: before anything is compiled. */
struct kc_error *kc_build_manifest_check(const struct kc_manifest_values *values);

#endif
