/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often something failed: what counts, for how long, and whom strangers cannot push out or lock out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kc_assert.h"
#include "portal/http/limits.h"

enum { NOW = 1000, STRANGERS = 100000, DAY_S = 86400 };

static int set_up(void **state)
{
	assert_kc_ok(kc_limits_new((struct kc_limits **)state));
	return 0;
}

static int tear_down(void **state)
{
	kc_limits_free(*state);
	return 0;
}

static void fail_often(struct kc_limits *limits, enum kc_limit_kind kind, const char *name, int64_t now)
{
	for (int i = 0; i < KC_LIMIT_FAILURES; i++) {
		assert_false(kc_limits_is_over(limits, kind, name, now));
		kc_limits_count(limits, kind, name, now);
	}
}

static void a_window_passes(void **state)
{
	fail_often(*state, KC_LIMIT_ACCOUNTS, "admin", NOW);
	assert_true(kc_limits_is_over(*state, KC_LIMIT_ACCOUNTS, "admin", NOW));
	assert_true(kc_limits_is_over(*state, KC_LIMIT_ACCOUNTS, "admin", NOW + KC_LIMIT_WINDOW_S - 1));
	fail_often(*state, KC_LIMIT_ACCOUNTS, "admin", NOW + KC_LIMIT_WINDOW_S);
	assert_true(kc_limits_is_over(*state, KC_LIMIT_ACCOUNTS, "admin", NOW + KC_LIMIT_WINDOW_S));
}

/* An account may have the name that an address has. */
static void kinds_are_apart(void **state)
{
	fail_often(*state, KC_LIMIT_ACCOUNTS, "192.0.2.1", NOW);
	assert_false(kc_limits_is_over(*state, KC_LIMIT_ADDRESSES, "192.0.2.1", NOW));
	assert_false(kc_limits_is_over(*state, KC_LIMIT_ACCOUNTS, "192.0.2.2", NOW));
}

/* A whole fleet may stand behind one address. */
static void registrations_may_be_many(void **state)
{
	for (int i = 0; i < KC_LIMIT_REGISTRATIONS_MAX; i++) {
		assert_false(kc_limits_is_over(*state, KC_LIMIT_REGISTRATIONS, "192.0.2.1", NOW));
		kc_limits_count(*state, KC_LIMIT_REGISTRATIONS, "192.0.2.1", NOW);
	}
	assert_true(kc_limits_is_over(*state, KC_LIMIT_REGISTRATIONS, "192.0.2.1", NOW));
}

static void a_server_is_heard_often(void **state)
{
	for (int i = 0; i < KC_LIMIT_CHECKINS_MAX; i++) {
		assert_false(kc_limits_is_over(*state, KC_LIMIT_CHECKINS, "one", NOW));
		kc_limits_count(*state, KC_LIMIT_CHECKINS, "one", NOW);
	}
	assert_true(kc_limits_is_over(*state, KC_LIMIT_CHECKINS, "one", NOW));
	assert_false(kc_limits_is_over(*state, KC_LIMIT_CHECKINS, "other", NOW));
	assert_false(kc_limits_is_over(*state, KC_LIMIT_CHECKINS, "one", NOW + KC_LIMIT_WINDOW_S));
}

static void many_strangers(struct kc_limits *limits, enum kc_limit_kind kind)
{
	char name[32];

	for (int i = 0; i < STRANGERS; i++) {
		snprintf(name, sizeof(name), "stranger %d", i);
		kc_limits_count(limits, kind, name, NOW + 1);
	}
}

static void strangers_push_nobody_out(void **state)
{
	fail_often(*state, KC_LIMIT_ACCOUNTS, "admin", NOW);
	many_strangers(*state, KC_LIMIT_ACCOUNTS);
	many_strangers(*state, KC_LIMIT_SERVERS);
	assert_true(kc_limits_is_over(*state, KC_LIMIT_ACCOUNTS, "admin", NOW + 1));
}

/* However large the fleet is. */
static void who_comes_too_often_is_not_forgotten_among_many(void **state)
{
	for (int i = 0; i < KC_LIMIT_CHECKINS_MAX; i++)
		kc_limits_count(*state, KC_LIMIT_CHECKINS, "one", NOW);
	many_strangers(*state, KC_LIMIT_CHECKINS);
	assert_true(kc_limits_is_over(*state, KC_LIMIT_CHECKINS, "one", NOW + 1));
}

static void who_was_right_is_known_there(void **state)
{
	assert_false(kc_limits_is_known(*state, "admin", "192.0.2.1", NOW));
	kc_limits_know(*state, "admin", "192.0.2.1", NOW);
	assert_true(kc_limits_is_known(*state, "admin", "192.0.2.1", NOW + DAY_S));
	assert_false(kc_limits_is_known(*state, "admin", "192.0.2.2", NOW));
	assert_false(kc_limits_is_known(*state, "other", "192.0.2.1", NOW));
	assert_false(kc_limits_is_known(*state, "admin", "192.0.2.1", NOW + 31 * DAY_S));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_window_passes),
		TEST(kinds_are_apart),
		TEST(registrations_may_be_many),
		TEST(a_server_is_heard_often),
		TEST(strangers_push_nobody_out),
		TEST(who_comes_too_often_is_not_forgotten_among_many),
		TEST(who_was_right_is_known_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
