/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why a section of a plain object has no place: the object is not part of the file, or it is and differs. */
#include <stdlib.h>

#include "target/kernel/kernel_placer.h"

#define ADVICE "check that the compiler, the configuration and the source are those that %s was built with"

/* The place that most names of a section agree on. */
struct census {
	uint64_t place;
	size_t n_names, n_there;
	const struct kc_elf_symbol *missing; /* the first name that is not there */
};

static size_t count_there(const struct kc_kernel_placer *p, const struct kc_elf_section *section, uint64_t place,
			  struct census *census)
{
	size_t n = 0;

	census->missing = NULL;
	census->n_names = 0;
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (symbol->section != section || !kc_kernel_is_landmark(symbol) || kc_kernel_is_weak(symbol))
			continue;
		census->n_names++;
		if (kc_space_symbol(p->object, symbol->name, place + symbol->value))
			n++;
		else if (!census->missing || symbol->value < census->missing->value)
			census->missing = symbol;
	}
	return n;
}

/* Each name proposes places until one has more than half of all names. */
static void take_census(const struct kc_kernel_placer *p, const struct kc_elf_section *section, struct census *best)
{
	*best = (struct census){ .place = KC_NO_PLACE };
	for (size_t i = 1; i < p->plain->n_symbols && best->n_there * 2 <= best->n_names; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];
		const struct kc_kernel_symbol *theirs;

		if (symbol->section != section || !kc_kernel_is_landmark(symbol) || kc_kernel_is_weak(symbol))
			continue;
		theirs = kc_kernel_symbol_find(p->object, symbol->name);
		for (; theirs; theirs = kc_kernel_symbol_next(p->object, theirs)) {
			struct census census = { .place = kc_space_place(p->object, theirs) - symbol->value };

			census.n_there = count_there(p, section, census.place, &census);
			if (census.n_there > best->n_there)
				*best = census;
		}
	}
}

/* True when the shipped file has most of the object's names, wherever. */
static bool is_part(const struct kc_kernel_placer *p)
{
	size_t n_names = 0, n_known = 0;

	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (!kc_kernel_is_landmark(symbol) || kc_kernel_is_weak(symbol))
			continue;
		n_names++;
		n_known += kc_kernel_symbol_find(p->object, symbol->name) != NULL;
	}
	return n_known * 2 > n_names;
}

static const struct kc_elf_symbol *function_at(const struct kc_elf *elf, const struct kc_elf_section *section,
					       uint64_t offset)
{
	const struct kc_elf_symbol *found = NULL;

	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (symbol->section == section && symbol->type != STT_SECTION && symbol->name[0] &&
		    symbol->value <= offset && (!found || symbol->value >= found->value))
			found = symbol;
	}
	return found;
}

static void print_bytes(const uint8_t *bytes, size_t n, struct kc_buf *text)
{
	for (size_t i = 0; bytes && i < n; i++)
		kc_buf_printf(text, "%s%02x", i ? " " : "", bytes[i]);
	if (!bytes)
		kc_buf_append_str(text, "nothing");
}

static struct kc_error *explain_failure(const struct kc_kernel_placer *p)
{
	const struct kc_kernel_failure *failure = &p->failure;
	const struct kc_elf_section *section = failure->section;
	const struct kc_elf_symbol *function = function_at(p->plain, section, failure->offset);
	kc_autobuf struct kc_buf what = { 0 };
	size_t n = section->size - failure->offset < 8 ? section->size - failure->offset : 8;

	kc_buf_append_str(&what, failure->why);
	if (failure->symbol && failure->symbol->name[0])
		kc_buf_printf(&what, " %s", failure->symbol->name);
	else if (failure->symbol && failure->symbol->section)
		kc_buf_printf(&what, " %s", failure->symbol->section->name);
	if (section->data && failure->place != KC_NO_PLACE) {
		kc_buf_append_str(&what, "; compiled: ");
		print_bytes(section->data + failure->offset, n, &what);
		kc_buf_append_str(&what, ", shipped: ");
		print_bytes(kc_space_read(p->object, failure->place + failure->offset, n), n, &what);
	}
	if (what.failed)
		return kc_error_no_memory();
	return kc_error_new(KC_ERR_PROOF, "%s: %s+0x%llx in %s %s; " ADVICE, p->plain->name,
			    function ? function->name : section->name,
			    (unsigned long long)(failure->offset - (function ? function->value : 0)), section->name,
			    what.data, p->object->name);
}

struct kc_error *kc_kernel_explain(const struct kc_kernel_placer *p, const struct kc_elf_section *section)
{
	struct census census;

	if (p->no_memory)
		return kc_error_no_memory();
	if (!is_part(p))
		return kc_error_new(KC_ERR_NOT_FOUND, "%s is not part of %s", p->plain->name, p->object->name);
	take_census(p, section, &census);
	if (census.missing)
		return kc_error_new(KC_ERR_PROOF,
				    "%s: function %s is not at its place in %s, where %zu of %zu functions of %s "
				    "are; " ADVICE,
				    p->plain->name, census.missing->name, p->object->name, census.n_there,
				    census.n_names, section->name, p->object->name);
	return explain_failure(p);
}
