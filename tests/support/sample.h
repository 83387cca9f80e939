/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small valid things for tests and fuzz seeds: a key pair, a manifest, a userspace payload, a patch file. What goes
 * wrong here ends the program: it would be a bug of the test.
 */
#ifndef KC_TESTS_SAMPLE_H
#define KC_TESTS_SAMPLE_H

#include "elf/elf_writer.h"
#include "patch/patch_file.h"
#include "patch/user_payload.h"

/* Ends the program with the error's message when there is one. */
void sample_must(struct kc_error *err);

/* A fresh key pair; its folder is gone when this returns. */
void sample_keys(struct kc_ctx *ctx, struct kc_key **key, struct kc_keyring **keyring);

/* The caller clears it. */
void sample_manifest(struct kc_manifest *manifest);

/* The same for a kernel patch: with functions, switches, states and variables. */
void sample_kernel_manifest(struct kc_manifest *manifest);

/* A payload in the making: sections, symbols and relocations are there; notes and more can be added. */
struct sample_object {
	struct kc_elf_writer *writer;
	kc_section_id text, data, rodata, target, tls;
	kc_symbol_id function, helper, import, variable, thread_local;
	struct kc_buf notes;
};

#define SAMPLE_BUILD_ID "93ac615d00000000000000000000000000000000"
#define SAMPLE_KERNEL_ID "d6a9ac615d000000000000000000000000000047"
#define SAMPLE_FUNCTION_ADDR 0x1000
#define SAMPLE_FUNCTION_SIZE 0x40
#define SAMPLE_TEXT_SIZE 64
#define SAMPLE_DATA_SIZE 32

void sample_object_start(struct sample_object *object);
/* The notes of a valid payload: target, function "new_function" with a cold fragment, import "memcpy". */
void sample_object_add_notes(struct sample_object *object);
/* Adds a function note; `n_fragments` of them, the first one being the function. */
void sample_object_add_function(struct sample_object *object, const char *replacement, uint32_t jump_offset,
				const struct kc_payload_fragment *fragments, size_t n_fragments,
				const uint64_t *returns, size_t n_returns);
void sample_object_add_import(struct sample_object *object, const char *name, const char *version, const char *library,
			      uint32_t flags);
/* Appends the ELF file to `out` and frees the object. */
void sample_object_finish(struct sample_object *object, struct kc_buf *out);

void sample_payload(struct kc_buf *out);
/* A signed patch file around sample_payload(). */
void sample_patch(struct kc_ctx *ctx, const struct kc_key *key, struct kc_buf *out);
/* A signed kernel patch file whose modules are these bytes. */
void sample_kernel_patch(struct kc_ctx *ctx, const struct kc_key *key, const struct kc_manifest *manifest,
			 const struct kc_buf *module, const struct kc_buf *kcare, struct kc_buf *out);

#endif
