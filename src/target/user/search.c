/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in the code of a linked file can these bytes of an object be? Looks for the longest run without relocations
 * and compares the rest around each hit. Fitting bytes prove nothing yet; verify.c does.
 */
#include <string.h>

#include "target/user/placer.h"

#define SHORTEST_RUN 4 /* shorter runs are everywhere */

struct run {
	uint64_t start, size;
};

static struct run longest_run(const struct kc_elf_section *section, uint64_t from, uint64_t to)
{
	struct run best = { from, 0 };
	uint64_t cursor = from, start, end;

	for (size_t i = 0; i <= section->n_relas && cursor < to; i++) {
		if (i < section->n_relas)
			kc_field_extent(section, i, &start, &end);
		else
			start = end = to;
		if (end <= cursor)
			continue;
		if (start > to)
			start = to;
		if (start > cursor && start - cursor > best.size)
			best = (struct run){ cursor, start - cursor };
		cursor = end;
	}
	return best;
}

bool kc_placer_search(struct kc_placer *p, const struct kc_elf_section *section, uint64_t from, uint64_t to,
		      kc_placer_visit_fn *visit, void *data)
{
	struct run run = longest_run(section, from, to);
	const struct kc_elf *elf = p->linked->elf;

	if (run.size < SHORTEST_RUN)
		return false;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		const uint8_t *code, *hit, *end;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		code = kc_elf_read(elf, segment->p_vaddr, segment->p_filesz);
		if (!code)
			continue;
		end = code + segment->p_filesz;
		for (hit = code; (hit = memmem(hit, end - hit, section->data + run.start, run.size)); hit++) {
			uint64_t addr = segment->p_vaddr + (hit - code), at;

			if (addr - segment->p_vaddr < run.start - from)
				continue;
			if (kc_placer_match_bytes(p, section, addr - run.start, from, to, &at) &&
			    !visit(p, section, addr - run.start, data))
				return true;
		}
	}
	return true;
}
