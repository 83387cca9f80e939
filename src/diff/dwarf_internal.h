/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug information for the passes that walk it themselves; the other passes see only diff_internal.h. */
#ifndef KC_DIFF_DWARF_INTERNAL_H
#define KC_DIFF_DWARF_INTERNAL_H

#include <elfutils/libdw.h>

#include "diff/diff_internal.h"

struct diff_dwarf {
	uint8_t *image; /* the file with relocated debug sections */
	Elf *libelf;
	Dwarf *dwarf;
};

/* Where a section's addresses start in the debug information. */
uint64_t diff_dwarf_base(const struct kc_elf_section *section);
/* Steps to the next unit; start with *unit NULL. */
bool diff_dwarf_next_unit(struct diff_dwarf *dwarf, Dwarf_CU **unit, Dwarf_Die *die);
/* The name that the linker sees. */
const char *diff_dwarf_linkage_name(Dwarf_Die *die);

#endif
