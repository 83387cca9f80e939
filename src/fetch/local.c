/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fetch/local.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <curl/curl.h>

#include "proto/proto.h"

enum { CONNECT_MS = 10000 };

struct exchange {
	struct kc_ctx *ctx;
	const struct kc_local_call *call;
	struct kc_buf *answer;
	size_t n_received;
	bool is_over_limit;
	char curl_error[CURL_ERROR_SIZE];
};

KC_DEFINE_CLEANUP(cleanup_curl, CURL *, curl_easy_cleanup)
KC_DEFINE_CLEANUP(cleanup_list, struct curl_slist *, curl_slist_free_all)

void kc_local_escape(struct kc_buf *target, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text))
			kc_buf_append(target, text, 1);
		else
			kc_buf_printf(target, "%%%02X", (unsigned char)*text);
	}
}

static size_t receive(char *data, size_t size, size_t n, void *user)
{
	struct exchange *exchange = user;

	size *= n;
	if (size > exchange->call->limit - exchange->n_received) {
		exchange->is_over_limit = true;
		return CURL_WRITEFUNC_ERROR;
	}
	exchange->n_received += size;
	kc_buf_append(exchange->answer, data, size);
	return size;
}

static int show_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct exchange *exchange = user;

	(void)down_total;
	(void)down;
	if (exchange->call->what && up_total > 0)
		kc_progress(exchange->ctx, exchange->call->what, (unsigned long)up, (unsigned long)up_total);
	return 0;
}

/* What is wrong with the socket is told apart before: libcurl has one word for all of it. */
static struct kc_error *check_socket(const char *path)
{
	struct stat st;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return kc_error_new(KC_ERR_INPUT, "the path of a socket cannot be as long as %s", path);
	if (stat(path, &st))
		return kc_error_errno(errno == EACCES ? KC_ERR_PERMISSION : KC_ERR_NETWORK, errno,
				      "eportald does not listen at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return kc_error_new(KC_ERR_INPUT, "%s is no socket", path);
	if (access(path, W_OK))
		return kc_error_errno(KC_ERR_PERMISSION, errno, "%s is for root and the user of eportald", path);
	return NULL;
}

static struct kc_error *set_body(CURL *curl, const struct kc_local_call *call, FILE **file)
{
	struct stat st;

	if (call->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
	} else if (call->body_path) {
		*file = fopen(call->body_path, "re");
		if (!*file || fstat(fileno(*file), &st))
			return kc_error_errno(KC_ERR_INPUT, errno, "cannot read %s", call->body_path);
		if (!S_ISREG(st.st_mode))
			return kc_error_new(KC_ERR_INPUT, "%s is not a file", call->body_path);
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READDATA, *file);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
	} else if (!strcmp(call->method, "POST")) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	return NULL;
}

static void set_options(CURL *curl, struct exchange *exchange, const char *socket, const char *url)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "kcare/" KC_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->curl_error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, show_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static struct kc_error *transfer_error(const struct exchange *exchange, const char *socket, CURLcode code)
{
	const char *why = *exchange->curl_error ? exchange->curl_error : curl_easy_strerror(code);

	if (exchange->is_over_limit)
		return kc_error_new(KC_ERR_LIMIT, "the answer of eportald is longer than %zu bytes",
				    exchange->call->limit);
	if (code == CURLE_OUT_OF_MEMORY)
		return kc_error_no_memory();
	if (code == CURLE_COULDNT_CONNECT)
		return kc_error_new(KC_ERR_NETWORK, "eportald does not listen at %s: is it running?", socket);
	return kc_error_new(KC_ERR_NETWORK, "eportald did not answer to the end, and may have done it or not: %s", why);
}

static struct kc_error *perform(CURL *curl, struct exchange *exchange, const char *socket)
{
	size_t before = exchange->answer->size;
	CURLcode code = curl_easy_perform(curl);
	struct kc_error *err;
	long status = 0;

	if (exchange->call->what)
		kc_progress(exchange->ctx, exchange->call->what, 1, 1);
	if (code != CURLE_OK)
		return transfer_error(exchange, socket, code);
	if (exchange->answer->failed)
		return kc_error_no_memory();
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return NULL;
	err = kc_error_answer_decode((unsigned)status, exchange->answer->data ? exchange->answer->data + before : "",
				     exchange->answer->size - before);
	kc_buf_reset(exchange->answer);
	return err;
}

struct kc_error *kc_local_do(struct kc_ctx *ctx, const char *socket, const struct kc_local_call *call,
			     struct kc_buf *answer)
{
	KC_CLEANUP(cleanup_curl) CURL *curl = NULL;
	KC_CLEANUP(cleanup_list) struct curl_slist *headers = NULL;
	kc_autofree char *url = NULL, *type = NULL;
	kc_autofclose FILE *file = NULL;
	struct exchange exchange = { .ctx = ctx, .call = call, .answer = answer };

	KC_TRY(check_socket(socket));
	if (asprintf(&url, "http://localhost%s", call->target) < 0)
		url = NULL;
	if (asprintf(&type, "Content-Type: %s", call->content_type ? call->content_type : "application/json") < 0)
		type = NULL;
	curl = curl_easy_init();
	if (!url || !type || !curl)
		return kc_error_no_memory();
	headers = curl_slist_append(NULL, type);
	if (!headers)
		return kc_error_no_memory();
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	set_options(curl, &exchange, socket, url);
	KC_TRY(set_body(curl, call, &file));
	return perform(curl, &exchange, socket);
}
