/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relocations of the ELF reader: of an object, per section that they apply to; of a linked file, as one list by
 * address, which also holds what the compact RELR table stands for.
 */
#include "elf/elf_internal.h"

#include <stdlib.h>

size_t kc_elf_rela_size(uint32_t type)
{
	switch (type) {
	case R_X86_64_NONE:
	case R_X86_64_COPY:
	case R_X86_64_TLSDESC_CALL:
		return 0;
	case R_X86_64_8:
	case R_X86_64_PC8:
		return 1;
	case R_X86_64_16:
	case R_X86_64_PC16:
		return 2;
	case R_X86_64_64:
	case R_X86_64_PC64:
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
	case R_X86_64_RELATIVE:
	case R_X86_64_RELATIVE64:
	case R_X86_64_IRELATIVE:
	case R_X86_64_DTPMOD64:
	case R_X86_64_DTPOFF64:
	case R_X86_64_TPOFF64:
	case R_X86_64_GOTOFF64:
	case R_X86_64_GOT64:
	case R_X86_64_GOTPCREL64:
	case R_X86_64_GOTPC64:
	case R_X86_64_GOTPLT64:
	case R_X86_64_PLTOFF64:
	case R_X86_64_SIZE64:
		return 8;
	case R_X86_64_TLSDESC:
		return 16;
	default:
		return 4;
	}
}

static int compare_relas(const void *a, const void *b)
{
	const struct kc_elf_rela *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return left->type == right->type ? 0 : left->type < right->type ? -1 : 1;
}

static void sort_relas(struct kc_elf_rela *relas, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (compare_relas(&relas[i - 1], &relas[i]) > 0) { /* compilers sort them, mostly */
			qsort(relas, n, sizeof(*relas), compare_relas);
			return;
		}
	}
}

/* Makes room for `n` more elements. */
static struct kc_elf_rela *grow_relas(struct kc_elf_rela **relas, size_t *count, size_t n)
{
	struct kc_elf_rela *grown = reallocarray(*relas, *count + n, sizeof(**relas));
	struct kc_elf_rela *added;

	if (!grown)
		return NULL;
	*relas = grown;
	added = grown + *count;
	*count += n;
	return added;
}

/* Appends a table of Elf64_Rela whose symbols are `symbols`. */
static struct kc_error *append_table(struct kc_elf *elf, struct elf_bytes table, struct kc_elf_symbol *symbols,
				     size_t n_symbols, struct kc_elf_rela **relas, size_t *n_relas)
{
	size_t n = table.size / sizeof(Elf64_Rela);
	struct kc_elf_rela *added;

	if (n == 0)
		return NULL;
	/* Tables that overlap would let a small file ask for any amount of memory. */
	if (__builtin_add_overflow(elf->n_all_relas, n, &elf->n_all_relas) ||
	    elf->n_all_relas > elf->size / sizeof(Elf64_Rela))
		return elf_bad(elf, "more relocations than fit into the file");
	added = grow_relas(relas, n_relas, n);
	if (!added)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		Elf64_Rela raw;
		uint32_t symbol;

		memcpy(&raw, table.data + i * sizeof(raw), sizeof(raw));
		symbol = ELF64_R_SYM(raw.r_info);
		if (symbol && symbol >= n_symbols)
			return elf_bad(elf, "a relocation refers to symbol %u, which does not exist", symbol);
		added[i] = (struct kc_elf_rela){ .offset = raw.r_offset,
						 .type = ELF64_R_TYPE(raw.r_info),
						 .addend = raw.r_addend,
						 .symbol = n_symbols ? &symbols[symbol] : &elf->null_symbol };
	}
	return NULL;
}

static struct kc_error *read_table(struct kc_elf *elf, const struct kc_elf_section *table)
{
	struct kc_elf_section *section;
	size_t old;

	if (table->info == 0 || table->info >= elf->n_sections || table->info == table->index)
		return elf_bad(elf, "%s: relocates no section", table->name);
	if (table->entsize != sizeof(Elf64_Rela))
		return elf_bad(elf, "%s: relocations of %lu bytes", table->name, (unsigned long)table->entsize);
	section = &elf->sections[table->info];
	old = section->n_relas;
	KC_TRY(append_table(elf, (struct elf_bytes){ table->data, table->size }, elf->symbols, elf->n_symbols,
			    &section->relas, &section->n_relas));
	for (size_t i = old; i < section->n_relas; i++) {
		const struct kc_elf_rela *rela = &section->relas[i];
		size_t size = kc_elf_rela_size(rela->type);

		if (!section->data || rela->offset > section->size || size > section->size - rela->offset)
			return elf_bad(elf, "%s: a relocation lies outside the section", section->name);
	}
	return NULL;
}

struct kc_error *elf_read_section_relas(struct kc_elf *elf)
{
	if (elf->type != ET_REL)
		return NULL;
	for (size_t i = 1; i < elf->n_sections; i++) {
		if (elf->sections[i].type == SHT_REL)
			return elf_bad(elf, "%s: relocations without addends", elf->sections[i].name);
		if (elf->sections[i].type == SHT_RELA && elf->sections[i].data)
			KC_TRY(read_table(elf, &elf->sections[i]));
	}
	for (size_t i = 1; i < elf->n_sections; i++)
		sort_relas(elf->sections[i].relas, elf->sections[i].n_relas);
	return NULL;
}

static struct kc_error *append_relative(struct kc_elf *elf, uint64_t addr)
{
	const uint8_t *at = kc_elf_read(elf, addr, sizeof(uint64_t));
	struct kc_elf_rela *rela;
	uint64_t addend;

	if (!at)
		return elf_bad(elf, "a relocation lies outside the file");
	if (++elf->n_all_relas > elf->size / sizeof(addend))
		return elf_bad(elf, "more relocations than fit into the file");
	memcpy(&addend, at, sizeof(addend));
	/* Doubles the memory only at powers of two. */
	if ((elf->n_dynamic_relas & (elf->n_dynamic_relas - 1)) == 0) {
		size_t capacity = elf->n_dynamic_relas ? 2 * elf->n_dynamic_relas : 1;
		struct kc_elf_rela *grown = reallocarray(elf->dynamic_relas, capacity, sizeof(*grown));

		if (!grown)
			return kc_error_no_memory();
		elf->dynamic_relas = grown;
	}
	rela = &elf->dynamic_relas[elf->n_dynamic_relas++];
	*rela = (struct kc_elf_rela){
		.offset = addr, .type = R_X86_64_RELATIVE, .addend = (int64_t)addend, .symbol = &elf->null_symbol
	};
	return NULL;
}

/* DT_RELR: an even word is an address to relocate; an odd one is a bitmap of the 63 words behind. First in the list. */
static struct kc_error *read_relr(struct kc_elf *elf, const struct elf_dynamic *dynamic)
{
	const uint8_t *table = kc_elf_read(elf, dynamic->relr, dynamic->relr_size);
	uint64_t word, next = 0;

	if (!table)
		return elf_bad(elf, "the table of relative relocations lies outside the file");
	for (uint64_t at = 0; at + sizeof(word) <= dynamic->relr_size; at += sizeof(word)) {
		memcpy(&word, table + at, sizeof(word));
		if (!(word & 1)) {
			KC_TRY(append_relative(elf, word));
			next = word + sizeof(word);
			continue;
		}
		for (int bit = 1; bit < 64; bit++)
			if (word >> bit & 1)
				KC_TRY(append_relative(elf, next + (bit - 1) * sizeof(word)));
		next += 63 * sizeof(word);
	}
	return NULL;
}

static struct kc_error *read_dynamic_table(struct kc_elf *elf, uint64_t addr, uint64_t size)
{
	const uint8_t *table;

	if (size == 0)
		return NULL;
	table = kc_elf_read(elf, addr, size);
	if (!table)
		return elf_bad(elf, "the dynamic relocations lie outside the file");
	return append_table(elf, (struct elf_bytes){ table, size }, elf->dynamic_symbols, elf->n_dynamic_symbols,
			    &elf->dynamic_relas, &elf->n_dynamic_relas);
}

/* A static executable has no PT_DYNAMIC, but may have R_X86_64_IRELATIVE relocations for its start code. */
static struct kc_error *read_static_tables(struct kc_elf *elf)
{
	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (section->type == SHT_RELA && (section->flags & SHF_ALLOC) && section->data)
			KC_TRY(append_table(elf, (struct elf_bytes){ section->data, section->size }, NULL, 0,
					    &elf->dynamic_relas, &elf->n_dynamic_relas));
	}
	return NULL;
}

struct kc_error *elf_read_dynamic_relas(struct kc_elf *elf, const struct elf_dynamic *dynamic)
{
	if (!dynamic) {
		KC_TRY(read_static_tables(elf));
	} else {
		if (dynamic->relr_size)
			KC_TRY(read_relr(elf, dynamic));
		KC_TRY(read_dynamic_table(elf, dynamic->rela, dynamic->rela_size));
		/* Some linkers count .rela.plt as a part of .rela.dyn. */
		if (dynamic->plt_rela < dynamic->rela || dynamic->plt_rela - dynamic->rela >= dynamic->rela_size)
			KC_TRY(read_dynamic_table(elf, dynamic->plt_rela, dynamic->plt_rela_size));
	}
	sort_relas(elf->dynamic_relas, elf->n_dynamic_relas);
	return NULL;
}

size_t kc_elf_rela_first(const struct kc_elf_section *section, uint64_t offset)
{
	size_t low = 0, high = section->n_relas;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (section->relas[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
