/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Target lists and the userspace index between their structs and JSON; names of feeds; paths of blobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "repo/target_list.h"
#include "sample.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KERNEL_PATH "kernel/" SAMPLE_KERNEL_ID
#define USER_PATH "user/debian12/libssl3"

static void assert_error(struct kc_error *err, enum kc_error_code code, const char *text)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s with '%s'", kc_error_code_name(code), text);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s, expected %s with '%s'", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code), text);
}

/* Two entries; strings are the caller's to free through kc_target_list_clear(). */
static void make_list(struct kc_target_list *list, const char *path, const char *target)
{
	*list = (struct kc_target_list){ strdup("main"), strdup(path), strdup("6.1.0-47-amd64 (debian12)"),
					 calloc(2, sizeof(struct kc_target_entry)), 2 };
	for (size_t i = 0; i < 2; i++)
		list->entries[i] = (struct kc_target_entry){
			.target = target ? strdup(target) : NULL,
			.type = strdup("default"),
			.level = (uint32_t)i + 1,
			.patchset = strdup(target ? "U20261123_01" : "K20261123_01"),
			.released = 1795467600,
			.hash = HASH,
			.size = 1000 + i,
			.blocked = i == 1,
			.rollout = i ? 30 : 100,
		};
}

static struct kc_error *decode_text(const char *text, const char *path)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };

	return kc_target_list_decode(text, strlen(text), "main", path, &list);
}

static void check_round_trip(const char *path, const char *target)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list, again = { 0 };
	kc_autobuf struct kc_buf text = { 0 }, text_again = { 0 };

	make_list(&list, path, target);
	assert_null(kc_target_list_encode(&list, &text));
	assert_null(kc_target_list_decode(text.data, text.size, "main", path, &again));
	assert_int_equal(again.n_entries, 2);
	assert_string_equal(again.title, list.title);
	assert_false(again.entries[0].blocked);
	assert_int_equal(again.entries[0].rollout, 100);
	assert_true(again.entries[1].blocked);
	assert_int_equal(again.entries[1].rollout, 30);
	assert_int_equal(again.entries[1].level, 2);
	assert_int_equal(again.entries[1].released, 1795467600);
	assert_string_equal(again.entries[1].hash, HASH);
	if (target)
		assert_string_equal(again.entries[1].target, target);
	else
		assert_null(again.entries[1].target);
	assert_null(kc_target_list_encode(&again, &text_again));
	assert_string_equal(text.data, text_again.data);
}

static void lists_come_back(void **state)
{
	(void)state;
	check_round_trip(KERNEL_PATH, NULL);
	check_round_trip(USER_PATH, SAMPLE_BUILD_ID);
}

static void other_feeds_and_paths_are_told_apart(void **state)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list, a = { 0 }, b = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	make_list(&list, KERNEL_PATH, NULL);
	assert_null(kc_target_list_encode(&list, &text));
	assert_error(kc_target_list_decode(text.data, text.size, "test", KERNEL_PATH, &a), KC_ERR_WRONG_FEED,
		     "the feed 'main', not for 'test'");
	assert_error(kc_target_list_decode(text.data, text.size, "main", USER_PATH, &b), KC_ERR_WRONG_TARGET,
		     "a list for '" KERNEL_PATH "', not for '" USER_PATH "'");
}

/* One entry of a list for kernels, and the list around it. */
#define ENTRY(extra, level, patchset, sha, size, type)                                                       \
	"{" extra "\"level\":" level ",\"patchset\":\"" patchset "\",\"released\":5,\"sha256\":\"" sha "\"," \
	"\"size\":" size ",\"type\":\"" type "\"}"
#define LIST(entries)                                                                                          \
	"{\"document\":\"kcare-target-1\",\"entries\":[" entries "],\"feed\":\"main\",\"path\":\"" KERNEL_PATH \
	"\",\"title\":\"x\"}"
#define GOOD ENTRY("", "1", "K20261123_01", HASH, "10", "default")

static void wrong_values_are_refused(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{ LIST(""), "no entries" },
		{ LIST(GOOD "," GOOD), "the order" },
		{ LIST(ENTRY("", "0", "K20261123_01", HASH, "10", "default")), "a number or a hash" },
		{ LIST(ENTRY("", "1000001", "K20261123_01", HASH, "10", "default")), "a number or a hash" },
		{ LIST(ENTRY("", "1", "U20261123_01", HASH, "10", "default")), "the patchset" },
		{ LIST(ENTRY("", "1", "K../../etc", HASH, "10", "default")), "the patchset" },
		{ LIST(ENTRY("", "1", "K20261123_01", "abc", "10", "default")), "a number or a hash" },
		{ LIST(ENTRY("", "1", "K20261123_01", HASH, "0", "default")), "a number or a hash" },
		{ LIST(ENTRY("", "1", "K20261123_01", HASH, "10", "other")), "the type" },
		{ LIST(ENTRY("\"blocked\":1,", "1", "K20261123_01", HASH, "10", "default")), "not a list" },
		{ LIST("7"), "not a list" },
		{ "{\"document\":\"kcare-target-2\",\"entries\":[" GOOD "],\"feed\":\"main\",\"path\":\"" KERNEL_PATH
		  "\",\"title\":\"x\"}",
		  "a document 'kcare-target-2'" },
		{ "{}", "not a list" },
		{ "[]", "not a list" },
		{ "", "" },
		{ LIST(GOOD) " ", "" },
	};

	(void)state;
	assert_null(decode_text(LIST(GOOD), KERNEL_PATH));
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++)
		assert_error(decode_text(cases[i].text, KERNEL_PATH), KC_ERR_CORRUPT, cases[i].problem);
}

static void what_is_wrong_is_not_written(void **state)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list;
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	make_list(&list, KERNEL_PATH, NULL);
	list.entries[0].level = 2;
	assert_error(kc_target_list_encode(&list, &text), KC_ERR_CORRUPT, "the order");
	list.entries[0].level = 1;
	list.entries[0].rollout = 101;
	assert_error(kc_target_list_encode(&list, &text), KC_ERR_CORRUPT, "the rollout");
	list.entries[0].rollout = 100;
	list.entries[0].target = strdup(SAMPLE_BUILD_ID);
	assert_error(kc_target_list_encode(&list, &text), KC_ERR_CORRUPT, "the target");
	assert_int_equal(text.size, 0);
}

static void the_index_comes_back(void **state)
{
	char prefixes[2][KC_USER_INDEX_PREFIX_SIZE] = { "0123abcd", "93ac615d" };
	char short_prefix[1][KC_USER_INDEX_PREFIX_SIZE] = { "93ac" };
	struct kc_user_index_package packages[] = { { (char *)"user/debian12/libc6", prefixes, 2 },
						    { (char *)USER_PATH, short_prefix, 1 } };
	struct kc_user_package_index index = { packages, 2 };
	KC_CLEANUP_USER_PACKAGE_INDEX struct kc_user_package_index again = { 0 }, other = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	assert_null(kc_user_package_index_encode(&index, "main", &text));
	assert_null(kc_user_package_index_decode(text.data, text.size, "main", &again));
	assert_int_equal(again.n_packages, 2);
	assert_string_equal(again.packages[0].path, "user/debian12/libc6");
	assert_string_equal(again.packages[0].prefixes[1], "93ac615d");
	assert_int_equal(again.packages[1].n_prefixes, 1);
	assert_string_equal(again.packages[1].prefixes[0], "93ac");
	assert_error(kc_user_package_index_decode(text.data, text.size, "test", &other), KC_ERR_WRONG_FEED, "'test'");
}

static void wrong_indexes_are_refused(void **state)
{
	static const char *const packages[] = {
		"7",
		"{\"user/debian12\":[\"0123abcd\"]}",
		"{\"user/debian12/../x\":[\"0123abcd\"]}",
		"{\"user/debian12/libc6\":[]}",
		"{\"user/debian12/libc6\":[\"0123abcd\",\"0123abcd\"]}",
		"{\"user/debian12/libc6\":[\"93ac615d\",\"0123abcd\"]}",
		"{\"user/debian12/libc6\":[\"0123abcd9\"]}",
		"{\"user/debian12/libc6\":[\"\"]}",
		"{\"user/debian12/libc6\":[\"0123ABCD\"]}",
		"{\"user/debian12/libc6\":[7]}",
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(packages); i++) {
		KC_CLEANUP_USER_PACKAGE_INDEX struct kc_user_package_index index = { 0 };
		kc_autobuf struct kc_buf text = { 0 };

		kc_buf_printf(&text, "{\"document\":\"kcare-user-index-1\",\"feed\":\"main\",\"packages\":%s}",
			      packages[i]);
		assert_error(kc_user_package_index_decode(text.data, text.size, "main", &index), KC_ERR_CORRUPT,
			     "not an index");
	}
}

static void names_of_feeds(void **state)
{
	static const char *const good[] = { "main", "test", "a", "web-01.prod_x", "2026" };
	static const char *const bad[] = { "", "12h", "24h", "48h", "Main", "a/b", "..", ".a", "-a", "_a", "a b", "ä" };
	char longest[66];

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(good); i++)
		assert_true(kc_feed_name_is_valid(good[i]));
	for (size_t i = 0; i < KC_ARRAY_SIZE(bad); i++)
		assert_false(kc_feed_name_is_valid(bad[i]));
	memset(longest, 'a', 65);
	longest[65] = '\0';
	assert_false(kc_feed_name_is_valid(longest));
	longest[64] = '\0';
	assert_true(kc_feed_name_is_valid(longest));
}

static void paths_of_blobs(void **state)
{
	kc_autofree char *path = kc_blob_path(HASH);

	(void)state;
	assert_string_equal(path, "blobs/01/" HASH ".kpatch");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_come_back),	    cmocka_unit_test(other_feeds_and_paths_are_told_apart),
		cmocka_unit_test(wrong_values_are_refused), cmocka_unit_test(what_is_wrong_is_not_written),
		cmocka_unit_test(the_index_comes_back),	    cmocka_unit_test(wrong_indexes_are_refused),
		cmocka_unit_test(names_of_feeds),	    cmocka_unit_test(paths_of_blobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
