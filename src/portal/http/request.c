/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a request: libmicrohttpd calls for its headers, for each piece of its body, and at its end; after a wait
 * for another thread, where it was again. The answer is given at the end, because libmicrohttpd closes the connection
 * of one that comes earlier; a large body that is refused is what this is used for.
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/array.h"
#include "portal/http/http_internal.h"
#include "proto/proto.h"

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- what it says ---- */

const char *kc_http_method(const struct kc_http_request *request)
{
	return request->method;
}

const char *kc_http_path(const struct kc_http_request *request)
{
	return request->path;
}

const char *kc_http_path_to_log(const struct kc_http_request *request)
{
	return request->route && request->route->role == KC_HTTP_AGENT ? request->route->path : request->path;
}

const char *kc_http_path_part(const struct kc_http_request *request, unsigned index)
{
	return index < KC_HTTP_PATH_PARTS && request->parts[index] ? request->parts[index] : "";
}

const char *kc_http_query(const struct kc_http_request *request, const char *name)
{
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(request->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL) ==
	    MHD_NO)
		return NULL;
	return value ? value : "";
}

struct each_value {
	enum MHD_ValueKind kind;
	const char *name;
	void (*each)(void *data, const char *value);
	void *data;
};

static enum MHD_Result take_value(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct each_value *values = data;

	if (kind == MHD_HEADER_KIND ? !strcasecmp(name, values->name) : !strcmp(name, values->name))
		values->each(values->data, value ? value : "");
	return MHD_YES;
}

void kc_http_query_each(const struct kc_http_request *request, const char *name,
			void (*each)(void *data, const char *value), void *data)
{
	struct each_value values = { MHD_GET_ARGUMENT_KIND, name, each, data };

	MHD_get_connection_values(request->mhd, values.kind, take_value, &values);
}

static void header_each(const struct kc_http_request *request, const char *name,
			void (*each)(void *data, const char *value), void *data)
{
	struct each_value values = { MHD_HEADER_KIND, name, each, data };

	MHD_get_connection_values(request->mhd, values.kind, take_value, &values);
}

const char *kc_http_header(const struct kc_http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *kc_http_address(const struct kc_http_request *request)
{
	return request->address;
}

bool kc_http_is_local(const struct kc_http_request *request)
{
	return request->connection->is_local;
}

bool kc_http_is_tls(const struct kc_http_request *request)
{
	return request->server->tls && !request->connection->is_socket;
}

void kc_http_basic(const struct kc_http_request *request, char **name, char **password)
{
	*password = NULL;
	*name = MHD_basic_auth_get_username_password(request->mhd, password);
	if (*name && *password)
		return;
	free(kc_steal(*name));
	free(kc_steal(*password));
}

const char *kc_http_user(const struct kc_http_request *request)
{
	return request->user;
}

bool kc_http_user_is_admin(const struct kc_http_request *request)
{
	return request->is_admin;
}

void kc_http_set_user(struct kc_http_request *request, const char *name, bool is_admin)
{
	snprintf(request->user, sizeof(request->user), "%s", name);
	request->is_admin = is_admin;
}

const struct kc_http_route *kc_http_route_of(const struct kc_http_request *request)
{
	return request->route;
}

/* ---- waiting for another thread ---- */

/* What waits for another thread must not be there when libmicrohttpd ends: false when it is about to. */
static bool begin_wait(struct kc_http_request *request)
{
	atomic_store(&request->wait, KC_HTTP_BUSY);
	atomic_fetch_add(&request->server->n_busy, 1);
	if (!atomic_load(&request->server->is_ending))
		return true;
	atomic_fetch_sub(&request->server->n_busy, 1);
	return false;
}

void kc_http_wake(struct kc_http_request *request)
{
	struct kc_http_server *server = request->server;
	struct MHD_Connection *mhd = request->mhd;

	/* from here on the request may be gone, unless it sleeps */
	if (atomic_exchange(&request->wait, KC_HTTP_READY) != KC_HTTP_SUSPENDED)
		return;
	MHD_resume_connection(mhd);
	atomic_fetch_sub(&server->n_busy, 1);
}

/*
 * After begin_wait(), and something that ends in kc_http_wake(): has it ended? If not, the connection is suspended till
 * then.
 */
static bool end_wait(struct kc_http_request *request)
{
	struct kc_http_server *server = request->server;
	int busy = KC_HTTP_BUSY;

	if (atomic_load(&request->wait) == KC_HTTP_READY) {
		atomic_fetch_sub(&server->n_busy, 1);
		return true;
	}
	MHD_suspend_connection(request->mhd);
	if (!atomic_compare_exchange_strong(&request->wait, &busy, KC_HTTP_SUSPENDED)) {
		MHD_resume_connection(request->mhd);
		atomic_fetch_sub(&server->n_busy, 1);
	}
	return false;
}

void kc_http_admitted(struct kc_http_request *request, struct kc_error *err)
{
	request->refusal = err;
	kc_http_wake(request);
}

/* ---- the beginning ---- */

/* The last address that no trusted proxy has: what it says itself may be a lie. */
struct forwarded {
	struct kc_address addresses[32];
	size_t n;
};

static void take_forwarded(void *data, const char *value)
{
	struct forwarded *forwarded = data;
	char one[2 * KC_ADDRESS_TEXT_SIZE];
	size_t size;

	for (value += strspn(value, ", \t"); *value; value += strspn(value, ", \t")) {
		size = strcspn(value, ", \t");
		snprintf(one, sizeof(one), "%.*s", size < sizeof(one) ? (int)size : 0, value);
		value += size;
		/* of a list that is too long the end counts */
		if (forwarded->n == KC_ARRAY_SIZE(forwarded->addresses))
			memmove(forwarded->addresses, forwarded->addresses + 1,
				--forwarded->n * sizeof(forwarded->addresses[0]));
		if (kc_address_parse(one, &forwarded->addresses[forwarded->n]))
			forwarded->n++;
		else
			forwarded->n = 0; /* what is left of something unknown cannot be believed */
	}
}

/* Sets request->address; an address that a proxy names may have only so many requests at a time. */
static struct kc_error *find_client(struct kc_http_request *request)
{
	struct kc_http_connection *connection = request->connection;
	struct forwarded forwarded = { .n = 0 };
	size_t i;

	memcpy(request->address, connection->address, sizeof(request->address));
	if (!connection->is_trusted)
		return NULL;
	header_each(request, "X-Forwarded-For", take_forwarded, &forwarded);
	if (!forwarded.n)
		return NULL;
	for (i = forwarded.n - 1; i && kc_http_is_trusted(request->server, &forwarded.addresses[i]); i--)
		;
	kc_address_text(&forwarded.addresses[i], request->address);
	if (kc_http_is_trusted(request->server, &forwarded.addresses[i]) ||
	    kc_http_count_enter(&request->server->connections, &forwarded.addresses[i], &request->counted))
		return NULL;
	return kc_error_new(KC_ERR_TOO_MANY, "too many requests at a time from %s", request->address);
}

/* "http://host/path" is how proxies ask; and nothing that would be odd in a log, or end a C string. */
static struct kc_error *find_path(struct kc_http_request *request, const char *url)
{
	const char *problem;

	if (!strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8)) {
		url = strchr(strstr(url, "//") + 2, '/');
		url = url ? url : "/";
	}
	request->path = "/";
	if (*url != '/')
		return kc_error_new(KC_ERR_INPUT, "a path begins with '/'");
	problem = kc_text_problem(url, KC_HTTP_HEADERS_MAX, false);
	if (problem)
		return kc_error_new(KC_ERR_INPUT, "the path: %s", problem);
	request->path = url;
	return NULL;
}

/* What two programs might understand in two ways is what requests are smuggled with. */
static struct kc_error *check_framing(struct kc_http_request *request)
{
	const char *encoding = kc_http_header(request, "Transfer-Encoding");

	if (encoding && strcasecmp(encoding, "chunked"))
		return kc_error_new(KC_ERR_INPUT, "the transfer encoding '%.40s' is not known", encoding);
	if (encoding && kc_http_header(request, "Content-Length"))
		return kc_error_new(KC_ERR_INPUT, "a body is chunked or has a length, not both");
	return NULL;
}

static struct kc_error *ending(void)
{
	return kc_error_new(KC_ERR_BUSY, "the portal is about to end");
}

static struct kc_error *check_limits(struct kc_http_request *request)
{
	const union MHD_ConnectionInfo *info;

	if (atomic_load(&request->server->is_closed))
		return ending();
	if (request->connection->is_over)
		return kc_error_new(KC_ERR_BUSY, "too many connections");
	if (request->connection->is_over_address)
		return kc_error_new(KC_ERR_TOO_MANY, "too many connections from %s", request->connection->address);
	info = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	if (info && info->header_size > KC_HTTP_HEADERS_MAX)
		request->status = MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
	return request->status ? kc_error_new(KC_ERR_LIMIT, "the headers are larger than %d bytes", KC_HTTP_HEADERS_MAX)
			       : NULL;
}

static struct kc_error *examine(struct kc_http_request *request, const char *url)
{
	KC_TRY(find_path(request, url));
	KC_TRY(check_limits(request));
	KC_TRY(find_client(request));
	KC_TRY(check_framing(request));
	KC_TRY(kc_http_route_find(request));
	request->body_max = request->route ? request->route->body_max : 0;
	return NULL;
}

static struct kc_http_request *new_request(struct kc_http_listener *listener, struct MHD_Connection *mhd,
					   const char *method)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct kc_http_request *request;

	if (!info || !info->socket_context)
		return NULL;
	request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->server = listener->server;
	request->mhd = mhd;
	request->connection = info->socket_context;
	request->method = method;
	request->spool_fd = -1;
	request->started_us = now_us();
	atomic_fetch_add(&request->server->n_requests, 1);
	return request;
}

/* ---- the body ---- */

static enum MHD_Result refuse(struct kc_http_request *request)
{
	request->stage = KC_HTTP_ANSWERING;
	kc_http_reply_error(request, kc_steal(request->refusal));
	return kc_http_give_answer(request);
}

/* How much is announced; UINT64_MAX: nobody knows. */
static uint64_t body_size(const struct kc_http_request *request)
{
	const char *length = kc_http_header(request, "Content-Length");

	if (kc_http_header(request, "Transfer-Encoding"))
		return UINT64_MAX;
	return length ? strtoull(length, NULL, 10) : 0;
}

/* The headers are fine, or not: a client that is to be refused reads that after its body, unless that is large. */
static enum MHD_Result take_body(struct kc_http_request *request)
{
	uint64_t size = body_size(request);

	request->stage = KC_HTTP_TAKING;
	if (!request->refusal && size != UINT64_MAX && size > request->body_max)
		request->refusal = kc_error_new(KC_ERR_LIMIT, "the body is larger than %llu bytes",
						(unsigned long long)request->body_max);
	if (request->refusal && (size > KC_HTTP_DRAIN_MAX || (size && kc_http_header(request, "Expect"))))
		return refuse(request);
	if (size && !request->refusal)
		request->refusal = kc_http_body_begin(request);
	if (size)
		kc_http_connection_enter(request->connection, KC_HTTP_RECEIVING, 0);
	return MHD_YES;
}

static enum MHD_Result take_piece(struct kc_http_request *request, const char *data, size_t size)
{
	if (!request->refusal) {
		request->refusal = kc_http_body_add(request, data, size);
		if (request->refusal)
			kc_http_body_clear(request);
	} else {
		/* nobody may be answered in the middle of a body; but there is an end to everybody's patience */
		request->received += size;
		if (request->received > request->body_max + KC_HTTP_DRAIN_MAX)
			return MHD_NO;
	}
	kc_http_connection_enter(request->connection, KC_HTTP_RECEIVING, request->received);
	return MHD_YES;
}

/* ---- the end ---- */

static enum MHD_Result handle(struct kc_http_request *request)
{
	const struct kc_http_options *options = &request->server->options;

	if (!request->refusal && !begin_wait(request))
		request->refusal = ending();
	if (request->refusal)
		return refuse(request);
	request->stage = KC_HTTP_ANSWERING;
	kc_http_connection_enter(request->connection, KC_HTTP_HANDLING, 0);
	if (request->route)
		request->route->handle(options->data, request);
	else
		options->fallback(options->data, request);
	return end_wait(request) ? kc_http_give_answer(request) : MHD_YES;
}

static enum MHD_Result begin(struct kc_http_request *request, const char *url)
{
	const struct kc_http_options *options = &request->server->options;
	const struct kc_http_route *route;

	request->refusal = examine(request, url);
	route = request->route;
	if (request->refusal || !route || route->role == KC_HTTP_EVERYBODY || route->role == KC_HTTP_AGENT)
		return take_body(request);
	if (!begin_wait(request)) {
		request->refusal = ending();
		return take_body(request);
	}
	request->stage = KC_HTTP_ADMITTING;
	kc_http_connection_enter(request->connection, KC_HTTP_HANDLING, 0);
	options->admit(options->data, request, route->role);
	return end_wait(request) ? take_body(request) : MHD_YES;
}

enum MHD_Result kc_http_on_request(void *listener, struct MHD_Connection *mhd, const char *url, const char *method,
				   const char *version, const char *upload, size_t *upload_size, void **context)
{
	struct kc_http_request *request = *context;
	size_t size = *upload_size;

	(void)version;
	if (!request) {
		*context = request = new_request(listener, mhd, method);
		return request ? begin(request, url) : MHD_NO;
	}
	switch (request->stage) {
	case KC_HTTP_ADMITTING:
		return take_body(request);
	case KC_HTTP_TAKING:
		*upload_size = 0;
		return size ? take_piece(request, upload, size) : handle(request);
	case KC_HTTP_ANSWERING:
		break;
	}
	*upload_size = 0;
	return request->answer ? kc_http_give_answer(request) : MHD_YES;
}

void kc_http_on_completed(void *listener, struct MHD_Connection *mhd, void **context,
			  enum MHD_RequestTerminationCode code)
{
	struct kc_http_request *request = kc_steal(*context);
	struct kc_http_server *server;

	(void)listener;
	(void)mhd;
	(void)code;
	if (!request)
		return;
	server = request->server;
	if (atomic_load(&request->is_answered) && server->options.answered)
		server->options.answered(server->options.data, request, request->status,
					 (uint64_t)(now_us() - request->started_us), request->answer_size);
	kc_http_connection_enter(request->connection, KC_HTTP_WAITING, 0);
	atomic_fetch_sub(&server->large_answers, request->held);
	if (request->counted)
		kc_http_count_leave(&server->connections, request->counted);
	kc_http_prepared_free(request->answer);
	kc_error_free(request->refusal);
	kc_http_body_clear(request);
	free(request->split);
	free(request);
	atomic_fetch_sub(&server->n_requests, 1);
}
