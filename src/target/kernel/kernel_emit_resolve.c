/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reference of the patched code means in the kernel: another clone, a variable in kcare.ko's arena, or what the
 * kernel has already, by its name in kallsyms. Where no name has exactly that address (an anonymous static), the name
 * before it in the same section serves with an offset: the patch is for one image only, by its build-id.
 */
#include <stdlib.h>
#include <string.h>

#include "target/kernel/kernel_emitter.h"

const char *kc_kernel_unit_module(const struct kernel_unit *unit)
{
	return unit->target->is_module ? unit->target->name : NULL;
}

struct kc_error *kc_kernel_no_address(const struct kernel_unit *unit, const struct kc_diff_item *from,
				      const struct kc_elf_symbol *symbol, const char *why)
{
	return kc_error_rule("no-address",
			     "%s: %s refers to %s, whose address in %s is not known: %s; let the fix use what the "
			     "original function uses already, or something that is exported",
			     unit->object->name, from ? kc_diff_item_name(from) : "a table",
			     symbol && symbol->name[0] ? symbol->name : "unnamed data", unit->target->name, why);
}

/*
 * The addend of a field counts from the symbol of its relocation, which may be a whole section; ours from the item.
 * What a field of a table points to is what it counts from.
 */
static int64_t addend_in_item(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;

	if (!from)
		return ref->offset;
	return (int64_t)(symbol->section ? symbol->value : 0) + ref->rela->addend - (int64_t)ref->item->offset;
}

static struct kc_error *use_clone(struct kernel_emitter *emitter, struct kernel_unit *unit,
				  const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				  struct kernel_unit *owner, const struct kc_diff_item *item, int64_t addend,
				  struct kernel_target *target)
{
	struct kc_diff_ref to = *ref;
	struct kernel_clone *clone;

	KC_TRY(kc_kernel_include(emitter, owner, item));
	clone = kc_kernel_clone(owner, item);
	if (clone->global) {
		target->addend = addend + (int64_t)emitter->emitted->globals.items[clone->global - 1].offset;
		return kc_kernel_import_export(emitter, "kcare_arena", false, &target->symbol);
	}
	to.item = (struct kc_diff_item *)item;
	to.offset = owner == unit ? ref->offset : 0;
	kc_kernel_note_pin(emitter, from, &to);
	target->symbol = kc_kernel_output_symbol(emitter, clone->section);
	target->addend = addend + (int64_t)clone->offset;
	return NULL;
}

/* The last symbol at or before a place of the same section; of several there an exported one, which costs nothing. */
static const struct kc_kernel_symbol *find_near(const struct kc_kernel_object *object,
						const struct kc_elf_section *section, uint64_t addr)
{
	const struct kc_kernel_symbol *best = NULL;

	for (size_t i = 0; i < object->n_symbols; i++) {
		const struct kc_kernel_symbol *symbol = &object->symbols[i];

		if (!object->is_module && symbol->addr > addr)
			break;
		if (symbol->addr > addr || symbol->sympos == 0 || symbol->section != section)
			continue;
		if (!best || symbol->addr > best->addr || (symbol->addr == best->addr && symbol->is_exported))
			best = symbol;
	}
	if (!best || object->is_module)
		return best;
	return kc_elf_section_at(object->elf, best->addr) == kc_elf_section_at(object->elf, addr) ? best : NULL;
}

const struct kc_kernel_placed *kc_kernel_placed_find(const struct kernel_unit *unit, const struct kc_elf *elf,
						     const struct kc_elf_symbol *symbol)
{
	const struct kc_elf_symbol *plain = kc_elf_names_match(&unit->plain_names, elf, symbol);

	return plain ? &unit->object->placement->symbols[plain->index] : NULL;
}

/* A name whose place livepatch can tell, or that needs none. */
static bool is_usable(const struct kc_kernel_object *object, const struct kc_kernel_symbol *symbol)
{
	return symbol->sympos || (symbol->is_exported && !object->is_module);
}

const struct kc_kernel_symbol *kc_kernel_find_only(const struct kc_kernel_object *object, const char *name,
						   bool is_global)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(object, name), *only = NULL;

	for (; symbol; symbol = kc_kernel_symbol_next(object, symbol)) {
		if (is_global && !symbol->is_global)
			continue;
		if (only)
			return NULL;
		only = symbol;
	}
	return only && is_usable(object, only) ? only : NULL;
}

/* The thing that `symbol` (of `elf`) names, at its place in the image or module. */
static struct kc_error *use_placed(struct kernel_emitter *emitter, const struct kernel_unit *unit,
				   const struct kc_diff_item *from, const struct kc_elf *elf,
				   const struct kc_elf_symbol *symbol, int64_t addend, struct kernel_target *target)
{
	const struct kc_kernel_placed *placed = kc_kernel_placed_find(unit, elf, symbol);
	const struct kc_kernel_symbol *name;

	target->addend = addend;
	if (!placed || !placed->is_known || placed->is_overridden) {
		name = kc_kernel_find_only(unit->target, symbol->name, symbol->bind != STB_LOCAL);
		if (!name)
			return kc_kernel_no_address(unit, from, symbol, "the kernel has no symbol that must be it");
		return kc_kernel_import_symbol(emitter, unit, unit->target, name, &target->symbol);
	}
	name = placed->symbol;
	if (!name || !is_usable(unit->target, name)) {
		name = find_near(unit->target, placed->section, placed->addr);
		if (!name)
			return kc_kernel_no_address(unit, from, symbol, "the kernel has no symbol near it");
		target->addend += (int64_t)(placed->addr - name->addr);
	}
	return kc_kernel_import_symbol(emitter, unit, unit->target, name, &target->symbol);
}

/* Another changed object may define it anew. */
static const struct kc_diff_item *find_foreign_clone(const struct kernel_emitter *emitter,
						     const struct kernel_unit *unit, const char *name,
						     struct kernel_unit **owner)
{
	size_t n;
	const struct kernel_name *named = kc_kernel_clone_names(emitter, name, &n);

	for (size_t i = 0; i < n; i++) {
		if (named[i].unit == unit || named[i].item->symbol->bind == STB_LOCAL)
			continue;
		*owner = named[i].unit;
		return named[i].item;
	}
	return NULL;
}

/* Clones that lead into a module are only valid while it is there. */
static bool may_use(const struct kernel_unit *unit, const struct kernel_unit *owner)
{
	return !owner->target->is_module || owner->target == unit->target;
}

/* Something that the object does not define. */
static struct kc_error *use_named(struct kernel_emitter *emitter, struct kernel_unit *unit,
				  const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				  struct kernel_target *target)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;
	const struct kc_kernel_export *export = kc_kernel_symvers_find(&emitter->symvers, symbol->name);
	const struct kc_kernel_placed *placed = kc_kernel_placed_find(unit, unit->object->diff->patched, symbol);
	struct kernel_unit *owner;
	const struct kc_diff_item *foreign = find_foreign_clone(emitter, unit, symbol->name, &owner);

	if (foreign && may_use(unit, owner) && (!foreign->twin || ref->is_branch))
		return use_clone(emitter, unit, from, ref, owner, foreign, ref->rela->addend, target);
	target->addend = ref->rela->addend;
	if (export && kc_kernel_is_plain_export(export))
		return kc_kernel_import_export(emitter, symbol->name, false, &target->symbol);
	if (placed && placed->is_known && (!unit->target->is_module || placed->section))
		return use_placed(emitter, unit, from, unit->object->diff->patched, symbol, ref->rela->addend, target);
	if (export && unit->target->is_module && strcmp(export->module, unit->target->name) != 0)
		return kc_kernel_import_foreign(emitter, unit, export, &target->symbol);
	if (kc_kernel_find_only(unit->target, symbol->name, true))
		return use_placed(emitter, unit, from, unit->object->diff->patched, symbol, ref->rela->addend, target);
	if (symbol->bind == STB_WEAK)
		return kc_kernel_import_export(emitter, symbol->name, true, &target->symbol);
	return kc_kernel_no_address(unit, from, symbol, "nothing, or more than one thing, has this name");
}

static struct kc_error *use_item(struct kernel_emitter *emitter, struct kernel_unit *unit,
				 const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				 struct kernel_target *target)
{
	const struct kc_diff_item *item = ref->item;
	bool is_original = item->twin && !item->is_literal && (!item->clone || kc_kernel_takes_entry(from, ref));

	if (!is_original)
		return use_clone(emitter, unit, from, ref, unit, item, addend_in_item(from, ref), target);
	if (!item->twin->symbol)
		return kc_kernel_no_address(unit, from, ref->rela->symbol, "it has no name");
	KC_TRY(use_placed(emitter, unit, from, unit->object->diff->orig, item->twin->symbol, addend_in_item(from, ref),
			  target));
	return kc_kernel_is_noreturn_call(unit, from, ref) ? kc_kernel_use_stub(emitter, item, target) : NULL;
}

struct kc_error *kc_kernel_resolve(struct kernel_emitter *emitter, struct kernel_unit *unit,
				   const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				   struct kernel_target *target)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;

	switch (ref->rela->type) {
	case R_X86_64_64:
	case R_X86_64_32:
	case R_X86_64_32S:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_PC64:
		break;
	default:
		return kc_kernel_no_address(unit, from, symbol, "modules cannot have this kind of relocation");
	}
	if (ref->item)
		return use_item(emitter, unit, from, ref, target);
	if (symbol->shndx == SHN_ABS || symbol->section)
		return kc_kernel_no_address(unit, from, symbol, "it is neither code nor data");
	return use_named(emitter, unit, from, ref, target);
}
