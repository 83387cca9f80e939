/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which objects of a kernel may read a file: follows #include lines backwards from it, over the whole source. A name is
 * looked up beside the file that includes it ("…" only), then in the kernel's own folders of headers, which come first
 * in every command. What is in neither may be any file whose path ends so, so that nothing is missed; which of the
 * candidates really read it, the compiler says (build/depfile.h).
 */
#ifndef KC_BUILD_KERNEL_INCLUDES_H
#define KC_BUILD_KERNEL_INCLUDES_H

#include "build/kernel_tree.h"

/*
 * Adds to `units` (indices into tree->units, sorted) those that may read one of `paths` (absolute); a source that is
 * generated, and was not yet, may read any header. KC_ERR_LIMIT when there are more than `max`.
 */
struct kc_error *kc_kernel_includes_find(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
					 const char *const *paths, size_t n_paths, size_t max, size_t **units,
					 size_t *n_units);

#endif
