/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a shipped, linked ELF file tells about itself, made quick to ask: exported symbols by name, the dynamic
 * relocation at an address, PLT entries and what they lead to, unwind ranges, and the layout of its TLS block.
 * An index over struct kc_elf; knows nothing of the objects that the file was linked from (placement.h).
 */
#ifndef KC_TARGET_USER_LINKED_H
#define KC_TARGET_USER_LINKED_H

#include "elf/elf_file.h"

struct kc_linked {
	const struct kc_elf *elf;
	struct kc_elf_symbol **names; /* named .dynsym entries, sorted by name */
	size_t n_names;
	struct kc_elf_range *ranges; /* what .eh_frame describes, sorted by address */
	size_t n_ranges;
	const Elf64_Phdr *tls; /* PT_TLS or NULL */
	uint64_t tls_size;     /* of the TLS block, as the link editor counts it back from the thread pointer */
	bool executable;       /* not a shared library: local-exec TLS is possible */
};

/* `elf` must outlive `*linked`. */
struct kc_error *kc_linked_new(struct kc_ctx *ctx, const struct kc_elf *elf, struct kc_linked **linked);
void kc_linked_free(struct kc_linked *linked);

/* All .dynsym entries called `name` (which ends at an '@', as in "memcpy@@GLIBC_2.14"): first one and count. */
struct kc_elf_symbol **kc_linked_names(const struct kc_linked *linked, const char *name, size_t *n);
/* The exported definition of `name`, the default version first, or NULL. */
struct kc_elf_symbol *kc_linked_export(const struct kc_linked *linked, const char *name);
/* True when `name` is exported, in any version, and one of the definitions is at `addr`. */
bool kc_linked_exported_at(const struct kc_linked *linked, const char *name, uint64_t addr);

/* The dynamic relocation that fills the word at `addr`, or NULL. */
const struct kc_elf_rela *kc_linked_rela_at(const struct kc_linked *linked, uint64_t addr);
/* When `addr` is a PLT entry: true, and the GOT slot it jumps through. */
bool kc_linked_plt_slot(const struct kc_linked *linked, uint64_t addr, uint64_t *slot);
/* The size of the unwind range that begins at `addr`, 0 when there is none. */
uint64_t kc_linked_range_size(const struct kc_linked *linked, uint64_t addr);
/* True when `size` bytes at `addr` are mapped by the loader (file content or zero-filled). */
bool kc_linked_maps(const struct kc_linked *linked, uint64_t addr, uint64_t size);

/* True when two symbol names are the same up to a version suffix. */
bool kc_symbol_name_equal(const char *a, const char *b);

KC_DEFINE_CLEANUP(kc_cleanup_linked, struct kc_linked *, kc_linked_free)
#define kc_autolinked KC_CLEANUP(kc_cleanup_linked)

#endif
