/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a symbol of the original or patched object to what the placements know of it. The plain object has the same
 * symbols under the same names.
 */
#include "target/user/emitter.h"

const struct kc_elf_symbol *kc_emit_plain(const struct kc_emit_unit *unit, const struct kc_elf *elf,
					  const struct kc_elf_symbol *symbol)
{
	return kc_elf_names_match(&unit->plain_names, elf, symbol);
}

static void merge(uint64_t *into, uint64_t value)
{
	if (*into == KC_NO_ADDR)
		*into = value;
}

static void merge_facts(struct kc_placed_symbol *facts, const struct kc_placed_symbol *more)
{
	merge(&facts->addr, more->addr);
	merge(&facts->plt, more->plt);
	merge(&facts->got, more->got);
	merge(&facts->tls_got, more->tls_got);
	merge(&facts->tls_offset, more->tls_offset);
	merge(&facts->tp_got, more->tp_got);
}

struct kc_placed_symbol kc_emit_facts(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				      const struct kc_elf *elf, const struct kc_elf_symbol *symbol)
{
	struct kc_placed_symbol facts = { KC_NO_ADDR, KC_NO_ADDR, KC_NO_ADDR, KC_NO_ADDR, KC_NO_ADDR, KC_NO_ADDR };
	const struct kc_elf_symbol *plain = kc_emit_plain(unit, elf, symbol);

	if (plain)
		merge_facts(&facts, &unit->object->placement->symbols[plain->index]);
	if (symbol->bind == STB_LOCAL)
		return facts;
	for (size_t i = 0; i < emitter->n_units; i++) {
		const struct kc_emit_unit *other = &emitter->units[i];

		plain = other == unit ? NULL : kc_emit_plain(other, elf, symbol);
		if (plain)
			merge_facts(&facts, &other->object->placement->symbols[plain->index]);
	}
	return facts;
}

struct kc_error *kc_emit_no_address(const struct kc_emit_unit *unit, const struct kc_diff_item *from,
				    const struct kc_elf_symbol *symbol, const char *why)
{
	return kc_error_rule("no-address",
			     "%s: %s refers to %s, whose address in the shipped file is not known: %s; let the fix use "
			     "what the original function uses already, or something that the file exports",
			     unit->object->name, kc_diff_item_name(from),
			     symbol && symbol->name[0] ? symbol->name : "unnamed data", why);
}
