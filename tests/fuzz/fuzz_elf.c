/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target of the ELF reader: everything it hands out is touched, so that the sanitizer sees what is not there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void touch_symbols(const struct kc_elf_symbol *symbols, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sink += strlen(symbols[i].name);
		sink += symbols[i].version ? strlen(symbols[i].version) : 0;
		sink += symbols[i].library ? strlen(symbols[i].library) : 0;
		sink += symbols[i].section ? symbols[i].section->index : 0;
	}
}

static void touch_section(const struct kc_elf_section *section)
{
	sink += strlen(section->name) + (section->group ? strlen(section->group) : 0);
	if (section->data && section->size)
		sink += section->data[0] + section->data[section->size - 1];
	for (size_t i = 0; i < section->n_relas; i++)
		sink += section->relas[i].symbol->index;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kc_elf_range *ranges = NULL;
	struct kc_elf *elf = NULL;
	struct kc_error *err = kc_elf_parse(NULL, "fuzz", data, size, &elf);
	size_t n;

	if (err) {
		kc_error_free(err);
		return 0;
	}
	touch_symbols(elf->symbols, elf->n_symbols);
	touch_symbols(elf->dynamic_symbols, elf->n_dynamic_symbols);
	for (size_t i = 0; i < elf->n_sections; i++)
		touch_section(&elf->sections[i]);
	for (size_t i = 0; i < elf->n_dynamic_relas; i++)
		sink += elf->dynamic_relas[i].symbol->index;
	kc_error_free(kc_elf_fde_ranges(NULL, elf, &ranges, &n));
	free(ranges);
	kc_elf_free(elf);
	return 0;
}
