/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The question of one run to the patch server: what should this kernel run? What it answers is remembered before
 * anything is done with it; what is to be run is in the cache then. Private to this room.
 */
#ifndef KC_AGENT_ASK_H
#define KC_AGENT_ASK_H

#include "agent/agent.h"

struct kc_ask {
	bool is_automatic; /* AUTO_ keys count, and levels that the host went down with are left out */
	bool is_patient;   /* retries */
	bool only_look;	   /* downloads no patch */
	const struct kc_update_options *options; /* for notices; may be NULL */
};

struct kc_asked {
	struct kc_level level; /* now in the cache, unless it was only a look; number 0: none */
	bool was_downloaded;
};

/* Changes state->checked and writes the state. `state` must know the running kernel. */
struct kc_error *kc_ask_server(struct kc_ctx *ctx, const struct kc_config *config, const struct kc_ask *ask,
			       struct kc_state *state, struct kc_asked *asked);
/* By which local choice `state` was checked last: "ROOT/FEED type=default" (caller frees); NULL: out of memory. */
char *kc_checked_origin(const struct kc_checked *checked);

#endif
