/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof gate of a kernel object: finds where a *plain* object (compiled, and run through objtool, exactly as the
 * kernel's build does it) lies in the shipped image or module, and proves every function byte for byte, modulo
 * relocations and what is patched at load time (alternatives, paravirt sites, lock prefixes, jump labels, static calls,
 * mcount sites, return thunks: the object's own tables say where). Weak functions that another object overrides are
 * dropped. The relocated fields then tell the address of every symbol that the object mentions.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_PLACEMENT_H
#define KC_TARGET_KERNEL_KERNEL_PLACEMENT_H

#include "target/kernel/kernel_object.h"

/* What the shipped file says of one symbol of the plain object. */
struct kc_kernel_placed {
	bool is_known;
	bool is_overridden;		/* a weak function that lies elsewhere: not this code */
	uint64_t addr;			/* vmlinux: virtual address; modules: offset in `section` */
	struct kc_elf_section *section; /* modules, defined symbols; NULL: undefined in the module too (imported) */
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
 * KC_ERR_NOT_FOUND when the plain object plainly is not part of `object`; KC_ERR_PROOF, naming the first function that
 * differs and how, when it is but does not match, or fits more than once.
 */
struct kc_error *kc_kernel_placement_find(struct kc_ctx *ctx, const struct kc_kernel_object *object,
					  const struct kc_elf *plain, struct kc_kernel_placement **placement);
void kc_kernel_placement_free(struct kc_kernel_placement *placement);

KC_DEFINE_CLEANUP(kc_cleanup_kernel_placement, struct kc_kernel_placement *, kc_kernel_placement_free)
#define kc_autokernelplacement KC_CLEANUP(kc_cleanup_kernel_placement)

#endif
