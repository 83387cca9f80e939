/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every item refers to: one entry per relocation, and per function its exception table, which only the unwind
 * table (.eh_frame) knows.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* The first relocation of `section` at or behind `offset`. */
static size_t find_rela(const struct kc_elf_section *section, uint64_t offset)
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

static void resolve(const struct diff_object *object, struct kc_diff_ref *ref, const struct kc_elf_rela *rela,
		    int64_t bias)
{
	ref->rela = rela;
	ref->item = diff_find_item(object, rela->symbol, rela->addend + bias, &ref->offset);
}

/* A pc-relative field counts from the end of its instruction, which may be 4 bytes behind the field, or 8. */
static void resolve_code(const struct diff_object *object, const struct diff_arch *arch, struct kc_diff_item *item,
			 const struct kc_elf_rela *relas)
{
	const uint8_t *code = item->section->data + item->offset;
	size_t next = 0;

	for (uint64_t at = 0; at < item->size && next < item->n_refs;) {
		struct diff_insn insn;
		bool is_code = arch->decode(code, item->size, at, &insn);
		uint64_t end = at + (is_code ? insn.size : 1);

		for (; next < item->n_refs && relas[next].offset - item->offset < end; next++) {
			uint64_t place = relas[next].offset - item->offset;
			bool is_relative = is_code && arch->is_pc_relative(relas[next].type);

			resolve(object, &item->refs[next], &relas[next], is_relative ? (int64_t)(end - place) : 0);
			item->refs[next].is_branch = is_code && insn.is_branch;
		}
		at = end;
	}
}

static struct kc_error *read_item(const struct diff_object *object, const struct diff_arch *arch,
				  struct kc_diff_item *item)
{
	const struct kc_elf_section *section = item->section;
	size_t first, end;

	if (!section || !section->n_relas)
		return NULL;
	first = find_rela(section, item->offset);
	end = find_rela(section, item->offset + item->size);
	if (first == end)
		return NULL;
	item->refs = calloc(end - first, sizeof(*item->refs));
	if (!item->refs)
		return kc_error_no_memory();
	item->n_refs = end - first;
	if (item->is_function)
		resolve_code(object, arch, item, &section->relas[first]);
	else
		for (size_t i = 0; i < item->n_refs; i++)
			resolve(object, &item->refs[i], &section->relas[first + i], 0);
	return NULL;
}

/* An FDE's first relocation names its function; another one to .gcc_except_table, if any, its exception table. */
static void read_fde(const struct diff_object *object, const struct kc_elf_section *table, uint64_t from, uint64_t to)
{
	struct kc_diff_item *function = NULL;
	int64_t unused;

	for (size_t i = find_rela(table, from); i < table->n_relas && table->relas[i].offset < to; i++) {
		const struct kc_elf_rela *rela = &table->relas[i];
		struct kc_diff_item *item = diff_find_item(object, rela->symbol, rela->addend, &unused);

		if (rela->offset == from)
			function = item;
		else if (function && item && item->section &&
			 strncmp(item->section->name, ".gcc_except_table", strlen(".gcc_except_table")) == 0)
			function->lsda = item;
	}
}

static void read_unwind_table(const struct diff_object *object, const struct kc_elf_section *table)
{
	uint32_t size, id;

	for (uint64_t at = 0; at + 8 <= table->size; at += 4 + (uint64_t)size) {
		memcpy(&size, table->data + at, sizeof(size));
		memcpy(&id, table->data + at + 4, sizeof(id));
		if (size < 4 || size > table->size - at - 4)
			return;
		if (id != 0) /* 0: a CIE */
			read_fde(object, table, at + 8, at + 4 + size);
	}
}

struct kc_error *diff_read_references(struct diff_object *object, const struct diff_arch *arch)
{
	for (size_t i = 0; i < object->n_items; i++)
		KC_TRY(read_item(object, arch, &object->items[i]));
	for (size_t i = 1; i < object->elf->n_sections; i++) {
		const struct kc_elf_section *section = &object->elf->sections[i];

		if (strcmp(section->name, ".eh_frame") == 0 && section->data)
			read_unwind_table(object, section);
	}
	return NULL;
}
