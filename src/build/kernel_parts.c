/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/kernel_parts.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"

/* Objects with debug information take some MiB each: so many are in memory at a time. */
enum { BATCH = 64 };

static void part_free(struct kc_kernel_part *part)
{
	for (size_t i = 0; i < part->n_placements; i++)
		kc_kernel_placement_free(part->placements[i]);
	free(part->placements);
	kc_diff_free(part->diff);
	kc_object_clear(&part->object);
	free(part);
}

void kc_kernel_parts_clear(struct kc_kernel_parts *parts)
{
	for (size_t i = 0; i < parts->n_items; i++)
		part_free(parts->items[i]);
	for (size_t i = 0; i < parts->n_modules; i++)
		kc_kernel_object_free(parts->modules[i]);
	for (size_t i = 0; i < parts->n_module_paths; i++)
		free(parts->module_paths[i]);
	free(parts->items);
	free(parts->modules);
	free(parts->module_paths);
	*parts = (struct kc_kernel_parts){ 0 };
}

static const struct kc_kernel_unit *find_unit(const struct kc_kernel_tree *tree, const char *object)
{
	for (size_t i = 0; i < tree->units.n_items; i++)
		if (!strcmp(tree->units.items[i].object, object))
			return &tree->units.items[i];
	return NULL;
}

/* ---- comparing ---- */

static bool is_in_image(void *data, const char *name)
{
	return kc_kernel_symbol_find(data, name) != NULL;
}

/* Takes the object over when it differs. */
static struct kc_error *compare_object(struct kc_ctx *ctx, struct kc_kernel_tree *tree, struct kc_object *object,
				       const struct kc_kernel_layout *layout, const char *const *allowed,
				       struct kc_kernel_parts *parts)
{
	struct kc_kernel_part **slot, *part = calloc(1, sizeof(*part));
	struct kc_diff_options options = { 0 };
	struct kc_error *err;

	if (!part)
		return kc_error_no_memory();
	part->unit = find_unit(tree, object->command->output);
	part->target = (struct kc_kernel_diff){ .layout = layout,
						.orig = object->original,
						.allowed = allowed,
						.is_module = part->unit && part->unit->place == KC_KERNEL_MODULE,
						.is_in_image = is_in_image,
						.data = tree->image };
	kc_kernel_diff_options(&part->target, &options);
	err = kc_diff_objects(ctx, object->original, object->patched, &options, &part->diff);
	if (!err && part->unit && part->unit->place == KC_KERNEL_LIBRARY)
		err = kc_error_rule("lib.a",
				    "it changes, and is part of a library of which the linker takes what it needs; "
				    "change the functions that call it");
	slot = err ? NULL : kc_array_add(&parts->items, &parts->n_items);
	if (slot) {
		part->object = *object;
		*object = (struct kc_object){ 0 };
		*slot = part;
		return NULL;
	}
	part_free(part);
	if (err && kc_error_code(err) == KC_ERR_NO_CHANGE) {
		kc_error_free(err);
		return NULL;
	}
	return err ? kc_error_prefix(err, "%s", object->name) : kc_error_no_memory();
}

struct kc_error *kc_kernel_compare(struct kc_ctx *ctx, struct kc_kernel_tree *tree, const struct kc_touched *touched,
				   const struct kc_kernel_layout *layout, const char *const *allowed,
				   const char *work_dir, unsigned jobs, struct kc_kernel_parts *parts)
{
	for (size_t i = 0; i < touched->n_commands; i += BATCH) {
		kc_autoobjects struct kc_objects *objects = NULL;
		struct kc_touched some = *touched;

		some.commands += i;
		some.n_commands = touched->n_commands - i < BATCH ? touched->n_commands - i : BATCH;
		if (touched->n_commands > BATCH)
			kc_progress(ctx, "comparing objects", i, touched->n_commands);
		KC_TRY(kc_objects_make(ctx, tree->tree, &some, work_dir, jobs, &objects));
		for (size_t k = 0; k < objects->n_items; k++)
			KC_TRY(compare_object(ctx, tree, &objects->items[k], layout, allowed, parts));
	}
	return parts->n_items
		       ? NULL
		       : kc_error_new(KC_ERR_NO_CHANGE, "the compiled code is the same with and without the fix");
}

/* ---- proving ---- */

/*
 * Kbuild writes .NAME.o.cmd behind the object: without it, a killed run has left half of one. A source that was given
 * may have been edited since: there Kbuild decides.
 */
static bool is_made(const struct kc_kernel_tree *tree, const char *object)
{
	kc_autofree char *path = NULL;
	const char *name = kc_path_name(object);

	if (!tree->package)
		return false;
	if (asprintf(&path, "%s/%.*s.%s.cmd", tree->obj_dir, (int)(name - object), object, name) < 0) {
		path = NULL;
		return false;
	}
	return !access(path, F_OK);
}

static struct kc_error *make_plain(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, unsigned jobs,
				   const struct kc_kernel_parts *parts)
{
	kc_autofree const char **targets = calloc(parts->n_items + 1, sizeof(*targets));
	size_t n = 0;

	if (!targets)
		return kc_error_no_memory();
	for (size_t i = 0; i < parts->n_items; i++)
		if (!is_made(tree, parts->items[i]->unit->object))
			targets[n++] = parts->items[i]->unit->object;
	return n ? kc_kernel_make(ctx, tree, targets, n, jobs) : NULL;
}

static struct kc_error *open_module(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, const char *name,
				    struct kc_kernel_parts *parts, struct kc_kernel_object **module)
{
	kc_autofree char *path = NULL;
	struct kc_kernel_object **slot;
	char **path_slot;

	KC_TRY(kc_kernel_module_path(tree, name, &path));
	for (size_t i = 0; i < parts->n_modules; i++) {
		if (!strcmp(parts->module_paths[i], path)) {
			*module = parts->modules[i];
			return NULL;
		}
	}
	KC_TRY(kc_kernel_module_open(ctx, path, module));
	slot = kc_array_add(&parts->modules, &parts->n_modules);
	path_slot = slot ? kc_array_add(&parts->module_paths, &parts->n_module_paths) : NULL;
	if (!path_slot) {
		kc_kernel_object_free(*module);
		parts->n_modules -= slot != NULL;
		return kc_error_no_memory();
	}
	*slot = *module;
	*path_slot = kc_steal(path);
	return NULL;
}

static struct kc_error *prove_in(struct kc_ctx *ctx, struct kc_kernel_part *part, const struct kc_kernel_object *object)
{
	struct kc_kernel_placement **slot, *placement = NULL;
	struct kc_error *err = kc_kernel_placement_find(ctx, object, part->object.plain, &placement);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return kc_error_new(KC_ERR_PROOF, "%s: nothing that was compiled from it here is in %s",
				    part->object.name, object->name);
	}
	if (err)
		return kc_error_prefix(err, "%s", part->object.name);
	slot = kc_array_add(&part->placements, &part->n_placements);
	if (slot)
		*slot = placement;
	else
		kc_kernel_placement_free(placement);
	return slot ? NULL : kc_error_no_memory();
}

/* `modules`: "net/qrtr/qrtr", several are separated by ':'. */
static struct kc_error *prove_in_modules(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
					 struct kc_kernel_part *part, struct kc_kernel_parts *parts)
{
	kc_autofree char *names = strdup(part->unit->modules);
	struct kc_kernel_object *module;
	char *rest = NULL;

	if (!names)
		return kc_error_no_memory();
	for (char *name = strtok_r(names, ":", &rest); name; name = strtok_r(NULL, ":", &rest)) {
		KC_TRY(open_module(ctx, tree, name, parts, &module));
		KC_TRY(prove_in(ctx, part, module));
	}
	return NULL;
}

static struct kc_error *prove_part(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct kc_kernel_part *part,
				   struct kc_kernel_parts *parts)
{
	kc_autofree char *plain = kc_path_join(tree->obj_dir, part->unit->object);

	if (!plain)
		return kc_error_no_memory();
	KC_TRY(kc_object_read_plain(ctx, &part->object, plain));
	if (part->unit->place == KC_KERNEL_MODULE)
		return prove_in_modules(ctx, tree, part, parts);
	return prove_in(ctx, part, tree->image);
}

struct kc_error *kc_kernel_prove(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, unsigned jobs,
				 struct kc_kernel_parts *parts)
{
	KC_TRY(make_plain(ctx, tree, jobs, parts));
	for (size_t i = 0; i < parts->n_items; i++)
		KC_TRY(prove_part(ctx, tree, parts->items[i], parts));
	return NULL;
}
