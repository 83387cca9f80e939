/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed kernel images and modules as plain bytes. zstd through its library; xz, gzip and lz4, which nothing else
 * here needs, through their programs.
 */
#ifndef KC_TARGET_KERNEL_UNPACK_H
#define KC_TARGET_KERNEL_UNPACK_H

#include "base/buf.h"
#include "base/ctx.h"

/* No kernel image or module is larger when unpacked. */
#define KC_UNPACK_LIMIT (1UL << 30)

/* Appends the unpacked bytes to `out`, or the bytes as they are when they are an ELF file. `name` is for messages. */
struct kc_error *kc_unpack(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_buf *out);
/*
 * The payload of a bzImage, up to the size that the kernel's build appends to it. KC_ERR_INPUT when `data` is no such
 * thing.
 */
struct kc_error *kc_unpack_bzimage(struct kc_ctx *ctx, const char *name, const uint8_t *data, size_t size,
				   struct kc_buf *out);

#endif
