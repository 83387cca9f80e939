/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof gate: where to look for each section, and when the search is over. What makes a supposed address true is
 * in verify.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/placer.h"

static void placer_clear(struct kc_placer *p)
{
	kc_placement_free(p->result);
	free(p->journal);
	free(p->queue);
	free(p->ranges);
	free(p->dead);
}

static struct kc_placement *placement_new(const struct kc_elf *linked, const struct kc_elf *plain)
{
	struct kc_placement *placement = calloc(1, sizeof(*placement));

	if (!placement)
		return NULL;
	placement->linked = linked;
	placement->plain = plain;
	placement->tls_ld_got = KC_NO_ADDR;
	placement->section_addr = malloc((plain->n_sections + 1) * sizeof(*placement->section_addr));
	placement->symbols = malloc((plain->n_symbols + 1) * sizeof(*placement->symbols));
	if (!placement->section_addr || !placement->symbols) {
		kc_placement_free(placement);
		return NULL;
	}
	memset(placement->section_addr, 0xff, (plain->n_sections + 1) * sizeof(*placement->section_addr));
	memset(placement->symbols, 0xff, (plain->n_symbols + 1) * sizeof(*placement->symbols));
	return placement;
}

void kc_placement_free(struct kc_placement *placement)
{
	if (!placement)
		return;
	free(placement->section_addr);
	free(placement->symbols);
	free(placement);
}

static bool is_code(const struct kc_elf_section *section)
{
	return (section->flags & SHF_ALLOC) && (section->flags & SHF_EXECINSTR) && section->data && section->size;
}

/* The FDEs of a relocatable file: each relocation of .eh_frame against code is the begin of one, its size follows. */
static struct kc_error *read_ranges(struct kc_placer *p)
{
	for (size_t s = 0; s < p->plain->n_sections; s++) {
		const struct kc_elf_section *section = &p->plain->sections[s];

		if (strcmp(section->name, ".eh_frame") != 0 || !section->data)
			continue;
		for (size_t i = 0; i < section->n_relas; i++) {
			const struct kc_elf_rela *rela = &section->relas[i];
			struct kc_placer_range *range;
			uint32_t size;

			if (rela->type != R_X86_64_PC32 || !rela->symbol->section ||
			    !(rela->symbol->section->flags & SHF_EXECINSTR) || rela->offset + 8 > section->size)
				continue;
			memcpy(&size, section->data + rela->offset + 4, 4);
			range = kc_array_add(&p->ranges, &p->n_ranges);
			if (!range)
				return kc_error_no_memory();
			*range = (struct kc_placer_range){ rela->symbol->section->index,
							   rela->symbol->value + rela->addend, size };
		}
	}
	return NULL;
}

/* Addresses of `section` that hold as far as we know now. */
struct candidates {
	uint64_t base;
	size_t n, n_matches;
};

static bool visit_candidate(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base, void *data)
{
	struct candidates *candidates = data;

	candidates->n_matches++;
	if (kc_placer_try(p, section, base, false)) {
		candidates->base = base;
		candidates->n++;
	}
	return candidates->n < 2 && !p->no_memory;
}

/* An exported function tells where its section must be; better than to search. */
static bool try_exports(struct kc_placer *p, const struct kc_elf_section *section, struct candidates *candidates)
{
	bool any = false;

	for (size_t i = 1; i < p->plain->n_symbols && candidates->n == 0; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];
		struct kc_elf_symbol **found;
		size_t n;

		if (symbol->section != section || symbol->bind == STB_LOCAL || symbol->visibility == STV_HIDDEN ||
		    symbol->visibility == STV_INTERNAL || (section->flags & SHF_TLS))
			continue;
		found = kc_linked_names(p->linked, symbol->name, &n);
		for (size_t j = 0; j < n && candidates->n == 0; j++) {
			if (found[j]->shndx == SHN_UNDEF)
				continue;
			any = true;
			visit_candidate(p, section, found[j]->value - symbol->value, candidates);
		}
	}
	return any && (candidates->n > 0 || !section->group);
}

static bool place(struct kc_placer *p, const struct kc_elf_section *section)
{
	struct candidates candidates = { 0 };

	if (!try_exports(p, section, &candidates) &&
	    !kc_placer_search(p, section, 0, section->size, visit_candidate, &candidates))
		return false;
	if (candidates.n == 0 && p->result->section_addr[section->index] == KC_NO_ADDR)
		p->dead[section->index] = true;
	return candidates.n == 1 && kc_placer_try(p, section, candidates.base, true);
}

static bool is_open(const struct kc_placer *p, const struct kc_elf_section *section)
{
	return p->result->section_addr[section->index] == KC_NO_ADDR && !p->dead[section->index];
}

/* Big sections first: they have one place only, and lead to most of the others. */
static const struct kc_elf_section *next_section(const struct kc_placer *p, const bool *tried)
{
	const struct kc_elf_section *next = NULL;

	for (size_t i = 1; i < p->plain->n_sections; i++) {
		const struct kc_elf_section *section = &p->plain->sections[i];

		if (is_code(section) && is_open(p, section) && !tried[i] && (!next || section->size > next->size))
			next = section;
	}
	return next;
}

/* Each placed section may settle what was ambiguous before. */
static struct kc_error *place_code(struct kc_placer *p)
{
	const struct kc_elf_section *section;
	bool progress = true;

	while (progress) {
		kc_autofree bool *tried = calloc(p->plain->n_sections + 1, sizeof(*tried));

		if (!tried)
			return kc_error_no_memory();
		progress = false;
		while ((section = next_section(p, tried))) {
			tried[section->index] = true;
			if (place(p, section))
				progress = true;
			if (p->no_memory)
				return kc_error_no_memory();
		}
	}
	return NULL;
}

/*
 * Sections that placed code refers to only by symbols that may be another object's (weak, COMDAT), and data that the
 * file exports: their address is known or not at all.
 */
static void place_by_symbols(struct kc_placer *p)
{
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i], *export;
		const struct kc_elf_section *section = symbol->section;
		uint64_t addr = p->result->symbols[i].addr;

		if (!section || !(section->flags & SHF_ALLOC) || (section->flags & (SHF_MERGE | SHF_TLS)) ||
		    p->result->section_addr[section->index] != KC_NO_ADDR || symbol->bind == STB_LOCAL)
			continue;
		export = symbol->visibility == STV_DEFAULT ? kc_linked_export(p->linked, symbol->name) : NULL;
		if (addr == KC_NO_ADDR && export && !(section->flags & SHF_EXECINSTR))
			addr = export->value;
		if (addr != KC_NO_ADDR)
			kc_placer_try(p, section, addr - symbol->value, true);
	}
}

/* The address of what `rela` refers to, when the section of that is placed. */
static uint64_t known_target(const struct kc_placer *p, const struct kc_elf_rela *rela)
{
	const struct kc_elf_section *section = rela->symbol->section;

	if (!section || !kc_symbol_is_own(rela->symbol) || (section->flags & (SHF_MERGE | SHF_TLS)) ||
	    p->result->section_addr[section->index] == KC_NO_ADDR)
		return KC_NO_ADDR;
	return p->result->section_addr[section->index] + rela->symbol->value + rela->addend;
}

/* True when `dynamic` fills in what `rela` asks for; `target` is its address, when known. */
static bool is_same_pointer(const struct kc_elf_rela *dynamic, const struct kc_elf_rela *rela, uint64_t target)
{
	if (target != KC_NO_ADDR)
		return dynamic->type == R_X86_64_RELATIVE && (uint64_t)dynamic->addend == target;
	return dynamic->type == R_X86_64_64 && dynamic->addend == rela->addend &&
	       kc_symbol_name_equal(dynamic->symbol->name, rela->symbol->name);
}

/*
 * A table of pointers that only other objects refer to, as OpenSSL's tables of provider functions: it lies where the
 * loader relocates the same pointers.
 */
static void place_table(struct kc_placer *p, const struct kc_elf_section *section)
{
	const struct kc_elf *linked = p->linked->elf;
	struct candidates candidates = { 0 };
	const struct kc_elf_rela *rela = NULL;
	uint64_t target = KC_NO_ADDR;

	for (size_t i = 0; i < section->n_relas && target == KC_NO_ADDR; i++) {
		if (section->relas[i].type != R_X86_64_64)
			continue;
		target = known_target(p, &section->relas[i]);
		if (target != KC_NO_ADDR || section->relas[i].symbol->shndx == SHN_UNDEF)
			rela = &section->relas[i];
	}
	if (!rela)
		return;
	for (size_t j = 0; j < linked->n_dynamic_relas && candidates.n < 2; j++) {
		const struct kc_elf_rela *dynamic = &linked->dynamic_relas[j];

		if (is_same_pointer(dynamic, rela, target))
			visit_candidate(p, section, dynamic->offset - rela->offset, &candidates);
	}
	if (candidates.n == 1)
		kc_placer_try(p, section, candidates.base, true);
}

static void place_tables(struct kc_placer *p)
{
	for (size_t i = 1; i < p->plain->n_sections; i++) {
		const struct kc_elf_section *section = &p->plain->sections[i];

		if ((section->flags & SHF_ALLOC) && section->type == SHT_PROGBITS && !is_code(section) &&
		    !(section->flags & (SHF_MERGE | SHF_TLS)) && strcmp(section->name, ".eh_frame") != 0 &&
		    p->result->section_addr[i] == KC_NO_ADDR)
			place_table(p, section);
	}
}

/* What a placed section tells of its symbols. */
static void finish_symbols(struct kc_placer *p)
{
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];
		struct kc_placed_symbol *placed = &p->result->symbols[i];
		uint64_t base;

		if (!symbol->section || p->result->section_addr[symbol->section->index] == KC_NO_ADDR)
			continue;
		base = p->result->section_addr[symbol->section->index];
		if (symbol->section->flags & SHF_TLS)
			placed->tls_offset = base - p->linked->tls->p_vaddr + symbol->value;
		else if (placed->addr == KC_NO_ADDR || kc_symbol_is_own(symbol))
			placed->addr = base + symbol->value;
		if (kc_symbol_is_function(symbol))
			p->result->n_functions_proved++;
	}
}

/* A section with a name of its own (-ffunction-sections) that nothing refers to was dropped by --gc-sections. */
static bool may_be_dropped(const struct kc_placer *p, const struct kc_elf_section *section)
{
	static const char *const fixed[] = { ".text",	   ".text.unlikely", ".text.hot", ".text.startup",
					     ".text.exit", ".text.sorted",   NULL };

	if (section->group)
		return true;
	for (size_t i = 0; fixed[i]; i++) {
		if (!strcmp(section->name, fixed[i]))
			return false;
	}
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (symbol->section == section && symbol->bind == STB_GLOBAL && symbol->visibility == STV_DEFAULT &&
		    kc_linked_export(p->linked, symbol->name))
			return false;
	}
	return true;
}

static bool is_proved(const struct kc_placer *p)
{
	size_t n_code = 0, n_placed = 0;

	for (size_t i = 1; i < p->plain->n_sections; i++) {
		const struct kc_elf_section *section = &p->plain->sections[i];
		bool placed = p->result->section_addr[i] != KC_NO_ADDR;

		if (p->dead[i] && !placed && !may_be_dropped(p, section))
			return false;
		if (section->size && (section->flags & SHF_ALLOC)) {
			n_code += is_code(section);
			n_placed += placed && (is_code(section) || n_code == 0);
		}
	}
	return n_placed > 0;
}

struct kc_error *kc_placement_find(struct kc_ctx *ctx, const struct kc_elf *linked, const struct kc_elf *plain,
				   struct kc_placement **placement)
{
	KC_CLEANUP(placer_clear) struct kc_placer placer = { .plain = plain };
	kc_autolinked struct kc_linked *index = NULL;

	KC_TRY(kc_linked_new(ctx, linked, &index));
	placer.linked = index;
	placer.result = placement_new(linked, plain);
	placer.dead = calloc(plain->n_sections + 1, sizeof(*placer.dead));
	if (!placer.result || !placer.dead)
		return kc_error_no_memory();
	KC_TRY(read_ranges(&placer));
	KC_TRY(place_code(&placer));
	place_by_symbols(&placer);
	place_tables(&placer);
	if (placer.no_memory)
		return kc_error_no_memory();
	if (!is_proved(&placer))
		return kc_placer_explain(&placer);
	finish_symbols(&placer);
	*placement = kc_steal(placer.result);
	return NULL;
}
