/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whoever changes something on this host holds the one lock of the agent; whoever only looks does not need it. */
#ifndef KC_AGENT_LOCK_H
#define KC_AGENT_LOCK_H

#include "base/error.h"

enum { KC_AGENT_LOCK_WAIT_MS = 30000 };

/*
 * Checks that we are root (or KCARE_ROOT is set) and locks until `*fd` is closed. Another holder is waited for,
 * `wait_ms` at most: KC_ERR_LOCKED.
 */
struct kc_error *kc_agent_lock(unsigned wait_ms, int *fd);

#endif
