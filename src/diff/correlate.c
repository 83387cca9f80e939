/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds twins. Global things are known by their names. Local ones by their base name ("counter" of counter.1234),
 * because the compiler numbers them anew, and for static variables by the function that declares them; where that
 * leaves several, by content, then by order.
 *
 * A wrong twin of a function only makes the patch larger: whoever refers to the wrong one counts as changed. A wrong
 * twin of a variable would mix up two variables, so a doubtful one is refused.
 */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

/* A local thing that looks for its twin. */
struct candidate {
	struct kc_diff_item *item;
	char *key; /* same key: could be twins */
};

struct candidates {
	struct candidate *items;
	size_t n;
};

static void free_candidates(struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		free(candidates->items[i].key);
	free(candidates->items);
}

static char kind_of(const struct kc_diff_item *item)
{
	if (item->is_function)
		return item->is_fragment ? 'c' : 'f';
	return item->is_tls ? 't' : 'd';
}

static void make_twins(struct kc_diff_item *orig, struct kc_diff_item *patched)
{
	orig->twin = patched;
	patched->twin = orig;
	patched->state = KC_DIFF_SAME;
}

static int compare_symbol_names(const void *a, const void *b)
{
	const struct kc_elf_symbol *left = *(struct kc_elf_symbol *const *)a;
	const struct kc_elf_symbol *right = *(struct kc_elf_symbol *const *)b;

	return strcmp(left->name, right->name);
}

/* Global symbols that belong to items, sorted by name. */
static struct kc_error *collect_globals(const struct diff_object *object, struct kc_elf_symbol ***globals, size_t *n)
{
	*globals = calloc(object->elf->n_symbols + 1, sizeof(struct kc_elf_symbol *));
	if (!*globals)
		return kc_error_no_memory();
	for (size_t i = 1; i < object->elf->n_symbols; i++)
		if (object->by_symbol[i] && object->elf->symbols[i].bind != STB_LOCAL &&
		    !diff_is_mangled_static(object->elf->symbols[i].name))
			(*globals)[(*n)++] = &object->elf->symbols[i];
	qsort(*globals, *n, sizeof(struct kc_elf_symbol *), compare_symbol_names);
	return NULL;
}

static struct kc_error *correlate_globals(struct diff_run *run)
{
	kc_autofree struct kc_elf_symbol **orig = NULL, **patched = NULL;
	size_t n_orig = 0, n_patched = 0;

	KC_TRY(collect_globals(&run->orig, &orig, &n_orig));
	KC_TRY(collect_globals(&run->patched, &patched, &n_patched));
	for (size_t i = 0, j = 0; i < n_orig && j < n_patched;) {
		int order = strcmp(orig[i]->name, patched[j]->name);

		if (order == 0) {
			struct kc_diff_item *a = run->orig.by_symbol[orig[i]->index];
			struct kc_diff_item *b = run->patched.by_symbol[patched[j]->index];

			if (!a->twin && !b->twin && kind_of(a) == kind_of(b))
				make_twins(a, b);
		}
		i += order <= 0;
		j += order >= 0;
	}
	return NULL;
}

/* What could be the same thing: kind, base name and scope; without a symbol, section and COMDAT group. */
static char *make_key(const struct kc_diff_options *options, const struct kc_diff_item *item)
{
	const char *name = item->symbol ? item->symbol->name : item->section->name;
	const char *scope = item->scope;
	kc_autofree char *base = diff_base_name(name);
	char *key;

	if (base && options->name_length)
		base[options->name_length(base)] = '\0';
	if (!item->symbol)
		scope = item->section->group;
	else if (diff_is_mangled_static(name)) /* says it itself */
		scope = NULL;
	if (!base ||
	    asprintf(&key, "%c%c%s\t%s", kind_of(item), item->symbol ? 's' : 'a', base, scope ? scope : "") < 0)
		return NULL;
	return key;
}

/* By key, then by number, which is the order of the declarations: x.9 comes before x.10. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	int order = strcmp(left->key, right->key);

	if (order)
		return order;
	if (left->item->symbol && right->item->symbol) {
		const char *one = left->item->symbol->name, *other = right->item->symbol->name;

		order = strlen(one) == strlen(other) ? strcmp(one, other) : strlen(one) < strlen(other) ? -1 : 1;
		if (order)
			return order;
	}
	return left->item < right->item ? -1 : 1;
}

/* Local things, and global ones without a namesake: `static` may have come or gone. */
static struct kc_error *collect_rest(const struct diff_object *object, struct candidates *candidates)
{
	candidates->items = calloc(object->n_items + 1, sizeof(*candidates->items));
	if (!candidates->items)
		return kc_error_no_memory();
	for (size_t i = 0; i < object->n_items; i++) {
		struct kc_diff_item *item = &object->items[i];
		struct candidate *candidate = &candidates->items[candidates->n];

		if (item->twin || item->is_snippet || item->size == 0) /* known by their users only */
			continue;
		candidate->item = item;
		candidate->key = make_key(object->options, item);
		if (!candidate->key)
			return kc_error_no_memory();
		candidates->n++;
	}
	qsort(candidates->items, candidates->n, sizeof(*candidates->items), compare_candidates);
	return NULL;
}

static size_t end_of_group(const struct candidates *candidates, size_t from)
{
	size_t end = from + 1;

	while (end < candidates->n && strcmp(candidates->items[end].key, candidates->items[from].key) == 0)
		end++;
	return end;
}

static bool could_be_twins(const struct kc_diff_item *orig, const struct kc_diff_item *patched)
{
	if (orig->twin || patched->twin)
		return false;
	if (orig->is_function || orig->is_readonly)
		return diff_contents_equal(orig, patched);
	return orig->size == patched->size;
}

static size_t count_without_twin(const struct candidate *group, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += !group[i].item->twin;
	return count;
}

/* Pairs the ones without a twin in order. */
static void pair_in_order(const struct candidate *orig, size_t n_orig, const struct candidate *patched,
			  size_t n_patched)
{
	for (size_t i = 0, j = 0; i < n_orig && j < n_patched;) {
		if (orig[i].item->twin) {
			i++;
		} else if (patched[j].item->twin) {
			j++;
		} else {
			make_twins(orig[i++].item, patched[j++].item);
		}
	}
}

static struct kc_error *refuse_doubtful(const struct diff_run *run, const struct kc_diff_item *item, size_t n_orig,
					size_t n_patched)
{
	kc_autofree char *base = diff_base_name(kc_diff_item_name(item));

	if (!base)
		return kc_error_no_memory();
	if (diff_is_allowed(run, "data-changed") || (run->options->is_disposable && run->options->is_disposable(base)))
		return NULL;
	return kc_error_rule(
		"data-changed",
		"%s: there were %zu static variables of this name%s%s, now there are %zu, and nothing tells "
		"which is which; give the new one another name",
		kc_diff_item_name(item), n_orig, item->scope ? " in " : "", item->scope ? item->scope : "", n_patched);
}

/* Things of equal key: n_orig against n_patched. */
static struct kc_error *correlate_group(const struct diff_run *run, const struct candidate *orig, size_t n_orig,
					const struct candidate *patched, size_t n_patched)
{
	const struct kc_diff_item *first = patched[0].item;
	bool is_variable = first->symbol && !first->is_function && !first->is_readonly && !first->is_literal;

	if (!is_variable && (n_orig > 1 || n_patched > 1))
		for (size_t j = 0; j < n_patched; j++)
			for (size_t i = 0; i < n_orig && !patched[j].item->twin; i++)
				if (could_be_twins(orig[i].item, patched[j].item))
					make_twins(orig[i].item, patched[j].item);
	if (is_variable && n_orig != n_patched)
		return refuse_doubtful(run, first, n_orig, n_patched);
	for (size_t i = 0; is_variable && n_orig > 1 && i < n_orig; i++)
		if (!could_be_twins(orig[i].item, patched[i].item))
			return refuse_doubtful(run, first, n_orig, n_patched);
	if (count_without_twin(orig, n_orig) == count_without_twin(patched, n_patched))
		pair_in_order(orig, n_orig, patched, n_patched);
	return NULL;
}

static struct kc_error *correlate_rest(struct diff_run *run)
{
	KC_CLEANUP(free_candidates) struct candidates orig = { 0 };
	KC_CLEANUP(free_candidates) struct candidates patched = { 0 };

	KC_TRY(collect_rest(&run->orig, &orig));
	KC_TRY(collect_rest(&run->patched, &patched));
	for (size_t i = 0, j = 0; i < orig.n && j < patched.n;) {
		size_t end_i = end_of_group(&orig, i), end_j = end_of_group(&patched, j);
		int order = strcmp(orig.items[i].key, patched.items[j].key);

		if (order == 0)
			KC_TRY(correlate_group(run, &orig.items[i], end_i - i, &patched.items[j], end_j - j));
		if (order <= 0)
			i = end_i;
		if (order >= 0)
			j = end_j;
	}
	return NULL;
}

static int compare_item_names(const void *a, const void *b)
{
	const struct kc_diff_item *left = *(struct kc_diff_item *const *)a;
	const struct kc_diff_item *right = *(struct kc_diff_item *const *)b;

	return strcmp(left->symbol->name, right->symbol->name);
}

static struct kc_error *find_parents(struct diff_object *object)
{
	kc_autofree struct kc_diff_item **functions = calloc(object->n_items + 1, sizeof(struct kc_diff_item *));
	size_t n = 0;

	if (!functions)
		return kc_error_no_memory();
	for (size_t i = 0; i < object->n_items; i++)
		if (object->items[i].is_function && object->items[i].symbol)
			functions[n++] = &object->items[i];
	qsort(functions, n, sizeof(struct kc_diff_item *), compare_item_names);
	for (size_t i = 0; i < n; i++) {
		struct kc_elf_symbol key_symbol = { 0 };
		struct kc_diff_item key = { .symbol = &key_symbol }, *key_pointer = &key, **found;
		size_t length = diff_parent_length(functions[i]->symbol->name);
		kc_autofree char *name = NULL;

		if (length == 0)
			continue;
		name = strndup(functions[i]->symbol->name, length);
		if (!name)
			return kc_error_no_memory();
		key_symbol.name = name;
		found = bsearch(&key_pointer, functions, n, sizeof(struct kc_diff_item *), compare_item_names);
		functions[i]->parent = found ? *found : NULL;
		functions[i]->is_fragment = strncmp(functions[i]->symbol->name + length, ".cold", 5) == 0;
	}
	return NULL;
}

struct kc_error *diff_correlate(struct diff_run *run)
{
	KC_TRY(find_parents(&run->orig));
	KC_TRY(find_parents(&run->patched));
	diff_read_scopes(&run->orig, &run->patched);
	KC_TRY(correlate_globals(run));
	return correlate_rest(run);
}
