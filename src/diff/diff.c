/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of the passes, and what the caller may ask of the result. */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

static void free_object(struct diff_object *object)
{
	for (size_t i = 0; i < object->n_items; i++) {
		for (size_t j = 0; j < object->items[i].n_entries; j++)
			free(object->items[i].entries[j].refs);
		free(object->items[i].entries);
		free(object->items[i].refs);
	}
	for (size_t i = 0; i < object->n_made_relas; i++)
		free(object->made_relas[i]);
	free(object->made_relas);
	free(object->items);
	free(object->by_symbol);
	free(object->first_item);
	diff_dwarf_free(object->dwarf);
}

void kc_diff_free(struct kc_diff *diff)
{
	struct diff_run *run = (struct diff_run *)diff;

	if (!run)
		return;
	free_object(&run->orig);
	free_object(&run->patched);
	free(run);
}

/* What is known of an object before it is compared. */
static struct kc_error *read_object(const struct diff_run *run, struct diff_object *object)
{
	KC_TRY(diff_cut(object, run->arch));
	KC_TRY(diff_read_references(object, run->arch));
	KC_TRY(diff_read_entries(object));
	return diff_dwarf_open(object->elf, &object->dwarf);
}

static void publish(struct diff_run *run)
{
	run->diff.orig_items = run->orig.items;
	run->diff.n_orig_items = run->orig.n_items;
	run->diff.items = run->patched.items;
	run->diff.n_items = run->patched.n_items;
}

static void log_items(const struct diff_run *run)
{
	static const char *const states[] = { "same", "changed", "new" };

	for (size_t i = 0; i < run->patched.n_items; i++) {
		const struct kc_diff_item *item = &run->patched.items[i];

		if (item->clone)
			kc_debug(run->ctx, "%s: %s%s%s", kc_diff_item_name(item), states[item->state],
				 item->reason ? ": " : "", item->reason ? item->reason : "");
	}
}

static struct kc_error *run_passes(struct diff_run *run)
{
	KC_TRY(diff_check_input(run));
	KC_TRY(read_object(run, &run->orig));
	KC_TRY(read_object(run, &run->patched));
	KC_TRY(diff_correlate(run));
	KC_TRY(diff_compare(run));
	publish(run);
	KC_TRY(diff_clone(run));
	KC_TRY(diff_check_changes(run));
	if (run->diff.n_changed_functions + run->diff.n_new_functions == 0)
		return kc_error_new(KC_ERR_NO_CHANGE, "%s: no function changes", run->diff.patched->name);
	KC_TRY(diff_check_clones(run));
	log_items(run);
	return NULL;
}

struct kc_error *kc_diff_objects(struct kc_ctx *ctx, struct kc_elf *orig, struct kc_elf *patched,
				 const struct kc_diff_options *options, struct kc_diff **diff)
{
	static const struct kc_diff_options no_options;
	struct diff_run *run = calloc(1, sizeof(*run));
	kc_autodiff struct kc_diff *owned = (struct kc_diff *)run;

	if (!run)
		return kc_error_no_memory();
	run->ctx = ctx;
	run->options = run->orig.options = run->patched.options = options ? options : &no_options;
	run->arch = diff_arch_x86_64();
	run->orig.elf = run->diff.orig = orig;
	run->patched.elf = run->diff.patched = patched;
	KC_TRY(run_passes(run));
	*diff = kc_steal(owned);
	return NULL;
}

struct kc_diff_item *kc_diff_item_at(const struct kc_diff *diff, const struct kc_elf_symbol *symbol, int64_t addend)
{
	const struct diff_run *run = (const struct diff_run *)diff;
	int64_t unused;

	return diff_find_item(&run->patched, symbol, addend, &unused);
}

const struct kc_diff_entry *kc_diff_entry_find(const struct kc_diff_item *item, const char *section)
{
	for (size_t i = 0; i < item->n_entries; i++)
		if (strcmp(item->entries[i].table->section, section) == 0)
			return &item->entries[i];
	return NULL;
}

const char *kc_diff_item_name(const struct kc_diff_item *item)
{
	return item->symbol ? item->symbol->name : item->section->name;
}
