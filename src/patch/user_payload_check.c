/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the object of a userspace payload as a whole: only sections that the patcher knows how to map, only symbols it
 * can resolve, only relocations it can do, each inside its section. The notes were read already.
 */
#include "patch/user_payload_internal.h"

#include <stdlib.h>
#include <string.h>

#ifndef SHT_X86_64_UNWIND
#define SHT_X86_64_UNWIND 0x70000001
#endif

static const struct relocation_kind {
	uint32_t type;
	uint8_t size;
	bool tls; /* against a symbol of .kcare.tls, in a writable section; the others against anything else */
} relocation_kinds[] = {
	{ R_X86_64_64, 8, false },	 { R_X86_64_PC64, 8, false },	   { R_X86_64_PC32, 4, false },
	{ R_X86_64_PLT32, 4, false },	 { R_X86_64_32, 4, false },	   { R_X86_64_32S, 4, false },
	{ R_X86_64_GOTPCREL, 4, false }, { R_X86_64_GOTPCRELX, 4, false }, { R_X86_64_REX_GOTPCRELX, 4, false },
	{ R_X86_64_DTPMOD64, 8, true },	 { R_X86_64_DTPOFF64, 8, true },   { R_X86_64_TPOFF64, 8, true },
};

static const struct relocation_kind *find_kind(uint32_t type)
{
	for (size_t i = 0; i < sizeof(relocation_kinds) / sizeof(relocation_kinds[0]); i++)
		if (relocation_kinds[i].type == type)
			return &relocation_kinds[i];
	return NULL;
}

static bool is_marker(const struct kc_elf_section *section, const char *name)
{
	return section && !strcmp(section->name, name);
}

static bool is_mapped(const struct kc_elf_section *section)
{
	return section->flags & SHF_ALLOC && section->type != SHT_NOTE &&
	       !is_marker(section, KC_PAYLOAD_TARGET_SECTION) && !is_marker(section, KC_PAYLOAD_TLS_SECTION);
}

static struct kc_error *check_mapped_section(const struct kc_elf_section *section, uint64_t *total)
{
	uint64_t padding = section->align ? section->align - 1 : 0;

	if (section->type != SHT_PROGBITS && section->type != SHT_NOBITS && section->type != SHT_X86_64_UNWIND)
		return kc_error_new(KC_ERR_INPUT, "section %s has the type 0x%x, which cannot be mapped", section->name,
				    section->type);
	if (section->flags & (SHF_TLS | SHF_COMPRESSED))
		return kc_error_new(KC_ERR_INPUT, "section %s is thread-local or compressed", section->name);
	if (section->flags & SHF_WRITE && section->flags & SHF_EXECINSTR)
		return kc_error_new(KC_ERR_INPUT, "section %s is writable and executable", section->name);
	if (section->align & padding || section->align > KC_PAYLOAD_ALIGN_MAX)
		return kc_error_new(KC_ERR_INPUT, "section %s has the alignment %lu", section->name, section->align);
	if (section->size > KC_PAYLOAD_MEMORY_MAX)
		return kc_error_new(KC_ERR_INPUT, "section %s is too large", section->name);
	*total += section->size + padding;
	if (*total > KC_PAYLOAD_MEMORY_MAX)
		return kc_error_new(KC_ERR_INPUT, "it would take more than %d MiB", KC_PAYLOAD_MEMORY_MAX >> 20);
	return NULL;
}

static struct kc_error *check_sections(const struct kc_elf *elf)
{
	uint64_t total = 0;

	if (elf->type != ET_REL)
		return kc_error_new(KC_ERR_INPUT, "not a relocatable object");
	if (elf->n_sections > KC_PAYLOAD_SECTIONS_MAX)
		return kc_error_new(KC_ERR_INPUT, "more than %d sections", KC_PAYLOAD_SECTIONS_MAX);
	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (is_mapped(section))
			KC_TRY(check_mapped_section(section, &total));
		else if ((is_marker(section, KC_PAYLOAD_TARGET_SECTION) ||
			  is_marker(section, KC_PAYLOAD_TLS_SECTION)) &&
			 section->size)
			return kc_error_new(KC_ERR_INPUT, "section %s is not empty", section->name);
	}
	return NULL;
}

/* Marks the undefined symbols that an import note describes; two notes for one symbol could contradict each other. */
static struct kc_error *mark_imports(const struct kc_payload *payload, bool *imported)
{
	for (size_t i = 0; i < payload->n_imports; i++) {
		const struct kc_elf_symbol *symbol = payload->imports[i].symbol;

		if (imported[symbol->index])
			return kc_error_new(KC_ERR_INPUT, "two import notes for '%s'", symbol->name);
		imported[symbol->index] = true;
	}
	return NULL;
}

static struct kc_error *check_symbols(const struct kc_payload *payload)
{
	const struct kc_elf *elf = payload->elf;
	kc_autofree bool *imported = calloc(elf->n_symbols + 1, sizeof(*imported));

	if (!imported)
		return kc_error_no_memory();
	KC_TRY(mark_imports(payload, imported));
	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (symbol->shndx == SHN_UNDEF && !imported[i])
			return kc_error_new(KC_ERR_INPUT, "the undefined symbol '%s' has no import note", symbol->name);
		if (symbol->type == STT_TLS && !is_marker(symbol->section, KC_PAYLOAD_TLS_SECTION))
			return kc_error_new(KC_ERR_INPUT, "the thread-local symbol '%s' is not one of the target",
					    symbol->name);
		if (symbol->section && is_mapped(symbol->section) && symbol->value > symbol->section->size)
			return kc_error_new(KC_ERR_INPUT, "the symbol '%s' is outside its section", symbol->name);
	}
	return NULL;
}

/* What the patcher can give an address (or a TLS offset) to. */
static bool can_resolve(const struct kc_elf_symbol *symbol, bool tls)
{
	if (is_marker(symbol->section, KC_PAYLOAD_TLS_SECTION))
		return tls;
	if (tls || symbol->index == 0)
		return false;
	if (symbol->shndx == SHN_UNDEF || is_marker(symbol->section, KC_PAYLOAD_TARGET_SECTION))
		return true;
	return symbol->section && is_mapped(symbol->section);
}

static struct kc_error *check_relocation(const struct kc_elf_section *section, const struct kc_elf_rela *rela)
{
	const struct relocation_kind *kind = find_kind(rela->type);

	if (!kind || (kind->tls && !(section->flags & SHF_WRITE)))
		return kc_error_new(KC_ERR_INPUT, "%s+0x%lx: relocation type %u is not allowed here", section->name,
				    rela->offset, rela->type);
	if (rela->offset > section->size || section->size - rela->offset < kind->size)
		return kc_error_new(KC_ERR_INPUT, "%s+0x%lx: a relocation outside its section", section->name,
				    rela->offset);
	if (!can_resolve(rela->symbol, kind->tls))
		return kc_error_new(KC_ERR_INPUT, "%s+0x%lx: a relocation against '%s', which has no address",
				    section->name, rela->offset, rela->symbol->name);
	return NULL;
}

static struct kc_error *check_relocations(const struct kc_elf *elf)
{
	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (section->n_relas && (!is_mapped(section) || !section->data))
			return kc_error_new(KC_ERR_INPUT, "section %s must not have relocations", section->name);
		for (size_t k = 0; k < section->n_relas; k++)
			KC_TRY(check_relocation(section, &section->relas[k]));
	}
	return NULL;
}

struct kc_error *kc_payload_check_elf(const struct kc_payload *payload)
{
	KC_TRY(check_sections(payload->elf));
	KC_TRY(check_symbols(payload));
	return check_relocations(payload->elf);
}
