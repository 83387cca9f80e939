/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How kcare-fetch locks itself in before it talks to anybody. */
#ifndef KC_FETCH_SANDBOX_H
#define KC_FETCH_SANDBOX_H

#include "base/error.h"

#define KC_FETCH_USER "_kcare" /* or nobody, where there is no such user */

/*
 * For good: no open file but 0 to 2, no privilege and no way back to one, the end of the process with that of its
 * parent, limits on memory and files, and a system call filter. Without privileges already (tests), the user stays.
 */
struct kc_error *kc_sandbox_enter(void);

#endif
