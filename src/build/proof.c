/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/proof.h"

#include <string.h>

#include "base/array.h"
#include "build/libraries.h"

static void file_clear(struct kc_proved_file *file)
{
	for (size_t i = 0; i < file->n_parts; i++) {
		kc_diff_free(file->parts[i].diff);
		kc_placement_free(file->parts[i].placement);
	}
	free(file->parts);
	kc_elf_free(file->elf);
}

void kc_proof_free(struct kc_proof *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->n_items; i++)
		file_clear(&list->items[i]);
	free(list->items);
	free(list);
}

static bool has_source(const struct kc_proved_file *file, const char *source)
{
	for (size_t i = 0; i < file->n_parts; i++)
		if (!strcmp(file->parts[i].object->command->file, source))
			return true;
	return false;
}

/* Two ways to compile a source may give the same code: then both are found at the same place, and one is enough. */
static bool is_placed_already(const struct kc_proved_file *file, const struct kc_placement *placement)
{
	for (size_t i = 0; i < file->n_parts; i++) {
		const struct kc_placement *other = file->parts[i].placement;

		for (size_t j = 0; j < placement->plain->n_sections; j++)
			for (size_t k = 0; k < other->plain->n_sections; k++)
				if (placement->section_addr[j] != KC_NO_ADDR && placement->plain->sections[j].size &&
				    placement->plain->sections[j].flags & SHF_EXECINSTR &&
				    other->plain->sections[k].size &&
				    placement->section_addr[j] == other->section_addr[k])
					return true;
	}
	return false;
}

/* Adds the object to the file's parts when it is in it. A mismatch is not an error yet: `*mismatch`. */
static struct kc_error *prove_one(struct kc_ctx *ctx, const struct kc_object *object, struct kc_proved_file *file,
				  struct kc_error **mismatch)
{
	struct kc_placement *placement = NULL;
	struct kc_proved_object *part;
	struct kc_error *err = kc_placement_find(ctx, file->elf, object->plain, &placement);
	enum kc_error_code code = err ? kc_error_code(err) : KC_ERR_COUNT;

	if (code == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return NULL;
	}
	if (code == KC_ERR_PROOF) {
		*mismatch = err;
		return NULL;
	}
	if (err)
		return kc_error_prefix(err, "%s", object->name);
	if (is_placed_already(file, placement)) {
		kc_placement_free(placement);
		return NULL;
	}
	part = kc_array_add(&file->parts, &file->n_parts);
	if (!part) {
		kc_placement_free(placement);
		return kc_error_no_memory();
	}
	part->object = object;
	part->placement = placement;
	return NULL;
}

/* One source is often compiled in several ways; the way that a linked file was made from is what counts for it. */
static struct kc_error *prove_in(struct kc_ctx *ctx, const struct kc_objects *objects, struct kc_proved_file *file)
{
	kc_autofree struct kc_error **mismatches = calloc(objects->n_items, sizeof(*mismatches));
	struct kc_error *err = NULL;

	if (!mismatches)
		return kc_error_no_memory();
	for (size_t i = 0; !err && i < objects->n_items; i++)
		err = prove_one(ctx, &objects->items[i], file, &mismatches[i]);
	for (size_t i = 0; i < objects->n_items; i++) {
		if (!err && mismatches[i] && !has_source(file, objects->items[i].command->file))
			err = kc_steal(mismatches[i]);
		kc_error_free(mismatches[i]);
	}
	return err;
}

static struct kc_error *open_and_prove(struct kc_ctx *ctx, const char *path, const struct kc_objects *objects,
				       struct kc_proof *list)
{
	struct kc_proved_file *file = kc_array_add(&list->items, &list->n_items);

	if (!file)
		return kc_error_no_memory();
	KC_TRY(kc_elf_open(ctx, path, &file->elf));
	KC_TRY(prove_in(ctx, objects, file));
	if (!file->n_parts) {
		file_clear(file);
		list->n_items--;
		return NULL;
	}
	if (!file->elf->build_id_size)
		return kc_error_new(KC_ERR_INPUT,
				    "%s has no build-id, so no process could be matched with the patch; "
				    "link it with -Wl,--build-id",
				    path);
	return NULL;
}

static void mark_proved(const struct kc_tree *tree, struct kc_touched *touched, const struct kc_proof *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		for (size_t j = 0; j < list->items[i].n_parts; j++)
			for (size_t k = 0; k < touched->n_files; k++)
				touched->files[k].proved |= kc_touched_reads(
					tree, touched, list->items[i].parts[j].object->command, &touched->files[k]);
}

struct kc_error *kc_proof_prove(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_touched *touched,
				const struct kc_objects *objects, struct kc_proof **list)
{
	kc_autoproof struct kc_proof *new = calloc(1, sizeof(*new));
	size_t n_paths = 0;

	if (!new)
		return kc_error_no_memory();
	while (tree->elf_paths[n_paths])
		n_paths++;
	for (size_t i = 0; i < n_paths; i++) {
		kc_progress(ctx, "proving the objects", i, n_paths);
		KC_TRY(open_and_prove(ctx, tree->elf_paths[i], objects, new));
	}
	kc_progress(ctx, "proving the objects", n_paths, n_paths);
	mark_proved(tree, touched, new);
	for (size_t i = 0; i < touched->n_files; i++)
		if (!touched->files[i].proved && !touched->files[i].created)
			return kc_error_new(
				KC_ERR_PROOF,
				"nothing that was compiled from %s is in %s; check the version of the source, "
				"the compiler and its options",
				touched->files[i].name, tree->package ? tree->package : tree->elf_paths[0]);
	*list = kc_steal(new);
	return NULL;
}

/* Is the symbol in the file's dynamic table, for others to use? */
static bool is_exported(void *data, const char *name)
{
	const struct kc_elf *elf = data;

	for (size_t i = 0; i < elf->n_dynamic_symbols; i++)
		if (elf->dynamic_symbols[i].shndx != SHN_UNDEF && !strcmp(elf->dynamic_symbols[i].name, name))
			return true;
	return false;
}

static struct kc_error *compare(struct kc_ctx *ctx, struct kc_proved_file *file, struct kc_proved_object *part,
				const char *const *allowed)
{
	struct kc_diff_options options = { .allowed = allowed, .is_exported = is_exported, .data = file->elf };
	struct kc_error *err =
		kc_diff_objects(ctx, part->object->original, part->object->patched, &options, &part->diff);

	if (err && kc_error_code(err) == KC_ERR_NO_CHANGE) {
		kc_error_free(err);
		return NULL;
	}
	return err ? kc_error_prefix(err, "%s", part->object->name) : NULL;
}

bool kc_proved_file_changes(const struct kc_proved_file *file)
{
	for (size_t i = 0; i < file->n_parts; i++)
		if (file->parts[i].diff)
			return true;
	return false;
}

struct kc_error *kc_proof_compare(struct kc_ctx *ctx, struct kc_proof *list, const char *const *allowed)
{
	bool changes = false;

	for (size_t i = 0; i < list->n_items; i++) {
		for (size_t j = 0; j < list->items[i].n_parts; j++)
			KC_TRY(compare(ctx, &list->items[i], &list->items[i].parts[j], allowed));
		changes |= kc_proved_file_changes(&list->items[i]);
	}
	return changes ? NULL
		       : kc_error_new(KC_ERR_NO_CHANGE, "the compiled code is the same with and without the fix");
}

struct kc_error *kc_proof_emit(struct kc_ctx *ctx, const struct kc_tree *tree, const struct kc_proved_file *file,
			       const char *const *allowed, struct kc_buf *payload)
{
	kc_autofree struct kc_emit_object *objects = calloc(file->n_parts + 1, sizeof(*objects));
	kc_autolibraries struct kc_libraries libraries = { 0 };
	struct kc_emit_options options = { .allowed = allowed };
	size_t n = 0;

	if (!objects)
		return kc_error_no_memory();
	for (size_t i = 0; i < file->n_parts; i++)
		if (file->parts[i].diff)
			objects[n++] = (struct kc_emit_object){ .name = file->parts[i].object->name,
								.diff = file->parts[i].diff,
								.placement = file->parts[i].placement };
	KC_TRY(kc_libraries_find(ctx, file->elf, tree->elf_paths, &libraries));
	options.libraries = libraries.items;
	options.n_libraries = libraries.n_items;
	return kc_emit_user_payload(ctx, file->elf, objects, n, &options, payload);
}
