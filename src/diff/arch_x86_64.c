/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86-64 for the differ; decoding is Zydis'. */
#include "diff/diff_internal.h"

#include <string.h>

#include <Zydis/Zydis.h>

#define JUMP_SIZE 5 /* jmp rel32 */
#define ENDBR_SIZE 4

/* How arguments are passed: in a register or on the stack. */
static bool is_argument_load(const ZydisDecodedInstruction *insn)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_PUSH)
		return true;
	if (insn->mnemonic != ZYDIS_MNEMONIC_MOV)
		return false;
	/* b8+r: mov $imm32, %r32 */
	if (insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (insn->opcode & 0xf8) == 0xb8)
		return true;
	/* c7 /0 with %rsp as its base: an argument beyond the sixth */
	return insn->opcode == 0xc7 && insn->raw.modrm.mod != 3 && insn->raw.modrm.rm == 4 && insn->raw.sib.base == 4;
}

static bool decode(const uint8_t *code, uint64_t size, uint64_t at, struct diff_insn *insn)
{
	ZydisDecodedInstruction raw;
	ZydisDecoder decoder;

	*insn = (struct diff_insn){ 0 };
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, size - at, &raw)))
		return false;
	insn->size = raw.length;
	insn->is_branch = raw.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || raw.mnemonic == ZYDIS_MNEMONIC_CALL ||
			  raw.mnemonic == ZYDIS_MNEMONIC_JMP;
	if (insn->is_branch && raw.raw.imm[0].is_relative) {
		insn->has_target = true;
		insn->target = (int64_t)at + raw.length + raw.raw.imm[0].value.s;
		insn->target_offset = raw.raw.imm[0].offset;
		insn->target_size = raw.raw.imm[0].size / 8;
	}
	if (raw.raw.imm[0].size == 32 && is_argument_load(&raw)) {
		insn->is_load_imm = true;
		insn->imm_offset = raw.raw.imm[0].offset;
	}
	return true;
}

static bool is_pc_relative(uint32_t type)
{
	switch (type) {
	case R_X86_64_PC8:
	case R_X86_64_PC16:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_GOTPC32:
	case R_X86_64_GOTPCREL:
	case R_X86_64_GOTPCRELX:
	case R_X86_64_REX_GOTPCRELX:
	case R_X86_64_GOTTPOFF:
	case R_X86_64_TLSGD:
	case R_X86_64_TLSLD:
	case R_X86_64_GOTPC32_TLSDESC:
		return true;
	default:
		return false;
	}
}

static uint32_t branch_type(uint32_t target_size)
{
	return target_size == 4 ? R_X86_64_PLT32 : R_X86_64_PC8;
}

/* An endbr64 stays where it is, unless the function is too short for both. */
static int find_jump_offset(const uint8_t *code, uint64_t size)
{
	if (size >= ENDBR_SIZE + JUMP_SIZE && memcmp(code, "\xf3\x0f\x1e\xfa", ENDBR_SIZE) == 0)
		return ENDBR_SIZE;
	return size >= JUMP_SIZE ? 0 : -1;
}

static const struct diff_arch x86_64 = {
	.jump_size = JUMP_SIZE,
	.decode = decode,
	.is_pc_relative = is_pc_relative,
	.branch_type = branch_type,
	.find_jump_offset = find_jump_offset,
};

const struct diff_arch *diff_arch_x86_64(void)
{
	return &x86_64;
}
