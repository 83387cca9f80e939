/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules struct-layout and function-abi: compares the types of both objects by name, and the prototypes of exported
 * functions. Two types are equal when their descriptions are: one line of text that holds every size and offset. Types
 * that only one object knows are no risk: nothing of them exists in the running program, or nothing uses them any more.
 */
#include "diff/describe.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* No type is called so. */
#define VARIABLE_PREFIX "variable "

struct entry {
	char *name; /* "struct foo", "enum a::b", "foo()" */
	Dwarf_Die die;
};

/* What one object declares, sorted by name. */
struct entries {
	struct entry *items;
	size_t n;
	bool failed;
};

static void free_entries(struct entries *entries)
{
	for (size_t i = 0; i < entries->n; i++)
		free(entries->items[i].name);
	free(entries->items);
}

static void add_entry(struct entries *entries, const char *format, const char *prefix, const char *name, Dwarf_Die *die)
{
	struct entry *entry = kc_array_add(&entries->items, &entries->n);

	if (!entry) {
		entries->failed = true;
		return;
	}
	entry->die = *die;
	if (asprintf(&entry->name, format, prefix, name) < 0) {
		entry->name = NULL;
		entries->n--;
		entries->failed = true;
	}
}

static void collect(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die, const char *prefix,
		    int depth);

/* Types inside a namespace or class get its name before theirs. */
static void collect_inside(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die,
			   const char *prefix, const char *name, int depth)
{
	kc_autofree char *inner = NULL;

	if (!dwarf_haschildren(die))
		return;
	if (asprintf(&inner, "%s%s::", prefix, name ? name : "(anonymous)") < 0) {
		inner = NULL;
		entries->failed = true;
		return;
	}
	collect(entries, options, die, inner, depth + 1);
}

static void collect_function(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die)
{
	const char *name = diff_dwarf_linkage_name(die);

	if (name && options->is_exported && dwarf_hasattr_integrate(die, DW_AT_external) &&
	    !dwarf_hasattr(die, DW_AT_declaration) && options->is_exported(options->data, name))
		add_entry(entries, "%s%s()", "", name, die);
}

/* Of kernels, where the type of a variable is part of its checksum. */
static void collect_variable(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die)
{
	const char *name = diff_dwarf_linkage_name(die);
	Dwarf_Attribute attribute;

	if (!name || !options->is_kernel || !options->is_exported || !dwarf_hasattr_integrate(die, DW_AT_external) ||
	    dwarf_hasattr(die, DW_AT_declaration) || !options->is_exported(options->data, name))
		return;
	if (dwarf_attr_integrate(die, DW_AT_type, &attribute) && dwarf_formref_die(&attribute, die))
		add_entry(entries, "%s%s", VARIABLE_PREFIX, name, die);
}

static void collect_one(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die,
			const char *prefix, int depth)
{
	const char *name = dwarf_diename(die);
	bool is_named_type = name && dwarf_hasattr(die, DW_AT_byte_size);

	switch (dwarf_tag(die)) {
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
		if (is_named_type)
			add_entry(entries, "struct %s%s", prefix, name, die);
		if (name)
			collect_inside(entries, options, die, prefix, name, depth);
		break;
	case DW_TAG_union_type:
		if (is_named_type)
			add_entry(entries, "union %s%s", prefix, name, die);
		break;
	case DW_TAG_enumeration_type:
		if (is_named_type)
			add_entry(entries, "enum %s%s", prefix, name, die);
		break;
	case DW_TAG_typedef:
		if (name && diff_is_typedef_of_anonymous(die, die))
			add_entry(entries, "%s%s", prefix, name, die);
		break;
	case DW_TAG_namespace:
		collect_inside(entries, options, die, prefix, name, depth);
		break;
	case DW_TAG_subprogram:
		collect_function(entries, options, die);
		break;
	case DW_TAG_variable:
		collect_variable(entries, options, die);
		break;
	default:
		break;
	}
}

static void collect(struct entries *entries, const struct kc_diff_options *options, Dwarf_Die *die, const char *prefix,
		    int depth)
{
	Dwarf_Die child;

	if (depth > 32 || dwarf_child(die, &child) != 0)
		return;
	do {
		Dwarf_Die current = child; /* collect_one() may replace a typedef by its type */

		collect_one(entries, options, &current, prefix, depth);
	} while (dwarf_siblingof(&child, &child) == 0);
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static struct kc_error *collect_all(const struct diff_run *run, const struct diff_object *object,
				    struct entries *entries)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;

	while (diff_dwarf_next_unit(object->dwarf, &unit, &die))
		collect(entries, run->options, &die, "", 0);
	if (entries->failed)
		return kc_error_no_memory();
	if (entries->n)
		qsort(entries->items, entries->n, sizeof(*entries->items), compare_entries);
	return NULL;
}

static struct kc_error *compare_types(const struct diff_run *run, struct entry *orig, struct entry *patched)
{
	kc_autobuf struct kc_buf difference = { 0 };

	diff_describe_difference(&difference, &orig->die, &patched->die);
	if (difference.failed)
		return kc_error_no_memory();
	if (difference.size == 0 || diff_is_allowed(run, "struct-layout"))
		return NULL;
	return kc_error_rule(
		"struct-layout",
		"%s: %s; objects of the old layout exist already, so keep it and put new members elsewhere",
		patched->name, difference.data);
}

/* Kernels have a checksum (CRC) of the type of each exported symbol, which modules are bound to. */
static const char *abi_rule(const struct diff_run *run)
{
	return run->options->is_kernel ? "symbol-crc" : "function-abi";
}

static struct kc_error *compare_prototypes(const struct diff_run *run, struct entry *orig, struct entry *patched)
{
	kc_autobuf struct kc_buf old = { 0 }, new = { 0 };

	diff_describe_type(&old, &orig->die);
	diff_describe_type(&new, &patched->die);
	if (old.failed || new.failed)
		return kc_error_no_memory();
	if (strcmp(old.data, new.data) == 0 || diff_is_allowed(run, abi_rule(run)))
		return NULL;
	return kc_error_rule(
		abi_rule(run),
		"%s was \"%s\", is \"%s\"; others use the exported symbol in the old way, so keep it and add a "
		"new one",
		patched->name, old.data, new.data);
}

static bool is_prototype(const struct entry *entry)
{
	Dwarf_Die die = entry->die;

	return dwarf_tag(&die) == DW_TAG_subprogram ||
	       strncmp(entry->name, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0;
}

/* Both lists are sorted; several entries of one name (a type seen in two units) are compared as they come. */
static struct kc_error *compare_all(const struct diff_run *run, struct entries *orig, struct entries *patched)
{
	for (size_t i = 0, j = 0; i < orig->n && j < patched->n;) {
		int order = strcmp(orig->items[i].name, patched->items[j].name);

		if (order == 0 && is_prototype(&patched->items[j]))
			KC_TRY(compare_prototypes(run, &orig->items[i], &patched->items[j]));
		else if (order == 0)
			KC_TRY(compare_types(run, &orig->items[i], &patched->items[j]));
		i += order <= 0;
		j += order >= 0;
	}
	return NULL;
}

struct kc_error *diff_check_layout(const struct diff_run *run)
{
	KC_CLEANUP(free_entries) struct entries orig = { 0 };
	KC_CLEANUP(free_entries) struct entries patched = { 0 };

	if (diff_is_allowed(run, "struct-layout") && diff_is_allowed(run, abi_rule(run)))
		return NULL;
	if (!run->orig.dwarf || !run->patched.dwarf) {
		if (diff_is_allowed(run, "struct-layout"))
			return NULL;
		return kc_error_rule("struct-layout",
				     "%s has no debug information, so data layouts cannot be compared; compile with -g",
				     (run->orig.dwarf ? run->patched.elf : run->orig.elf)->name);
	}
	KC_TRY(collect_all(run, &run->orig, &orig));
	KC_TRY(collect_all(run, &run->patched, &patched));
	return compare_all(run, &orig, &patched);
}
