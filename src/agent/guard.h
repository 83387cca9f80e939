/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The crash guard. Before a patch is loaded a marker is on disk; it goes away when the load failed cleanly, and when
 * the host has been up for KC_GUARD_PROVED_S with the patch. A marker from another boot means that the host went down
 * with that level: it becomes a crash in the state, and automatic runs do not load the level again.
 */
#ifndef KC_AGENT_GUARD_H
#define KC_AGENT_GUARD_H

#include "agent/state.h"

enum { KC_GUARD_PROVED_S = 300 };

struct kc_loading {
	struct kc_level level; /* number 0: there is no marker */
	char boot_id[KC_BOOT_ID_SIZE];
	int64_t at;   /* Unix seconds */
	int64_t up_s; /* seconds since boot, time asleep included */
};

/* The marker is on disk when this returns. */
struct kc_error *kc_guard_begin(const struct kc_level *level);
/* After a load that failed and left the kernel as it was. */
struct kc_error *kc_guard_cancel(void);
struct kc_error *kc_guard_read(struct kc_loading *loading);
struct kc_error *kc_guard_parse(const char *name, const char *text, size_t size, struct kc_loading *loading);

/*
 * Brings marker and state up to date, in memory and on disk. `proved`: the administrator, or a clean shutdown, says
 * that the host is well: do not wait. `*wait_s`, if not NULL: seconds until the marker can go; 0: it is gone. The
 * caller holds the lock.
 */
struct kc_error *kc_guard_settle(struct kc_ctx *ctx, struct kc_state *state, bool proved, int64_t *wait_s);

/* This boot's id; for tests also the seconds since boot. */
struct kc_error *kc_boot_id_read(char boot_id[KC_BOOT_ID_SIZE]);
int64_t kc_up_seconds(void);

#endif
