/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The index over a linked ELF file. See linked.h.
 */
#include <stdlib.h>
#include <string.h>

#include "target/user/linked.h"

static size_t name_length(const char *name)
{
	return strcspn(name, "@");
}

bool kc_symbol_name_equal(const char *a, const char *b)
{
	size_t length = name_length(a);

	return length == name_length(b) && !memcmp(a, b, length);
}

static int compare_names(const char *a, const char *b)
{
	size_t na = name_length(a), nb = name_length(b);
	int order = memcmp(a, b, na < nb ? na : nb);

	return order ? order : (na > nb) - (na < nb);
}

static int by_name(const void *a, const void *b)
{
	const struct kc_elf_symbol *x = *(struct kc_elf_symbol *const *)a, *y = *(struct kc_elf_symbol *const *)b;
	int order = compare_names(x->name, y->name);

	/* The default version first, so that it is found first. */
	return order ? order : (int)x->version_hidden - (int)y->version_hidden;
}

static struct kc_error *index_names(struct kc_linked *linked)
{
	const struct kc_elf *elf = linked->elf;

	linked->names = calloc(elf->n_dynamic_symbols + 1, sizeof(*linked->names));
	if (!linked->names)
		return kc_error_no_memory();
	for (size_t i = 1; i < elf->n_dynamic_symbols; i++) {
		if (elf->dynamic_symbols[i].name[0])
			linked->names[linked->n_names++] = &elf->dynamic_symbols[i];
	}
	qsort(linked->names, linked->n_names, sizeof(*linked->names), by_name);
	return NULL;
}

/* DT_FLAGS_1 tells position-independent executables, also static ones, from shared libraries. */
static bool has_pie_flag(const struct kc_elf *elf, const Elf64_Phdr *dynamic)
{
	for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic->p_filesz; at += sizeof(Elf64_Dyn)) {
		const uint8_t *data = kc_elf_read(elf, dynamic->p_vaddr + at, sizeof(Elf64_Dyn));
		Elf64_Dyn entry;

		if (!data)
			return false;
		memcpy(&entry, data, sizeof(entry));
		if (entry.d_tag == DT_NULL)
			return false;
		if (entry.d_tag == DT_FLAGS_1)
			return entry.d_un.d_val & DF_1_PIE;
	}
	return false;
}

static void read_segments(struct kc_linked *linked)
{
	const struct kc_elf *elf = linked->elf;

	linked->executable = elf->type == ET_EXEC;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];

		if (segment->p_type == PT_TLS) {
			uint64_t align = segment->p_align ? segment->p_align : 1;

			linked->tls = segment;
			linked->tls_size = (segment->p_memsz + align - 1) / align * align;
		}
		if (segment->p_type == PT_INTERP && !elf->soname)
			linked->executable = true;
		if (segment->p_type == PT_DYNAMIC && has_pie_flag(elf, segment))
			linked->executable = true;
	}
}

struct kc_error *kc_linked_new(struct kc_ctx *ctx, const struct kc_elf *elf, struct kc_linked **result)
{
	kc_autolinked struct kc_linked *linked = calloc(1, sizeof(*linked));

	if (!linked)
		return kc_error_no_memory();
	linked->elf = elf;
	KC_TRY(index_names(linked));
	KC_TRY(kc_elf_fde_ranges(ctx, elf, &linked->ranges, &linked->n_ranges));
	read_segments(linked);
	*result = kc_steal(linked);
	return NULL;
}

void kc_linked_free(struct kc_linked *linked)
{
	if (!linked)
		return;
	free(linked->names);
	free(linked->ranges);
	free(linked);
}

struct kc_elf_symbol **kc_linked_names(const struct kc_linked *linked, const char *name, size_t *n)
{
	size_t low = 0, high = linked->n_names;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(linked->names[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*n = 0;
	while (low + *n < linked->n_names && kc_symbol_name_equal(linked->names[low + *n]->name, name))
		(*n)++;
	return &linked->names[low];
}

struct kc_elf_symbol *kc_linked_export(const struct kc_linked *linked, const char *name)
{
	size_t n;
	struct kc_elf_symbol **found = kc_linked_names(linked, name, &n);

	for (size_t i = 0; i < n; i++) {
		if (found[i]->shndx != SHN_UNDEF)
			return found[i];
	}
	return NULL;
}

bool kc_linked_exported_at(const struct kc_linked *linked, const char *name, uint64_t addr)
{
	size_t n;
	struct kc_elf_symbol **found = kc_linked_names(linked, name, &n);

	for (size_t i = 0; i < n; i++) {
		/* An undefined symbol with a value is the canonical PLT entry of a non-PIE executable. */
		if (found[i]->value == addr && addr)
			return true;
	}
	return false;
}

const struct kc_elf_rela *kc_linked_rela_at(const struct kc_linked *linked, uint64_t addr)
{
	size_t low = 0, high = linked->elf->n_dynamic_relas;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (linked->elf->dynamic_relas[middle].offset < addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < linked->elf->n_dynamic_relas && linked->elf->dynamic_relas[low].offset == addr)
		return &linked->elf->dynamic_relas[low];
	return NULL;
}

bool kc_linked_plt_slot(const struct kc_linked *linked, uint64_t addr, uint64_t *slot)
{
	const struct kc_elf_section *section = kc_elf_section_at(linked->elf, addr);
	uint64_t at = addr;
	const uint8_t *code;
	int32_t field;

	if (!section || strncmp(section->name, ".plt", 4) != 0 || addr % 8)
		return false;
	code = kc_elf_read(linked->elf, at, 4);
	if (code && !memcmp(code, "\xf3\x0f\x1e\xfa", 4)) /* endbr64 */
		at += 4;
	code = kc_elf_read(linked->elf, at, 1);
	if (code && code[0] == 0xf2) /* bnd */
		at++;
	code = kc_elf_read(linked->elf, at, 6);
	if (!code || code[0] != 0xff || code[1] != 0x25) /* jmp *slot(%rip) */
		return false;
	memcpy(&field, code + 2, 4);
	*slot = at + 6 + (int64_t)field;
	return true;
}

uint64_t kc_linked_range_size(const struct kc_linked *linked, uint64_t addr)
{
	size_t low = 0, high = linked->n_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (linked->ranges[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < linked->n_ranges && linked->ranges[low].addr == addr ? linked->ranges[low].size : 0;
}

bool kc_linked_maps(const struct kc_linked *linked, uint64_t addr, uint64_t size)
{
	const Elf64_Phdr *segment = kc_elf_segment_at(linked->elf, addr);

	return segment && size <= segment->p_memsz - (addr - segment->p_vaddr);
}
