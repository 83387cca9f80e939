/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Describes each replaced function: where it is in the target, all pieces of it, the hash of its bytes, and the return
 * addresses that a thread inside it can have.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/emitter.h"

#define ENDBR64 "\xf3\x0f\x1e\xfa"

/* "foo.cold", "foo.cold.3", "foo.part.0", "foo.part.0.cold" are pieces of foo. */
static bool is_piece(const char *name, const char *of)
{
	size_t length = strlen(of);

	return !strncmp(name, of, length) &&
	       (!strncmp(name + length, ".cold", 5) || !strncmp(name + length, ".part.", 6));
}

static struct kc_error *add_fragment(struct kc_payload_function *function, uint64_t addr, uint64_t size)
{
	struct kc_payload_fragment *fragment = kc_array_add(&function->fragments, &function->n_fragments);

	if (!fragment)
		return kc_error_no_memory();
	*fragment = (struct kc_payload_fragment){ addr, size };
	return NULL;
}

static bool is_replaced(const struct kc_emit_unit *unit, size_t i)
{
	const struct kc_diff_item *item = &unit->object->diff->items[i];

	return unit->clones[i].is_included && !unit->clones[i].is_duplicate && item->is_function &&
	       !item->is_fragment && item->twin && item->twin->symbol;
}

/* foo.part.0 and foo.part.0.cold are no pieces of foo when foo.part.0 is replaced on its own. */
static bool has_own_note(const struct kc_emit_unit *unit, const char *name, const char *of)
{
	for (size_t i = 0; i < unit->object->diff->n_items; i++) {
		const char *other;

		if (!is_replaced(unit, i))
			continue;
		other = unit->object->diff->items[i].twin->symbol->name;
		if (strlen(other) > strlen(of) && (!strcmp(name, other) || is_piece(name, other)))
			return true;
	}
	return false;
}

static struct kc_error *find_fragments(const struct kc_emit_unit *unit, const struct kc_elf_symbol *original,
				       struct kc_payload_function *function)
{
	const struct kc_placement *placement = unit->object->placement;

	KC_TRY(add_fragment(function, function->addr, function->size));
	for (size_t i = 1; i < placement->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &placement->plain->symbols[i];

		if (symbol == original || !symbol->section || !(symbol->section->flags & SHF_EXECINSTR) ||
		    !symbol->size || !is_piece(symbol->name, original->name) ||
		    has_own_note(unit, symbol->name, original->name))
			continue;
		if (placement->symbols[i].addr == KC_NO_ADDR)
			return kc_error_rule("no-address", "%s: a piece of %s is nowhere in the shipped file",
					     symbol->name, original->name);
		KC_TRY(add_fragment(function, placement->symbols[i].addr, symbol->size));
	}
	return NULL;
}

static struct kc_error *describe(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				 const struct kc_diff_item *item, struct kc_payload_function *function)
{
	const struct kc_placement *placement = unit->object->placement;
	const struct kc_elf_symbol *plain =
		item->twin->symbol ? kc_emit_plain(unit, unit->object->diff->orig, item->twin->symbol) : NULL;
	const uint8_t *code;

	if (!plain || !plain->section || placement->symbols[plain->index].addr == KC_NO_ADDR)
		return kc_emit_no_address(unit, item, item->symbol, "it cannot be replaced");
	function->addr = placement->symbols[plain->index].addr;
	function->size = plain->size;
	code = kc_elf_read(emitter->linked->elf, function->addr, function->size);
	if (!code || function->size < KC_JUMP_SIZE)
		return kc_error_rule("short-function",
				     "%s: function %s has %llu bytes, a jump needs %d; change its callers instead",
				     unit->object->name, plain->name, (unsigned long long)function->size, KC_JUMP_SIZE);
	if (function->size >= KC_JUMP_SIZE + 4 && !memcmp(code, ENDBR64, 4))
		function->jump_offset = 4;
	kc_sha256(code, function->size, function->hash);
	KC_TRY(find_fragments(unit, plain, function));
	return kc_emit_returns(emitter->linked->elf, function->fragments, function->n_fragments, &function->returns,
			       &function->n_returns);
}

static void function_clear(struct kc_payload_function *function)
{
	free(function->fragments);
	free(function->returns);
}

static struct kc_error *emit_function(struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				      const struct kc_diff_item *item, const struct kc_clone *clone)
{
	KC_CLEANUP(function_clear) struct kc_payload_function function = { 0 };
	struct kc_elf_symbol replacement = { .name = clone->name };

	KC_TRY(describe(emitter, unit, item, &function));
	function.replacement = &replacement;
	kc_payload_encode_function(&emitter->notes, &function);
	return NULL;
}

struct kc_error *kc_emit_functions(struct kc_emitter *emitter, struct kc_emit_unit *unit)
{
	const struct kc_diff *diff = unit->object->diff;

	for (size_t i = 0; i < diff->n_items; i++) {
		if (is_replaced(unit, i))
			KC_TRY(emit_function(emitter, unit, &diff->items[i], &unit->clones[i]));
	}
	return NULL;
}
