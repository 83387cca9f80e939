/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cuts an object into items: what its symbols describe, and what lies in sections or gaps without symbols, such as
 * string literals (.rodata.str1.1, where .LC0 is only a label) and jump tables (.rodata.FUNCTION).
 */
#include "diff/diff_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

bool diff_is_constructor_section(const struct kc_elf_section *section)
{
	static const char *const names[] = { ".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors" };

	if (!section)
		return false;
	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (starts_with(section->name, names[i]))
			return true;
	return strcmp(section->name, ".init") == 0 || strcmp(section->name, ".fini") == 0;
}

static bool is_cut_into_items(const struct diff_object *object, const struct kc_elf_section *section)
{
	const struct kc_diff_options *options = object->options;

	if (!(section->flags & SHF_ALLOC) || section->type == SHT_NOTE)
		return false;
	if (diff_table_of(options, section) || (options->is_ignored && options->is_ignored(section)))
		return false;
	return strcmp(section->name, ".eh_frame") != 0;
}

/* A symbol that stands for a thing with an extent, unlike a label. */
static bool is_cut(const struct diff_object *object, const struct kc_elf_symbol *symbol)
{
	if (!symbol->section || !is_cut_into_items(object, symbol->section))
		return false;
	switch (symbol->type) {
	case STT_FUNC:
	case STT_GNU_IFUNC:
		return true;
	case STT_OBJECT: /* of no size: an empty struct */
		return symbol->size > 0 || symbol->section->size == 0;
	case STT_TLS:
		return symbol->size > 0;
	case STT_NOTYPE: /* assembler without .type */
		return (symbol->section->flags & SHF_EXECINSTR) && symbol->bind != STB_LOCAL;
	default:
		return false;
	}
}

/* By place; of aliases the longest, then the global one comes first and names the item. */
static int compare_cuts(const void *a, const void *b)
{
	const struct kc_elf_symbol *left = *(struct kc_elf_symbol *const *)a;
	const struct kc_elf_symbol *right = *(struct kc_elf_symbol *const *)b;

	if (left->section != right->section)
		return left->section->index < right->section->index ? -1 : 1;
	if (left->value != right->value)
		return left->value < right->value ? -1 : 1;
	if (left->size != right->size)
		return left->size > right->size ? -1 : 1;
	if ((left->bind == STB_LOCAL) != (right->bind == STB_LOCAL))
		return left->bind == STB_LOCAL ? 1 : -1;
	return strcmp(left->name, right->name);
}

/* Constants that the compiler made and named, and the C++ runtime's references to type information. */
static bool is_made_by_compiler(const struct kc_diff_item *item)
{
	static const char *const prefixes[] = { "__func__.", "__FUNCTION__.", "__PRETTY_FUNCTION__.", "CSWTCH." };
	const char *name = item->symbol->name;

	if (starts_with(name, "DW.ref."))
		return true;
	if (!item->is_readonly || item->symbol->bind != STB_LOCAL)
		return false;
	for (size_t i = 0; i < KC_ARRAY_SIZE(prefixes); i++)
		if (starts_with(name, prefixes[i]))
			return true;
	return strcmp(name, "__func__") == 0 || strcmp(name, "__PRETTY_FUNCTION__") == 0 ||
	       strcmp(name, "__FUNCTION__") == 0 || (starts_with(name, "C.") && name[2] >= '0' && name[2] <= '9');
}

static const struct kc_diff_own_data *own_data_of(const struct kc_diff_options *options,
						  const struct kc_elf_section *section)
{
	for (size_t i = 0; section && i < options->n_own_data; i++)
		if (strcmp(section->name, options->own_data[i].section) == 0)
			return &options->own_data[i];
	return NULL;
}

static void describe_item(const struct kc_diff_options *options, struct kc_diff_item *item)
{
	const struct kc_elf_section *section = item->section;
	const struct kc_diff_own_data *own_data = own_data_of(options, section);
	uint64_t flags = section ? section->flags : SHF_WRITE;

	item->state = KC_DIFF_NEW;
	item->is_snippet = section && options->is_snippets && options->is_snippets(section);
	item->is_function = (flags & SHF_EXECINSTR) && !item->is_snippet;
	item->is_tls = (flags & SHF_TLS) || (item->symbol && item->symbol->type == STT_TLS);
	item->is_readonly = !(flags & SHF_WRITE) || (section && starts_with(section->name, ".data.rel.ro"));
	if (item->is_function || item->is_tls || diff_is_constructor_section(section))
		return;
	item->is_literal = item->symbol ? is_made_by_compiler(item) : item->is_readonly;
	if (own_data || (section && item->size == 0)) {
		item->is_literal = true;
		item->ignored_offset = own_data ? own_data->ignored_offset : 0;
		item->ignored_size = own_data ? own_data->ignored_size : 0;
	}
	item->is_root = section && options->is_root && options->is_root(section);
}

static struct kc_error *add_item(struct diff_object *object, struct kc_elf_section *section,
				 struct kc_elf_symbol *symbol, uint64_t offset, uint64_t size)
{
	struct kc_diff_item *item = kc_array_add(&object->items, &object->n_items);

	if (!item)
		return kc_error_no_memory();
	item->symbol = symbol;
	item->section = section;
	item->offset = offset;
	item->size = size;
	describe_item(object->options, item);
	return NULL;
}

/* The bytes of which assemblers make padding in code: nops of all lengths, int3. */
static bool is_code_padding(uint8_t byte)
{
	static const uint8_t bytes[] = { 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x80, 0x44, 0x40, 0x90, 0xcc };

	return memchr(bytes, byte, sizeof(bytes)) != NULL;
}

/* Is there more than padding between two symbols? Hand-written assembler keeps constants there. */
static bool has_content(const struct kc_elf_section *section, uint64_t from, uint64_t to)
{
	bool is_code = section->flags & SHF_EXECINSTR;

	if (!section->data)
		return false;
	for (uint64_t i = from; i < to; i++)
		if (section->data[i] != 0 && !(is_code && is_code_padding(section->data[i])))
			return true;
	for (size_t i = 0; i < section->n_relas; i++)
		if (section->relas[i].offset >= from && section->relas[i].offset < to)
			return true;
	return false;
}

/* Cuts one section at `cuts`. by_symbol holds item numbers + 1 until all items are there. */
static struct kc_error *cut_section(struct diff_object *object, struct kc_elf_section *section,
				    struct kc_elf_symbol **cuts, size_t n, size_t *numbers)
{
	uint64_t end = 0;

	if (n == 0)
		return section->size ? add_item(object, section, NULL, 0, section->size) : NULL;
	for (size_t i = 0; i < n; i++) {
		struct kc_elf_symbol *symbol = cuts[i];
		uint64_t size = symbol->size;
		bool is_alias = i > 0 && (symbol->value < end || symbol->value == cuts[i - 1]->value);

		if (!is_alias) {
			if (has_content(section, end, symbol->value))
				KC_TRY(add_item(object, section, NULL, end, symbol->value - end));
			for (size_t j = i + 1; size == 0 && j < n; j++)
				size = cuts[j]->value - symbol->value;
			if (size == 0)
				size = section->size - symbol->value;
			KC_TRY(add_item(object, section, symbol, symbol->value, size));
			end = symbol->value + size;
		}
		numbers[symbol->index] = object->n_items;
		if (symbol->type == STT_GNU_IFUNC)
			object->items[object->n_items - 1].is_ifunc = true;
	}
	if (has_content(section, end, section->size))
		return add_item(object, section, NULL, end, section->size - end);
	return NULL;
}

/* From each place that something points to up to the next one. */
static struct kc_error *cut_snippets(struct diff_object *object, const struct diff_arch *arch,
				     struct kc_elf_section *section)
{
	kc_autofree uint64_t *offsets = NULL;
	uint64_t start = 0;
	size_t n = 0;

	KC_TRY(diff_find_snippets(object, arch, section, &offsets, &n));
	for (size_t i = 0; i <= n; i++) {
		uint64_t end = i < n ? offsets[i] : section->size;

		if (end > start)
			KC_TRY(add_item(object, section, NULL, start, end - start));
		start = end;
	}
	return NULL;
}

static bool is_snippets(const struct diff_object *object, const struct kc_elf_section *section)
{
	return object->options->is_snippets && object->options->is_snippets(section);
}

/* Variables of -fcommon lie in no section. */
static struct kc_error *add_common_items(struct diff_object *object, size_t *numbers)
{
	for (size_t i = 1; i < object->elf->n_symbols; i++) {
		struct kc_elf_symbol *symbol = &object->elf->symbols[i];

		if (symbol->section || symbol->shndx != SHN_COMMON)
			continue;
		KC_TRY(add_item(object, NULL, symbol, 0, symbol->size));
		numbers[i] = object->n_items;
	}
	return NULL;
}

static struct kc_error *collect_cuts(const struct diff_object *object, struct kc_elf_symbol ***cuts, size_t *n)
{
	const struct kc_elf *elf = object->elf;

	*cuts = calloc(elf->n_symbols + 1, sizeof(struct kc_elf_symbol *));
	if (!*cuts)
		return kc_error_no_memory();
	for (size_t i = 1; i < elf->n_symbols; i++)
		if (is_cut(object, &elf->symbols[i]) && !is_snippets(object, elf->symbols[i].section))
			(*cuts)[(*n)++] = &elf->symbols[i];
	qsort(*cuts, *n, sizeof(struct kc_elf_symbol *), compare_cuts);
	return NULL;
}

struct kc_error *diff_cut(struct diff_object *object, const struct diff_arch *arch)
{
	struct kc_elf *elf = object->elf;
	kc_autofree struct kc_elf_symbol **cuts = NULL;
	kc_autofree size_t *numbers = calloc(elf->n_symbols + 1, sizeof(*numbers));
	size_t n_cuts = 0, at = 0;

	object->by_symbol = calloc(elf->n_symbols + 1, sizeof(struct kc_diff_item *));
	object->first_item = calloc(elf->n_sections + 2, sizeof(*object->first_item));
	if (!numbers || !object->by_symbol || !object->first_item)
		return kc_error_no_memory();
	KC_TRY(collect_cuts(object, &cuts, &n_cuts));
	for (size_t i = 0; i < elf->n_sections; i++) {
		size_t from = at;

		object->first_item[i] = object->n_items;
		while (at < n_cuts && cuts[at]->section->index == i)
			at++;
		if (!is_cut_into_items(object, &elf->sections[i]))
			continue;
		if (is_snippets(object, &elf->sections[i]))
			KC_TRY(cut_snippets(object, arch, &elf->sections[i]));
		else
			KC_TRY(cut_section(object, &elf->sections[i], cuts + from, at - from, numbers));
	}
	object->first_item[elf->n_sections] = object->n_items;
	KC_TRY(add_common_items(object, numbers));
	for (size_t i = 0; i < elf->n_symbols; i++)
		if (numbers[i])
			object->by_symbol[i] = &object->items[numbers[i] - 1];
	return NULL;
}

/* Jump tables refer to places behind the end. */
struct kc_diff_item *diff_find_in_section(const struct diff_object *object, uint32_t section, int64_t offset)
{
	size_t low = object->first_item[section], high = object->first_item[section + 1];

	if (low == high)
		return NULL;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if ((int64_t)object->items[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return &object->items[low];
}

struct kc_diff_item *diff_find_item(const struct diff_object *object, const struct kc_elf_symbol *symbol,
				    int64_t offset, int64_t *in_item)
{
	struct kc_diff_item *item = object->by_symbol[symbol->index];

	*in_item = offset;
	if (!item && symbol->section)
		item = diff_find_in_section(object, symbol->section->index, (int64_t)symbol->value + offset);
	if (item && item->section)
		*in_item = (int64_t)(symbol->value - item->offset) + offset;
	return item;
}
