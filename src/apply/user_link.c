/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loader's view of a process: its objects in search order, and looking up a symbol as the loader would. Files are
 * read as they are mapped, so that deleted and replaced ones and those of other mount namespaces do.
 */
#include "apply/user_internal.h"

#include <link.h>
#include <string.h>

#include "base/array.h"

#define LINK_MAP_MAX 4096

void kc_link_map_clear(struct kc_link_map *map)
{
	for (size_t i = 0; i < map->n_items; i++)
		kc_elf_free(map->items[i].elf);
	free(map->items);
	*map = (struct kc_link_map){ 0 };
}

struct kc_elf *kc_linked_elf(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_linked *linked)
{
	if (!linked->elf) {
		kc_autoerror struct kc_error *err = kc_object_open_elf(ctx, view, linked->object, &linked->elf);

		if (err) {
			kc_debug(ctx, "process %d: %s", view->pid, kc_error_message(err));
			return NULL;
		}
	}
	return linked->elf;
}

static const struct kc_object *object_at(const struct kc_process_view *view, uint64_t addr)
{
	for (size_t i = 0; i < view->n_objects; i++)
		if (addr >= view->objects[i].start && addr < view->objects[i].end)
			return &view->objects[i];
	return NULL;
}

static const Elf64_Phdr *find_segment(const struct kc_elf *elf, uint32_t type)
{
	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segments[i].p_type == type)
			return &elf->segments[i];
	return NULL;
}

/* Where r_debug is: DT_DEBUG of the program, or the loader's own symbol when the loader was started as the program. */
static uint64_t find_r_debug(struct kc_ctx *ctx, const struct kc_process_view *view, const struct kc_object *program,
			     const struct kc_elf *elf)
{
	const Elf64_Phdr *dynamic = find_segment(elf, PT_DYNAMIC);
	Elf64_Dyn entry;

	(void)ctx;
	for (uint64_t at = 0; dynamic && at + sizeof(entry) <= dynamic->p_memsz; at += sizeof(entry)) {
		if (kc_process_read(view, program->bias + dynamic->p_vaddr + at, &entry, sizeof(entry)) ||
		    entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_DEBUG && entry.d_un.d_ptr)
			return entry.d_un.d_ptr;
	}
	for (size_t i = 0; i < elf->n_dynamic_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->dynamic_symbols[i];

		if (symbol->shndx != SHN_UNDEF && strcmp(symbol->name, "_r_debug") == 0)
			return program->bias + symbol->value;
	}
	return 0;
}

static struct kc_error *add_linked(struct kc_link_map *map, const struct kc_object *object)
{
	struct kc_linked *item;

	for (size_t i = 0; i < map->n_items; i++)
		if (map->items[i].object == object)
			return NULL;
	item = kc_array_add(&map->items, &map->n_items);
	if (!item)
		return kc_error_no_memory();
	item->object = object;
	return NULL;
}

static struct kc_error *read_chain(const struct kc_process_view *view, uint64_t r_debug, struct kc_link_map *map)
{
	struct r_debug debug;
	struct link_map link;
	uint64_t addr;
	size_t n = 0;

	if (kc_process_read(view, r_debug, &debug, sizeof(debug)))
		return kc_error_new(KC_ERR_BUSY, "process %d: the loader has not begun", view->pid);
	if (!debug.r_version || !debug.r_map || debug.r_state != RT_CONSISTENT)
		return kc_error_new(KC_ERR_BUSY, "process %d: the loader is at work", view->pid);
	for (addr = (uint64_t)(uintptr_t)debug.r_map; addr; addr = (uint64_t)(uintptr_t)link.l_next) {
		const struct kc_object *object;

		if (kc_process_read(view, addr, &link, sizeof(link)) || ++n > LINK_MAP_MAX)
			return kc_error_new(KC_ERR_BUSY, "process %d: the loader's list is not sound", view->pid);
		object = object_at(view, (uint64_t)(uintptr_t)link.l_ld);
		if (object)
			KC_TRY(add_linked(map, object));
	}
	return NULL;
}

struct kc_error *kc_link_map_read(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map)
{
	kc_autoelf struct kc_elf *elf = NULL;
	const struct kc_object *program = NULL;
	uint64_t r_debug;

	for (size_t i = 0; i < view->n_objects && !program; i++)
		if (view->objects[i].is_main)
			program = &view->objects[i];
	if (!program)
		return kc_error_new(KC_ERR_REFUSED, "process %d: its program is no x86-64 ELF file (32-bit?)",
				    view->pid);
	KC_TRY(kc_object_open_elf(ctx, view, program, &elf));
	r_debug = find_r_debug(ctx, view, program, elf);
	if (r_debug)
		return read_chain(view, r_debug, map);
	if (find_segment(elf, PT_INTERP))
		return kc_error_new(KC_ERR_BUSY, "process %d: the loader has not begun", view->pid);
	return add_linked(map, program); /* linked statically */
}

/* Does the definition satisfy the wanted version, as the loader decides it? */
static bool version_fits(const struct kc_elf_symbol *symbol, const char *version)
{
	if (!symbol->version)
		return true;
	return version ? strcmp(symbol->version, version) == 0 : !symbol->version_hidden;
}

static const struct kc_elf_symbol *find_in(const struct kc_elf *elf, const char *name, const char *version)
{
	for (size_t i = 0; i < elf->n_dynamic_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->dynamic_symbols[i];

		if (symbol->shndx != SHN_UNDEF && symbol->bind != STB_LOCAL && symbol->type != STT_TLS &&
		    strcmp(symbol->name, name) == 0 && version_fits(symbol, version))
			return symbol;
	}
	return elf->n_dynamic_symbols ? NULL : kc_elf_symbol_find(elf, name);
}

struct kc_error *kc_link_map_find(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map,
				  const char *name, const char *version, const char *library,
				  struct kc_found_symbol *found)
{
	/* a versioned symbol is first wanted from its library's scope; without it the whole list is searched in order
	 */
	(void)library;
	for (size_t i = 0; i < map->n_items; i++) {
		const struct kc_elf *elf = kc_linked_elf(ctx, view, &map->items[i]);
		const struct kc_elf_symbol *symbol = elf ? find_in(elf, name, version) : NULL;

		if (!symbol)
			continue;
		found->addr = symbol->value + (symbol->shndx == SHN_ABS ? 0 : map->items[i].object->bias);
		found->ifunc = symbol->type == STT_GNU_IFUNC;
		return NULL;
	}
	return kc_error_not_found();
}
