/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds in one object the symbol that another object, compiled from the same source with other options, has under the
 * same name. Local symbols of one name come in the same order in both.
 */
#ifndef KC_ELF_ELF_NAMES_H
#define KC_ELF_ELF_NAMES_H

#include "elf/elf_file.h"

/* Symbols of .symtab that have a name, sorted by it, those of one name in their order. */
struct kc_elf_names {
	struct kc_elf_symbol **symbols;
	size_t n_symbols;
};

struct kc_error *kc_elf_names_read(const struct kc_elf *elf, struct kc_elf_names *names);
void kc_elf_names_clear(struct kc_elf_names *names);

/* Index of the first symbol of that name, or of where it would be. */
size_t kc_elf_names_find(const struct kc_elf_names *names, const char *name);
/* The counterpart of `symbol`, which is one of `elf`, or NULL. */
const struct kc_elf_symbol *kc_elf_names_match(const struct kc_elf_names *names, const struct kc_elf *elf,
					       const struct kc_elf_symbol *symbol);

#endif
