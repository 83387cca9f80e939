/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thread-local variables of the target: its module number and its offset from the thread pointer. The loader keeps both
 * in private fields, but every object that uses such variables has slots that the loader has filled in; they tell.
 */
#include "apply/user_internal.h"

static const Elf64_Phdr *tls_segment(const struct kc_elf *elf)
{
	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segments[i].p_type == PT_TLS)
			return &elf->segments[i];
	return NULL;
}

/* Reads the first slot that the loader filled in for a relocation of `type`, less what the symbol adds to it. */
static bool read_slot(const struct kc_process_view *view, const struct kc_load *load, uint32_t type, uint64_t *value)
{
	for (size_t i = 0; i < load->target->n_dynamic_relas; i++) {
		const struct kc_elf_rela *rela = &load->target->dynamic_relas[i];

		bool other = rela->symbol->index && rela->symbol->shndx == SHN_UNDEF; /* a variable of another object */

		if (rela->type != type || other)
			continue;
		if (kc_process_read(view, load->object->bias + rela->offset, value, sizeof(*value)))
			continue;
		if (type == R_X86_64_TPOFF64)
			*value -= rela->symbol->value + (uint64_t)rela->addend;
		return true;
	}
	return false;
}

/* The program itself is module 1, and its block ends at the thread pointer. */
static uint64_t program_offset(const Elf64_Phdr *tls)
{
	uint64_t align = tls->p_align ? tls->p_align : 1;

	return (uint64_t)0 - ((tls->p_memsz + align - 1) & ~(align - 1));
}

struct kc_error *kc_tls_value(const struct kc_process_view *view, const struct kc_load *load, uint32_t type,
			      uint64_t offset, int64_t addend, uint64_t *value)
{
	const Elf64_Phdr *tls = tls_segment(load->target);
	uint64_t base = 0;

	if (!tls)
		return kc_error_new(KC_ERR_INPUT, "%s has no thread-local variables", load->object->name);
	if (type == R_X86_64_DTPOFF64) {
		*value = offset + (uint64_t)addend;
		return NULL;
	}
	if (load->object->is_main)
		base = type == R_X86_64_DTPMOD64 ? 1 : program_offset(tls);
	else if (!read_slot(view, load, type, &base))
		return kc_error_new(KC_ERR_IMPORT, "%s: nothing tells where its thread-local variables are",
				    load->object->name);
	*value = type == R_X86_64_DTPMOD64 ? base : base + offset + (uint64_t)addend;
	return NULL;
}
