/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proves that a section of the plain object lies at an address of the linked file: its bytes are there, and every
 * relocated field agrees with all others and with what the file exports and imports. One section leads to the next:
 * code to the functions, tables and variables that it refers to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/placer.h"

bool kc_symbol_is_own(const struct kc_elf_symbol *symbol)
{
	if (!symbol->section)
		return false;
	return symbol->bind == STB_LOCAL || (symbol->bind == STB_GLOBAL && !symbol->section->group);
}

bool kc_symbol_is_function(const struct kc_elf_symbol *symbol)
{
	return (symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC) && symbol->size && symbol->section &&
	       symbol->section->data && (symbol->section->flags & SHF_EXECINSTR) &&
	       symbol->value <= symbol->section->size && symbol->size <= symbol->section->size - symbol->value;
}

static bool fail(struct kc_placer *p, const struct kc_elf_section *section, uint64_t offset, const char *why,
		 const struct kc_elf_symbol *symbol)
{
	if (!p->failure.section || p->n_journal > p->failure.depth)
		p->failure = (struct kc_placer_failure){ section, offset, why, symbol, p->n_journal };
	return false;
}

static bool learn(struct kc_placer *p, uint64_t *slot, uint64_t value)
{
	uint64_t **entry;

	if (*slot != KC_NO_ADDR)
		return *slot == value;
	entry = kc_array_add(&p->journal, &p->n_journal);
	if (!entry) {
		p->no_memory = true;
		return false;
	}
	*entry = slot;
	*slot = value;
	return true;
}

static void take_back(struct kc_placer *p, size_t mark)
{
	while (p->n_journal > mark)
		*p->journal[--p->n_journal] = KC_NO_ADDR;
}

/* TLS variables live in the image of the TLS block, others in what the loader maps. */
static bool has_room(const struct kc_placer *p, const struct kc_elf_section *section, uint64_t base)
{
	const Elf64_Phdr *tls = p->linked->tls;

	if (section->flags & SHF_TLS)
		return tls && base >= tls->p_vaddr && base - tls->p_vaddr <= tls->p_memsz &&
		       section->size <= tls->p_memsz - (base - tls->p_vaddr);
	return section->size == 0 || kc_linked_maps(p->linked, base, section->size);
}

static bool suppose_base(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base)
{
	uint64_t *slot = &p->result->section_addr[section->index];
	uint32_t *entry;

	if (*slot != KC_NO_ADDR)
		return *slot == base;
	if ((section->align > 1 && base % section->align) || !has_room(p, section, base) || !learn(p, slot, base))
		return false;
	entry = kc_array_add(&p->queue, &p->n_queue);
	if (!entry) {
		p->no_memory = true;
		return false;
	}
	*entry = section->index;
	return true;
}

/* The size of one element of a mergeable section at `data`: a string with its end, or a constant. */
static uint64_t merged_size(const struct kc_elf_section *section, uint64_t offset)
{
	uint64_t unit = section->entsize ? section->entsize : 1, at = offset;
	static const uint8_t zero[8];

	if (!(section->flags & SHF_STRINGS) || unit > sizeof(zero))
		return unit <= section->size - offset ? unit : section->size - offset;
	while (at + unit <= section->size && memcmp(section->data + at, zero, unit) != 0)
		at += unit;
	return (at + unit <= section->size ? at + unit : section->size) - offset;
}

/* The link editor merges equal strings and constants of all objects, so that only the content can be compared. */
static bool check_merged(const struct kc_placer *p, const struct kc_elf_rela *rela, uint64_t value)
{
	const struct kc_elf_section *section = rela->symbol->section;
	uint64_t offset = rela->symbol->value, size;
	const uint8_t *is;

	/* Against the section itself, the addend tells the element. PC-relative ones count from the instruction's end.
	 */
	if (rela->symbol->type == STT_SECTION) {
		bool relative = rela->type == R_X86_64_PC32 || rela->type == R_X86_64_PLT32;

		offset += rela->addend + (relative ? 4 : 0);
		value += rela->addend + (relative ? 4 : 0);
	}
	if (!section->data || offset >= section->size)
		return offset == section->size;
	size = merged_size(section, offset);
	is = kc_elf_read(p->linked->elf, value, size);
	return is && !memcmp(is, section->data + offset, size);
}

static bool learn_addr(struct kc_placer *p, const struct kc_elf_rela *rela, uint64_t value);

/* A PLT entry must lead to a slot that the loader fills for a symbol of that name. */
static bool learn_plt(struct kc_placer *p, const struct kc_elf_rela *rela, uint64_t entry, uint64_t slot)
{
	const struct kc_elf_symbol *symbol = rela->symbol;
	const struct kc_elf_rela *dynamic = kc_linked_rela_at(p->linked, slot);

	if (!learn(p, &p->result->symbols[symbol->index].plt, entry))
		return false;
	if (!dynamic)
		return true; /* static executables have no names */
	if (dynamic->type == R_X86_64_IRELATIVE || dynamic->type == R_X86_64_RELATIVE)
		return kc_symbol_is_own(symbol) ? suppose_base(p, symbol->section, dynamic->addend - symbol->value)
						: learn(p, &p->result->symbols[symbol->index].addr, dynamic->addend);
	return kc_symbol_name_equal(dynamic->symbol->name, symbol->name);
}

static bool learn_addr(struct kc_placer *p, const struct kc_elf_rela *rela, uint64_t value)
{
	const struct kc_elf_symbol *symbol = rela->symbol;
	uint64_t slot;

	if (symbol->index == 0 || symbol->shndx == SHN_ABS)
		return true;
	if (symbol->section && (symbol->section->flags & SHF_MERGE))
		return check_merged(p, rela, value);
	if (symbol->type != STT_SECTION && kc_linked_plt_slot(p->linked, value, &slot))
		return learn_plt(p, rela, value, slot);
	if (kc_symbol_is_own(symbol))
		return suppose_base(p, symbol->section, value - symbol->value);
	if (symbol->bind == STB_WEAK && value == 0)
		return true;
	/* What is exported under this name is what a reference by this name means. */
	if (symbol->visibility == STV_DEFAULT && kc_linked_export(p->linked, symbol->name) &&
	    !kc_linked_exported_at(p->linked, symbol->name, value))
		return false;
	return learn(p, &p->result->symbols[symbol->index].addr, value);
}

static bool learn_got(struct kc_placer *p, const struct kc_elf_rela *rela, uint64_t slot)
{
	const struct kc_elf_rela *dynamic = kc_linked_rela_at(p->linked, slot);
	const struct kc_elf_symbol *symbol = rela->symbol;
	const uint8_t *content;
	uint64_t value;

	if (!learn(p, &p->result->symbols[symbol->index].got, slot))
		return false;
	if (!dynamic) {
		content = kc_elf_read(p->linked->elf, slot, 8);
		if (!content)
			return false;
		memcpy(&value, content, 8);
		return value == 0 ? symbol->bind == STB_WEAK : learn_addr(p, rela, value);
	}
	if (dynamic->type == R_X86_64_RELATIVE)
		return learn_addr(p, rela, dynamic->addend);
	if (dynamic->type == R_X86_64_IRELATIVE)
		return true;
	if (!kc_symbol_name_equal(dynamic->symbol->name, symbol->name))
		return false;
	return dynamic->symbol->shndx == SHN_UNDEF || learn_addr(p, rela, dynamic->symbol->value);
}

static bool learn_tls_offset(struct kc_placer *p, const struct kc_elf_symbol *symbol, uint64_t offset)
{
	const struct kc_elf_symbol *export = kc_linked_export(p->linked, symbol->name);

	if (!p->linked->tls)
		return false;
	if (kc_symbol_is_own(symbol))
		return suppose_base(p, symbol->section, p->linked->tls->p_vaddr + offset - symbol->value);
	if (symbol->visibility == STV_DEFAULT && export && export->value != offset)
		return false;
	return learn(p, &p->result->symbols[symbol->index].tls_offset, offset);
}

/* A slot for a thread-local variable; `dynamic` fills in the offset. */
static bool learn_tls_slot(struct kc_placer *p, const struct kc_elf_symbol *symbol, uint64_t slot, bool thread_pointer)
{
	const struct kc_elf_rela *dynamic = kc_linked_rela_at(p->linked, slot);
	const uint8_t *content = kc_elf_read(p->linked->elf, slot, 8);
	uint64_t value;

	if (dynamic && dynamic->symbol->name[0]) {
		if (!kc_symbol_name_equal(dynamic->symbol->name, symbol->name))
			return false;
		return dynamic->symbol->shndx == SHN_UNDEF || learn_tls_offset(p, symbol, dynamic->symbol->value);
	}
	if (dynamic)
		return learn_tls_offset(p, symbol, dynamic->addend);
	if (!content)
		return false;
	memcpy(&value, content, 8);
	return learn_tls_offset(p, symbol, thread_pointer ? value + p->linked->tls_size : value);
}

static bool learn_field(struct kc_placer *p, const struct kc_elf_rela *rela, const struct kc_field *field)
{
	struct kc_placed_symbol *placed = &p->result->symbols[rela->symbol->index];

	switch (field->kind) {
	case KC_FIELD_ADDR:
		return learn_addr(p, rela, field->value);
	case KC_FIELD_GOT:
		return learn_got(p, rela, field->value);
	case KC_FIELD_TLS_GOT:
		return learn(p, &placed->tls_got, field->value) &&
		       learn_tls_slot(p, rela->symbol, field->value + 8, false);
	case KC_FIELD_TP_GOT:
		return learn(p, &placed->tp_got, field->value) && learn_tls_slot(p, rela->symbol, field->value, true);
	case KC_FIELD_TLS_LD_GOT:
		return learn(p, &p->result->tls_ld_got, field->value);
	case KC_FIELD_TLS_OFFSET:
		return learn_tls_offset(p, rela->symbol, field->value);
	case KC_FIELD_NONE:
		break;
	}
	return true;
}

static const char *field_reason(const struct kc_elf_rela *rela)
{
	const struct kc_elf_section *section = rela->symbol->section;

	if (section && (section->flags & SHF_MERGE))
		return section->flags & SHF_STRINGS ? "another string is there" : "another constant is there";
	return "the reference leads elsewhere";
}

static bool same_bytes(const struct kc_placer *p, const struct kc_elf_section *section, uint64_t base, uint64_t from,
		       uint64_t to, uint64_t *at)
{
	const uint8_t *is;

	*at = from;
	if (from >= to)
		return true;
	is = kc_elf_read(p->linked->elf, base + from, to - from);
	if (!is)
		return false;
	if (!memcmp(section->data + from, is, to - from))
		return true;
	while (section->data[*at] == is[*at - from])
		(*at)++;
	return false;
}

static bool verify_content(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base)
{
	uint64_t cursor = 0, at;

	for (size_t i = 0; i < section->n_relas;) {
		const struct kc_elf_rela *rela = &section->relas[i];
		struct kc_field field;
		uint64_t start, end;

		kc_field_extent(section, i, &start, &end);
		if (!same_bytes(p, section, base, cursor, start, &at))
			return fail(p, section, at, "the bytes differ", NULL);
		if (!kc_field_read(p->linked, section, base, i, &field))
			return fail(p, section, rela->offset, "the bytes differ", rela->symbol);
		if (!learn_field(p, rela, &field))
			return fail(p, section, rela->offset, field_reason(rela), rela->symbol);
		if (field.end > cursor)
			cursor = field.end;
		i += field.n_relas;
	}
	if (!same_bytes(p, section, base, cursor, section->size, &at))
		return fail(p, section, at, "the bytes differ", NULL);
	return true;
}

/* The functions of the section begin and end where the file's unwind table says. */
static bool verify_ranges(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base)
{
	if (!p->linked->n_ranges)
		return true;
	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct kc_placer_range *range = &p->ranges[i];

		if (range->section == section->index &&
		    kc_linked_range_size(p->linked, base + range->offset) != range->size)
			return fail(p, section, range->offset, "the shipped function has another size", NULL);
	}
	return true;
}

static bool verify_exports(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base)
{
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (symbol->section != section || symbol->bind != STB_GLOBAL || section->group ||
		    (symbol->visibility != STV_DEFAULT && symbol->visibility != STV_PROTECTED) ||
		    (section->flags & SHF_TLS) || !kc_linked_export(p->linked, symbol->name))
			continue;
		if (!kc_linked_exported_at(p->linked, symbol->name, base + symbol->value))
			return fail(p, section, symbol->value, "the file exports it elsewhere", symbol);
	}
	return true;
}

static bool verify_section(struct kc_placer *p, const struct kc_elf_section *section)
{
	uint64_t base = p->result->section_addr[section->index];

	if (section->flags & SHF_EXECINSTR && !verify_ranges(p, section, base))
		return false;
	return verify_exports(p, section, base) && (!section->data || verify_content(p, section, base));
}

bool kc_placer_try(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base, bool keep)
{
	size_t mark = p->n_journal;
	bool ok;

	p->n_queue = 0;
	ok = suppose_base(p, section, base);
	while (ok && p->n_queue)
		ok = verify_section(p, &p->plain->sections[p->queue[--p->n_queue]]);
	if (!ok || !keep)
		take_back(p, mark);
	return ok;
}

bool kc_placer_match_bytes(const struct kc_placer *p, const struct kc_elf_section *section, uint64_t base,
			   uint64_t from, uint64_t to, uint64_t *at)
{
	uint64_t cursor = from;

	for (size_t i = 0; i < section->n_relas;) {
		struct kc_field field;
		uint64_t start, end;

		kc_field_extent(section, i, &start, &end);
		if (section->relas[i].offset < from || end > to) {
			i++;
			continue;
		}
		if (!same_bytes(p, section, base, cursor, start, at))
			return false;
		*at = section->relas[i].offset;
		if (!kc_field_read(p->linked, section, base, i, &field))
			return false;
		cursor = field.end > cursor ? field.end : cursor;
		i += field.n_relas;
	}
	return same_bytes(p, section, base, cursor, to, at);
}
