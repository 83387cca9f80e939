/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A livepatch module in the making, shared by the files of emission: kernel_emit.c has the flow, kernel_emit_clone.c
 * copies items into the sections of one object, kernel_emit_resolve.c says what a reference means in the kernel,
 * kernel_emit_pins.c says which addresses are kept, kernel_emit_imports.c names what the kernel has,
 * kernel_emit_noreturn.c tells objtool what does not return, kernel_emit_tables.c copies the entries of the kernel's
 * tables, kernel_emit_globals.c places new variables, kernel_emit_livepatch.c writes the klp structures,
 * kernel_finish.c turns the linked object into the module.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_EMITTER_H
#define KC_TARGET_KERNEL_KERNEL_EMITTER_H

#include "elf/elf_names.h"
#include "elf/elf_writer.h"
#include "target/kernel/kernel_emit.h"
#include "target/kernel/kernel_symvers.h"

/* Where a clone is in the emitted object. */
struct kernel_clone {
	kc_section_id section;
	uint64_t offset;
	size_t global; /* it is in kcare_arena instead: its number in emitted->globals, from 1 */
	bool is_included, is_relocated;
};

struct kernel_unit {
	const struct kc_kernel_emit_object *object;
	const struct kc_kernel_object *target; /* the image or a module */
	struct kernel_clone *clones;	       /* per item of object->diff */
	struct kc_elf_names plain_names;
};

/* What will be cloned, by its name. */
struct kernel_name {
	const char *name;
	struct kernel_unit *unit;
	const struct kc_diff_item *item;
};

/*
 * Something that the kernel has: an undefined symbol of the emitted object. `object` NULL: exported, stays as it is;
 * else it becomes the livepatch symbol .klp.sym.OBJECT.SYMBOL,SYMPOS.
 */
struct kernel_import {
	char *name; /* in the emitted object: unique there; objtool knows some functions by their names */
	const char *object, *symbol;
	uint32_t sympos;
	/* The patched module whose coming fills it in; NULL: known when the patch is loaded. */
	const char *module;
	kc_symbol_id id;
};

/* Stands for a static function of the kernel that never returns. */
struct kernel_stub {
	const struct kc_diff_item *function;
	kc_section_id section;
	uint64_t offset;
};

struct kernel_output {
	char *name;
	kc_section_id id;
	kc_symbol_id symbol;
};

struct kernel_emitter {
	struct kc_ctx *ctx;
	const struct kc_kernel_emit_options *options;
	struct kc_kernel_layout layout;
	struct kc_kernel_symvers symvers;
	struct kernel_unit *units;
	size_t n_units;
	struct kernel_name *names;
	size_t n_names;
	struct kc_elf_writer *writer;
	struct kernel_output *outputs;
	size_t n_outputs;
	struct kernel_import *imports;
	size_t n_imports;
	struct kernel_stub *stubs;
	size_t n_stubs;
	struct kc_kernel_emitted *emitted;
};

/* What a reference becomes. */
struct kernel_target {
	kc_symbol_id symbol;
	int64_t addend;
};

struct kernel_clone *kc_kernel_clone(struct kernel_unit *unit, const struct kc_diff_item *item);
/* All `*n` things of that name that will be cloned, literals apart. */
const struct kernel_name *kc_kernel_clone_names(const struct kernel_emitter *emitter, const char *name, size_t *n);
/* "qrtr", or NULL for the image. */
const char *kc_kernel_unit_module(const struct kernel_unit *unit);

/* kernel_emit_clone.c. The section of that name, made when there is none; 0: out of memory. */
kc_section_id kc_kernel_output(struct kernel_emitter *emitter, const char *name, uint32_t type, uint64_t flags);
/* The symbol that stands for a section: objtool wants references to local code to be made so. */
kc_symbol_id kc_kernel_output_symbol(const struct kernel_emitter *emitter, kc_section_id section);
/* Appends to a section and returns the offset there. */
uint64_t kc_kernel_output_append(struct kernel_emitter *emitter, kc_section_id section, uint64_t align,
				 const void *data, uint64_t size);
/* An 8-byte pointer at `offset` of `section` to `to_offset` of `to`. */
struct kc_error *kc_kernel_output_pointer(struct kernel_emitter *emitter, kc_section_id section, uint64_t offset,
					  kc_section_id to, uint64_t to_offset);
/* The same to bytes that are added to .rodata; a string with its NUL, for example. */
struct kc_error *kc_kernel_output_bytes(struct kernel_emitter *emitter, kc_section_id section, uint64_t offset,
					const void *data, uint64_t size);
struct kc_error *kc_kernel_include(struct kernel_emitter *emitter, struct kernel_unit *unit,
				   const struct kc_diff_item *item);
/* Clones what the diffs say, and all that this needs. */
struct kc_error *kc_kernel_emit_clones(struct kernel_emitter *emitter);

/* kernel_emit_resolve.c. `from` is NULL for entries of tables: these mean the clone, not the function. */
struct kc_error *kc_kernel_resolve(struct kernel_emitter *emitter, struct kernel_unit *unit,
				   const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				   struct kernel_target *target);
/* The only (global) symbol of that name, if livepatch can tell its place; else NULL. */
const struct kc_kernel_symbol *kc_kernel_find_only(const struct kc_kernel_object *object, const char *name,
						   bool is_global);
/* The placement's facts of a symbol of the original or patched object, or NULL. */
const struct kc_kernel_placed *kc_kernel_placed_find(const struct kernel_unit *unit, const struct kc_elf *elf,
						     const struct kc_elf_symbol *symbol);

/* kernel_emit_pins.c: a pointer to a function that may be compared with others or outlive the patch, unlike a label. */
bool kc_kernel_keeps_address(const struct kc_diff_item *from, const struct kc_diff_ref *ref);
bool kc_kernel_takes_entry(const struct kc_diff_item *from, const struct kc_diff_ref *ref);
/* Pins the module when `ref`, to a clone, keeps its address. */
void kc_kernel_note_pin(struct kernel_emitter *emitter, const struct kc_diff_item *from, const struct kc_diff_ref *ref);

/* kernel_emit_imports.c. An exported symbol. */
struct kc_error *kc_kernel_import_export(struct kernel_emitter *emitter, const char *name, bool is_weak,
					 kc_symbol_id *id);
/* A symbol of `object` (its kallsyms name); exported ones need no look-up. `unit` is who needs it. */
struct kc_error *kc_kernel_import_symbol(struct kernel_emitter *emitter, const struct kernel_unit *unit,
					 const struct kc_kernel_object *object, const struct kc_kernel_symbol *symbol,
					 kc_symbol_id *id);
/* A symbol that another module exports to the module of `unit`. */
struct kc_error *kc_kernel_import_foreign(struct kernel_emitter *emitter, const struct kernel_unit *unit,
					  const struct kc_kernel_export *export, kc_symbol_id *id);
const struct kernel_import *kc_kernel_import_find(const struct kernel_emitter *emitter, const char *name);
/* True when modules may refer to it like to any export: the image and kcare.ko are always there. */
bool kc_kernel_is_plain_export(const struct kc_kernel_export *export);

/* kernel_emit_noreturn.c: a call of a static function that is not carried and never returns … */
bool kc_kernel_is_noreturn_call(const struct kernel_unit *unit, const struct kc_diff_item *from,
				const struct kc_diff_ref *ref);
/* … goes through a stub. `target` is the original, and becomes the stub. */
struct kc_error *kc_kernel_use_stub(struct kernel_emitter *emitter, const struct kc_diff_item *function,
				    struct kernel_target *target);

/* kernel_emit_tables.c */
struct kc_error *kc_kernel_emit_tables(struct kernel_emitter *emitter);

/* kernel_emit_globals.c */
bool kc_kernel_is_global(const struct kernel_unit *unit, const struct kc_diff_item *item);
struct kc_error *kc_kernel_globals_begin(struct kernel_emitter *emitter);
struct kc_error *kc_kernel_global_add(struct kernel_emitter *emitter, const struct kernel_unit *unit,
				      const struct kc_diff_item *item, struct kernel_clone *clone);
struct kc_error *kc_kernel_emit_globals(struct kernel_emitter *emitter);

/* kernel_emit_livepatch.c */
struct kc_error *kc_kernel_emit_livepatch(struct kernel_emitter *emitter);
/* "kcare_patch_info" and the like: defined for the template. */
struct kc_error *kc_kernel_define(struct kernel_emitter *emitter, const char *name, kc_section_id section,
				  uint64_t offset, uint64_t size);
struct kc_error *kc_kernel_define_u32(struct kernel_emitter *emitter, const char *name, uint32_t value);

/* kernel_finish.c: objtool, link, klp symbols. `object` is what the writer made. */
struct kc_error *kc_kernel_finish(struct kernel_emitter *emitter, const struct kc_buf *object, struct kc_buf *out);

struct kc_error *kc_kernel_no_address(const struct kernel_unit *unit, const struct kc_diff_item *from,
				      const struct kc_elf_symbol *symbol, const char *why);

#endif
