/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proves sections of a plain object at supposed places: their bytes must be those of the shipped file, but for
 * relocated fields, which tell where other sections and symbols are. Those must agree with everything known already,
 * and the sections among them are proved in turn.
 *
 * The file on disk is as the link editor left it: what is patched at boot or load (alternatives, paravirt sites, lock
 * prefixes, static calls, return thunks, endbr seals) is still as compiled. Only objtool writes into code, at jump
 * labels; it may have run on the whole image instead of on each object.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_placer.h"

static bool fail(struct kc_kernel_placer *p, const struct kc_elf_section *section, uint64_t offset, const char *why,
		 const struct kc_elf_symbol *symbol)
{
	p->failure = (struct kc_kernel_failure){
		.section = section, .offset = offset, .why = why, .symbol = symbol, .place = p->sections[section->index]
	};
	return false;
}

static bool set(struct kc_kernel_placer *p, uint64_t *slot, uint64_t place)
{
	uint64_t **entry = kc_array_add(&p->journal, &p->n_journal);

	if (!entry) {
		p->no_memory = true;
		return false;
	}
	*entry = slot;
	*slot = place;
	return true;
}

/* Strings and constants that the link editor merged with equal ones: they have no common place. */
static bool is_merged(const struct kc_elf_section *section)
{
	return section->flags & SHF_MERGE;
}

bool kc_kernel_is_weak(const struct kc_elf_symbol *symbol)
{
	return symbol->bind == STB_WEAK;
}

bool kc_kernel_is_landmark(const struct kc_elf_symbol *symbol)
{
	return symbol->section && symbol->name[0] && strncmp(symbol->name, ".L", 2) != 0 &&
	       (symbol->type == STT_FUNC || (symbol->type == STT_NOTYPE && symbol->bind != STB_LOCAL));
}

static bool place_section(struct kc_kernel_placer *p, const struct kc_elf_section *section, uint64_t place)
{
	uint64_t *slot = &p->sections[section->index];
	uint32_t *entry;

	if (*slot != KC_NO_PLACE)
		return *slot == place;
	entry = kc_array_add(&p->queue, &p->n_queue);
	if (!entry) {
		p->no_memory = true;
		return false;
	}
	*entry = section->index;
	return set(p, slot, place);
}

static bool is_pc_relative(uint32_t type)
{
	return type == R_X86_64_PC32 || type == R_X86_64_PLT32 || type == R_X86_64_PC64;
}

/*
 * The string or constant that `rela` refers to, against what lies where its field leads. A named label (".LC3") is
 * where it is; a section symbol needs the addend, in which pc-relative fields of code count from behind themselves.
 */
static bool same_constant(const struct kc_kernel_placer *p, const struct kc_elf_rela *rela, uint64_t place)
{
	const struct kc_elf_section *section = rela->symbol->section;
	uint64_t offset = rela->symbol->value, size = section->entsize;
	const uint8_t *theirs;

	if (rela->symbol->type == STT_SECTION) {
		uint64_t bias = is_pc_relative(rela->type) ? 4 : 0;

		offset += (uint64_t)rela->addend + bias;
		place += (uint64_t)rela->addend + bias;
	}
	if (!section->data || offset >= section->size)
		return false;
	if (section->flags & SHF_STRINGS)
		size = strnlen((const char *)section->data + offset, section->size - offset) + 1;
	if (size > section->size - offset)
		size = section->size - offset;
	theirs = kc_space_read(p->object, place, size);
	return theirs && !memcmp(section->data + offset, theirs, size);
}

/* A global name stands for one thing in the whole file. */
static bool has_other_place(const struct kc_kernel_placer *p, const struct kc_elf_symbol *symbol, uint64_t place)
{
	const struct kc_elf_symbol *import = kc_space_import(p->object, place);

	if (symbol->bind == STB_LOCAL || (place == 0 && symbol->bind == STB_WEAK))
		return false;
	if (import)
		return strcmp(import->name, symbol->name) != 0;
	/* Some symbols that the link editor's script defines are not in kallsyms. */
	if (!p->object->is_module && !kc_kernel_symbol_find(p->object, symbol->name))
		return false;
	return !kc_space_symbol(p->object, symbol->name, place);
}

static bool learn(struct kc_kernel_placer *p, const struct kc_elf_section *from, const struct kc_elf_rela *rela,
		  uint64_t place)
{
	const struct kc_elf_symbol *symbol = rela->symbol;
	uint64_t *slot = &p->symbols[symbol->index];

	if (symbol->index == 0 || symbol->shndx == SHN_ABS)
		return place == symbol->value || fail(p, from, rela->offset, "has another constant", NULL);
	if (symbol->section && is_merged(symbol->section))
		return same_constant(p, rela, place) ||
		       fail(p, from, rela->offset, "refers to another string or constant", NULL);
	if (symbol->type != STT_SECTION && has_other_place(p, symbol, place))
		return fail(p, from, rela->offset, "refers to something else than", symbol);
	if (symbol->section && !kc_kernel_is_weak(symbol))
		return place_section(p, symbol->section, place - symbol->value) ||
		       fail(p, from, rela->offset, "refers to another place than before for", symbol);
	if (*slot == KC_NO_PLACE)
		return set(p, slot, place);
	return *slot == place || fail(p, from, rela->offset, "refers to another place than before for", symbol);
}

static int compare_sites(const void *a, const void *b)
{
	const struct kc_kernel_site *x = a, *y = b;

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/*
 * Entries of __jump_table are code, target (pc-relative, 4 bytes each) and key (8 bytes). Bit 1 in the addend of the
 * key is the compiler's request to objtool to make a nop of the jump.
 */
struct kc_error *kc_kernel_find_sites(struct kc_kernel_placer *p)
{
	const struct kc_elf_section *table = kc_elf_section_find(p->plain, "__jump_table");

	for (size_t i = 2; table && i < table->n_relas; i++) {
		const struct kc_elf_rela *key = &table->relas[i], *code = &table->relas[i - 2];
		struct kc_kernel_site *site;

		if (key->type != R_X86_64_PC64 || !(key->addend & 2) || code->offset + 8 != key->offset ||
		    !code->symbol->section)
			continue;
		site = kc_array_add(&p->sites, &p->n_sites);
		if (!site)
			return kc_error_no_memory();
		*site = (struct kc_kernel_site){ code->symbol->section->index,
						 code->symbol->value + (uint64_t)code->addend };
	}
	if (p->n_sites)
		qsort(p->sites, p->n_sites, sizeof(*p->sites), compare_sites);
	return NULL;
}

/* When objtool made a nop of the jump at `offset`, the size of that; else 0. */
static size_t nop_size(const struct kc_elf_section *section, uint64_t offset, const uint8_t *theirs)
{
	static const uint8_t NOP2[] = { 0x66, 0x90 }, NOP5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	uint64_t left = section->size - offset;

	if (left >= sizeof(NOP2) && section->data[offset] == 0xeb && !memcmp(theirs + offset, NOP2, sizeof(NOP2)))
		return sizeof(NOP2);
	if (left >= sizeof(NOP5) && section->data[offset] == 0xe9 && !memcmp(theirs + offset, NOP5, sizeof(NOP5)))
		return sizeof(NOP5);
	return 0;
}

/* A run of bytes that need not be equal: a relocated field, or a nop of objtool's. */
struct gap {
	uint64_t start, end;
	const struct kc_elf_rela *rela; /* NULL: a nop */
};

struct gaps {
	const struct kc_elf_section *section;
	const uint8_t *theirs;
	size_t rela, site, site_end; /* the next ones */
};

static void start_gaps(const struct kc_kernel_placer *p, const struct kc_elf_section *section, const uint8_t *theirs,
		       struct gaps *gaps)
{
	*gaps = (struct gaps){ .section = section, .theirs = theirs };
	while (gaps->site < p->n_sites && p->sites[gaps->site].section < section->index)
		gaps->site++;
	gaps->site_end = gaps->site;
	while (gaps->site_end < p->n_sites && p->sites[gaps->site_end].section == section->index)
		gaps->site_end++;
}

/* In the order of their addresses. false: there are no more. */
static bool next_gap(const struct kc_kernel_placer *p, struct gaps *gaps, struct gap *gap)
{
	const struct kc_elf_section *section = gaps->section;
	size_t size = 0;

	while (gaps->site < gaps->site_end && !size) {
		uint64_t offset = p->sites[gaps->site].offset;

		if (gaps->rela < section->n_relas && section->relas[gaps->rela].offset < offset)
			break;
		gaps->site++;
		size = offset < section->size ? nop_size(section, offset, gaps->theirs) : 0;
		*gap = (struct gap){ offset, offset + size, NULL };
	}
	if (size) { /* the jump's own relocation is gone */
		while (gaps->rela < section->n_relas && section->relas[gaps->rela].offset < gap->end)
			gaps->rela++;
		return true;
	}
	if (gaps->rela == section->n_relas)
		return false;
	gap->rela = &section->relas[gaps->rela++];
	gap->start = gap->rela->offset;
	gap->end = gap->start + kc_elf_rela_size(gap->rela->type);
	return true;
}

static bool same_bytes(struct kc_kernel_placer *p, const struct kc_elf_section *section, const uint8_t *theirs,
		       uint64_t from, uint64_t to)
{
	if (from >= to || !memcmp(section->data + from, theirs + from, to - from))
		return true;
	while (section->data[from] == theirs[from])
		from++;
	return fail(p, section, from, "differs", NULL);
}

/* resolve_btfids fills these in after the link. */
static bool is_filled_later(const struct kc_elf_section *section)
{
	return !strcmp(section->name, ".BTF_ids");
}

static bool verify_section(struct kc_kernel_placer *p, const struct kc_elf_section *section)
{
	uint64_t place = p->sections[section->index], done = 0, symbol_place;
	const uint8_t *theirs;
	struct gap gap = { 0 };
	struct gaps gaps;
	size_t n_fields = 0;

	if (!section->data || !section->size || is_filled_later(section))
		return true;
	theirs = kc_space_read(p->object, place, section->size);
	if (!theirs)
		return fail(p, section, 0, "lies outside the file", NULL);
	start_gaps(p, section, theirs, &gaps);
	while (next_gap(p, &gaps, &gap)) {
		if (!same_bytes(p, section, theirs, done, gap.start))
			return false;
		done = gap.end > done ? gap.end : done;
		if (!gap.rela || gap.rela->type == R_X86_64_NONE)
			continue;
		n_fields++;
		if (!kc_space_field(p->object, place + gap.start, gap.rela, &symbol_place))
			return fail(p, section, gap.start, "is relocated in another way", gap.rela->symbol);
		if (!learn(p, section, gap.rela, symbol_place))
			return false;
	}
	if (!same_bytes(p, section, theirs, done, section->size))
		return false;
	if (p->object->is_module && kc_space_count_fields(p->object, place, section->size) != n_fields)
		return fail(p, section, 0, "has fewer relocations", NULL);
	return true;
}

bool kc_kernel_try(struct kc_kernel_placer *p, const struct kc_elf_section *section, uint64_t place, bool keep)
{
	size_t mark = p->n_journal;
	bool holds = place_section(p, section, place);

	if (!holds && !p->no_memory)
		fail(p, section, 0, "has another place already", NULL);
	while (holds && p->n_queue)
		holds = verify_section(p, &p->plain->sections[p->queue[--p->n_queue]]);
	p->n_queue = 0;
	if (holds && keep)
		return true;
	while (p->n_journal > mark)
		*p->journal[--p->n_journal] = KC_NO_PLACE;
	return holds;
}
