/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fixes touch: the changed source files, in memory and in an overlay, and the objects to compile again.
 */
#ifndef KC_BUILD_TOUCHED_H
#define KC_BUILD_TOUCHED_H

#include "build/apply_fix.h"
#include "build/overlay.h"
#include "build/tree.h"

struct kc_touched_file {
	char *path;	  /* absolute, without "." and ".." */
	const char *name; /* relative to the source folder; in `path` */
	bool created;
	struct kc_source *source;
	bool compiled; /* some object includes it … */
	bool proved;   /* … and lies in a linked file */
};

struct kc_touched {
	struct kc_touched_file *files;
	size_t n_files;
	const struct kc_compile_command **commands; /* of the objects to compile again, in the tree */
	size_t n_commands;
	char ***dependencies; /* per command of the tree; NULL unless a header is touched */
	size_t n_dependencies;
};

/* Applies all fixes, in order; finds no objects yet. The fixes must outlive the result. */
struct kc_error *kc_touched_apply(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_fix *const *fixes,
				  size_t n_fixes, struct kc_touched **touched);
/*
 * Finds the objects of tree->commands that read the touched files. The preprocessor is asked about all of them when a
 * touched file is no source of its own, or when `thorough`: a source may be included by another one, too.
 */
struct kc_error *kc_touched_select(struct kc_ctx *ctx, const struct kc_tree *tree, unsigned parallel, bool thorough,
				   struct kc_touched *touched);
/* Both, and every touched file must be part of some object. */
struct kc_error *kc_touched_find(struct kc_ctx *ctx, const struct kc_tree *tree, struct kc_fix *const *fixes,
				 size_t n_fixes, unsigned parallel, struct kc_touched **touched);
/* Fills the overlay so that every command of `touched` can be compiled in it. */
struct kc_error *kc_touched_overlay(const struct kc_tree *tree, const struct kc_touched *touched,
				    struct kc_overlay *overlay);
/* Does the object of this command (an index into tree->commands) read `file`? */
bool kc_touched_reads(const struct kc_tree *tree, const struct kc_touched *touched,
		      const struct kc_compile_command *command, const struct kc_touched_file *file);
void kc_touched_free(struct kc_touched *touched);

KC_DEFINE_CLEANUP(kc_cleanup_touched, struct kc_touched *, kc_touched_free)
#define kc_autotouched KC_CLEANUP(kc_cleanup_touched)

#endif
