/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the userspace payload: it lies behind the signature, so the parser is called directly. What it accepts
 * must keep the promises of patch/user_payload.h that the patcher builds on.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "patch/user_payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void promise(int kept)
{
	if (!kept)
		abort();
}

static void check_function(const struct kc_payload_function *function)
{
	const struct kc_elf_symbol *symbol = function->replacement;

	promise(symbol->section && symbol->section->flags & SHF_EXECINSTR && symbol->value < symbol->section->size);
	promise(function->size >= function->jump_offset + KC_JUMP_SIZE);
	promise(function->n_fragments > 0 && function->fragments[0].addr == function->addr);
	for (size_t i = 0; i < function->n_returns; i++)
		sink += function->returns[i];
	sink += strlen(symbol->name);
}

static void check_section(const struct kc_elf_section *section)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		promise(section->data && section->relas[i].offset < section->size);
		promise(section->relas[i].symbol->index != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autopayload struct kc_payload *payload = NULL;
	kc_autoerror struct kc_error *err = kc_payload_parse(NULL, "fuzz", data, size, &payload);

	if (err)
		return 0;
	promise(payload->n_functions > 0 && payload->build_id_size > 0);
	for (size_t i = 0; i < payload->n_functions; i++) {
		check_function(&payload->functions[i]);
		promise(i == 0 || payload->functions[i].addr > payload->functions[i - 1].addr);
	}
	for (size_t i = 0; i < payload->n_imports; i++) {
		promise(payload->imports[i].symbol->shndx == SHN_UNDEF);
		sink += payload->imports[i].version ? strlen(payload->imports[i].version) : 0;
		sink += payload->imports[i].library ? strlen(payload->imports[i].library) : 0;
	}
	for (size_t i = 1; i < payload->elf->n_sections; i++)
		check_section(&payload->elf->sections[i]);
	return 0;
}
