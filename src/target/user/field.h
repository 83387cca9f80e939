/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads one relocation back from a linked file: given the object's bytes and the place where they are supposed to lie,
 * tells whether the file has there what a link editor can have made of them, and which value it filled in. Knows the
 * relaxations of the x86-64 psABI: GOTPCRELX, and general dynamic, local dynamic and initial exec TLS.
 */
#ifndef KC_TARGET_USER_FIELD_H
#define KC_TARGET_USER_FIELD_H

#include "target/user/linked.h"

enum kc_field_kind {
	KC_FIELD_NONE,	     /* tells nothing */
	KC_FIELD_ADDR,	     /* address of the symbol, or of its PLT entry */
	KC_FIELD_GOT,	     /* GOT slot with the symbol's address */
	KC_FIELD_TLS_GOT,    /* GOT pair of the symbol, for __tls_get_addr */
	KC_FIELD_TLS_LD_GOT, /* GOT pair of the module */
	KC_FIELD_TP_GOT,     /* GOT slot with the symbol's offset from the thread pointer */
	KC_FIELD_TLS_OFFSET, /* offset of the symbol in the file's TLS block */
};

struct kc_field {
	enum kc_field_kind kind;
	uint64_t value;
	uint64_t end;	/* in the section: what lies before was checked */
	size_t n_relas; /* relocations that this reading used up: 1, or 2 for a relaxed TLS sequence */
};

/*
 * The bytes of `section` that the link editor may have changed for its relocation number `i`: [*start, *end). Other
 * bytes must be equal in the file.
 */
void kc_field_extent(const struct kc_elf_section *section, size_t i, uint64_t *start, uint64_t *end);

/* false: the bytes of the file at `base` + offset are nothing that a link editor makes of relocation number `i`. */
bool kc_field_read(const struct kc_linked *linked, const struct kc_elf_section *section, uint64_t base, size_t i,
		   struct kc_field *field);

#endif
