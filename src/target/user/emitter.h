/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A payload in the making, shared by the files of emission: emit.c clones items, resolve.c says what a reference
 * means in the target, tls.c does so for thread-local variables, imports.c finds what other files define, functions.c
 * describes the replaced functions, unwind.c rewrites the unwind table.
 */
#ifndef KC_TARGET_USER_EMITTER_H
#define KC_TARGET_USER_EMITTER_H

#include "elf/elf_names.h"
#include "elf/elf_writer.h"
#include "patch/user_payload.h"
#include "target/user/emit.h"
#include "target/user/linked.h"

/* Where a clone is in the payload. */
struct kc_clone {
	kc_section_id section;
	kc_symbol_id symbol;
	char *name;
	bool is_included;
	bool is_relocated;
	bool is_duplicate; /* another object's COMDAT copy stands for it */
};

struct kc_emit_unit {
	const struct kc_emit_object *object;
	struct kc_clone *clones;	 /* per item of object->diff */
	struct kc_elf_names plain_names; /* symbols of the plain object */
};

/* A symbol that was added already. */
struct kc_emit_symbol {
	kc_section_id section; /* of markers: .kcare.target or .kcare.tls; 0: an import */
	uint64_t value;
	char *name;
	kc_symbol_id id;
};

/* A relocation of the payload. */
struct kc_emit_reloc {
	kc_section_id section;
	uint64_t offset;
	uint32_t type;
	kc_symbol_id symbol; /* 0: none is needed, `value` is final */
	int64_t addend;
	int32_t value;
};

struct kc_emitter {
	const struct kc_linked *linked;
	const struct kc_emit_options *options;
	struct kc_emit_unit *units;
	size_t n_units;
	struct kc_elf_writer *writer;
	kc_section_id target_section, tls_section;
	struct kc_emit_symbol *symbols;
	size_t n_symbols;
	struct kc_buf notes;
	struct kc_buf unwind;		     /* content of .eh_frame */
	struct kc_emit_reloc *unwind_relocs; /* `section` is filled in at the end */
	size_t n_unwind_relocs;
	uint32_t flags; /* enum kc_payload_flags */
};

/* The item's index tells its clone. */
struct kc_clone *kc_emit_clone(struct kc_emit_unit *unit, const struct kc_diff_item *item);
/* Adds a clone of `item`; does nothing when there is one. Its relocations come later. */
struct kc_error *kc_emit_include(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				 const struct kc_diff_item *item);

/* Names a place of the target; `suffix` ("@plt") keeps it apart from clones of the same name. 0: out of memory. */
kc_symbol_id kc_emit_target(struct kc_emitter *emitter, const char *name, const char *suffix, uint8_t type,
			    uint64_t addr);
/* Names a thread-local variable of the target. */
kc_symbol_id kc_emit_target_tls(struct kc_emitter *emitter, const char *name, uint64_t offset);
/* Names something that another file defines, by the version that the target would get. */
struct kc_error *kc_emit_import(struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				const struct kc_elf_symbol *symbol, kc_symbol_id *id);
/* The plain object's symbol for a symbol of the original or patched object, or NULL. */
const struct kc_elf_symbol *kc_emit_plain(const struct kc_emit_unit *unit, const struct kc_elf *elf,
					  const struct kc_elf_symbol *symbol);
/* What all placements know of `symbol` (of `elf`, the original or patched object of `unit`). */
struct kc_placed_symbol kc_emit_facts(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				      const struct kc_elf *elf, const struct kc_elf_symbol *symbol);

/* What reference `ref` of the clone `from` becomes. `reloc` holds section and offset; the rest is filled in. */
struct kc_error *kc_emit_resolve(struct kc_emitter *emitter, struct kc_emit_unit *unit, const struct kc_diff_item *from,
				 const struct kc_diff_ref *ref, struct kc_emit_reloc *reloc);
/* True when the instruction must become a load (opcode 0x8b) from a GOT slot. */
bool kc_emit_is_slot_load(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
			  const struct kc_diff_item *from, const struct kc_diff_ref *ref);
/* The same for thread-local references. */
bool kc_emit_is_tls(uint32_t type);
struct kc_error *kc_emit_resolve_tls(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				     const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				     struct kc_emit_reloc *reloc);

/* Notes for all replaced functions of the unit. */
struct kc_error *kc_emit_functions(struct kc_emitter *emitter, struct kc_emit_unit *unit);
/* Sorted virtual addresses behind each call in the `n` fragments; the caller frees them. */
struct kc_error *kc_emit_returns(const struct kc_elf *linked, const struct kc_payload_fragment *fragments, size_t n,
				 uint64_t **returns, size_t *n_returns);
/* Appends the unwind entries of the unit's function clones; may include more clones (exception tables). */
struct kc_error *kc_emit_unwind(struct kc_emitter *emitter, struct kc_emit_unit *unit);
/* Writes the unwind table of the whole payload. */
struct kc_error *kc_emit_unwind_finish(struct kc_emitter *emitter);
/* Sets KC_PAYLOAD_UNWIND when the target can unwind through its functions. */
void kc_emit_note_unwinders(struct kc_emitter *emitter);

struct kc_error *kc_emit_no_address(const struct kc_emit_unit *unit, const struct kc_diff_item *from,
				    const struct kc_elf_symbol *symbol, const char *why);

#endif
