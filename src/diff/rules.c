/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules: changes that cannot be made safely in a living program, each with its reason and a way out. What each
 * rule means is in docs/refusals.md; struct-layout and function-abi are in layout.c.
 */
#include "diff/diff_internal.h"

#include <ctype.h>
#include <string.h>

bool diff_is_allowed(const struct diff_run *run, const char *rule)
{
	if (!run->options || !run->options->allowed)
		return false;
	for (const char *const *allowed = run->options->allowed; *allowed; allowed++)
		if (strcmp(*allowed, rule) == 0)
			return true;
	return false;
}

/* A refusal, unless it is allowed: then NULL. */
#define REFUSE(run, rule, ...)                                     \
	do {                                                       \
		if (!diff_is_allowed((run), (rule)))               \
			return kc_error_rule((rule), __VA_ARGS__); \
	} while (0)

struct kc_error *diff_check_input(const struct diff_run *run)
{
	const struct kc_elf *elfs[] = { run->diff.orig, run->diff.patched };

	for (int i = 0; i < 2; i++)
		for (size_t j = 1; j < elfs[i]->n_sections; j++)
			if (strncmp(elfs[i]->sections[j].name, ".gnu.lto_", strlen(".gnu.lto_")) == 0)
				REFUSE(run, "lto",
				       "%s holds link-time optimisation code: the program's functions are made by the "
				       "linker, "
				       "not found in objects; such packages cannot be patched yet",
				       elfs[i]->name);
	return NULL;
}

static bool is_local_constant(const struct kc_diff_item *item)
{
	return item->is_readonly && item->symbol && item->symbol->bind == STB_LOCAL;
}

/* The linker gathers sections with names like C identifiers into tables (__start_NAME): nothing refers to an entry. */
static bool is_table_entry(const struct kc_diff_item *item)
{
	return item->section && (isalpha((unsigned char)item->section->name[0]) || item->section->name[0] == '_');
}

static struct kc_error *check_data(const struct diff_run *run, const struct kc_diff_item *item)
{
	const char *name = kc_diff_item_name(item);

	if (item->state == KC_DIFF_NEW && is_table_entry(item))
		REFUSE(run, "data-changed",
		       "%s: a new entry of the table %s, which the running program has read already", name,
		       item->section->name);
	if (item->state != KC_DIFF_CHANGED)
		return NULL;
	if (is_local_constant(item))
		return NULL;
	REFUSE(run, "data-changed",
	       "%s: %s; the running program has its own copy, in use; leave it and set the new value in code, or use a "
	       "new variable",
	       name, item->reason);
	return NULL;
}

/* A changed constant is cloned for the code that uses it; other data would go on pointing to the old one. */
static struct kc_error *check_constant_users(const struct diff_run *run, const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_item *target = item->refs[i].item;

		if (!target || target->is_literal || target->is_function || target->state != KC_DIFF_CHANGED ||
		    !is_local_constant(target))
			continue;
		REFUSE(run, "data-changed",
		       "%s: %s, and the data object %s points to it; use a new constant in the code that needs it",
		       kc_diff_item_name(target), target->reason, kc_diff_item_name(item));
	}
	return NULL;
}

static struct kc_error *check_constructors(const struct diff_run *run, const struct kc_diff_item *item)
{
	if (item->state != KC_DIFF_SAME)
		REFUSE(run, "constructor",
		       "%s: constructors or destructors were added or changed; the running program has run its own "
		       "already",
		       kc_diff_item_name(item));
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_item *target = item->refs[i].item;

		if (target && target->state == KC_DIFF_CHANGED)
			REFUSE(run, "constructor",
			       "%s: the constructor or destructor changed (%s); the running program may have run it "
			       "already; make the change where its result is used",
			       kc_diff_item_name(target), target->reason);
	}
	return NULL;
}

static struct kc_error *check_item(const struct diff_run *run, const struct kc_diff_item *item)
{
	if (diff_is_constructor_section(item->section))
		return check_constructors(run, item);
	if (item->is_tls) {
		if (item->state != KC_DIFF_SAME)
			REFUSE(run, "tls-new",
			       "%s: a thread-local variable was added or changed; running threads have no room for it",
			       kc_diff_item_name(item));
		return NULL;
	}
	if (item->is_ifunc && item->state != KC_DIFF_SAME)
		REFUSE(run, "ifunc-changed",
		       "%s: the resolver of an indirect function was added or changed; the running program has called "
		       "its "
		       "own already; change the functions that it chooses from",
		       kc_diff_item_name(item));
	if (item->is_function || item->is_literal)
		return NULL;
	KC_TRY(check_data(run, item));
	return is_local_constant(item) ? NULL : check_constant_users(run, item);
}

static struct kc_error *check_removed_constructors(const struct diff_run *run)
{
	for (size_t i = 0; i < run->orig.n_items; i++) {
		const struct kc_diff_item *item = &run->orig.items[i];

		if (diff_is_constructor_section(item->section) && !item->twin)
			REFUSE(run, "constructor",
			       "%s: constructors or destructors were removed; the running program keeps its own",
			       kc_diff_item_name(item));
	}
	return NULL;
}

struct kc_error *diff_check_changes(const struct diff_run *run)
{
	KC_TRY(check_removed_constructors(run));
	for (size_t i = 0; i < run->patched.n_items; i++)
		KC_TRY(check_item(run, &run->patched.items[i]));
	return NULL;
}

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

static struct kc_error *check_entry(const struct diff_run *run, struct kc_diff_item *orig)
{
	const char *name = kc_diff_item_name(orig);
	int jump_offset = run->arch->find_jump_offset(orig->section->data + orig->offset, orig->size);
	struct danger danger = { 0 };

	if (jump_offset < 0)
		REFUSE(run, "short-function",
		       "%s: the original has %lu bytes, the jump to its replacement needs %u; patch its callers "
		       "instead",
		       name, (unsigned long)orig->size, run->arch->jump_size);
	orig->jump_offset = jump_offset < 0 ? 0 : jump_offset;
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

struct kc_error *diff_check_clones(const struct diff_run *run)
{
	for (size_t i = 0; i < run->patched.n_items; i++) {
		const struct kc_diff_item *item = &run->patched.items[i];

		if (item->clone && item->is_function && !item->is_fragment && item->twin)
			KC_TRY(check_entry(run, item->twin));
	}
	return diff_check_layout(run);
}
