/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which references keep an address: new code, or data that stays in the module, whose address may be stored where the
 * patch does not control it, pins the module. Nobody knows when such a pointer is followed.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "target/kernel/kernel_emitter.h"

static bool is_absolute(uint32_t type)
{
	return type == R_X86_64_64 || type == R_X86_64_32 || type == R_X86_64_32S;
}

bool kc_kernel_takes_entry(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	if (!from || ref->is_branch || !ref->item->is_function || ref->item->is_fragment || ref->offset != 0)
		return false;
	return from->is_function || is_absolute(ref->rela->type);
}

/* The field is the address of a memory operand, which is read or written at once: mov table(,%rax,8),%rax. */
static bool is_operand(const struct kc_diff_item *from, uint64_t field)
{
	const uint8_t *code = from->section->data + from->offset;
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return false;
	for (uint64_t at = 0; at < from->size; at += insn.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, from->size - at, &insn)))
			return false;
		if (field >= at && field < at + insn.length)
			return insn.mnemonic != ZYDIS_MNEMONIC_LEA && insn.raw.disp.size &&
			       insn.raw.disp.offset == field - at;
	}
	return false;
}

/* lea, mov $address, or a pointer in data: the address itself is used, so that it may be kept somewhere. */
bool kc_kernel_keeps_address(const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	if (!from->is_function)
		return is_absolute(ref->rela->type);
	return !is_operand(from, ref->rela->offset - from->offset);
}

/* Descriptors that only their own statement uses, while it runs, or that the module loader knows to withdraw. */
static bool is_descriptor(const struct kc_diff_item *item)
{
	return item->section->name[0] != '.' || !strncmp(item->section->name, ".kcare.", 7) ||
	       !strncmp(item->section->name, ".printk_index", 13);
}

void kc_kernel_note_pin(struct kernel_emitter *emitter, const struct kc_diff_item *from, const struct kc_diff_ref *ref)
{
	const struct kc_diff_item *item = ref->item;
	bool is_pin;

	if (!from || from->is_root || item == from || item->is_literal)
		return;
	/* Functions that the kernel has are stored by their old address. */
	is_pin = item->is_function ? !item->twin && kc_kernel_takes_entry(from, ref)
				   : !is_descriptor(item) && kc_kernel_keeps_address(from, ref);
	if (!is_pin)
		return;
	kc_info(emitter->ctx, "%s keeps the address of %s, which lies in the patch: it can be disabled, not unloaded",
		kc_diff_item_name(from), kc_diff_item_name(item));
	emitter->emitted->is_pinned = true;
}
