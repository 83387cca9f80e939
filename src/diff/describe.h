/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types of the debug information as text, so that two of them can be compared and shown. Used by layout.c only. */
#ifndef KC_DIFF_DESCRIBE_H
#define KC_DIFF_DESCRIBE_H

#include "base/buf.h"
#include "diff/dwarf_internal.h"

/* Appends "struct foo *", "int[10]", "int (char *, ...)". Typedefs, const and volatile do not show. */
void diff_describe_type(struct kc_buf *out, Dwarf_Die *type);
/* Appends what differs in the layout of two types of the same name; nothing when they are equal. */
void diff_describe_difference(struct kc_buf *out, Dwarf_Die *orig, Dwarf_Die *patched);
/* True for `typedef struct { … } foo`; `*type` is then the struct. */
bool diff_is_typedef_of_anonymous(Dwarf_Die *typedef_die, Dwarf_Die *type);

#endif
