/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Module.symvers: which symbols a kernel and its modules export, with the CRC of their types. Lines of
 * "0x12345678\tname\tmodule or vmlinux\tEXPORT_SYMBOL_GPL\tnamespace".
 */
#ifndef KC_TARGET_KERNEL_KERNEL_SYMVERS_H
#define KC_TARGET_KERNEL_KERNEL_SYMVERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct kc_kernel_export {
	const char *name;
	const char *module;	/* "vmlinux", "nf_conntrack": with underscores, without its folder */
	const char *name_space; /* "" when it has none */
	uint32_t crc;
};

struct kc_kernel_symvers {
	struct kc_kernel_export *exports; /* by name */
	size_t n_exports;
	char *text; /* what the strings point into */
};

/* KC_ERR_INPUT for a line that is none. */
struct kc_error *kc_kernel_symvers_parse(const char *text, struct kc_kernel_symvers *symvers);
void kc_kernel_symvers_clear(struct kc_kernel_symvers *symvers);
/* NULL: nobody exports it. */
const struct kc_kernel_export *kc_kernel_symvers_find(const struct kc_kernel_symvers *symvers, const char *name);

#endif
