/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables and sections of kernel objects as the compiler makes them, before objtool. Formats: arch/x86/include/asm/
 * {alternative,paravirt,bug,asm,jump_label,static_call}.h and include/linux/objtool.h of each series.
 */
#include "target/kernel/kernel_tables.h"

#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_rules.h"

#define ABSENT 0xffffffff

/* Each is one field that names code: absolute or relative, 4 or 8 bytes, as the series likes it. */
static const char *const simple_tables[] = {
	".smp_locks",
	"__patchable_function_entries",
	/* read by objtool */
	".discard.reachable",
	".discard.unreachable",
	".discard.retpoline_safe",
	".discard.noendbr",
	".discard.ibt_endbr_noseal",
	".discard.instr_begin",
	".discard.instr_end",
	".discard.ignore_alts",
	".discard.intra_function_calls",
	".discard.validate_unret",
	".discard.func_stack_frame_non_standard",
};

static const struct kc_diff_own_data own_data[] = {
	/* struct _ddebug: lineno and class_id are bit fields in the 3 bytes after four pointers */
	{ .section = "__dyndbg", .ignored_offset = 32, .ignored_size = 3 },
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* Not tables: those are looked for first. */
static bool is_ignored(const struct kc_elf_section *section)
{
	static const char *const names[] = { ".modinfo", ".discard", "_kprobe_blacklist", "_error_injection_whitelist",
					     ".printk_index" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (strcmp(section->name, names[i]) == 0)
			return true;
	return starts_with(section->name, ".discard.");
}

static bool is_snippets(const struct kc_elf_section *section)
{
	return strcmp(section->name, ".altinstr_replacement") == 0 || strcmp(section->name, ".altinstr_aux") == 0;
}

static bool is_root(const struct kc_elf_section *section)
{
	return starts_with(section->name, ".kcare.");
}

/* Flags and rate limits of WARN_ONCE(), pr_…_once(), pr_…_ratelimited(): at worst a message shows once more. */
static bool is_disposable(const char *base_name)
{
	static const char *const names[] = { "__already_done", "__warned", "__print_once", "_rs", "__key" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (strcmp(base_name, names[i]) == 0)
			return true;
	return false;
}

/* __UNIQUE_ID() and BTF_ID() end in a number of __COUNTER__. */
static size_t name_length(const char *name)
{
	size_t length = strlen(name);

	if (!starts_with(name, "__UNIQUE_ID_") && !starts_with(name, "__BTF_ID__"))
		return length;
	while (length > 0 && name[length - 1] >= '0' && name[length - 1] <= '9')
		length--;
	return length;
}

static void add_table(struct kc_diff_options *options, struct kc_kernel_diff *target, const struct kc_diff_table *table)
{
	if (table->entry_size != ABSENT)
		target->tables[options->n_tables++] = *table;
}

static void add_tables(struct kc_diff_options *options, struct kc_kernel_diff *target)
{
	const struct kc_kernel_layout *layout = target->layout;
	bool has_line = layout->bug_entry_line != ABSENT;
	const struct kc_diff_table tables[] = {
		{ .section = "__mcount_loc", .is_entry_site = true },
		{ .section = ".altinstructions",
		  .entry_size = layout->alt_instr_size,
		  .snippet_offset = 4,
		  .length_offset = layout->alt_instr_size - 1 },
		{ .section = ".parainstructions", .entry_size = layout->paravirt_site_size },
		{ .section = "__bug_table",
		  .entry_size = layout->bug_entry_size,
		  .ignored_offset = has_line ? layout->bug_entry_line : 0,
		  .ignored_size = has_line ? 2 : 0 },
		{ .section = "__ex_table", .entry_size = layout->extable_size },
		{ .section = "__jump_table",
		  .entry_size = layout->jump_entry_size,
		  .owner_offset = layout->jump_entry_code },
		{ .section = ".static_call_tramp_key", .entry_size = 8 },
		{ .section = ".discard.unwind_hints", .entry_size = 12 },
		{ .section = ".discard.annotate_insn", .entry_size = 8 },
	};
	_Static_assert(KC_ARRAY_SIZE(tables) + KC_ARRAY_SIZE(simple_tables) <= KC_KERNEL_MAX_TABLES, "too many tables");

	for (size_t i = 0; i < KC_ARRAY_SIZE(tables); i++)
		add_table(options, target, &tables[i]);
	for (size_t i = 0; i < KC_ARRAY_SIZE(simple_tables); i++)
		add_table(options, target, &(struct kc_diff_table){ .section = simple_tables[i] });
}

void kc_kernel_diff_options(struct kc_kernel_diff *target, struct kc_diff_options *options)
{
	*options = (struct kc_diff_options){
		.allowed = target->allowed,
		.is_exported = kernel_is_exported,
		.data = target,
		.tables = target->tables,
		.own_data = own_data,
		.n_own_data = KC_ARRAY_SIZE(own_data),
		.is_snippets = is_snippets,
		.is_ignored = is_ignored,
		.is_root = is_root,
		.is_disposable = is_disposable,
		.name_length = name_length,
		.check = kernel_check_item,
		.is_kernel = true,
	};
	add_tables(options, target);
}
