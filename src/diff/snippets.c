/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections of snippets: code without symbols that functions jump into (.altinstr_aux) or that replaces instructions
 * (.altinstr_replacement). One section holds those of all functions, so it is cut wherever code or an entry of a table
 * points into it.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>

#include "base/array.h"

struct places {
	uint64_t *offsets;
	size_t n;
};

static int compare_offsets(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static struct kc_error *add_place(struct places *places, const struct kc_elf_section *section,
				  const struct kc_elf_rela *rela, int64_t bias)
{
	int64_t offset = (int64_t)rela->symbol->value + rela->addend + bias;
	uint64_t *place;

	if (rela->symbol->section != section || offset < 0 || (uint64_t)offset > section->size)
		return NULL;
	place = kc_array_add(&places->offsets, &places->n);
	if (!place)
		return kc_error_no_memory();
	*place = offset;
	return NULL;
}

static struct kc_error *add_places_of_table(struct places *places, const struct kc_elf_section *section,
					    const struct kc_elf_section *table_section,
					    const struct kc_diff_table *table)
{
	if (!table->entry_size || !table->snippet_offset)
		return NULL;
	for (size_t i = 0; i < table_section->n_relas; i++)
		if (table_section->relas[i].offset % table->entry_size == table->snippet_offset)
			KC_TRY(add_place(places, section, &table_section->relas[i], 0));
	return NULL;
}

/* Code points to snippets only in jumps, whose field ends the instruction. */
static struct kc_error *add_places_of_code(struct places *places, const struct kc_elf_section *section,
					   const struct kc_elf_section *code, const struct diff_arch *arch)
{
	for (size_t i = 0; i < code->n_relas; i++) {
		const struct kc_elf_rela *rela = &code->relas[i];
		bool is_relative = arch->is_pc_relative(rela->type);

		KC_TRY(add_place(places, section, rela, is_relative ? (int64_t)kc_elf_rela_size(rela->type) : 0));
	}
	return NULL;
}

struct kc_error *diff_find_snippets(const struct diff_object *object, const struct diff_arch *arch,
				    const struct kc_elf_section *section, uint64_t **offsets, size_t *n)
{
	struct places places = { 0 };
	struct kc_error *err = NULL;

	for (size_t i = 1; i < object->elf->n_sections && !err; i++) {
		const struct kc_elf_section *from = &object->elf->sections[i];
		const struct kc_diff_table *table = diff_table_of(object->options, from);

		if (table)
			err = add_places_of_table(&places, section, from, table);
		else if ((from->flags & SHF_EXECINSTR) && from != section)
			err = add_places_of_code(&places, section, from, arch);
	}
	if (places.n)
		qsort(places.offsets, places.n, sizeof(*places.offsets), compare_offsets);
	*offsets = places.offsets;
	*n = places.n;
	return err;
}
