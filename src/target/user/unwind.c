/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The payload's .eh_frame: of the patched object's table only the entries (FDE) of cloned functions, and for each the
 * common entry (CIE) that it builds on. Personality and exception tables stay references.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/emitter.h"

/* An entry of the object's table: length, id, content. */
struct entry {
	uint64_t offset, size; /* with the length field */
	uint32_t id;	       /* 0: a CIE; else the distance from here to the CIE */
};

static bool read_entry(const struct kc_elf_section *table, uint64_t offset, struct entry *entry)
{
	uint32_t length;

	if (offset + 8 > table->size)
		return false;
	memcpy(&length, table->data + offset, 4);
	memcpy(&entry->id, table->data + offset + 4, 4);
	entry->offset = offset;
	entry->size = 4 + (uint64_t)length;
	/* 0 ends the table; 0xffffffff would be 64-bit DWARF, which no compiler writes here. */
	return length >= 4 && length != UINT32_MAX && entry->size <= table->size - offset;
}

/* Relocations of the entry, from *first on. */
static size_t find_relas(const struct kc_elf_section *table, const struct entry *entry, size_t *n)
{
	size_t first = 0;

	while (first < table->n_relas && table->relas[first].offset < entry->offset)
		first++;
	*n = 0;
	while (first + *n < table->n_relas && table->relas[first + *n].offset < entry->offset + entry->size)
		(*n)++;
	return first;
}

/* The clone that an FDE describes; its first relocation, right behind the id, says so. NULL: not cloned. */
static struct kc_diff_item *described_item(const struct kc_emit_unit *unit, const struct kc_elf_section *table,
					   const struct entry *entry)
{
	struct kc_diff_item *item;
	size_t n, first = find_relas(table, entry, &n);

	if (!n || table->relas[first].offset != entry->offset + 8)
		return NULL;
	item = kc_diff_item_at(unit->object->diff, table->relas[first].symbol, table->relas[first].addend);
	if (!item || !item->is_function || !unit->clones[item - unit->object->diff->items].is_included)
		return NULL;
	return unit->clones[item - unit->object->diff->items].is_duplicate ? NULL : item;
}

static struct kc_error *add_reloc(struct kc_emitter *emitter, struct kc_emit_reloc reloc)
{
	struct kc_emit_reloc *added = kc_array_add(&emitter->unwind_relocs, &emitter->n_unwind_relocs);

	if (!added)
		return kc_error_no_memory();
	*added = reloc;
	return NULL;
}

/* Copies an entry to the end of the payload's table and moves its relocations along. `item`: what an FDE describes. */
static struct kc_error *copy_entry(struct kc_emitter *emitter, struct kc_emit_unit *unit, struct kc_elf_section *table,
				   const struct entry *entry, const struct kc_diff_item *item)
{
	const struct kc_diff_item from = { .section = table };
	uint64_t offset = emitter->unwind.size;
	size_t n, first = find_relas(table, entry, &n);

	kc_buf_append(&emitter->unwind, table->data + entry->offset, entry->size);
	for (size_t i = first; i < first + n; i++) {
		const struct kc_elf_rela *rela = &table->relas[i];
		struct kc_emit_reloc reloc = { .offset = offset + rela->offset - entry->offset, .type = rela->type };
		struct kc_diff_ref ref = { .rela = rela };

		if (item && rela->offset == entry->offset + 8) {
			reloc.symbol = kc_emit_clone(unit, item)->symbol;
			reloc.addend = (int64_t)rela->symbol->value + rela->addend - (int64_t)item->offset;
		} else {
			ref.item = kc_diff_item_at(unit->object->diff, rela->symbol, rela->addend);
			if (ref.item)
				ref.offset = (int64_t)rela->symbol->value + rela->addend - (int64_t)ref.item->offset;
			emitter->flags |= KC_PAYLOAD_UNWIND; /* a personality or an exception table */
			KC_TRY(kc_emit_resolve(emitter, unit, &from, &ref, &reloc));
		}
		KC_TRY(add_reloc(emitter, reloc));
	}
	return NULL;
}

/* Copies the entries of one table; a CIE when the first FDE needs it. */
static struct kc_error *copy_table(struct kc_emitter *emitter, struct kc_emit_unit *unit, struct kc_elf_section *table)
{
	uint64_t cie_was = UINT64_MAX, cie_is = 0, offset = 0;
	struct entry entry, cie;

	for (; read_entry(table, offset, &entry); offset += entry.size) {
		const struct kc_diff_item *item = entry.id ? described_item(unit, table, &entry) : NULL;
		uint64_t cie_offset = entry.offset + 4 - entry.id;
		uint32_t distance;

		if (!item)
			continue;
		if (entry.id > entry.offset + 4 || !read_entry(table, cie_offset, &cie) || cie.id != 0)
			return kc_error_new(KC_ERR_INPUT, "%s: damaged .eh_frame", unit->object->name);
		if (cie_offset != cie_was) {
			cie_was = cie_offset;
			cie_is = emitter->unwind.size;
			KC_TRY(copy_entry(emitter, unit, table, &cie, NULL));
		}
		distance = (uint32_t)(emitter->unwind.size + 4 - cie_is);
		KC_TRY(copy_entry(emitter, unit, table, &entry, item));
		if (!emitter->unwind.failed)
			memcpy(emitter->unwind.data + emitter->unwind.size - entry.size + 4, &distance, 4);
	}
	return NULL;
}

struct kc_error *kc_emit_unwind(struct kc_emitter *emitter, struct kc_emit_unit *unit)
{
	const struct kc_elf *patched = unit->object->diff->patched;

	for (size_t i = 1; i < patched->n_sections; i++) {
		if (!strcmp(patched->sections[i].name, ".eh_frame") && patched->sections[i].data)
			KC_TRY(copy_table(emitter, unit, &patched->sections[i]));
	}
	return NULL;
}

struct kc_error *kc_emit_unwind_finish(struct kc_emitter *emitter)
{
	kc_section_id section;

	if (!emitter->unwind.size)
		return NULL;
	kc_buf_append_u32(&emitter->unwind, 0);
	if (emitter->unwind.failed)
		return kc_error_no_memory();
	section = kc_elf_writer_add_section(emitter->writer, ".eh_frame", SHT_PROGBITS, SHF_ALLOC, 8, 0,
					    emitter->unwind.data, emitter->unwind.size);
	if (!section)
		return kc_error_no_memory();
	for (size_t i = 0; i < emitter->n_unwind_relocs; i++) {
		const struct kc_emit_reloc *reloc = &emitter->unwind_relocs[i];

		if (!kc_elf_writer_add_rela(emitter->writer, section, reloc->offset, reloc->type, reloc->symbol,
					    reloc->addend))
			return kc_error_no_memory();
	}
	return NULL;
}

/* Imports of programs that throw, catch or walk the stack. __cxa_finalize and its like are in every program. */
static bool is_unwinder(const char *name)
{
	static const char *const harmless[] = { "__cxa_finalize", "__cxa_atexit", "__cxa_at_quick_exit",
						"__cxa_thread_atexit", "__cxa_thread_atexit_impl" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(harmless); i++) {
		if (!strcmp(name, harmless[i]))
			return false;
	}
	return !strncmp(name, "__cxa_", 6) || !strncmp(name, "_Unwind_", 8) || !strcmp(name, "backtrace");
}

void kc_emit_note_unwinders(struct kc_emitter *emitter)
{
	const struct kc_elf *linked = emitter->linked->elf;

	for (size_t i = 1; i < linked->n_dynamic_symbols; i++) {
		if (linked->dynamic_symbols[i].shndx == SHN_UNDEF && is_unwinder(linked->dynamic_symbols[i].name))
			emitter->flags |= KC_PAYLOAD_UNWIND;
	}
	for (size_t i = 0; i < emitter->n_symbols; i++) {
		if (!emitter->symbols[i].section && is_unwinder(emitter->symbols[i].name))
			emitter->flags |= KC_PAYLOAD_UNWIND;
	}
}
