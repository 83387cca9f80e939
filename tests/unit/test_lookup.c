/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What looks at many servers keeps nobody else waiting, and has an end. */
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "http_host.h"
#include "kc_assert.h"
#include "portal/api/lookup.h"

enum { SLOW = 5, ALL = 1 + 100 + SLOW };

static sem_t may_go_on;

static void reply(struct kc_http_request *request)
{
	struct kc_http_answer answer = { 0 };

	kc_buf_append_str(&answer.body, "done");
	kc_http_reply(request, &answer);
}

static void answer_slowly(struct kc_portal *portal, struct kc_http_request *request)
{
	(void)portal;
	sem_wait(&may_go_on);
	reply(request);
}

static void answer_at_once(struct kc_portal *portal, struct kc_http_request *request)
{
	(void)portal;
	reply(request);
}

static void slow(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_slowly);
}

static void quick(void *data, struct kc_http_request *request)
{
	kc_lookup(data, request, answer_at_once);
}

static void direct(void *data, struct kc_http_request *request)
{
	(void)data;
	reply(request);
}

static void admit(void *data, struct kc_http_request *request, enum kc_http_role role)
{
	(void)data;
	(void)role;
	kc_http_admitted(request, NULL);
}

static const struct kc_http_route routes[] = {
	{ "GET", "/agent", KC_HTTP_AGENT, 0, false, slow },
	{ "GET", "/user", KC_HTTP_READONLY, 0, false, quick },
	{ "GET", "/direct", KC_HTTP_EVERYBODY, 0, false, direct },
};

struct fixture {
	struct http_host host;
	struct kc_portal portal;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	sem_init(&may_go_on, 0, 0);
	assert_kc_ok(kc_lookups_new(&fixture->portal.lookups));
	http_host_open(&fixture->host);
	http_host_start(&fixture->host, (struct kc_http_options){ .routes = routes,
								  .n_routes = KC_ARRAY_SIZE(routes),
								  .admit = admit,
								  .connections = 1000,
								  .data = &fixture->portal });
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	http_host_close(&fixture->host);
	kc_lookups_free(fixture->portal.lookups);
	sem_destroy(&may_go_on);
	free(fixture);
	return 0;
}

static void ask_slowly(struct http_host *host, int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = http_connect(host);
		http_send(fds[i], "GET /agent HTTP/1.1\r\nHost: x\r\n\r\n");
	}
}

/* How many of them are answered with this status. */
static size_t count_answers(const int *fds, size_t n, unsigned status)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		HTTP_CLEANUP_REPLY struct http_reply reply = http_receive(fds[i], false);

		found += reply.status == status;
		close(fds[i]);
	}
	return found;
}

static void nobody_else_waits(void **state)
{
	struct fixture *fixture = *state;
	int fds[SLOW];

	ask_slowly(&fixture->host, fds, SLOW);
	/* more connections than threads: each thread has one of both */
	for (int i = 0; i < 2 * SLOW; i++) {
		assert_http(&fixture->host, "GET /direct", "", "", 200, "done");
		assert_http(&fixture->host, "GET /user", "", "", 200, "done");
	}
	for (int i = 0; i < SLOW; i++)
		sem_post(&may_go_on);
	assert_int_equal(count_answers(fds, SLOW, 200), SLOW);
	kc_lookups_stop(fixture->portal.lookups);
}

static void wait_for_answers(const int *fds, size_t n, size_t wanted)
{
	struct pollfd polled[ALL];
	size_t found = 0;

	for (int tries = 0; tries < 2000 && found < wanted; tries++) {
		for (size_t i = 0; i < n; i++)
			polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
		poll(polled, n, 10);
		found = 0;
		for (size_t i = 0; i < n; i++)
			found += polled[i].revents != 0;
	}
	assert_int_equal(found, wanted);
}

/* One is being made, as many as may wait do, the others are refused at once. */
static void too_many_are_refused(void **state)
{
	struct fixture *fixture = *state;
	int fds[ALL];

	ask_slowly(&fixture->host, fds, ALL);
	wait_for_answers(fds, ALL, SLOW);
	for (int i = 0; i < ALL; i++)
		sem_post(&may_go_on);
	assert_int_equal(count_answers(fds, ALL, 200), ALL - SLOW);
	kc_lookups_stop(fixture->portal.lookups);
}

static void at_the_end_all_are_refused(void **state)
{
	struct fixture *fixture = *state;

	kc_lookups_stop(fixture->portal.lookups);
	assert_http(&fixture->host, "GET /agent", "", "", 503, "busy");
	assert_http(&fixture->host, "GET /user", "", "", 503, "busy");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_else_waits),
		TEST(too_many_are_refused),
		TEST(at_the_end_all_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
