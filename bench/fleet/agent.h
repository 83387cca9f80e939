/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an agent says: the requests that kcarectl makes, by the messages of proto/proto.h. */
#ifndef KC_BENCH_FLEET_AGENT_H
#define KC_BENCH_FLEET_AGENT_H

#include "link.h"
#include "proto/proto.h"

struct agent {
	struct kc_credentials credentials;
	char nonce[KC_NONCE_SIZE]; /* of the next check-in */
};

/* One request of a run, in order. */
struct agent_step {
	enum agent_request { AGENT_GET, AGENT_REGISTER, AGENT_CHECKIN } request;
	const char *path;    /* of AGENT_GET */
	unsigned status;     /* of the answer; another one is a failure */
	bool is_on_new_link; /* the connection of before is closed */
};

struct agent_script {
	const char *name;
	const struct agent_step *steps;
	size_t n_steps;
};

/* "kcarectl --register KEY", and "kcarectl --auto-update" on a host that is up to date; NULL: no such script. */
const struct agent_script *agent_script(const char *name);

/* The request of agent number `index` into link->out. False: it cannot be made. */
bool agent_ask(const struct agent *agent, size_t index, const struct agent_step *step, const char *host,
	       const char *key, struct link *link);
/* Takes what the agent has to remember out of the answer. False: it is not what a portal answers. */
bool agent_take(struct agent *agent, const struct agent_step *step, const struct link *link);
/* 127.0.0.0/8 has one for each: a fleet does not come from one address, and has more ports than that. */
struct in_addr agent_address(size_t index);

#endif
