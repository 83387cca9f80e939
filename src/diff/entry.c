/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules short-function and entry-jump: can a jump be written to the start of the original function? */
#include "diff/diff_internal.h"

/* Bytes that the jump overwrites, less the first: entering there would run half a jump. */
struct danger {
	int64_t from, to;
	bool is_hit;
};

static void check_target(struct danger *danger, int64_t target)
{
	danger->is_hit |= target >= danger->from && target < danger->to;
}

static void check_direct_jumps(const struct diff_run *run, const struct kc_diff_item *function, struct danger *danger)
{
	const uint8_t *code = function->section->data + function->offset;
	struct diff_insn insn;

	for (uint64_t at = 0; at < function->size; at += insn.size) {
		if (!run->arch->decode(code, function->size, at, &insn))
			return;
		if (insn.has_target)
			check_target(danger, insn.target);
	}
}

/* Entries of position-independent tables count from the table's start, which the code refers to. */
static void check_jump_table(const struct kc_diff_item *function, const struct kc_diff_item *table,
			     const struct kc_diff_item *user, struct danger *danger)
{
	for (size_t i = 0; i < table->n_refs; i++) {
		const struct kc_diff_ref *entry = &table->refs[i];
		int64_t place = (int64_t)(entry->rela->offset - table->offset), start = -1;

		if (entry->item != function)
			continue;
		if (kc_elf_rela_size(entry->rela->type) == 8) {
			check_target(danger, entry->offset);
			continue;
		}
		for (size_t j = 0; j < user->n_refs; j++)
			if (user->refs[j].item == table && user->refs[j].offset <= place &&
			    user->refs[j].offset > start)
				start = user->refs[j].offset;
		if (start >= 0)
			check_target(danger, entry->offset - (place - start));
	}
}

/* Jumps from the function itself or its fragment `from`. */
static void check_jumps_from(const struct kc_diff_item *function, const struct kc_diff_item *from,
			     struct danger *danger)
{
	for (size_t i = 0; i < from->n_refs; i++) {
		const struct kc_diff_ref *ref = &from->refs[i];

		if (ref->item == function && ref->is_branch)
			check_target(danger, ref->offset);
		else if (ref->item && ref->item->is_literal)
			check_jump_table(function, ref->item, from, danger);
	}
}

/* The jump at its start would leave the others behind. */
static struct kc_error *check_other_entries(const struct diff_run *run, const struct kc_diff_item *orig)
{
	for (size_t i = 1; i < run->orig.elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &run->orig.elf->symbols[i];

		if (run->orig.by_symbol[i] == orig && symbol->value != orig->offset)
			REFUSE(run, "entry-jump",
			       "%s has a second entry, %s, which would go on running the original; patch its callers "
			       "instead",
			       kc_diff_item_name(orig), symbol->name);
	}
	return NULL;
}

bool diff_has_entry_site(const struct kc_diff_item *function)
{
	for (size_t i = 0; i < function->n_entries; i++)
		if (function->entries[i].table->is_entry_site)
			return true;
	return false;
}

static struct kc_error *check_entry_site(const struct diff_run *run, const struct kc_diff_item *orig)
{
	if (diff_has_entry_site(orig))
		return NULL;
	REFUSE(run, "no-fentry",
	       "%s cannot be replaced: it is not compiled for tracing (notrace, noinstr, or hand-written); patch its "
	       "callers instead",
	       kc_diff_item_name(orig));
	return NULL;
}

struct kc_error *diff_check_entry(const struct diff_run *run, struct kc_diff_item *orig)
{
	const char *name = kc_diff_item_name(orig);
	int jump_offset = run->arch->find_jump_offset(orig->section->data + orig->offset, orig->size);
	struct danger danger = { 0 };

	if (run->options->is_kernel)
		return check_entry_site(run, orig);
	if (jump_offset < 0)
		REFUSE(run, "short-function",
		       "%s: the original has %lu bytes, the jump to its replacement needs %u; patch its callers "
		       "instead",
		       name, (unsigned long)orig->size, run->arch->jump_size);
	orig->jump_offset = jump_offset < 0 ? 0 : jump_offset;
	KC_TRY(check_other_entries(run, orig));
	danger.from = orig->jump_offset + 1;
	danger.to = orig->jump_offset + run->arch->jump_size;
	check_direct_jumps(run, orig, &danger);
	check_jumps_from(orig, orig, &danger);
	for (size_t i = 0; i < run->orig.n_items; i++)
		if (run->orig.items[i].is_fragment && run->orig.items[i].parent == orig)
			check_jumps_from(orig, &run->orig.items[i], &danger);
	if (danger.is_hit)
		REFUSE(run, "entry-jump",
		       "%s: the original jumps back into its first %ld bytes, which the jump to its replacement "
		       "overwrites; patch its callers instead",
		       name, (long)danger.to);
	return NULL;
}
