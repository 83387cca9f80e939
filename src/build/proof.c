/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/proof.h"

#include <string.h>

#include "base/array.h"
#include "build/libraries.h"

static void file_clear(struct kc_proved_file *linked)
{
	for (size_t i = 0; i < linked->n_parts; i++) {
		kc_diff_free(linked->parts[i].diff);
		kc_placement_free(linked->parts[i].placement);
	}
	free(linked->parts);
	kc_elf_free(linked->elf);
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

static bool has_source(const struct kc_proved_file *linked, const char *file)
{
	for (size_t i = 0; i < linked->n_parts; i++)
		if (!strcmp(linked->parts[i].object->command->file, file))
			return true;
	return false;
}

/* One source is often compiled in several ways; the way that a linked file was made from is what counts for it. */
static struct kc_error *prove_in(struct kc_ctx *ctx, const struct kc_objects *objects, struct kc_proved_file *linked)
{
	struct kc_error *mismatch = NULL;
	const char *mismatch_file = NULL;

	for (size_t i = 0; i < objects->n_items; i++) {
		const struct kc_object *object = &objects->items[i];
		struct kc_placement *placement = NULL;
		struct kc_proved_object *part;
		struct kc_error *err = kc_placement_find(ctx, linked->elf, object->plain, &placement);

		if (err && kc_error_code(err) == KC_ERR_PROOF && !mismatch) {
			mismatch = kc_error_prefix(err, "%s", object->name);
			mismatch_file = object->command->file;
			continue;
		}
		if (err && kc_error_code(err) != KC_ERR_PROOF && kc_error_code(err) != KC_ERR_NOT_FOUND) {
			kc_error_free(mismatch);
			return kc_error_prefix(err, "%s", object->name);
		}
		kc_error_free(err);
		if (err)
			continue;
		part = kc_array_add(&linked->parts, &linked->n_parts);
		if (!part) {
			kc_placement_free(placement);
			kc_error_free(mismatch);
			return kc_error_no_memory();
		}
		part->object = object;
		part->placement = placement;
	}
	if (mismatch && has_source(linked, mismatch_file)) {
		kc_error_free(mismatch);
		mismatch = NULL;
	}
	return mismatch;
}

static struct kc_error *open_and_prove(struct kc_ctx *ctx, const char *path, const struct kc_objects *objects,
				       struct kc_proof *list)
{
	struct kc_proved_file *linked = kc_array_add(&list->items, &list->n_items);

	if (!linked)
		return kc_error_no_memory();
	KC_TRY(kc_elf_open(ctx, path, &linked->elf));
	KC_TRY(prove_in(ctx, objects, linked));
	if (!linked->n_parts) {
		file_clear(linked);
		list->n_items--;
		return NULL;
	}
	if (!linked->elf->build_id_size)
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

static struct kc_error *compare(struct kc_ctx *ctx, struct kc_proved_file *linked, struct kc_proved_object *part,
				const char *const *allowed)
{
	struct kc_diff_options options = { .allowed = allowed, .is_exported = is_exported, .data = linked->elf };
	struct kc_error *err =
		kc_diff_objects(ctx, part->object->original, part->object->patched, &options, &part->diff);

	if (err && kc_error_code(err) == KC_ERR_NO_CHANGE) {
		kc_error_free(err);
		return NULL;
	}
	return err ? kc_error_prefix(err, "%s", part->object->name) : NULL;
}

bool kc_proved_file_changes(const struct kc_proved_file *linked)
{
	for (size_t i = 0; i < linked->n_parts; i++)
		if (linked->parts[i].diff)
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

struct kc_error *kc_proof_emit(struct kc_ctx *ctx, const struct kc_tree *tree, const struct kc_proved_file *linked,
			       const char *const *allowed, struct kc_buf *payload)
{
	kc_autofree struct kc_emit_object *objects = calloc(linked->n_parts + 1, sizeof(*objects));
	kc_autolibraries struct kc_libraries libraries = { 0 };
	struct kc_emit_options options = { .allowed = allowed };
	size_t n = 0;

	if (!objects)
		return kc_error_no_memory();
	for (size_t i = 0; i < linked->n_parts; i++)
		if (linked->parts[i].diff)
			objects[n++] = (struct kc_emit_object){ .name = linked->parts[i].object->name,
								.diff = linked->parts[i].diff,
								.placement = linked->parts[i].placement };
	KC_TRY(kc_libraries_find(ctx, linked->elf, tree->elf_paths, &libraries));
	options.libraries = libraries.items;
	options.n_libraries = libraries.n_items;
	return kc_emit_user_payload(ctx, linked->elf, objects, n, &options, payload);
}
