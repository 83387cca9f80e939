/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP, over libmicrohttpd: listeners (an address, and a Unix socket), TLS, limits, routes. It knows nothing of
 * patches.
 *
 * A handler gets a complete request, and answers it exactly once: before it returns, or later from any thread (until
 * then the connection is suspended). The request is valid until it is answered.
 *
 * Limits: 16 KiB of headers, a body as the route says, few large bodies and answers in memory at a time, 30 s without
 * progress, one minute for the headers, 1 kB/s for a body or an answer that takes longer, connections in all and per
 * address (behind a trusted proxy: requests at a time, by the address that it names). What is over a limit gets 413,
 * 431, 429 or 503; what is far over it, or too slow, is cut off, and so is who names some 400 headers and parameters of
 * a query: libmicrohttpd has no memory for them, and none for an answer. Requests that are not HTTP at all are answered
 * by libmicrohttpd, with its own text.
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
	KC_HTTP_PATH_PARTS = 4,
	KC_HTTP_USER_SIZE = 65,
};

/* ---- requests ---- */

const char *kc_http_method(const struct kc_http_request *request); /* "GET" */
/* Decoded, without the query: "/admin/api/keys/". Begins with '/', is a text (kc_text_problem()). */
const char *kc_http_path(const struct kc_http_request *request);
/* For logs: of what agents ask the route's own, since the rest may be an activation key. */
const char *kc_http_path_to_log(const struct kc_http_request *request);
/* What a '*' of the route's path stands for, the first one is 0; "" when there is none. Never has a '/'. */
const char *kc_http_path_part(const struct kc_http_request *request, unsigned index);
/* NULL: not there. The first one, when it is there twice. */
const char *kc_http_query(const struct kc_http_request *request, const char *name);
/* Each value of a parameter that may come several times, in order. */
void kc_http_query_each(const struct kc_http_request *request, const char *name,
			void (*each)(void *data, const char *value), void *data);
const char *kc_http_header(const struct kc_http_request *request, const char *name); /* NULL: not there */
const char *kc_http_body(const struct kc_http_request *request, size_t *size);	     /* "" when empty */
/*
 * Of routes that spool: where the body lies; removed with the request unless somebody renamed it. NULL when the body is
 * empty.
 */
const char *kc_http_body_path(const struct kc_http_request *request);
/* The client's: what a trusted proxy says in X-Forwarded-For, else the peer's. "local" through the socket. */
const char *kc_http_address(const struct kc_http_request *request);
/* Through the socket, by root or by the portal's own user. */
bool kc_http_is_local(const struct kc_http_request *request);
/* With our own TLS. */
bool kc_http_is_tls(const struct kc_http_request *request);
/* Of "Authorization: Basic": allocated, or both NULL. */
void kc_http_basic(const struct kc_http_request *request, char **name, char **password);
/* Who asks, as `admit` found out: a user's name, "local", or "" for routes that nobody has to be admitted to. */
const char *kc_http_user(const struct kc_http_request *request);
bool kc_http_user_is_admin(const struct kc_http_request *request);
void kc_http_set_user(struct kc_http_request *request, const char *name, bool is_admin);
/* NULL: none; the fallback answers. */
const struct kc_http_route *kc_http_route_of(const struct kc_http_request *request);

/* ---- answers ---- */

struct kc_http_answer {
	unsigned status;	   /* 0: 200 */
	const char *content_type;  /* NULL: application/json; a text that stays */
	const char *headers[8][2]; /* name, value; up to the first NULL; copied. Without Cache-Control: no-store */
	struct kc_buf body;	   /* taken over */
	int fd;			   /* instead of the body, when it is > 0: a file, sent by sendfile(2); taken over */
	uint64_t offset, size;	   /* of it */
	bool maps;		   /* all of it, by a mapping: not for TLS; nobody may cut it short */
	bool by_tls;		   /* it is read, not sent by sendfile(2) */
};
/* `answer` is empty afterwards, whatever happens. */
void kc_http_reply(struct kc_http_request *request, struct kc_http_answer *answer);
/*
 * {"error", "message"} with the status of its kind (proto/proto.h); takes `err`. Those that are our own fault are
 * logged; who was not admitted learns nothing but their kind.
 */
void kc_http_reply_error(struct kc_http_request *request, struct kc_error *err);

/* An answer that is made once, and given often, by several threads at a time. */
struct kc_http_prepared;
/* `answer` is empty afterwards, whatever happens. */
struct kc_error *kc_http_prepare(struct kc_http_answer *answer, struct kc_http_prepared **prepared);
void kc_http_reply_prepared(struct kc_http_request *request, struct kc_http_prepared *prepared);
/* Answers that are on their way are not harmed. */
void kc_http_prepared_free(struct kc_http_prepared *prepared);

KC_DEFINE_CLEANUP(kc_cleanup_prepared, struct kc_http_prepared *, kc_http_prepared_free)
#define kc_autoprepared KC_CLEANUP(kc_cleanup_prepared)

/* ---- routes ---- */

enum kc_http_role { /* who may; auth.h finds out who asks */
		    KC_HTTP_EVERYBODY,
		    KC_HTTP_AGENT,    /* tells who it is in its body: the handler checks that; nobody is admitted */
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
	unsigned threads, connections, connections_per_address;
	unsigned stall_s; /* 0: KC_HTTP_STALL_S */
	/* Bytes of large answers in memory: clients may take their time. One is always allowed. 0: 256 MiB */
	uint64_t answers_max;
	const struct kc_http_route *routes;
	size_t n_routes;
	/* What no route knows: static files. NULL: 404. */
	void (*fallback)(void *data, struct kc_http_request *request);
	/*
	 * For a route that is not for everybody or agents, before its body is read: ends in kc_http_admitted(), at once
	 * or later, from any thread.
	 */
	void (*admit)(void *data, struct kc_http_request *request, enum kc_http_role role);
	/* After each answer, also when its client was gone: for logs and metrics. */
	void (*answered)(void *data, const struct kc_http_request *request, unsigned status, uint64_t duration_us,
			 uint64_t n_bytes);
	void *data; /* of all of them */
};
/* NULL: it may go on; else the answer (taken over). */
void kc_http_admitted(struct kc_http_request *request, struct kc_error *err);

/* `ctx`, routes and data outlive the server; texts of `options` are copied. */
struct kc_error *kc_http_server_start(struct kc_ctx *ctx, const struct kc_http_options *options,
				      struct kc_http_server **server);
/* The port it listens at, for options.listen with port 0. */
uint16_t kc_http_server_port(const struct kc_http_server *server);
/* Certificate and key again; on failure the old ones stay. */
struct kc_error *kc_http_server_reload(struct kc_http_server *server);
/* From now on requests get 503: whatever they would need goes away. Those that are under way are not harmed. */
void kc_http_server_close(struct kc_http_server *server);
/*
 * The same, waits for all handlers to answer and, for some seconds, for slow clients to take their answers; then frees
 * it.
 */
void kc_http_server_stop(struct kc_http_server *server);

#endif
