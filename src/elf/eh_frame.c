/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unwind table of a linked file, read only as far as "which address ranges does it describe": the size of every
 * function of a stripped library. The unwind rules themselves stay unread. Format: LSB 5.0, "Exception Frames".
 */
#include "elf/elf_internal.h"

#include <stdlib.h>

#include "base/array.h"

#define PE_ABSPTR 0x00
#define PE_UDATA2 0x02
#define PE_UDATA4 0x03
#define PE_UDATA8 0x04
#define PE_SDATA2 0x0a
#define PE_SDATA4 0x0b
#define PE_SDATA8 0x0c
#define PE_PCREL 0x10
#define PE_OMIT 0xff
#define PE_FORMAT 0x0f
#define PE_APPLICATION 0x70

#define MAX_AUGMENTATION 16

/* Reads forwards through bytes that lie at `addr`; after a step out of them `failed` stays set. */
struct cursor {
	const uint8_t *data;
	uint64_t size, addr;
	bool failed;
};

static const uint8_t *take(struct cursor *cursor, uint64_t size)
{
	const uint8_t *at = cursor->data;

	if (cursor->failed || size > cursor->size) {
		cursor->failed = true;
		return NULL;
	}
	cursor->data += size;
	cursor->size -= size;
	cursor->addr += size;
	return at;
}

static uint64_t take_unsigned(struct cursor *cursor, size_t size)
{
	const uint8_t *at = take(cursor, size);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, size);
	return value;
}

/* Signed or unsigned LEB128: only its length matters, or a small unsigned value. */
static uint64_t take_leb128(struct cursor *cursor)
{
	uint64_t value = 0;
	int shift = 0;
	uint8_t byte;

	do {
		byte = take_unsigned(cursor, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) && !cursor->failed);
	return value;
}

static uint64_t take_pointer(struct cursor *cursor, uint8_t encoding)
{
	uint64_t base = (encoding & PE_APPLICATION) == PE_PCREL ? cursor->addr : 0;

	switch (encoding & PE_FORMAT) {
	case PE_UDATA2:
		return base + take_unsigned(cursor, 2);
	case PE_SDATA2:
		return base + (uint64_t)(int16_t)take_unsigned(cursor, 2);
	case PE_UDATA4:
		return base + take_unsigned(cursor, 4);
	case PE_SDATA4:
		return base + (uint64_t)(int32_t)take_unsigned(cursor, 4);
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return base + take_unsigned(cursor, 8);
	default:
		cursor->failed = true;
		return 0;
	}
}

/* How the FDEs of a CIE encode their addresses. `cie` stands behind the CIE's id. */
static uint8_t read_cie(struct cursor cie)
{
	uint8_t version = take_unsigned(&cie, 1), encoding = PE_ABSPTR;
	char augmentation[MAX_AUGMENTATION + 1] = { 0 };
	size_t n = 0;

	do {
		augmentation[n] = take_unsigned(&cie, 1);
	} while (augmentation[n] != '\0' && ++n < MAX_AUGMENTATION);
	if (cie.failed || n == MAX_AUGMENTATION || (version != 1 && version != 3))
		return PE_OMIT;
	take_leb128(&cie); /* code alignment */
	take_leb128(&cie); /* data alignment */
	if (version == 1)
		take(&cie, 1);
	else
		take_leb128(&cie);
	if (augmentation[0] != 'z')
		return n == 0 && !cie.failed ? PE_ABSPTR : PE_OMIT;
	take_leb128(&cie); /* size of what the augmentation letters describe */
	for (size_t i = 1; i < n; i++) {
		if (augmentation[i] == 'R')
			encoding = take_unsigned(&cie, 1);
		else if (augmentation[i] == 'L')
			take(&cie, 1);
		else if (augmentation[i] == 'P')
			take_pointer(&cie, take_unsigned(&cie, 1));
		else if (augmentation[i] != 'S' && augmentation[i] != 'B')
			return PE_OMIT;
	}
	return cie.failed ? PE_OMIT : encoding;
}

/* Steps over one entry: its id in `*id`, its position in `*id_at`, what is behind the id in `*body`. */
static bool next_entry(struct cursor *table, uint32_t *id, uint64_t *id_at, struct cursor *body)
{
	uint64_t size = take_unsigned(table, 4);

	if (size == 0xffffffff)
		size = take_unsigned(table, 8);
	*body = *table;
	if (size == 0 || !take(table, size)) /* a zero size ends the table */
		return false;
	body->size = size;
	*id_at = body->addr;
	*id = take_unsigned(body, 4);
	return !body->failed;
}

static struct kc_error *add_range(struct kc_elf_range **ranges, size_t *n, uint64_t addr, uint64_t size)
{
	struct kc_elf_range *range;

	if (size == 0) /* garbage collection of sections leaves empty ones behind */
		return NULL;
	range = kc_array_add(ranges, n);
	if (!range)
		return kc_error_no_memory();
	range->addr = addr;
	range->size = size;
	return NULL;
}

static struct kc_error *read_table(const struct kc_elf *elf, struct cursor table, struct kc_elf_range **ranges,
				   size_t *n)
{
	uint64_t start = table.addr, total = table.size, cie_addr = UINT64_MAX;
	const uint8_t *data = table.data;
	uint8_t encoding = PE_OMIT;
	struct cursor body;
	uint64_t id_at;
	uint32_t id;

	while (table.size > 0 && next_entry(&table, &id, &id_at, &body)) {
		uint64_t addr, size, cie_offset = id_at - id - start;

		if (id == 0)
			continue;
		if (cie_offset >= total)
			return elf_bad(elf, "damaged unwind table");
		if (start + cie_offset != cie_addr) {
			struct cursor at = { data + cie_offset, total - cie_offset, start + cie_offset, false }, cie;
			uint64_t unused;
			uint32_t cie_id;

			if (!next_entry(&at, &cie_id, &unused, &cie) || cie_id != 0)
				return elf_bad(elf, "damaged unwind table");
			cie_addr = start + cie_offset;
			encoding = read_cie(cie);
		}
		if (encoding == PE_OMIT)
			return elf_bad(elf, "unwind table of an unknown kind");
		addr = take_pointer(&body, encoding);
		size = take_pointer(&body, encoding & PE_FORMAT);
		if (body.failed)
			return elf_bad(elf, "damaged unwind table");
		KC_TRY(add_range(ranges, n, addr, size));
	}
	return table.failed ? elf_bad(elf, "damaged unwind table") : NULL;
}

/* Without section headers .eh_frame_hdr leads to the table: version, three encodings, pointer. */
static bool find_by_segment(const struct kc_elf *elf, struct cursor *table)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i], *load;
		struct cursor header = { .size = segment->p_filesz, .addr = segment->p_vaddr };
		uint64_t addr, size;
		uint8_t encoding;

		if (segment->p_type != PT_GNU_EH_FRAME)
			continue;
		header.data = kc_elf_read(elf, header.addr, header.size);
		if (!header.data || take_unsigned(&header, 1) != 1)
			return false;
		encoding = take_unsigned(&header, 1);
		take(&header, 2);
		addr = take_pointer(&header, encoding);
		load = kc_elf_segment_at(elf, addr);
		if (header.failed || !load || addr - load->p_vaddr >= load->p_filesz)
			return false;
		size = load->p_filesz - (addr - load->p_vaddr);
		*table = (struct cursor){ kc_elf_read(elf, addr, size), size, addr, false };
		return table->data != NULL;
	}
	return false;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct kc_elf_range *left = a, *right = b;

	if (left->addr != right->addr)
		return left->addr < right->addr ? -1 : 1;
	return left->size == right->size ? 0 : left->size < right->size ? -1 : 1;
}

struct kc_error *kc_elf_fde_ranges(struct kc_ctx *ctx, const struct kc_elf *elf, struct kc_elf_range **ranges,
				   size_t *n)
{
	const struct kc_elf_section *section = kc_elf_section_find(elf, ".eh_frame");
	kc_autofree struct kc_elf_range *found = NULL;
	struct cursor table = { 0 };
	size_t n_found = 0;

	(void)ctx;
	*ranges = NULL;
	*n = 0;
	if (section && section->data)
		table = (struct cursor){ section->data, section->size, section->addr, false };
	else if (!find_by_segment(elf, &table))
		return NULL;
	KC_TRY(read_table(elf, table, &found, &n_found));
	if (n_found)
		qsort(found, n_found, sizeof(*found), compare_ranges);
	*ranges = kc_steal(found);
	*n = n_found;
	return NULL;
}
