/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers: made by any thread, given by the one of libmicrohttpd that the request belongs to. */
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/random.h"
#include "portal/http/http_internal.h"
#include "proto/proto.h"

enum {
	RETRY_AFTER_S = 5,  /* of 503: at least, and at most four times as long, so that not all come again at once */
	RETRY_LATER_S = 60, /* of 429 */
	TLS_RECORD_MAX = 16 << 10,
};

struct kc_http_prepared {
	atomic_uint n_owners;
	struct MHD_Response *response; /* libmicrohttpd counts its own owners, the connections */
	unsigned status;
	uint64_t size;
};

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
	return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *response, const struct kc_http_answer *answer)
{
	bool has_cache_control = false;

	for (size_t i = 0; i < KC_ARRAY_SIZE(answer->headers) && answer->headers[i][0]; i++) {
		has_cache_control |= !strcmp(answer->headers[i][0], "Cache-Control");
		if (!add_header(response, answer->headers[i][0], answer->headers[i][1]))
			return false;
	}
	return add_header(response, "Content-Type", answer->content_type ? answer->content_type : "application/json") &&
	       add_header(response, "X-Content-Type-Options", "nosniff") &&
	       (has_cache_control || add_header(response, "Cache-Control", "no-store"));
}

struct mapping {
	void *data;
	size_t size;
};

static void unmap(void *data)
{
	struct mapping *mapping = data;

	munmap(mapping->data, mapping->size);
	free(mapping);
}

/* NULL when it cannot be mapped. */
static struct MHD_Response *map_file(int fd, uint64_t size)
{
	struct mapping *mapping = malloc(sizeof(*mapping));
	struct MHD_Response *response;

	if (!mapping)
		return NULL;
	*mapping = (struct mapping){ mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), size };
	if (mapping->data == MAP_FAILED) {
		free(mapping);
		return NULL;
	}
	response = MHD_create_response_from_iovec(&(struct MHD_IoVec){ mapping->data, size }, 1, unmap, mapping);
	if (!response)
		unmap(mapping);
	return response;
}

struct part {
	int fd;
	uint64_t offset;
};

static ssize_t read_part(void *data, uint64_t at, char *bytes, size_t size)
{
	const struct part *part = data;
	ssize_t n = pread(part->fd, bytes, size, (off_t)(part->offset + at));

	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR; /* somebody cut it short */
}

static void close_part(void *data)
{
	struct part *part = data;

	close(part->fd);
	free(part);
}

/* By itself libmicrohttpd would read, and encrypt, 4 KiB at a time. Takes the descriptor over, unless it is NULL. */
static struct MHD_Response *read_file(const struct kc_http_answer *answer)
{
	struct part *part = malloc(sizeof(*part));
	struct MHD_Response *response;

	if (!part)
		return NULL;
	*part = (struct part){ answer->fd, answer->offset };
	response = MHD_create_response_from_callback(answer->size, TLS_RECORD_MAX, read_part, part, close_part);
	if (!response)
		free(part);
	return response;
}

static struct MHD_Response *make_file_response(const struct kc_http_answer *answer)
{
	struct MHD_Response *response = answer->maps ? map_file(answer->fd, answer->size) : NULL;

	if (response) {
		close(answer->fd);
		return response;
	}
	response = answer->by_tls ? read_file(answer)
				  : MHD_create_response_from_fd_at_offset64(answer->size, answer->fd, answer->offset);
	if (!response)
		close(answer->fd);
	return response;
}

/* Takes over body and file. NULL when out of memory. */
static struct MHD_Response *make_response(struct kc_http_answer *answer, uint64_t *size)
{
	struct MHD_Response *response = NULL;

	if (answer->fd > 0) {
		*size = answer->size;
		response = make_file_response(answer);
		kc_buf_free(&answer->body);
	} else if (!answer->body.failed) {
		*size = answer->body.size;
		response = MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_FREE);
		if (response)
			answer->body = (struct kc_buf){ 0 };
	}
	if (response && !add_headers(response, answer)) {
		MHD_destroy_response(response);
		response = NULL;
	}
	kc_buf_free(&answer->body);
	memset(answer, 0, sizeof(*answer));
	return response;
}

struct kc_error *kc_http_prepare(struct kc_http_answer *answer, struct kc_http_prepared **prepared)
{
	struct kc_http_prepared *made = calloc(1, sizeof(*made));
	unsigned status = answer->status ? answer->status : MHD_HTTP_OK;
	uint64_t size;

	struct MHD_Response *response = make_response(answer, &size);

	if (!made || !response) {
		free(made);
		MHD_destroy_response(response);
		return kc_error_no_memory();
	}
	*made = (struct kc_http_prepared){ 1, response, status, size };
	*prepared = made;
	return NULL;
}

void kc_http_prepared_free(struct kc_http_prepared *prepared)
{
	if (!prepared || atomic_fetch_sub(&prepared->n_owners, 1) > 1)
		return;
	MHD_destroy_response(prepared->response);
	free(prepared);
}

void kc_http_reply_prepared(struct kc_http_request *request, struct kc_http_prepared *prepared)
{
	if (atomic_exchange(&request->is_answered, true)) {
		kc_log(request->server->ctx, KC_LOG_ERROR, "a request was answered twice");
		return;
	}
	atomic_fetch_add(&prepared->n_owners, 1);
	request->answer = prepared;
	request->status = prepared->status;
	request->answer_size = prepared->size;
	kc_http_wake(request);
}

enum MHD_Result kc_http_give_answer(struct kc_http_request *request)
{
	struct kc_http_prepared *prepared = kc_steal(request->answer);
	enum MHD_Result result;

	kc_http_connection_enter(request->connection, KC_HTTP_SENDING, prepared->size);
	result = MHD_queue_response(request->mhd, prepared->status, prepared->response);
	kc_http_prepared_free(prepared);
	return result;
}

/* It stays until its client has taken it: false when there are too many such already. */
static bool may_hold(struct kc_http_request *request, uint64_t size)
{
	struct kc_http_server *server = request->server;
	uint64_t before;

	if (size <= KC_HTTP_LARGE_ANSWER)
		return true;
	before = atomic_fetch_add(&server->large_answers, size);
	if (!before || before + size <= server->options.answers_max) {
		request->held = size;
		return true;
	}
	atomic_fetch_sub(&server->large_answers, size);
	return false;
}

void kc_http_reply(struct kc_http_request *request, struct kc_http_answer *answer)
{
	kc_autoprepared struct kc_http_prepared *prepared = NULL;

	if (answer->fd <= 0 && !may_hold(request, answer->body.size)) {
		kc_buf_free(&answer->body);
		memset(answer, 0, sizeof(*answer));
		kc_http_reply_error(request, kc_error_new(KC_ERR_BUSY, "too many large answers are on their way"));
		return;
	}
	kc_error_free(kc_http_prepare(answer, &prepared));
	kc_http_reply_prepared(request, prepared ? prepared : request->server->no_memory);
}

/* ---- errors ---- */

/* Our own faults are nobody's business who was not admitted. Takes `err`. */
static struct kc_error *hide_fault(const struct kc_http_request *request, struct kc_error *err, unsigned status)
{
	struct kc_error *kind;

	if (status < 500 || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		return err;
	kc_log(request->server->ctx, KC_LOG_ERROR, "%s %s: %s: %s", request->method, kc_http_path_to_log(request),
	       kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	if (*request->user)
		return err;
	kind = kc_error_new(kc_error_code(err), "%s", kc_error_code_text(kc_error_code(err)));
	kc_error_free(err);
	return kind;
}

static unsigned retry_after_s(unsigned status)
{
	unsigned char random = 0;

	if (status == MHD_HTTP_TOO_MANY_REQUESTS)
		return RETRY_LATER_S;
	kc_random_bytes(&random, sizeof(random));
	return RETRY_AFTER_S + random % (3 * RETRY_AFTER_S + 1);
}

void kc_http_reply_error(struct kc_http_request *request, struct kc_error *err)
{
	unsigned status = request->status ? request->status : (unsigned)kc_error_code_http(kc_error_code(err));
	struct kc_http_answer answer = { .status = status };
	kc_autofree char *value = NULL;
	struct kc_error *failed;

	err = hide_fault(request, err, status);
	failed = kc_error_answer_encode(err, &answer.body);
	kc_error_free(err);
	if (failed) {
		kc_error_free(failed);
		kc_buf_free(&answer.body);
		kc_http_reply_prepared(request, request->server->no_memory);
		return;
	}
	if (status == MHD_HTTP_UNAUTHORIZED) {
		answer.headers[0][0] = MHD_HTTP_HEADER_WWW_AUTHENTICATE;
		answer.headers[0][1] = "Basic realm=\"eportal\", charset=\"UTF-8\"";
	} else if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
		value = kc_http_route_methods(request);
		answer.headers[0][0] = value ? MHD_HTTP_HEADER_ALLOW : NULL;
		answer.headers[0][1] = value;
	} else if (status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS) {
		if (asprintf(&value, "%u", retry_after_s(status)) < 0)
			value = NULL;
		answer.headers[0][0] = value ? MHD_HTTP_HEADER_RETRY_AFTER : NULL;
		answer.headers[0][1] = value;
	}
	kc_http_reply(request, &answer);
}
