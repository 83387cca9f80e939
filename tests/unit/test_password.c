/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kept passwords, and the randomness that names and secrets are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/random.h"
#include "kc_assert.h"
#include "sign/password.h"

#define SALT "000102030405060708090a0b0c0d0e0f"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_password_is_recognised(void **state)
{
	char text[KC_PASSWORD_TEXT_SIZE], again[KC_PASSWORD_TEXT_SIZE];

	(void)state;
	assert_null(kc_password_hash("correct horse", text));
	assert_int_equal(strncmp(text, "scrypt$32768$8$1$", 17), 0);
	assert_true(strlen(text) < KC_PASSWORD_TEXT_SIZE - 1);
	assert_null(kc_password_check("correct horse", text));
	assert_kc_error(kc_password_check("correct horsf", text), KC_ERR_UNAUTHORIZED, "wrong");
	assert_kc_error(kc_password_check("", text), KC_ERR_UNAUTHORIZED, "wrong");
	assert_null(kc_password_hash("correct horse", again));
	assert_string_not_equal(text, again);
}

/* The salt is new each time: what is kept must be what others compute, too. RFC 7914 has this one's parameters. */
static void test_others_compute_the_same(void **state)
{
	(void)state;
	/* hashlib.scrypt(b"p\xc3\xa4ss", salt=bytes(range(16)), n=1024, r=8, p=16, dklen=32) */
	assert_null(kc_password_check("p\xc3\xa4ss",
				      "scrypt$1024$8$16$" SALT "$"
				      "9b2aec4e4bbd66aafe649cccf66f84c55793322f3f21d35646091be945df9460"));
}

static void test_password_has_limits(void **state)
{
	char text[KC_PASSWORD_TEXT_SIZE], longest[KC_PASSWORD_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[KC_PASSWORD_MAX + 1] = '\0';
	assert_kc_error(kc_password_hash("", text), KC_ERR_INPUT, "empty");
	assert_kc_error(kc_password_hash(longest, text), KC_ERR_INPUT, "more than 1000 bytes");
	assert_kc_error(kc_password_check(longest, "scrypt$2$8$1$" SALT "$" HASH), KC_ERR_UNAUTHORIZED, "wrong");
	longest[KC_PASSWORD_MAX] = '\0';
	assert_null(kc_password_hash(longest, text));
	assert_null(kc_password_check(longest, text));
}

static void test_nobody_has_no_password(void **state)
{
	(void)state;
	assert_kc_error(kc_password_check("x", NULL), KC_ERR_UNAUTHORIZED, "wrong");
	assert_kc_error(kc_password_check("", ""), KC_ERR_UNAUTHORIZED, "wrong");
}

static void test_kept_text_is_checked(void **state)
{
	static const char *const bad[] = {
		"x",
		"scrypt",
		"scrypt$",
		"bcrypt$16$8$1$" SALT "$" HASH,
		"scrypt$0$8$1$" SALT "$" HASH,
		"scrypt$1$8$1$" SALT "$" HASH,
		"scrypt$15$8$1$" SALT "$" HASH,
		"scrypt$016$8$1$" SALT "$" HASH,
		"scrypt$-16$8$1$" SALT "$" HASH,
		"scrypt$ 16$8$1$" SALT "$" HASH,
		"scrypt$16$0$1$" SALT "$" HASH,
		"scrypt$16$8$0$" SALT "$" HASH,
		"scrypt$16$33$1$" SALT "$" HASH,
		"scrypt$16$8$17$" SALT "$" HASH,
		"scrypt$262144$8$1$" SALT "$" HASH,
		"scrypt$32768$8$16$" SALT "$" HASH,
		"scrypt$99999999999999999999$8$1$" SALT "$" HASH,
		"scrypt$4294967312$8$1$" SALT "$" HASH,
		"scrypt$16$8$1$" SALT HASH,
		"scrypt$16$8$1$" SALT "$" HASH "0",
		"scrypt$16$8$1$" SALT "$" HASH "$",
		"scrypt$16$8$1$" SALT "$0" HASH,
		"scrypt$16$8$1$x00102030405060708090a0b0c0d0e0f$" HASH,
		"scrypt$16$8$1$" SALT "$x0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(bad); i++)
		assert_kc_error(kc_password_check("x", bad[i]), KC_ERR_CORRUPT, "set it again");
	/* the most that is accepted */
	assert_kc_error(kc_password_check("x", "scrypt$131072$8$2$" SALT "$" HASH), KC_ERR_UNAUTHORIZED, "wrong");
}

static void test_secrets_compare(void **state)
{
	(void)state;
	assert_true(kc_secret_equals("", ""));
	assert_true(kc_secret_equals("abc", "abc"));
	assert_false(kc_secret_equals("abc", "abd"));
	assert_false(kc_secret_equals("abc", "ab"));
	assert_false(kc_secret_equals("", "a"));
}

static void test_names_are_random(void **state)
{
	char name[2][17];
	bool seen[128] = { false };
	unsigned n_seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(kc_random_name(name[i % 2], 16), 0);
		assert_int_equal(strlen(name[i % 2]), 16);
		assert_false(name[i % 2][0] >= '0' && name[i % 2][0] <= '9');
		for (const char *p = name[i % 2]; *p; p++) {
			assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", *p));
			seen[(uint8_t)*p] = true;
		}
	}
	for (size_t i = 0; i < sizeof(seen); i++)
		n_seen += seen[i];
	assert_int_equal(n_seen, 62);
	assert_string_not_equal(name[0], name[1]);
	assert_int_equal(kc_random_name(name[0], 0), 0);
	assert_string_equal(name[0], "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password_is_recognised), cmocka_unit_test(test_others_compute_the_same),
		cmocka_unit_test(test_password_has_limits),    cmocka_unit_test(test_nobody_has_no_password),
		cmocka_unit_test(test_kept_text_is_checked),   cmocka_unit_test(test_secrets_compare),
		cmocka_unit_test(test_names_are_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
