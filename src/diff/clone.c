/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decides what the patch carries: changed functions, new functions that can be reached, and what those need and the
 * running program does not have. Everything else is referred to where it is.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>

struct worklist {
	struct kc_diff_item **items;
	size_t n;
};

static void add(struct worklist *worklist, struct kc_diff_item *item)
{
	if (item->clone)
		return;
	item->clone = true;
	worklist->items[worklist->n++] = item;
}

/* Another object of the same program may refer to a new global thing. A COMDAT one is there, too, if it is used. */
static bool is_root(const struct kc_diff_item *item)
{
	if (item->is_root || (item->is_function && item->symbol && item->state == KC_DIFF_CHANGED))
		return true;
	return item->state == KC_DIFF_NEW && item->symbol && item->symbol->bind != STB_LOCAL && !item->is_literal &&
	       !(item->section && item->section->group);
}

static bool is_needed(const struct kc_diff_item *item)
{
	if (item->is_literal || item->state == KC_DIFF_NEW)
		return true;
	return item->state == KC_DIFF_CHANGED &&
	       (item->is_function || (item->is_readonly && item->symbol && item->symbol->bind == STB_LOCAL));
}

/* Jump tables and exception tables point into functions, not at their entries. */
static bool takes_address(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	if (ref->is_branch || !ref->item->is_function || ref->item == from || ref->item->is_fragment)
		return false;
	return !from->is_literal || ref->offset == 0;
}

static void follow(struct worklist *worklist, struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];

		if (!ref->item)
			continue;
		if (takes_address(item, ref))
			ref->item->address_taken = true;
		if (is_needed(ref->item))
			add(worklist, ref->item);
	}
	for (size_t i = 0; i < item->n_entries; i++)
		for (size_t j = 0; j < item->entries[i].n_refs; j++) {
			struct kc_diff_item *target = item->entries[i].refs[j].item;

			if (target && is_needed(target))
				add(worklist, target);
		}
	if (item->lsda)
		add(worklist, item->lsda);
	if (item->is_fragment && item->parent)
		add(worklist, item->parent);
}

static void count(struct kc_diff *diff)
{
	for (size_t i = 0; i < diff->n_items; i++) {
		const struct kc_diff_item *item = &diff->items[i];

		if (!item->clone || !item->is_function || item->is_fragment)
			continue;
		diff->n_changed_functions += item->state == KC_DIFF_CHANGED;
		diff->n_new_functions += item->state == KC_DIFF_NEW;
	}
}

struct kc_error *diff_clone(struct diff_run *run)
{
	struct diff_object *object = &run->patched;
	kc_autofree struct kc_diff_item **items = calloc(object->n_items + 1, sizeof(struct kc_diff_item *));
	struct worklist worklist = { .items = items };

	if (!items)
		return kc_error_no_memory();
	for (size_t i = 0; i < object->n_items; i++)
		if (is_root(&object->items[i]))
			add(&worklist, &object->items[i]);
	for (size_t i = 0; i < worklist.n; i++)
		follow(&worklist, worklist.items[i]);
	count(&run->diff);
	return NULL;
}
