/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From proved parts to a signed patch file: the module, its signature, the manifest. */
#ifndef KC_BUILD_KERNEL_PATCH_H
#define KC_BUILD_KERNEL_PATCH_H

#include "build/fix.h"
#include "build/kernel_parts.h"
#include "build/manifest.h"
#include "sign/module_signature.h"
#include "target/kernel/kernel_emit.h"

struct kc_kernel_patch {
	const struct kc_build_kernel_request *request;
	const struct kc_fixes *fixes;
	const struct kc_patch
		*previous; /* of the level before, or NULL; not verified: it only tells where variables lie */
	const char *effective_version;
	char module_name[64];
};

/* What the manifest says that is known before anything is built. */
struct kc_manifest_values kc_kernel_manifest_values(const struct kc_kernel_patch *patch);
/*
 * Appends the patch file to `out`. `template_elf` is kmod/'s template, `work_dir` an empty folder. KC_ERR_RULE (state)
 * when this level does not take over what the one before owns.
 */
struct kc_error *kc_kernel_patch_make(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
				      const struct kc_kernel_patch *patch, const struct kc_kernel_parts *parts,
				      const struct kc_elf *template_elf, const char *work_dir, const struct kc_key *key,
				      const struct kc_module_key *module_key, struct kc_buf *out);

#endif
