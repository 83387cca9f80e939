/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules: changes that cannot be made safely in a living program, each with its reason and a way out. What each
 * rule means is in docs/refusals.md. What concerns the entry of a function is in entry.c, types are in layout.c.
 */
#include "diff/diff_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool diff_is_allowed(const struct diff_run *run, const char *rule)
{
	if (!run->options->allowed)
		return false;
	for (const char *const *allowed = run->options->allowed; *allowed; allowed++)
		if (strcmp(*allowed, rule) == 0)
			return true;
	return false;
}

struct kc_error *kc_diff_check_allowed(const char *const *allowed)
{
	static const char rules[] = "data-changed, struct-layout, function-abi, constructor, short-function, "
				    "entry-jump, lto, tls-new, ifunc-changed, short-branch, symbol-crc, no-fentry, "
				    "init, export-new, initcall, param, percpu-new, static-key, static-call";

	for (; allowed && *allowed; allowed++) {
		size_t size = strlen(*allowed);
		const char *found = size ? strstr(rules, *allowed) : NULL;

		if (!found || (found > rules && found[-1] != ' ') || (found[size] && found[size] != ','))
			return kc_error_new(KC_ERR_USAGE, "there is no rule '%.80s' to allow; there are %s", *allowed,
					    rules);
	}
	return NULL;
}

struct kc_error *kc_diff_refuse(const struct kc_diff *diff, const char *rule, const char *format, ...)
{
	kc_autofree char *message = NULL;
	va_list args;

	if (diff_is_allowed((const struct diff_run *)diff, rule))
		return NULL;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	return message ? kc_error_rule(rule, "%s", message) : kc_error_no_memory();
}

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
	for (size_t i = 0; i < item->n_refs; i++)
		if (item->refs[i].item && item->refs[i].item->is_unhookable)
			REFUSE(run, "no-fentry",
			       "%s changed, is not compiled for tracing (notrace, inline), and the data object %s "
			       "points to "
			       "it, so that its callers are not known; make the change in what it calls",
			       kc_diff_item_name(item->refs[i].item), name);
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
	if (item->is_function && !item->symbol && item->state != KC_DIFF_SAME)
		REFUSE(run, "data-changed",
		       "%s: code or constants that no symbol describes were added or changed; give them a symbol with "
		       "a "
		       "type and a size, or a section of their own",
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
	for (size_t i = 0; i < run->patched.n_items; i++) {
		const struct kc_diff_item *item = &run->patched.items[i];

		if (run->options->check)
			KC_TRY(run->options->check(run->ctx, run->options->data, &run->diff, item));
		if (!item->is_root)
			KC_TRY(check_item(run, item));
	}
	return NULL;
}

/* A variable of an inline function or template: whoever includes its header shares it. */
static struct kc_error *check_shared_variable(const struct diff_run *run, const struct kc_diff_item *item)
{
	if (item->state != KC_DIFF_NEW || item->is_function || item->is_literal || item->is_readonly ||
	    !item->section || !item->section->group)
		return NULL;
	REFUSE(run, "data-changed",
	       "%s: a variable of an inline function or template, which the running program may have already; do not "
	       "use "
	       "it in new code",
	       kc_diff_item_name(item));
	return NULL;
}

/* The assembler chose a branch that reaches 127 bytes, because the target is a neighbour. A clone has none. */
static struct kc_error *check_branches(const struct diff_run *run, const struct kc_diff_item *item)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];

		if (!ref->is_branch || ref->item == item || kc_elf_rela_size(ref->rela->type) != 1)
			continue;
		REFUSE(run, "short-branch",
		       "%s: it jumps to %s beside it with an instruction that reaches 127 bytes only; make that one "
		       "static inline, or call it through a new function",
		       kc_diff_item_name(item), ref->item ? kc_diff_item_name(ref->item) : "a function");
	}
	return NULL;
}

struct kc_error *diff_check_clones(const struct diff_run *run)
{
	for (size_t i = 0; i < run->patched.n_items; i++) {
		const struct kc_diff_item *item = &run->patched.items[i];

		if (item->clone) {
			KC_TRY(check_shared_variable(run, item));
			KC_TRY(check_branches(run, item));
		}
		if (item->clone && item->is_function && !item->is_fragment && item->twin)
			KC_TRY(diff_check_entry(run, item->twin));
	}
	return diff_check_layout(run);
}
