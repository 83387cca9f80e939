/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a patch file says of itself, from the request and the fixes. */
#ifndef KC_BUILD_MANIFEST_H
#define KC_BUILD_MANIFEST_H

#include "build/fix.h"
#include "build/user.h"
#include "patch/patch_file.h"

/* `target` is the build-id as text, `object` the name of the linked file. */
struct kc_error *kc_build_manifest(const struct kc_build_user_request *request, struct kc_fix *const *fixes,
				   size_t n_fixes, const char *target, const char *object,
				   struct kc_manifest *manifest);
/* KC_ERR_INPUT for what would be refused at the very end: before anything is compiled. */
struct kc_error *kc_build_manifest_check(const struct kc_build_user_request *request, struct kc_fix *const *fixes,
					 size_t n_fixes);

#endif
