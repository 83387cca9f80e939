/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to a server, HTTP/1.1 with or without TLS, that never blocks: who holds it waits for its descriptor
 * (edge-triggered) and calls link_step(). One request at a time; the connection stays open for the next one.
 */
#ifndef KC_BENCH_FLEET_LINK_H
#define KC_BENCH_FLEET_LINK_H

#include <netinet/in.h>
#include <openssl/ssl.h>

#include "base/buf.h"

enum link_state {
	LINK_CONNECTING, /* and shaking hands */
	LINK_IDLE,	 /* connected; there is no request */
	LINK_ASKING,
	LINK_ANSWERED, /* status, body and body_size say what; until the next request */
	LINK_FAILED,   /* `why` says what */
};

struct link {
	int fd;
	SSL *ssl; /* NULL: no TLS */
	enum link_state state;
	bool is_connected;
	struct kc_buf out, in;
	size_t n_sent;
	unsigned status;
	const char *body;
	size_t body_size;
	const char *why;
};

/* Begins to connect, from the address `from` of this host; `tls` NULL: without TLS. False: `why` says why. */
bool link_open(struct link *link, const struct sockaddr_in *to, struct in_addr from, SSL_CTX *tls, const char *name);
/* What is in `out` is sent as a request, by the next steps. */
void link_ask(struct link *link);
/* As far as it goes without waiting. */
void link_step(struct link *link);
void link_close(struct link *link);

#endif
