/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From differences and placements to the userspace payload: everything that changed in one linked file, as one
 * relocatable object (patch/user_payload.h).
 */
#ifndef KC_TARGET_USER_EMIT_H
#define KC_TARGET_USER_EMIT_H

#include "base/buf.h"
#include "diff/diff.h"
#include "target/user/placement.h"

/*
 * One object of the linked file. `diff` may be NULL: an object that did not change, placed only because it knows the
 * address of something that a changed one refers to.
 */
struct kc_emit_object {
	const char *name; /* "crypto/cms/cms_pwri.c" for messages */
	const struct kc_diff *diff;
	const struct kc_placement *placement;
};

struct kc_emit_options {
	const char *const *allowed; /* rules to let pass, NULL-terminated */
	/*
	 * Other ELF files that define symbols (the package's dependencies and libc), searched in this order for imports
	 * that the linked file does not have yet.
	 */
	struct kc_elf *const *libraries;
	size_t n_libraries;
};

/*
 * Appends the payload to `out`. KC_ERR_RULE for a refusal (no-address, tls-model, short-function; see
 * docs/refusals.md); KC_ERR_IMPORT when a new import is defined nowhere.
 */
struct kc_error *kc_emit_user_payload(struct kc_ctx *ctx, const struct kc_elf *linked,
				      const struct kc_emit_object *objects, size_t n_objects,
				      const struct kc_emit_options *options, struct kc_buf *out);

#endif
