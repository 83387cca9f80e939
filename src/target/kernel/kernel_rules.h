/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own rules of the differ, as callbacks of kc_diff_options; see docs/refusals.md. For kernel_tables.c. */
#ifndef KC_TARGET_KERNEL_KERNEL_RULES_H
#define KC_TARGET_KERNEL_KERNEL_RULES_H

#include "target/kernel/kernel_tables.h"

/* `data` is a struct kc_kernel_diff in both. */
bool kernel_is_exported(void *data, const char *name);
struct kc_error *kernel_check_item(struct kc_ctx *ctx, void *data, const struct kc_diff *diff,
				   const struct kc_diff_item *item);

#endif
