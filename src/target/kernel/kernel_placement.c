/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof gate of kernel objects: where to look for each section, and what the result says. What makes a supposed
 * place true is in kernel_verify.c.
 */
#include <stdlib.h>
#include <string.h>

#include "target/kernel/kernel_placer.h"

static void placer_clear(struct kc_kernel_placer *p)
{
	free(p->sections);
	free(p->symbols);
	free(p->journal);
	free(p->queue);
	free(p->sites);
}

static uint64_t *new_places(size_t n)
{
	uint64_t *places = malloc((n + 1) * sizeof(*places));

	for (size_t i = 0; places && i <= n; i++)
		places[i] = KC_NO_PLACE;
	return places;
}

static bool is_code(const struct kc_elf_section *section)
{
	return (section->flags & SHF_ALLOC) && (section->flags & SHF_EXECINSTR) && section->data && section->size;
}

/*
 * The landmarks of a section: its functions by name, which must all be in the shipped file at the same distances. Weak
 * ones may be another object's, so they only count where nothing else is.
 */
struct landmarks {
	const struct kc_elf_symbol **symbols;
	size_t n;
};

static struct kc_error *find_landmarks(const struct kc_kernel_placer *p, const struct kc_elf_section *section,
				       struct landmarks *landmarks)
{
	size_t n_strong = 0, n = 0;

	landmarks->symbols = calloc(p->plain->n_symbols + 1, sizeof(*landmarks->symbols));
	if (!landmarks->symbols)
		return kc_error_no_memory();
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (symbol->section != section || !kc_kernel_is_landmark(symbol))
			continue;
		landmarks->symbols[n++] = symbol;
		n_strong += !kc_kernel_is_weak(symbol);
	}
	for (size_t i = 0; i < n; i++) {
		if (n_strong == 0 || !kc_kernel_is_weak(landmarks->symbols[i]))
			landmarks->symbols[landmarks->n++] = landmarks->symbols[i];
	}
	return NULL;
}

static size_t count_homonyms(const struct kc_kernel_object *object, const char *name)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(object, name);
	size_t n = 0;

	for (; symbol; symbol = kc_kernel_symbol_next(object, symbol))
		n++;
	return n;
}

static bool all_there(const struct kc_kernel_placer *p, const struct landmarks *landmarks, uint64_t place)
{
	for (size_t i = 0; i < landmarks->n; i++) {
		const struct kc_elf_symbol *symbol = landmarks->symbols[i];

		if (!kc_space_symbol(p->object, symbol->name, place + symbol->value))
			return false;
	}
	return true;
}

struct candidates {
	uint64_t place; /* the last one that counts */
	size_t n;
};

/*
 * Where the names of `section` fit. `prove`: and its bytes too, with all that follows. The rarest name has the fewest
 * places to try.
 */
static void find_candidates(struct kc_kernel_placer *p, const struct kc_elf_section *section,
			    const struct landmarks *landmarks, bool prove, struct candidates *candidates)
{
	const struct kc_elf_symbol *rarest = NULL;
	const struct kc_kernel_symbol *symbol;
	size_t fewest = SIZE_MAX;

	*candidates = (struct candidates){ 0 };
	for (size_t i = 0; i < landmarks->n && fewest > 1; i++) {
		size_t n = count_homonyms(p->object, landmarks->symbols[i]->name);

		if (n >= fewest)
			continue;
		fewest = n;
		rarest = landmarks->symbols[i];
	}
	if (!rarest)
		return;
	symbol = kc_kernel_symbol_find(p->object, rarest->name);
	for (; symbol; symbol = kc_kernel_symbol_next(p->object, symbol)) {
		uint64_t place = kc_space_place(p->object, symbol) - rarest->value;

		if (!all_there(p, landmarks, place) || (prove && !kc_kernel_try(p, section, place, false)))
			continue;
		if (candidates->n && candidates->place == place) /* the same symbol twice */
			continue;
		candidates->place = place;
		candidates->n++;
	}
}

/* `*placed`: something was learned. */
static struct kc_error *place_section(struct kc_kernel_placer *p, const struct kc_elf_section *section, bool prove,
				      bool *placed)
{
	kc_autofree const struct kc_elf_symbol **symbols = NULL;
	struct landmarks landmarks = { 0 };
	struct candidates candidates;
	struct kc_error *err = find_landmarks(p, section, &landmarks);

	symbols = landmarks.symbols;
	if (err || landmarks.n == 0)
		return err;
	find_candidates(p, section, &landmarks, prove, &candidates);
	if (candidates.n == 1 && kc_kernel_try(p, section, candidates.place, true))
		*placed = true;
	else if (candidates.n <= 1 && !kc_kernel_is_weak(landmarks.symbols[0]))
		return kc_kernel_explain(p, section);
	return p->no_memory ? kc_error_no_memory() : NULL;
}

/* Sections with one possible place first; what they refer to settles the others. */
static struct kc_error *place_code(struct kc_kernel_placer *p)
{
	bool placed = true, prove = false;

	while (placed || !prove) {
		prove = !placed;
		placed = false;
		for (size_t i = 1; i < p->plain->n_sections; i++) {
			const struct kc_elf_section *section = &p->plain->sections[i];

			if (is_code(section) && p->sections[i] == KC_NO_PLACE)
				KC_TRY(place_section(p, section, prove, &placed));
		}
	}
	return NULL;
}

/* What a reference to a global name from elsewhere means: the only global symbol of that name, or NULL. */
static const struct kc_kernel_symbol *global_symbol(const struct kc_kernel_object *object, const char *name)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(object, name), *found = NULL;

	for (; symbol; symbol = kc_kernel_symbol_next(object, symbol)) {
		if (symbol->is_global && found)
			return NULL;
		if (symbol->is_global)
			found = symbol;
	}
	return found;
}

static const struct kc_kernel_symbol *only_symbol(const struct kc_kernel_object *object, const char *name)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(object, name);

	return symbol && symbol->is_unique ? symbol : NULL;
}

/* Data that stays in the file and that its names tell the place of. */
static bool is_named_data(const struct kc_elf_symbol *symbol)
{
	const struct kc_elf_section *section = symbol->section;

	return section && (section->flags & SHF_ALLOC) && !(section->flags & (SHF_MERGE | SHF_EXECINSTR)) &&
	       strncmp(section->name, ".discard", strlen(".discard")) != 0 && symbol->name[0] &&
	       !kc_kernel_is_weak(symbol);
}

/* Data that no code of this object refers to, as exported variables and entries of tables: by their names. */
static struct kc_error *place_data(struct kc_kernel_placer *p)
{
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];
		const struct kc_elf_section *section = symbol->section;
		const struct kc_kernel_symbol *theirs;

		if (!is_named_data(symbol) || p->sections[section->index] != KC_NO_PLACE)
			continue;
		theirs = symbol->bind == STB_LOCAL ? only_symbol(p->object, symbol->name)
						   : global_symbol(p->object, symbol->name);
		if (theirs && !kc_kernel_try(p, section, kc_space_place(p->object, theirs) - symbol->value, true))
			return p->no_memory ? kc_error_no_memory() : kc_kernel_explain(p, section);
	}
	return NULL;
}

/* Gone after boot: nobody patches or refers to them. */
static bool is_short_lived(const struct kc_elf_section *section)
{
	return !strncmp(section->name, ".init", strlen(".init")) || !strncmp(section->name, ".exit", strlen(".exit"));
}

/*
 * What has no place by now fits several. That may be for a lonely exit function; sections whose functions are all weak
 * may lie nowhere at all.
 */
static struct kc_error *check_complete(const struct kc_kernel_placer *p)
{
	size_t n_placed = 0;

	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		if (!kc_kernel_is_landmark(symbol) || !is_code(symbol->section))
			continue;
		if (p->sections[symbol->section->index] != KC_NO_PLACE)
			n_placed++;
		else if (!kc_kernel_is_weak(symbol) && !is_short_lived(symbol->section))
			return kc_error_new(KC_ERR_PROOF, "%s: its section %s fits several places in %s equally well",
					    p->plain->name, symbol->section->name, p->object->name);
	}
	if (n_placed)
		return NULL;
	return kc_error_new(KC_ERR_NOT_FOUND, "%s: no function of it is in %s", p->plain->name, p->object->name);
}

static void set_symbol(const struct kc_kernel_object *object, const char *name, uint64_t place,
		       struct kc_kernel_placed *placed)
{
	const struct kc_kernel_symbol *symbols;
	uint64_t offset;
	size_t n = 0;

	placed->symbol = kc_space_symbol(object, name, place);
	placed->section = kc_space_section(object, place, &offset);
	placed->addr = object->is_module ? placed->section ? offset : 0 : place;
	if (placed->symbol || kc_space_import(object, place))
		return;
	if (object->is_module) {
		for (size_t i = 0; i < object->n_symbols && !placed->symbol; i++) {
			if (kc_space_place(object, &object->symbols[i]) == place)
				placed->symbol = &object->symbols[i];
		}
		return;
	}
	symbols = kc_kernel_symbol_at(object, place, &n);
	if (symbols && symbols->addr == place)
		placed->symbol = symbols;
}

/* The place of a symbol by its section, by the fields that refer to it, or else by its name. */
static void fill_symbol(const struct kc_kernel_placer *p, const struct kc_elf_symbol *symbol,
			struct kc_kernel_placed *placed)
{
	const struct kc_kernel_symbol *theirs = NULL;
	uint64_t place = p->symbols[symbol->index];

	if (symbol->type == STT_FILE || symbol->shndx == SHN_ABS)
		return;
	if (symbol->section && p->sections[symbol->section->index] != KC_NO_PLACE) {
		uint64_t own = p->sections[symbol->section->index] + symbol->value;

		if (!kc_kernel_is_weak(symbol) || place == own ||
		    (place == KC_NO_PLACE && kc_space_symbol(p->object, symbol->name, own)))
			place = own;
		else
			placed->is_overridden = true;
	} else if (symbol->section && kc_kernel_is_weak(symbol) && (symbol->section->flags & SHF_EXECINSTR)) {
		placed->is_overridden = true;
	}
	if (place == KC_NO_PLACE && symbol->bind != STB_LOCAL)
		theirs = global_symbol(p->object, symbol->name);
	if (theirs)
		place = kc_space_place(p->object, theirs);
	if (place == KC_NO_PLACE || (place == 0 && symbol->bind == STB_WEAK && symbol->shndx == SHN_UNDEF))
		return;
	placed->is_known = true;
	set_symbol(p->object, symbol->name, place, placed);
}

static struct kc_error *fill_result(const struct kc_kernel_placer *p, struct kc_kernel_placement **result)
{
	kc_autokernelplacement struct kc_kernel_placement *placement = calloc(1, sizeof(*placement));

	if (!placement)
		return kc_error_no_memory();
	placement->object = p->object;
	placement->plain = p->plain;
	placement->symbols = calloc(p->plain->n_symbols + 1, sizeof(*placement->symbols));
	if (!placement->symbols)
		return kc_error_no_memory();
	for (size_t i = 1; i < p->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &p->plain->symbols[i];

		fill_symbol(p, symbol, &placement->symbols[i]);
		if (symbol->type == STT_FUNC && symbol->section && p->sections[symbol->section->index] != KC_NO_PLACE &&
		    !placement->symbols[i].is_overridden)
			placement->n_functions_proved++;
	}
	*result = kc_steal(placement);
	return NULL;
}

static struct kc_error *place_all(struct kc_kernel_placer *p)
{
	KC_TRY(kc_kernel_find_sites(p));
	KC_TRY(place_code(p));
	KC_TRY(place_data(p));
	return check_complete(p);
}

struct kc_error *kc_kernel_placement_find(struct kc_ctx *ctx, const struct kc_kernel_object *object,
					  const struct kc_elf *plain, struct kc_kernel_placement **placement)
{
	struct kc_kernel_placer placer KC_CLEANUP(placer_clear) = { .object = object, .plain = plain };

	(void)ctx;
	if (plain->type != ET_REL)
		return kc_error_new(KC_ERR_INPUT, "%s: not an object file", plain->name);
	placer.sections = new_places(plain->n_sections);
	placer.symbols = new_places(plain->n_symbols);
	if (!placer.sections || !placer.symbols)
		return kc_error_no_memory();
	KC_TRY(place_all(&placer));
	return fill_result(&placer, placement);
}

void kc_kernel_placement_free(struct kc_kernel_placement *placement)
{
	if (!placement)
		return;
	free(placement->symbols);
	free(placement);
}
