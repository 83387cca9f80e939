/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the #include lines of a whole kernel source and of what it has generated; nothing is preprocessed. The answer
 * is text, which kernel_includes.c keeps in a file:
 *	FILES NAMES INCLUSIONS
 *	a line for each file, sorted: its path below the folder of source or of objects
 *	a line for each name that is included, by its last part: a mark, the name, and after a tab the numbers of the
 *	files that include it, separated by spaces
 */
#ifndef KC_BUILD_KERNEL_INCLUDE_LINES_H
#define KC_BUILD_KERNEL_INCLUDE_LINES_H

#include "build/kernel_tree.h"

/* How a name is looked up; its first character. */
enum kc_include_mark {
	KC_INCLUDE_QUOTED = '"',
	KC_INCLUDE_ANGLED = '<',
	KC_INCLUDE_ANYWHERE = '*', /* #include_next, and names that macros stand for */
	KC_INCLUDE_EXACT = '=',	   /* -include on the command line: a whole path */
};

struct kc_error *kc_kernel_include_lines(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, struct kc_buf *text);

/* The part of an absolute path below the folder of source or of objects; NULL: elsewhere. */
const char *kc_kernel_relative_path(const struct kc_kernel_tree *tree, const char *path);
/* "linux/sched.h" with its mark: "sched.h". */
const char *kc_include_last_part(const char *name);

#endif
