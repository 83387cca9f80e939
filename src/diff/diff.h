/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The binary difference of two relocatable objects that were compiled from the original and the patched source with
 * -ffunction-sections -fdata-sections. It knows objects only: not where the original lives in a library or kernel
 * (target/), and not how the result is packed.
 *
 * Vocabulary as in objtool's klp passes: a symbol of the original and a symbol of the patched object that are the same
 * thing are *twins*; *correlate* finds twins, *compare* marks what changed, *clone* says what a patch must carry.
 */
#ifndef KC_DIFF_DIFF_H
#define KC_DIFF_DIFF_H

#include "elf/elf_file.h"

enum kc_diff_state {
	KC_DIFF_SAME,	 /* has a twin, equal modulo relocations */
	KC_DIFF_CHANGED, /* has a twin, differs */
	KC_DIFF_NEW,	 /* no twin */
};

struct kc_diff_item;

/*
 * A table in a section of its own whose entries annotate code: alternatives, exception tables, jump labels. Entries are
 * compared and cloned with the function that they belong to; they are no items of their own.
 */
struct kc_diff_table {
	const char *section; /* its exact name */
	uint32_t entry_size;
	uint32_t owner_offset;	 /* of the relocated field that names the code an entry belongs to */
	uint32_t ignored_offset; /* bytes that may differ: line numbers */
	uint32_t ignored_size;
};

struct kc_diff_entry {
	const struct kc_diff_table *table;
	struct kc_elf_section *section;
	uint64_t offset;	  /* in `section` */
	struct kc_diff_ref *refs; /* one per relocation in it, by offset */
	size_t n_refs;
};

/* What one relocation of an item points to, with the bias of pc-relative fields taken out. */
struct kc_diff_ref {
	const struct kc_elf_rela *rela;
	struct kc_diff_item *item; /* of the same object; NULL: undefined or absolute, see rela->symbol */
	int64_t offset; /* from the item's (or symbol's) start; jump tables: plus the entry's place in the table */
	bool is_branch; /* in a call or jump: the address goes nowhere else */
};

/*
 * One thing of the patched object that can be cloned: a function, a data object, or a section without symbols (string
 * literals, constants, jump tables). A literal is cloned as a whole section.
 */
struct kc_diff_item {
	struct kc_elf_symbol *symbol;	/* of the patched object; NULL for an anonymous section */
	struct kc_elf_section *section; /* of the patched object; NULL for a COMMON symbol */
	uint64_t offset, size;		/* in `section` */
	struct kc_diff_item *twin;	/* of the original object, or NULL; orig_items: their twin in the patched one */
	enum kc_diff_state state;
	const char *reason;	     /* why it counts as changed, for messages */
	struct kc_diff_item *parent; /* foo.cold, foo.part.0: the function it was split off, or NULL */
	struct kc_diff_ref *refs;    /* one per relocation in it, by offset */
	size_t n_refs;
	struct kc_diff_entry *entries; /* functions: of all tables, in the order of options->tables */
	size_t n_entries;
	struct kc_diff_item *lsda; /* function: its exception table (.gcc_except_table), or NULL */
	const char *scope;	   /* static variable inside a function: that function's name; else NULL */
	uint32_t jump_offset;	   /* functions of the original: where the jump goes, 0 or behind an endbr64 */
	bool is_function;
	bool is_fragment; /* foo.cold: code without an entry, replaced together with its parent */
	bool is_literal;  /* strings, constants, jump tables: cloned wherever a clone refers to them */
	bool is_readonly; /* not writable once relocated */
	bool is_tls;
	bool is_ifunc;	    /* a resolver */
	bool is_root;	    /* in a section that options->is_root names: always cloned */
	bool clone;	    /* the patch carries it */
	bool address_taken; /* a clone stores or passes its address (new functions: pins the patch) */
};

struct kc_diff {
	struct kc_elf *orig, *patched;
	struct kc_diff_item *orig_items, *items; /* by section and offset */
	size_t n_orig_items, n_items;
	size_t n_changed_functions, n_new_functions; /* cloned ones; fragments do not count */
};

/*
 * Refusals (each a rule name that `--allow` takes): see docs/refusals.md.
 *   data-changed, struct-layout, function-abi, constructor, short-function, entry-jump, lto, tls-new, ifunc-changed
 */
struct kc_diff_options {
	const char *const *allowed; /* rules to let pass, NULL-terminated; NULL: none */
	/* true when a global symbol is visible to other ELF files of the target (function-abi applies); NULL: none is
	 */
	bool (*is_exported)(void *data, const char *name);
	void *data;
	const struct kc_diff_table *tables; /* tables that annotate code; NULL: none */
	size_t n_tables;
	/* Sections that say nothing of the running code (".discard.…", ".modinfo"): left out. NULL: none. */
	bool (*is_ignored)(const struct kc_elf_section *section);
	/* Sections that a fix brings for the patch itself (".kcare.…"): cloned with what they refer to. NULL: none. */
	bool (*is_root)(const struct kc_elf_section *section);
	/* More rules for one item of the patched object; NULL: none. */
	struct kc_error *(*check)(void *data, const struct kc_diff *diff, const struct kc_diff_item *item);
	bool is_kernel; /* entries need an mcount site instead of room for a jump; see docs/refusals.md */
};

/* KC_ERR_USAGE when one of these (NULL-terminated, or NULL) is no rule: a misspelt --allow would allow nothing. */
struct kc_error *kc_diff_check_allowed(const char *const *allowed);

/*
 * Takes no ownership: `orig` and `patched` must outlive the result. `options` may be NULL. KC_ERR_NO_CHANGE when
 * nothing changed; KC_ERR_RULE for a refusal.
 */
struct kc_error *kc_diff_objects(struct kc_ctx *ctx, struct kc_elf *orig, struct kc_elf *patched,
				 const struct kc_diff_options *options, struct kc_diff **diff);
void kc_diff_free(struct kc_diff *diff);

/*
 * The item of the patched object that `symbol` + `addend` of one of its relocations points into, or NULL. An item's
 * `refs` say it more exactly: they know the bias of pc-relative fields.
 */
struct kc_diff_item *kc_diff_item_at(const struct kc_diff *diff, const struct kc_elf_symbol *symbol, int64_t addend);
/* The name of an item for messages: its symbol's, else its section's. */
const char *kc_diff_item_name(const struct kc_diff_item *item);

KC_DEFINE_CLEANUP(kc_cleanup_diff, struct kc_diff *, kc_diff_free)
#define kc_autodiff KC_CLEANUP(kc_cleanup_diff)

#endif
