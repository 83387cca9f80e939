/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See kernel_space.h. */
#include "target/kernel/kernel_space.h"

#include <string.h>

/* Sections have the numbers from 1, imported symbols those behind. */
#define NUMBER_SHIFT 32

static uint64_t numbered(uint64_t number, uint64_t offset)
{
	return (number << NUMBER_SHIFT) + offset;
}

/* Offsets may be a little below 0: fields refer to a symbol minus 4. */
static uint64_t number_of(uint64_t place)
{
	return place >> NUMBER_SHIFT;
}

uint64_t kc_space_place(const struct kc_kernel_object *object, const struct kc_kernel_symbol *symbol)
{
	return object->is_module ? numbered(symbol->section->index, symbol->addr) : symbol->addr;
}

const struct kc_kernel_symbol *kc_space_symbol(const struct kc_kernel_object *object, const char *name, uint64_t place)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(object, name);

	while (symbol && kc_space_place(object, symbol) != place)
		symbol = kc_kernel_symbol_next(object, symbol);
	return symbol;
}

struct kc_elf_section *kc_space_section(const struct kc_kernel_object *object, uint64_t place, uint64_t *offset)
{
	uint64_t number = number_of(place);

	if (!object->is_module || number == 0 || number >= object->elf->n_sections)
		return NULL;
	*offset = place - numbered(number, 0);
	return &object->elf->sections[number];
}

const struct kc_elf_symbol *kc_space_import(const struct kc_kernel_object *object, uint64_t place)
{
	const struct kc_elf *elf = object->elf;
	uint64_t number = number_of(place);

	if (!object->is_module || number < elf->n_sections || number - elf->n_sections >= elf->n_symbols ||
	    place != numbered(number, 0))
		return NULL;
	return &elf->symbols[number - elf->n_sections];
}

const uint8_t *kc_space_read(const struct kc_kernel_object *object, uint64_t place, size_t size)
{
	const struct kc_elf_section *section;
	uint64_t offset;

	if (!object->is_module)
		return kc_kernel_image_read(object, place, size);
	section = kc_space_section(object, place, &offset);
	if (!section || !section->data || offset > section->size || size > section->size - offset)
		return NULL;
	return section->data + offset;
}

/* A module has the relocation still; `ld -r` may have changed its symbol into another one with another addend. */
static bool module_field(const struct kc_kernel_object *module, uint64_t place, const struct kc_elf_rela *rela,
			 uint64_t *symbol_place)
{
	uint64_t offset, number = 0;
	const struct kc_elf_section *section = kc_space_section(module, place, &offset);
	const struct kc_elf_rela *theirs;
	const struct kc_elf_symbol *symbol;
	size_t i;

	if (!section)
		return false;
	i = kc_elf_rela_first(section, offset);
	theirs = &section->relas[i];
	if (i == section->n_relas || theirs->offset != offset || theirs->type != rela->type)
		return false;
	symbol = theirs->symbol;
	if (symbol->section)
		number = symbol->section->index;
	else if (symbol->index && symbol->shndx == SHN_UNDEF)
		number = module->elf->n_sections + symbol->index;
	*symbol_place = numbered(number, symbol->value) + (uint64_t)(theirs->addend - rela->addend);
	return true;
}

static bool image_field(const struct kc_kernel_object *image, uint64_t place, const struct kc_elf_rela *rela,
			uint64_t *symbol_place)
{
	size_t size = kc_elf_rela_size(rela->type);
	const uint8_t *bytes = kc_kernel_image_read(image, place, size);
	uint64_t value = 0;
	int32_t narrow;

	if (!bytes)
		return false;
	memcpy(&value, bytes, size);
	memcpy(&narrow, bytes, sizeof(narrow));
	switch (rela->type) {
	case R_X86_64_PC64:
		value += place;
		break;
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		value = place + (uint64_t)(int64_t)narrow;
		break;
	case R_X86_64_32S:
		value = (uint64_t)(int64_t)narrow;
		break;
	case R_X86_64_32:
	case R_X86_64_64:
		break;
	default:
		return false;
	}
	*symbol_place = value - (uint64_t)rela->addend;
	return true;
}

bool kc_space_field(const struct kc_kernel_object *object, uint64_t place, const struct kc_elf_rela *rela,
		    uint64_t *symbol_place)
{
	return object->is_module ? module_field(object, place, rela, symbol_place)
				 : image_field(object, place, rela, symbol_place);
}

size_t kc_space_count_fields(const struct kc_kernel_object *object, uint64_t place, uint64_t size)
{
	const struct kc_elf_section *section;
	uint64_t offset;
	size_t n = 0;

	section = kc_space_section(object, place, &offset);
	if (!section)
		return 0;
	for (size_t i = kc_elf_rela_first(section, offset);
	     i < section->n_relas && section->relas[i].offset < offset + size; i++)
		n += section->relas[i].type != R_X86_64_NONE;
	return n;
}
