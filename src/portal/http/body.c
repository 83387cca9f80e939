/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The body of a request: in memory, or spooled to a file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "portal/http/http_internal.h"

struct kc_error *kc_http_body_begin(struct kc_http_request *request)
{
	const char *dir = request->server->spool_dir;

	if (!request->route || !request->route->spools)
		return NULL;
	if (!dir || asprintf(&request->spool_path, "%s/body-XXXXXX", dir) < 0) {
		request->spool_path = NULL;
		return kc_error_no_memory();
	}
	request->spool_fd = mkostemp(request->spool_path, O_CLOEXEC);
	if (request->spool_fd >= 0)
		return NULL;
	free(kc_steal(request->spool_path));
	return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot keep the body in %s", dir);
}

static struct kc_error *take_place(struct kc_http_request *request)
{
	struct kc_http_server *server = request->server;

	if (request->is_large || request->received <= KC_HTTP_SMALL_BODY)
		return NULL;
	request->is_large = atomic_fetch_add(&server->n_large_bodies, 1) < KC_HTTP_LARGE_BODIES_MAX;
	if (request->is_large)
		return NULL;
	atomic_fetch_sub(&server->n_large_bodies, 1);
	return kc_error_new(KC_ERR_BUSY, "too many large requests come at the same time");
}

struct kc_error *kc_http_body_add(struct kc_http_request *request, const char *data, size_t size)
{
	int err;

	if (size > request->body_max || request->received > request->body_max - size)
		return kc_error_new(KC_ERR_LIMIT, "the body is larger than %llu bytes",
				    (unsigned long long)request->body_max);
	request->received += size;
	if (request->spool_fd >= 0) {
		err = kc_fd_write(request->spool_fd, data, size);
		return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep the body in %s",
					    request->server->spool_dir)
			   : NULL;
	}
	KC_TRY(take_place(request));
	kc_buf_append(&request->body, data, size);
	return request->body.failed ? kc_error_no_memory() : NULL;
}

void kc_http_body_clear(struct kc_http_request *request)
{
	kc_buf_free(&request->body);
	if (request->is_large)
		atomic_fetch_sub(&request->server->n_large_bodies, 1);
	request->is_large = false;
	if (request->spool_fd >= 0)
		close(request->spool_fd);
	request->spool_fd = -1;
	if (request->spool_path)
		unlink(request->spool_path);
	free(kc_steal(request->spool_path));
}

const char *kc_http_body(const struct kc_http_request *request, size_t *size)
{
	*size = request->body.size;
	return request->body.size ? request->body.data : "";
}

const char *kc_http_body_path(const struct kc_http_request *request)
{
	return request->spool_path;
}
