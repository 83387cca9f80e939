/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills the image of a patch's mapping for the place where it will be: sections, relocations, GOT, stubs, thunks for
 * functions that choose their implementation at run time (IFUNC), record.
 */
#include "apply/user_internal.h"

#include <string.h>

static void put32(uint8_t *at, int64_t value)
{
	int32_t narrow = (int32_t)value;

	memcpy(at, &narrow, sizeof(narrow));
}

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* The run-time address of a symbol: what a pointer to it must hold. */
static uint64_t symbol_addr(const struct kc_load *load, const struct kc_elf_symbol *symbol)
{
	const struct kc_slot *slot = &load->slots[symbol->index];

	if (slot->ifunc)
		return load->base + slot->stub;
	if (symbol->section && load->section_offsets[symbol->section->index])
		return load->base + load->section_offsets[symbol->section->index] + symbol->value;
	return slot->value;
}

static bool fits32(int64_t value)
{
	return value == (int32_t)value;
}

static struct kc_error *store32(const struct kc_load *load, const struct kc_elf_rela *rela, uint8_t *at, int64_t value,
				bool fits)
{
	if (!fits)
		return kc_error_new(KC_ERR_NO_ROOM, "%s: '%s' is out of reach of the patch", load->object->name,
				    rela->symbol->name);
	put32(at, value);
	return NULL;
}

static struct kc_error *relocate_one(const struct kc_process_view *view, const struct kc_load *load,
				     const struct kc_elf_section *section, const struct kc_elf_rela *rela)
{
	uint64_t offset = load->section_offsets[section->index] + rela->offset, place = load->base + offset;
	const struct kc_slot *slot = &load->slots[rela->symbol->index];
	uint64_t value = symbol_addr(load, rela->symbol) + (uint64_t)rela->addend;
	uint8_t *at = load->image + offset;
	int64_t relative = (int64_t)(value - place);

	switch (rela->type) {
	case R_X86_64_64:
		put64(at, value);
		return NULL;
	case R_X86_64_PC64:
		put64(at, (uint64_t)relative);
		return NULL;
	case R_X86_64_PLT32:
		if (slot->stub && !fits32(relative))
			relative = (int64_t)(load->base + slot->stub + (uint64_t)rela->addend - place);
		return store32(load, rela, at, relative, fits32(relative));
	case R_X86_64_PC32:
		return store32(load, rela, at, relative, fits32(relative));
	case R_X86_64_32:
		return store32(load, rela, at, (int64_t)value, value == (uint32_t)value);
	case R_X86_64_32S:
		return store32(load, rela, at, (int64_t)value, fits32((int64_t)value));
	case R_X86_64_GOTPCREL:
	case R_X86_64_GOTPCRELX:
	case R_X86_64_REX_GOTPCRELX:
		relative = (int64_t)(load->base + slot->got + (uint64_t)rela->addend - place);
		return store32(load, rela, at, relative, fits32(relative));
	case R_X86_64_DTPMOD64:
	case R_X86_64_DTPOFF64:
	case R_X86_64_TPOFF64:
		KC_TRY(kc_tls_value(view, load, rela->type, rela->symbol->value, rela->addend, &value));
		put64(at, value);
		return NULL;
	default:
		return kc_error_new(KC_ERR_INPUT, "%s: relocation type %u", load->object->name, rela->type);
	}
}

/* endbr64; jmp *got(%rip) */
static void write_stub(const struct kc_load *load, const struct kc_slot *slot)
{
	static const uint8_t code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25 };
	uint8_t *at = load->image + slot->stub;

	memcpy(at, code, sizeof(code));
	put32(at + sizeof(code), (int64_t)slot->got - (slot->stub + sizeof(code) + 4));
	memset(at + sizeof(code) + 4, 0xcc, 6);
}

/*
 * The thunk of an IFUNC: jumps to what its slot holds; the first time it asks the resolver, with all argument registers
 * saved, as the loader's lazy binding does. So no code of the target runs on a borrowed thread.
 */
static void write_thunk(const struct kc_load *load, const struct kc_slot *slot)
{
	static const uint8_t head[] = {
		0xf3, 0x0f, 0x1e, 0xfa,		 /* endbr64 */
		0x4c, 0x8b, 0x1d, 0,	0, 0, 0, /*  4: mov slot(%rip), %r11 */
		0x4d, 0x85, 0xdb,		 /* 11: test %r11, %r11 */
		0x74, 0x03,			 /* 14: je 1f */
		0x41, 0xff, 0xe3,		 /* 16: jmp *%r11 */
		0x57, 0x56, 0x52, 0x51,		 /* 19: 1: push rdi, rsi, rdx, rcx */
		0x41, 0x50, 0x41, 0x51,		 /*     push r8, r9 */
		0x50, 0x41, 0x52, 0x55,		 /*     push rax, r10, rbp: rsp is 16-byte aligned now */
		0x48, 0x81, 0xec, 0x80, 0, 0, 0, /* 31: sub $128, %rsp */
	};
	static const uint8_t save[] = { 0x0f, 0x11, 0x44, 0x24 };    /* movups %xmmN, d8(%rsp) */
	static const uint8_t restore[] = { 0x0f, 0x10, 0x44, 0x24 }; /* movups d8(%rsp), %xmmN */
	static const uint8_t tail[] = {
		0x48, 0x81, 0xc4, 0x80, 0, 0, 0, /* add $128, %rsp */
		0x5d, 0x41, 0x5a, 0x58,		 /* pop rbp, r10, rax */
		0x41, 0x59, 0x41, 0x58,		 /* pop r9, r8 */
		0x59, 0x5a, 0x5e, 0x5f,		 /* pop rcx, rdx, rsi, rdi */
		0x41, 0xff, 0xe3,		 /* jmp *%r11 */
	};
	uint8_t *start = load->image + slot->stub, *at = start;
	int64_t slot_at = (int64_t)slot->ifunc_slot - (int64_t)slot->stub;

	memcpy(at, head, sizeof(head));
	put32(at + 7, slot_at - 11);
	at += sizeof(head);
	for (uint8_t i = 0; i < 8; i++) {
		memcpy(at, save, sizeof(save));
		at[2] = (uint8_t)(0x44 | i << 3);
		at[4] = (uint8_t)(16 * i);
		at += 5;
	}
	*at++ = 0x48; /* movabs $resolver, %rax */
	*at++ = 0xb8;
	put64(at, slot->value);
	at += 8;
	*at++ = 0xff; /* call *%rax */
	*at++ = 0xd0;
	*at++ = 0x49; /* mov %rax, %r11 */
	*at++ = 0x89;
	*at++ = 0xc3;
	*at++ = 0x48; /* mov %rax, slot(%rip) */
	*at++ = 0x89;
	*at++ = 0x05;
	put32(at, slot_at - (at + 4 - start));
	at += 4;
	for (uint8_t i = 0; i < 8; i++) {
		memcpy(at, restore, sizeof(restore));
		at[2] = (uint8_t)(0x44 | i << 3);
		at[4] = (uint8_t)(16 * i);
		at += 5;
	}
	memcpy(at, tail, sizeof(tail));
}

static struct kc_error *fill_sections(const struct kc_process_view *view, struct kc_load *load)
{
	const struct kc_elf *elf = load->payload->elf;

	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (load->section_offsets[i] && section->data)
			memcpy(load->image + load->section_offsets[i], section->data, section->size);
	}
	for (size_t i = 1; i < elf->n_sections; i++)
		for (size_t j = 0; load->section_offsets[i] && j < elf->sections[i].n_relas; j++)
			KC_TRY(relocate_one(view, load, &elf->sections[i], &elf->sections[i].relas[j]));
	return NULL;
}

static void fill_slots(struct kc_load *load)
{
	const struct kc_elf *elf = load->payload->elf;

	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct kc_slot *slot = &load->slots[i];

		if (slot->got)
			put64(load->image + slot->got, symbol_addr(load, &elf->symbols[i]));
		if (slot->stub && slot->ifunc)
			write_thunk(load, slot);
		else if (slot->stub)
			write_stub(load, slot);
	}
}

/* The jump of each function to its replacement. */
static struct kc_error *fill_entries(struct kc_load *load)
{
	for (size_t i = 0; i < load->payload->n_functions; i++) {
		struct kc_record_entry *entry = &load->entries[i];
		uint64_t to = symbol_addr(load, load->payload->functions[i].replacement);
		int64_t relative = (int64_t)(to - (entry->addr + KC_JUMP_SIZE));

		if (!fits32(relative))
			return kc_error_new(KC_ERR_NO_ROOM, "%s: the patch is out of reach", load->object->name);
		entry->patched[0] = 0xe9;
		put32(entry->patched + 1, relative);
	}
	return NULL;
}

struct kc_error *kc_load_relocate(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_load *load)
{
	(void)ctx;
	memset(load->image, 0, load->size);
	KC_TRY(fill_sections(view, load));
	fill_slots(load);
	KC_TRY(fill_entries(load));
	memcpy(load->image, &load->header, sizeof(load->header));
	memcpy(load->image + sizeof(load->header), load->entries, load->payload->n_functions * sizeof(*load->entries));
	return NULL;
}
