/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's own rules: what livepatch cannot replace or would never see. Each refusal has its reason and way out in
 * docs/refusals.md. The rules that hold for every kind of program are in diff/.
 */
#include "target/kernel/kernel_rules.h"

#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool is_in(const struct kc_diff_item *item, const char *section_start)
{
	return item->section && starts_with(item->section->name, section_start);
}

/* 6.1: a section ___ksymtab+NAME or ___ksymtab_gpl+NAME for each; 6.12: a label in .export_symbol. */
bool kernel_is_exported(void *data, const char *name)
{
	static const char label[] = "__export_symbol_";
	const struct kc_elf *elf = ((const struct kc_kernel_diff *)data)->orig;

	for (size_t i = 1; i < elf->n_sections; i++) {
		const char *plus = strchr(elf->sections[i].name, '+');

		if (plus && starts_with(elf->sections[i].name, "___ksymtab") && strcmp(plus + 1, name) == 0)
			return true;
	}
	for (size_t i = 1; i < elf->n_symbols; i++)
		if (starts_with(elf->symbols[i].name, label) && strcmp(elf->symbols[i].name + strlen(label), name) == 0)
			return true;
	return false;
}

static struct kc_error *check_init(const struct kc_diff *diff, const struct kc_diff_item *item)
{
	bool is_exit = is_in(item, ".exit.");

	if (!is_in(item, ".init.") && !is_exit)
		return NULL;
	if (item->state == KC_DIFF_CHANGED || item->is_unhookable || (item->clone && item->is_function))
		return kc_diff_refuse(
			diff, "init",
			"%s: %s; it is in %s, which %s; make the change in code that still runs, or in a callback of "
			"the "
			"fix (KCARE_PRE_PATCH)",
			kc_diff_item_name(item), item->reason ? item->reason : "it is new", item->section->name,
			is_exit ? "is not compiled for tracing, and not kept in a kernel image"
				: "has run and is gone once the kernel is up");
	return NULL;
}

/* Tables that the kernel reads once, when it or the module starts. */
static struct kc_error *check_start_tables(const struct kc_diff *diff, const struct kc_diff_item *item)
{
	static const struct {
		const char *section, *rule, *text;
	} tables[] = {
		{ "___ksymtab", "export-new",
		  "a newly exported symbol: a livepatch cannot export for the original; let the module that needs it "
		  "get a function of its own, or use a variable that a callback sets" },
		{ ".export_symbol", "export-new",
		  "the exported symbols changed: a livepatch cannot export for the original; let the module that needs "
		  "it get a function of its own, or use a variable that a callback sets" },
		{ ".initcall", "initcall",
		  "an initcall was added or changed, and they have run; do the work in a callback of the fix "
		  "(KCARE_PRE_PATCH)" },
		{ ".con_initcall", "initcall", "a console initcall was added or changed, and they have run" },
		{ ".pci_fixup", "initcall",
		  "a fixup of PCI devices was added or changed, and the kernel looks for fixups in its own table only; "
		  "do the work in a callback of the fix (KCARE_PRE_PATCH)" },
		{ ".lsm_info", "initcall", "a security module was added or changed, and they have started" },
		{ "__param", "param",
		  "a parameter was added or changed, and the parameters in /sys/module exist already; use a switch of "
		  "the "
		  "fix (KCARE_SWITCH)" },
		{ ".init.setup", "param",
		  "a parameter of the kernel's command line was added or changed, and that line has been read" },
	};

	if (item->state == KC_DIFF_SAME)
		return NULL;
	for (size_t i = 0; i < KC_ARRAY_SIZE(tables); i++)
		if (is_in(item, tables[i].section))
			return kc_diff_refuse(diff, tables[i].rule, "%s: %s", kc_diff_item_name(item), tables[i].text);
	return NULL;
}

static struct kc_error *check_percpu(const struct kc_diff *diff, const struct kc_diff_item *item)
{
	if (!item->clone || item->state != KC_DIFF_NEW || !is_in(item, ".data..percpu"))
		return NULL;
	return kc_diff_refuse(diff, "percpu-new",
			      "%s: a new per-CPU variable, whose values would be lost with each new level; use an "
			      "array of "
			      "nr_cpu_ids elements, or a shadow variable",
			      kc_diff_item_name(item));
}

/* What a clone refers to belongs to a module: its own, or one that it uses. */
static bool is_of_module(const struct kc_kernel_diff *target, const struct kc_diff_ref *ref)
{
	if (!target->is_module)
		return false;
	if (ref->item)
		return !ref->item->is_literal && ref->item->state != KC_DIFF_NEW;
	return target->is_in_image && !target->is_in_image(target->data, ref->rela->symbol->name);
}

static const char *name_of(const struct kc_diff_ref *ref)
{
	return ref->item ? kc_diff_item_name(ref->item) : ref->rela->symbol->name;
}

/*
 * Jump labels are set when the livepatch is loaded, the module may come later: its keys would not be found. Its
 * tracepoints stay silent in cloned code: the emitter sees to it, and warns.
 */
static struct kc_error *check_static_keys(const struct kc_kernel_diff *target, const struct kc_diff *diff,
					  const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_entries; i++) {
		const struct kc_diff_entry *entry = &item->entries[i];

		if (strcmp(entry->table->section, "__jump_table") != 0)
			continue;
		for (size_t j = 0; j < entry->n_refs; j++) {
			const struct kc_diff_ref *ref = &entry->refs[j];

			if (ref->rela->offset - entry->offset != target->layout->jump_entry_key ||
			    !is_of_module(target, ref) || starts_with(name_of(ref), "__tracepoint_"))
				continue;
			return kc_diff_refuse(diff, "static-key",
					      "%s: it branches on the static key %s of a module, which may be loaded "
					      "after "
					      "the patch; test the key with static_key_enabled() instead",
					      kc_diff_item_name(item), name_of(ref));
		}
	}
	return NULL;
}

static struct kc_error *check_static_calls(const struct kc_kernel_diff *target, const struct kc_diff *diff,
					   const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];

		if (!starts_with(name_of(ref), "__SCT__") || starts_with(name_of(ref), "__SCT__tp_func_") ||
		    !is_of_module(target, ref))
			continue;
		return kc_diff_refuse(diff, "static-call",
				      "%s: it makes the static call %s of a module, which may be loaded after the "
				      "patch; "
				      "call static_call_query(name)() instead",
				      kc_diff_item_name(item), name_of(ref) + strlen("__SCT__"));
	}
	return NULL;
}

static bool holds_functions(const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++)
		if (!item->refs[i].item || item->refs[i].item->is_function)
			return true;
	return false;
}

/*
 * A table of operations is also what an object is known by (file->f_op == &socket_file_ops). What exists when the patch
 * comes has the address of the old table, and new code would not know it.
 */
static struct kc_error *check_operations(const struct kc_diff *diff, const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];
		const struct kc_diff_item *table = ref->item;

		if (!table || table->is_function || table->is_literal || table->is_root || !table->is_readonly ||
		    table->state != KC_DIFF_CHANGED || !holds_functions(table) || !kc_kernel_keeps_address(item, ref))
			continue;
		return kc_diff_refuse(diff, "data-changed",
				      "%s: %s; it is a table of functions, and %s stores its address or compares "
				      "with it: what is in use has the old one; change the functions that it names",
				      kc_diff_item_name(table), table->reason, kc_diff_item_name(item));
	}
	return NULL;
}

/* Functions that wait as long as it takes; a mutex is only held for a moment. */
static bool is_long_sleep(const char *name)
{
	static const char *const starts[] = { "schedule_timeout",    "schedule_hrtimeout", "io_schedule",
					      "wait_for_completion", "wait_woken",	   "do_wait_intr",
					      "msleep_interruptible" };
	static const char *const names[] = { "schedule",
					     "mutex_lock_interruptible",
					     "mutex_lock_killable",
					     "down",
					     "down_interruptible",
					     "down_killable",
					     "freezable_schedule",
					     "sk_wait_data",
					     "sk_stream_wait_memory",
					     "__skb_wait_for_more_packets" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(starts); i++)
		if (starts_with(name, starts[i]))
			return true;
	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void warn_of_sleep(struct kc_ctx *ctx, const struct kc_diff_item *item)
{
	const struct kc_diff_item *running = item->twin;

	for (size_t i = 0; running && i < running->n_refs; i++) {
		const struct kc_diff_ref *ref = &running->refs[i];

		if (!ref->is_branch || !is_long_sleep(name_of(ref)))
			continue;
		kc_warning(ctx,
			   "%s calls %s: tasks asleep in it keep the patch from taking effect until they wake up; "
			   "consider to patch one of its callees instead, or apply with --freezer smart",
			   kc_diff_item_name(item), name_of(ref));
		return;
	}
}

struct kc_error *kernel_check_item(struct kc_ctx *ctx, void *data, const struct kc_diff *diff,
				   const struct kc_diff_item *item)
{
	const struct kc_kernel_diff *target = data;

	KC_TRY(check_init(diff, item));
	KC_TRY(check_start_tables(diff, item));
	KC_TRY(check_percpu(diff, item));
	if (!item->clone)
		return NULL;
	KC_TRY(check_static_keys(target, diff, item));
	KC_TRY(check_static_calls(target, diff, item));
	if (item->is_function)
		KC_TRY(check_operations(diff, item));
	if (item->state == KC_DIFF_CHANGED && item->is_function)
		warn_of_sleep(ctx, item);
	return NULL;
}
