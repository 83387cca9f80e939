/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of content.c, which is linked into a program or into a library. */
#ifndef TARGETS_CONTENT_H
#define TARGETS_CONTENT_H

long content_value(long x);
long content_new_function(long x);
long content_new_global(long x);
long content_references(long x);
long content_peek(void);
long content_import(long x);
long content_import_data(long x);
long content_import_ifunc(long x);
long content_import_float(long x);
long content_own_ifunc(long x);
long content_tls(long x);
long content_tls_peek(void);
long content_jump_table(long x);
long content_static_local(long x);
long content_literals(long x);
long content_recursion(long n);
long content_edge(long x);
long content_through_pointer(long x);
void content_arm(long x);
long content_fire(long x);

#endif
