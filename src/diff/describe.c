/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types of the debug information as text. */
#include "diff/describe.h"

#include <dwarf.h>
#include <string.h>

/* Anonymous types inside anonymous types; deeper than this nobody writes. */
#define MAX_DEPTH 16

static void describe(struct kc_buf *out, Dwarf_Die *type, bool by_value, int depth);

/* The type that `die` refers to; false: void. */
static bool type_of(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attribute;

	return dwarf_attr_integrate(die, DW_AT_type, &attribute) && dwarf_formref_die(&attribute, type);
}

static bool is_qualifier(int tag)
{
	return tag == DW_TAG_const_type || tag == DW_TAG_volatile_type || tag == DW_TAG_restrict_type ||
	       tag == DW_TAG_atomic_type;
}

static bool is_aggregate(int tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_enumeration_type;
}

bool diff_is_typedef_of_anonymous(Dwarf_Die *typedef_die, Dwarf_Die *type)
{
	Dwarf_Die target;

	if (!type_of(typedef_die, &target))
		return false;
	while (is_qualifier(dwarf_tag(&target)))
		if (!type_of(&target, &target))
			return false;
	if (!is_aggregate(dwarf_tag(&target)) || dwarf_diename(&target))
		return false;
	*type = target;
	return true;
}

static int64_t number(Dwarf_Die *die, unsigned name, int64_t otherwise)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr_integrate(die, name, &attribute) || dwarf_formudata(&attribute, &value) != 0)
		return otherwise;
	return (int64_t)value;
}

static const char *name_of(Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);

	return name ? name : "(anonymous)";
}

static void describe_target(struct kc_buf *out, Dwarf_Die *die, bool by_value, int depth)
{
	Dwarf_Die target;

	if (type_of(die, &target))
		describe(out, &target, by_value, depth + 1);
	else
		kc_buf_append_str(out, "void");
}

/* A member that takes part in the layout: not a static one, a function or a nested type. */
static bool is_member(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	if (tag == DW_TAG_enumerator || tag == DW_TAG_inheritance)
		return true;
	return tag == DW_TAG_member && !dwarf_hasattr(die, DW_AT_external) && !dwarf_hasattr(die, DW_AT_declaration);
}

/* "TYPE@OFFSET", "TYPE:BITS@BIT"; enumerators: "=VALUE". */
static void describe_member(struct kc_buf *out, Dwarf_Die *member, int depth)
{
	int64_t bits = number(member, DW_AT_bit_size, 0);

	if (dwarf_tag(member) == DW_TAG_enumerator) {
		kc_buf_printf(out, "=%ld", (long)number(member, DW_AT_const_value, 0));
		return;
	}
	describe_target(out, member, true, depth);
	if (bits)
		kc_buf_printf(out, ":%ld@bit %ld", (long)bits,
			      (long)(number(member, DW_AT_data_bit_offset, 0) + number(member, DW_AT_bit_offset, 0)));
	kc_buf_printf(out, "@%ld", (long)number(member, DW_AT_data_member_location, 0));
}

static void describe_members(struct kc_buf *out, Dwarf_Die *type, int depth)
{
	Dwarf_Die member;

	kc_buf_append_str(out, " {");
	if (dwarf_child(type, &member) == 0) {
		do {
			if (!is_member(&member))
				continue;
			kc_buf_printf(out, " %s: ", name_of(&member));
			describe_member(out, &member, depth);
			kc_buf_append_str(out, ";");
		} while (dwarf_siblingof(&member, &member) == 0);
	}
	kc_buf_append_str(out, " }");
}

static void describe_aggregate(struct kc_buf *out, Dwarf_Die *type, bool by_value, int depth)
{
	int tag = dwarf_tag(type);
	const char *name = dwarf_diename(type);

	kc_buf_append_str(out, tag == DW_TAG_union_type ? "union" : tag == DW_TAG_enumeration_type ? "enum" : "struct");
	if (name)
		kc_buf_printf(out, " %s", name);
	else if (by_value)
		describe_members(out, type, depth);
	if (by_value)
		kc_buf_printf(out, " of %ld bytes", (long)number(type, DW_AT_byte_size, 0));
}

static void describe_array(struct kc_buf *out, Dwarf_Die *type, bool by_value, int depth)
{
	Dwarf_Die range;

	describe_target(out, type, by_value, depth);
	if (dwarf_child(type, &range) != 0)
		return;
	do {
		int64_t last = number(&range, DW_AT_upper_bound, -1);

		kc_buf_printf(out, "[%ld]", (long)number(&range, DW_AT_count, last + 1));
	} while (dwarf_siblingof(&range, &range) == 0);
}

static void describe_function(struct kc_buf *out, Dwarf_Die *type, int depth)
{
	const char *separator = "";
	Dwarf_Die child;

	describe_target(out, type, true, depth);
	kc_buf_append_str(out, " (");
	if (dwarf_child(type, &child) == 0) {
		do {
			int tag = dwarf_tag(&child);

			if (tag != DW_TAG_formal_parameter && tag != DW_TAG_unspecified_parameters)
				continue;
			kc_buf_append_str(out, separator);
			separator = ", ";
			if (tag == DW_TAG_formal_parameter)
				describe_target(out, &child, true, depth);
			else
				kc_buf_append_str(out, "...");
		} while (dwarf_siblingof(&child, &child) == 0);
	}
	kc_buf_append_str(out, ")");
}

/* `by_value`: its size and content matter, as they do not behind a pointer. */
static void describe(struct kc_buf *out, Dwarf_Die *type, bool by_value, int depth)
{
	Dwarf_Die anonymous;
	int tag = dwarf_tag(type);

	if (depth > MAX_DEPTH) {
		kc_buf_append_str(out, "...");
	} else if (is_qualifier(tag)) {
		describe_target(out, type, by_value, depth);
	} else if (tag == DW_TAG_typedef) {
		if (diff_is_typedef_of_anonymous(type, &anonymous) && !by_value)
			kc_buf_append_str(out, name_of(type));
		else
			describe_target(out, type, by_value, depth);
	} else if (is_aggregate(tag)) {
		describe_aggregate(out, type, by_value, depth);
	} else if (tag == DW_TAG_array_type) {
		describe_array(out, type, by_value, depth);
	} else if (tag == DW_TAG_subroutine_type || tag == DW_TAG_subprogram) {
		describe_function(out, type, depth);
	} else if (tag == DW_TAG_base_type || tag == DW_TAG_unspecified_type) {
		kc_buf_append_str(out, name_of(type));
	} else { /* pointers of all kinds */
		describe_target(out, type, false, depth);
		kc_buf_append_str(out, tag == DW_TAG_reference_type	     ? " &"
				       : tag == DW_TAG_rvalue_reference_type ? " &&"
				       : tag == DW_TAG_pointer_type	     ? " *"
									     : " ::*");
	}
}

void diff_describe_type(struct kc_buf *out, Dwarf_Die *type)
{
	describe(out, type, true, 0);
}

/* Steps to the next member at or behind `*die`. */
static bool skip_to_member(Dwarf_Die *die, bool has_die)
{
	while (has_die && !is_member(die))
		has_die = dwarf_siblingof(die, die) == 0;
	return has_die;
}

static void describe_changed_member(struct kc_buf *out, Dwarf_Die *orig, Dwarf_Die *patched)
{
	int64_t from = number(orig, DW_AT_data_member_location, 0);
	int64_t to = number(patched, DW_AT_data_member_location, 0);
	kc_autobuf struct kc_buf old = { 0 }, new = { 0 };

	describe_member(&old, orig, 0);
	describe_member(&new, patched, 0);
	if (old.failed || new.failed)
		out->failed = true;
	else if (strcmp(old.data, new.data) == 0)
		return;
	else if (from != to)
		kc_buf_printf(out, "member %s moved from offset %ld to %ld", name_of(patched), (long)from, (long)to);
	else
		kc_buf_printf(out, "member %s was \"%s\", is \"%s\"", name_of(patched), old.data, new.data);
}

/* New enumerators behind or between the old ones are fine as long as those keep their values. */
static bool skip_new_enumerators(const char *name, Dwarf_Die *patched)
{
	while (strcmp(name_of(patched), name) != 0)
		if (dwarf_siblingof(patched, patched) != 0)
			return false;
	return true;
}

/* The first difference in the members, in order. */
static void describe_member_difference(struct kc_buf *out, Dwarf_Die *orig, Dwarf_Die *patched)
{
	Dwarf_Die a, b;
	bool has_a = skip_to_member(&a, dwarf_child(orig, &a) == 0);
	bool has_b = skip_to_member(&b, dwarf_child(patched, &b) == 0);

	while (has_a && has_b && out->size == 0) {
		bool is_enumerator = dwarf_tag(&a) == DW_TAG_enumerator;

		if (is_enumerator && !skip_new_enumerators(name_of(&a), &b)) {
			kc_buf_printf(out, "%s is gone", name_of(&a));
			return;
		}
		if (strcmp(name_of(&a), name_of(&b)) != 0) {
			kc_buf_printf(out, "member %s is where %s was", name_of(&b), name_of(&a));
			return;
		}
		describe_changed_member(out, &a, &b);
		has_a = skip_to_member(&a, dwarf_siblingof(&a, &a) == 0);
		has_b = skip_to_member(&b, dwarf_siblingof(&b, &b) == 0);
	}
	if (out->size)
		return;
	if (has_a)
		kc_buf_printf(out, "member %s is gone", name_of(&a));
	else if (has_b && dwarf_tag(&b) != DW_TAG_enumerator)
		kc_buf_printf(out, "member %s is new", name_of(&b));
}

void diff_describe_difference(struct kc_buf *out, Dwarf_Die *orig, Dwarf_Die *patched)
{
	int64_t from = number(orig, DW_AT_byte_size, 0), to = number(patched, DW_AT_byte_size, 0);

	describe_member_difference(out, orig, patched);
	if (from != to)
		kc_buf_printf(out, "%sits size changed from %ld to %ld bytes", out->size ? ", " : "", (long)from,
			      (long)to);
}
