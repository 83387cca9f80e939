/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables that annotate kernel code (.altinstructions, __bug_table, __jump_table …) for the differ, with the entry
 * sizes of one target, and the kernel's own rules.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_TABLES_H
#define KC_TARGET_KERNEL_KERNEL_TABLES_H

#include "diff/diff.h"
#include "target/kernel/kernel_layout.h"

/* Fills `options` (tables, ignored sections, kernel rules); what it points to is static or lives in `layout`. */
void kc_kernel_diff_options(const struct kc_kernel_layout *layout, struct kc_diff_options *options);

#endif
