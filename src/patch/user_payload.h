/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The userspace payload "user.o": a relocatable ELF object for one target ELF file, and the notes that say what it
 * replaces. target/user writes it, apply/ reads it; both meet here. Format: docs/patch-format.md.
 *
 * Sections are ordinary (.text.foo, .rodata.…, .data.…, .bss.…, .eh_frame, .gcc_except_table). Symbols are
 *   - defined in an ordinary section: part of the patch;
 *   - defined in the empty section ".kcare.target": something of the target, st_value is its virtual address there;
 *   - defined in the empty section ".kcare.tls": a thread-local variable of the target, st_value is its offset in the
 *     target's TLS block;
 *   - undefined: an import, described by exactly one import note.
 * Relocations that may occur: R_X86_64_64, PC64, PC32, PLT32, 32, 32S (the last two only for targets that are linked
 * below 2 GiB), GOTPCREL, GOTPCRELX, REX_GOTPCRELX (the patcher makes the slot), and in writable sections
 * DTPMOD64, DTPOFF64, TPOFF64 against .kcare.tls symbols. Anything else is KC_ERR_INPUT.
 *
 * Notes are ELF notes with the owner "kcare" in the section ".note.kcare" (SHT_NOTE), little-endian, 4-byte aligned.
 */
#ifndef KC_PATCH_USER_PAYLOAD_H
#define KC_PATCH_USER_PAYLOAD_H

#include "base/buf.h"
#include "elf/elf_file.h"
#include "patch/patch_file.h"
#include "sign/hash.h"

#define KC_PAYLOAD_NAME "user.o"
#define KC_PAYLOAD_TARGET_SECTION ".kcare.target"
#define KC_PAYLOAD_TLS_SECTION ".kcare.tls"
#define KC_PAYLOAD_NOTE_SECTION ".note.kcare"
#define KC_PAYLOAD_NOTE_OWNER "kcare"

#define KC_JUMP_SIZE 5 /* jmp rel32 */

enum kc_payload_note {
	KC_NOTE_TARGET = 1,   /* one: struct kc_payload_target */
	KC_NOTE_FUNCTION = 2, /* one per replaced function */
	KC_NOTE_IMPORT = 3,   /* one per undefined symbol */
};

/* A piece of a replaced function in the target: the function itself, its .cold part, other parts split off it. */
struct kc_payload_fragment {
	uint64_t addr, size; /* virtual address in the target */
};

struct kc_payload_function {
	struct kc_elf_symbol *replacement;     /* in an executable section of the payload */
	uint64_t addr, size;		       /* of the original's first fragment, in the target */
	uint32_t jump_offset;		       /* where the jump is written: 0, or 4 behind an endbr64 */
	uint8_t hash[KC_SHA256_SIZE];	       /* of the `size` original bytes at `addr` */
	struct kc_payload_fragment *fragments; /* all, the first one included */
	size_t n_fragments;
	uint64_t *returns; /* virtual addresses behind each call in the fragments: all return addresses they can have */
	size_t n_returns;
};

enum kc_import_flags {
	KC_IMPORT_WEAK = 1, /* may stay unresolved: address 0 */
};

struct kc_payload_import {
	struct kc_elf_symbol *symbol; /* undefined; its name is what is looked up */
	const char *version;	      /* "GLIBC_2.34", or NULL: any */
	const char *library;	      /* soname that defines it, or NULL: any */
	uint32_t flags;
};

enum kc_payload_flags {
	KC_PAYLOAD_PINNED = 1, /* the address of a new function may have been stored: its code is never unmapped */
	KC_PAYLOAD_UNWIND = 2, /* patched code can be unwound through: register its .eh_frame */
};

struct kc_payload {
	struct kc_elf *elf;
	uint8_t build_id[64]; /* of the target */
	size_t build_id_size;
	uint32_t flags;
	struct kc_payload_function *functions; /* sorted by addr */
	size_t n_functions;
	struct kc_payload_import *imports;
	size_t n_imports;
};

/* `data` must outlive the payload. Everything in it is checked; errors are KC_ERR_INPUT. */
struct kc_error *kc_payload_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
				  struct kc_payload **payload);
/*
 * The userspace payload of a verified patch; `patch` must outlive it. KC_ERR_INPUT also when manifest and payload are
 * for different targets.
 */
struct kc_error *kc_patch_user_payload(struct kc_ctx *ctx, const struct kc_patch *patch, struct kc_payload **payload);
void kc_payload_free(struct kc_payload *payload);

/*
 * Encodes notes for kc_elf_writer: appends one whole ELF note to `section`. FUNCTION and IMPORT notes hold symbol
 * *names* (looked up again when parsed), so they survive any renumbering; a name that a note uses must exist exactly
 * once in .symtab, local symbols included. In a function only the name of `replacement` is used, in an import only the
 * name of `symbol`. `fragments[0]` is {addr, size}.
 */
void kc_payload_encode_target(struct kc_buf *section, const uint8_t *build_id, size_t build_id_size, uint32_t flags);
void kc_payload_encode_function(struct kc_buf *section, const struct kc_payload_function *function);
void kc_payload_encode_import(struct kc_buf *section, const struct kc_payload_import *import);

KC_DEFINE_CLEANUP(kc_cleanup_payload, struct kc_payload *, kc_payload_free)
#define kc_autopayload KC_CLEANUP(kc_cleanup_payload)

#endif
