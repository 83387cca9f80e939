/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A placement in the making, shared by the files of the proof gate: verify.c proves sections at supposed addresses and
 * learns from their relocated fields, placement.c finds the addresses to try, diagnose.c explains a failure.
 *
 * What is learned is written to the result at once and noted in a journal, so that a supposition that turns out to be
 * wrong is taken back as a whole.
 */
#ifndef KC_TARGET_USER_PLACER_H
#define KC_TARGET_USER_PLACER_H

#include "target/user/field.h"
#include "target/user/placement.h"

/* Where and why a supposition failed. */
struct kc_placer_failure {
	const struct kc_elf_section *section;
	uint64_t offset;
	const char *why;		    /* "differs", "refers to another string", … */
	const struct kc_elf_symbol *symbol; /* that the relocation there refers to, or NULL */
	size_t depth;			    /* how much had fitted before: the deepest failure is the one to report */
};

/* A function's unwind entry in the plain object. */
struct kc_placer_range {
	uint32_t section;
	uint64_t offset, size;
};

struct kc_placer {
	const struct kc_linked *linked;
	const struct kc_elf *plain;
	struct kc_placement *result;
	uint64_t **journal; /* slots that were KC_NO_ADDR */
	size_t n_journal;
	uint32_t *queue; /* sections with an address that is not proved yet */
	size_t n_queue;
	struct kc_placer_range *ranges; /* sorted by section */
	size_t n_ranges;
	bool *dead; /* per section: fits nowhere */
	struct kc_placer_failure failure;
	bool no_memory;
};

/*
 * Supposes that `section` lies at `base` and proves it, with everything that follows from it. When it holds and `keep`
 * is set, what was learned stays. `section` may be placed already: then this compares only.
 */
bool kc_placer_try(struct kc_placer *placer, const struct kc_elf_section *section, uint64_t base, bool keep);

/*
 * Bytes [from, to) of `section` against the file at `base`, modulo relocations and without learning. `*at` is the
 * first offset that differs.
 */
bool kc_placer_match_bytes(const struct kc_placer *placer, const struct kc_elf_section *section, uint64_t base,
			   uint64_t from, uint64_t to, uint64_t *at);

/* Calls `visit` for each place in the file's code where bytes [from, to) of `section` fit. It returns false to stop. */
typedef bool kc_placer_visit_fn(struct kc_placer *placer, const struct kc_elf_section *section, uint64_t base,
				void *data);
/* false when the bytes are too few to look for. */
bool kc_placer_search(struct kc_placer *placer, const struct kc_elf_section *section, uint64_t from, uint64_t to,
		      kc_placer_visit_fn *visit, void *data);

/* True for a definition that no other object can take the place of. */
bool kc_symbol_is_own(const struct kc_elf_symbol *symbol);
/* True for a function of `section` with code. */
bool kc_symbol_is_function(const struct kc_elf_symbol *symbol);

/* Why nothing, or not everything, could be placed: KC_ERR_NOT_FOUND or KC_ERR_PROOF. */
struct kc_error *kc_placer_explain(struct kc_placer *placer);

#endif
