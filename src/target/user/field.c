/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relocated fields, read back. See field.h; the forms are those of the x86-64 psABI, chapter "Linker optimization".
 */
#include <string.h>

#include "target/user/field.h"

#define REX_R 0x44
#define MODRM_RIP 0x05 /* mod 0, rm 5: disp32(%rip); the register bits are masked out */

/* A TLSDESC_CALL writes nothing, but marks a call of two bytes that the link editor may replace. */
static uint64_t field_size(uint32_t type)
{
	return type == R_X86_64_TLSDESC_CALL ? 2 : kc_elf_rela_size(type);
}

/* How many bytes before the field belong to the instructions that the link editor may replace. */
static uint64_t bytes_before(uint32_t type)
{
	switch (type) {
	case R_X86_64_GOTPCRELX:
		return 2;
	case R_X86_64_GOTPCREL:
	case R_X86_64_REX_GOTPCRELX:
	case R_X86_64_TLSLD:
	case R_X86_64_GOTTPOFF:
	case R_X86_64_GOTPC32_TLSDESC:
		return 3;
	case R_X86_64_TLSGD:
		return 4;
	default:
		return 0;
	}
}

void kc_field_extent(const struct kc_elf_section *section, size_t i, uint64_t *start, uint64_t *end)
{
	const struct kc_elf_rela *rela = &section->relas[i];
	uint64_t before = bytes_before(rela->type);

	*start = rela->offset > before ? rela->offset - before : 0;
	*end = rela->offset + field_size(rela->type);
	/* The call of __tls_get_addr belongs to the sequence; its form depends on -fno-plt. */
	if (rela->type == R_X86_64_TLSGD)
		*end = rela->offset + 12;
	else if (rela->type == R_X86_64_TLSLD && *end < section->size)
		*end += section->data[*end] == 0xff ? 6 : 5;
	if (*end > section->size)
		*end = section->size;
}

/* One reading in progress: `was` are the object's bytes, `is` those of the file, both from the extent's start. */
struct reading {
	const struct kc_linked *linked;
	const struct kc_elf_section *section;
	const struct kc_elf_rela *rela;
	uint64_t base, start, size;
	const uint8_t *was, *is;
	uint64_t at; /* of the field, in `was` and `is` */
	struct kc_field *field;
};

static int64_t read_s32(const uint8_t *data)
{
	int32_t value;

	memcpy(&value, data, 4);
	return value;
}

static uint64_t read_u64(const uint8_t *data)
{
	uint64_t value;

	memcpy(&value, data, 8);
	return value;
}

static bool found(struct reading *r, enum kc_field_kind kind, uint64_t value)
{
	r->field->kind = kind;
	r->field->value = value;
	return true;
}

/* The address that a PC-relative field at `at` of the extent means, when its instruction ends with it. */
static uint64_t pc_target(const struct reading *r, uint64_t at)
{
	return r->base + r->start + at + 4 + read_s32(r->is + at);
}

static uint64_t tls_offset(const struct reading *r, int64_t thread_offset)
{
	return thread_offset + r->linked->tls_size;
}

static bool same(const struct reading *r, uint64_t at, uint64_t size)
{
	return at + size <= r->size && !memcmp(r->was + at, r->is + at, size);
}

/* REX of an instruction whose register moved from modrm.reg to modrm.rm. */
static uint8_t rex_moved(uint8_t rex)
{
	return (rex & ~REX_R) | 0x40 | ((rex & 4) >> 2);
}

/* mov, test and arithmetic with an immediate instead of a GOT slot: position-dependent executables. */
static bool read_got_immediate(struct reading *r)
{
	uint8_t was_op = r->was[r->at - 2], op = r->is[r->at - 2], modrm = r->is[r->at - 1];
	uint8_t reg = (r->was[r->at - 1] >> 3) & 7, want_op, want_modrm = 0xc0 | reg;

	if (was_op == 0x8b) {
		want_op = 0xc7;
	} else if (was_op == 0x85) {
		want_op = 0xf7;
	} else if ((was_op & 0xc7) == 0x03) {
		want_op = 0x81;
		want_modrm |= was_op & 0x38;
	} else {
		return false;
	}
	if (r->at >= 3 && r->rela->type != R_X86_64_GOTPCRELX && r->is[r->at - 3] != rex_moved(r->was[r->at - 3]))
		return false;
	return op == want_op && modrm == want_modrm && found(r, KC_FIELD_ADDR, read_s32(r->is + r->at));
}

static bool read_got(struct reading *r)
{
	const uint8_t *was = r->was + r->at, *is = r->is + r->at;

	if (r->at < 2 || same(r, 0, r->at))
		return found(r, KC_FIELD_GOT, pc_target(r, r->at) - 4 - r->rela->addend);
	if (was[-2] == 0x8b && is[-2] == 0x8d && was[-1] == is[-1] && same(r, 0, r->at - 2)) /* mov -> lea */
		return found(r, KC_FIELD_ADDR, pc_target(r, r->at));
	if (was[-2] == 0xff && was[-1] == 0x15) { /* call *slot -> addr32 call, or call; nop */
		if (is[-2] == 0x67 && is[-1] == 0xe8)
			return found(r, KC_FIELD_ADDR, pc_target(r, r->at));
		if (is[-2] == 0xe8 && is[3] == 0x90)
			return found(r, KC_FIELD_ADDR, pc_target(r, r->at - 1));
		return false;
	}
	if (was[-2] == 0xff && was[-1] == 0x25) /* jmp *slot -> jmp; nop */
		return is[-2] == 0xe9 && is[3] == 0x90 && found(r, KC_FIELD_ADDR, pc_target(r, r->at - 1));
	return read_got_immediate(r);
}

static bool read_tls_general(struct reading *r)
{
	static const uint8_t thread_pointer[] = { 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0 };

	if (r->at != 4 || r->size != 16)
		return false;
	if (same(r, 0, 4) && same(r, 8, 2)) {
		/* Not relaxed: the call has its own relocation, which is read next. */
		r->field->end = r->rela->offset + 6;
		return found(r, KC_FIELD_TLS_GOT, pc_target(r, 4));
	}
	if (memcmp(r->is, thread_pointer, sizeof(thread_pointer)) != 0)
		return false;
	r->field->n_relas = 2;
	if (!memcmp(r->is + 9, "\x48\x03\x05", 3)) /* add slot(%rip),%rax: initial exec */
		return found(r, KC_FIELD_TP_GOT, pc_target(r, 12));
	if (!memcmp(r->is + 9, "\x48\x8d\x80", 3)) /* lea offset(%rax),%rax: local exec */
		return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(r->is + 12)));
	return false;
}

static bool read_tls_module(struct reading *r)
{
	static const uint8_t local[] = { 0x66, 0x66, 0x66, 0x66, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0 };

	if (r->at != 3 || (r->size != 12 && r->size != 13))
		return false;
	if (same(r, 0, 3)) {
		r->field->end = r->rela->offset + 4;
		return found(r, KC_FIELD_TLS_LD_GOT, pc_target(r, 3));
	}
	r->field->n_relas = 2;
	return !memcmp(r->is, local + sizeof(local) - r->size, r->size) && found(r, KC_FIELD_NONE, 0);
}

static bool read_tls_initial(struct reading *r)
{
	uint8_t was_op, op, modrm, reg;

	if (r->at != 3)
		return false;
	if (same(r, 0, 3))
		return found(r, KC_FIELD_TP_GOT, pc_target(r, 3));
	was_op = r->was[1];
	op = r->is[1];
	modrm = r->is[2];
	reg = (r->was[2] >> 3) & 7;
	if (was_op == 0x8b && op == 0xc7 && modrm == (0xc0 | reg)) /* mov $offset,%reg */
		return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(r->is + 3)));
	if (was_op == 0x03 && op == 0x81 && modrm == (0xc0 | reg)) /* add $offset,%reg */
		return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(r->is + 3)));
	if (was_op == 0x03 && op == 0x8d && modrm == (0x80 | reg | reg << 3)) /* lea offset(%reg),%reg */
		return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(r->is + 3)));
	return false;
}

/* An 8-byte word is filled by the loader or, in a position-dependent file, by the link editor. */
static bool read_word(struct reading *r)
{
	const struct kc_elf_rela *dynamic = kc_linked_rela_at(r->linked, r->base + r->rela->offset);

	if (!dynamic)
		return found(r, KC_FIELD_ADDR, read_u64(r->is + r->at) - r->rela->addend);
	if (dynamic->type == R_X86_64_RELATIVE || dynamic->type == R_X86_64_IRELATIVE)
		return found(r, KC_FIELD_ADDR, dynamic->addend - r->rela->addend);
	if (dynamic->type != R_X86_64_64 || dynamic->addend != r->rela->addend)
		return false;
	if (!kc_symbol_name_equal(dynamic->symbol->name, r->rela->symbol->name))
		return false;
	return found(r, KC_FIELD_NONE, 0);
}

static bool read_plain_field(struct reading *r)
{
	uint64_t place = r->base + r->rela->offset, addend = r->rela->addend;
	const uint8_t *is = r->is + r->at;

	switch (r->rela->type) {
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_GOTPC32:
		return found(r, KC_FIELD_ADDR, place + read_s32(is) - addend);
	case R_X86_64_PC64:
		return found(r, KC_FIELD_ADDR, place + read_u64(is) - addend);
	case R_X86_64_32:
		return found(r, KC_FIELD_ADDR, (uint32_t)read_s32(is) - addend);
	case R_X86_64_32S:
		return found(r, KC_FIELD_ADDR, read_s32(is) - addend);
	case R_X86_64_TPOFF32:
		return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(is)) - addend);
	case R_X86_64_DTPOFF32: /* relaxed to local exec in executables */
		if (r->linked->executable)
			return found(r, KC_FIELD_TLS_OFFSET, tls_offset(r, read_s32(is)) - addend);
		return found(r, KC_FIELD_TLS_OFFSET, read_s32(is) - addend);
	default:
		return found(r, KC_FIELD_NONE, 0);
	}
}

bool kc_field_read(const struct kc_linked *linked, const struct kc_elf_section *section, uint64_t base, size_t i,
		   struct kc_field *field)
{
	struct reading r = { .linked = linked, .section = section, .rela = &section->relas[i], .base = base };
	uint64_t end;

	r.field = field;
	kc_field_extent(section, i, &r.start, &end);
	*field = (struct kc_field){ .end = end, .n_relas = 1 };
	r.size = end - r.start;
	if (!section->data || r.rela->offset + field_size(r.rela->type) > end)
		return false;
	r.at = r.rela->offset - r.start;
	r.was = section->data + r.start;
	r.is = kc_elf_read(linked->elf, base + r.start, r.size);
	if (!r.is)
		return false;
	switch (r.rela->type) {
	case R_X86_64_GOTPCREL:
	case R_X86_64_GOTPCRELX:
	case R_X86_64_REX_GOTPCRELX:
		return read_got(&r);
	case R_X86_64_TLSGD:
		return read_tls_general(&r);
	case R_X86_64_TLSLD:
		return read_tls_module(&r);
	case R_X86_64_GOTTPOFF:
		return read_tls_initial(&r);
	case R_X86_64_64:
		return read_word(&r);
	default:
		return read_plain_field(&r);
	}
}
