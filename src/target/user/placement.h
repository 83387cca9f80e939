/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof gate of a linked ELF file: finds where each section of a *plain* object (compiled with the package's own
 * flags) lies in the shipped, stripped file, and proves it byte for byte modulo relocations. The relocated fields in
 * the file then tell the address of every symbol that the object mentions: static functions and data, PLT entries, GOT
 * and TLS slots.
 */
#ifndef KC_TARGET_USER_PLACEMENT_H
#define KC_TARGET_USER_PLACEMENT_H

#include "elf/elf_file.h"

#define KC_NO_ADDR UINT64_MAX

/* What the linked file says of one symbol of the plain object. KC_NO_ADDR: not known. */
struct kc_placed_symbol {
	uint64_t addr;	     /* virtual address of the symbol itself; of an IFUNC: its resolver */
	uint64_t plt;	     /* PLT entry that leads to it: imported, replaceable and IFUNC symbols */
	uint64_t got;	     /* GOT slot that holds its address */
	uint64_t tls_got;    /* GOT pair for __tls_get_addr (general dynamic) */
	uint64_t tls_offset; /* offset in the TLS block of the file */
	uint64_t tp_got;     /* GOT slot with its offset from the thread pointer (initial exec) */
};

struct kc_placement {
	const struct kc_elf *linked;
	const struct kc_elf *plain;
	uint64_t *section_addr;		  /* per section of `plain`; KC_NO_ADDR when not placed; TLS: of its image */
	struct kc_placed_symbol *symbols; /* per symbol of `plain` */
	uint64_t tls_ld_got;		  /* GOT pair for the module's base (local dynamic), or KC_NO_ADDR */
	size_t n_functions_proved;
};

/*
 * KC_ERR_NOT_FOUND when the object plainly is not part of this file (no section of it matches anywhere and none of its
 * global functions is exported by it); KC_ERR_PROOF, naming the function that differs, when it is but does not match.
 */
struct kc_error *kc_placement_find(struct kc_ctx *ctx, const struct kc_elf *linked, const struct kc_elf *plain,
				   struct kc_placement **placement);
void kc_placement_free(struct kc_placement *placement);

#endif
