/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is connected, and since when it is doing what: counts connections, in all and per address, and cuts off those
 * that are too slow. For http/ only. A connection that is over a limit is still taken, so that it can be told; at twice
 * the limit it is not.
 */
#ifndef KC_PORTAL_HTTP_CONNECTIONS_H
#define KC_PORTAL_HTTP_CONNECTIONS_H

#include <pthread.h>
#include <stdatomic.h>

#include "portal/http/address.h"

enum kc_http_phase {
	KC_HTTP_WAITING,   /* for the headers of a request */
	KC_HTTP_RECEIVING, /* its body */
	KC_HTTP_HANDLING,  /* we are at work */
	KC_HTTP_SENDING,   /* the answer */
};

struct kc_http_connections;
struct kc_http_counted;

struct kc_http_connection {
	struct kc_http_connections *table;
	struct kc_http_connection *previous, *next;
	struct kc_http_counted *counted; /* its address; NULL: it is not limited */
	void *owner;			 /* of the table's maker */
	int fd;
	bool is_trusted; /* a proxy whose word counts */
	bool is_socket;
	bool is_local; /* through the socket, by root or by our own user */
	bool is_over, is_over_address;
	char address[KC_ADDRESS_TEXT_SIZE];
	atomic_int phase;
	atomic_int_fast64_t since_ms;
	atomic_uint_fast64_t n_bytes;
};

enum { KC_HTTP_BUCKETS = 4096 };

struct kc_http_connections {
	pthread_mutex_t lock;
	struct kc_http_connection *first;
	unsigned n, most, most_per_address;
	int64_t stall_ms;
	struct kc_http_counted *buckets[KC_HTTP_BUCKETS];
};

void kc_http_connections_init(struct kc_http_connections *table, unsigned most, unsigned most_per_address,
			      int64_t stall_ms);
/* All connections must be closed. */
void kc_http_connections_clear(struct kc_http_connections *table);

/* Before one is taken: false when that would be far too many. Trusted proxies and loopback are not counted. */
bool kc_http_connections_admit(struct kc_http_connections *table, const struct kc_address *address, bool is_counted);
/* NULL when out of memory. Fills in what is about counting; the caller the rest. */
struct kc_http_connection *kc_http_connection_open(struct kc_http_connections *table, int fd,
						   const struct kc_address *address, bool is_counted);
void kc_http_connection_close(struct kc_http_connection *connection);
/* `n_bytes`: how much has arrived, or how much is to be sent. */
void kc_http_connection_enter(struct kc_http_connection *connection, enum kc_http_phase phase, uint64_t n_bytes);
/* Cuts off those that are too slow. */
void kc_http_connections_sweep(struct kc_http_connections *table);

/* One more request from an address that a proxy names; NULL in `*counted` when it has too many at a time, or no memory.
 */
bool kc_http_count_enter(struct kc_http_connections *table, const struct kc_address *address,
			 struct kc_http_counted **counted);
void kc_http_count_leave(struct kc_http_connections *table, struct kc_http_counted *counted);

#endif
