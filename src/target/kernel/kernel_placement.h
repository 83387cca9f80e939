/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof gate of a kernel object: finds where a *plain* object (compiled exactly as the kernel's build does it, with
 * objtool where that runs on each object) lies in the shipped image or module, by the names of its functions, and
 * proves each section byte for byte modulo relocations. The shipped file is as the link editor left it: nothing in it
 * has been patched yet as at boot or load. Only objtool may have made nops of jump labels, where the object's
 * __jump_table says so. Weak functions that another object overrides are told apart.
 *
 * The relocated fields tell the address of every symbol that the object mentions, and must agree with each other, with
 * kallsyms, and with the content of string literals. Data that the code refers to is proved like the code.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_PLACEMENT_H
#define KC_TARGET_KERNEL_KERNEL_PLACEMENT_H

#include "target/kernel/kernel_object.h"

/* What the shipped file says of one symbol of the plain object. */
struct kc_kernel_placed {
	bool is_known;			/* false: nothing that was proved refers to it, and its name is not unique */
	bool is_overridden;		/* a weak function that lies elsewhere: not this code */
	uint64_t addr;			/* vmlinux: virtual address; modules: offset in `section` */
	struct kc_elf_section *section; /* modules: of the module's file; NULL: imported by the module too */
	/* The kallsyms name for exactly this address, preferring the symbol's own name; NULL: none has one. */
	const struct kc_kernel_symbol *symbol;
};

struct kc_kernel_placement {
	const struct kc_kernel_object *object;
	const struct kc_elf *plain;
	struct kc_kernel_placed *symbols; /* per symbol of `plain` */
	size_t n_functions_proved;
};

/*
 * KC_ERR_NOT_FOUND when the plain object plainly is not part of `object` (which lacks most of its names); KC_ERR_PROOF,
 * naming the function that differs and how, when it is but does not match, or fits more than once. The placement keeps
 * pointers to `object` and `plain`.
 */
struct kc_error *kc_kernel_placement_find(struct kc_ctx *ctx, const struct kc_kernel_object *object,
					  const struct kc_elf *plain, struct kc_kernel_placement **placement);
void kc_kernel_placement_free(struct kc_kernel_placement *placement);

KC_DEFINE_CLEANUP(kc_cleanup_kernel_placement, struct kc_kernel_placement *, kc_kernel_placement_free)
#define kc_autokernelplacement KC_CLEANUP(kc_cleanup_kernel_placement)

#endif
