/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entries of the kernel's tables that belong to cloned code; among them the annotations that objtool reads
 * (.discard.*), which are dropped after it.
 */
#include <string.h>

#include "target/kernel/kernel_emitter.h"

#define TRACEPOINT "__tracepoint_"

enum { STATIC_KEY_SIZE = 16 };

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
	KC_TRY(kc_kernel_resolve(emitter, unit, NULL, ref, target));
	if (strcmp(entry->table->section, "__jump_table") != 0 ||
	    ref->rela->offset - entry->offset != emitter->layout.jump_entry_key)
		return NULL;
	return check_key(emitter, unit, item, target);
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
					 section->data + entry->offset, entry->size);
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

static struct kc_error *emit_entries(struct kernel_emitter *emitter, struct kernel_unit *unit)
{
	for (size_t i = 0; i < unit->object->diff->n_items; i++) {
		const struct kc_diff_item *item = &unit->object->diff->items[i];

		for (size_t j = 0; unit->clones[i].is_included && j < item->n_entries; j++)
			if (is_needed(item->entries[j].table))
				KC_TRY(copy_entry(emitter, unit, item, &item->entries[j]));
	}
	return NULL;
}

struct kc_error *kc_kernel_emit_tables(struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++)
		KC_TRY(emit_entries(emitter, &emitter->units[i]));
	return NULL;
}
