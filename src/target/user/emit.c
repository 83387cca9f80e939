/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow of emission: clone what changed, resolve what the clones refer to (which may pull in more), describe what is
 * replaced. See emitter.h for who does what.
 */
#include "target/user/emit.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/emitter.h"

static void emitter_clear(struct kc_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kc_emit_unit *unit = &emitter->units[i];

		for (size_t j = 0; unit->clones && j < unit->object->diff->n_items; j++)
			free(unit->clones[j].name);
		free(unit->clones);
		kc_elf_names_clear(&unit->plain_names);
	}
	for (size_t i = 0; i < emitter->n_symbols; i++)
		free(emitter->symbols[i].name);
	free(emitter->units);
	free(emitter->symbols);
	free(emitter->unwind_relocs);
	kc_buf_free(&emitter->unwind);
	kc_buf_free(&emitter->notes);
	kc_elf_writer_free(emitter->writer);
}

static struct kc_error *unit_init(struct kc_emit_unit *unit, const struct kc_emit_object *object)
{
	unit->object = object;
	if (object->diff)
		unit->clones = calloc(object->diff->n_items + 1, sizeof(*unit->clones));
	if (object->diff && !unit->clones)
		return kc_error_no_memory();
	return kc_elf_names_read(object->placement->plain, &unit->plain_names);
}

static struct kc_error *emitter_init(struct kc_emitter *emitter, const struct kc_emit_object *objects, size_t n)
{
	emitter->writer = kc_elf_writer_new();
	emitter->units = calloc(n + 1, sizeof(*emitter->units));
	if (!emitter->writer || !emitter->units)
		return kc_error_no_memory();
	emitter->n_units = n;
	for (size_t i = 0; i < n; i++)
		emitter->units[i].object = &objects[i];
	for (size_t i = 0; i < n; i++)
		KC_TRY(unit_init(&emitter->units[i], &objects[i]));
	emitter->target_section = kc_elf_writer_add_section(emitter->writer, KC_PAYLOAD_TARGET_SECTION, SHT_NOBITS,
							    SHF_ALLOC, 1, 0, NULL, 0);
	emitter->tls_section = kc_elf_writer_add_section(emitter->writer, KC_PAYLOAD_TLS_SECTION, SHT_NOBITS,
							 SHF_ALLOC | SHF_TLS | SHF_WRITE, 1, 0, NULL, 0);
	return emitter->target_section && emitter->tls_section ? NULL : kc_error_no_memory();
}

struct kc_clone *kc_emit_clone(struct kc_emit_unit *unit, const struct kc_diff_item *item)
{
	return &unit->clones[item - unit->object->diff->items];
}

/* A clone of that name, other than `but`. */
static struct kc_clone *find_clone(const struct kc_emitter *emitter, const char *name, const struct kc_clone *but)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kc_emit_unit *unit = &emitter->units[i];

		for (size_t j = 0; unit->clones && j < unit->object->diff->n_items; j++) {
			if (&unit->clones[j] != but && unit->clones[j].is_included &&
			    !strcmp(unit->clones[j].name, name))
				return &unit->clones[j];
		}
	}
	return NULL;
}

/* True when some patched object refers to another file's symbol of that name. */
static bool may_be_import(const struct kc_emitter *emitter, const char *name)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		const struct kc_diff *diff = emitter->units[i].object->diff;

		for (size_t j = 1; diff && j < diff->patched->n_symbols; j++) {
			const struct kc_elf_symbol *symbol = &diff->patched->symbols[j];

			if (symbol->shndx == SHN_UNDEF && kc_symbol_name_equal(symbol->name, name))
				return true;
		}
	}
	return false;
}

/* Notes know symbols by name, so that static things of one name get numbers. */
static char *unique_name(const struct kc_emitter *emitter, const struct kc_diff_item *item,
			 const struct kc_clone *clone)
{
	const char *base = kc_diff_item_name(item);
	bool is_local = !item->symbol || item->symbol->bind == STB_LOCAL;
	char *name = strdup(base);

	for (unsigned n = 1; name; n++) {
		if (!find_clone(emitter, name, clone) && !(is_local && may_be_import(emitter, name)))
			return name;
		free(name);
		if (asprintf(&name, "%s@%u", base, n) < 0)
			return NULL;
	}
	return NULL;
}

/* Thread-local offsets are known now and need no relocation; some addresses must be loaded instead. */
static struct kc_error *adapt_content(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				      const struct kc_diff_item *item, struct kc_buf *content)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];
		struct kc_emit_reloc reloc = { 0 };

		if (kc_emit_is_slot_load(emitter, unit, item, ref))
			content->data[ref->rela->offset - item->offset - 2] = (char)0x8b;
		if (ref->rela->type != R_X86_64_DTPOFF32 && ref->rela->type != R_X86_64_TPOFF32)
			continue;
		KC_TRY(kc_emit_resolve_tls(emitter, unit, item, ref, &reloc));
		memcpy(content->data + (ref->rela->offset - item->offset), &reloc.value, 4);
	}
	return NULL;
}

static struct kc_error *add_section(struct kc_emitter *emitter, struct kc_emit_unit *unit,
				    const struct kc_diff_item *item, kc_section_id *id)
{
	const struct kc_elf_section *section = item->section;
	kc_autobuf struct kc_buf content = { 0 };

	if (!section && item->symbol) { /* COMMON: the symbol's value is its alignment */
		*id = kc_elf_writer_add_section(emitter->writer, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
						item->symbol->value ? item->symbol->value : 1, 0, NULL, item->size);
		return *id ? NULL : kc_error_no_memory();
	}
	if (!section)
		return kc_error_new(KC_ERR_INPUT, "%s: something without a place", unit->object->name);
	if (section->data) {
		kc_buf_append(&content, section->data + item->offset, item->size);
		if (content.failed)
			return kc_error_no_memory();
		KC_TRY(adapt_content(emitter, unit, item, &content));
	}
	*id = kc_elf_writer_add_section(emitter->writer, section->name, section->data ? SHT_PROGBITS : SHT_NOBITS,
					section->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR),
					section->align ? section->align : 1, 0, content.data, item->size);
	return *id ? NULL : kc_error_no_memory();
}

struct kc_error *kc_emit_include(struct kc_emitter *emitter, struct kc_emit_unit *unit, const struct kc_diff_item *item)
{
	struct kc_clone *clone = kc_emit_clone(unit, item), *other;
	const struct kc_elf_symbol *symbol = item->symbol;
	uint8_t bind = symbol && symbol->bind != STB_LOCAL ? STB_GLOBAL : STB_LOCAL;

	if (clone->is_included)
		return NULL;
	if (item->is_tls)
		return kc_error_rule("tls-new", "%s: the thread-local variable %s cannot be added to a running process",
				     unit->object->name, kc_diff_item_name(item));
	other = bind == STB_GLOBAL ? find_clone(emitter, symbol->name, clone) : NULL;
	if (other) {
		*clone = *other;
		clone->name = strdup(other->name);
		clone->is_duplicate = clone->is_relocated = true;
		return clone->name ? NULL : kc_error_no_memory();
	}
	clone->name = unique_name(emitter, item, clone);
	if (!clone->name)
		return kc_error_no_memory();
	KC_TRY(add_section(emitter, unit, item, &clone->section));
	clone->symbol =
		kc_elf_writer_add_symbol(emitter->writer, clone->name, bind, item->is_function ? STT_FUNC : STT_OBJECT,
					 clone->section, 0, item->size);
	if (!clone->symbol)
		return kc_error_no_memory();
	clone->is_included = true;
	return NULL;
}

static struct kc_error *relocate(struct kc_emitter *emitter, struct kc_emit_unit *unit, const struct kc_diff_item *item,
				 const struct kc_clone *clone)
{
	for (size_t i = 0; i < item->n_refs; i++) {
		const struct kc_diff_ref *ref = &item->refs[i];
		struct kc_emit_reloc reloc = { .section = clone->section, .offset = ref->rela->offset - item->offset };

		if (ref->rela->type == R_X86_64_NONE)
			continue;
		if (kc_emit_is_tls(ref->rela->type))
			KC_TRY(kc_emit_resolve_tls(emitter, unit, item, ref, &reloc));
		else
			KC_TRY(kc_emit_resolve(emitter, unit, item, ref, &reloc));
		if (reloc.symbol && !kc_elf_writer_add_rela(emitter->writer, reloc.section, reloc.offset, reloc.type,
							    reloc.symbol, reloc.addend))
			return kc_error_no_memory();
	}
	return NULL;
}

/* Until nothing new is included. */
static struct kc_error *relocate_all(struct kc_emitter *emitter)
{
	bool progress = true;

	while (progress) {
		progress = false;
		for (size_t i = 0; i < emitter->n_units; i++) {
			struct kc_emit_unit *unit = &emitter->units[i];

			for (size_t j = 0; unit->clones && j < unit->object->diff->n_items; j++) {
				if (!unit->clones[j].is_included || unit->clones[j].is_relocated)
					continue;
				unit->clones[j].is_relocated = progress = true;
				KC_TRY(relocate(emitter, unit, &unit->object->diff->items[j], &unit->clones[j]));
			}
		}
	}
	return NULL;
}

/* What the differ wants; literals come along where a clone refers to them. */
static struct kc_error *include_changes(struct kc_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		struct kc_emit_unit *unit = &emitter->units[i];

		for (size_t j = 0; unit->clones && j < unit->object->diff->n_items; j++) {
			const struct kc_diff_item *item = &unit->object->diff->items[j];

			if (item->clone && !item->is_literal)
				KC_TRY(kc_emit_include(emitter, unit, item));
		}
	}
	return NULL;
}

static struct kc_error *emit_all(struct kc_emitter *emitter)
{
	KC_TRY(include_changes(emitter));
	KC_TRY(relocate_all(emitter));
	for (size_t i = 0; i < emitter->n_units; i++) {
		if (!emitter->units[i].clones)
			continue;
		KC_TRY(kc_emit_unwind(emitter, &emitter->units[i]));
		KC_TRY(kc_emit_functions(emitter, &emitter->units[i]));
	}
	KC_TRY(relocate_all(emitter));
	kc_emit_note_unwinders(emitter);
	return kc_emit_unwind_finish(emitter);
}

static struct kc_error *write_notes(struct kc_emitter *emitter)
{
	const struct kc_elf *linked = emitter->linked->elf;

	kc_payload_encode_target(&emitter->notes, linked->build_id, linked->build_id_size, emitter->flags);
	if (emitter->notes.failed || !kc_elf_writer_add_section(emitter->writer, KC_PAYLOAD_NOTE_SECTION, SHT_NOTE, 0,
								4, 0, emitter->notes.data, emitter->notes.size))
		return kc_error_no_memory();
	return NULL;
}

struct kc_error *kc_emit_user_payload(struct kc_ctx *ctx, const struct kc_elf *linked,
				      const struct kc_emit_object *objects, size_t n_objects,
				      const struct kc_emit_options *options, struct kc_buf *out)
{
	static const struct kc_emit_options no_options;
	KC_CLEANUP(emitter_clear) struct kc_emitter emitter = { .options = options ? options : &no_options };
	kc_autolinked struct kc_linked *index = NULL;

	if (!linked->build_id_size)
		return kc_error_new(KC_ERR_INPUT, "%s has no build-id, so that a patch for it could not be told apart",
				    linked->name);
	KC_TRY(kc_linked_new(ctx, linked, &index));
	emitter.linked = index;
	KC_TRY(emitter_init(&emitter, objects, n_objects));
	KC_TRY(emit_all(&emitter));
	KC_TRY(write_notes(&emitter));
	return kc_elf_writer_finish(emitter.writer, out);
}
