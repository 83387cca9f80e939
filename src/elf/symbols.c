/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Symbol tables of the ELF reader; both .symtab and .dynsym become arrays of struct kc_elf_symbol. */
#include "elf/elf_internal.h"

#include <stdlib.h>
#include <string.h>

/* ".kcare.target" and ".kcare.tls" (patch/user_payload.h) are empty: their symbols are addresses in another file. */
static bool is_marker(const struct kc_elf_section *section)
{
	return section->size == 0 && strncmp(section->name, ".kcare.", strlen(".kcare.")) == 0;
}

/* A symbol of an object lies in its section as a whole; in linked files st_value is an address, and only a hint. */
static bool is_inside_section(const struct kc_elf *elf, const struct kc_elf_symbol *symbol)
{
	if (elf->type != ET_REL || !symbol->section || symbol->type == STT_SECTION || is_marker(symbol->section))
		return true;
	return symbol->value <= symbol->section->size && symbol->size <= symbol->section->size - symbol->value;
}

static struct kc_error *read_symbol(struct kc_elf *elf, const Elf64_Sym *raw, uint32_t wide_index,
				    struct elf_bytes strings, struct kc_elf_symbol *symbol)
{
	uint32_t section = raw->st_shndx == SHN_XINDEX ? wide_index : raw->st_shndx;
	bool is_special = section == SHN_UNDEF || (raw->st_shndx >= SHN_LORESERVE && raw->st_shndx != SHN_XINDEX);

	symbol->name = raw->st_name ? elf_string(strings, raw->st_name) : "";
	if (!symbol->name)
		return elf_bad(elf, "symbol %u: bad name", symbol->index);
	symbol->value = raw->st_value;
	symbol->size = raw->st_size;
	symbol->type = ELF64_ST_TYPE(raw->st_info);
	symbol->bind = ELF64_ST_BIND(raw->st_info);
	symbol->visibility = ELF64_ST_VISIBILITY(raw->st_other);
	symbol->shndx = raw->st_shndx;
	if (is_special || elf->n_sections == 0) /* a linked file may have lost its section headers */
		return NULL;
	if (section >= elf->n_sections)
		return elf_bad(elf, "symbol %s: there is no section %u", symbol->name, section);
	symbol->section = &elf->sections[section];
	if (section < SHN_LORESERVE)
		symbol->shndx = section;
	if (!is_inside_section(elf, symbol))
		return elf_bad(elf, "symbol %s reaches out of its section", symbol->name);
	return NULL;
}

struct kc_error *elf_read_symbols(struct kc_elf *elf, struct elf_bytes table, struct elf_bytes strings,
				  struct elf_bytes wide_indexes, struct kc_elf_symbol **symbols, size_t *n)
{
	size_t count = table.size / sizeof(Elf64_Sym);

	if (count == 0)
		return NULL;
	*symbols = calloc(count, sizeof(**symbols));
	if (!*symbols)
		return kc_error_no_memory();
	*n = count;
	for (size_t i = 0; i < count; i++) {
		uint32_t wide_index = 0;
		Elf64_Sym raw;

		memcpy(&raw, table.data + i * sizeof(raw), sizeof(raw));
		if ((i + 1) * sizeof(wide_index) <= wide_indexes.size)
			memcpy(&wide_index, wide_indexes.data + i * sizeof(wide_index), sizeof(wide_index));
		(*symbols)[i].index = i;
		KC_TRY(read_symbol(elf, &raw, wide_index, strings, &(*symbols)[i]));
	}
	/* Symbol 0 means "none" whatever the file says. */
	(*symbols)[0] = (struct kc_elf_symbol){ .name = "" };
	return NULL;
}

static const struct kc_elf_section *find_wide_indexes(const struct kc_elf *elf, uint32_t symtab)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (elf->sections[i].type == SHT_SYMTAB_SHNDX && elf->sections[i].link == symtab)
			return &elf->sections[i];
	return NULL;
}

struct kc_error *elf_read_symtab(struct kc_elf *elf)
{
	const struct kc_elf_section *symtab = NULL, *strings, *wide;
	struct elf_bytes wide_bytes = { 0 };

	for (size_t i = 1; i < elf->n_sections; i++) {
		if (elf->sections[i].type != SHT_SYMTAB)
			continue;
		if (symtab)
			return elf_bad(elf, "two symbol tables");
		symtab = &elf->sections[i];
	}
	if (!symtab)
		return NULL;
	if (symtab->entsize != sizeof(Elf64_Sym))
		return elf_bad(elf, "symbols of %lu bytes", (unsigned long)symtab->entsize);
	if (symtab->link >= elf->n_sections || !elf->sections[symtab->link].data)
		return elf_bad(elf, "the symbol table has no names");
	strings = &elf->sections[symtab->link];
	wide = find_wide_indexes(elf, symtab->index);
	if (wide && wide->data)
		wide_bytes = (struct elf_bytes){ wide->data, wide->size };
	return elf_read_symbols(elf, (struct elf_bytes){ symtab->data, symtab->size },
				(struct elf_bytes){ strings->data, strings->size }, wide_bytes, &elf->symbols,
				&elf->n_symbols);
}
