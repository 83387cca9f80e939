/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a patch file says of itself, from the request and the fixes. */
#ifndef KC_BUILD_MANIFEST_H
#define KC_BUILD_MANIFEST_H

#include "build/fix.h"
#include "build/user.h"
#include "elf/elf_file.h"
#include "patch/patch_file.h"

struct kc_error *kc_build_manifest(const struct kc_build_user_request *request, struct kc_fix *const *fixes,
				   size_t n_fixes, const struct kc_elf *linked, struct kc_manifest *manifest);

#endif
