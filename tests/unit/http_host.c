/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"

enum { PATIENCE_S = 20 };

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void take_message(void *data, enum kc_log_level level, const char *message)
{
	struct http_host *host = data;

	pthread_mutex_lock(&log_lock);
	kc_buf_printf(&host->log, "%d %s\n", level, message);
	pthread_mutex_unlock(&log_lock);
}

void http_host_open(struct http_host *host)
{
	*host = (struct http_host){ .ctx = kc_ctx_new() };
	assert_non_null(host->ctx);
	kc_ctx_set_log(host->ctx, KC_LOG_INFO, take_message, host);
	strcpy(host->dir, "/tmp/kcare-http-XXXXXX");
	assert_non_null(mkdtemp(host->dir));
	snprintf(host->socket, sizeof(host->socket), "%s/socket", host->dir);
	snprintf(host->spool, sizeof(host->spool), "%s/spool", host->dir);
	assert_int_equal(kc_dir_make(host->spool, 0700), 0);
}

void http_host_start(struct http_host *host, struct kc_http_options options)
{
	options.listen = options.listen ? options.listen : "127.0.0.1:0";
	options.socket = host->socket;
	options.spool_dir = host->spool;
	options.threads = options.threads ? options.threads : 2;
	options.connections = options.connections ? options.connections : 100;
	options.connections_per_address = options.connections_per_address ? options.connections_per_address : 50;
	assert_kc_ok(kc_http_server_start(host->ctx, &options, &host->server));
}

void http_host_stop(struct http_host *host)
{
	kc_http_server_stop(kc_steal(host->server));
}

void http_host_close(struct http_host *host)
{
	http_host_stop(host);
	kc_tree_remove(host->dir);
	kc_buf_free(&host->log);
	kc_ctx_free(host->ctx);
}

/* ---- the client ---- */

static void be_patient(int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

int http_connect_from(struct http_host *host, const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(kc_http_server_port(host->server)) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	be_patient(fd);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

int http_connect(struct http_host *host)
{
	return http_connect_from(host, "127.0.0.1");
}

int http_connect_socket(struct http_host *host)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	be_patient(fd);
	strcpy(to.sun_path, host->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void send_all(int fd, const char *data, size_t size)
{
	ssize_t n;

	/* it may have been refused and closed meanwhile: what was answered tells */
	for (; size; data += n, size -= (size_t)n) {
		n = send(fd, data, size, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

void http_send(int fd, const char *format, ...)
{
	kc_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	send_all(fd, text, strlen(text));
}

/* Until there are so many bytes; false when the other side ends before. */
static bool fill(int fd, struct kc_buf *buf, size_t size)
{
	char data[4096];
	ssize_t n;

	while (buf->size < size) {
		n = recv(fd, data, size - buf->size < sizeof(data) ? size - buf->size : sizeof(data), 0);
		if (n <= 0)
			return false;
		kc_buf_append(buf, data, (size_t)n);
	}
	return true;
}

const char *http_header(const struct http_reply *reply, const char *name)
{
	static _Thread_local char value[4096];
	const char *at = reply->head;
	size_t size = strlen(name);

	while (at && (at = strstr(at, "\r\n"))) {
		at += 2;
		if (strncasecmp(at, name, size) || at[size] != ':')
			continue;
		at += size + 1 + strspn(at + size + 1, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r\n"), at);
		return value;
	}
	return "";
}

struct http_reply http_receive(int fd, bool is_head)
{
	struct http_reply reply = { 0 };
	struct kc_buf head = { 0 }, body = { 0 };

	while (!head.size || head.size < 4 || memcmp(head.data + head.size - 4, "\r\n\r\n", 4))
		if (!fill(fd, &head, head.size + 1)) {
			kc_buf_free(&head);
			return reply;
		}
	reply.head = kc_buf_take(&head);
	assert_int_equal(sscanf(reply.head, "HTTP/1.1 %u", &reply.status), 1);
	if (reply.status == 100) {
		http_reply_clear(&reply);
		return http_receive(fd, is_head);
	}
	reply.size = (size_t)atoll(http_header(&reply, "Content-Length"));
	if (!is_head && !fill(fd, &body, reply.size))
		fail_msg("the answer ends after %zu of %zu bytes:\n%s", body.size, reply.size, reply.head);
	reply.body = kc_buf_take(&body);
	return reply;
}

struct http_reply http_ask(struct http_host *host, const char *what, const char *headers, const char *body)
{
	struct http_reply reply;
	int fd = http_connect(host);

	http_send(fd, "%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s", what, headers);
	if (*body)
		http_send(fd, "Content-Length: %zu\r\n", strlen(body));
	http_send(fd, "\r\n%s", body);
	reply = http_receive(fd, !strncmp(what, "HEAD ", 5));
	close(fd);
	return reply;
}

void http_reply_clear(struct http_reply *reply)
{
	free(reply->head);
	free(reply->body);
	*reply = (struct http_reply){ 0 };
}

bool http_is_closed(int fd, int wait_ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	char data[256];
	ssize_t n;

	for (;;) {
		if (poll(&poller, 1, wait_ms) <= 0)
			return false;
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n <= 0)
			return n == 0 || errno == ECONNRESET;
	}
}

void assert_http(struct http_host *host, const char *what, const char *headers, const char *body, unsigned status,
		 const char *expected)
{
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, what, headers, body);

	if (reply.status != status || !strstr(reply.body ? reply.body : "", expected))
		fail_msg("%s: %u, expected %u with '%s':\n%s%s", what, reply.status, status, expected,
			 reply.head ? reply.head : "", reply.body ? reply.body : "");
}
