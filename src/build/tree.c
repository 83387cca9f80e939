/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/tree.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/prepare.h"

static struct kc_error *real_path(const char *what, const char *path, char **real)
{
	*real = realpath(path, NULL);
	return *real ? NULL : kc_error_errno(KC_ERR_INPUT, errno, "%s %s", what, path);
}

/* --elf FILE --source DIR --commands FILE: everything is there, and the source stays untouched. */
static struct kc_error *open_given(struct kc_ctx *ctx, const struct kc_build_user_request *request,
				   struct kc_tree *tree)
{
	const char *tmp = getenv("TMPDIR");

	tree->elf_paths = calloc(2, sizeof(*tree->elf_paths));
	tree->env = calloc(1, sizeof(*tree->env));
	if (!tree->elf_paths || !tree->env)
		return kc_error_no_memory();
	KC_TRY(real_path("the linked file", request->elf_path, &tree->elf_paths[0]));
	KC_TRY(real_path("the source folder", request->source_dir, &tree->source_dir));
	KC_TRY(real_path("the folder for temporary files", tmp ? tmp : "/tmp", &tree->scratch_dir));
	return kc_commands_load(ctx, request->commands_path, &tree->commands);
}

struct kc_error *kc_tree_open(struct kc_ctx *ctx, const struct kc_build_user_request *request, struct kc_tree **tree)
{
	kc_autotree struct kc_tree *new = calloc(1, sizeof(*new));

	if (!new)
		return kc_error_no_memory();
	new->lock_fd = -1;
	if (request->package && !request->elf_path)
		KC_TRY(kc_prepare(ctx, request, new));
	else if (!request->package && request->elf_path && request->source_dir && request->commands_path)
		KC_TRY(open_given(ctx, request, new));
	else
		return kc_error_new(KC_ERR_USAGE, "name either PACKAGE=VERSION or --elf, --source and --commands");
	if (!new->commands || !new->commands->n_items)
		return kc_error_new(KC_ERR_INPUT, "there are no compile commands for %s", new->source_dir);
	*tree = kc_steal(new);
	return NULL;
}

static void strings_free(char **strings)
{
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

void kc_tree_free(struct kc_tree *tree)
{
	if (!tree)
		return;
	kc_cleanup_fd(&tree->lock_fd);
	strings_free(tree->elf_paths);
	strings_free(tree->env);
	kc_commands_free(tree->commands);
	free(tree->source_dir);
	free(tree->cache_dir);
	free(tree->scratch_dir);
	free(tree->package);
	free(tree->version);
	free(tree);
}
