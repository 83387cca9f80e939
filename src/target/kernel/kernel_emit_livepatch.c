/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structures that livepatch and the template read: what is replaced by what, callbacks, switches, states, and what
 * kcare.ko shows. Their layouts are the target's own (kernel_layout.h) or those of kmod/kcare_*.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

enum {
	ABI_VERSION = 1, /* KCARE_ABI_VERSION */
	PATCH_SIZE = 40, /* struct kcare_patch */
	PATCH_EFFECTIVE_VERSION = 8,
	PATCH_CVELIST = 16,
	PATCH_PATCH_INFO = 24,
	PATCH_SWITCHES = 32,
	CALLBACK_SIZE = 24, /* struct kcare_callback */
	CALLBACK_KIND = 8,
	CALLBACK_FN = 16,
	SWITCH_SIZE = 64, /* struct kcare_switch */
	SWITCH_NAME = 8,
	STATE_SIZE = 16, /* struct kcare_state */
	STATE_VERSION = 8,
};

#define SWITCHES ".kcare.switches"
#define STATES ".kcare.states"
#define CALLBACKS ".kcare.callbacks."

static const char *const callback_kinds[] = { "pre_patch", "post_patch", "pre_unpatch", "post_unpatch" };

/* The patched objects, the image first; the klp_func of each, one after the other. */
struct livepatch {
	struct kernel_emitter *emitter;
	kc_section_id section;
	uint64_t objects, functions; /* offsets in `section` */
};

struct kc_error *kc_kernel_define(struct kernel_emitter *emitter, const char *name, kc_section_id section,
				  uint64_t offset, uint64_t size)
{
	return kc_elf_writer_add_symbol(emitter->writer, name, STB_GLOBAL, STT_OBJECT, section, offset, size)
		       ? NULL
		       : kc_error_no_memory();
}

struct kc_error *kc_kernel_define_u32(struct kernel_emitter *emitter, const char *name, uint32_t value)
{
	kc_section_id rodata = kc_kernel_output(emitter, ".rodata", SHT_PROGBITS, SHF_ALLOC);

	if (!rodata)
		return kc_error_no_memory();
	return kc_kernel_define(emitter, name, rodata,
				kc_kernel_output_append(emitter, rodata, sizeof(value), &value, sizeof(value)),
				sizeof(value));
}

static struct kc_error *add_text(struct kernel_emitter *emitter, kc_section_id section, uint64_t offset,
				 const char *text)
{
	return kc_kernel_output_bytes(emitter, section, offset, text, strlen(text) + 1);
}

static struct kc_error *add_text_item(char ***items, const char *text)
{
	size_t n = 0;
	char **grown;

	while (*items && (*items)[n])
		n++;
	grown = reallocarray(*items, n + 2, sizeof(**items));
	if (!grown)
		return kc_error_no_memory();
	*items = grown;
	grown[n] = strdup(text);
	grown[n + 1] = NULL;
	return grown[n] ? NULL : kc_error_no_memory();
}

/* A function that other code calls by its old address; fragments are reached through their function. */
static bool is_replaced(const struct kernel_unit *unit, const struct kc_diff_item *item)
{
	const struct kc_kernel_placed *placed;

	if (!item->is_function || item->is_fragment || !item->twin || !item->twin->symbol ||
	    !unit->clones[item - unit->object->diff->items].is_included)
		return false;
	placed = kc_kernel_placed_find(unit, unit->object->diff->orig, item->twin->symbol);
	return !placed || !placed->is_overridden;
}

static struct kc_error *add_function(struct livepatch *livepatch, struct kernel_unit *unit,
				     const struct kc_diff_item *item)
{
	struct kernel_emitter *emitter = livepatch->emitter;
	const struct kc_kernel_layout *layout = &emitter->layout;
	const struct kernel_clone *clone = kc_kernel_clone(unit, item);
	const struct kc_kernel_placed *placed =
		kc_kernel_placed_find(unit, unit->object->diff->orig, item->twin->symbol);
	kc_autobuf struct kc_buf name = { 0 };
	uint64_t at, sympos;

	if (!placed || !placed->is_known || !placed->symbol || !placed->symbol->sympos)
		return kc_kernel_no_address(unit, item, item->symbol, "it cannot be replaced");
	at = kc_kernel_output_append(emitter, livepatch->section, 8, NULL, layout->klp_func_size);
	sympos = placed->symbol->sympos;
	kc_elf_writer_set(emitter->writer, livepatch->section, at + layout->klp_func_old_sympos, &sympos, 8);
	KC_TRY(add_text(emitter, livepatch->section, at + layout->klp_func_old_name, placed->symbol->name));
	KC_TRY(kc_kernel_output_pointer(emitter, livepatch->section, at + layout->klp_func_new_func, clone->section,
					clone->offset));
	kc_buf_printf(&name, "%s:%s", unit->target->name, placed->symbol->name);
	return name.failed ? kc_error_no_memory() : add_text_item(&emitter->emitted->functions, name.data);
}

/* The functions of all units of one patched object, ended by an empty one. */
static struct kc_error *add_functions(struct livepatch *livepatch, const struct kc_kernel_object *target)
{
	struct kernel_emitter *emitter = livepatch->emitter;

	livepatch->functions = kc_kernel_output_append(emitter, livepatch->section, 8, NULL, 0);
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kernel_unit *unit = &emitter->units[i];

		for (size_t j = 0; unit->target == target && j < unit->object->diff->n_items; j++)
			if (is_replaced(unit, &unit->object->diff->items[j]))
				KC_TRY(add_function(livepatch, unit, &unit->object->diff->items[j]));
	}
	kc_elf_writer_append(emitter->writer, livepatch->section, 8, NULL, emitter->layout.klp_func_size);
	return NULL;
}

/* The template's own callback, of that kind. */
static struct kc_error *add_template_callback(struct livepatch *livepatch, uint64_t at, const char *kind)
{
	kc_autobuf struct kc_buf name = { 0 };
	kc_symbol_id id;

	kc_buf_printf(&name, "kcare_%s", kind);
	if (name.failed)
		return kc_error_no_memory();
	KC_TRY(kc_kernel_import_export(livepatch->emitter, name.data, false, &id));
	return kc_elf_writer_add_rela(livepatch->emitter->writer, livepatch->section, at, R_X86_64_64, id, 0)
		       ? NULL
		       : kc_error_no_memory();
}

/* Object number `n` of the array at livepatch->objects. */
static struct kc_error *add_object(struct livepatch *livepatch, size_t n, const struct kc_kernel_object *target)
{
	const struct kc_kernel_layout *layout = &livepatch->emitter->layout;
	const uint32_t callbacks[] = { layout->klp_object_pre_patch, layout->klp_object_post_patch,
				       layout->klp_object_pre_unpatch, layout->klp_object_post_unpatch };
	uint64_t at = livepatch->objects + n * layout->klp_object_size;

	KC_TRY(add_functions(livepatch, target));
	KC_TRY(kc_kernel_output_pointer(livepatch->emitter, livepatch->section, at + layout->klp_object_funcs,
					livepatch->section, livepatch->functions));
	if (target->is_module)
		KC_TRY(add_text(livepatch->emitter, livepatch->section, at + layout->klp_object_name, target->name));
	for (size_t i = 0; i < KC_ARRAY_SIZE(callbacks); i++)
		KC_TRY(add_template_callback(livepatch, at + callbacks[i], callback_kinds[i]));
	return NULL;
}

/* Is this the first unit of its object? */
static bool is_first(const struct kernel_emitter *emitter, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (emitter->units[j].target == emitter->units[i].target)
			return false;
	return true;
}

static struct kc_error *add_objects(struct livepatch *livepatch)
{
	struct kernel_emitter *emitter = livepatch->emitter;
	size_t n = 1; /* the image is always there: its callbacks do what concerns the whole patch */

	for (size_t i = 0; i < emitter->n_units; i++)
		n += emitter->units[i].target->is_module && is_first(emitter, i);
	livepatch->objects = kc_kernel_output_append(emitter, livepatch->section, 8, NULL,
						     (n + 1) * emitter->layout.klp_object_size);
	KC_TRY(add_object(livepatch, 0, emitter->options->image));
	n = 1;
	for (size_t i = 0; i < emitter->n_units; i++)
		if (emitter->units[i].target->is_module && is_first(emitter, i))
			KC_TRY(add_object(livepatch, n++, emitter->units[i].target));
	return NULL;
}

/* Calls `add` for each section of that name that a fix brings. */
static struct kc_error *for_each_root(struct kernel_emitter *emitter, const char *name,
				      struct kc_error *(*add)(struct kernel_emitter *emitter, struct kernel_unit *unit,
							      const struct kc_diff_item *item))
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kernel_unit *unit = &emitter->units[i];

		for (size_t j = 0; j < unit->object->diff->n_items; j++) {
			const struct kc_diff_item *item = &unit->object->diff->items[j];

			if (item->clone && item->section && item->section->data && !strcmp(item->section->name, name))
				KC_TRY(add(emitter, unit, item));
		}
	}
	return NULL;
}

static struct kc_error *add_state(struct kernel_emitter *emitter, struct kernel_unit *unit,
				  const struct kc_diff_item *item)
{
	kc_section_id data = kc_kernel_output(emitter, ".data.kcare_states", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE);
	const struct kc_kernel_layout *layout = &emitter->layout;

	(void)unit;
	if (!data)
		return kc_error_no_memory();
	for (uint64_t at = 0; at + STATE_SIZE <= item->size; at += STATE_SIZE) {
		const uint8_t *state = item->section->data + item->offset + at;
		uint64_t entry = kc_kernel_output_append(emitter, data, 8, NULL, layout->klp_state_size);
		uint64_t *id = kc_array_add(&emitter->emitted->states, &emitter->emitted->n_states);

		if (!id)
			return kc_error_no_memory();
		memcpy(id, state, sizeof(*id));
		kc_elf_writer_set(emitter->writer, data, entry + layout->klp_state_id, state, 8);
		kc_elf_writer_set(emitter->writer, data, entry + layout->klp_state_version, state + STATE_VERSION, 4);
	}
	return NULL;
}

static struct kc_error *add_patch(struct livepatch *livepatch)
{
	struct kernel_emitter *emitter = livepatch->emitter;
	const struct kc_kernel_layout *layout = &emitter->layout;
	uint64_t at = kc_kernel_output_append(emitter, livepatch->section, 8, NULL, layout->klp_patch_size);
	static const uint8_t is_replacing = 1;
	kc_section_id states;
	kc_symbol_id module;

	KC_TRY(kc_kernel_define(emitter, "kcare_klp_patch", livepatch->section, at, layout->klp_patch_size));
	KC_TRY(kc_kernel_import_export(emitter, "__this_module", false, &module));
	if (!kc_elf_writer_add_rela(emitter->writer, livepatch->section, at + layout->klp_patch_mod, R_X86_64_64,
				    module, 0))
		return kc_error_no_memory();
	kc_elf_writer_set(emitter->writer, livepatch->section, at + layout->klp_patch_replace, &is_replacing, 1);
	KC_TRY(kc_kernel_output_pointer(emitter, livepatch->section, at + layout->klp_patch_objs, livepatch->section,
					livepatch->objects));
	KC_TRY(for_each_root(emitter, STATES, add_state));
	if (!emitter->emitted->n_states)
		return NULL;
	states = kc_kernel_output(emitter, ".data.kcare_states", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE);
	kc_elf_writer_append(emitter->writer, states, 8, NULL, layout->klp_state_size);
	return kc_kernel_output_pointer(emitter, livepatch->section, at + layout->klp_patch_states, states, 0);
}

static struct kc_error *add_switch_name(struct kernel_emitter *emitter, struct kernel_unit *unit,
					const struct kc_diff_item *item)
{
	for (uint64_t at = 0; at + SWITCH_SIZE <= item->size; at += SWITCH_SIZE) {
		const char *name = (const char *)item->section->data + item->offset + at + SWITCH_NAME;
		bool is_known = false;

		if (!memchr(name, '\0', SWITCH_SIZE - SWITCH_NAME))
			return kc_error_new(KC_ERR_INPUT, "%s: the name of a switch does not end", unit->object->name);
		for (char **known = emitter->emitted->switches; known && *known; known++)
			is_known |= !strcmp(*known, name);
		if (!is_known)
			KC_TRY(add_text_item(&emitter->emitted->switches, name));
	}
	return NULL;
}

/* All uses of switches lie in one section. */
static struct kc_error *add_switches(struct kernel_emitter *emitter)
{
	kc_section_id section = kc_kernel_output(emitter, SWITCHES, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE);
	uint64_t size;

	if (!section)
		return kc_error_no_memory();
	size = kc_elf_writer_section_size(emitter->writer, section);
	KC_TRY(for_each_root(emitter, SWITCHES, add_switch_name));
	KC_TRY(kc_kernel_define(emitter, "kcare_switches", section, 0, size));
	return kc_kernel_define_u32(emitter, "kcare_n_switches", size / SWITCH_SIZE);
}

static struct kc_error *add_callback(struct kernel_emitter *emitter, struct kernel_unit *unit,
				     const struct kc_diff_item *item)
{
	kc_section_id table = kc_kernel_output(emitter, ".rodata.kcare_callbacks", SHT_PROGBITS, SHF_ALLOC);

	if (!table)
		return kc_error_no_memory();
	for (size_t i = 0; i < item->n_refs; i++) {
		uint64_t at = kc_kernel_output_append(emitter, table, 8, NULL, CALLBACK_SIZE);
		struct kernel_target target;

		for (uint32_t kind = 0; kind < KC_ARRAY_SIZE(callback_kinds); kind++)
			if (!strcmp(item->section->name + strlen(CALLBACKS), callback_kinds[kind]))
				kc_elf_writer_set(emitter->writer, table, at + CALLBACK_KIND, &kind, sizeof(kind));
		if (unit->target->is_module)
			KC_TRY(add_text(emitter, table, at, unit->target->name));
		KC_TRY(kc_kernel_resolve(emitter, unit, NULL, &item->refs[i], &target));
		if (!kc_elf_writer_add_rela(emitter->writer, table, at + CALLBACK_FN, R_X86_64_64, target.symbol,
					    target.addend))
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *add_callbacks(struct kernel_emitter *emitter)
{
	kc_section_id table = kc_kernel_output(emitter, ".rodata.kcare_callbacks", SHT_PROGBITS, SHF_ALLOC);

	if (!table)
		return kc_error_no_memory();
	for (size_t i = 0; i < KC_ARRAY_SIZE(callback_kinds); i++) {
		char name[64];

		snprintf(name, sizeof(name), CALLBACKS "%s", callback_kinds[i]);
		KC_TRY(for_each_root(emitter, name, add_callback));
	}
	kc_elf_writer_append(emitter->writer, table, 8, NULL, CALLBACK_SIZE);
	return kc_kernel_define(emitter, "kcare_callbacks", table, 0,
				kc_elf_writer_section_size(emitter->writer, table));
}

/* struct kcare_patch */
static struct kc_error *add_patch_info(struct kernel_emitter *emitter)
{
	const struct kc_kernel_emit_options *options = emitter->options;
	kc_section_id rodata = kc_kernel_output(emitter, ".rodata", SHT_PROGBITS, SHF_ALLOC);
	uint32_t head[2] = { ABI_VERSION, options->level };
	uint64_t at, names;
	size_t n = 0;

	if (!rodata)
		return kc_error_no_memory();
	at = kc_kernel_output_append(emitter, rodata, 8, NULL, PATCH_SIZE);
	kc_elf_writer_set(emitter->writer, rodata, at, head, sizeof(head));
	KC_TRY(add_text(emitter, rodata, at + PATCH_EFFECTIVE_VERSION, options->effective_version));
	KC_TRY(add_text(emitter, rodata, at + PATCH_CVELIST, options->cvelist ? options->cvelist : ""));
	KC_TRY(add_text(emitter, rodata, at + PATCH_PATCH_INFO, options->patch_info ? options->patch_info : ""));
	while (emitter->emitted->switches && emitter->emitted->switches[n])
		n++;
	names = kc_kernel_output_append(emitter, rodata, 8, NULL, (n + 1) * 8);
	for (size_t i = 0; i < n; i++)
		KC_TRY(add_text(emitter, rodata, names + i * 8, emitter->emitted->switches[i]));
	KC_TRY(kc_kernel_output_pointer(emitter, rodata, at + PATCH_SWITCHES, rodata, names));
	return kc_kernel_define(emitter, "kcare_patch_info", rodata, at, PATCH_SIZE);
}

struct kc_error *kc_kernel_emit_livepatch(struct kernel_emitter *emitter)
{
	struct livepatch livepatch = { .emitter = emitter };

	livepatch.section = kc_kernel_output(emitter, ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE);
	if (!livepatch.section)
		return kc_error_no_memory();
	KC_TRY(add_callbacks(emitter));
	KC_TRY(add_objects(&livepatch));
	KC_TRY(add_patch(&livepatch));
	KC_TRY(add_switches(emitter));
	KC_TRY(add_patch_info(emitter));
	return kc_kernel_define_u32(emitter, "kcare_is_pinned", emitter->emitted->is_pinned);
}
