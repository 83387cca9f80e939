/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of cxx.cc, which is linked into a program or into a library. */
#ifndef TARGETS_CXX_H
#define TARGETS_CXX_H

/* Calls `callback(x)`; an exception flies through. Counts scopes that were left in `*left`. */
long cxx_through(long (*callback)(long), long x, long *left);
/* Catches what `callback` throws, and answers what it carried. */
long cxx_catch(long (*callback)(long), long x);
/* Throws by itself. */
long cxx_throw(long x);
/* Through a vtable. */
long cxx_virtual(long x);

#endif
