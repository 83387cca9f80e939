/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host and its portal know of each other beside its identity, portal.json: the nonce of the next check-in,
 * the terms of the key, and what the last runs ended with. It can be lost: the portal tells again. No secrets in it.
 */
#ifndef KC_AGENT_PORTAL_STATE_H
#define KC_AGENT_PORTAL_STATE_H

#include "proto/proto.h"

enum kc_run_kind { KC_RUN_KERNEL, KC_RUN_USERSPACE, KC_N_RUN_KINDS };

struct kc_portal_state {
	int64_t answered_at;		   /* Unix seconds; 0: the portal has told nothing yet */
	char server_id[KC_SERVER_ID_SIZE]; /* whom it was told; "": an older agent wrote it */
	struct kc_checkin_answer answer;
	char *errors[KC_N_RUN_KINDS];	 /* of the last runs; NULL: they were fine */
	uint32_t n_processes, n_patched; /* of the last run for processes */
};

/* One that is missing or damaged is empty. */
struct kc_error *kc_portal_state_read(struct kc_portal_state *state);
struct kc_error *kc_portal_state_parse(const char *text, size_t size, struct kc_portal_state *state);
struct kc_error *kc_portal_state_write(const struct kc_portal_state *state);
/* This host has no portal any more. */
struct kc_error *kc_portal_state_remove(void);
void kc_portal_state_clear(struct kc_portal_state *state);

#define KC_CLEANUP_PORTAL_STATE KC_CLEANUP(kc_portal_state_clear)

#endif
