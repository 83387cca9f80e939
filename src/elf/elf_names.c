/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names sorted once, looked up by halving. */
#include "elf/elf_names.h"

#include <stdlib.h>
#include <string.h>

static int by_name_and_index(const void *a, const void *b)
{
	const struct kc_elf_symbol *x = *(struct kc_elf_symbol *const *)a, *y = *(struct kc_elf_symbol *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

struct kc_error *kc_elf_names_read(const struct kc_elf *elf, struct kc_elf_names *names)
{
	names->symbols = calloc(elf->n_symbols + 1, sizeof(*names->symbols));
	if (!names->symbols)
		return kc_error_no_memory();
	for (size_t i = 1; i < elf->n_symbols; i++)
		if (elf->symbols[i].name[0])
			names->symbols[names->n_symbols++] = &elf->symbols[i];
	qsort(names->symbols, names->n_symbols, sizeof(*names->symbols), by_name_and_index);
	return NULL;
}

void kc_elf_names_clear(struct kc_elf_names *names)
{
	free(names->symbols);
	*names = (struct kc_elf_names){ 0 };
}

size_t kc_elf_names_find(const struct kc_elf_names *names, const char *name)
{
	size_t low = 0, high = names->n_symbols;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->symbols[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many local symbols of the same name and type come before it. */
static size_t position_of(const struct kc_elf *elf, const struct kc_elf_symbol *symbol)
{
	size_t n = 0;

	for (size_t i = 1; i < symbol->index; i++) {
		if (elf->symbols[i].bind == STB_LOCAL && elf->symbols[i].type == symbol->type &&
		    !strcmp(elf->symbols[i].name, symbol->name))
			n++;
	}
	return n;
}

const struct kc_elf_symbol *kc_elf_names_match(const struct kc_elf_names *names, const struct kc_elf *elf,
					       const struct kc_elf_symbol *symbol)
{
	bool is_local = symbol->bind == STB_LOCAL;
	size_t skip = is_local ? position_of(elf, symbol) : 0;

	if (!symbol->name[0])
		return NULL;
	for (size_t i = kc_elf_names_find(names, symbol->name); i < names->n_symbols; i++) {
		const struct kc_elf_symbol *match = names->symbols[i];

		if (strcmp(match->name, symbol->name) != 0)
			break;
		if ((match->bind == STB_LOCAL) != is_local || (is_local && match->type != symbol->type))
			continue;
		if (skip-- == 0)
			return match;
	}
	return NULL;
}
