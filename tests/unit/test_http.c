/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's HTTP server: routes, bodies, answers from other threads, limits, clients of all kinds, and its end. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "http_host.h"
#include "kc_assert.h"

enum { BIG = 8 << 20, SPOOL_MAX = 1 << 20 };

static struct {
	pthread_mutex_t lock;
	struct kc_http_request *held[64];
	size_t n_held, n_answered;
	unsigned last_status;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- handlers ---- */

static void reply_text(struct kc_http_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reply_text(struct kc_http_request *request, const char *format, ...)
{
	struct kc_http_answer answer = { .content_type = "text/plain" };
	kc_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	kc_buf_append_str(&answer.body, text);
	kc_http_reply(request, &answer);
}

static void handle_hello(void *data, struct kc_http_request *request)
{
	assert_string_equal(data, "data");
	reply_text(request, "%s %s from %s%s", kc_http_method(request), kc_http_path(request), kc_http_address(request),
		   kc_http_is_local(request) ? ", local" : "");
}

static void handle_parts(void *data, struct kc_http_request *request)
{
	(void)data;
	reply_text(request, "[%s][%s][%s]", kc_http_path_part(request, 0), kc_http_path_part(request, 1),
		   kc_http_path_part(request, 2));
}

static void append_value(void *data, const char *value)
{
	kc_buf_printf(data, "<%s>", value);
}

static void handle_query(void *data, struct kc_http_request *request)
{
	kc_autobuf struct kc_buf values = { 0 };
	const char *b = kc_http_query(request, "b");

	(void)data;
	kc_http_query_each(request, "a", append_value, &values);
	reply_text(request, "a=%s b=%s header=%s", values.size ? values.data : "none", b ? b : "none",
		   kc_http_header(request, "x-test") ? kc_http_header(request, "X-Test") : "none");
}

static void handle_echo(void *data, struct kc_http_request *request)
{
	size_t size;
	const char *body = kc_http_body(request, &size);

	(void)data;
	reply_text(request, "%zu:%.*s", size, (int)size, body);
}

static void handle_spool(void *data, struct kc_http_request *request)
{
	const char *path = kc_http_body_path(request), *keep = kc_http_query(request, "keep");
	kc_autobuf struct kc_buf body = { 0 };

	(void)data;
	if (path)
		assert_int_equal(kc_file_read(path, SPOOL_MAX, &body), 0);
	if (path && keep)
		assert_int_equal(rename(path, keep), 0);
	reply_text(request, "%s %zu %c", path ? "file" : "none", body.size, body.size ? body.data[body.size - 1] : '-');
}

static void handle_error(void *data, struct kc_http_request *request)
{
	const char *kind = kc_http_query(request, "kind");

	(void)data;
	for (int i = 0; kind && i < KC_ERR_COUNT; i++)
		if (!strcmp(kc_error_code_name((enum kc_error_code)i), kind)) {
			kc_http_reply_error(request, kc_error_new((enum kc_error_code)i, "\"secret\"\n %s", "/path"));
			return;
		}
	kc_http_reply_error(request, kc_error_new(KC_ERR_INPUT, "no such kind: %s", kind ? kind : ""));
}

static void *reply_later(void *data)
{
	const struct timespec a_while = { .tv_nsec = 1000000 * (rand() % 3) };

	nanosleep(&a_while, NULL);
	reply_text(data, "later");
	return NULL;
}

/* From another thread, which may be faster than we are. */
static void handle_later(void *data, struct kc_http_request *request)
{
	pthread_t thread;

	(void)data;
	assert_int_equal(pthread_create(&thread, NULL, reply_later, request), 0);
	pthread_detach(thread);
}

static void handle_hold(void *data, struct kc_http_request *request)
{
	(void)data;
	pthread_mutex_lock(&seen.lock);
	seen.held[seen.n_held++] = request;
	pthread_mutex_unlock(&seen.lock);
}

static void handle_big(void *data, struct kc_http_request *request)
{
	struct kc_http_answer answer = { .content_type = "application/octet-stream" };

	(void)data;
	kc_buf_append_zeros(&answer.body, BIG);
	kc_http_reply(request, &answer);
}

static void handle_user(void *data, struct kc_http_request *request)
{
	(void)data;
	reply_text(request, "%s, %s", kc_http_user(request), kc_http_user_is_admin(request) ? "admin" : "no admin");
}

static const struct kc_http_route routes[] = {
	{ "GET", "/hello", KC_HTTP_EVERYBODY, 0, false, handle_hello },
	{ "GET", "/parts/*/and/*", KC_HTTP_EVERYBODY, 0, false, handle_parts },
	{ "DELETE", "/parts/*/and/*", KC_HTTP_EVERYBODY, 0, false, handle_hello },
	{ "GET", "/parts/*", KC_HTTP_EVERYBODY, 0, false, handle_parts },
	{ "GET", "/query/", KC_HTTP_EVERYBODY, 0, false, handle_query },
	{ "POST", "/echo", KC_HTTP_AGENT, 1000, false, handle_echo },
	{ "POST", "/spool", KC_HTTP_EVERYBODY, SPOOL_MAX, true, handle_spool },
	{ "GET", "/error", KC_HTTP_EVERYBODY, 0, false, handle_error },
	{ "GET", "/admin/error", KC_HTTP_ADMIN, 0, false, handle_error },
	{ "GET", "/later", KC_HTTP_EVERYBODY, 0, false, handle_later },
	{ "GET", "/hold", KC_HTTP_EVERYBODY, 0, false, handle_hold },
	{ "GET", "/big", KC_HTTP_EVERYBODY, 0, false, handle_big },
	{ "GET", "/admin/user", KC_HTTP_ADMIN, 0, false, handle_user },
	{ "POST", "/admin/echo", KC_HTTP_READONLY, 1000, false, handle_echo },
};

static void admit(void *request, const char *token)
{
	kc_http_set_user(request, token && !strcmp(token, "root") ? "root" : "reader", token && !strcmp(token, "root"));
	kc_http_admitted(request, token ? NULL : kc_error_new(KC_ERR_UNAUTHORIZED, "who are you?"));
}

static void *admit_later(void *request)
{
	const struct timespec a_while = { .tv_nsec = 1000000 * (rand() % 3) };

	nanosleep(&a_while, NULL);
	admit(request, kc_http_header(request, "X-Token"));
	return NULL;
}

static void ask_whether_to_admit(void *data, struct kc_http_request *request, enum kc_http_role role)
{
	pthread_t thread;

	(void)data;
	assert_true(role == KC_HTTP_ADMIN || role == KC_HTTP_READONLY);
	if (!kc_http_header(request, "X-Slow")) {
		admit(request, kc_http_header(request, "X-Token"));
		return;
	}
	assert_int_equal(pthread_create(&thread, NULL, admit_later, request), 0);
	pthread_detach(thread);
}

static void count_answer(void *data, const struct kc_http_request *request, unsigned status, uint64_t duration_us,
			 uint64_t n_bytes)
{
	(void)data;
	(void)request;
	(void)duration_us;
	(void)n_bytes;
	pthread_mutex_lock(&seen.lock);
	seen.n_answered++;
	seen.last_status = status;
	pthread_mutex_unlock(&seen.lock);
}

static size_t n_held(void)
{
	size_t n;

	pthread_mutex_lock(&seen.lock);
	n = seen.n_held;
	pthread_mutex_unlock(&seen.lock);
	return n;
}

static void wait_for_held(size_t n)
{
	const struct timespec step = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000 && n_held() < n; i++)
		nanosleep(&step, NULL);
	assert_int_equal(n_held(), n);
}

static void release_held(void)
{
	pthread_mutex_lock(&seen.lock);
	while (seen.n_held)
		reply_text(seen.held[--seen.n_held], "released");
	pthread_mutex_unlock(&seen.lock);
}

/* ---- a server for each test ---- */

static const struct kc_http_options usual = {
	.routes = routes,
	.n_routes = KC_ARRAY_SIZE(routes),
	.admit = ask_whether_to_admit,
	.answered = count_answer,
	.data = (void *)"data",
};

static int set_up(void **state)
{
	struct http_host *host = malloc(sizeof(*host));

	assert_non_null(host);
	http_host_open(host);
	seen.n_held = seen.n_answered = 0;
	http_host_start(host, usual);
	*state = host;
	return 0;
}

static int tear_down(void **state)
{
	http_host_close(*state);
	free(*state);
	return 0;
}

static void restart(struct http_host *host, struct kc_http_options options)
{
	http_host_stop(host);
	http_host_start(host, options);
}

/* ---- tests ---- */

static void test_routes(void **state)
{
	struct http_host *host = *state;

	assert_http(host, "GET /hello", "", "", 200, "GET /hello from 127.0.0.1");
	assert_http(host, "GET /hello/", "", "", 200, "GET /hello/");
	assert_http(host, "GET /h%65llo?x", "", "", 200, "GET /hello");
	assert_http(host, "GET http://somewhere:80/hello", "", "", 200, "GET /hello");
	assert_http(host, "GET /parts/one/and/t%77o", "", "", 200, "[one][two][]");
	assert_http(host, "GET /parts/one", "", "", 200, "[one][][]");
	assert_http(host, "DELETE /parts/one/and/two", "", "", 200, "DELETE /parts/one/and/two");
	/* a part never has a '/' */
	assert_http(host, "GET /parts/a%2fand%2Fb", "", "", 200, "[a][b][]");
	assert_http(host, "GET /parts/a%2fb", "", "", 404, "not-found");
	assert_http(host, "GET /parts/", "", "", 404, "not-found");
	assert_http(host, "GET /parts//and/x", "", "", 404, "not-found");
	assert_http(host, "GET /parts/one/and/two/three", "", "", 404, "not-found");
	assert_http(host, "GET /hell", "", "", 404, "not-found");
	assert_http(host, "GET /hello//", "", "", 404, "not-found");
	assert_http(host, "GET /", "", "", 404, "{\"error\":\"not-found\"");
	assert_http(host, "GET http://somewhere", "", "", 404, "not-found");
}

static void test_methods(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, "PUT /parts/a/and/b", "", "");
	HTTP_CLEANUP_REPLY struct http_reply head = http_ask(host, "HEAD /hello", "", "");

	assert_int_equal(reply.status, 405);
	assert_string_equal(http_header(&reply, "Allow"), "GET, HEAD, DELETE");
	assert_non_null(strstr(reply.body, "method-not-allowed"));
	assert_int_equal(head.status, 200);
	assert_int_equal(head.size, strlen("HEAD /hello from 127.0.0.1"));
	assert_http(host, "BREW /hello", "", "", 405, "BREW");
	assert_http(host, "OPTIONS *", "", "", 400, "begins with '/'");
}

static void test_paths_are_plain(void **state)
{
	struct http_host *host = *state;

	assert_http(host, "GET /hel%00lo", "", "", 400, "control character");
	assert_http(host, "GET /hello%0d%0aX-Evil:1", "", "", 400, "control character");
	assert_http(host, "GET /hello%7f", "", "", 400, "control character");
	assert_http(host, "GET /hello%c2%85", "", "", 400, "control character");
	assert_http(host, "GET /hello%e2%80%ae", "", "", 400, "control character");
	assert_http(host, "GET /hello%ff%c3%28", "", "", 400, "not UTF-8");
	assert_http(host, "GET /hello%c3%b6", "", "", 404, "not-found");
	assert_http(host, "PUT /hello%ff", "", "", 400, "not UTF-8");
	assert_http(host, "GET /hello%", "", "", 404, "not-found");
	assert_http(host, "GET /hello%4", "", "", 404, "not-found");
}

static void test_queries(void **state)
{
	struct http_host *host = *state;

	assert_http(host, "GET /query", "", "", 200, "a=none b=none header=none");
	assert_http(host, "GET /query/?a=1&b=x&a=2&b=y&a&A=3", "", "", 200, "a=<1><2><> b=x");
	assert_http(host, "GET /query?b=1+2%2B3%26%3d", "", "", 200, "b=1 2+3&=");
	assert_http(host, "GET /query?b=1%002", "", "", 200, "b=1\0012");
	assert_http(host, "GET /query?b", "X-TEST: value\r\n", "", 200, "b= header=value");
}

static void test_bodies(void **state)
{
	struct http_host *host = *state;
	char body[1002];

	memset(body, 'x', sizeof(body));
	body[1000] = '\0';
	assert_http(host, "POST /echo", "", "", 200, "0:");
	assert_http(host, "POST /echo", "", "{}", 200, "2:{}");
	assert_http(host, "POST /echo", "", body, 200, "1000:xxx");
	assert_http(host, "POST /echo", "Expect: 100-continue\r\n", "wait", 200, "4:wait");
	assert_http(host, "GET /hello", "", "surprise", 413, "over-limit");
	body[1000] = 'x';
	body[1001] = '\0';
	assert_http(host, "POST /echo", "", body, 413, "over-limit");
	assert_http(host, "POST /nowhere", "", body, 404, "not-found");
}

static void test_chunked_bodies(void **state)
{
	struct http_host *host = *state;
	int fd = http_connect(host);

	for (int i = 0; i < 2; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };

		http_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
		http_send(fd, "6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
		reply = http_receive(fd, false);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.body, "11:hello world");
	}
	http_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%01001d\r\n0\r\n\r\n",
		  0);
	{
		HTTP_CLEANUP_REPLY struct http_reply reply = http_receive(fd, false);

		assert_int_equal(reply.status, 413);
		assert_non_null(strstr(reply.body, "over-limit"));
	}
	close(fd);
}

/* What is far too large is refused while it is sent, whether its size is announced or not. */
static void test_huge_bodies(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
	char data[8193];
	int fd = http_connect(host);

	http_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
	reply = http_receive(fd, false);
	assert_int_equal(reply.status, 413);
	assert_true(http_is_closed(fd, 5000));
	close(fd);
	fd = http_connect(host);
	http_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n");
	memset(data, 'x', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	for (int i = 0; i < 100 && !http_is_closed(fd, 0); i++)
		http_send(fd, "%s", data);
	assert_true(http_is_closed(fd, 5000));
	close(fd);
}

static void test_bodies_are_spooled(void **state)
{
	struct http_host *host = *state;
	kc_autofree char *body = malloc(SPOOL_MAX + 1), *what = NULL, *kept = kc_path_join(host->dir, "kept");
	struct stat stat_kept;

	assert_non_null(body);
	memset(body, 'y', SPOOL_MAX);
	body[SPOOL_MAX] = '\0';
	assert_http(host, "POST /spool", "", body, 200, "file 1048576 y");
	assert_http(host, "POST /spool", "", "", 200, "none 0 -");
	assert_true(asprintf(&what, "POST /spool?keep=%s", kept) > 0);
	assert_http(host, what, "", "keep me", 200, "file 7 e");
	http_host_stop(host);
	assert_int_equal(stat(kept, &stat_kept), 0);
	assert_int_equal(stat_kept.st_size, 7);
	assert_int_equal(stat_kept.st_mode & 0777, 0600);
	/* nothing is left of the others */
	assert_int_equal(rmdir(host->spool), 0);
	http_host_start(host, usual);
	assert_http(host, "POST /spool", "", "x", 500, "\"system\"");
}

/* A client that goes away in the middle leaves nothing behind. */
static void test_half_a_body(void **state)
{
	struct http_host *host = *state;
	int fd = http_connect(host);

	http_send(fd, "POST /spool HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it");
	close(fd);
	http_host_stop(host);
	assert_int_equal(rmdir(host->spool), 0);
	assert_int_equal(seen.n_answered, 0);
}

static void test_errors_are_json(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, "GET /error?kind=over-limit", "", "");
	HTTP_CLEANUP_REPLY struct http_reply busy = http_ask(host, "GET /error?kind=busy", "", "");
	HTTP_CLEANUP_REPLY struct http_reply who = http_ask(host, "GET /error?kind=unauthorized", "", "");

	assert_int_equal(reply.status, 413);
	assert_string_equal(http_header(&reply, "Content-Type"), "application/json");
	assert_string_equal(http_header(&reply, "Cache-Control"), "no-store");
	assert_string_equal(http_header(&reply, "X-Content-Type-Options"), "nosniff");
	assert_non_null(strstr(reply.body, "\"error\":\"over-limit\""));
	assert_null(strchr(reply.body, '\n'));
	assert_int_equal(busy.status, 503);
	assert_in_range(atoi(http_header(&busy, "Retry-After")), 5, 20);
	assert_int_equal(who.status, 401);
	assert_non_null(strstr(http_header(&who, "WWW-Authenticate"), "Basic"));
	assert_http(host, "GET /error?kind=%22%3C%ff", "", "", 400, "no such kind: \\\"<");
}

/* Paths and the like are for the log, and for administrators. */
static void test_our_faults_are_ours(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, "GET /error?kind=system", "", "");
	HTTP_CLEANUP_REPLY struct http_reply admin =
		http_ask(host, "GET /admin/error?kind=system", "X-Token: root\r\n", "");

	assert_int_equal(reply.status, 500);
	assert_non_null(strstr(reply.body, "a system call failed"));
	assert_null(strstr(reply.body, "secret"));
	assert_non_null(strstr(host->log.data, "0 GET /error: system: \"secret\""));
	assert_int_equal(admin.status, 500);
	assert_non_null(strstr(admin.body, "secret"));
}

static void test_other_threads_answer(void **state)
{
	struct http_host *host = *state;
	int fd = http_connect(host);

	for (int i = 0; i < 300; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };

		http_send(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
		reply = http_receive(fd, false);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.body, "later");
	}
	close(fd);
}

static void test_somebody_is_admitted(void **state)
{
	static const char *const speeds[] = { "", "X-Slow: 1\r\n" };
	struct http_host *host = *state;
	char headers[100], body[1001];

	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	for (size_t i = 0; i < KC_ARRAY_SIZE(speeds); i++) {
		assert_http(host, "GET /admin/user", speeds[i], "", 401, "who are you?");
		assert_http(host, "POST /admin/echo", speeds[i], body, 401, "who are you?");
		snprintf(headers, sizeof(headers), "%sX-Token: root\r\n", speeds[i]);
		assert_http(host, "GET /admin/user", headers, "", 200, "root, admin");
		assert_http(host, "POST /admin/echo", headers, body, 200, "1000:xxx");
		snprintf(headers, sizeof(headers), "%sX-Token: me\r\nExpect: 100-continue\r\n", speeds[i]);
		assert_http(host, "GET /admin/user", headers, "", 200, "reader, no admin");
	}
}

/* A body that nobody admitted is not even taken. */
static void test_refused_before_the_body(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
	int fd = http_connect(host);

	http_send(fd, "POST /admin/echo HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\nContent-Length: 900\r\n"
		      "Expect: 100-continue\r\n\r\n");
	reply = http_receive(fd, false);
	assert_int_equal(reply.status, 401);
	assert_true(http_is_closed(fd, 5000));
	close(fd);
}

static void test_pipelining(void **state)
{
	struct http_host *host = *state;
	int fd = http_connect(host);

	for (int i = 0; i < 50; i++)
		http_send(fd,
			  "GET /parts/%d HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n"
			  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
			  i);
	for (int i = 0; i < 150; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = http_receive(fd, false);
		char expected[20];

		snprintf(expected, sizeof(expected), "[%d][][]", i / 3);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.body, i % 3 == 0 ? expected : i % 3 == 1 ? "later" : "2:ab");
	}
	close(fd);
}

static void test_garbled_clients(void **state)
{
	static const char *const garbage[] = {
		"\r\n\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /hello\r\n\r\n",
		"GET /hello HTTP/9.9\r\nHost: x\r\n\r\n",
		"GET /hello HTTP/1.1\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"SSH-2.0-OpenSSH_9.2\r\n",
	};
	struct http_host *host = *state;
	struct kc_http_options options = usual;

	options.stall_s = 1; /* empty lines are the beginning of a request, so they are waited for */
	restart(host, options);
	for (size_t i = 0; i < KC_ARRAY_SIZE(garbage); i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
		int fd = http_connect(host);

		http_send(fd, "%s", garbage[i]);
		shutdown(fd, SHUT_WR);
		reply = http_receive(fd, false);
		if (reply.status && (reply.status < 400 || reply.status > 505))
			fail_msg("status %u for:\n%s", reply.status, garbage[i]);
		if (!http_is_closed(fd, 5000))
			fail_msg("still open after:\n%s", garbage[i]);
		close(fd);
		assert_http(host, "GET /hello", "", "", 200, "GET /hello");
	}
}

static void test_large_headers(void **state)
{
	struct http_host *host = *state;
	kc_autobuf struct kc_buf headers = { 0 };

	while (headers.size < KC_HTTP_HEADERS_MAX - 500)
		kc_buf_printf(&headers, "X-Header-%05zu: %0100d\r\n", headers.size, 1);
	assert_http(host, "GET /hello", headers.data, "", 200, "GET /hello");
	while (headers.size < KC_HTTP_HEADERS_MAX)
		kc_buf_printf(&headers, "X-Header-%05zu: %0100d\r\n", headers.size, 1);
	assert_http(host, "GET /hello", headers.data, "", 431, "over-limit");
	while (headers.size < 10 * KC_HTTP_HEADERS_MAX)
		kc_buf_printf(&headers, "X-Header-%05zu: %0100d\r\n", headers.size, 1);
	assert_http(host, "GET /hello", headers.data, "", 431, "too big");
	kc_buf_reset(&headers);
	while (headers.size < KC_HTTP_HEADERS_MAX / 2)
		kc_buf_append_str(&headers, "a:\r\n");
	assert_http(host, "GET /hello", headers.data, "", 431, "too big");
	kc_buf_reset(&headers);
	kc_buf_append_str(&headers, "GET /hello?");
	while (headers.size < 4 * KC_HTTP_HEADERS_MAX)
		kc_buf_append_str(&headers, "xxxxxxxxxxxxxxxx");
	assert_http(host, headers.data, "", "", 414, "too big");
}

static void test_address_of_the_client(void **state)
{
	struct http_host *host = *state;
	struct kc_http_options options = usual;

	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1\r\n", "", 200, "from 127.0.0.1");
	options.trusted_proxies = "127.0.0.1, 10.0.0.0/8";
	restart(host, options);
	assert_http(host, "GET /hello", "", "", 200, "from 127.0.0.1");
	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1\r\n", "", 200, "from 192.0.2.1");
	assert_http(host, "GET /hello", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", "", 200, "from 192.0.2.1");
	assert_http(host, "GET /hello", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1 , 10.1.2.3\r\n", "",
		    200, "from 192.0.2.1");
	assert_http(host, "GET /hello", "X-Forwarded-For: [2001:db8::1]:99\r\n", "", 200, "from 2001:db8::1");
	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1, unknown\r\n", "", 200, "from 127.0.0.1");
	assert_http(host, "GET /hello", "X-Forwarded-For: 10.0.0.7\r\n", "", 200, "from 10.0.0.7");
	assert_http(host, "GET /hello", "X-Forwarded-For: local\r\n", "", 200, "from 127.0.0.1");
	assert_http(host, "GET /hello", "X-Forwarded-For:\r\n", "", 200, "from 127.0.0.1");
	/* not a trusted one's */
	options.trusted_proxies = "10.0.0.0/8";
	restart(host, options);
	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1\r\n", "", 200, "from 127.0.0.1");
}

static void test_many_forwarded(void **state)
{
	struct http_host *host = *state;
	struct kc_http_options options = usual;
	kc_autobuf struct kc_buf headers = { 0 };

	options.trusted_proxies = "127.0.0.1";
	restart(host, options);
	kc_buf_append_str(&headers, "X-Forwarded-For: ");
	for (int i = 0; i < 200; i++)
		kc_buf_printf(&headers, "6.6.6.%d,", i);
	kc_buf_append_str(&headers, "192.0.2.1\r\n");
	assert_http(host, "GET /hello", headers.data, "", 200, "from 192.0.2.1");
}

static void test_socket(void **state)
{
	struct http_host *host = *state;
	struct stat stat_socket;

	assert_int_equal(stat(host->socket, &stat_socket), 0);
	assert_int_equal(stat_socket.st_mode & 0777, 0600);
	for (int i = 0; i < 2; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
		int fd = http_connect_socket(host);

		http_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
		reply = http_receive(fd, false);
		assert_string_equal(reply.body, "GET /hello from local, local");
		close(fd);
		/* one that was killed leaves its socket */
		http_host_stop(host);
		assert_int_equal(stat(host->socket, &stat_socket), -1);
		assert_int_equal(kc_file_write_atomic(host->socket, "", 0, 0600), 0);
		http_host_start(host, usual);
	}
}

/* By other users: may connect when somebody opens the socket to them, but is nobody special. */
static void test_socket_of_others(void **state)
{
	struct http_host *host = *state;
	int status, child;

	if (getuid()) {
		print_message("# needs root: skipped\n");
		skip();
	}
	assert_int_equal(chmod(host->dir, 0755) | chmod(host->socket, 0666), 0);
	child = fork();
	if (!child) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
		int fd;

		if (setresuid(65534, 65534, 65534))
			_exit(2);
		fd = http_connect_socket(host);
		http_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		reply = http_receive(fd, false);
		_exit(strcmp(reply.body, "GET /hello from local") ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* 127.0.0.0/8 is not counted: a list of proxies makes the first request's address count. */
static void test_too_many_from_one_address(void **state)
{
	struct http_host *host = *state;
	struct kc_http_options options = usual;
	int fds[3];

	options.trusted_proxies = "127.0.0.1";
	options.connections_per_address = 2;
	restart(host, options);
	for (int i = 0; i < 2; i++) {
		fds[i] = http_connect(host);
		http_send(fds[i], "GET /hold HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
	}
	wait_for_held(2);
	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1\r\n", "", 429,
		    "too many requests at a time from 192");
	assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.2\r\n", "", 200, "from 192.0.2.2");
	release_held();
	for (int i = 0; i < 2; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = http_receive(fds[i], false);

		assert_string_equal(reply.body, "released");
		close(fds[i]);
	}
	for (int i = 0; i < 5; i++)
		assert_http(host, "GET /hello", "X-Forwarded-For: 192.0.2.1\r\n", "", 200, "from 192.0.2.1");
}

static void test_too_many_connections(void **state)
{
	struct http_host *host = *state;
	struct kc_http_options options = usual;
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
	int fds[8];

	options.connections = 4;
	restart(host, options);
	for (int i = 0; i < 4; i++) {
		fds[i] = http_connect(host);
		http_send(fds[i], "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	wait_for_held(4);
	reply = http_ask(host, "GET /hello", "", "");
	assert_int_equal(reply.status, 503);
	assert_non_null(strstr(reply.body, "too many connections"));
	release_held();
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	for (int i = 0; i < 1000 && http_header(&reply, "Retry-After")[0]; i++) {
		http_reply_clear(&reply);
		reply = http_ask(host, "GET /hello", "", "");
	}
	assert_int_equal(reply.status, 200);
}

/* Nobody waits for these for ever; who is fast enough is not harmed. */
static void test_slow_clients(void **state)
{
	struct http_host *host = *state;
	struct kc_http_options options = usual;
	const struct timespec step = { .tv_nsec = 300 * 1000000 };
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
	int silent, headers, body, held;

	options.stall_s = 1;
	restart(host, options);
	silent = http_connect(host);
	headers = http_connect(host);
	body = http_connect(host);
	held = http_connect(host);
	http_send(headers, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ");
	http_send(body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
	http_send(held, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 10; i++) {
		/* each byte is some progress */
		http_send(headers, "x");
		http_send(body, "x");
		nanosleep(&step, NULL);
	}
	assert_true(http_is_closed(silent, 0));
	assert_true(http_is_closed(headers, 1000));
	assert_true(http_is_closed(body, 1000));
	release_held();
	reply = http_receive(held, false);
	assert_string_equal(reply.body, "released");
	close(silent);
	close(headers);
	close(body);
	close(held);
}

static void test_large_answer(void **state)
{
	struct http_host *host = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, "GET /big", "", "");

	assert_int_equal(reply.status, 200);
	assert_int_equal(reply.size, BIG);
	assert_int_equal(reply.body[0], 0);
}

/* Asks, and takes no more of the answer than the kernel does by itself. */
static int ask_and_wait(struct http_host *host, const char *path)
{
	const int little = 4096;
	int fd = http_connect(host);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
	http_send(fd, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 20000), 1);
	return fd;
}

static unsigned status_of(struct http_host *host, const char *what)
{
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(host, what, "", "");

	return reply.status;
}

/* Clients that take none of it: there is an end to what memory holds for them. */
static void test_large_answers_at_a_time(void **state)
{
	const struct timespec step = { .tv_nsec = 10000000 };
	struct http_host *host = *state;
	struct kc_http_options options = usual;
	unsigned status = 0;
	int first, second;

	options.answers_max = 2 * BIG;
	restart(host, options);
	first = ask_and_wait(host, "/big");
	second = ask_and_wait(host, "/big");
	assert_http(host, "GET /big", "", "", 503, "busy");
	assert_http(host, "GET /hello", "", "", 200, "GET /hello");
	close(first);
	for (int tries = 0; tries < 2000 && status != 200; tries++) {
		nanosleep(&step, NULL);
		status = status_of(host, "GET /big");
	}
	assert_int_equal(status, 200);
	close(second);
}

/* A client that does not take its answer, and others that are gone. */
static void test_clients_that_do_not_listen(void **state)
{
	struct http_host *host = *state;
	int fds[20];

	for (size_t i = 0; i < KC_ARRAY_SIZE(fds); i++) {
		fds[i] = http_connect(host);
		http_send(fds[i], "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", i % 2 ? "big" : "later");
		close(fds[i]);
	}
	assert_http(host, "GET /hello", "", "", 200, "GET /hello");
}

static void *stop(void *host)
{
	http_host_stop(host);
	return NULL;
}

static void test_stop_waits_for_handlers(void **state)
{
	struct http_host *host = *state;
	const struct timespec a_while = { .tv_nsec = 100 * 1000000 };
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 }, late = { 0 };
	int fd = http_connect(host), idle = http_connect(host);
	pthread_t thread;

	http_send(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	late = http_receive(idle, false);
	assert_int_equal(late.status, 200);
	http_reply_clear(&late);
	http_send(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for_held(1);
	assert_int_equal(pthread_create(&thread, NULL, stop, host), 0);
	nanosleep(&a_while, NULL);
	http_send(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	late = http_receive(idle, false);
	assert_int_equal(late.status, 503);
	release_held();
	reply = http_receive(fd, false);
	assert_string_equal(reply.body, "released");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(http_is_closed(fd, 0) && http_is_closed(idle, 0));
	close(fd);
	close(idle);
}

struct storm {
	struct http_host *host;
	volatile bool is_over;
	size_t n_answered;
};

/* Until the server is gone: each connection is answered, or closed. */
static void *storm(void *data)
{
	struct storm *storm = data;

	while (!storm->is_over) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
		int fd = http_connect_socket(storm->host);

		for (int i = 0; i < 20 && !storm->is_over; i++) {
			http_send(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
			http_reply_clear(&reply);
			reply = http_receive(fd, false);
			if (reply.status == 200)
				storm->n_answered++;
			if (reply.status != 200)
				storm->is_over = true;
		}
		close(fd);
	}
	return NULL;
}

static void test_stop_in_a_storm(void **state)
{
	struct http_host *host = *state;
	const struct timespec a_while = { .tv_nsec = 50 * 1000000 };
	struct storm storms[4];
	pthread_t threads[KC_ARRAY_SIZE(storms)];

	for (size_t i = 0; i < KC_ARRAY_SIZE(storms); i++) {
		storms[i] = (struct storm){ .host = host };
		assert_int_equal(pthread_create(&threads[i], NULL, storm, &storms[i]), 0);
	}
	nanosleep(&a_while, NULL);
	/* all of them hear of it before the socket goes away */
	kc_http_server_close(host->server);
	for (size_t i = 0; i < KC_ARRAY_SIZE(storms); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(storms[i].n_answered > 0);
	}
	http_host_stop(host);
}

static void test_where_it_cannot_listen(void **state)
{
	struct http_host *host = *state;
	struct kc_http_server *server = NULL;
	struct kc_http_options options = usual;
	char listen[32];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", kc_http_server_port(host->server));
	options.listen = listen;
	options.threads = options.connections = options.connections_per_address = 1;
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_SYSTEM, listen);
	options.listen = "somewhere";
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_INPUT, "somewhere");
	options.listen = "127.0.0.1:0";
	options.trusted_proxies = "everybody";
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_INPUT, "everybody");
	options.trusted_proxies = NULL;
	options.socket = "/nowhere/at/all";
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_SYSTEM, "/nowhere/at/all");
	options.socket = NULL;
	options.tls_certificate = "/nowhere/cert.pem";
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_CONFIG, "both");
	options.tls_key = "/nowhere/key.pem";
	assert_kc_error(kc_http_server_start(host->ctx, &options, &server), KC_ERR_CONFIG, "/nowhere/cert.pem");
	assert_null(server);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_routes),
		TEST(test_methods),
		TEST(test_paths_are_plain),
		TEST(test_queries),
		TEST(test_bodies),
		TEST(test_chunked_bodies),
		TEST(test_huge_bodies),
		TEST(test_bodies_are_spooled),
		TEST(test_half_a_body),
		TEST(test_errors_are_json),
		TEST(test_our_faults_are_ours),
		TEST(test_other_threads_answer),
		TEST(test_somebody_is_admitted),
		TEST(test_refused_before_the_body),
		TEST(test_pipelining),
		TEST(test_garbled_clients),
		TEST(test_large_headers),
		TEST(test_address_of_the_client),
		TEST(test_many_forwarded),
		TEST(test_socket),
		TEST(test_socket_of_others),
		TEST(test_too_many_from_one_address),
		TEST(test_too_many_connections),
		TEST(test_slow_clients),
		TEST(test_large_answer),
		TEST(test_large_answers_at_a_time),
		TEST(test_clients_that_do_not_listen),
		TEST(test_stop_waits_for_handlers),
		TEST(test_stop_in_a_storm),
		TEST(test_where_it_cannot_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
