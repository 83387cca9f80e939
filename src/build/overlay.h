/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A view of a source tree in which some files are replaced, made without touching the tree and without privileges: a
 * folder that repeats the absolute paths of the tree, with real folders where the compiler walks (so that ".." stays
 * inside) and symbolic links for everything else. Only the links' names count for the compiler, so #include finds the
 * replaced files, and relative names, __FILE__ and debug paths stay what they were.
 */
#ifndef KC_BUILD_OVERLAY_H
#define KC_BUILD_OVERLAY_H

#include "base/error.h"

struct kc_overlay;

/* `dir`: an absolute path; made if it is missing, and left to the caller to remove. */
struct kc_error *kc_overlay_new(const char *dir, struct kc_overlay **overlay);
void kc_overlay_free(struct kc_overlay *overlay);

/* Makes the absolute `path` a real folder of the overlay, with links to all its entries. */
struct kc_error *kc_overlay_add_dir(struct kc_overlay *overlay, const char *path);
/* Puts `text` in the place of the file at the absolute `path`, which need not exist. */
struct kc_error *kc_overlay_replace(struct kc_overlay *overlay, const char *path, const char *text, size_t size);
/* The overlay's folder. The overlay's name of an absolute path is this followed by the path. */
const char *kc_overlay_dir(const struct kc_overlay *overlay);

KC_DEFINE_CLEANUP(kc_cleanup_overlay, struct kc_overlay *, kc_overlay_free)
#define kc_autooverlay KC_CLEANUP(kc_cleanup_overlay)

#endif
