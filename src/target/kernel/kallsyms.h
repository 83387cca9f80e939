/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kallsyms tables inside a kernel image: names and addresses of all its symbols, local ones too. The image is
 * stripped, so the tables are found by what they look like.
 */
#ifndef KC_TARGET_KERNEL_KALLSYMS_H
#define KC_TARGET_KERNEL_KALLSYMS_H

#include "target/kernel/kernel_object.h"

/*
 * `data` is a vmlinux, of which only the bytes are looked at. `*symbols` (caller frees) are in the order of the tables,
 * which is by address; their names are in `names`. KC_ERR_INPUT when there are no such tables.
 */
struct kc_error *kc_kallsyms_read(const char *name, const uint8_t *data, size_t size, struct kc_buf *names,
				  struct kc_kernel_symbol **symbols, size_t *n_symbols);

#endif
