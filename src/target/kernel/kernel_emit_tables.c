/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entries of the kernel's tables that belong to cloned code, the pieces of replacement code that alternatives refer
 * to, and the annotations that objtool reads (.discard.*), which are dropped after it.
 */
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

#define REPLACEMENTS ".altinstr_replacement"
#define AUXILIARY ".altinstr_aux" /* the slow path of static_cpu_has(), until the alternatives are applied */
#define TRACEPOINT "__tracepoint_"

enum {
	FIELD_SIZE = 4,	    /* of a pc-relative reference: it counts from its end */
	JUMP_OPCODE = 0xe9, /* ends a piece of .altinstr_aux */
	STATIC_KEY_SIZE = 16,
};

bool kc_kernel_is_piece_section(const struct kc_elf_section *section)
{
	return !strcmp(section->name, REPLACEMENTS) || !strcmp(section->name, AUXILIARY);
}

/* A piece of .altinstr_aux is: testb; jnz to one label; jmp to the other. */
static uint64_t find_aux_size(const struct kc_elf_section *section, uint64_t offset)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		uint64_t field = section->relas[i].offset;

		if (field > offset && field + FIELD_SIZE <= section->size && section->data[field - 1] == JUMP_OPCODE)
			return field + FIELD_SIZE - offset;
	}
	return 0;
}

static struct kernel_piece *find_piece(struct kernel_unit *unit, const struct kc_elf_section *section, uint64_t offset,
				       uint64_t size)
{
	for (size_t i = 0; i < unit->n_pieces; i++) {
		struct kernel_piece *piece = &unit->pieces[i];

		if (piece->from == section && offset >= piece->from_offset &&
		    offset + size <= piece->from_offset + piece->size)
			return piece;
	}
	return NULL;
}

static struct kc_error *add_piece(struct kernel_emitter *emitter, struct kernel_unit *unit,
				  const struct kc_elf_section *section, uint64_t offset, uint64_t size,
				  struct kernel_piece **result)
{
	struct kernel_piece *piece = kc_array_add(&unit->pieces, &unit->n_pieces);

	if (!piece)
		return kc_error_no_memory();
	if (!section->data || offset > section->size || size > section->size - offset)
		return kc_error_new(KC_ERR_INPUT, "%s: a reference behind the end of %s", unit->object->name,
				    section->name);
	*piece = (struct kernel_piece){ .from = section, .from_offset = offset, .size = size };
	piece->section =
		kc_kernel_output(emitter, section->name, SHT_PROGBITS, section->flags & (SHF_ALLOC | SHF_EXECINSTR));
	if (!piece->section)
		return kc_error_no_memory();
	piece->offset = kc_kernel_output_append(emitter, piece->section, 1, section->data + offset, size);
	*result = piece;
	return NULL;
}

struct kc_error *kc_kernel_resolve_piece(struct kernel_emitter *emitter, struct kernel_unit *unit,
					 const struct kc_elf_rela *rela, uint64_t size, struct kernel_target *target,
					 bool *done)
{
	const struct kc_elf_section *section = rela->symbol->section;
	struct kernel_piece *piece;
	uint64_t place, offset;

	*done = section && kc_kernel_is_piece_section(section);
	if (!*done)
		return NULL;
	place = offset = rela->symbol->value + rela->addend;
	if (!strcmp(section->name, AUXILIARY)) {
		offset += FIELD_SIZE; /* a jump */
		size = find_aux_size(section, offset);
	}
	piece = find_piece(unit, section, offset, size);
	if (!piece)
		KC_TRY(add_piece(emitter, unit, section, offset, size, &piece));
	target->symbol = kc_kernel_output_symbol(emitter, piece->section);
	target->addend = (int64_t)(place - piece->from_offset + piece->offset);
	return NULL;
}

/* Replacement code is in no item: its references are read from the relocations. */
static void read_ref(const struct kernel_unit *unit, const struct kc_elf_section *section,
		     const struct kc_elf_rela *rela, struct kc_diff_ref *ref)
{
	bool is_relative = rela->type == R_X86_64_PC32 || rela->type == R_X86_64_PLT32;
	int64_t bias = is_relative ? FIELD_SIZE : 0;

	*ref = (struct kc_diff_ref){ .rela = rela };
	ref->is_branch = rela->type == R_X86_64_PLT32 ||
			 (is_relative && rela->offset > 0 && section->data[rela->offset - 1] == JUMP_OPCODE);
	ref->item = kc_diff_item_at(unit->object->diff, rela->symbol, rela->addend + bias);
	if (ref->item)
		ref->offset = (int64_t)rela->symbol->value + rela->addend + bias - (int64_t)ref->item->offset;
}

static struct kc_error *relocate_piece(struct kernel_emitter *emitter, struct kernel_unit *unit,
				       struct kernel_piece piece)
{
	for (size_t i = 0; i < piece.from->n_relas; i++) {
		const struct kc_elf_rela *rela = &piece.from->relas[i];
		struct kernel_target target;
		struct kc_diff_ref ref;

		if (rela->offset < piece.from_offset || rela->offset >= piece.from_offset + piece.size)
			continue;
		read_ref(unit, piece.from, rela, &ref);
		KC_TRY(kc_kernel_resolve(emitter, unit, NULL, &ref, &target));
		if (!kc_elf_writer_add_rela(emitter->writer, piece.section,
					    piece.offset + rela->offset - piece.from_offset, rela->type, target.symbol,
					    target.addend))
			return kc_error_no_memory();
	}
	return NULL;
}

struct kc_error *kc_kernel_relocate_pieces(struct kernel_emitter *emitter, struct kernel_unit *unit)
{
	while (unit->n_relocated_pieces < unit->n_pieces)
		KC_TRY(relocate_piece(emitter, unit, unit->pieces[unit->n_relocated_pieces++]));
	return NULL;
}

/* printk's index lists format strings for tools; the padding before functions is found without its table. */
static bool is_needed(const struct kc_diff_table *table)
{
	return strcmp(table->section, ".printk_index") != 0 &&
	       strcmp(table->section, "__patchable_function_entries") != 0;
}

static const struct kernel_import *find_module_import(const struct kernel_emitter *emitter, kc_symbol_id id)
{
	for (size_t i = 0; i < emitter->n_imports; i++)
		if (emitter->imports[i].id == id && emitter->imports[i].module)
			return &emitter->imports[i];
	return NULL;
}

/* A key that is never switched on. */
static struct kc_error *use_dead_key(struct kernel_emitter *emitter, struct kernel_target *target)
{
	kc_section_id bss = kc_kernel_output(emitter, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE);

	if (!bss)
		return kc_error_no_memory();
	target->addend += (int64_t)kc_kernel_output_append(emitter, bss, STATIC_KEY_SIZE, NULL, STATIC_KEY_SIZE);
	target->symbol = kc_kernel_output_symbol(emitter, bss);
	return NULL;
}

/*
 * Jump labels are set up when the patch is loaded; a module may come later, and its keys with it. Its tracepoints are
 * left out: they stay silent in the patched functions.
 */
static struct kc_error *check_key(struct kernel_emitter *emitter, const struct kernel_unit *unit,
				  const struct kc_diff_item *item, struct kernel_target *target)
{
	const struct kernel_import *import = find_module_import(emitter, target->symbol);

	if (!import)
		return NULL;
	if (!strncmp(import->symbol, TRACEPOINT, strlen(TRACEPOINT))) {
		kc_warning(emitter->ctx, "%s: the tracepoint %s of module %s will not see the patched %s",
			   unit->object->name, import->symbol + strlen(TRACEPOINT), import->object,
			   kc_diff_item_name(item));
		return use_dead_key(emitter, target);
	}
	return kc_error_rule("module-special",
			     "%s: %s uses the static key %s of module %s, which may be loaded after the patch; let the "
			     "fix use static_key_enabled() there",
			     unit->object->name, kc_diff_item_name(item), import->symbol, import->object);
}

static struct kc_error *resolve_entry(struct kernel_emitter *emitter, struct kernel_unit *unit,
				      const struct kc_diff_item *item, const struct kc_diff_entry *entry,
				      const struct kc_diff_ref *ref, struct kernel_target *target)
{
	bool is_alternative = !strcmp(entry->table->section, ".altinstructions"), done = false;

	if (is_alternative) /* struct alt_instr ends with the length of the replacement */
		KC_TRY(kc_kernel_resolve_piece(emitter, unit, ref->rela,
					       entry->section->data[entry->offset + entry->table->entry_size - 1],
					       target, &done));
	if (done)
		return NULL;
	KC_TRY(kc_kernel_resolve(emitter, unit, NULL, ref, target));
	if (!strcmp(entry->table->section, "__jump_table") &&
	    ref->rela->offset - entry->offset == emitter->layout.jump_entry_key) {
		if (ref->rela->type != R_X86_64_PC64)
			return kc_error_new(KC_ERR_INPUT, "%s: an unknown kind of jump label", unit->object->name);
		return check_key(emitter, unit, item, target);
	}
	return NULL;
}

static struct kc_error *copy_entry(struct kernel_emitter *emitter, struct kernel_unit *unit,
				   const struct kc_diff_item *item, const struct kc_diff_entry *entry)
{
	const struct kc_elf_section *section = entry->section;
	kc_section_id id =
		kc_kernel_output(emitter, section->name, SHT_PROGBITS, section->flags & (SHF_ALLOC | SHF_WRITE));
	uint64_t offset;

	if (!id)
		return kc_error_no_memory();
	offset = kc_kernel_output_append(emitter, id, section->align ? section->align : 1,
					 section->data + entry->offset, entry->table->entry_size);
	for (size_t i = 0; i < entry->n_refs; i++) {
		const struct kc_elf_rela *rela = entry->refs[i].rela;
		struct kernel_target target;

		if (rela->type == R_X86_64_NONE)
			continue;
		KC_TRY(resolve_entry(emitter, unit, item, entry, &entry->refs[i], &target));
		if (!kc_elf_writer_add_rela(emitter->writer, id, offset + rela->offset - entry->offset, rela->type,
					    target.symbol, target.addend))
			return kc_error_no_memory();
	}
	return NULL;
}

/* Where the annotated code went; `*id` 0: it is not part of the patch. */
static void find_annotated(struct kernel_unit *unit, const struct kc_elf_rela *rela, kc_section_id *id, int64_t *offset)
{
	const struct kc_elf_section *section = rela->symbol->section;
	int64_t place = (int64_t)rela->symbol->value + rela->addend;
	const struct kc_diff_item *item;
	const struct kernel_piece *piece;

	*id = 0;
	if (!section)
		return;
	if (kc_kernel_is_piece_section(section)) {
		piece = find_piece(unit, section, place, 0);
		*id = piece ? piece->section : 0;
		*offset = piece ? place - (int64_t)piece->from_offset + (int64_t)piece->offset : 0;
		return;
	}
	item = kc_diff_item_at(unit->object->diff, rela->symbol, rela->addend);
	if (!item || !item->is_function || !kc_kernel_clone(unit, item)->is_included)
		return;
	*id = kc_kernel_clone(unit, item)->section;
	*offset = place - (int64_t)item->offset + (int64_t)kc_kernel_clone(unit, item)->offset;
}

/* Each annotation starts with a reference to the code and reaches to the next one. */
static struct kc_error *copy_annotations(struct kernel_emitter *emitter, struct kernel_unit *unit,
					 const struct kc_elf_section *section)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		const struct kc_elf_rela *rela = &section->relas[i];
		uint64_t end = i + 1 < section->n_relas ? section->relas[i + 1].offset : section->size, at;
		kc_section_id code, id;
		int64_t addend;

		find_annotated(unit, rela, &code, &addend);
		if (!code)
			continue;
		id = kc_kernel_output(emitter, section->name, SHT_PROGBITS, section->flags & (SHF_ALLOC | SHF_WRITE));
		if (!id)
			return kc_error_no_memory();
		at = kc_kernel_output_append(emitter, id, 1, section->data + rela->offset, end - rela->offset);
		if (!kc_elf_writer_add_rela(emitter->writer, id, at, rela->type, kc_kernel_output_symbol(emitter, code),
					    addend))
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *emit_entries(struct kernel_emitter *emitter, struct kernel_unit *unit)
{
	for (size_t i = 0; i < unit->object->diff->n_items; i++) {
		const struct kc_diff_item *item = &unit->object->diff->items[i];

		for (size_t j = 0; unit->clones[i].is_included && j < item->n_entries; j++)
			if (is_needed(item->entries[j].table))
				KC_TRY(copy_entry(emitter, unit, item, &item->entries[j]));
	}
	return kc_kernel_relocate_pieces(emitter, unit);
}

static struct kc_error *emit_annotations(struct kernel_emitter *emitter, struct kernel_unit *unit)
{
	const struct kc_elf *patched = unit->object->diff->patched;

	for (size_t i = 1; i < patched->n_sections; i++) {
		const struct kc_elf_section *section = &patched->sections[i];

		if (!strncmp(section->name, ".discard.", 9) && strcmp(section->name, ".discard.addressable") != 0 &&
		    section->data)
			KC_TRY(copy_annotations(emitter, unit, section));
	}
	return NULL;
}

struct kc_error *kc_kernel_emit_tables(struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		KC_TRY(emit_entries(emitter, &emitter->units[i]));
		KC_TRY(emit_annotations(emitter, &emitter->units[i]));
	}
	return NULL;
}
