/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounds-checked reader of ELF64 little-endian x86-64 files: relocatable objects, executables and shared libraries.
 * Everything it hands out was checked: an index is valid, a string ends inside its table, data lies inside the file.
 * It is fed with files that other users wrote: a damaged file gives KC_ERR_INPUT, never a crash.
 *
 * Not a writer (elf/elf_writer.h), and it knows nothing of running processes (proc/).
 */
#ifndef KC_ELF_ELF_FILE_H
#define KC_ELF_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ctx.h"

struct kc_elf_symbol;

struct kc_elf_rela {
	uint64_t offset; /* in its section (relocatable) or a virtual address (linked) */
	uint32_t type;	 /* R_X86_64_… */
	int64_t addend;
	struct kc_elf_symbol *symbol; /* never NULL: symbol 0 stands for "none" */
};

struct kc_elf_section {
	const char *name;
	uint32_t index;
	uint32_t type;	/* SHT_… */
	uint64_t flags; /* SHF_… */
	uint64_t addr, offset, size, align, entsize;
	uint32_t link, info;
	const uint8_t *data;	   /* NULL for SHT_NOBITS */
	struct kc_elf_rela *relas; /* relocations that apply to this section, sorted by offset */
	size_t n_relas;
	const char *group; /* signature symbol of its COMDAT group, or NULL */
};

struct kc_elf_symbol {
	const char *name;
	const char *version; /* dynamic symbols: "GLIBC_2.2.5"; NULL when unversioned */
	const char *library; /* undefined dynamic symbols: soname that the version is needed from, or NULL */
	bool version_hidden; /* foo@V as opposed to foo@@V */
	uint64_t value, size;
	uint32_t index;
	uint8_t type, bind, visibility; /* STT_…, STB_…, STV_… */
	uint16_t shndx;			/* SHN_UNDEF, SHN_ABS, SHN_COMMON, a section; SHN_XINDEX: see `section` */
	struct kc_elf_section *section; /* NULL when shndx is special */
};

struct kc_elf {
	const char *name; /* for messages */
	const uint8_t *data;
	size_t size;
	uint16_t type; /* ET_REL, ET_EXEC, ET_DYN */
	uint64_t entry;
	struct kc_elf_section *sections; /* [0] is the null section */
	size_t n_sections;
	struct kc_elf_symbol *symbols; /* .symtab; [0] is the null symbol; n_symbols 0 when stripped */
	size_t n_symbols;
	struct kc_elf_symbol *dynamic_symbols; /* .dynsym */
	size_t n_dynamic_symbols;
	struct kc_elf_rela *dynamic_relas; /* .rela.dyn and .rela.plt of a linked file, sorted by address */
	size_t n_dynamic_relas;
	const Elf64_Phdr *segments;
	size_t n_segments;
	const char *soname;  /* DT_SONAME or NULL */
	const char **needed; /* DT_NEEDED */
	size_t n_needed;
	uint8_t build_id[64];
	size_t build_id_size; /* 0 when there is none */

	/* for the reader itself */
	struct kc_elf_symbol null_symbol; /* of relocations of files without symbols */
	size_t n_all_relas;
	void *owned_data; /* the file's bytes, unless the caller holds them */
};

/* Reads a whole file (limit 1 GiB). */
struct kc_error *kc_elf_open(struct kc_ctx *ctx, const char *path, struct kc_elf **elf);
/* Parses `size` bytes, which must outlive `*elf` unchanged. `name` is copied. */
struct kc_error *kc_elf_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_elf **elf);
void kc_elf_free(struct kc_elf *elf);

/* The first section of that name, or NULL. */
struct kc_elf_section *kc_elf_section_find(const struct kc_elf *elf, const char *name);
/* A defined symbol of .symtab by name (global ones win), or NULL. */
struct kc_elf_symbol *kc_elf_symbol_find(const struct kc_elf *elf, const char *name);
/* `size` bytes at virtual address `vaddr` of a linked file as the loader maps them; NULL unless all are in the file. */
const uint8_t *kc_elf_read(const struct kc_elf *elf, uint64_t vaddr, size_t size);
/* The segment or section that contains `vaddr`, or NULL. */
const Elf64_Phdr *kc_elf_segment_at(const struct kc_elf *elf, uint64_t vaddr);
struct kc_elf_section *kc_elf_section_at(const struct kc_elf *elf, uint64_t vaddr);
/* Index of the first relocation of `section` at or behind `offset`; n_relas when there is none. */
size_t kc_elf_rela_first(const struct kc_elf_section *section, uint64_t offset);
/* How many bytes a relocation of this type (R_X86_64_…) writes. */
size_t kc_elf_rela_size(uint32_t type);
/* The build-id as text (caller frees; NULL when out of memory; "" when there is none). */
char *kc_elf_build_id_text(const struct kc_elf *elf);

/* Address ranges that the unwind table of a linked file (.eh_frame) describes: one per function or fragment, sorted. */
struct kc_elf_range {
	uint64_t addr, size;
};
struct kc_error *kc_elf_fde_ranges(struct kc_ctx *ctx, const struct kc_elf *elf, struct kc_elf_range **ranges,
				   size_t *n);

KC_DEFINE_CLEANUP(kc_cleanup_elf, struct kc_elf *, kc_elf_free)
#define kc_autoelf KC_CLEANUP(kc_cleanup_elf)

#endif
