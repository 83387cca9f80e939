/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From touched files to the kernel's objects: what Kbuild said when the kernel was prepared decides. */
#include <string.h>

#include "base/array.h"
#include "build/depfile.h"
#include "build/kernel_includes.h"
#include "build/kernel_parts.h"

enum { DEFAULT_MAX_OBJECTS = 2000 };

struct selection {
	size_t *units; /* indices, sorted, each once */
	size_t n_units;
};

static struct kc_error *selection_add(struct selection *selection, size_t unit)
{
	size_t *slot = kc_array_add(&selection->units, &selection->n_units);

	if (slot)
		*slot = unit;
	return slot ? NULL : kc_error_no_memory();
}

static int compare_sizes(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

static void selection_sort(struct selection *selection)
{
	size_t kept = 0;

	if (!selection->n_units)
		return;
	qsort(selection->units, selection->n_units, sizeof(*selection->units), compare_sizes);
	for (size_t i = 0; i < selection->n_units; i++)
		if (!i || selection->units[i] != selection->units[kept - 1])
			selection->units[kept++] = selection->units[i];
	selection->n_units = kept;
}

/* The units that are made from the file itself. */
static struct kc_error *add_compiled(const struct kc_kernel_tree *tree, const struct kc_touched_file *file,
				     struct selection *selection)
{
	for (size_t i = 0; i < tree->units.n_items; i++)
		if (!strcmp(tree->units.items[i].source, file->path))
			KC_TRY(selection_add(selection, i));
	return NULL;
}

/* Sources that Kbuild generates are not there before their object is made: then nobody can say what they include. */
static struct kc_error *make_generated(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, const size_t *units,
				       size_t n_units, unsigned jobs)
{
	kc_autofree const char **objects = calloc(n_units + 1, sizeof(*objects));
	size_t n = 0;

	if (!objects)
		return kc_error_no_memory();
	for (size_t i = 0; i < n_units; i++)
		if (access(tree->units.items[units[i]].source, F_OK))
			objects[n++] = tree->units.items[units[i]].object;
	return n ? kc_kernel_make(ctx, tree, objects, n, jobs) : NULL;
}

/*
 * All that may read one of the files: headers, and sources that other sources include. A file that the fix brings may
 * hide another of its name.
 */
static struct kc_error *add_including(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
				      const struct kc_touched *touched, size_t max, unsigned jobs,
				      struct selection *selection)
{
	kc_autofree const char **paths = calloc(touched->n_files + 1, sizeof(*paths));
	kc_autofree size_t *units = NULL;
	size_t n_paths = 0, n_units = 0;

	if (!paths)
		return kc_error_no_memory();
	for (size_t i = 0; i < touched->n_files; i++)
		paths[n_paths++] = touched->files[i].path;
	KC_TRY(kc_kernel_includes_find(ctx, tree, paths, n_paths, max, &units, &n_units));
	KC_TRY(make_generated(ctx, tree, units, n_units, jobs));
	for (size_t i = 0; i < n_units; i++)
		KC_TRY(selection_add(selection, units[i]));
	return NULL;
}

/* A touched source may be in none of these; a header may be included there, too, and matter or not. */
static struct kc_error *check_place(const struct kc_kernel_unit *unit)
{
	size_t size = strlen(unit->source);

	if (unit->place == KC_KERNEL_OTHER && strstr(unit->source, "/vdso/"))
		return kc_error_rule(
			"vdso",
			"%s is part of the vdso, which every process has mapped already; only new processes "
			"on a new kernel see a change",
			unit->object);
	if (unit->place == KC_KERNEL_OTHER)
		return kc_error_rule(
			"not-in-kernel",
			"%s is linked neither into the image nor into a module: it is start-up code or a tool; "
			"it has run already",
			unit->object);
	if (unit->place == KC_KERNEL_LIBRARY)
		return kc_error_rule(
			"lib.a",
			"%s is part of a library of which the linker takes what it needs; change the functions "
			"that call it",
			unit->object);
	if (size > 2 && !strcmp(unit->source + size - 2, ".S"))
		return kc_error_rule(
			"assembler",
			"%s is written in assembler, which livepatch cannot hook; change the functions that "
			"call it",
			unit->object);
	return NULL;
}

static struct kc_error *take_commands(struct kc_kernel_tree *tree, const struct selection *selection)
{
	tree->tree->commands = calloc(1, sizeof(*tree->tree->commands));
	if (!tree->tree->commands)
		return kc_error_no_memory();
	for (size_t i = 0; i < selection->n_units; i++)
		KC_TRY(kc_kernel_unit_command(&tree->units.items[selection->units[i]], tree->obj_dir,
					      tree->commands_path, tree->kmod_dir, tree->tree->commands));
	return NULL;
}

static struct kc_error *check_compiled(const struct kc_kernel_tree *tree, const struct kc_touched *touched)
{
	for (size_t i = 0; i < touched->n_files; i++) {
		const struct kc_touched_file *file = &touched->files[i];

		if (file->compiled || (file->created && !kc_path_is_compiled(file->path)))
			continue;
		if (file->created)
			return kc_error_new(
				KC_ERR_FIX,
				"%s is a new source file, which no object is made from; move its functions into "
				"an existing file",
				file->name);
		return kc_error_rule(
			"not-compiled",
			"no object of the kernel %s is made from %s: its configuration leaves it out; if that "
			"is right, remove the file from the fix",
			tree->release, file->name);
	}
	return NULL;
}

/* The objects whose source is touched itself must be ones that can be patched. */
static struct kc_error *select_compiled(const struct kc_kernel_tree *tree, const struct kc_touched *touched,
					struct selection *selection)
{
	for (size_t i = 0; i < touched->n_files; i++)
		KC_TRY(add_compiled(tree, &touched->files[i], selection));
	for (size_t i = 0; i < selection->n_units; i++)
		KC_TRY(check_place(&tree->units.items[selection->units[i]]));
	return NULL;
}

/* What only includes something and cannot be compared at all is left out, but not without a word. */
static void drop_unpatchable(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct selection *selection)
{
	size_t kept = 0;

	for (size_t i = 0; i < selection->n_units; i++) {
		const struct kc_kernel_unit *unit = &tree->units.items[selection->units[i]];
		kc_autoerror struct kc_error *err = unit->place == KC_KERNEL_LIBRARY ? NULL : check_place(unit);

		if (err)
			kc_warning(ctx, "%s may include what the fix changes, and keeps it as it was: %s", unit->object,
				   kc_error_message(err));
		else
			selection->units[kept++] = selection->units[i];
	}
	selection->n_units = kept;
}

/* `thorough`: set when not all are made from a touched file. */
static struct kc_error *select_units(struct kc_ctx *ctx, const struct kc_kernel_tree *tree,
				     const struct kc_touched *touched, size_t max, unsigned jobs,
				     struct selection *selection, bool *thorough)
{
	size_t n_compiled;

	KC_TRY(select_compiled(tree, touched, selection));
	n_compiled = selection->n_units;
	KC_TRY(add_including(ctx, tree, touched, max, jobs, selection));
	selection_sort(selection);
	*thorough = selection->n_units > n_compiled;
	drop_unpatchable(ctx, tree, selection);
	return NULL;
}

/* Objects that the preprocessor could not read: mostly, a header is missing that Kbuild generates with the object. */
static struct kc_error *list_unread(const struct kc_kernel_tree *tree, const struct kc_touched *touched,
				    const char ***objects, size_t *n)
{
	const struct kc_commands *commands = tree->tree->commands;

	*n = 0;
	*objects = calloc(commands->n_items + 1, sizeof(**objects));
	if (!*objects)
		return kc_error_no_memory();
	for (size_t i = 0; touched->dependencies && i < touched->n_dependencies; i++)
		if (!touched->dependencies[i])
			(*objects)[(*n)++] = commands->items[i].output;
	return NULL;
}

/* Lets Kbuild make what could not be read, and looks again. What nobody can read may include anything: an error. */
static struct kc_error *read_rest(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, unsigned jobs,
				  struct kc_touched *touched)
{
	kc_autofree const char **objects = NULL, **still = NULL;
	size_t n;

	KC_TRY(list_unread(tree, touched, &objects, &n));
	if (!n)
		return NULL;
	KC_TRY(kc_kernel_make(ctx, tree, objects, n, jobs));
	kc_dependencies_free(touched->dependencies, touched->n_dependencies);
	touched->dependencies = NULL;
	touched->n_commands = 0;
	KC_TRY(kc_touched_select(ctx, tree->tree, jobs, true, touched));
	KC_TRY(list_unread(tree, touched, &still, &n));
	return n ? kc_error_new(KC_ERR_COMPILE,
				"the preprocessor cannot read the source of %s, so that nobody knows whether "
				"it includes what the fix changes",
				still[0])
		 : NULL;
}

struct kc_error *kc_kernel_select(struct kc_ctx *ctx, struct kc_kernel_tree *tree, struct kc_touched *touched,
				  size_t max, unsigned jobs)
{
	struct selection selection = { 0 };
	bool thorough = false;
	struct kc_error *err =
		select_units(ctx, tree, touched, max ? max : DEFAULT_MAX_OBJECTS, jobs, &selection, &thorough);

	if (!err)
		err = take_commands(tree, &selection);
	free(selection.units);
	if (!err)
		err = kc_touched_select(ctx, tree->tree, jobs, thorough, touched);
	if (!err)
		err = read_rest(ctx, tree, jobs, touched);
	return err ? err : check_compiled(tree, touched);
}
