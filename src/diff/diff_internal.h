/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the passes of the differ share. The order of the passes is in diff.c; each file holds one pass.
 */
#ifndef KC_DIFF_DIFF_INTERNAL_H
#define KC_DIFF_DIFF_INTERNAL_H

#include "diff/diff.h"

struct diff_dwarf;

/* One of the two objects, cut into items. */
struct diff_object {
	struct kc_elf *elf;
	const struct kc_diff_options *options;
	struct kc_diff_item *items;
	size_t n_items;
	struct kc_diff_item **by_symbol; /* per symbol of .symtab; NULL: not a cut */
	size_t *first_item;		 /* per section, and one more: items[first_item[i]] … of section i */
	struct diff_dwarf *dwarf;	 /* NULL: no debug information */
	struct kc_elf_rela **made_relas; /* of branches that the assembler resolved by itself */
	size_t n_made_relas;
};

struct diff_run {
	struct kc_diff diff; /* what the caller sees; must be first */
	struct kc_ctx *ctx;
	const struct kc_diff_options *options; /* never NULL */
	const struct diff_arch *arch;
	struct diff_object orig, patched;
};

/* One machine instruction, as far as the differ needs to know it. */
struct diff_insn {
	uint32_t size;
	bool is_branch;	     /* call or jump, direct or not */
	bool has_target;     /* direct: `target` counts from the first byte of the decoded code */
	bool is_load_imm;    /* moves a 32-bit immediate to a register or to the stack */
	uint32_t imm_offset; /* of that immediate in the instruction */
	int64_t target;
	uint32_t target_offset, target_size; /* of the field that holds it */
};

/* What differs by architecture. */
struct diff_arch {
	uint32_t jump_size;
	/* The instruction at `at`; false when these bytes are none. */
	bool (*decode)(const uint8_t *code, uint64_t size, uint64_t at, struct diff_insn *insn);
	/* The field counts from the end of its instruction. */
	bool (*is_pc_relative)(uint32_t rela_type);
	/* The relocation type of a branch target of that many bytes; it counts from the end of its field. */
	uint32_t (*branch_type)(uint32_t target_size);
	/* Where the jump can be written into this function; -1: it is too short. */
	int (*find_jump_offset)(const uint8_t *code, uint64_t size);
};
const struct diff_arch *diff_arch_x86_64(void);

/* items.c: cuts the object; its items point nowhere yet. */
struct kc_error *diff_cut(struct diff_object *object, const struct diff_arch *arch);
/* The item that `symbol` + `offset` (without bias) points into, and the offset from the item's start. */
struct kc_diff_item *diff_find_item(const struct diff_object *object, const struct kc_elf_symbol *symbol,
				    int64_t offset, int64_t *in_item);
/* The last item of the section that starts at or before `offset`, or its first; NULL: it has none. */
struct kc_diff_item *diff_find_in_section(const struct diff_object *object, uint32_t section, int64_t offset);
bool diff_is_constructor_section(const struct kc_elf_section *section);
/* snippets.c: where a section of snippets is cut, sorted; may hold an offset twice. Caller frees. */
struct kc_error *diff_find_snippets(const struct diff_object *object, const struct diff_arch *arch,
				    const struct kc_elf_section *section, uint64_t **offsets, size_t *n);
/* references.c: fills refs and lsda. */
struct kc_error *diff_read_references(struct diff_object *object, const struct diff_arch *arch);
/* entries.c: the table that a section is, or NULL. */
const struct kc_diff_table *diff_table_of(const struct kc_diff_options *options, const struct kc_elf_section *section);
/* Gives the entries of all tables to the items that own them. */
struct kc_error *diff_read_entries(struct diff_object *object);
/* names.c: without the numbers that compilers give ("foo.part" for foo.part.0); caller frees; NULL: out of memory. */
char *diff_base_name(const char *name);
/* Length of the name of the function that `name` was split off from; 0: it is a function of its own. */
size_t diff_parent_length(const char *name);
/* A C++ static variable inside a function, or its guard: the name holds the function's. */
bool diff_is_mangled_static(const char *name);
/* correlate.c */
struct kc_error *diff_correlate(struct diff_run *run);
/* compare.c */
struct kc_error *diff_compare(struct diff_run *run);
bool diff_contents_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched);
bool diff_targets_equal(const struct kc_diff_ref *orig, const struct kc_diff_ref *patched);
/* entries.c: what annotates twins. */
bool diff_entries_equal(const struct kc_diff_item *orig, const struct kc_diff_item *patched);
/* clone.c */
struct kc_error *diff_clone(struct diff_run *run);
/* rules.c: `diff_check_input` before, `diff_check_changes` after the comparison, `diff_check_clones` at the end. */
struct kc_error *diff_check_input(const struct diff_run *run);
struct kc_error *diff_check_changes(const struct diff_run *run);
struct kc_error *diff_check_clones(const struct diff_run *run);
bool diff_is_allowed(const struct diff_run *run, const char *rule);
/* A refusal, unless it is allowed: then NULL. */
#define REFUSE(run, rule, ...)                                     \
	do {                                                       \
		if (!diff_is_allowed((run), (rule)))               \
			return kc_error_rule((rule), __VA_ARGS__); \
	} while (0)
/* entry.c: kernels call a hook from the start of each function that is compiled for it. */
bool diff_has_entry_site(const struct kc_diff_item *function);
/* Also finds the place of the jump. */
struct kc_error *diff_check_entry(const struct diff_run *run, struct kc_diff_item *orig);

/* dwarf.c: debug information with relocations applied; section N starts at diff_dwarf_base(N). */
struct kc_error *diff_dwarf_open(const struct kc_elf *elf, struct diff_dwarf **dwarf);
void diff_dwarf_free(struct diff_dwarf *dwarf);
/* Names the functions of the static variables in them. */
void diff_read_scopes(struct diff_object *orig, struct diff_object *patched);
/* True when the source line of the code at `offset` in `section` is `line`. */
bool diff_dwarf_has_line(struct diff_dwarf *dwarf, const struct kc_elf_section *section, uint64_t offset, int line);
/* layout.c: rules struct-layout and function-abi. */
struct kc_error *diff_check_layout(const struct diff_run *run);
/* lines.c: the twins differ only in immediates that are the source lines of their instructions. */
bool diff_only_lines_differ(const struct diff_run *run, const struct kc_diff_item *orig,
			    const struct kc_diff_item *patched);

#endif
