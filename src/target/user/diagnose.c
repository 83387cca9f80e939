/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why an object could not be proved: it is not part of the file, or it is and some of its functions differ. Looks at
 * each function alone, which is too weak for a proof but tells which ones are the same.
 */
#include <string.h>

#include "target/user/placer.h"

struct census {
	size_t n_functions, n_different, n_exported;
	uint64_t size, size_equal;
	const struct kc_elf_symbol *first; /* the first function that differs */
	uint64_t first_at;		   /* and where, from its begin; KC_NO_ADDR: nothing like it is there */
};

static bool remember_place(struct kc_placer *p, const struct kc_elf_section *section, uint64_t base, void *data)
{
	(void)p;
	(void)section;
	*(uint64_t *)data = base;
	return false;
}

/*
 * Compares one function. `*base` is where its section seems to be, by its neighbours; a match corrects it. `*at` is
 * the first offset in the section that differs.
 */
static bool function_fits(struct kc_placer *p, const struct kc_elf_symbol *symbol, uint64_t *base, uint64_t *at)
{
	const struct kc_elf_section *section = symbol->section;
	uint64_t from = symbol->value, to = symbol->value + symbol->size, place = KC_NO_ADDR;
	const struct kc_elf_symbol *export = NULL;

	if (symbol->bind != STB_LOCAL && symbol->visibility == STV_DEFAULT)
		export = kc_linked_export(p->linked, symbol->name);
	if (export)
		*base = export->value - symbol->value;
	if (*base != KC_NO_ADDR && kc_placer_match_bytes(p, section, *base, from, to, at))
		return true;
	if (export)
		return false;
	if (!kc_placer_search(p, section, from, to, remember_place, &place))
		return true; /* too short to tell */
	if (place == KC_NO_ADDR)
		return false;
	*base = place;
	return true;
}

static void take_census(struct kc_placer *p, struct census *census)
{
	const struct kc_elf_section *section = NULL;
	uint64_t base = KC_NO_ADDR, at;

	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (!kc_symbol_is_function(symbol) || symbol->section->group)
			continue;
		if (symbol->section != section)
			base = KC_NO_ADDR;
		section = symbol->section;
		census->n_functions++;
		census->size += symbol->size;
		if (symbol->bind == STB_GLOBAL && symbol->visibility == STV_DEFAULT &&
		    kc_linked_export(p->linked, symbol->name))
			census->n_exported++;
		at = KC_NO_ADDR;
		if (function_fits(p, symbol, &base, &at)) {
			census->size_equal += symbol->size;
			continue;
		}
		census->n_different++;
		if (!census->first) {
			census->first = symbol;
			census->first_at = at == KC_NO_ADDR ? at : at - symbol->value;
		}
	}
}

static const struct kc_elf_symbol *function_at(const struct kc_elf *elf, const struct kc_elf_section *section,
					       uint64_t offset)
{
	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (symbol->section == section && symbol->type != STT_SECTION && offset >= symbol->value &&
		    offset - symbol->value < symbol->size)
			return symbol;
	}
	return NULL;
}

static const char *compiler(const struct kc_elf *elf)
{
	const struct kc_elf_section *comment = kc_elf_section_find(elf, ".comment");
	const char *text = "unknown";

	if (comment && comment->data && comment->size > 1 && comment->data[comment->size - 1] == '\0')
		text = (const char *)comment->data + (comment->data[0] == '\0');
	return text;
}

#define ADVICE                                                                                                     \
	"check that the compiler (here: %s), the compiler's flags and the version of the source are those of the " \
	"package"

static struct kc_error *function_differs(const struct kc_placer *p, const struct census *census)
{
	char where[64] = "nothing like it is in the file";

	if (census->first_at != KC_NO_ADDR)
		snprintf(where, sizeof(where), "first at its offset 0x%llx", (unsigned long long)census->first_at);
	return kc_error_new(KC_ERR_PROOF,
			    "%s: function %s differs from the shipped %s (%s); %zu of %zu functions differ; " ADVICE,
			    p->plain->name, census->first->name, p->linked->elf->name, where, census->n_different,
			    census->n_functions, compiler(p->plain));
}

/* All functions are there, but something that they refer to, or their arrangement, is not the same. */
static struct kc_error *reference_differs(const struct kc_placer *p)
{
	const struct kc_placer_failure *failure = &p->failure;
	const struct kc_elf_symbol *function;

	if (!failure->section)
		return kc_error_new(KC_ERR_PROOF, "%s fits several places in %s equally well", p->plain->name,
				    p->linked->elf->name);
	function = function_at(p->plain, failure->section, failure->offset);
	return kc_error_new(KC_ERR_PROOF, "%s: %s differs from the shipped %s at offset 0x%llx: %s%s%s; " ADVICE,
			    p->plain->name, function ? function->name : failure->section->name, p->linked->elf->name,
			    (unsigned long long)(failure->offset - (function ? function->value : 0)), failure->why,
			    failure->symbol && failure->symbol->name[0] ? ": " : "",
			    failure->symbol ? failure->symbol->name : "", compiler(p->plain));
}

struct kc_error *kc_placer_explain(struct kc_placer *p)
{
	struct census census = { 0 };

	take_census(p, &census);
	if (census.n_functions == 0 || (census.n_exported == 0 && census.size_equal * 2 < census.size))
		return kc_error_new(KC_ERR_NOT_FOUND, "%s is not part of %s", p->plain->name, p->linked->elf->name);
	return census.first ? function_differs(p, &census) : reference_differs(p);
}
