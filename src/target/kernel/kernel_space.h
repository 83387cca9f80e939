/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images and modules as one kind of address space, so that the proof need not tell them apart. An image has addresses.
 * A module gets them here: each of its sections, and each symbol that it imports, lies 4 GiB behind the one before.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_SPACE_H
#define KC_TARGET_KERNEL_KERNEL_SPACE_H

#include "target/kernel/kernel_object.h"

#define KC_NO_PLACE UINT64_MAX

/* Where a symbol of the image or module is. */
uint64_t kc_space_place(const struct kc_kernel_object *object, const struct kc_kernel_symbol *symbol);
/* The symbol of that name at exactly this place, or NULL. */
const struct kc_kernel_symbol *kc_space_symbol(const struct kc_kernel_object *object, const char *name, uint64_t place);
/* Modules: the section of a place and the offset in it; NULL when it stands for an import or for nothing. */
struct kc_elf_section *kc_space_section(const struct kc_kernel_object *object, uint64_t place, uint64_t *offset);
/* Modules: the symbol that is imported at this place, or NULL. */
const struct kc_elf_symbol *kc_space_import(const struct kc_kernel_object *object, uint64_t place);
/* `size` bytes, or NULL unless all are in the file. */
const uint8_t *kc_space_read(const struct kc_kernel_object *object, uint64_t place, size_t size);

/*
 * What the link editor put into the relocated field at `place`: where the symbol of `rela` is. `rela` is the object's.
 * false: nothing that this relocation can have become.
 */
bool kc_space_field(const struct kc_kernel_object *object, uint64_t place, const struct kc_elf_rela *rela,
		    uint64_t *symbol_place);
/* Modules: how many relocations apply to [place, place + size); images: none are left. */
size_t kc_space_count_fields(const struct kc_kernel_object *object, uint64_t place, uint64_t size);

#endif
