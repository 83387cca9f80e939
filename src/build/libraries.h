/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The libraries that a linked file needs, for imports that a fix adds: looked for beside the file, in its package, then
 * on this host. Only names and symbol versions are taken from them, never addresses, so the host's libc stands for the
 * target's as long as both know the symbol; the patcher checks name and version again in the process.
 */
#ifndef KC_BUILD_LIBRARIES_H
#define KC_BUILD_LIBRARIES_H

#include "elf/elf_file.h"

struct kc_libraries {
	struct kc_elf **items; /* in the loader's order: breadth first */
	size_t n_items;
};

/* `elf_paths`: other files of the same package. A library that is nowhere is left out, with a message. */
struct kc_error *kc_libraries_find(struct kc_ctx *ctx, const struct kc_elf *linked, char *const *elf_paths,
				   struct kc_libraries *libraries);
void kc_libraries_clear(struct kc_libraries *libraries);

#define kc_autolibraries KC_CLEANUP(kc_libraries_clear)

#endif
