/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares twins: bytes modulo relocations, and each relocation by what it points to. Pointing to twins with equal
 * offsets is equal, and so is pointing to literals of equal content, wherever they lie.
 */
#include "diff/diff_internal.h"

#include <string.h>

/* Literals point to literals only in tables of strings: deeper chains count as different. */
#define MAX_DEPTH 8

static bool items_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched, int depth);

static const char *bytes_of(const struct kc_diff_item *item)
{
	return item->section && item->section->data ? (const char *)item->section->data + item->offset : NULL;
}

/* The string of characters of `width` bytes at `offset`; its size with the terminator, or 0 when it has none. */
static uint64_t string_size(const struct kc_diff_item *item, int64_t offset, uint64_t width)
{
	static const char zeros[8];
	const char *bytes = bytes_of(item);

	if (offset < 0 || width == 0 || width > sizeof(zeros))
		return 0;
	for (uint64_t at = offset; at + width <= item->size; at += width)
		if (memcmp(bytes + at, zeros, width) == 0)
			return at + width - offset;
	return 0;
}

/* Content of a mergeable section, at the place that is pointed to. */
static bool merged_equal(const struct kc_diff_item *orig, int64_t orig_offset, const struct kc_diff_item *patched,
			 int64_t patched_offset)
{
	uint64_t width = orig->section->entsize, size;

	if (orig->section->flags & SHF_STRINGS) {
		size = string_size(orig, orig_offset, width);
		return size > 0 && size == string_size(patched, patched_offset, width) &&
		       memcmp(bytes_of(orig) + orig_offset, bytes_of(patched) + patched_offset, size) == 0;
	}
	if (width == 0 || orig_offset < 0 || patched_offset < 0)
		return false;
	if (orig_offset % width != patched_offset % width)
		return false;
	orig_offset -= orig_offset % width;
	patched_offset -= patched_offset % width;
	return orig_offset + width <= orig->size && patched_offset + width <= patched->size &&
	       memcmp(bytes_of(orig) + orig_offset, bytes_of(patched) + patched_offset, width) == 0;
}

static bool literals_equal(const struct kc_diff_ref *orig, const struct kc_diff_ref *patched, int depth)
{
	const uint64_t merge_flags = SHF_MERGE | SHF_STRINGS;
	const struct kc_diff_item *a = orig->item, *b = patched->item;

	if (!a->section || !b->section || a->section->entsize != b->section->entsize ||
	    (a->section->flags & merge_flags) != (b->section->flags & merge_flags))
		return false;
	if ((a->section->flags & SHF_MERGE) && !a->n_refs && !b->n_refs && bytes_of(a) && bytes_of(b))
		return merged_equal(a, orig->offset, b, patched->offset);
	return orig->offset == patched->offset && items_equal(a, b, depth + 1);
}

static bool targets_equal(const struct kc_diff_ref *orig, const struct kc_diff_ref *patched, int depth)
{
	if (!orig->item && !patched->item)
		return orig->offset == patched->offset &&
		       strcmp(orig->rela->symbol->name, patched->rela->symbol->name) == 0;
	if (!orig->item || !patched->item)
		return false;
	if (orig->item->is_literal && patched->item->is_literal)
		return literals_equal(orig, patched, depth);
	return patched->item->twin == orig->item && orig->offset == patched->offset;
}

/* The same relocations at the same places. */
static bool shapes_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	if (orig->size != patched->size || orig->n_refs != patched->n_refs)
		return false;
	for (size_t i = 0; i < orig->n_refs; i++) {
		const struct kc_elf_rela *a = orig->refs[i].rela, *b = patched->refs[i].rela;

		if (a->type != b->type || a->offset - orig->offset != b->offset - patched->offset)
			return false;
	}
	return true;
}

/* Bytes `from` to `to`, without those that the item itself says do not count. */
static bool range_equal(const struct kc_diff_item *item, const char *a, const char *b, uint64_t from, uint64_t to)
{
	uint64_t ignored_end = (uint64_t)item->ignored_offset + item->ignored_size;

	if (from >= to)
		return true;
	if (item->ignored_size == 0 || ignored_end <= from || item->ignored_offset >= to)
		return memcmp(a + from, b + from, to - from) == 0;
	if (from < item->ignored_offset && memcmp(a + from, b + from, item->ignored_offset - from) != 0)
		return false;
	return to <= ignored_end || memcmp(a + ignored_end, b + ignored_end, to - ignored_end) == 0;
}

/* For items of equal shape. What a relocation overwrites does not count. */
static bool bytes_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	const char *a = bytes_of(orig), *b = bytes_of(patched);
	uint64_t at = 0;

	if (!a || !b)
		return a == b;
	for (size_t i = 0; i < orig->n_refs; i++) {
		uint64_t place = orig->refs[i].rela->offset - orig->offset;

		if (!range_equal(orig, a, b, at, place))
			return false;
		place += kc_elf_rela_size(orig->refs[i].rela->type);
		if (place > at)
			at = place;
	}
	return range_equal(orig, a, b, at, orig->size);
}

bool diff_targets_equal(const struct kc_diff_ref *orig, const struct kc_diff_ref *patched)
{
	return targets_equal(orig, patched, 0);
}

static bool all_targets_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched, int depth)
{
	for (size_t i = 0; i < orig->n_refs; i++)
		if (!targets_equal(&orig->refs[i], &patched->refs[i], depth))
			return false;
	return true;
}

static bool items_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched, int depth)
{
	return depth < MAX_DEPTH && shapes_equal(orig, patched) && bytes_equal(orig, patched) &&
	       all_targets_equal(orig, patched, depth);
}

bool diff_contents_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	return items_equal(orig, patched, 0);
}

static bool exception_tables_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	if (!orig->lsda || !patched->lsda)
		return orig->lsda == patched->lsda;
	return items_equal(orig->lsda, patched->lsda, 0);
}

/* NULL when `patched` equals its twin, else what differs. */
static const char *find_difference(const struct diff_run *run, const struct kc_diff_item *patched)
{
	const struct kc_diff_item *orig = patched->twin;

	if (orig->is_ifunc != patched->is_ifunc)
		return "it became, or is no longer, an indirect function";
	if (!orig->is_function && orig->is_readonly != patched->is_readonly)
		return "it became writable or read-only";
	if (orig->size != patched->size)
		return "its size differs";
	if (!shapes_equal(orig, patched))
		return orig->is_function ? "its code differs" : "its pointers differ";
	if (!bytes_equal(orig, patched) && !(orig->is_function && diff_only_lines_differ(run, orig, patched)))
		return orig->is_function ? "its code differs" : "its content differs";
	if (!all_targets_equal(orig, patched, 0))
		return orig->is_function ? "it refers to other functions, data or constants" : "its pointers differ";
	if (!exception_tables_equal(orig, patched))
		return "its exception table differs";
	if (!diff_entries_equal(orig, patched))
		return "what annotates its code differs";
	return NULL;
}

static bool mark(struct kc_diff_item *item, const char *reason)
{
	if (item->state != KC_DIFF_SAME)
		return false;
	item->state = KC_DIFF_CHANGED;
	item->reason = reason;
	return true;
}

/* A changed constant that can be cloned: code that uses it must be replaced to see the new one. */
static bool refers_to_changed_constant(const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_item *target = item->refs[i].item;

		if (target && !target->is_function && !target->is_literal && target->is_readonly && target->symbol &&
		    target->symbol->bind == STB_LOCAL && target->state == KC_DIFF_CHANGED)
			return true;
	}
	return false;
}

/* `inline` functions that the compiler did not inline: kernels do not compile them for tracing. */
static bool is_unhookable(const struct diff_run *run, const struct kc_diff_item *item)
{
	return run->options->is_kernel && item->is_function && !item->is_fragment && item->state == KC_DIFF_CHANGED &&
	       item->twin && item->symbol->bind == STB_LOCAL && item->twin->symbol->bind == STB_LOCAL &&
	       !diff_has_entry_site(item->twin);
}

/* Such a function is new code for its callers, all of which are in this object: they count as changed. */
static bool separate(struct diff_run *run)
{
	bool any = false;

	for (size_t i = 0; i < run->patched.n_items; i++) {
		struct kc_diff_item *item = &run->patched.items[i];

		if (!is_unhookable(run, item))
			continue;
		item->twin->twin = NULL;
		item->twin = NULL;
		item->state = KC_DIFF_NEW;
		item->is_unhookable = any = true;
	}
	return any;
}

/* Changes of one item that make another one change. True when there were any. */
static bool propagate(struct diff_run *run)
{
	bool any = false;

	for (size_t i = 0; i < run->patched.n_items; i++) {
		struct kc_diff_item *item = &run->patched.items[i];

		if (item->is_fragment && item->parent) {
			if (item->state != KC_DIFF_SAME)
				any |= mark(item->parent, "a part split off it differs");
			if (item->parent->state != KC_DIFF_SAME)
				any |= mark(item, "the function that it was split off differs");
		}
		if ((item->is_function || item->is_readonly) && refers_to_changed_constant(item))
			any |= mark(item, "it refers to a changed constant");
	}
	return any;
}

struct kc_error *diff_compare(struct diff_run *run)
{
	do {
		for (size_t i = 0; i < run->patched.n_items; i++) {
			struct kc_diff_item *item = &run->patched.items[i];
			bool is_open = item->twin && item->state == KC_DIFF_SAME;
			const char *difference = is_open ? find_difference(run, item) : NULL;

			if (difference)
				mark(item, difference);
		}
		while (propagate(run))
			;
	} while (separate(run));
	return NULL;
}
