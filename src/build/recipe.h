/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the source of a Debian package is configured without being built, and where its compile commands come from. One
 * recipe fits every package that debhelper configures; packages that need something else have a line in a table.
 */
#ifndef KC_BUILD_RECIPE_H
#define KC_BUILD_RECIPE_H

#include "build/tree.h"

/* Never NULL. */
const struct kc_recipe *kc_recipe_find(const char *source_name);
/* Appends the build dependencies that are not installed, a space before each. */
struct kc_error *kc_recipe_find_missing(const struct kc_recipe *recipe, const char *source_dir, struct kc_buf *missing);
/* Configures tree->source_dir, makes what is generated for all, and fills tree->commands. */
struct kc_error *kc_recipe_configure(struct kc_ctx *ctx, struct kc_tree *tree, unsigned parallel);

#endif
