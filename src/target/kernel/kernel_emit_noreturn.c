/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of static functions that never return and stay in the kernel. objtool knows the global ones by name, and static
 * ones by their code, which our object lacks: it would follow the call into whatever comes next, and the unwind data
 * there would be wrong. So such a call goes through a stub of ours that plainly does not return: call original; ud2.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

enum {
	CALL_OPCODE = 0xe8,
	STUB_PADDING = 16, /* call thunks of 6.12 want room before each function */
	STUB_CALL_FIELD = STUB_PADDING + 1,
	MAX_DEPTH = 5, /* as objtool */
};

static const uint8_t stub_code[] = {
	0x90, 0x90, 0x90, 0x90, 0x90,	     0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	0x90, 0x90, 0x90, 0x90, CALL_OPCODE, 0,	   0,	 0,    0,    0x0f, 0x0b,
};

static bool never_returns(const struct kc_diff *diff, const struct kc_diff_item *function, int depth);

static const struct kc_diff_ref *find_ref(const struct kc_diff_item *item, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		uint64_t place = item->refs[i].rela->offset - item->offset;

		if (place >= from && place < to)
			return &item->refs[i];
	}
	return NULL;
}

/* A jump out of the function, to one that may return. */
static bool leaves(const struct kc_diff *diff, const struct kc_diff_item *function, const struct kc_diff_item *item,
		   uint64_t at, const ZydisDecodedInstruction *insn, int depth)
{
	const struct kc_diff_ref *ref;

	if (insn->meta.category != ZYDIS_CATEGORY_UNCOND_BR && insn->meta.category != ZYDIS_CATEGORY_COND_BR)
		return false;
	if (!(insn->attributes & ZYDIS_ATTRIB_IS_RELATIVE))
		return true; /* through a pointer */
	ref = find_ref(item, at, at + insn->length);
	if (!ref || ref->item == item || ref->item == function || (ref->item && ref->item->parent == function) ||
	    (ref->item && ref->item->is_snippet))
		return false;
	return !ref->item || !ref->item->is_function || depth >= MAX_DEPTH ||
	       !never_returns(diff, ref->item, depth + 1);
}

/* Is there a way out of this code, the function itself or its cold part? */
static bool may_return(const struct kc_diff *diff, const struct kc_diff_item *function, const struct kc_diff_item *item,
		       int depth)
{
	const uint8_t *code = item->section->data + item->offset;
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return true;
	for (uint64_t at = 0; at < item->size; at += insn.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, item->size - at, &insn)) ||
		    insn.meta.category == ZYDIS_CATEGORY_RET || leaves(diff, function, item, at, &insn, depth))
			return true;
	}
	return item->size == 0;
}

static bool never_returns(const struct kc_diff *diff, const struct kc_diff_item *function, int depth)
{
	if (!function->section || !function->section->data || may_return(diff, function, function, depth))
		return false;
	for (size_t i = 0; i < diff->n_items; i++) {
		const struct kc_diff_item *item = &diff->items[i];

		if (item->is_fragment && item->parent == function && may_return(diff, function, item, depth))
			return false;
	}
	return true;
}

static struct kc_error *add_stub(struct kernel_emitter *emitter, const struct kc_diff_item *function,
				 kc_symbol_id original, struct kernel_stub **result)
{
	kc_section_id text = kc_kernel_output(emitter, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR);
	struct kernel_stub *stub = kc_array_add(&emitter->stubs, &emitter->n_stubs);
	kc_autobuf struct kc_buf name = { 0 };
	uint64_t offset;

	if (!text || !stub)
		return kc_error_no_memory();
	offset = kc_kernel_output_append(emitter, text, STUB_PADDING, stub_code, sizeof(stub_code));
	*stub = (struct kernel_stub){ function, text, offset + STUB_PADDING };
	kc_buf_printf(&name, "%s.noreturn", kc_diff_item_name(function));
	if (name.failed ||
	    !kc_elf_writer_add_symbol(emitter->writer, name.data, STB_LOCAL, STT_FUNC, text, stub->offset,
				      sizeof(stub_code) - STUB_PADDING) ||
	    !kc_elf_writer_add_rela(emitter->writer, text, offset + STUB_CALL_FIELD, R_X86_64_PLT32, original, -4))
		return kc_error_no_memory();
	*result = stub;
	return NULL;
}

bool kc_kernel_is_noreturn_call(const struct kernel_unit *unit, const struct kc_diff_item *from,
				const struct kc_diff_ref *ref)
{
	const struct kc_diff_item *to = ref->item;

	return from && from->is_function && ref->is_branch && to->is_function && to->symbol &&
	       to->symbol->bind == STB_LOCAL && from->section->data[ref->rela->offset - 1] == CALL_OPCODE &&
	       never_returns(unit->object->diff, to, 0);
}

struct kc_error *kc_kernel_use_stub(struct kernel_emitter *emitter, const struct kc_diff_item *function,
				    struct kernel_target *target)
{
	struct kernel_stub *stub = NULL;

	for (size_t i = 0; i < emitter->n_stubs; i++)
		if (emitter->stubs[i].function == function)
			stub = &emitter->stubs[i];
	if (!stub)
		KC_TRY(add_stub(emitter, function, target->symbol, &stub));
	target->symbol = kc_kernel_output_symbol(emitter, stub->section);
	target->addend += (int64_t)stub->offset;
	return NULL;
}
