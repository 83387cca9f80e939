/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the ELF reader share. Sizes and offsets in here come from the file and are hostile until they went
 * through elf_bytes() or kc_elf_read(); tables may be unaligned, so entries are copied out with memcpy().
 */
#ifndef KC_ELF_ELF_INTERNAL_H
#define KC_ELF_ELF_INTERNAL_H

#include <string.h>

#include "elf/elf_file.h"

/* A string table, or any other run of bytes of the file. */
struct elf_bytes {
	const uint8_t *data;
	size_t size;
};

struct kc_error *elf_bad(const struct kc_elf *elf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `size` bytes at file offset `offset`, or NULL. */
static inline const uint8_t *elf_at(const struct kc_elf *elf, uint64_t offset, uint64_t size)
{
	return offset <= elf->size && size <= elf->size - offset ? elf->data + offset : NULL;
}

/* The string at `offset` of a string table, or NULL when it does not end inside. */
static inline const char *elf_string(struct elf_bytes table, uint64_t offset)
{
	if (offset >= table.size || !memchr(table.data + offset, '\0', table.size - offset))
		return NULL;
	return (const char *)table.data + offset;
}

/* Rooms of versions: .gnu.version has 15 bits per symbol. */
#define ELF_MAX_VERSIONS 0x8000

struct elf_version {
	const char *name;
	const char *library; /* NULL when this file defines it */
};

/* The tables that PT_DYNAMIC names, as virtual addresses and byte sizes; 0: not there. */
struct elf_dynamic {
	struct elf_bytes strings;
	uint64_t symbols, hash, gnu_hash, version_indexes;
	uint64_t needed_versions, n_needed_versions, defined_versions, n_defined_versions;
	uint64_t rela, rela_size, plt_rela, plt_rela_size, relr, relr_size;
};

/* symbols.c: fills `*symbols` from a table of Elf64_Sym. */
struct kc_error *elf_read_symbols(struct kc_elf *elf, struct elf_bytes table, struct elf_bytes strings,
				  struct elf_bytes wide_indexes, struct kc_elf_symbol **symbols, size_t *n);
struct kc_error *elf_read_symtab(struct kc_elf *elf);
/* versions.c: names the versions of all dynamic symbols. */
struct kc_error *elf_read_versions(struct kc_elf *elf, const struct elf_dynamic *dynamic);
/* relocations.c */
struct kc_error *elf_read_section_relas(struct kc_elf *elf);
struct kc_error *elf_read_dynamic_relas(struct kc_elf *elf, const struct elf_dynamic *dynamic);
/* dynamic.c: everything that PT_DYNAMIC leads to. */
struct kc_error *elf_read_dynamic(struct kc_elf *elf);
/* notes.c */
void elf_read_build_id(struct kc_elf *elf);

#endif
