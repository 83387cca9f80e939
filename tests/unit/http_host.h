/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real HTTP server of portal/http/ on 127.0.0.1 and a Unix socket, and a client that sends any bytes. */
#ifndef KC_TESTS_HTTP_HOST_H
#define KC_TESTS_HTTP_HOST_H

#include "base/ctx.h"
#include "portal/http/server.h"

struct http_host {
	struct kc_ctx *ctx;
	struct kc_buf log;
	char dir[64]; /* everything is in here: "socket", "spool/" */
	char socket[96], spool[96];
	struct kc_http_server *server;
};

void http_host_open(struct http_host *host);
/* Fills in what `options` leaves open, and starts. */
void http_host_start(struct http_host *host, struct kc_http_options options);
void http_host_stop(struct http_host *host);
void http_host_close(struct http_host *host);

struct http_reply {
	unsigned status; /* 0: the connection was closed before an answer */
	char *head;	 /* status line and headers */
	char *body;
	size_t size;
};

int http_connect(struct http_host *host);
int http_connect_from(struct http_host *host, const char *address);
int http_connect_socket(struct http_host *host);
void http_send(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The next answer; `is_head`: it has no body. The caller frees with http_reply_clear(). */
struct http_reply http_receive(int fd, bool is_head);
/* One request on a connection of its own: "GET /path", and header lines, each with "\r\n", or "". */
struct http_reply http_ask(struct http_host *host, const char *what, const char *headers, const char *body);
void http_reply_clear(struct http_reply *reply);
/* The value of a header (static memory of the thread); "" when it is not there. */
const char *http_header(const struct http_reply *reply, const char *name);
/* Has the server closed it? Waits so long for that. */
bool http_is_closed(int fd, int wait_ms);

/* One request, its status and its body. */
void assert_http(struct http_host *host, const char *what, const char *headers, const char *body, unsigned status,
		 const char *expected);

#define HTTP_CLEANUP_REPLY KC_CLEANUP(http_reply_clear)

#endif
