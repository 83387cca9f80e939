/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the differ must know of kernels: the tables that annotate code (.altinstructions, __bug_table, __jump_table …)
 * with the entry sizes of one target, the sections that mean nothing to a running kernel, and the kernel's own rules.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_TABLES_H
#define KC_TARGET_KERNEL_KERNEL_TABLES_H

#include "diff/diff.h"
#include "target/kernel/kernel_layout.h"

enum { KC_KERNEL_MAX_TABLES = 24 };

/* One comparison. Fill what is above the line; all of it must outlive the difference. */
struct kc_kernel_diff {
	const struct kc_kernel_layout *layout;
	const struct kc_elf *orig;  /* the object: it says itself what it exports */
	const char *const *allowed; /* rules to let pass, NULL-terminated; NULL: none */
	bool is_module;		    /* the object is part of a module */
	/* Objects of modules: does the image define this symbol? NULL: only this object is known not to be the image.
	 */
	bool (*is_in_image)(void *data, const char *name);
	void *data; /* for is_in_image */

	/* ---- filled by kc_kernel_diff_options() ---- */
	struct kc_diff_table tables[KC_KERNEL_MAX_TABLES];
};

/* Fills `options`, which refers to `target`. */
void kc_kernel_diff_options(struct kc_kernel_diff *target, struct kc_diff_options *options);

#endif
