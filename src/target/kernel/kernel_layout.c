/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "target/kernel/kernel_layout.h"

#include <string.h>

enum { LAYOUT_MAGIC = 0x6b636c31 };

struct kc_error *kc_kernel_layout_read(const struct kc_elf *template_elf, struct kc_kernel_layout *layout)
{
	const struct kc_elf_section *section = kc_elf_section_find(template_elf, ".kcare.layout");

	if (!section || !section->data || section->size != sizeof(*layout))
		return kc_error_new(KC_ERR_INPUT, "%s: made by another version of kcare; prepare the kernel again",
				    template_elf->name);
	memcpy(layout, section->data, sizeof(*layout));
	if (layout->magic != LAYOUT_MAGIC)
		return kc_error_new(KC_ERR_INPUT, "%s: its table of layouts is damaged", template_elf->name);
	return NULL;
}
