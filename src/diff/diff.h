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
	const char *section;		       /* its exact name */
	uint32_t entry_size;		       /* 0: each relocation is an entry, as wide as its field */
	uint32_t owner_offset;		       /* of the relocated field that names the code an entry belongs to */
	uint32_t ignored_offset, ignored_size; /* bytes that may differ: line numbers */
	/*
	 * Of the relocated field that points to a snippet, and of the byte that holds its length; both 0: none. The
	 * field of an empty snippet points anywhere: its ref is given as a copy of the owner's.
	 */
	uint32_t snippet_offset, length_offset;
	bool is_entry_site; /* an entry marks the place where a replacement of its function is hooked in */
};

/* Data for messages, such as the descriptors of pr_debug(): cloned code gets its own, like a literal. */
struct kc_diff_own_data {
	const char *section;		       /* its exact name */
	uint32_t ignored_offset, ignored_size; /* bytes of each datum that may differ: line numbers */
};

struct kc_diff_entry {
	const struct kc_diff_table *table;
	struct kc_elf_section *section;
	uint64_t offset; /* in `section` */
	uint32_t size;
	struct kc_diff_ref *refs; /* one per relocation in it, by offset */
	size_t n_refs;
};

/* What one relocation of an item points to, with the bias of pc-relative fields taken out. */
struct kc_diff_ref {
	const struct kc_elf_rela *rela; /* made up where the assembler left a branch to its neighbour without one */
	struct kc_diff_item *item;	/* of the same object; NULL: undefined or absolute, see rela->symbol */
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
	struct kc_diff_entry *entries; /* code: of all tables, in the order of options->tables */
	size_t n_entries;
	uint32_t ignored_offset, ignored_size; /* bytes that do not count */
	struct kc_diff_item *lsda;	       /* function: its exception table (.gcc_except_table), or NULL */
	const char *scope;		       /* static variable inside a function: that function's name; else NULL */
	uint32_t jump_offset; /* functions of the original: where the jump goes, 0 or behind an endbr64 */
	bool is_function;
	/* Code without a name that a function jumps to or that replaces one of its instructions; also a literal. */
	bool is_snippet;
	bool is_fragment; /* foo.cold: code without an entry, replaced together with its parent */
	bool is_literal;  /* strings, constants, jump tables, own data, things of no size: cloned with what needs it */
	bool is_readonly; /* not writable once relocated */
	bool is_tls;
	bool is_ifunc; /* a resolver */
	/* A changed local function without an entry site (kernels): new code, which all that refer to it must use. */
	bool is_unhookable;
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
 *   data-changed, struct-layout, function-abi, constructor, short-function, entry-jump, lto, tls-new, ifunc-changed,
 *   short-branch; for kernels symbol-crc and no-fentry, and those of options->check: init, export-new, initcall, param,
 *   percpu-new, static-key, static-call
 */
struct kc_diff_options {
	const char *const *allowed; /* rules to let pass, NULL-terminated; NULL: none */
	/*
	 * True when a global symbol is visible to other ELF files of the target (function-abi applies; kernels:
	 * symbol-crc); NULL: none is.
	 */
	bool (*is_exported)(void *data, const char *name);
	void *data;
	const struct kc_diff_table *tables; /* tables that annotate code; NULL: none */
	size_t n_tables;
	const struct kc_diff_own_data *own_data;
	size_t n_own_data;
	/* Sections of code without symbols, cut wherever something else points into them. NULL: none. */
	bool (*is_snippets)(const struct kc_elf_section *section);
	/* Sections that say nothing of the running code (".discard.…", ".modinfo"): left out. NULL: none. */
	bool (*is_ignored)(const struct kc_elf_section *section);
	/* Sections that a fix brings for the patch itself (".kcare.…"): cloned with what they refer to. NULL: none. */
	bool (*is_root)(const struct kc_elf_section *section);
	/*
	 * Variables that may be lost (a flag that a message was shown): where several of one name cannot be told apart,
	 * the patch gets new ones. NULL: none.
	 */
	bool (*is_disposable)(const char *base_name);
	/* Length of a name without a number that changes from build to build (__COUNTER__). NULL: all of it. */
	size_t (*name_length)(const char *name);
	/* More rules for one item of the patched object, called when all is decided (state, clone); NULL: none. */
	struct kc_error *(*check)(struct kc_ctx *ctx, void *data, const struct kc_diff *diff,
				  const struct kc_diff_item *item);
	bool is_kernel; /* a function needs an entry site instead of room for a jump; see docs/refusals.md */
};

/* KC_ERR_USAGE when one of these (NULL-terminated, or NULL) is no rule: a misspelt --allow would allow nothing. */
struct kc_error *kc_diff_check_allowed(const char *const *allowed);
/* For options->check: a refusal, unless the rule is allowed: then NULL. */
struct kc_error *kc_diff_refuse(const struct kc_diff *diff, const char *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

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
/* The first entry of an item in this table, or NULL; the others follow it. */
const struct kc_diff_entry *kc_diff_entry_find(const struct kc_diff_item *item, const char *section);
/* The name of an item for messages: its symbol's, else its section's. */
const char *kc_diff_item_name(const struct kc_diff_item *item);

KC_DEFINE_CLEANUP(kc_cleanup_diff, struct kc_diff *, kc_diff_free)
#define kc_autodiff KC_CLEANUP(kc_cleanup_diff)

#endif
