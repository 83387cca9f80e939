/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recognises functions whose only difference is __LINE__: error macros pass the source line, so every function below
 * an inserted line looks changed. The proof is the line table: each differing immediate must be the line of its own
 * instruction, in both objects.
 */
#include "diff/diff_internal.h"

#include <string.h>

static int read_immediate(const uint8_t *insn_bytes, const struct diff_insn *insn)
{
	int value;

	memcpy(&value, insn_bytes + insn->imm_offset, sizeof(value));
	return value;
}

/* The instructions at `at` are equal but for a line number. */
static bool is_line_load(const struct diff_run *run, const struct kc_diff_item *orig,
			 const struct kc_diff_item *patched, uint64_t at, const struct diff_insn *insn)
{
	const uint8_t *a = orig->section->data + orig->offset + at;
	const uint8_t *b = patched->section->data + patched->offset + at;

	if (!insn->is_load_imm || memcmp(a, b, insn->imm_offset) != 0)
		return false;
	return diff_dwarf_has_line(run->orig.dwarf, orig->section, orig->offset + at, read_immediate(a, insn)) &&
	       diff_dwarf_has_line(run->patched.dwarf, patched->section, patched->offset + at, read_immediate(b, insn));
}

/* What the linker will overwrite does not count. */
static bool differ_outside_relocations(const struct kc_diff_item *orig, const struct kc_diff_item *patched,
				       uint64_t from, uint64_t to, size_t *next_ref)
{
	const uint8_t *a = orig->section->data + orig->offset;
	const uint8_t *b = patched->section->data + patched->offset;

	for (uint64_t at = from; at < to; at++) {
		const struct kc_elf_rela *rela;

		while (*next_ref < orig->n_refs) {
			rela = orig->refs[*next_ref].rela;
			if (rela->offset - orig->offset + kc_elf_rela_size(rela->type) > at)
				break;
			(*next_ref)++;
		}
		if (*next_ref < orig->n_refs && orig->refs[*next_ref].rela->offset - orig->offset <= at)
			continue;
		if (a[at] != b[at])
			return true;
	}
	return false;
}

bool diff_only_lines_differ(const struct diff_run *run, const struct kc_diff_item *orig,
			    const struct kc_diff_item *patched)
{
	const uint8_t *a, *b;
	size_t next_ref = 0;

	if (!run->orig.dwarf || !run->patched.dwarf || !orig->section->data || !patched->section->data)
		return false;
	a = orig->section->data + orig->offset;
	b = patched->section->data + patched->offset;
	for (uint64_t at = 0; at < orig->size;) {
		struct diff_insn left, right;

		if (!run->arch->decode(a, orig->size, at, &left) || !run->arch->decode(b, orig->size, at, &right) ||
		    left.size != right.size || left.is_load_imm != right.is_load_imm)
			return false;
		if (differ_outside_relocations(orig, patched, at, at + left.size, &next_ref) &&
		    !is_line_load(run, orig, patched, at, &left))
			return false;
		at += left.size;
	}
	return true;
}
