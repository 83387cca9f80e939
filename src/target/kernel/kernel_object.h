/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What livepatch calls an object: the kernel image ("vmlinux") or a module, as the distribution ships it: stripped, but
 * with the names that kallsyms keeps. The image's symbols are read from the kallsyms tables inside the vmlinuz; a
 * module's are its .symtab.
 *
 * Knows files only, not the running kernel (apply/).
 */
#ifndef KC_TARGET_KERNEL_KERNEL_OBJECT_H
#define KC_TARGET_KERNEL_KERNEL_OBJECT_H

#include "base/buf.h"
#include "elf/elf_file.h"

#define KC_KERNEL_VMLINUX "vmlinux"

struct kc_kernel_symbol {
	const char *name;
	uint64_t addr; /* virtual address in the image; modules: offset in `section` */
	/*
	 * 1, 2, …: its place among equal names, as livepatch counts them; 0: it has none that is sure (modules: symbols
	 * of init sections, and those behind one of the same name, are counted only while the module is being loaded).
	 */
	uint32_t sympos;
	bool is_unique;			/* no other symbol has this name */
	bool is_function;		/* vmlinux: kallsyms type t or T, w or W; modules: STT_FUNC */
	bool is_global;			/* vmlinux: its type is a capital letter; modules: not STB_LOCAL */
	bool is_exported;		/* EXPORT_SYMBOL, any flavour */
	bool is_absolute;		/* vmlinux: does not move with the image (per-CPU offsets) */
	struct kc_elf_section *section; /* modules: where it is defined; vmlinux: NULL */
};

struct kc_kernel_object {
	char *name; /* "vmlinux", "nf_tables": the module's own name, with underscores */
	bool is_module;
	struct kc_elf *elf;
	struct kc_kernel_symbol *symbols; /* vmlinux: by address; modules: in the order of .symtab */
	size_t n_symbols;
	struct kc_buf data; /* the unpacked file */

	/* vmlinux only */
	char *release;	    /* "6.1.0-47-amd64" */
	char *proc_version; /* what /proc/version will show, with its newline */
	char kernel_id[41]; /* sha1 of that, hexadecimal */
	char *compiler;	    /* "gcc-12": the compiler that proc_version names; 6.12: "x86_64-linux-gnu-gcc-12" */

	/* for look-ups */
	struct kc_buf names;		 /* vmlinux: what the symbols' names point into */
	struct kc_kernel_symbol **heads; /* by hash of the name */
	struct kc_kernel_symbol **chain; /* per symbol: the next one with this hash */
	size_t n_heads;			 /* a power of two */
};

/* A vmlinuz (bzImage; xz, zstd, gzip, lz4 payload) or an unpacked vmlinux. KC_ERR_INPUT when it is neither. */
struct kc_error *kc_kernel_image_open(struct kc_ctx *ctx, const char *path, struct kc_kernel_object **object);
/* A .ko, .ko.xz, .ko.zst or .ko.gz. */
struct kc_error *kc_kernel_module_open(struct kc_ctx *ctx, const char *path, struct kc_kernel_object **object);
void kc_kernel_object_free(struct kc_kernel_object *object);

/* The first symbol of that name; the others of that name follow through kc_kernel_symbol_next(). NULL: none. */
const struct kc_kernel_symbol *kc_kernel_symbol_find(const struct kc_kernel_object *object, const char *name);
const struct kc_kernel_symbol *kc_kernel_symbol_next(const struct kc_kernel_object *object,
						     const struct kc_kernel_symbol *symbol);
/* vmlinux: the first of the symbols at or below `addr`, and how many share its address; NULL: none is below. */
const struct kc_kernel_symbol *kc_kernel_symbol_at(const struct kc_kernel_object *image, uint64_t addr, size_t *n);
/* `size` bytes of the image at a virtual address; NULL unless all are in the file. Modules: use the section's data. */
const uint8_t *kc_kernel_image_read(const struct kc_kernel_object *image, uint64_t addr, size_t size);

KC_DEFINE_CLEANUP(kc_cleanup_kernel_object, struct kc_kernel_object *, kc_kernel_object_free)
#define kc_autokernelobject KC_CLEANUP(kc_cleanup_kernel_object)

#endif
