/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug information of an object. libdw reads linked files only, so the relocations of the debug sections are applied
 * to a copy first. Every section of the object gets 4 GiB of addresses of its own, so that an address tells its
 * section.
 */
#include "diff/diff_internal.h"
#include "diff/dwarf_internal.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

void diff_dwarf_free(struct diff_dwarf *dwarf)
{
	if (!dwarf)
		return;
	dwarf_end(dwarf->dwarf);
	elf_end(dwarf->libelf);
	free(dwarf->image);
	free(dwarf);
}

uint64_t diff_dwarf_base(const struct kc_elf_section *section)
{
	return ((uint64_t)section->index + 1) << 32;
}

static void relocate(uint8_t *image, const struct kc_elf_section *section)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		const struct kc_elf_rela *rela = &section->relas[i];
		const struct kc_elf_section *target = rela->symbol->section;
		uint64_t value = rela->symbol->value + (uint64_t)rela->addend;
		size_t size = kc_elf_rela_size(rela->type);

		if (target && (target->flags & SHF_ALLOC) && !(target->flags & SHF_TLS))
			value += diff_dwarf_base(target);
		if (size == 4 || size == 8)
			memcpy(image + section->offset + rela->offset, &value, size);
	}
}

static bool has_usable_debug_info(const struct kc_elf *elf)
{
	const struct kc_elf_section *info = kc_elf_section_find(elf, ".debug_info");

	return info && info->data && !(info->flags & SHF_COMPRESSED);
}

struct kc_error *diff_dwarf_open(const struct kc_elf *elf, struct diff_dwarf **dwarf)
{
	struct diff_dwarf *new;

	*dwarf = NULL;
	if (!has_usable_debug_info(elf))
		return NULL;
	new = calloc(1, sizeof(*new));
	if (!new || !(new->image = malloc(elf->size))) {
		free(new);
		return kc_error_no_memory();
	}
	memcpy(new->image, elf->data, elf->size);
	for (size_t i = 1; i < elf->n_sections; i++)
		if (strncmp(elf->sections[i].name, ".debug_", 7) == 0)
			relocate(new->image, &elf->sections[i]);
	elf_version(EV_CURRENT);
	new->libelf = elf_memory((char *)new->image, elf->size);
	new->dwarf = new->libelf ? dwarf_begin_elf(new->libelf, DWARF_C_READ, NULL) : NULL;
	if (!new->dwarf) {
		diff_dwarf_free(new);
		return kc_error_new(KC_ERR_INPUT, "%s: the debug information cannot be read: %s", elf->name,
				    dwarf_errmsg(-1));
	}
	*dwarf = new;
	return NULL;
}

bool diff_dwarf_next_unit(struct diff_dwarf *dwarf, Dwarf_CU **unit, Dwarf_Die *die)
{
	uint8_t kind;

	for (;;) {
		if (dwarf_get_units(dwarf->dwarf, *unit, unit, NULL, &kind, die, NULL) != 0)
			return false;
		if (kind == DW_UT_compile || kind == DW_UT_type)
			return true;
	}
}

const char *diff_dwarf_linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute))
		return dwarf_formstring(&attribute);
	return dwarf_diename(die);
}

/* The place of a static variable, as (section + 1) << 32 | offset. */
static bool read_address(Dwarf_Die *die, uint64_t *address)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *ops;
	size_t n;

	if (!dwarf_attr(die, DW_AT_location, &attribute) || dwarf_whatform(&attribute) != DW_FORM_exprloc ||
	    dwarf_getlocation(&attribute, &ops, &n) != 0 || n == 0 || ops[0].atom != DW_OP_addr)
		return false;
	*address = ops[0].number;
	return true;
}

static void set_scope(struct diff_object *object, uint64_t address, const char *scope)
{
	uint64_t section = (address >> 32) - 1, offset = address & UINT32_MAX;

	if (section >= object->elf->n_sections)
		return;
	for (size_t i = object->first_item[section]; i < object->first_item[section + 1]; i++)
		if (object->items[i].offset == offset)
			object->items[i].scope = scope;
}

/* Static variables below `die`, which belongs to the function `scope` (NULL: to none). */
static void read_scopes_below(struct diff_object *object, Dwarf_Die *die, const char *scope, int depth)
{
	Dwarf_Die child;
	uint64_t address;

	if (depth > 64 || dwarf_child(die, &child) != 0)
		return;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_subprogram:
			read_scopes_below(object, &child, diff_dwarf_linkage_name(&child), depth + 1);
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_namespace:
			read_scopes_below(object, &child, scope, depth + 1);
			break;
		case DW_TAG_variable:
			if (scope && read_address(&child, &address))
				set_scope(object, address, scope);
			break;
		default:
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

static bool has_numbered_variables(const struct diff_object *object)
{
	for (size_t i = 0; i < object->n_items; i++) {
		const struct kc_diff_item *item = &object->items[i];

		if (!item->is_function && !item->is_literal && item->symbol && item->symbol->bind == STB_LOCAL &&
		    strchr(item->symbol->name, '.'))
			return true;
	}
	return false;
}

static void read_scopes(struct diff_object *object)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;

	while (object->dwarf && diff_dwarf_next_unit(object->dwarf, &unit, &die))
		read_scopes_below(object, &die, NULL, 0);
}

void diff_read_scopes(struct diff_object *orig, struct diff_object *patched)
{
	if (!has_numbered_variables(orig) && !has_numbered_variables(patched))
		return;
	read_scopes(orig);
	read_scopes(patched);
}

static bool unit_has_line(Dwarf_Die *unit, uint64_t address, int wanted)
{
	Dwarf_Lines *lines;
	size_t n, low = 0, high;

	if (dwarf_getsrclines(unit, &lines, &n) != 0 || n == 0)
		return false;
	for (high = n; high - low > 1;) { /* the last row at or before `address` */
		size_t middle = low + (high - low) / 2;
		Dwarf_Addr at;

		dwarf_lineaddr(dwarf_onesrcline(lines, middle), &at);
		if (at <= address)
			low = middle;
		else
			high = middle;
	}
	for (Dwarf_Addr start = 0, at;; low--) { /* it and the other rows of its instruction */
		Dwarf_Line *line = dwarf_onesrcline(lines, low);
		int number;

		dwarf_lineaddr(line, &at);
		if (start == 0)
			start = at;
		if (at != start || at > address || at >> 32 != address >> 32)
			return false;
		if (dwarf_lineno(line, &number) == 0 && number == wanted)
			return true;
		if (low == 0)
			return false;
	}
}

bool diff_dwarf_has_line(struct diff_dwarf *dwarf, const struct kc_elf_section *section, uint64_t offset, int line)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;

	while (diff_dwarf_next_unit(dwarf, &unit, &die))
		if (unit_has_line(&die, diff_dwarf_base(section) + offset, line))
			return true;
	return false;
}
