/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kernel_image.c and kernel_module.c share with kernel_object.c; for nobody else but fuzzers. */
#ifndef KC_TARGET_KERNEL_KERNEL_OBJECT_INTERNAL_H
#define KC_TARGET_KERNEL_KERNEL_OBJECT_INTERNAL_H

#include "target/kernel/kernel_object.h"

/* Reads a whole file, compressed as it is. */
struct kc_error *kc_kernel_file_read(const char *path, struct kc_buf *content);
/* Takes the unpacked module out of `data`. */
struct kc_error *kc_kernel_module_parse(struct kc_ctx *ctx, const char *path, struct kc_buf *data,
					struct kc_kernel_object **object);
/* Once all symbols are there: look-ups by name, is_unique, and sympos where all symbols count. */
struct kc_error *kc_kernel_object_index(struct kc_kernel_object *object);
/* As kc_kernel_symbol_find(), of symbols that may be changed. */
struct kc_kernel_symbol *kc_kernel_object_find(const struct kc_kernel_object *object, const char *name);
struct kc_kernel_symbol *kc_kernel_object_next(const struct kc_kernel_object *object,
					       const struct kc_kernel_symbol *symbol);

#endif
