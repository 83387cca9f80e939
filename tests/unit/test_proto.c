/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between agents and portals: what is sent comes back, and what may not be sent is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "kc_assert.h"
#include "proto/proto.h"

#define ID "kA3456789012345f"
#define HEX16 "0123456789abcdef"
#define SECRET HEX16 HEX16 HEX16 HEX16
#define NONCE HEX16 HEX16
#define KERNEL_ID "d6a9ac615d000000000000000000000000000047"
#define WHO "\"server_id\":\"" ID "\",\"secret\":\"" SECRET "\""

static char host[] = "web\xc3\xa4.example", feed[] = "test", date[] = "2026-11-20";

static void a_registration_comes_back(void **state)
{
	char key[] = "abcdefgh01234567", machine[] = KERNEL_ID, instance[] = "2", version[] = "0.5", kvm[] = "kvm";
	struct kc_registration sent = { key, host, machine, instance, version, kvm, true };
	KC_CLEANUP_REGISTRATION struct kc_registration got = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	assert_kc_ok(kc_registration_encode(&sent, &text));
	assert_kc_ok(kc_registration_decode(text.data, text.size, &got));
	assert_string_equal(got.key, key);
	assert_string_equal(got.hostname, host);
	assert_string_equal(got.machine_id, machine);
	assert_string_equal(got.instance, "2");
	assert_string_equal(got.agent_version, version);
	assert_string_equal(got.virtualization, kvm);
	assert_true(got.is_container);
}

static void its_answer_comes_back(void **state)
{
	struct kc_registered sent = { .credentials = { ID, SECRET },
				      .nonce = NONCE,
				      .terms = { feed, date, 1795467600, true, false, true } };
	KC_CLEANUP_REGISTERED struct kc_registered got = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	assert_kc_ok(kc_registered_encode(&sent, &text));
	assert_kc_ok(kc_registered_decode(text.data, text.size, &got));
	assert_memory_equal(&got.credentials, &sent.credentials, sizeof(got.credentials));
	assert_string_equal(got.nonce, NONCE);
	assert_string_equal(got.terms.feed, "test");
	assert_string_equal(got.terms.sticky, date);
	assert_int_equal(got.terms.ends, 1795467600);
	assert_true(got.terms.has_kernel && !got.terms.has_libs && got.terms.has_qemu);
}

static void a_checkin_comes_back(void **state)
{
	char release[] = "6.1.0-42-amd64", effective[] = "6.1.0-43-amd64", type[] = "extra",
	     patchset[] = "K20261123_01", tags[] = "env:prod;ubuntu", distro[] = "debian", version[] = "12",
	     problem[] = "network: it is away", kernel_id[] = KERNEL_ID, tag[] = "machine";
	struct kc_checkin sent = {
		.credentials = { ID, SECRET },
		.nonce = NONCE,
		.event = KC_CHECKIN_FAILED,
		.hostname = host,
		.release = release,
		.kernel_id = kernel_id,
		.effective_version = effective,
		.level = UINT32_MAX,
		.type = type,
		.patchset = patchset,
		.feed = feed,
		.tags = tags,
		.uptime_s = 1000000,
		.distro = distro,
		.distro_version = version,
		.libcare_is_enabled = true,
		.n_processes = 33,
		.n_patched = 32,
		.last_error = problem,
		.delay_s = 43200,
		.sticky_before = 1795467600,
		.host_tag = tag,
	};
	KC_CLEANUP_CHECKIN struct kc_checkin got = { 0 };
	kc_autobuf struct kc_buf text = { 0 }, again = { 0 };

	(void)state;
	assert_kc_ok(kc_checkin_encode(&sent, &text));
	assert_kc_ok(kc_checkin_decode(text.data, text.size, &got));
	assert_kc_ok(kc_checkin_encode(&got, &again));
	assert_string_equal(text.data, again.data);
	assert_int_equal(got.event, KC_CHECKIN_FAILED);
	assert_int_equal(got.level, UINT32_MAX);
	assert_string_equal(got.tags, tags);
	assert_string_equal(got.pinned, ""); /* was NULL */
	assert_int_equal(got.delay_s, 43200);
	assert_int_equal(got.n_patched, 32);
	assert_string_equal(got.last_error, problem);
}

static void a_licence_and_a_report_come_back(void **state)
{
	char key[] = "k", note[] = "the \"web\" servers", report[] = "one\n\ttwo\n";
	struct kc_licence_info info = { key, note, 3, 10, { feed, date, 0, true, true, false } };
	struct kc_doctor_report doctor = { .hostname = host, .report = report };
	KC_CLEANUP_LICENCE_INFO struct kc_licence_info got = { 0 };
	KC_CLEANUP_DOCTOR_REPORT struct kc_doctor_report got_doctor = { 0 };
	kc_autobuf struct kc_buf text = { 0 }, doctor_text = { 0 };

	(void)state;
	assert_kc_ok(kc_licence_info_encode(&info, &text));
	assert_kc_ok(kc_licence_info_decode(text.data, text.size, &got));
	assert_string_equal(got.note, note);
	assert_true(got.n_servers == 3 && got.server_limit == 10 && got.terms.has_libs);
	assert_kc_ok(kc_doctor_report_encode(&doctor, &doctor_text));
	assert_kc_ok(kc_doctor_report_decode(doctor_text.data, doctor_text.size, &got_doctor));
	assert_string_equal(got_doctor.report, report);
	assert_string_equal(got_doctor.credentials.server_id, "");
}

/* One side is newer: it says more. One is older: it says less. */
static void versions_apart_understand_each_other(void **state)
{
	static const char newer[] = "{" WHO ",\"colour\":[1,{}],\"event\":\"dreaming\",\"hostname\":null}";
	static const char older[] = "{" WHO "}";
	KC_CLEANUP_CHECKIN struct kc_checkin checkin = { 0 }, less = { 0 };
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer answer = { 0 };

	(void)state;
	assert_kc_ok(kc_checkin_decode(newer, strlen(newer), &checkin));
	assert_int_equal(checkin.event, KC_CHECKIN_PERIODIC);
	assert_string_equal(checkin.hostname, "");
	assert_kc_ok(kc_checkin_decode(older, strlen(older), &less));
	assert_string_equal(less.kernel_id, "");
	assert_kc_ok(kc_checkin_answer_decode("{}", 2, &answer));
	assert_string_equal(answer.nonce, "");
	assert_string_equal(answer.terms.feed, "");
}

static void bad_messages_are_named(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "not JSON" },
		{ "[]", "must be a JSON object" },
		{ "{" WHO "", "not JSON" },
		{ "{" WHO ",\"level\":1,\"level\":1}", "not JSON" },
		{ "{\"secret\":\"" SECRET "\"}", "server_id: missing" },
		{ "{\"server_id\":\"" ID "\"}", "secret: missing" },
		{ "{\"server_id\":\"1A34567890123456\",\"secret\":\"" SECRET "\"}", "server_id: not a server id" },
		{ "{\"server_id\":\"" ID "x\",\"secret\":\"" SECRET "\"}", "server_id: not a server id" },
		{ "{\"server_id\":\"../../../etc/pas\",\"secret\":\"" SECRET "\"}", "server_id: not a server id" },
		{ "{\"server_id\":\"" ID "\",\"secret\":\"" SECRET "0\"}", "secret: not as many" },
		{ "{\"server_id\":\"" ID "\",\"secret\":7}", "secret: must be a text" },
		{ "{" WHO ",\"nonce\":\"xyz\"}", "nonce: not as many" },
		{ "{" WHO ",\"kernel_id\":\"../etc\"}", "kernel_id: not as many" },
		{ "{" WHO ",\"hostname\":\"a\\nb\"}", "hostname: has a control character" },
		{ "{" WHO ",\"hostname\":\"a\\u001bb\"}", "hostname: has a control character" },
		{ "{" WHO ",\"hostname\":\"a\\u009bb\"}", "hostname: has a control character" },
		{ "{" WHO ",\"hostname\":\"a\\u202eb\"}", "hostname: has a control character" },
		{ "{" WHO ",\"hostname\":\"a\\u0000b\"}", "not JSON" },
		{ "{" WHO ",\"hostname\":\"\xff\"}", "not JSON" },
		{ "{" WHO ",\"hostname\":[]}", "hostname: must be a text" },
		{ "{" WHO ",\"event\":1}", "event: must be a text" },
		{ "{" WHO ",\"level\":-1}", "level: must be a whole number" },
		{ "{" WHO ",\"level\":4294967296}", "level: must be a whole number" },
		{ "{" WHO ",\"level\":1.5}", "level: must be a whole number" },
		{ "{" WHO ",\"level\":\"1\"}", "level: must be a whole number" },
		{ "{" WHO ",\"uptime_s\":9007199254740992}", "uptime_s: must be a whole number" },
		{ "{" WHO ",\"libcare_is_enabled\":1}", "libcare_is_enabled: must be true or false" },
		{ "{" WHO ",\"tags\":\";\"}", "the tag ''" },
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		KC_CLEANUP_CHECKIN struct kc_checkin checkin = { 0 };

		assert_kc_error(kc_checkin_decode(cases[i].text, strlen(cases[i].text), &checkin), KC_ERR_INPUT,
				cases[i].expected);
	}
}

static void terms_must_be_an_object(void **state)
{
	KC_CLEANUP_CHECKIN_ANSWER struct kc_checkin_answer answer = { 0 };
	static const char text[] = "{\"terms\":\"main\"}";

	(void)state;
	assert_kc_error(kc_checkin_answer_decode(text, strlen(text), &answer), KC_ERR_INPUT, "the terms: must be");
}

/* The longest text passes, one byte more does not; in both directions. */
static void limits_hold_both_ways(void **state)
{
	char text[KC_PROTO_TEXT_MAX + 2] = "", error_text[KC_PROTO_ERROR_MAX + 2] = "";
	struct kc_checkin checkin = { .credentials = { ID, SECRET }, .hostname = text, .last_error = error_text };
	KC_CLEANUP_CHECKIN struct kc_checkin got = { 0 };
	kc_autobuf struct kc_buf out = { 0 }, by_hand = { 0 };

	(void)state;
	memset(text, 'a', KC_PROTO_TEXT_MAX);
	memset(error_text, 'e', KC_PROTO_ERROR_MAX);
	assert_kc_ok(kc_checkin_encode(&checkin, &out));
	assert_kc_ok(kc_checkin_decode(out.data, out.size, &got));
	assert_int_equal(strlen(got.last_error), KC_PROTO_ERROR_MAX);
	kc_checkin_clear(&got);
	text[KC_PROTO_TEXT_MAX] = 'a';
	assert_kc_error(kc_checkin_encode(&checkin, &out), KC_ERR_INPUT, "hostname: too long");
	kc_buf_printf(&by_hand, "{" WHO ",\"hostname\":\"%s\"}", text);
	assert_kc_error(kc_checkin_decode(by_hand.data, by_hand.size, &got), KC_ERR_INPUT, "hostname: too long");
	text[0] = '\0';
	error_text[KC_PROTO_ERROR_MAX] = 'e';
	assert_kc_error(kc_checkin_encode(&checkin, &out), KC_ERR_INPUT, "last_error: too long");
}

static void whole_messages_have_a_limit(void **state)
{
	struct kc_doctor_report doctor = { .hostname = host };
	KC_CLEANUP_DOCTOR_REPORT struct kc_doctor_report got = { 0 };
	KC_CLEANUP_CHECKIN struct kc_checkin checkin = { 0 };
	kc_autobuf struct kc_buf out = { 0 }, spaces = { 0 };

	(void)state;
	kc_buf_append_str(&spaces, "{" WHO "}");
	while (spaces.size <= KC_PROTO_REQUEST_MAX)
		kc_buf_append_str(&spaces, " ");
	assert_kc_error(kc_checkin_decode(spaces.data, spaces.size, &checkin), KC_ERR_LIMIT, "more than 65536 bytes");
	assert_kc_ok(kc_checkin_decode(spaces.data, spaces.size - 1, &checkin));
	doctor.report = calloc(1, KC_PROTO_REPORT_MAX + 1);
	assert_non_null(doctor.report);
	memset(doctor.report, 'r', KC_PROTO_REPORT_MAX);
	assert_kc_error(kc_doctor_report_encode(&doctor, &out), KC_ERR_LIMIT, "more than 4194304 bytes");
	doctor.report[KC_PROTO_REPORT_MAX - 100] = '\0';
	kc_buf_reset(&out);
	assert_kc_ok(kc_doctor_report_encode(&doctor, &out));
	assert_kc_ok(kc_doctor_report_decode(out.data, out.size, &got));
	free(doctor.report);
}

static void what_must_not_be_sent_is_not(void **state)
{
	char control[] = "a\x1b[2J", latin[] = "caf\xe9", lines[] = "a\nb", surrogate[] = "\xed\xa0\x80",
	     late[] = "\xc3", overlong[] = "\xc0\xaf";
	char *const texts[] = { control, latin, lines, surrogate, late, overlong };
	kc_autobuf struct kc_buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++) {
		struct kc_licence_info info = { .note = texts[i] };

		assert_kc_error(kc_licence_info_encode(&info, &out), KC_ERR_INPUT, "note: ");
	}
	assert_kc_error(kc_credentials_encode(&(struct kc_credentials){ ID, "" }, &out), KC_ERR_INPUT,
			"secret: missing");
	assert_kc_error(kc_checkin_encode(&(struct kc_checkin){ .credentials = { ID, SECRET }, .uptime_s = -1 }, &out),
			KC_ERR_INPUT, "uptime_s: must be");
	assert_int_equal(out.size, 0);
}

static void server_ids_are_plain(void **state)
{
	(void)state;
	assert_true(kc_server_id_is_valid("abcdefghij012345") && kc_server_id_is_valid("Z000000000000000"));
	assert_false(kc_server_id_is_valid("") || kc_server_id_is_valid("0bcdefghij012345") ||
		     kc_server_id_is_valid("abcdefghij01234") || kc_server_id_is_valid("abcdefghij0123456") ||
		     kc_server_id_is_valid("abcdefghij0123-5") || kc_server_id_is_valid("abcdefghij0123\xc3\xa4"));
}

static void tags_are_names_with_values(void **state)
{
	static const char *const good[] = { "", "ubuntu", "env:prod;ubuntu", "env:prod;", "a b:c d", "url:http://x" };
	static const char *const bad[] = { ";", ":x", "a;;b", " a", "a ;b", "a;:", "a\tb", "\xff" };
	char many[KC_PROTO_TAGS_MAX + 2];

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(good); i++)
		assert_kc_ok(kc_tags_check(good[i]));
	for (size_t i = 0; i < KC_ARRAY_SIZE(bad); i++)
		assert_kc_error(kc_tags_check(bad[i]), KC_ERR_INPUT, "the tag");
	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	assert_kc_error(kc_tags_check(many), KC_ERR_INPUT, "too long");
	assert_kc_ok(kc_tags_check(many + 1));
}

static void plain_texts_can_be_sent(void **state)
{
	static const char hostile[] = "a\x1b[2J\n\xff\xe2\x80\xae\xc3\xa4\xf0\x9f\x90\xa7";
	kc_autofree char *plain = kc_plain_text(hostile, 100), *cut = kc_plain_text("1\xc3\xa4", 2),
			 *nothing = kc_plain_text("", 5);

	(void)state;
	assert_string_equal(plain, "a?[2J???\xc3\xa4\xf0\x9f\x90\xa7");
	assert_string_equal(cut, "1");
	assert_string_equal(nothing, "");
}

static void errors_come_back(void **state)
{
	kc_autoerror struct kc_error *sent = kc_error_new(KC_ERR_KEY_LIMIT, "the key\nhas no place left");
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	assert_kc_ok(kc_error_answer_encode(sent, &text));
	assert_string_equal(text.data, "{\"error\":\"key-limit-reached\",\"message\":\"the key?has no place left\"}");
	assert_kc_error(kc_error_answer_decode(400, text.data, text.size), KC_ERR_KEY_LIMIT, "the key?has no place");
}

static void strange_errors_are_the_servers(void **state)
{
	static const char *const strange[] = { "",
					       "<html>404</html>",
					       "{}",
					       "{\"error\":7}",
					       "{\"error\":\"a\\nb\"}",
					       "{\"error\":\"from-the-future\",\"message\":\"later\"}" };
	static const char bare[] = "{\"error\":\"key-locked\"}";

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(strange); i++)
		assert_kc_error(kc_error_answer_decode(404, strange[i], strlen(strange[i])), KC_ERR_SERVER,
				"status 404");
	assert_kc_error(kc_error_answer_decode(429, "busy", 4), KC_ERR_TOO_MANY, "later");
	assert_kc_error(kc_error_answer_decode(403, bare, strlen(bare)), KC_ERR_KEY_LOCKED, "the key is locked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_registration_comes_back),
		cmocka_unit_test(its_answer_comes_back),
		cmocka_unit_test(a_checkin_comes_back),
		cmocka_unit_test(a_licence_and_a_report_come_back),
		cmocka_unit_test(versions_apart_understand_each_other),
		cmocka_unit_test(bad_messages_are_named),
		cmocka_unit_test(terms_must_be_an_object),
		cmocka_unit_test(limits_hold_both_ways),
		cmocka_unit_test(whole_messages_have_a_limit),
		cmocka_unit_test(what_must_not_be_sent_is_not),
		cmocka_unit_test(server_ids_are_plain),
		cmocka_unit_test(tags_are_names_with_values),
		cmocka_unit_test(plain_texts_can_be_sent),
		cmocka_unit_test(errors_come_back),
		cmocka_unit_test(strange_errors_are_the_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
