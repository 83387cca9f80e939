/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel placement in the making, shared by the files of the proof gate: kernel_verify.c proves sections at supposed
 * places and learns from their relocated fields, kernel_placement.c finds the places to try, kernel_diagnose.c explains
 * a failure. What a wrong supposition taught is taken back as a whole, by a journal.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_PLACER_H
#define KC_TARGET_KERNEL_KERNEL_PLACER_H

#include "target/kernel/kernel_placement.h"
#include "target/kernel/kernel_space.h"

/* Where and why a supposition failed. */
struct kc_kernel_failure {
	const struct kc_elf_section *section; /* NULL: nothing failed yet */
	uint64_t offset;
	const char *why;		    /* "differs", "refers to another string", … */
	const struct kc_elf_symbol *symbol; /* that the relocation there refers to, or NULL */
	uint64_t place;			    /* of `section` */
};

/* A jump label whose instruction objtool turns into a nop. */
struct kc_kernel_site {
	uint32_t section;
	uint64_t offset;
};

struct kc_kernel_placer {
	const struct kc_kernel_object *object;
	const struct kc_elf *plain;
	uint64_t *sections; /* per section of `plain`: its place, or KC_NO_PLACE */
	uint64_t *symbols;  /* per symbol that no section of `plain` tells the place of */
	uint64_t **journal; /* what was KC_NO_PLACE before */
	size_t n_journal;
	uint32_t *queue; /* sections with a place that is not proved yet */
	size_t n_queue;
	struct kc_kernel_site *sites; /* sorted */
	size_t n_sites;
	struct kc_kernel_failure failure;
	bool no_memory;
};

/*
 * Supposes that `section` begins at `place` and proves it, with everything that follows from it. When it holds and
 * `keep` is set, what was learned stays.
 */
bool kc_kernel_try(struct kc_kernel_placer *placer, const struct kc_elf_section *section, uint64_t place, bool keep);
/* Once, before the first try: fills `sites`. */
struct kc_error *kc_kernel_find_sites(struct kc_kernel_placer *placer);

/* True for a symbol whose name tells where its section is. */
bool kc_kernel_is_landmark(const struct kc_elf_symbol *symbol);
/* True when another object's definition of the same name wins. */
bool kc_kernel_is_weak(const struct kc_elf_symbol *symbol);

/* Why `section` fits nowhere. KC_ERR_NOT_FOUND or KC_ERR_PROOF. */
struct kc_error *kc_kernel_explain(const struct kc_kernel_placer *placer, const struct kc_elf_section *section);

#endif
