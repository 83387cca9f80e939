/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds a relocatable ELF64 x86-64 object in memory. The caller adds sections, symbols and relocations in any order;
 * kc_elf_writer_finish() sorts local symbols first, writes the string and relocation tables and gives the file's bytes.
 */
#ifndef KC_ELF_ELF_WRITER_H
#define KC_ELF_ELF_WRITER_H

#include "base/buf.h"
#include "elf/elf_file.h"

struct kc_elf_writer;

/* Handles: small positive numbers, valid until the writer is freed. 0: none (undefined symbol) or out of memory. */
typedef uint32_t kc_section_id;
typedef uint32_t kc_symbol_id;

struct kc_elf_writer *kc_elf_writer_new(void);
void kc_elf_writer_free(struct kc_elf_writer *writer);

/* `data` is copied; NULL with SHT_NOBITS. */
kc_section_id kc_elf_writer_add_section(struct kc_elf_writer *writer, const char *name, uint32_t type, uint64_t flags,
					uint64_t align, uint64_t entsize, const void *data, uint64_t size);
/*
 * A relocation section of its own, beside the one that each section gets by itself: it takes its place among the other
 * sections, before all of those. Fill it with kc_elf_writer_add_rela(); offsets are of `applies_to`.
 */
kc_section_id kc_elf_writer_add_rela_section(struct kc_elf_writer *writer, const char *name, uint64_t flags,
					     kc_section_id applies_to);
/* Makes a section longer, and its alignment at least `align`. `data` NULL: zeros. */
void kc_elf_writer_append(struct kc_elf_writer *writer, kc_section_id section, uint64_t align, const void *data,
			  uint64_t size);
/* Writes over bytes that the section has. */
void kc_elf_writer_set(struct kc_elf_writer *writer, kc_section_id section, uint64_t offset, const void *data,
		       uint64_t size);
uint64_t kc_elf_writer_section_size(const struct kc_elf_writer *writer, kc_section_id section);
/* `section` 0 makes an undefined symbol; special sections (SHN_LIVEPATCH) are taken as such. STB_…, STT_…. */
kc_symbol_id kc_elf_writer_add_symbol(struct kc_elf_writer *writer, const char *name, uint8_t bind, uint8_t type,
				      kc_section_id section, uint64_t value, uint64_t size);
/* Relocates `section` at `offset`. false when out of memory. */
bool kc_elf_writer_add_rela(struct kc_elf_writer *writer, kc_section_id section, uint64_t offset, uint32_t type,
			    kc_symbol_id symbol, int64_t addend);
/* Appends the file to `out`; call it once. */
struct kc_error *kc_elf_writer_finish(struct kc_elf_writer *writer, struct kc_buf *out);

#endif
