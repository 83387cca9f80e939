/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/touched.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/compile.h"
#include "build/depfile.h"

enum { SOURCE_LIMIT = 64 << 20 };

static bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* The first folder of a diff's path ("a/", "openssl-3.0.17/") is not part of the tree; some diffs have none. */
static struct kc_error *locate(const struct kc_tree *tree, const struct kc_fix *fix, const struct kc_fix_file *file,
			       char **path)
{
	const char *slash = strchr(file->path, '/');
	kc_autofree char *stripped = slash ? kc_path_resolve(tree->source_dir, slash + 1) : NULL;
	kc_autofree char *whole = kc_path_resolve(tree->source_dir, file->path);

	if (!whole || (slash && !stripped))
		return kc_error_no_memory();
	if (stripped && (is_file(stripped) || file->created))
		*path = kc_steal(stripped);
	else if (is_file(whole) || file->created)
		*path = kc_steal(whole);
	else
		return kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY, "%s: there is no file %s in the source", fix->name,
				    slash ? slash + 1 : file->path);
	return NULL;
}

static struct kc_touched_file *file_find(const struct kc_touched *touched, const char *path)
{
	for (size_t i = 0; i < touched->n_files; i++)
		if (!strcmp(touched->files[i].path, path))
			return &touched->files[i];
	return NULL;
}

/* Takes ownership of `path`. */
static struct kc_error *file_add(const struct kc_tree *tree, struct kc_touched *touched, char *path, bool created)
{
	struct kc_touched_file *file = kc_array_add(&touched->files, &touched->n_files);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!file) {
		free(path);
		return kc_error_no_memory();
	}
	file->path = path;
	file->name = path + strlen(tree->source_dir) + 1;
	file->created = created;
	err = created ? 0 : kc_file_read(path, SOURCE_LIMIT, &text);
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	return kc_source_parse(file->name, text.data ? text.data : "", text.size, &file->source);
}

/* Unlike documentation and scripts. */
static bool shapes_build(const char *path)
{
	static const char *const starts[] = { "Makefile", "Kbuild", "Kconfig" };
	const char *name = kc_path_name(path);

	for (size_t i = 0; i < KC_ARRAY_SIZE(starts); i++)
		if (!strncmp(name, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static struct kc_error *apply_file(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_touched *touched,
				   const struct kc_fix *fix, const struct kc_fix_file *change)
{
	kc_autofree char *path = NULL;
	struct kc_touched_file *file;

	KC_TRY(locate(tree, fix, change, &path));
	if (!path)
		return kc_error_no_memory();
	if (!kc_path_is_source(path)) {
		if (shapes_build(path))
			kc_warning(ctx,
				   "%s: %s is left out: how things are compiled and configured stays as it is; when "
				   "the fix needs that change, the patch does not do what it should",
				   fix->name, change->path);
		else
			kc_info(ctx, "%s: %s is not compiled; its change is left out", fix->name, change->path);
		return NULL;
	}
	file = file_find(touched, path);
	if (change->created && (file || is_file(path)))
		return kc_error_new(KC_ERR_FIX_DOES_NOT_APPLY, "%s: %s exists already", fix->name, change->path);
	if (!file) {
		KC_TRY(file_add(tree, touched, kc_steal(path), change->created));
		file = &touched->files[touched->n_files - 1];
	}
	return kc_source_apply(ctx, file->source, fix, change);
}

static struct kc_error *apply_fixes(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_fix *const *fixes,
				    size_t n_fixes, struct kc_touched *touched)
{
	for (size_t i = 0; i < n_fixes; i++)
		for (size_t j = 0; j < fixes[i]->n_files; j++)
			KC_TRY(apply_file(ctx, tree, touched, fixes[i], &fixes[i]->files[j]));
	return touched->n_files ? NULL : kc_error_new(KC_ERR_NO_CHANGE, "no fix changes a file that is compiled");
}

/* The same file may have two names when the tree was configured through a symbolic link. */
static bool same_file(const char *a, const char *b)
{
	struct stat st_a, st_b;

	if (!strcmp(a, b))
		return true;
	if (strcmp(kc_path_name(a), kc_path_name(b)))
		return false;
	return !stat(a, &st_a) && !stat(b, &st_b) && st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

bool kc_touched_reads(const struct kc_tree *tree, const struct kc_touched *touched,
		      const struct kc_compile_command *command, const struct kc_touched_file *file)
{
	char **dependencies = touched->dependencies ? touched->dependencies[command - tree->commands->items] : NULL;

	if (same_file(command->file, file->path))
		return true;
	for (; dependencies && *dependencies; dependencies++)
		if (!strcmp(*dependencies, file->path))
			return true;
	return false;
}

static bool same_arguments(const struct kc_compile_command *a, const struct kc_compile_command *b)
{
	if (a->n_arguments != b->n_arguments || strcmp(a->dir, b->dir))
		return false;
	for (size_t i = 0; i < a->n_arguments; i++)
		if (strcmp(a->arguments[i], b->arguments[i]))
			return false;
	return true;
}

/* Some builds make the same object twice, for a static and for a shared library. */
static bool is_listed(const struct kc_touched *touched, const struct kc_compile_command *command)
{
	for (size_t i = 0; i < touched->n_commands; i++)
		if (same_arguments(touched->commands[i], command))
			return true;
	return false;
}

static struct kc_error *find_commands(const struct kc_tree *tree, struct kc_touched *touched)
{
	for (size_t i = 0; i < tree->commands->n_items; i++) {
		const struct kc_compile_command *command = &tree->commands->items[i], **slot;
		bool reads = false;

		for (size_t j = 0; j < touched->n_files; j++) {
			bool reads_it = kc_touched_reads(tree, touched, command, &touched->files[j]);

			touched->files[j].compiled |= reads_it;
			reads |= reads_it;
		}
		if (!reads || is_listed(touched, command))
			continue;
		slot = kc_array_add(&touched->commands, &touched->n_commands);
		if (!slot)
			return kc_error_no_memory();
		*slot = command;
	}
	return NULL;
}

/* Looks at the preprocessor's word for headers, and for sources that other sources include. */
static struct kc_error *find_including(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_touched *touched,
				       unsigned parallel, bool needed)
{
	kc_autofree char *cache_path = NULL;

	for (size_t i = 0; i < touched->n_files; i++)
		needed |= !touched->files[i].compiled && !touched->files[i].created;
	if (!needed)
		return NULL;
	if (tree->cache_dir && !tree->kernel) {
		cache_path = kc_path_join(tree->cache_dir, "dependencies");
		if (!cache_path)
			return kc_error_no_memory();
	}
	KC_TRY(kc_dependencies_scan(ctx, tree->commands, tree->source_dir, cache_path, parallel,
				    &touched->dependencies));
	touched->n_dependencies = tree->commands->n_items;
	touched->n_commands = 0;
	return find_commands(tree, touched);
}

static struct kc_error *check_compiled(const struct kc_touched *touched)
{
	for (size_t i = 0; i < touched->n_files; i++) {
		const struct kc_touched_file *file = &touched->files[i];

		if (file->compiled || (file->created && !kc_path_is_compiled(file->path)))
			continue;
		if (file->created)
			return kc_error_new(KC_ERR_FIX,
					    "%s is a new source file, which no object is made from; "
					    "move its functions into an existing file",
					    file->name);
		return kc_error_new(KC_ERR_FIX,
				    "no object of the package is made from %s; if that is right, "
				    "remove the file from the fix",
				    file->name);
	}
	return NULL;
}

struct kc_error *kc_touched_apply(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_fix *const *fixes,
				  size_t n_fixes, struct kc_touched **touched)
{
	kc_autotouched struct kc_touched *new = calloc(1, sizeof(*new));

	if (!new)
		return kc_error_no_memory();
	KC_TRY(apply_fixes(ctx, tree, fixes, n_fixes, new));
	*touched = kc_steal(new);
	return NULL;
}

struct kc_error *kc_touched_select(struct kc_ctx *ctx, const struct kc_tree *tree, unsigned parallel, bool thorough,
				   struct kc_touched *touched)
{
	KC_TRY(find_commands(tree, touched));
	return find_including(ctx, tree, touched, parallel, thorough);
}

struct kc_error *kc_touched_find(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_fix *const *fixes,
				 size_t n_fixes, unsigned parallel, struct kc_touched **touched)
{
	kc_autotouched struct kc_touched *new = NULL;

	KC_TRY(kc_touched_apply(ctx, tree, fixes, n_fixes, &new));
	KC_TRY(kc_touched_select(ctx, tree, parallel, false, new));
	KC_TRY(check_compiled(new));
	*touched = kc_steal(new);
	return NULL;
}

static struct kc_error *add_parent(struct kc_overlay *overlay, const char *path)
{
	kc_autofree char *dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));

	return dir ? kc_overlay_add_dir(overlay, dir) : kc_error_no_memory();
}

struct kc_error *kc_touched_overlay(const struct kc_tree *tree, const struct kc_touched *touched,
				    struct kc_overlay *overlay)
{
	for (size_t i = 0; i < touched->n_commands; i++) {
		const struct kc_compile_command *command = touched->commands[i];
		char **dependencies =
			touched->dependencies ? touched->dependencies[command - tree->commands->items] : NULL;

		KC_TRY(kc_overlay_add_dir(overlay, command->dir));
		KC_TRY(add_parent(overlay, command->file));
		KC_TRY(kc_compile_add_dirs(command, overlay));
		for (; dependencies && *dependencies; dependencies++)
			KC_TRY(add_parent(overlay, *dependencies));
	}
	for (size_t i = 0; i < touched->n_files; i++) {
		kc_autobuf struct kc_buf text = { 0 };

		KC_TRY(kc_source_render(touched->files[i].source, &text));
		KC_TRY(kc_overlay_replace(overlay, touched->files[i].path, text.data ? text.data : "", text.size));
	}
	return NULL;
}

void kc_touched_free(struct kc_touched *touched)
{
	if (!touched)
		return;
	for (size_t i = 0; i < touched->n_files; i++) {
		kc_source_free(touched->files[i].source);
		free(touched->files[i].path);
	}
	free(touched->files);
	free(touched->commands);
	kc_dependencies_free(touched->dependencies, touched->n_dependencies);
	free(touched);
}
