/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Repository metadata: what is written is what TUF says, and what is read is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "repo/metadata.h"
#include "sample.h"
#include "sample_feed.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EXPIRES SAMPLE_NOW

/* `document` borrows `files`. */
static json_t *encode(enum kc_repo_role role, struct kc_repo_meta *files, size_t n_files, unsigned bin_bits)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	char feed[] = "main";
	const struct kc_repo_document document = { 1795467600, EXPIRES, feed, files, n_files, bin_bits };
	json_t *json = NULL;

	sample_root(&root);
	sample_must(kc_repo_document_encode(&document, role, &root, &json));
	return json;
}

static struct kc_error *decode(const json_t *json, enum kc_repo_role role)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document document = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };

	sample_root(&root);
	return kc_repo_document_decode(json, role, &root, &document);
}

static void assert_corrupt(struct kc_error *err, const char *word)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error about %s", word);
	assert_int_equal(kc_error_code(err), KC_ERR_CORRUPT);
	if (!strstr(kc_error_message(err), word))
		fail_msg("'%s' does not speak of %s", kc_error_message(err), word);
}

static void assert_text(const json_t *json, const char *expected)
{
	kc_autobuf struct kc_buf text = { 0 };

	sample_must(kc_canonical_encode(json, &text));
	assert_string_equal(text.data, expected);
}

static void root_is_what_tuf_says(void **state)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 }, again = { 0 };
	kc_autojson json_t *json = NULL, *keys = NULL;
	const char *id;
	kc_autofree char *expected = NULL;

	(void)state;
	sample_root(&root);
	sample_must(kc_repo_root_encode(&root, &json));
	id = root.roles[KC_ROLE_TARGETS].keyids[0];
	assert_string_equal(json_string_value(json_object_get(json, "_type")), "root");
	assert_string_equal(json_string_value(json_object_get(json, "expires")), "2026-11-24T12:00:00Z");
	assert_string_equal(json_string_value(json_object_get(json, "spec_version")), "1.0.31");
	assert_true(json_is_true(json_object_get(json, "consistent_snapshot")));
	assert_int_equal(json_integer_value(json_object_get(json, "version")), 3);
	assert_true(asprintf(&expected,
			     "{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"%s\"},\"scheme\":\"ed25519\"}",
			     SAMPLE_PUBLIC_KEY) > 0);
	assert_text(json_object_get(json_object_get(json, "keys"), id), expected);
	sample_must(kc_repo_root_decode(json, &again));
	assert_int_equal(again.n_keys, 2);
	assert_int_equal(again.expires, EXPIRES);
	assert_int_equal(again.roles[KC_ROLE_ROOT].threshold, 2);
	assert_string_equal(again.roles[KC_ROLE_SNAPSHOT].keyids[0], id);
}

static void documents_are_what_tuf_says(void **state)
{
	char snapshot[] = "snapshot.json", targets[] = "targets.json", bin[] = "bin-0.json", path[] = "kernel/0a";
	struct kc_repo_meta file = { snapshot, 7, 900, HASH };
	struct kc_repo_meta metas[] = { { targets, 5, 0, "" }, { bin, 6, 0, "" } };
	struct kc_repo_meta target = { path, 0, 0, HASH };
	kc_autojson json_t *timestamp = encode(KC_ROLE_TIMESTAMP, &file, 1, 0);
	kc_autojson json_t *snapshots = encode(KC_ROLE_SNAPSHOT, metas, 2, 0);
	kc_autojson json_t *flat = encode(KC_ROLE_TARGETS, &target, 1, 0);

	(void)state;
	assert_text(timestamp,
		    "{\"_type\":\"timestamp\",\"expires\":\"2026-11-24T12:00:00Z\",\"meta\":{\"snapshot.json\":"
		    "{\"hashes\":{\"sha256\":\"" HASH "\"},\"length\":900,\"version\":7}},"
		    "\"spec_version\":\"1.0.31\",\"version\":1795467600,\"x-kcare-feed\":\"main\"}");
	assert_text(json_object_get(snapshots, "meta"),
		    "{\"bin-0.json\":{\"version\":6},\"targets.json\":{\"version\":5}}");
	assert_text(json_object_get(flat, "targets"),
		    "{\"kernel/0a\":{\"hashes\":{\"sha256\":\"" HASH "\"},\"length\":0}}");
	assert_null(json_object_get(flat, "delegations"));
}

static void bins_have_the_keys_of_targets(void **state)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document document = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autojson json_t *json = encode(KC_ROLE_TARGETS, NULL, 0, 6);
	json_t *bins = json_object_get(json_object_get(json, "delegations"), "succinct_roles");

	(void)state;
	sample_root(&root);
	sample_must(kc_repo_document_decode(json, KC_ROLE_TARGETS, &root, &document));
	assert_int_equal(document.bin_bits, 6);
	assert_string_equal(json_string_value(json_object_get(bins, "name_prefix")), "bin");
	json_object_set_new(bins, "bit_length", json_integer(9));
	assert_corrupt(decode(json, KC_ROLE_TARGETS), "bit_length");
	json_object_set_new(bins, "bit_length", json_integer(4));
	assert_corrupt(decode(json, KC_ROLE_TARGETS), "bit_length");
	json_object_set_new(bins, "bit_length", json_integer(6));
	sample_must(decode(json, KC_ROLE_TARGETS));
	strcpy(root.roles[KC_ROLE_TARGETS].keyids[0], HASH);
	kc_repo_document_clear(&document);
	assert_corrupt(kc_repo_document_decode(json, KC_ROLE_TARGETS, &root, &document), "other keys");
}

/* As tuf-js and python-tuf compute it: the first bits of the SHA-256 of the path, big-endian. */
static void bins_are_those_of_tap_15(void **state)
{
	static const struct {
		unsigned bits;
		const char *name;
	} SAMPLES[] = { { 1, "bin-1" }, { 4, "bin-8" }, { 5, "bin-10" }, { 8, "bin-84" }, { 10, "bin-213" } };
	char name[16];

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(SAMPLES); i++) { /* SHA-256 of "kernel/0" begins with 84f6 */
		kc_repo_bin_name("kernel/0", SAMPLES[i].bits, name);
		assert_string_equal(name, SAMPLES[i].name);
	}
	kc_repo_bin_name_at(3, 5, name);
	assert_string_equal(name, "bin-03");
	assert_int_equal(kc_repo_bin_bits(255), 0);
	assert_int_equal(kc_repo_bin_bits(256), 5);
	assert_int_equal(kc_repo_bin_bits(1025), 6);
	assert_int_equal(kc_repo_bin_bits(2000), 6);
	assert_int_equal(kc_repo_bin_bits(1000000), KC_REPO_BIN_BITS_MAX);
}

static void bad_roots_are_refused(void **state)
{
	static const struct {
		const char *key, *json, *word;
	} CASES[] = {
		{ "_type", "\"targets\"", "another role" },
		{ "version", "0", "version" },
		{ "version", "\"1\"", "version" },
		{ "expires", "\"2026-11-31T12:00:00Z\"", "expires" },
		{ "expires", "\"2026-11-24 12:00:00Z\"", "expires" },
		{ "consistent_snapshot", "false", "consistent_snapshot" },
		{ "keys", "[]", "keys" },
		{ "keys", "{\"" HASH "\":{\"keytype\":\"rsa\"}}", "keys" },
		{ "roles", "{}", "keyids" },
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(CASES); i++) {
		KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 }, again = { 0 };
		kc_autojson json_t *json = NULL;

		sample_root(&root);
		sample_must(kc_repo_root_encode(&root, &json));
		json_object_set_new(json, CASES[i].key, json_loads(CASES[i].json, JSON_DECODE_ANY, NULL));
		assert_corrupt(kc_repo_root_decode(json, &again), CASES[i].word);
	}
}

static void bad_role_keys_are_refused(void **state)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autojson json_t *json = NULL;

	(void)state;
	sample_root(&root);
	root.roles[KC_ROLE_ROOT].threshold = 3;
	assert_corrupt(kc_repo_root_encode(&root, &json), "threshold");
	root.roles[KC_ROLE_ROOT].threshold = 0;
	assert_corrupt(kc_repo_root_encode(&root, &json), "threshold");
	root.roles[KC_ROLE_ROOT].threshold = 2; /* of one key that is named twice */
	strcpy(root.roles[KC_ROLE_ROOT].keyids[0], root.roles[KC_ROLE_ROOT].keyids[1]);
	assert_corrupt(kc_repo_root_encode(&root, &json), "threshold");
	strcpy(root.roles[KC_ROLE_ROOT].keyids[0], HASH); /* of a key that is not there */
	assert_corrupt(kc_repo_root_encode(&root, &json), "keyids");
}

static void a_key_has_its_own_id_only(void **state)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 }, again = { 0 };
	kc_autojson json_t *json = NULL;
	json_t *keys;

	(void)state;
	sample_root(&root);
	sample_must(kc_repo_root_encode(&root, &json));
	keys = json_object_get(json, "keys");
	json_object_set(keys, root.roles[KC_ROLE_ROOT].keyids[0],
			json_object_get(keys, root.roles[KC_ROLE_ROOT].keyids[1]));
	assert_corrupt(kc_repo_root_decode(json, &again), "id of another");
}

static void paths_are_plain(void **state)
{
	static const char *const GOOD[] = { "kernel/0a", "user/debian12/libstdc++6", "user/index", "a", "a.b/c~d_e-f" };
	static const char *const BAD[] = { "",	   "/etc", "../etc", "a/../b", "a/./b", "a//b", "a/", ".a",
					   "a/.b", "a\\b", "a b",    "a%2fb",  "a?b",	"a:b",	"-a", "\xc3\xa4" };
	char longest[130];

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(GOOD); i++)
		assert_true(kc_repo_target_path_is_valid(GOOD[i]));
	for (size_t i = 0; i < KC_ARRAY_SIZE(BAD); i++)
		assert_false(kc_repo_target_path_is_valid(BAD[i]));
	memset(longest, 'a', 129);
	longest[129] = '\0';
	assert_false(kc_repo_target_path_is_valid(longest));
	longest[128] = '\0';
	assert_true(kc_repo_target_path_is_valid(longest));
}

static void names_of_files_are_checked(void **state)
{
	char good[] = "targets.json", bad[] = "../targets.json", path[] = "kernel/../0a";
	struct kc_repo_meta metas[] = { { good, 1, 0, "" } }, target = { path, 0, 1, HASH };
	kc_autojson json_t *json = encode(KC_ROLE_SNAPSHOT, metas, 1, 0);
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	char feed[] = "main";
	const struct kc_repo_document document = { 1, 1, feed, &target, 1, 0 };
	json_t *none = NULL;

	(void)state;
	json_object_set_new(json_object_get(json, "meta"), bad, json_pack("{s:i}", "version", 1));
	assert_corrupt(decode(json, KC_ROLE_SNAPSHOT), "not allowed");
	sample_root(&root);
	assert_corrupt(kc_repo_document_encode(&document, KC_ROLE_TARGETS, &root, &none), "not allowed");
}

static void times_have_one_form(void **state)
{
	static const char *const BAD[] = { "",
					   "2026-11-24",
					   "2026-11-24T12:00:00",
					   "2026-11-24T12:00:00Zx",
					   "2026-11-24T12:00:00+00:00",
					   "2026-02-29T12:00:00Z",
					   " 2026-11-24T12:00:00Z",
					   "2026-1-4T12:00:00Z" };
	char text[21];
	int64_t seconds;

	(void)state;
	kc_repo_time_text(EXPIRES, text);
	assert_string_equal(text, "2026-11-24T12:00:00Z");
	assert_true(kc_repo_time_parse(text, &seconds));
	assert_int_equal(seconds, EXPIRES);
	kc_repo_time_text(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	for (size_t i = 0; i < KC_ARRAY_SIZE(BAD); i++)
		assert_false(kc_repo_time_parse(BAD[i], &seconds));
}

static void a_role_has_its_keys(void **state)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autokeyring struct kc_keyring *all = NULL, *one = NULL;

	(void)state;
	sample_root(&root);
	sample_must(kc_repo_role_keyring(&root, KC_ROLE_ROOT, &all));
	sample_must(kc_repo_role_keyring(&root, KC_ROLE_TARGETS, &one));
	assert_int_equal(kc_keyring_size(all), 2);
	assert_int_equal(kc_keyring_size(one), 1);
}

static void files_are_found_by_name(void **state)
{
	char targets[] = "targets.json", bin[] = "bin-0.json";
	struct kc_repo_meta metas[] = { { targets, 5, 0, "" }, { bin, 6, 9, HASH } };
	kc_autojson json_t *json = encode(KC_ROLE_SNAPSHOT, metas, 2, 0);
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document document = { 0 };
	kc_autofree char *path = kc_repo_metadata_path(7, "snapshot.json");
	kc_autofree char *target = kc_repo_target_file_path("user/debian12/libssl3", "0a"),
			 *flat = kc_repo_target_file_path("index", "0a");

	(void)state;
	sample_must(kc_repo_document_decode(json, KC_ROLE_SNAPSHOT, NULL, &document));
	assert_int_equal(kc_repo_document_find(&document, "bin-0.json")->size, 9);
	assert_int_equal(kc_repo_document_find(&document, "targets.json")->version, 5);
	assert_null(kc_repo_document_find(&document, "bin-1.json"));
	assert_string_equal(path, "metadata/7.snapshot.json");
	assert_string_equal(target, "targets/user/debian12/0a.libssl3");
	assert_string_equal(flat, "targets/0a.index");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_what_tuf_says),	 cmocka_unit_test(documents_are_what_tuf_says),
		cmocka_unit_test(bins_have_the_keys_of_targets), cmocka_unit_test(bins_are_those_of_tap_15),
		cmocka_unit_test(bad_roots_are_refused),	 cmocka_unit_test(bad_role_keys_are_refused),
		cmocka_unit_test(a_key_has_its_own_id_only),	 cmocka_unit_test(paths_are_plain),
		cmocka_unit_test(names_of_files_are_checked),	 cmocka_unit_test(times_have_one_form),
		cmocka_unit_test(a_role_has_its_keys),		 cmocka_unit_test(files_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
