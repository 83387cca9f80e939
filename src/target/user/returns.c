/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The return addresses that a call inside a function leaves on the stack: the address behind each call instruction,
 * also behind one that ends the function (then it lies outside of it).
 */
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "base/array.h"
#include "target/user/emitter.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct kc_error *add_calls(const struct kc_elf *linked, const struct kc_payload_fragment *fragment,
				  const ZydisDecoder *decoder, uint64_t **returns, size_t *n)
{
	const uint8_t *code = kc_elf_read(linked, fragment->addr, fragment->size);
	ZydisDecodedInstruction instruction;

	if (!code)
		return kc_error_new(KC_ERR_INPUT, "%s: no code at 0x%llx", linked->name,
				    (unsigned long long)fragment->addr);
	for (uint64_t at = 0; at < fragment->size; at += instruction.length) {
		uint64_t *entry;

		if (!ZYAN_SUCCESS(
			    ZydisDecoderDecodeInstruction(decoder, NULL, code + at, fragment->size - at, &instruction)))
			return kc_error_new(KC_ERR_INPUT, "%s: no instruction at 0x%lx", linked->name,
					    fragment->addr + at);
		if (instruction.meta.category != ZYDIS_CATEGORY_CALL)
			continue;
		entry = kc_array_add(returns, n);
		if (!entry)
			return kc_error_no_memory();
		*entry = fragment->addr + at + instruction.length;
	}
	return NULL;
}

struct kc_error *kc_emit_returns(const struct kc_elf *linked, const struct kc_payload_fragment *fragments, size_t n,
				 uint64_t **returns, size_t *n_returns)
{
	ZydisDecoder decoder;
	size_t n_unique = 0;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return kc_error_new(KC_ERR_SYSTEM, "the instruction decoder cannot be used");
	for (size_t i = 0; i < n; i++)
		KC_TRY(add_calls(linked, &fragments[i], &decoder, returns, n_returns));
	if (!*n_returns)
		return NULL;
	qsort(*returns, *n_returns, sizeof(**returns), by_value);
	for (size_t i = 0; i < *n_returns; i++) {
		if (n_unique == 0 || (*returns)[n_unique - 1] != (*returns)[i])
			(*returns)[n_unique++] = (*returns)[i];
	}
	*n_returns = n_unique;
	return NULL;
}
