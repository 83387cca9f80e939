/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects that the fixes touch, compiled three times and parsed: plain for the proof, original and patched for the
 * difference.
 */
#ifndef KC_BUILD_OBJECTS_H
#define KC_BUILD_OBJECTS_H

#include "base/buf.h"
#include "build/overlay.h"
#include "build/touched.h"
#include "elf/elf_file.h"

struct kc_object {
	const struct kc_compile_command *command;
	const char *name;			   /* the source's path, relative to the source folder; for messages */
	struct kc_elf *plain, *original, *patched; /* named as the object is */
	struct kc_buf files[3];			   /* their bytes */
};

struct kc_objects {
	struct kc_object *items;
	size_t n_items;
};

/*
 * `work_dir` is a folder for the files. The plain objects of kernels are not made: see kc_object_read_plain().
 */
struct kc_error *kc_objects_make(struct kc_ctx *ctx, const struct kc_tree *tree, const struct kc_touched *touched,
				 const char *work_dir, unsigned parallel, struct kc_objects **objects);
/* Reads the plain object from a file that the tree's own build has made. */
struct kc_error *kc_object_read_plain(struct kc_ctx *ctx, struct kc_object *object, const char *path);
void kc_object_clear(struct kc_object *object);
void kc_objects_free(struct kc_objects *objects);

KC_DEFINE_CLEANUP(kc_cleanup_objects, struct kc_objects *, kc_objects_free)
#define kc_autoobjects KC_CLEANUP(kc_cleanup_objects)

#endif
