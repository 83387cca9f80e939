/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which entry of a target list a host should run: a pure function, so every rule by itself and all of them together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "repo/choice.h"

#define DAY 86400
#define NOW ((int64_t)1795500000) /* 2026-11-24, 06:00 UTC */
#define MIDNIGHT (NOW - 6 * 3600)
#define BUILD_ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER_ID "ffffffffffffffffffffffffffffffffffffffff"

/* Names the test gives: the entry keeps the pointers. */
static struct kc_target_entry entry(const char *type, uint32_t level, const char *patchset, int64_t released)
{
	return (struct kc_target_entry){
		.type = (char *)type, .level = level, .patchset = (char *)patchset, .released = released, .rollout = 100
	};
}

static struct kc_choice_policy policy_of(const char *type)
{
	return (struct kc_choice_policy){ .type = type, .now = NOW, .host = "host" };
}

static void assert_picked(struct kc_target_entry *entries, size_t n, const char *target,
			  const struct kc_choice_policy *policy, const char *type, uint32_t level)
{
	const struct kc_target_list list = { .entries = entries, .n_entries = n };
	const struct kc_target_entry *picked = kc_choice_pick(&list, target, policy);

	if (!level && picked)
		fail_msg("level %u was picked, expected none", picked->level);
	if (level && !picked)
		fail_msg("nothing was picked, expected level %u", level);
	if (!picked)
		return;
	assert_int_equal(picked->level, level);
	assert_string_equal(picked->type, type);
}

#define PICKED(entries, policy, type, level) \
	assert_picked(entries, sizeof(entries) / sizeof((entries)[0]), NULL, &(policy), type, level)

static void of_nothing_nothing_is_picked(void **state)
{
	const struct kc_target_list empty = { 0 };
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	assert_null(kc_choice_pick(&empty, NULL, &policy));
	assert_null(kc_choice_pick(&empty, BUILD_ID, &policy));
	assert_null(kc_choice_find(&empty, NULL, "default", 1));
}

static void the_newest_level_counts_not_the_newest_date(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 9, "K20261101_01", NOW - 9 * DAY),
		entry("default", 10, "K20261002_01", NOW - 20 * DAY),
		entry("default", 2, "K20261103_01", NOW - DAY),
	};
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	PICKED(entries, policy, "default", 10);
	entries[1].level = UINT32_MAX;
	PICKED(entries, policy, "default", UINT32_MAX);
}

static void a_target_without_the_type_gets_default(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 5, "K20261101_01", NOW - DAY),
		entry("extra", 3, "K20261102_01", NOW - DAY),
	};
	struct kc_choice_policy extra = policy_of("extra"), free_type = policy_of("free");

	(void)state;
	PICKED(entries, extra, "extra", 3);
	PICKED(entries, free_type, "default", 5);
	/* one that may not have it now is not moved to another type */
	entries[1].blocked = true;
	PICKED(entries, extra, "extra", 0);
	entries[0].type = (char *)"free";
	extra.type = "default";
	PICKED(entries, extra, "default", 0);
}

static void a_delay_counts_by_the_second(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20261101_01", NOW - 2 * DAY),
		entry("default", 2, "K20261102_01", NOW - DAY + 1),
	};
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	policy.delay_s = DAY;
	PICKED(entries, policy, "default", 1);
	policy.now++;
	PICKED(entries, policy, "default", 2);
	policy.delay_s = 2 * DAY + 2;
	PICKED(entries, policy, "default", 0);
	/* not before its time, although nobody asked for a delay */
	policy = policy_of("default");
	entries[1].released = NOW + 1;
	PICKED(entries, policy, "default", 1);
	policy.now++;
	PICKED(entries, policy, "default", 2);
}

static void a_sticky_day_ends_at_midnight(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20261101_01", MIDNIGHT - 3 * DAY),
		entry("default", 2, "K20261102_01", MIDNIGHT - DAY),
		entry("default", 3, "K20261103_01", MIDNIGHT - 1),
		entry("default", 4, "K20261104_01", MIDNIGHT),
	};
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	policy.before = MIDNIGHT;
	PICKED(entries, policy, "default", 3);
	policy.before = MIDNIGHT - DAY;
	PICKED(entries, policy, "default", 1);
	policy.before = MIDNIGHT + 1;
	PICKED(entries, policy, "default", 4);
	policy.before = MIDNIGHT - 30 * DAY;
	PICKED(entries, policy, "default", 0);
}

static void a_pin_holds_back_newer_patchsets_of_its_letter(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20230907_09", 1), entry("default", 2, "K20230908_02", 2),
		entry("default", 3, "K20230908_03", 3), entry("default", 4, "K20230908_10", 4),
		entry("default", 5, "K20240101_01", 5),
	};
	struct kc_target_entry user[] = { entry("default", 7, "U20240101_01-qemu", 1) };
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	policy.not_newer = "K20230908_02";
	PICKED(entries, policy, "default", 2);
	policy.not_newer = "K20230908_03"; /* need not exist */
	entries[2].patchset = (char *)"K20230908_04";
	PICKED(entries, policy, "default", 2);
	policy.not_newer = "K20230908_11";
	PICKED(entries, policy, "default", 4);
	policy.not_newer = "K20200101_01";
	PICKED(entries, policy, "default", 0);
	policy.not_newer = "";
	PICKED(entries, policy, "default", 5);
	policy.not_newer = "K20230908_02"; /* says nothing of libraries */
	PICKED(user, policy, "default", 7);
	policy.not_newer = "U20240101_01";
	PICKED(user, policy, "default", 7);
	policy.not_newer = "U20231231_99";
	PICKED(user, policy, "default", 0);
}

static void what_is_blocked_is_never_picked(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20261101_01", 1),
		entry("default", 2, "K20261102_01", 2),
		entry("default", 3, "K20261103_01", 3),
	};
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	entries[2].blocked = true;
	PICKED(entries, policy, "default", 2);
	entries[1].blocked = true;
	PICKED(entries, policy, "default", 1);
	entries[0].blocked = true;
	PICKED(entries, policy, "default", 0);
}

static bool is_level(const void *data, const struct kc_target_entry *found)
{
	return found->level == *(const uint32_t *)data;
}

static void the_host_may_leave_out_more(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20261101_01", 1),
		entry("default", 2, "K20261102_01", 2),
	};
	struct kc_choice_policy policy = policy_of("default");
	uint32_t crashed = 2;

	(void)state;
	policy.leaves_out = is_level;
	policy.data = &crashed;
	PICKED(entries, policy, "default", 1);
}

static void a_rollout_is_stable_and_only_grows(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "K20261101_01", 1),
		entry("default", 2, "K20261102_01", 2),
	};
	enum { HOSTS = 10000 };
	unsigned n_in = 0, n_in_other = 0, n_in_both = 0;

	(void)state;
	entries[1].rollout = 30;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct kc_choice_policy policy = policy_of("default");
		char host[32];
		bool is_in;

		snprintf(host, sizeof(host), "host-%u", i);
		policy.host = host;
		is_in = kc_choice_is_in_rollout(host, "K20261102_01", 30);
		PICKED(entries, policy, "default", is_in ? 2 : 1);
		n_in += is_in;
		n_in_other += kc_choice_is_in_rollout(host, "K20261103_01", 30);
		n_in_both += is_in && kc_choice_is_in_rollout(host, "K20261103_01", 30);
		/* later, elsewhere, with other entries around it: the same answer; and nobody falls out again */
		policy.now += 7 * DAY;
		PICKED(entries, policy, "default", is_in ? 2 : 1);
		assert_true(!is_in || kc_choice_is_in_rollout(host, "K20261102_01", 31));
		assert_true(!kc_choice_is_in_rollout(host, "K20261102_01", 1) || is_in);
		assert_true(kc_choice_is_in_rollout(host, "K20261102_01", 100));
		assert_false(kc_choice_is_in_rollout(host, "K20261102_01", 0));
	}
	assert_in_range(n_in, HOSTS * 28 / 100, HOSTS * 32 / 100);
	assert_in_range(n_in_other, HOSTS * 28 / 100, HOSTS * 32 / 100);
	assert_in_range(n_in_both, HOSTS * 7 / 100, HOSTS * 11 / 100); /* not always the same hosts go first */
	assert_true(kc_choice_is_in_rollout(NULL, "K20261102_01", 100));
}

static void of_two_builds_of_a_level_the_newer_counts(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 3, "K20261102_01", 5),
		entry("default", 3, "K20261101_01", 9),
		entry("default", 3, "K20261101_02", 9),
		entry("default", 3, "K20261103_01", 1),
	};
	const struct kc_target_list list = { .entries = entries, .n_entries = 4 };
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	assert_string_equal(kc_choice_pick(&list, NULL, &policy)->patchset, "K20261101_02");
	entries[2].blocked = true;
	assert_string_equal(kc_choice_pick(&list, NULL, &policy)->patchset, "K20261101_01");
}

/* Twenty levels, one each day at noon. */
static void a_long_history_answers_every_question(void **state)
{
	struct kc_target_entry entries[20];
	char names[20][16];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(names[i], sizeof(names[i]), "K202611%02u_01", i + 1);
		entries[i] = entry("default", i + 1, names[i], MIDNIGHT - (23 - i) * DAY + DAY / 2);
	}
	for (unsigned i = 0; i < 20; i++) {
		struct kc_choice_policy sticky = policy_of("default"), pin = sticky, delay = sticky, all = sticky;

		sticky.before = MIDNIGHT - (22 - i) * DAY;
		PICKED(entries, sticky, "default", i + 1);
		pin.not_newer = names[i];
		PICKED(entries, pin, "default", i + 1);
		delay.delay_s = NOW - entries[i].released;
		PICKED(entries, delay, "default", i + 1);
		/* the narrowest of all rules decides, then the block takes one more */
		all.before = MIDNIGHT - (22 - i) * DAY;
		all.not_newer = names[i / 2];
		entries[i / 2].blocked = true;
		PICKED(entries, all, "default", i / 2);
		entries[i / 2].blocked = false;
	}
}

static void build_ids_of_one_list_do_not_mix(void **state)
{
	struct kc_target_entry entries[] = {
		entry("default", 1, "U20261101_01", 1),
		entry("default", 2, "U20261102_01", 2),
		entry("extra", 9, "U20261103_01", 3),
	};
	struct kc_target_list list = { .entries = entries, .n_entries = 3 };
	struct kc_choice_policy policy = policy_of("default");

	(void)state;
	entries[0].target = (char *)BUILD_ID;
	entries[1].target = entries[2].target = (char *)OTHER_ID;
	assert_picked(entries, 3, BUILD_ID, &policy, "default", 1);
	assert_picked(entries, 3, OTHER_ID, &policy, "default", 2);
	assert_picked(entries, 3, NULL, &policy, "default", 0); /* a kernel's entry has no target of its own */
	policy.type = "extra";					/* is for one of them */
	assert_picked(entries, 3, BUILD_ID, &policy, "default", 1);
	assert_picked(entries, 3, OTHER_ID, &policy, "extra", 9);
	assert_ptr_equal(kc_choice_find(&list, OTHER_ID, "extra", 9), &entries[2]);
	assert_null(kc_choice_find(&list, BUILD_ID, "extra", 9));
	assert_null(kc_choice_find(&list, OTHER_ID, "default", 9));
	assert_null(kc_choice_find(&list, NULL, "default", 1));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_nothing_nothing_is_picked),
		cmocka_unit_test(the_newest_level_counts_not_the_newest_date),
		cmocka_unit_test(a_target_without_the_type_gets_default),
		cmocka_unit_test(a_delay_counts_by_the_second),
		cmocka_unit_test(a_sticky_day_ends_at_midnight),
		cmocka_unit_test(a_pin_holds_back_newer_patchsets_of_its_letter),
		cmocka_unit_test(what_is_blocked_is_never_picked),
		cmocka_unit_test(the_host_may_leave_out_more),
		cmocka_unit_test(a_rollout_is_stable_and_only_grows),
		cmocka_unit_test(of_two_builds_of_a_level_the_newer_counts),
		cmocka_unit_test(a_long_history_answers_every_question),
		cmocka_unit_test(build_ids_of_one_list_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
