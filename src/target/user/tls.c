/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * References to thread-local variables. The patched code keeps the sequences as they were compiled; what they need is a
 * slot of the target, or one of the payload's own that the patcher fills, or a constant.
 */
#include <string.h>

#include "target/user/emitter.h"

bool kc_emit_is_tls(uint32_t type)
{
	switch (type) {
	case R_X86_64_TLSGD:
	case R_X86_64_TLSLD:
	case R_X86_64_DTPOFF32:
	case R_X86_64_DTPOFF64:
	case R_X86_64_GOTTPOFF:
	case R_X86_64_TPOFF32:
	case R_X86_64_TPOFF64:
	case R_X86_64_DTPMOD64:
	case R_X86_64_GOTPC32_TLSDESC:
	case R_X86_64_TLSDESC_CALL:
	case R_X86_64_TLSDESC:
		return true;
	default:
		return false;
	}
}

static struct kc_placed_symbol tls_facts(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
					 const struct kc_diff_ref *ref)
{
	const struct kc_diff *diff = unit->object->diff;
	const struct kc_elf *elf = diff->patched;
	const struct kc_elf_symbol *symbol = ref->rela->symbol, *export;
	struct kc_placed_symbol facts;

	if (ref->item && ref->item->twin && ref->item->twin->symbol) {
		elf = diff->orig;
		symbol = ref->item->twin->symbol;
	}
	facts = kc_emit_facts(emitter, unit, elf, symbol);
	export = symbol->bind == STB_LOCAL ? NULL : kc_linked_export(emitter->linked, symbol->name);
	if (facts.tls_offset == KC_NO_ADDR && export && export->type == STT_TLS)
		facts.tls_offset = export->value;
	return facts;
}

static const char *tls_name(const struct kc_diff_ref *ref)
{
	return ref->item && ref->item->symbol ? ref->item->symbol->name : ref->rela->symbol->name;
}

/* A slot of the target, at which the field now points directly. */
static struct kc_error *use_target_slot(struct kc_emitter *emitter, const char *name, const char *suffix, uint64_t slot,
					const struct kc_diff_ref *ref, struct kc_emit_reloc *reloc)
{
	reloc->type = R_X86_64_PC32;
	reloc->symbol = kc_emit_target(emitter, name, suffix, STT_OBJECT, slot);
	reloc->addend = ref->rela->addend;
	return reloc->symbol ? NULL : kc_error_no_memory();
}

/*
 * A slot of the payload for the variable at `offset` of the target's TLS block, filled by relocations of the types
 * `first` and `second` (0: none).
 */
static struct kc_error *use_own_slot(struct kc_emitter *emitter, const char *name, uint64_t offset, uint32_t first,
				     uint32_t second, const struct kc_diff_ref *ref, struct kc_emit_reloc *reloc)
{
	static const uint8_t zeros[16];
	kc_symbol_id variable = kc_emit_target_tls(emitter, name, offset), slot;
	kc_section_id section = kc_elf_writer_add_section(emitter->writer, ".data.kcare.tls", SHT_PROGBITS,
							  SHF_ALLOC | SHF_WRITE, 8, 0, zeros, sizeof(zeros));

	slot = kc_elf_writer_add_symbol(emitter->writer, "tls-slot", STB_LOCAL, STT_OBJECT, section, 0, sizeof(zeros));
	if (!variable || !section || !slot ||
	    !kc_elf_writer_add_rela(emitter->writer, section, 0, first, variable, 0) ||
	    (second && !kc_elf_writer_add_rela(emitter->writer, section, 8, second, variable, 0)))
		return kc_error_no_memory();
	reloc->type = R_X86_64_PC32;
	reloc->symbol = slot;
	reloc->addend = ref->rela->addend;
	return NULL;
}

static struct kc_error *unknown(const struct kc_emit_unit *unit, const struct kc_diff_item *from,
				const struct kc_diff_ref *ref)
{
	return kc_error_rule("no-address",
			     "%s: %s uses the thread-local variable %s, which the original code of the file does not "
			     "use; a patch cannot add it",
			     unit->object->name, kc_diff_item_name(from), tls_name(ref));
}

static struct kc_error *use_constant(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				     const struct kc_diff_item *from, const struct kc_diff_ref *ref, uint64_t offset,
				     struct kc_emit_reloc *reloc)
{
	int64_t value = (int64_t)offset + ref->rela->addend;

	if (offset == KC_NO_ADDR)
		return unknown(unit, from, ref);
	if (ref->rela->type == R_X86_64_TPOFF32) {
		if (!emitter->linked->executable)
			return kc_error_rule("tls-model",
					     "%s: %s uses the local-exec model, which only works in executables",
					     unit->object->name, kc_diff_item_name(from));
		value -= (int64_t)emitter->linked->tls_size;
	}
	reloc->symbol = 0;
	reloc->value = (int32_t)value;
	return NULL;
}

/* TPOFF32 against a section symbol: the item is what counts, so offsets are taken from its begin. */
static uint64_t section_offset(const struct kc_diff_ref *ref, uint64_t item_offset)
{
	const struct kc_elf_symbol *symbol = ref->rela->symbol;

	if (item_offset == KC_NO_ADDR || !ref->item || !symbol->section)
		return item_offset;
	return item_offset + symbol->value - ref->item->offset;
}

struct kc_error *kc_emit_resolve_tls(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				     const struct kc_diff_item *from, const struct kc_diff_ref *ref,
				     struct kc_emit_reloc *reloc)
{
	struct kc_placed_symbol facts = tls_facts(emitter, unit, ref);
	uint64_t module_slot = unit->object->placement->tls_ld_got;
	const char *name = tls_name(ref);

	switch (ref->rela->type) {
	case R_X86_64_TLSGD:
		if (facts.tls_got != KC_NO_ADDR)
			return use_target_slot(emitter, name, "@tlsgd", facts.tls_got, ref, reloc);
		if (facts.tls_offset == KC_NO_ADDR)
			return unknown(unit, from, ref);
		return use_own_slot(emitter, name, facts.tls_offset, R_X86_64_DTPMOD64, R_X86_64_DTPOFF64, ref, reloc);
	case R_X86_64_TLSLD:
		if (module_slot != KC_NO_ADDR)
			return use_target_slot(emitter, "module", "@tlsld", module_slot, ref, reloc);
		return use_own_slot(emitter, "module", 0, R_X86_64_DTPMOD64, 0, ref, reloc);
	case R_X86_64_GOTTPOFF:
		if (facts.tp_got != KC_NO_ADDR)
			return use_target_slot(emitter, name, "@gottpoff", facts.tp_got, ref, reloc);
		if (facts.tls_offset == KC_NO_ADDR)
			return unknown(unit, from, ref);
		return use_own_slot(emitter, name, facts.tls_offset, R_X86_64_TPOFF64, 0, ref, reloc);
	case R_X86_64_DTPOFF32:
	case R_X86_64_TPOFF32:
		return use_constant(emitter, unit, from, ref, section_offset(ref, facts.tls_offset), reloc);
	default:
		return kc_error_rule(
			"tls-model",
			"%s: %s uses TLS descriptors; build with the traditional model (-mtls-dialect=gnu)",
			unit->object->name, kc_diff_item_name(from));
	}
}
