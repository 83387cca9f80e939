/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies items into the sections of the emitted object: all code into .text, data by kind. One section each for many
 * functions keeps the module small, and sysfs readable. Sections with a meaning of their own (.data..percpu,
 * .noinstr.text, __dyndbg) keep their names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

enum {
	PADDING_BYTE = 0x90, /* what -fpatchable-function-entry puts before a function */
	MAX_PADDING = 64,
	TRAP_BYTE = 0xcc, /* between functions */
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

struct kernel_clone *kc_kernel_clone(struct kernel_unit *unit, const struct kc_diff_item *item)
{
	return &unit->clones[item - unit->object->diff->items];
}

kc_section_id kc_kernel_output(struct kernel_emitter *emitter, const char *name, uint32_t type, uint64_t flags)
{
	struct kernel_output *output;

	for (size_t i = 0; i < emitter->n_outputs; i++)
		if (!strcmp(emitter->outputs[i].name, name))
			return emitter->outputs[i].id;
	output = kc_array_add(&emitter->outputs, &emitter->n_outputs);
	if (!output)
		return 0;
	output->name = strdup(name);
	output->id = kc_elf_writer_add_section(emitter->writer, name, type, flags, 1, 0, NULL, 0);
	if (output->name && output->id)
		output->symbol =
			kc_elf_writer_add_symbol(emitter->writer, "", STB_LOCAL, STT_SECTION, output->id, 0, 0);
	return output->symbol ? output->id : 0;
}

kc_symbol_id kc_kernel_output_symbol(const struct kernel_emitter *emitter, kc_section_id section)
{
	for (size_t i = 0; i < emitter->n_outputs; i++)
		if (emitter->outputs[i].id == section)
			return emitter->outputs[i].symbol;
	return 0;
}

/* So that offset % align == phase. */
static void pad(struct kernel_emitter *emitter, kc_section_id section, uint64_t align, uint64_t phase, bool is_code)
{
	static const uint8_t trap = TRAP_BYTE, zero;

	while ((kc_elf_writer_section_size(emitter->writer, section) & (align - 1)) != phase)
		kc_elf_writer_append(emitter->writer, section, align, is_code ? &trap : &zero, 1);
}

uint64_t kc_kernel_output_append(struct kernel_emitter *emitter, kc_section_id section, uint64_t align,
				 const void *data, uint64_t size)
{
	uint64_t offset;

	pad(emitter, section, align, 0, false);
	offset = kc_elf_writer_section_size(emitter->writer, section);
	kc_elf_writer_append(emitter->writer, section, align, data, size);
	return offset;
}

struct kc_error *kc_kernel_output_pointer(struct kernel_emitter *emitter, kc_section_id section, uint64_t offset,
					  kc_section_id to, uint64_t to_offset)
{
	return kc_elf_writer_add_rela(emitter->writer, section, offset, R_X86_64_64,
				      kc_kernel_output_symbol(emitter, to), (int64_t)to_offset)
		       ? NULL
		       : kc_error_no_memory();
}

struct kc_error *kc_kernel_output_bytes(struct kernel_emitter *emitter, kc_section_id section, uint64_t offset,
					const void *data, uint64_t size)
{
	kc_section_id rodata = kc_kernel_output(emitter, ".rodata", SHT_PROGBITS, SHF_ALLOC);

	if (!rodata)
		return kc_error_no_memory();
	return kc_kernel_output_pointer(emitter, section, offset, rodata,
					kc_kernel_output_append(emitter, rodata, 8, data, size));
}

/* Data that only the dot-less name or a double dot gives a meaning: __dyndbg, .data..percpu. */
static bool keeps_name(const struct kc_elf_section *section)
{
	return section->name[0] != '.' || starts_with(section->name, ".data..percpu") ||
	       starts_with(section->name, ".data..ro_after_init") || starts_with(section->name, ".kcare.");
}

static kc_section_id choose_output(struct kernel_emitter *emitter, const struct kc_diff_item *item)
{
	const struct kc_elf_section *section = item->section;
	uint64_t flags = section->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);
	uint32_t type = section->data ? SHT_PROGBITS : SHT_NOBITS;

	if (item->is_function)
		return kc_kernel_output(emitter, starts_with(section->name, ".text") ? ".text" : section->name,
					SHT_PROGBITS, flags);
	if (item->is_snippet || keeps_name(section))
		return kc_kernel_output(emitter, section->name, type, flags);
	if (!section->data)
		return kc_kernel_output(emitter, ".bss", SHT_NOBITS, flags);
	return kc_kernel_output(emitter, flags & SHF_WRITE ? ".data" : ".rodata", SHT_PROGBITS, flags);
}

/* Room before the entry, for call thunks: part of the function although its symbol comes behind it. */
static uint64_t padding_before(const struct kc_diff_item *item)
{
	uint64_t n = 0;

	if (!item->is_function || item->is_fragment || !item->section->data)
		return 0;
	while (n < item->offset && n < MAX_PADDING && item->section->data[item->offset - n - 1] == PADDING_BYTE)
		n++;
	return n;
}

static void copy(struct kernel_emitter *emitter, const struct kc_diff_item *item, struct kernel_clone *clone)
{
	const struct kc_elf_section *section = item->section;
	uint64_t align = section->align ? section->align : 1, padding = padding_before(item);
	uint64_t start = item->offset - padding;

	/* With its padding the function starts where a symbol would: on the alignment. */
	pad(emitter, clone->section, align, start & (align - 1), item->is_function);
	kc_elf_writer_append(emitter->writer, clone->section, align, section->data ? section->data + start : NULL,
			     item->size + padding);
	clone->offset = kc_elf_writer_section_size(emitter->writer, clone->section) - item->size;
}

struct kc_error *kc_kernel_include(struct kernel_emitter *emitter, struct kernel_unit *unit,
				   const struct kc_diff_item *item)
{
	struct kernel_clone *clone = kc_kernel_clone(unit, item);

	if (clone->is_included)
		return NULL;
	clone->is_included = true;
	if (item->is_tls || !item->section)
		return kc_error_new(KC_ERR_INPUT, "%s: %s: a kernel object has no such data", unit->object->name,
				    kc_diff_item_name(item));
	if (kc_kernel_is_global(unit, item)) {
		clone->is_relocated = true; /* it has no references */
		return kc_kernel_global_add(emitter, unit, item, clone);
	}
	clone->section = choose_output(emitter, item);
	if (!clone->section)
		return kc_error_no_memory();
	copy(emitter, item, clone);
	if (!item->symbol)
		return NULL;
	return kc_elf_writer_add_symbol(emitter->writer, item->symbol->name, STB_LOCAL,
					item->is_function ? STT_FUNC : STT_OBJECT, clone->section, clone->offset,
					item->size)
		       ? NULL
		       : kc_error_no_memory();
}

static struct kc_error *relocate(struct kernel_emitter *emitter, struct kernel_unit *unit,
				 const struct kc_diff_item *item, const struct kernel_clone *clone)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];
		struct kernel_target target;

		if (ref->rela->type == R_X86_64_NONE)
			continue;
		KC_TRY(kc_kernel_resolve(emitter, unit, item, ref, &target));
		if (!kc_elf_writer_add_rela(emitter->writer, clone->section,
					    clone->offset + ref->rela->offset - item->offset, ref->rela->type,
					    target.symbol, target.addend))
			return kc_error_no_memory();
	}
	return NULL;
}

/* Callbacks and states are read by kernel_emit_livepatch.c; they are not part of the module as such. */
static bool is_carried(const struct kc_diff_item *item)
{
	if (!item->clone || item->is_literal || !item->section)
		return false;
	return !starts_with(item->section->name, ".kcare.callbacks.") &&
	       strcmp(item->section->name, ".kcare.states") != 0;
}

static struct kc_error *include_changes(struct kernel_emitter *emitter, struct kernel_unit *unit)
{
	for (size_t i = 0; i < unit->object->diff->n_items; i++)
		if (is_carried(&unit->object->diff->items[i]))
			KC_TRY(kc_kernel_include(emitter, unit, &unit->object->diff->items[i]));
	return NULL;
}

/* Relocating may include more: literals, pieces. Until nothing new comes. */
static struct kc_error *relocate_unit(struct kernel_emitter *emitter, struct kernel_unit *unit, bool *progress)
{
	for (size_t i = 0; i < unit->object->diff->n_items; i++) {
		struct kernel_clone *clone = &unit->clones[i];

		if (!clone->is_included || clone->is_relocated)
			continue;
		clone->is_relocated = *progress = true;
		KC_TRY(relocate(emitter, unit, &unit->object->diff->items[i], clone));
	}
	return NULL;
}

static struct kc_error *relocate_all(struct kernel_emitter *emitter)
{
	bool progress = true;

	while (progress) {
		progress = false;
		for (size_t i = 0; i < emitter->n_units; i++)
			KC_TRY(relocate_unit(emitter, &emitter->units[i], &progress));
	}
	return NULL;
}

struct kc_error *kc_kernel_emit_clones(struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++)
		KC_TRY(include_changes(emitter, &emitter->units[i]));
	KC_TRY(relocate_all(emitter));
	KC_TRY(kc_kernel_emit_tables(emitter));
	return relocate_all(emitter);
}
