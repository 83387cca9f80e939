/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reference of the patched code means in the target: another clone, the original thing at its address, a PLT
 * entry or GOT slot that the target has, or an import.
 */
#include <string.h>

#include "target/user/emitter.h"

static bool is_got(uint32_t type)
{
	return type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX || type == R_X86_64_REX_GOTPCRELX;
}

static bool is_absolute(uint32_t type)
{
	return type == R_X86_64_64 || type == R_X86_64_32 || type == R_X86_64_32S;
}

/* A pointer to a function that may be compared with others or outlive the patch, unlike a label inside a function. */
static bool takes_entry(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	if (ref->is_branch || !ref->item->is_function || ref->item->is_fragment)
		return false;
	if (is_got(ref->rela->type))
		return true;
	/* Relative fields outside of code are those of jump tables: they lead into the function. */
	return ref->offset == 0 && (from->is_function || is_absolute(ref->rela->type));
}

static struct kc_error *use(struct kc_emit_reloc *reloc, kc_symbol_id symbol, int64_t addend)
{
	if (!symbol)
		return kc_error_no_memory();
	reloc->symbol = symbol;
	reloc->addend = addend;
	return NULL;
}

/* The addend counts from the symbol of the relocation, which may be the whole section; ours from the item. */
static struct kc_error *use_clone(struct kc_emitter *emitter, struct kc_emit_unit *unit, const struct kc_diff_ref *ref,
				  struct kc_emit_reloc *reloc)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;

	KC_TRY(kc_emit_include(emitter, unit, ref->item));
	return use(reloc, kc_emit_clone(unit, ref->item)->symbol,
		   (int64_t)(symbol->section ? symbol->value : 0) + ref->rela->addend - (int64_t)ref->item->offset);
}

/* A string that the target has, too, is taken from there: pointers to it stay valid when the patch is removed. */
static bool find_string(const struct kc_emitter *emitter, const uint8_t *text, size_t size, uint64_t *addr)
{
	const struct kc_elf *elf = emitter->linked->elf;

	for (size_t i = 0; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];
		const uint8_t *hit;

		if (strcmp(section->name, ".rodata") != 0 || !section->data || (section->flags & SHF_WRITE))
			continue;
		hit = memmem(section->data, section->size, text, size);
		if (hit) {
			*addr = section->addr + (hit - section->data);
			return true;
		}
	}
	return false;
}

/* `*done` when the reference is to such a string. */
static struct kc_error *use_string(struct kc_emitter *emitter, const struct kc_diff_ref *ref,
				   struct kc_emit_reloc *reloc, bool *done)
{
	const struct kc_diff_item *item = ref->item;
	const struct kc_elf_section *section = item->section;
	const uint8_t *text, *end;
	uint64_t addr;

	*done = false;
	if (!section || !section->data || !(section->flags & SHF_STRINGS) || section->entsize != 1 || ref->offset < 0 ||
	    (uint64_t)ref->offset >= item->size || is_got(ref->rela->type))
		return NULL;
	text = section->data + item->offset + ref->offset;
	end = memchr(text, '\0', item->size - ref->offset);
	if (!end || !find_string(emitter, text, end - text + 1, &addr))
		return NULL;
	*done = true;
	/* What the field adds beyond the string's place is its distance from the end of the instruction. */
	return use(reloc, kc_emit_target(emitter, "string", "@target", STT_OBJECT, addr),
		   (int64_t)ref->rela->symbol->value + ref->rela->addend - (int64_t)item->offset - ref->offset);
}

/* lea, or a pointer in data: the address itself is used, so that it may be kept somewhere. */
static bool keeps_address(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	const struct kc_elf_rela *rela = ref->rela;

	if (ref->is_branch)
		return false;
	if (is_absolute(rela->type) || is_got(rela->type))
		return true;
	return from->is_function && rela->offset >= 2 && from->section->data[rela->offset - 2] == 0x8d;
}

/* Jump and exception tables are only used by the code that they belong to. */
static bool is_private_table(const struct kc_diff_item *item)
{
	if (item->section && !strncmp(item->section->name, ".gcc_except_table", 17))
		return true;
	for (size_t i = 0; i < item->n_refs; i++) {
		if (item->refs[i].item && item->refs[i].item->is_function && item->refs[i].offset != 0)
			return true;
	}
	return false;
}

/* Tables that the compiler made of a switch or an initialiser: their address stays in the function. */
static bool is_compiler_table(const struct kc_diff_item *item)
{
	return item->is_literal && item->symbol &&
	       (!strncmp(item->symbol->name, "CSWTCH.", 7) || !strncmp(item->symbol->name, "C.", 2));
}

static void note_pins(struct kc_emitter *emitter, const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	if (is_compiler_table(ref->item))
		return;
	if (ref->item == from || !keeps_address(from, ref) || is_private_table(ref->item))
		return;
	if ((!from->is_function && is_private_table(from)) || ref->item->is_fragment)
		return;
	emitter->flags |= KC_PAYLOAD_PINNED;
}

static bool is_ifunc(const struct kc_emitter *emitter, const struct kc_elf_symbol *symbol)
{
	const struct kc_elf_symbol *export =
		symbol->bind == STB_LOCAL ? NULL : kc_linked_export(emitter->linked, symbol->name);

	return symbol->type == STT_GNU_IFUNC || (export && export->type == STT_GNU_IFUNC);
}

/* Something at a known address of the target. */
static struct kc_error *use_target(struct kc_emitter *emitter, const struct kc_elf_symbol *symbol, uint64_t addr,
				   int64_t addend, struct kc_emit_reloc *reloc)
{
	uint8_t type = is_ifunc(emitter, symbol) ? STT_GNU_IFUNC : STT_NOTYPE;

	return use(reloc, kc_emit_target(emitter, symbol->name, "@target", type, addr), addend);
}

/* The slot of the target is read like any other memory. */
static struct kc_error *use_slot(struct kc_emitter *emitter, const struct kc_elf_symbol *symbol, uint64_t slot,
				 const struct kc_diff_ref *ref, struct kc_emit_reloc *reloc)
{
	reloc->type = R_X86_64_PC32;
	return use(reloc, kc_emit_target(emitter, symbol->name, "@got", STT_OBJECT, slot), ref->rela->addend);
}

/* The address by which all parts of a position-dependent executable know an imported function: its PLT entry. */
static uint64_t canonical_plt(const struct kc_emitter *emitter, const char *name)
{
	size_t n;
	struct kc_elf_symbol **found = kc_linked_names(emitter->linked, name, &n);

	for (size_t i = 0; i < n; i++) {
		if (found[i]->shndx == SHN_UNDEF && found[i]->value)
			return found[i]->value;
	}
	return KC_NO_ADDR;
}

/* Another changed object of the same file may define it anew. */
static bool find_foreign_clone(const struct kc_emitter *emitter, const struct kc_emit_unit *unit, const char *name,
			       const struct kc_diff_item **item, struct kc_emit_unit **owner)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kc_emit_unit *other = &emitter->units[i];
		const struct kc_diff *diff = other->object->diff;

		for (size_t j = 0; diff && other != unit && j < diff->n_items; j++) {
			const struct kc_diff_item *candidate = &diff->items[j];

			if (candidate->clone && candidate->symbol && candidate->symbol->bind != STB_LOCAL &&
			    !strcmp(candidate->symbol->name, name)) {
				*item = candidate;
				*owner = other;
				return true;
			}
		}
	}
	return false;
}

/*
 * "lea symbol(%rip),%reg" of something that the linked file does not know, as position-independent executables take the
 * address of other files' data: a load from a GOT slot of the payload does the same in as many bytes.
 */
bool kc_emit_is_slot_load(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
			  const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	const struct kc_elf_rela *rela = ref->rela;
	const struct kc_diff_item *foreign;
	struct kc_placed_symbol facts;
	struct kc_emit_unit *owner;
	const uint8_t *field;

	if (!from->is_function || ref->item || rela->symbol->shndx != SHN_UNDEF || rela->type != R_X86_64_PC32 ||
	    rela->addend != -4 || rela->offset < from->offset + 3)
		return false;
	field = from->section->data + rela->offset;
	if ((field[-3] & 0xf8) != 0x48 || field[-2] != 0x8d || (field[-1] & 0xc7) != 0x05)
		return false;
	facts = kc_emit_facts(emitter, unit, unit->object->diff->patched, rela->symbol);
	return facts.addr == KC_NO_ADDR && facts.plt == KC_NO_ADDR &&
	       canonical_plt(emitter, rela->symbol->name) == KC_NO_ADDR &&
	       !kc_linked_export(emitter->linked, rela->symbol->name) &&
	       !find_foreign_clone(emitter, unit, rela->symbol->name, &foreign, &owner);
}

static struct kc_error *use_import(struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				   const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				   struct kc_emit_reloc *reloc)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;
	bool has_room;
	kc_symbol_id id;

	if (kc_emit_is_slot_load(emitter, unit, from, ref))
		reloc->type = R_X86_64_REX_GOTPCRELX;
	has_room = reloc->type == R_X86_64_64 || is_got(reloc->type);

	/* A direct reference to data of another file needs a copy relocation, which only a link can make. */
	if (!has_room && !ref->is_branch)
		return kc_emit_no_address(unit, from, symbol, "it is another file's, and too far for this reference");
	if (ref->is_branch && !has_room)
		reloc->type = R_X86_64_PLT32;
	KC_TRY(kc_emit_import(emitter, unit, symbol, &id));
	return use(reloc, id, ref->rela->addend);
}

/* `symbol` is of `elf`: the original object for things with a twin, the patched one for what is not defined there. */
static struct kc_error *use_symbol(struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				   const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				   const struct kc_elf *elf, const struct kc_elf_symbol *symbol, int64_t addend,
				   struct kc_emit_reloc *reloc)
{
	struct kc_placed_symbol facts = kc_emit_facts(emitter, unit, elf, symbol);
	const struct kc_elf_symbol *export = NULL;

	if (symbol->bind != STB_LOCAL && symbol->visibility == STV_DEFAULT)
		export = kc_linked_export(emitter->linked, symbol->name);
	if (export && facts.addr == KC_NO_ADDR && export->type != STT_TLS)
		facts.addr = export->value;
	if (facts.plt == KC_NO_ADDR && symbol->bind != STB_LOCAL)
		facts.plt = canonical_plt(emitter, symbol->name);
	if (is_got(reloc->type) && facts.got != KC_NO_ADDR)
		return use_slot(emitter, symbol, facts.got, ref, reloc);
	if (ref->is_branch && facts.plt != KC_NO_ADDR)
		return use(reloc, kc_emit_target(emitter, symbol->name, "@plt", STT_FUNC, facts.plt), addend);
	if (facts.addr != KC_NO_ADDR)
		return use_target(emitter, symbol, facts.addr, addend, reloc);
	/* In an executable the PLT entry is the function's address for all. */
	if (facts.plt != KC_NO_ADDR && emitter->linked->executable && !is_got(reloc->type))
		return use(reloc, kc_emit_target(emitter, symbol->name, "@plt", STT_FUNC, facts.plt), addend);
	if (symbol->bind == STB_LOCAL || symbol->section)
		return kc_emit_no_address(unit, from, symbol, "the shipped file has no trace of it");
	return use_import(emitter, unit, from, ref, reloc);
}

/* "__func__.3" and the like, unchanged: the target has it, and a pointer to that stays valid without the patch. */
static bool is_literal_of_target(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				 const struct kc_diff_item *item)
{
	if (!item->symbol || item->state != KC_DIFF_SAME || !item->twin || !item->twin->symbol)
		return false;
	return kc_emit_facts(emitter, unit, unit->object->diff->orig, item->twin->symbol).addr != KC_NO_ADDR;
}

static struct kc_error *resolve_item(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				     const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				     struct kc_emit_reloc *reloc)
{
	const struct kc_diff_item *item = ref->item;
	const struct kc_elf_symbol *symbol = ref->rela->symbol;
	bool is_original = item->twin && item->state != KC_DIFF_NEW && (!item->clone || takes_entry(from, ref));
	int64_t addend;
	bool done;

	if (item->is_literal)
		is_original = is_literal_of_target(emitter, unit, item);

	if (item->is_literal && !item->symbol) {
		KC_TRY(use_string(emitter, ref, reloc, &done));
		if (done)
			return NULL;
	}
	if (!is_original) {
		note_pins(emitter, from, ref);
		return use_clone(emitter, unit, ref, reloc);
	}
	if (!item->twin->symbol)
		return kc_emit_no_address(unit, from, symbol, "it has no name");
	addend = (int64_t)(symbol->section ? symbol->value : 0) + ref->rela->addend - (int64_t)item->offset;
	return use_symbol(emitter, unit, from, ref, unit->object->diff->orig, item->twin->symbol, addend, reloc);
}

struct kc_error *kc_emit_resolve(struct kc_emitter *emitter, struct kc_emit_unit *unit, const struct kc_diff_item *from,
				 const struct kc_diff_ref *ref, struct kc_emit_reloc *reloc)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;
	const struct kc_diff_item *foreign;
	struct kc_emit_unit *owner;

	reloc->type = ref->rela->type;
	switch (reloc->type) {
	case R_X86_64_64:
	case R_X86_64_PC64:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_32:
	case R_X86_64_32S:
	case R_X86_64_GOTPCREL:
	case R_X86_64_GOTPCRELX:
	case R_X86_64_REX_GOTPCRELX:
		break;
	default:
		return kc_emit_no_address(unit, from, symbol, "this kind of relocation is not supported");
	}
	if (ref->item)
		return resolve_item(emitter, unit, from, ref, reloc);
	if (symbol->shndx == SHN_ABS || symbol->section)
		return kc_emit_no_address(unit, from, symbol, "it is neither code nor data");
	if (find_foreign_clone(emitter, unit, symbol->name, &foreign, &owner) &&
	    (foreign->state == KC_DIFF_NEW || ref->is_branch)) {
		if (foreign->is_function && !ref->is_branch)
			emitter->flags |= KC_PAYLOAD_PINNED;
		KC_TRY(kc_emit_include(emitter, owner, foreign));
		return use(reloc, kc_emit_clone(owner, foreign)->symbol, ref->rela->addend);
	}
	return use_symbol(emitter, unit, from, ref, unit->object->diff->patched, symbol, ref->rela->addend, reloc);
}
