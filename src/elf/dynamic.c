/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the loader sees of a linked file: PT_DYNAMIC and the tables it names. Section headers are asked only for the
 * number of dynamic symbols, so files and memory images without them read the same.
 */
#include "elf/elf_internal.h"

#include <stdlib.h>

#include "base/array.h"

/* The bytes of PT_DYNAMIC; empty when there is none, or only its shell, as in separate debug files. */
static struct kc_error *find_table(struct kc_elf *elf, struct elf_bytes *table)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (strcmp(elf->sections[i].name, ".dynamic") == 0 && elf->sections[i].type == SHT_NOBITS)
			return NULL;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];

		if (segment->p_type != PT_DYNAMIC || segment->p_filesz == 0)
			continue;
		table->data = kc_elf_read(elf, segment->p_vaddr, segment->p_filesz);
		table->size = segment->p_filesz;
		return table->data ? NULL : elf_bad(elf, "the dynamic table lies outside the file");
	}
	return NULL;
}

static void read_entry(struct elf_dynamic *dynamic, const Elf64_Dyn *entry)
{
	uint64_t value = entry->d_un.d_val;

	switch (entry->d_tag) {
#define X(tag, field)                   \
	case tag:                       \
		dynamic->field = value; \
		break
		X(DT_STRSZ, strings.size);
		X(DT_SYMTAB, symbols);
		X(DT_HASH, hash);
		X(DT_GNU_HASH, gnu_hash);
		X(DT_VERSYM, version_indexes);
		X(DT_VERNEED, needed_versions);
		X(DT_VERNEEDNUM, n_needed_versions);
		X(DT_VERDEF, defined_versions);
		X(DT_VERDEFNUM, n_defined_versions);
		X(DT_RELA, rela);
		X(DT_RELASZ, rela_size);
		X(DT_JMPREL, plt_rela);
		X(DT_PLTRELSZ, plt_rela_size);
		X(36 /* DT_RELR */, relr);
		X(35 /* DT_RELRSZ */, relr_size);
#undef X
	default:
		break;
	}
}

/* Calls for each entry before DT_NULL. */
#define FOR_EACH_ENTRY(table, at, entry)                                                                    \
	for (size_t at = 0; at + sizeof(entry) <= (table).size &&                                           \
			    (memcpy(&(entry), (table).data + at, sizeof(entry)), (entry).d_tag != DT_NULL); \
	     at += sizeof(entry))

static struct kc_error *read_names(struct kc_elf *elf, struct elf_bytes table, const struct elf_dynamic *dynamic)
{
	Elf64_Dyn entry;

	FOR_EACH_ENTRY(table, at, entry)
	{
		const char *name, **needed;

		if (entry.d_tag != DT_SONAME && entry.d_tag != DT_NEEDED)
			continue;
		name = elf_string(dynamic->strings, entry.d_un.d_val);
		if (!name)
			return elf_bad(elf, "bad library name in the dynamic table");
		if (entry.d_tag == DT_SONAME) {
			elf->soname = name;
			continue;
		}
		needed = kc_array_add(&elf->needed, &elf->n_needed);
		if (!needed)
			return kc_error_no_memory();
		*needed = name;
	}
	return NULL;
}

static bool read_u32(const struct kc_elf *elf, uint64_t vaddr, uint32_t *value)
{
	const uint8_t *at = kc_elf_read(elf, vaddr, sizeof(*value));

	if (at)
		memcpy(value, at, sizeof(*value));
	return at != NULL;
}

/* DT_GNU_HASH does not say how many symbols there are: the last chain ends with the last one. */
static size_t count_by_gnu_hash(const struct kc_elf *elf, uint64_t table)
{
	uint32_t n_buckets, first, bloom_size, bucket, last = 0, hash;
	uint64_t buckets, chains;

	if (!read_u32(elf, table, &n_buckets) || !read_u32(elf, table + 4, &first) ||
	    !read_u32(elf, table + 8, &bloom_size))
		return 0;
	buckets = table + 16 + 8 * (uint64_t)bloom_size;
	chains = buckets + 4 * (uint64_t)n_buckets;
	for (uint32_t i = 0; i < n_buckets; i++) {
		if (!read_u32(elf, buckets + 4 * (uint64_t)i, &bucket))
			return 0;
		if (bucket > last)
			last = bucket;
	}
	if (last < first)
		return first; /* only undefined symbols */
	do {
		if (!read_u32(elf, chains + 4 * (uint64_t)(last - first), &hash))
			return 0;
	} while (!(hash & 1) && last++ < UINT32_MAX);
	return (size_t)last + 1;
}

static size_t count_symbols(const struct kc_elf *elf, const struct elf_dynamic *dynamic)
{
	uint32_t n;

	for (size_t i = 1; i < elf->n_sections; i++)
		if (elf->sections[i].type == SHT_DYNSYM && elf->sections[i].addr == dynamic->symbols)
			return elf->sections[i].size / sizeof(Elf64_Sym);
	if (dynamic->hash && read_u32(elf, dynamic->hash + 4, &n))
		return n;
	return dynamic->gnu_hash ? count_by_gnu_hash(elf, dynamic->gnu_hash) : 0;
}

static struct kc_error *read_dynamic_symbols(struct kc_elf *elf, const struct elf_dynamic *dynamic)
{
	size_t n = dynamic->symbols ? count_symbols(elf, dynamic) : 0;
	struct elf_bytes table = { .size = n * sizeof(Elf64_Sym) };

	if (n == 0)
		return NULL;
	table.data = kc_elf_read(elf, dynamic->symbols, table.size);
	if (!table.data)
		return elf_bad(elf, "the dynamic symbols lie outside the file");
	return elf_read_symbols(elf, table, dynamic->strings, (struct elf_bytes){ 0 }, &elf->dynamic_symbols,
				&elf->n_dynamic_symbols);
}

struct kc_error *elf_read_dynamic(struct kc_elf *elf)
{
	struct elf_dynamic dynamic = { 0 };
	struct elf_bytes table = { 0 };
	uint64_t strings = 0;
	Elf64_Dyn entry;

	if (elf->type == ET_REL)
		return NULL;
	KC_TRY(find_table(elf, &table));
	if (!table.data)
		return elf_read_dynamic_relas(elf, NULL);
	FOR_EACH_ENTRY(table, at, entry)
	{
		if (entry.d_tag == DT_STRTAB)
			strings = entry.d_un.d_ptr;
		else
			read_entry(&dynamic, &entry);
	}
	if (strings) {
		dynamic.strings.data = kc_elf_read(elf, strings, dynamic.strings.size);
		if (!dynamic.strings.data)
			return elf_bad(elf, "the dynamic names lie outside the file");
	} else {
		dynamic.strings.size = 0;
	}
	KC_TRY(read_names(elf, table, &dynamic));
	KC_TRY(read_dynamic_symbols(elf, &dynamic));
	KC_TRY(elf_read_versions(elf, &dynamic));
	return elf_read_dynamic_relas(elf, &dynamic);
}
