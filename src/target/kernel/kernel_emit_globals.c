/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Variables that a fix brings. They live in kcare.ko's arena, so that the next level finds them with their values: each
 * has one place, by its name, for as long as any level has it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "sign/hash.h"
#include "target/kernel/kernel_emitter.h"

enum {
	ARENA_SIZE = 1 << 18, /* KCARE_ARENA_SIZE of kmod/kcare_abi.h */
	GLOBAL_SIZE = 24,     /* struct kcare_global there */
	GLOBAL_INITIAL = 8,
	GLOBAL_ID = 16,
};

/* The kernel keeps lists of jump labels in a key: it stays where its labels are. */
static bool is_static_key(const struct kc_diff *diff, const struct kc_diff_item *item)
{
	for (size_t i = 0; i < diff->n_items; i++) {
		const struct kc_diff_item *function = &diff->items[i];

		for (size_t j = 0; j < function->n_entries; j++) {
			const struct kc_diff_entry *entry = &function->entries[j];

			for (size_t k = 0; k < entry->n_refs; k++)
				if (entry->refs[k].item == item)
					return true;
		}
	}
	return false;
}

bool kc_kernel_is_global(const struct kernel_unit *unit, const struct kc_diff_item *item)
{
	const char *name = item->section->name;

	if (item->twin || !item->symbol || item->is_function || item->is_literal || item->is_readonly || item->n_refs)
		return false;
	if (strncmp(name, ".data", 5) != 0 && strncmp(name, ".bss", 4) != 0)
		return false;
	if (!strncmp(name, ".data..", 7) && strcmp(name, ".data..read_mostly") != 0 && strcmp(name, ".data..once") != 0)
		return false;
	return !is_static_key(unit->object->diff, item);
}

/* "kernel/sys.c:counter", "kernel/sys.c:prctl_set_auxv.counter": without the compiler's numbers. */
static char *make_name(const struct kernel_unit *unit, const struct kc_diff_item *item)
{
	const char *symbol = item->symbol->name, *dot = strchr(symbol, '.');
	int length = dot ? (int)(dot - symbol) : (int)strlen(symbol);
	char *name;

	if (asprintf(&name, "%s:%s%s%.*s", unit->object->name, item->scope ? item->scope : "", item->scope ? "." : "",
		     length, symbol) < 0)
		return NULL;
	return name;
}

/* Its number, from 1; 0: there is none. */
static size_t find(const struct kc_kernel_globals *globals, const char *name)
{
	for (size_t i = 0; i < globals->n_items; i++)
		if (!strcmp(globals->items[i].name, name))
			return i + 1;
	return 0;
}

static bool is_taken(const struct kernel_emitter *emitter, const char *name)
{
	size_t number = find(&emitter->emitted->globals, name);

	for (size_t i = 0; number && i < emitter->n_units; i++)
		for (size_t j = 0; j < emitter->units[i].object->diff->n_items; j++)
			if (emitter->units[i].clones[j].global == number)
				return true;
	return false;
}

/* Two variables of one name, in two blocks of one function, are told apart by their order. */
static char *make_unique_name(const struct kernel_emitter *emitter, const struct kernel_unit *unit,
			      const struct kc_diff_item *item)
{
	kc_autofree char *base = make_name(unit, item);
	char *name = base ? strdup(base) : NULL;

	for (unsigned n = 2; name && is_taken(emitter, name); n++) {
		free(name);
		if (asprintf(&name, "%s#%u", base, n) < 0)
			return NULL;
	}
	return name;
}

/* By which kcare.ko knows a variable. */
static uint64_t make_id(const char *name)
{
	uint8_t hash[KC_SHA256_SIZE];
	uint64_t id;

	kc_sha256(name, strlen(name), hash);
	memcpy(&id, hash, sizeof(id));
	return id;
}

static struct kc_error *add(struct kc_kernel_globals *globals, const char *name, uint64_t offset, uint64_t size,
			    uint64_t align)
{
	struct kc_kernel_global *global = kc_array_add(&globals->items, &globals->n_items);

	if (!global)
		return kc_error_no_memory();
	*global = (struct kc_kernel_global){ .name = strdup(name), .offset = offset, .size = size, .align = align };
	return global->name ? NULL : kc_error_no_memory();
}

/* Those of earlier levels keep their room, whether this level uses them or not. */
struct kc_error *kc_kernel_globals_begin(struct kernel_emitter *emitter)
{
	const struct kc_kernel_globals *previous = emitter->options->previous;

	for (size_t i = 0; previous && i < previous->n_items; i++) {
		const struct kc_kernel_global *old = &previous->items[i];

		KC_TRY(add(&emitter->emitted->globals, old->name, old->offset, old->size, old->align));
	}
	return NULL;
}

/* A variable that lies within [start, end), or NULL. */
static const struct kc_kernel_global *find_overlap(const struct kc_kernel_globals *globals, uint64_t start,
						   uint64_t end)
{
	for (size_t i = 0; i < globals->n_items; i++) {
		const struct kc_kernel_global *global = &globals->items[i];

		if (global->offset < end && start < global->offset + global->size)
			return global;
	}
	return NULL;
}

/* The first free place in [from, to); false: there is none. */
static bool find_room(const struct kc_kernel_globals *globals, uint64_t from, uint64_t to, uint64_t size,
		      uint64_t align, uint64_t *place)
{
	const struct kc_kernel_global *other;

	*place = (from + align - 1) & ~(align - 1);
	while (*place + size <= to) {
		other = find_overlap(globals, *place, *place + size);
		if (!other)
			return true;
		*place = (other->offset + other->size + align - 1) & ~(align - 1);
	}
	return false;
}

/*
 * Where the name's hash says, or the next free place behind it: so that patches that know nothing of each other (two
 * types, a level that was built anew) agree on most variables, and do not take each other's.
 */
static struct kc_error *place(struct kernel_emitter *emitter, const char *name, uint64_t size, uint64_t align)
{
	struct kc_kernel_globals *globals = &emitter->emitted->globals;
	uint64_t start, offset;

	start = size <= ARENA_SIZE ? make_id(name) % (ARENA_SIZE - size + 1) : 0;
	if (!find_room(globals, start, ARENA_SIZE, size, align, &offset) &&
	    !find_room(globals, 0, ARENA_SIZE, size, align, &offset))
		return kc_error_rule(
			"arena",
			"%s: no room for its %llu bytes: new variables of all levels together may have %d; "
			"let the fix allocate it in a pre_patch callback",
			name, (unsigned long long)size, ARENA_SIZE);
	return add(globals, name, offset, size, align);
}

struct kc_error *kc_kernel_global_add(struct kernel_emitter *emitter, const struct kernel_unit *unit,
				      const struct kc_diff_item *item, struct kernel_clone *clone)
{
	struct kc_kernel_globals *globals = &emitter->emitted->globals;
	kc_autofree char *name = make_unique_name(emitter, unit, item);
	uint64_t align = item->section->align ? item->section->align : 1;

	if (!name)
		return kc_error_no_memory();
	clone->global = find(globals, name);
	if (!clone->global) {
		KC_TRY(place(emitter, name, item->size, align));
		clone->global = globals->n_items;
		return NULL;
	}
	if (globals->items[clone->global - 1].size != item->size)
		return kc_error_rule("data-changed",
				     "%s had %llu bytes in the level before and has %llu now; give it another name",
				     name, (unsigned long long)globals->items[clone->global - 1].size,
				     (unsigned long long)item->size);
	return NULL;
}

static bool is_zero(const struct kc_diff_item *item)
{
	const struct kc_elf_section *section = item->section;

	for (uint64_t i = 0; section->data && i < item->size; i++)
		if (section->data[item->offset + i])
			return false;
	return true;
}

static struct kc_error *emit_global(struct kernel_emitter *emitter, kc_section_id table,
				    const struct kc_kernel_global *global, const struct kc_diff_item *item)
{
	uint32_t place[2] = { (uint32_t)global->offset, (uint32_t)global->size };
	uint8_t entry[GLOBAL_SIZE] = { 0 };
	uint64_t id = make_id(global->name), at;

	memcpy(entry, place, sizeof(place));
	memcpy(entry + GLOBAL_ID, &id, sizeof(id));
	at = kc_kernel_output_append(emitter, table, 8, entry, sizeof(entry));
	if (is_zero(item))
		return NULL;
	return kc_kernel_output_bytes(emitter, table, at + GLOBAL_INITIAL, item->section->data + item->offset,
				      item->size);
}

struct kc_error *kc_kernel_emit_globals(struct kernel_emitter *emitter)
{
	kc_section_id table = kc_kernel_output(emitter, ".rodata.kcare_globals", SHT_PROGBITS, SHF_ALLOC);
	uint32_t n = 0;

	if (!table)
		return kc_error_no_memory();
	for (size_t i = 0; i < emitter->n_units; i++) {
		const struct kernel_unit *unit = &emitter->units[i];

		for (size_t j = 0; j < unit->object->diff->n_items; j++) {
			if (!unit->clones[j].global)
				continue;
			KC_TRY(emit_global(emitter, table, &emitter->emitted->globals.items[unit->clones[j].global - 1],
					   &unit->object->diff->items[j]));
			n++;
		}
	}
	KC_TRY(kc_kernel_define(emitter, "kcare_globals", table, 0, (uint64_t)n * GLOBAL_SIZE));
	return kc_kernel_define_u32(emitter, "kcare_n_globals", n);
}
