/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP, over libmicrohttpd: listeners (an address, and a Unix socket), TLS, limits, routes. It knows nothing of
 * patches.
 *
 * A handler gets a complete request, and answers it exactly once: before it returns, or later from any thread (until
 * then the connection is suspended). The request is valid until it is answered.
 *
 * Limits: 16 KiB of headers, a body as the route says, 30 s without progress, connections in all and per address
 * (those of trusted proxies are counted by the address that they name). What is over a limit gets 413, 431, 429 or 503.
 */
#ifndef KC_PORTAL_HTTP_SERVER_H
#define KC_PORTAL_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/ctx.h"

struct kc_http_server;
struct kc_http_request;

enum {
	KC_HTTP_HEADERS_MAX = 16 << 10,
	KC_HTTP_STALL_S = 30,
	KC_HTTP_ADDRESS_SIZE = 46, /* INET6_ADDRSTRLEN */
	KC_HTTP_PATH_PARTS = 4,
};

/* ---- requests ---- */

const char *kc_http_method(const struct kc_http_request *request); /* "GET" */
const char *kc_http_path(const struct kc_http_request *request);   /* decoded, without the query: "/admin/api/keys/" */
/* What a '*' of the route's path stands for, the first one is 0; "" when there is none. Never has a '/'. */
const char *kc_http_path_part(const struct kc_http_request *request, unsigned index);
/* NULL: not there. The first one, when it is there twice. */
const char *kc_http_query(const struct kc_http_request *request, const char *name);
/* Each value of a parameter that may come several times, in order. */
void kc_http_query_each(const struct kc_http_request *request, const char *name,
			void (*each)(void *data, const char *value), void *data);
const char *kc_http_header(const struct kc_http_request *request, const char *name); /* NULL: not there */
const char *kc_http_body(const struct kc_http_request *request, size_t *size);	     /* "" when empty */
/* Of routes that spool: where the body lies; removed with the request unless somebody renamed it. */
const char *kc_http_body_path(const struct kc_http_request *request);
/* The client's: what a trusted proxy says in X-Forwarded-For, else the peer's. "local" through the socket. */
const char *kc_http_address(const struct kc_http_request *request);
/* Through the socket, by root or by the portal's own user. */
bool kc_http_is_local(const struct kc_http_request *request);

/* ---- answers ---- */

struct kc_http_answer {
	unsigned status;	   /* 0: 200 */
	const char *content_type;  /* NULL: application/json; a text that stays */
	const char *headers[8][2]; /* name, value; up to the first NULL; values are copied */
	struct kc_buf body;	   /* taken over */
	int fd;			   /* instead of the body, when it is > 0: a file, sent by sendfile(2); taken over */
	uint64_t offset, size;	   /* of it */
};
/* `answer` is empty afterwards, whatever happens. */
void kc_http_reply(struct kc_http_request *request, struct kc_http_answer *answer);
/* {"error", "message"} with the status of its kind (proto/proto.h); takes `err`. Logs those that are our own fault. */
void kc_http_reply_error(struct kc_http_request *request, struct kc_error *err);

/* ---- routes ---- */

enum kc_http_role { /* who may; auth.h finds out who asks */
		    KC_HTTP_EVERYBODY,
		    KC_HTTP_AGENT,    /* tells who it is in its body: the handler checks that */
		    KC_HTTP_READONLY, /* a user or an API key */
		    KC_HTTP_ADMIN,
		    KC_HTTP_LOCAL, /* only through the socket */
};

struct kc_http_route {
	const char *method;
	const char *path; /* "/admin/api/keys/" and "*" for one part: "/admin/api/keys/" "*"; a '/' at the end is as
			     good as none */
	enum kc_http_role role;
	uint64_t body_max;
	bool spools; /* the body goes to a file */
	void (*handle)(void *data, struct kc_http_request *request);
};

/* ---- the server ---- */

struct kc_http_options {
	const char *listen; /* "127.0.0.1:8142", "[::1]:0"; "": none */
	const char *socket; /* path of a Unix socket, or NULL */
	const char *tls_certificate, *tls_key;
	const char *trusted_proxies; /* networks, separated by commas or blanks */
	const char *spool_dir;
	unsigned threads, connections;
	const struct kc_http_route *routes;
	size_t n_routes;
	/* What no route knows: static files. NULL: 404. */
	void (*fallback)(void *data, struct kc_http_request *request);
	/* Before the handler of a route that is not for everybody; an error is the answer. */
	struct kc_error *(*admit)(void *data, struct kc_http_request *request, enum kc_http_role role);
	/* After each answer: for logs and metrics. */
	void (*answered)(void *data, const struct kc_http_request *request, unsigned status, uint64_t duration_us,
			 uint64_t n_bytes);
	void *data; /* of all of them */
};

struct kc_error *kc_http_server_start(struct kc_ctx *ctx, const struct kc_http_options *options,
				      struct kc_http_server **server);
/* The port it listens at, for options.listen with port 0. */
uint16_t kc_http_server_port(const struct kc_http_server *server);
/* Certificate and key again; on failure the old ones stay. */
struct kc_error *kc_http_server_reload(struct kc_ctx *ctx, struct kc_http_server *server);
/* Takes no more connections, finishes what is under way, and frees it. */
void kc_http_server_stop(struct kc_http_server *server);

#endif
