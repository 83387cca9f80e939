/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables that annotate code (options->tables): gives each entry to the item that its owner field names, and compares
 * the entries of twins in their order.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

const struct kc_diff_table *diff_table_of(const struct kc_diff_options *options, const struct kc_elf_section *section)
{
	for (size_t i = 0; i < options->n_tables; i++)
		if (strcmp(section->name, options->tables[i].section) == 0)
			return &options->tables[i];
	return NULL;
}

/* An empty snippet has no place: what its field points to is the start of the next one, if there is any. */
static bool is_empty_snippet(const struct kc_diff_entry *entry, const struct kc_elf_rela *rela)
{
	const struct kc_diff_table *table = entry->table;

	return table->length_offset && rela->offset - entry->offset == table->snippet_offset &&
	       entry->section->data[entry->offset + table->length_offset] == 0;
}

static struct kc_error *read_refs(const struct diff_object *object, struct kc_diff_entry *entry,
				  const struct kc_diff_ref *owner, size_t first, size_t end)
{
	entry->refs = calloc(end - first, sizeof(*entry->refs));
	if (!entry->refs)
		return kc_error_no_memory();
	entry->n_refs = end - first;
	for (size_t i = 0; i < entry->n_refs; i++) {
		const struct kc_elf_rela *rela = &entry->section->relas[first + i];

		entry->refs[i] = *owner;
		entry->refs[i].rela = rela;
		if (!is_empty_snippet(entry, rela))
			entry->refs[i].item =
				diff_find_item(object, rela->symbol, rela->addend, &entry->refs[i].offset);
	}
	return NULL;
}

/* `first` is the first relocation of the entry at `offset`. */
static struct kc_error *read_entry(const struct diff_object *object, const struct kc_diff_table *table,
				   struct kc_elf_section *section, uint64_t offset, uint32_t size, size_t first)
{
	size_t end = kc_elf_rela_first(section, offset + size), owner_rela = first;
	struct kc_diff_entry *entry;
	struct kc_diff_ref owner = { 0 };

	while (owner_rela < end && section->relas[owner_rela].offset != offset + table->owner_offset)
		owner_rela++;
	if (owner_rela >= end)
		return kc_error_new(KC_ERR_INPUT, "%s: the entry at 0x%lx of %s belongs to no code", object->elf->name,
				    (unsigned long)offset, section->name);
	owner.item = diff_find_item(object, section->relas[owner_rela].symbol, section->relas[owner_rela].addend,
				    &owner.offset);
	if (!owner.item) /* code that is left out, or of another object */
		return NULL;
	entry = kc_array_add(&owner.item->entries, &owner.item->n_entries);
	if (!entry)
		return kc_error_no_memory();
	entry->table = table;
	entry->section = section;
	entry->offset = offset;
	entry->size = size;
	return read_refs(object, entry, &owner, first, end);
}

static struct kc_error *read_table(const struct diff_object *object, const struct kc_diff_table *table,
				   struct kc_elf_section *section)
{
	if (table->entry_size == 0) {
		for (size_t i = 0; i < section->n_relas; i++)
			KC_TRY(read_entry(object, table, section, section->relas[i].offset,
					  kc_elf_rela_size(section->relas[i].type), i));
		return NULL;
	}
	if (section->size % table->entry_size)
		return kc_error_new(KC_ERR_INPUT, "%s: %s does not consist of entries of %u bytes", object->elf->name,
				    section->name, table->entry_size);
	for (uint64_t at = 0; at < section->size; at += table->entry_size)
		KC_TRY(read_entry(object, table, section, at, table->entry_size, kc_elf_rela_first(section, at)));
	return NULL;
}

struct kc_error *diff_read_entries(struct diff_object *object)
{
	for (size_t i = 0; i < object->options->n_tables; i++) {
		const struct kc_diff_table *table = &object->options->tables[i];

		for (size_t j = 1; j < object->elf->n_sections; j++) {
			struct kc_elf_section *section = &object->elf->sections[j];

			if (section->data && strcmp(section->name, table->section) == 0)
				KC_TRY(read_table(object, table, section));
		}
	}
	return NULL;
}

static bool bytes_equal(const struct kc_diff_entry *orig, const struct kc_diff_entry *patched)
{
	const uint8_t *a = orig->section->data + orig->offset, *b = patched->section->data + patched->offset;
	size_t next = 0;

	for (uint32_t at = 0; at < orig->size; at++) {
		uint32_t ignored = at - orig->table->ignored_offset;

		if (next < orig->n_refs && orig->refs[next].rela->offset == orig->offset + at)
			at += kc_elf_rela_size(orig->refs[next++].rela->type) - 1;
		else if (ignored >= orig->table->ignored_size && a[at] != b[at])
			return false;
	}
	return true;
}

static bool entry_equal(const struct kc_diff_entry *orig, const struct kc_diff_entry *patched)
{
	if (orig->table != patched->table || orig->size != patched->size || orig->n_refs != patched->n_refs)
		return false;
	for (size_t i = 0; i < orig->n_refs; i++) {
		const struct kc_elf_rela *a = orig->refs[i].rela, *b = patched->refs[i].rela;

		if (a->type != b->type || a->offset - orig->offset != b->offset - patched->offset ||
		    !diff_targets_equal(&orig->refs[i], &patched->refs[i]))
			return false;
	}
	return bytes_equal(orig, patched);
}

bool diff_entries_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	if (orig->n_entries != patched->n_entries)
		return false;
	for (size_t i = 0; i < orig->n_entries; i++)
		if (!entry_equal(&orig->entries[i], &patched->entries[i]))
			return false;
	return true;
}
