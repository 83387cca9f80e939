/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who this host is to the portal: /etc/sysconfig/kcare/systemid, KEY=VALUE lines, of which other tools read server_id=.
 * It changes only when the host registers; what changes with every answer is in agent/portal_state.h. Mode 0600: the
 * secret is in it.
 */
#ifndef KC_AGENT_IDENTITY_H
#define KC_AGENT_IDENTITY_H

#include "proto/proto.h"
#include "sign/hash.h"

struct kc_identity {
	struct kc_credentials credentials; /* server_id "": not registered */
	char *key;			   /* licence key; never NULL after reading */
	char instance[KC_SERVER_ID_SIZE];  /* "", or what tells this host from others with its machine id */
	char machine[KC_SHA256_TEXT_SIZE]; /* kc_machine_id() where it registered */
	/* what was begun, so that a run that is cut off leaves nothing behind at the portal */
	char next_instance[KC_SERVER_ID_SIZE]; /* "", or the one that it is about to register with */
	struct kc_credentials former;	       /* server_id "", or of the entry with another key, to be removed */
};

/* Without a file, or with one that has no secret of ours: not registered. KC_ERR_CORRUPT: register again. */
struct kc_error *kc_identity_read(struct kc_identity *identity);
struct kc_error *kc_identity_parse(const char *name, const char *text, size_t size, struct kc_identity *identity);
/*
 * Atomically; the caller holds the agent's lock, as for removing it. What a run that was killed left is removed.
 * Whether it would work is asked before: an id that the portal gave must not be lost.
 */
struct kc_error *kc_identity_write(const struct kc_identity *identity);
struct kc_error *kc_identity_check_writable(void);
struct kc_error *kc_identity_remove(void);
bool kc_identity_is_registered(const struct kc_identity *identity);
/* Where there is one, it is the instance from now on. */
void kc_identity_take_next_instance(struct kc_identity *identity);
void kc_identity_clear(struct kc_identity *identity); /* wipes it */

/*
 * A hash that stands for /etc/machine-id, which is nobody's business; of the host's name where there is none. It also
 * decides about rollouts, so that the portal can tell what this host is offered.
 */
struct kc_error *kc_machine_id(char id[KC_SHA256_TEXT_SIZE]);

#define KC_CLEANUP_IDENTITY KC_CLEANUP(kc_identity_clear)

#endif
