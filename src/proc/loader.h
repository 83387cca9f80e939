/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has the dynamic loader finished with an object? A mapping event comes when the loader has only begun: the list of
 * objects is incomplete, nothing is relocated. Judged from outside, with a few reads:
 *   - the loader's r_debug says RT_CONSISTENT (glibc sets it at program start after relocating, in dlopen before), and
 *   - the object's RELRO pages are read-only, which the loader makes them when it has relocated the object.
 */
#ifndef KC_PROC_LOADER_H
#define KC_PROC_LOADER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/ctx.h"

enum kc_loader_state {
	KC_LOADER_BUSY,	    /* not yet: look again */
	KC_LOADER_PROBABLY, /* consistent, but the object has no RELRO pages that would prove it: look twice */
	KC_LOADER_DONE,
};

/* `addr` lies in the object. KC_ERR_NO_PROCESS, KC_ERR_PERMISSION; KC_ERR_NOTHING: `addr` is not mapped any more. */
struct kc_error *kc_loader_look(struct kc_ctx *ctx, pid_t pid, uint64_t addr, enum kc_loader_state *state);

#endif
