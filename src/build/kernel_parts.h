/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects of a kernel that a fix changes: which they are, what differs in them, and where they lie in the image and
 * in modules.
 */
#ifndef KC_BUILD_KERNEL_PARTS_H
#define KC_BUILD_KERNEL_PARTS_H

#include "build/kernel_tree.h"
#include "build/objects.h"
#include "target/kernel/kernel_placement.h"
#include "target/kernel/kernel_tables.h"

struct kc_kernel_part {
	struct kc_object object;
	const struct kc_kernel_unit *unit;
	struct kc_kernel_diff target; /* what `diff` was made with */
	struct kc_diff *diff;
	struct kc_kernel_placement **placements; /* in the image, or in each module that it is linked into */
	size_t n_placements;
};

struct kc_kernel_parts {
	struct kc_kernel_part **items;
	size_t n_items;
	struct kc_kernel_object **modules; /* that were opened */
	char **module_paths;
	size_t n_modules, n_module_paths;
};

/*
 * Finds the objects that the touched files are compiled into, and fills tree->tree->commands and `touched` with them.
 * Refuses what cannot be patched (rules vdso, lib.a, assembler), and more than `max` objects (KC_ERR_LIMIT).
 */
struct kc_error *kc_kernel_select(struct kc_ctx *ctx, struct kc_kernel_tree *tree, struct kc_touched *touched,
				  size_t max, unsigned jobs);

/*
 * Compiles the selected objects and compares them; only those that differ become parts. KC_ERR_NO_CHANGE when none
 * does; KC_ERR_RULE for a refusal.
 */
struct kc_error *kc_kernel_compare(struct kc_ctx *ctx, struct kc_kernel_tree *tree, const struct kc_touched *touched,
				   const struct kc_kernel_layout *layout, const char *const *allowed,
				   const char *work_dir, unsigned jobs, struct kc_kernel_parts *parts);
/* Makes the plain objects of all parts and proves them. KC_ERR_PROOF. */
struct kc_error *kc_kernel_prove(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, unsigned jobs,
				 struct kc_kernel_parts *parts);
void kc_kernel_parts_clear(struct kc_kernel_parts *parts);

#endif
