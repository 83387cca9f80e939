/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configured source tree, the linked files that were made from it, and how: what a fix is built against. It comes
 * from --elf, --source and --commands, or from a Debian package (build/prepare.h).
 */
#ifndef KC_BUILD_TREE_H
#define KC_BUILD_TREE_H

#include "build/commands.h"
#include "build/user.h"

struct kc_recipe;
struct kc_kernel_tree;

struct kc_tree {
	char *source_dir;	 /* absolute; the paths of fixes are relative to it */
	char *cache_dir;	 /* of the prepared package, or NULL: nothing is kept */
	char *scratch_dir;	 /* exists; for temporary folders */
	char *package, *version; /* NULL with --elf */
	struct kc_commands *commands;
	char **elf_paths;		/* NULL-terminated */
	char **env;			/* extra environment of the compiler, NULL-terminated */
	const struct kc_recipe *recipe; /* NULL with --elf */
	/* Kernels: what prepared it, else NULL. Its own build makes the plain objects; `commands` are only candidates.
	 */
	const struct kc_kernel_tree *kernel;
	int lock_fd; /* held while the tree is in use; -1: none */
};

struct kc_error *kc_tree_open(struct kc_ctx *ctx, const struct kc_build_user_request *request, struct kc_tree **tree);
void kc_tree_free(struct kc_tree *tree);
/*
 * Lets the package's own build make one object, with the headers that are generated for it. KC_ERR_NOT_FOUND when
 * there is no such way.
 */
struct kc_error *kc_tree_make_object(struct kc_ctx *ctx, const struct kc_tree *tree,
				     const struct kc_compile_command *command);

KC_DEFINE_CLEANUP(kc_cleanup_tree, struct kc_tree *, kc_tree_free)
#define kc_autotree KC_CLEANUP(kc_cleanup_tree)

#endif
