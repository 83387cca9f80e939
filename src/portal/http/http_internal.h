/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of http/ share: the server, a request on its way, and who calls whom. For http/ only. */
#ifndef KC_PORTAL_HTTP_HTTP_INTERNAL_H
#define KC_PORTAL_HTTP_HTTP_INTERNAL_H

#include <gnutls/abstract.h>
#include <microhttpd.h>

#include "portal/http/connections.h"
#include "portal/http/server.h"

enum {
	/* Of a body that is refused so much is read and dropped, so that the client listens to the reason. */
	KC_HTTP_DRAIN_MAX = 64 << 10,
	/* Strangers may send bodies, too: of those that are larger than so much memory holds few at a time. */
	KC_HTTP_SMALL_BODY = 256 << 10,
	KC_HTTP_LARGE_BODIES_MAX = 8,
	KC_HTTP_LARGE_ANSWER = 256 << 10,
	KC_HTTP_ANSWERS_MIB_MAX = 256,
};

struct kc_http_tls;

struct kc_http_listener {
	struct kc_http_server *server;
	struct MHD_Daemon *daemon;
	bool is_socket;
};

struct kc_http_server {
	struct kc_ctx *ctx;
	struct kc_http_options options;
	char *listen, *socket, *tls_certificate, *tls_key, *spool_dir; /* what `options` points to */
	struct kc_network *trusted;
	size_t n_trusted;
	struct kc_http_listener tcp, unix_socket;
	uint16_t port;
	struct kc_http_tls *tls;
	struct kc_http_connections connections;
	struct kc_http_prepared *no_memory; /* the answer when there is none */

	pthread_t sweeper;
	bool has_sweeper;
	pthread_mutex_t lock; /* of the sweeper's end */
	pthread_cond_t ended;
	bool has_ended;
	atomic_uint n_requests, n_busy;	    /* all that are under way; those that wait for a handler */
	atomic_uint n_large_bodies;	    /* in memory */
	atomic_uint_fast64_t large_answers; /* their bytes */
	atomic_bool is_closed, is_ending;   /* new requests are refused; all are that have no handler yet */
};

/* request.c: where a request is in its life */
enum kc_http_stage {
	KC_HTTP_ADMITTING,
	KC_HTTP_TAKING, /* its body */
	KC_HTTP_ANSWERING,
};

/* request.c: a thread of libmicrohttpd that may have to wait for another thread */
enum kc_http_wait { KC_HTTP_BUSY, KC_HTTP_SUSPENDED, KC_HTTP_READY };

struct kc_http_request {
	struct kc_http_server *server;
	struct MHD_Connection *mhd;
	struct kc_http_connection *connection;
	const char *method, *path;
	const struct kc_http_route *route;
	const char *parts[KC_HTTP_PATH_PARTS];
	char *split; /* a copy of the path that `parts` point into */
	char address[KC_ADDRESS_TEXT_SIZE];
	struct kc_http_counted *counted; /* when a proxy names the address */
	char user[KC_HTTP_USER_SIZE];
	bool is_admin;

	enum kc_http_stage stage;
	atomic_int wait;
	struct kc_error *refusal; /* what it will be answered, whatever follows */

	uint64_t body_max, received;
	struct kc_buf body;
	bool is_large; /* one of n_large_bodies */
	int spool_fd;
	char *spool_path;

	atomic_bool is_answered;
	struct kc_http_prepared *answer;
	unsigned status; /* before there is an answer: that of the refusal, when it is not that of its kind */
	uint64_t answer_size, held; /* held: of large_answers */
	int64_t started_us;
};

bool kc_http_is_trusted(const struct kc_http_server *server, const struct kc_address *address);

/* The callbacks of libmicrohttpd. */
enum MHD_Result kc_http_on_request(void *listener, struct MHD_Connection *mhd, const char *url, const char *method,
				   const char *version, const char *upload, size_t *upload_size, void **context);
void kc_http_on_completed(void *listener, struct MHD_Connection *mhd, void **context,
			  enum MHD_RequestTerminationCode code);

/* ---- request.c ---- */

/* From any thread: it may go on. */
void kc_http_wake(struct kc_http_request *request);

/* ---- answer.c ---- */

/* In the thread of libmicrohttpd. */
enum MHD_Result kc_http_give_answer(struct kc_http_request *request);

/* ---- body.c ---- */

struct kc_error *kc_http_body_begin(struct kc_http_request *request);
struct kc_error *kc_http_body_add(struct kc_http_request *request, const char *data, size_t size);
void kc_http_body_clear(struct kc_http_request *request);

/* ---- route.c ---- */

/* Finds the route, or leaves it NULL for the fallback. KC_ERR_METHOD; KC_ERR_NOT_FOUND when there is no fallback. */
struct kc_error *kc_http_route_find(struct kc_http_request *request);
/* "GET, POST": what can be done with its path (caller frees; NULL when out of memory). */
char *kc_http_route_methods(const struct kc_http_request *request);

/* ---- tls.c ---- */

struct kc_error *kc_http_tls_new(const char *certificate, const char *key, struct kc_http_tls **tls);
/* On failure the old ones stay. */
struct kc_error *kc_http_tls_load(struct kc_http_tls *tls, const char *certificate, const char *key);
void kc_http_tls_free(struct kc_http_tls *tls);
/* A gnutls_certificate_retrieve_function2; the session's pointer is a connection of libmicrohttpd. */
int kc_http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
			 const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
			 unsigned *n_chain, gnutls_privkey_t *key);

#endif
