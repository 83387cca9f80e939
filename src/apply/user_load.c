/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mapping of one patch, as it will be in the process: where each section goes, what needs a GOT slot or a stub, how
 * large it is. Addresses are filled in later, by user_reloc.c, when the place is known.
 *
 *   R-X: record, entries | code | stubs and IFUNC thunks | read-only data | GOT | .eh_frame, terminator
 *   RW:  libgcc's bookkeeping | IFUNC slots | data, bss
 */
#include "apply/user_internal.h"

#include <string.h>

#include "base/array.h"

void kc_load_clear(struct kc_load *load)
{
	kc_payload_free(load->payload);
	kc_elf_free(load->target);
	free(load->image);
	free(load->section_offsets);
	free(load->slots);
	free(load->entries);
	*load = (struct kc_load){ 0 };
}

static bool is_marker(const struct kc_elf_section *section)
{
	return strcmp(section->name, KC_PAYLOAD_TARGET_SECTION) == 0 ||
	       strcmp(section->name, KC_PAYLOAD_TLS_SECTION) == 0;
}

enum section_class {
	CLASS_NONE,
	CLASS_CODE,
	CLASS_CONST,
	CLASS_FRAME,
	CLASS_DATA,
};

static enum section_class classify(const struct kc_elf_section *section)
{
	if (!(section->flags & SHF_ALLOC) || section->type == SHT_NOTE || is_marker(section))
		return CLASS_NONE;
	if (section->flags & SHF_WRITE)
		return CLASS_DATA;
	if (section->flags & SHF_EXECINSTR)
		return CLASS_CODE;
	return strcmp(section->name, ".eh_frame") == 0 ? CLASS_FRAME : CLASS_CONST;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return align > 1 ? (value + align - 1) & ~(align - 1) : value;
}

/* Gives every section of a class its offset; returns where the next thing may go. */
static uint64_t place_sections(struct kc_load *load, enum section_class class, uint64_t at)
{
	const struct kc_elf *elf = load->payload->elf;

	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (classify(section) != class)
			continue;
		/* functions start on a line of their own even where the object does not ask for it */
		at = align_up(at, class == CLASS_CODE && section->align < 16 ? 16 : section->align);
		load->section_offsets[i] = at;
		at += section->size;
	}
	return at;
}

/* An address for each symbol that is not the patch's own. */
static struct kc_error *resolve_imports(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map,
					struct kc_load *load)
{
	for (size_t i = 0; i < load->payload->n_imports; i++) {
		const struct kc_payload_import *import = &load->payload->imports[i];
		struct kc_slot *slot = &load->slots[import->symbol->index];
		struct kc_found_symbol found = { 0 };
		struct kc_error *err = kc_link_map_find(ctx, view, map, import->symbol->name, import->version,
							import->library, &found);

		if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
			kc_error_free(err);
			if (!(import->flags & KC_IMPORT_WEAK))
				return kc_error_new(KC_ERR_IMPORT, "%s needs %s%s%s, which process %d does not have",
						    load->object->name, import->symbol->name,
						    import->version ? "@" : "", import->version ? import->version : "",
						    view->pid);
			err = NULL;
		}
		if (err)
			return err;
		slot->value = found.addr;
		slot->ifunc = found.ifunc;
	}
	return NULL;
}

static void resolve_target_symbols(struct kc_load *load)
{
	const struct kc_elf *elf = load->payload->elf;

	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (!symbol->section || strcmp(symbol->section->name, KC_PAYLOAD_TARGET_SECTION) != 0)
			continue;
		load->slots[i].value = load->object->bias + symbol->value;
		load->slots[i].ifunc = symbol->type == STT_GNU_IFUNC;
	}
}

/* What the relocations need beside addresses: GOT slots, and stubs for calls that may be out of reach. */
static void find_needs(struct kc_load *load)
{
	const struct kc_elf *elf = load->payload->elf;

	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (classify(section) == CLASS_NONE)
			continue;
		for (size_t j = 0; j < section->n_relas; j++) {
			const struct kc_elf_rela *rela = &section->relas[j];
			struct kc_slot *slot = &load->slots[rela->symbol->index];

			if (rela->type == R_X86_64_GOTPCREL || rela->type == R_X86_64_GOTPCRELX ||
			    rela->type == R_X86_64_REX_GOTPCRELX)
				slot->needs_got = true;
			if (slot->ifunc || (rela->type == R_X86_64_PLT32 && rela->symbol->shndx == SHN_UNDEF))
				slot->needs_stub = true;
		}
	}
}

#define STUB_SIZE 16
#define THUNK_SIZE 192

static uint64_t place_stubs(struct kc_load *load, uint64_t at)
{
	at = align_up(at, 16);
	for (size_t i = 1; i < load->payload->elf->n_symbols; i++) {
		struct kc_slot *slot = &load->slots[i];

		if (!slot->needs_stub)
			continue;
		slot->stub = (uint32_t)at;
		at += slot->ifunc ? THUNK_SIZE : STUB_SIZE;
		slot->needs_got |= !slot->ifunc; /* a stub jumps through it */
	}
	return at;
}

static uint64_t place_slots(struct kc_load *load, uint64_t at, bool ifunc)
{
	at = align_up(at, 8);
	for (size_t i = 1; i < load->payload->elf->n_symbols; i++) {
		struct kc_slot *slot = &load->slots[i];

		if (ifunc && slot->ifunc && slot->needs_stub) {
			slot->ifunc_slot = (uint32_t)at;
			at += 8;
		}
		if (!ifunc && slot->needs_got) {
			slot->got = (uint32_t)at;
			at += 8;
		}
	}
	return at;
}

static uint64_t lay_out(struct kc_load *load, bool with_unwind)
{
	struct kc_record_header *header = &load->header;
	uint64_t at, frame;

	at = sizeof(*header) + load->payload->n_functions * sizeof(struct kc_record_entry);
	at = align_up(at, 64);
	header->code_offset = at;
	at = place_sections(load, CLASS_CODE, at);
	at = place_stubs(load, at);
	header->code_size = at - header->code_offset;
	at = place_sections(load, CLASS_CONST, at);
	at = place_slots(load, at, false);
	frame = align_up(at, 8);
	at = place_sections(load, CLASS_FRAME, frame);
	if (at > frame) {
		header->frame_offset = frame;
		at = align_up(at, 4) + 4; /* a zero length ends the table */
	}
	load->text_size = KC_PAGE_UP(at);
	at = load->text_size;
	if (with_unwind && header->frame_offset) {
		header->object_offset = at;
		at += KC_UNWIND_OBJECT_SIZE;
	}
	at = place_slots(load, at, true);
	return place_sections(load, CLASS_DATA, at);
}

static void fill_header(struct kc_load *load)
{
	struct kc_record_header *header = &load->header;
	const struct kc_manifest *manifest = &load->patch->manifest;

	memcpy(header->magic, KC_RECORD_MAGIC, KC_RECORD_MAGIC_SIZE);
	header->version = KC_RECORD_VERSION;
	header->state = KC_RECORD_PREPARED;
	header->size = load->size;
	header->text_size = load->text_size;
	header->bias = load->object->bias;
	header->level = manifest->level;
	header->flags = load->payload->flags & KC_PAYLOAD_PINNED ? KC_RECORD_PINNED : 0;
	header->n_entries = (uint32_t)load->payload->n_functions;
	header->build_id_size = (uint32_t)load->object->build_id_size;
	memcpy(header->build_id, load->object->build_id, load->object->build_id_size);
	snprintf(header->hash, sizeof(header->hash), "%s", load->patch->hash);
	snprintf(header->patchset, sizeof(header->patchset), "%s", manifest->patchset ? manifest->patchset : "");
	snprintf(header->object, sizeof(header->object), "%s", load->object->name);
}

struct kc_error *kc_load_plan(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map,
			      bool with_unwind, struct kc_load *load)
{
	const struct kc_elf *elf = load->payload->elf;

	KC_TRY(kc_object_open_elf(ctx, view, load->object, &load->target));
	load->section_offsets = calloc(elf->n_sections + 1, sizeof(*load->section_offsets));
	load->slots = calloc(elf->n_symbols + 1, sizeof(*load->slots));
	load->entries = calloc(load->payload->n_functions + 1, sizeof(*load->entries));
	if (!load->section_offsets || !load->slots || !load->entries)
		return kc_error_no_memory();
	KC_TRY(resolve_imports(ctx, view, map, load));
	resolve_target_symbols(load);
	find_needs(load);
	load->size = KC_PAGE_UP(lay_out(load, with_unwind));
	load->image = calloc(1, load->size);
	if (!load->image)
		return kc_error_no_memory();
	fill_header(load);
	return NULL;
}

/* The bytes of a function as they were before any patch: what our own entries overwrote is put back. */
static void undo_entries(const struct kc_record *records, size_t n_records, uint64_t addr, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < n_records; i++) {
		for (size_t j = 0; j < records[i].header.n_entries; j++) {
			const struct kc_record_entry *entry = &records[i].entries[j];

			if (entry->addr < addr || entry->addr - addr > size - KC_JUMP_SIZE)
				continue;
			if (memcmp(bytes + (entry->addr - addr), entry->patched, KC_JUMP_SIZE) == 0)
				memcpy(bytes + (entry->addr - addr), entry->original, KC_JUMP_SIZE);
		}
	}
}

static struct kc_error *check_function(const struct kc_process_view *view, const struct kc_record *records,
				       size_t n_records, struct kc_load *load, size_t index)
{
	const struct kc_payload_function *function = &load->payload->functions[index];
	uint64_t addr = load->object->bias + function->addr, jump = addr + function->jump_offset;
	kc_autofree uint8_t *bytes = malloc(function->size + 1);
	struct kc_record_entry *entry = &load->entries[index];
	uint8_t hash[KC_SHA256_SIZE];

	if (!bytes)
		return kc_error_no_memory();
	if (function->size < function->jump_offset + KC_JUMP_SIZE || addr < load->object->start ||
	    addr + function->size > load->object->end)
		return kc_error_new(KC_ERR_INPUT, "%s: function at 0x%lx is no place for a jump", load->object->name,
				    function->addr);
	if (kc_process_read(view, addr, bytes, function->size))
		return kc_error_new(KC_ERR_BYTES_DIFFER, "process %d: cannot read %s at 0x%lx", view->pid,
				    load->object->name, function->addr);
	undo_entries(records, n_records, addr, bytes, function->size);
	kc_sha256(bytes, function->size, hash);
	if (memcmp(hash, function->hash, sizeof(hash)) != 0)
		return kc_error_new(KC_ERR_BYTES_DIFFER,
				    "process %d: the code of %s at 0x%lx is not the one that the patch was made for",
				    view->pid, function->replacement->name, addr);
	if ((jump & (KC_PAGE - 1)) > KC_PAGE - KC_JUMP_SIZE)
		return kc_error_new(KC_ERR_REFUSED,
				    "%s: the entry of %s crosses a page, so its jump cannot be written at once",
				    load->object->name, function->replacement->name);
	entry->addr = jump;
	memcpy(entry->original, bytes + function->jump_offset, KC_JUMP_SIZE);
	return NULL;
}

struct kc_error *kc_load_check_bytes(struct kc_ctx *ctx, const struct kc_process_view *view,
				     const struct kc_record *records, size_t n_records, struct kc_load *load)
{
	(void)ctx;
	for (size_t i = 0; i < load->payload->n_functions; i++)
		KC_TRY(check_function(view, records, n_records, load, i));
	return NULL;
}
