/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every item refers to: one entry per relocation, and per function its exception table, which only the unwind
 * table (.eh_frame) knows.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static void resolve(const struct diff_object *object, struct kc_diff_ref *ref, const struct kc_elf_rela *rela,
		    int64_t bias)
{
	ref->rela = rela;
	ref->item = diff_find_item(object, rela->symbol, rela->addend + bias, &ref->offset);
}

static struct kc_diff_ref *add_ref(struct kc_diff_item *item, const struct kc_elf_rela *rela)
{
	struct kc_diff_ref *ref = kc_array_add(&item->refs, &item->n_refs);

	if (ref)
		ref->rela = rela;
	return ref;
}

/* The symbol that stands for a section, or NULL. */
static struct kc_elf_symbol *section_symbol(const struct kc_elf *elf, const struct kc_elf_section *section)
{
	for (size_t i = 1; i < elf->n_symbols; i++)
		if (elf->symbols[i].type == STT_SECTION && elf->symbols[i].section == section)
			return &elf->symbols[i];
	return NULL;
}

/*
 * Functions that share a section (.init.text, .sched.text) branch to each other without relocations where the target is
 * a local symbol. Such a distance is no property of the function: a relocation is made up for it.
 */
static struct kc_error *make_branch_ref(struct diff_object *object, const struct diff_arch *arch,
					struct kc_diff_item *item, uint64_t at, const struct diff_insn *insn)
{
	int64_t target = (int64_t)item->offset + insn->target;
	struct kc_diff_item *other = diff_find_in_section(object, item->section->index, target);
	struct kc_elf_symbol *symbol =
		other && other->symbol ? other->symbol : section_symbol(object->elf, item->section);
	struct kc_elf_rela **slot, *rela;
	struct kc_diff_ref *ref;

	if (!other || other == item || !symbol)
		return NULL;
	slot = kc_array_add(&object->made_relas, &object->n_made_relas);
	if (!slot || !(*slot = rela = calloc(1, sizeof(*rela))) || !(ref = add_ref(item, rela)))
		return kc_error_no_memory();
	rela->offset = item->offset + at + insn->target_offset;
	rela->type = arch->branch_type(insn->target_size);
	rela->symbol = symbol;
	rela->addend = target - (int64_t)symbol->value - insn->target_size;
	ref->item = other;
	ref->offset = target - (int64_t)other->offset;
	ref->is_branch = true;
	return NULL;
}

/* A pc-relative field counts from the end of its instruction, which may be 4 bytes behind the field, or 8. */
static struct kc_error *resolve_code(struct diff_object *object, const struct diff_arch *arch,
				     struct kc_diff_item *item, size_t next, size_t end_rela)
{
	const struct kc_elf_rela *relas = item->section->relas;
	const uint8_t *code = item->section->data + item->offset;

	for (uint64_t at = 0; at < item->size;) {
		struct diff_insn insn;
		bool is_code = arch->decode(code, item->size, at, &insn);
		uint64_t end = at + (is_code ? insn.size : 1);
		size_t first = next;

		for (; next < end_rela && relas[next].offset - item->offset < end; next++) {
			uint64_t place = relas[next].offset - item->offset;
			bool is_relative = is_code && arch->is_pc_relative(relas[next].type);
			struct kc_diff_ref *ref = add_ref(item, &relas[next]);

			if (!ref)
				return kc_error_no_memory();
			resolve(object, ref, &relas[next], is_relative ? (int64_t)(end - place) : 0);
			ref->is_branch = is_code && insn.is_branch;
		}
		if (is_code && insn.has_target && first == next &&
		    (insn.target < 0 || (uint64_t)insn.target >= item->size))
			KC_TRY(make_branch_ref(object, arch, item, at, &insn));
		at = end;
	}
	return NULL;
}

static struct kc_error *read_item(struct diff_object *object, const struct diff_arch *arch, struct kc_diff_item *item)
{
	const struct kc_elf_section *section = item->section;
	size_t first, end;

	if (!section || !section->data)
		return NULL;
	first = kc_elf_rela_first(section, item->offset);
	end = kc_elf_rela_first(section, item->offset + item->size);
	if (item->is_function || item->is_snippet)
		return resolve_code(object, arch, item, first, end);
	for (size_t i = first; i < end; i++) {
		struct kc_diff_ref *ref = add_ref(item, &section->relas[i]);

		if (!ref)
			return kc_error_no_memory();
		resolve(object, ref, &section->relas[i], 0);
	}
	return NULL;
}

/* An FDE's first relocation names its function; another one to .gcc_except_table, if any, its exception table. */
static void read_fde(const struct diff_object *object, const struct kc_elf_section *table, uint64_t from, uint64_t to)
{
	struct kc_diff_item *function = NULL;
	int64_t unused;

	for (size_t i = kc_elf_rela_first(table, from); i < table->n_relas && table->relas[i].offset < to; i++) {
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
