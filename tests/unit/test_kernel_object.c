/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel images and modules: the kallsyms tables of two series, small images and modules made by the host's compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "sample_kallsyms.h"
#include "target/kernel/kallsyms.h"

static const struct sample_ksym SYMBOLS[] = {
	{ "Afixed_percpu_data", 0 },	       { "Acpu_number", 0x1a008 },
	{ "T_stext", 0xffffffff81000000 },     { "tinit_once", 0xffffffff81000010 },
	{ "Tinit_once", 0xffffffff81000010 },  { "Wweak_one", 0xffffffff81000020 },
	{ "rinit_table", 0xffffffff82000000 }, { "dstate.0", 0xffffffff82a00000 },
};

static void check_symbols(enum sample_layout layout)
{
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	kc_autofree struct kc_kernel_symbol *symbols = NULL;
	struct kc_error *err;
	size_t n = 0;

	kc_buf_append_zeros(&image, 4096);
	sample_kallsyms(layout, SYMBOLS, KC_ARRAY_SIZE(SYMBOLS), &image);
	kc_buf_append_zeros(&image, 4096);
	err = kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n);
	assert_null(err);
	assert_int_equal(n, KC_ARRAY_SIZE(SYMBOLS));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(symbols[i].name, SYMBOLS[i].name + 1);
		assert_int_equal(symbols[i].addr, SYMBOLS[i].addr);
		assert_int_equal(symbols[i].is_function, strchr("tTwW", SYMBOLS[i].name[0]) != NULL);
		assert_int_equal(symbols[i].is_global, strchr("ATW", SYMBOLS[i].name[0]) != NULL);
		assert_int_equal(symbols[i].is_absolute, i < 2);
	}
}

static void test_kallsyms_6_1(void **state)
{
	(void)state;
	check_symbols(SAMPLE_LAYOUT_6_1);
}

static void test_kallsyms_6_12(void **state)
{
	(void)state;
	check_symbols(SAMPLE_LAYOUT_6_12);
}

/* More than one marker, and names of more than 127 tokens. */
static void test_kallsyms_many(void **state)
{
	enum { N = 1000 };
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	kc_autofree struct sample_ksym *wanted = calloc(N, sizeof(*wanted));
	kc_autofree struct kc_kernel_symbol *symbols = NULL;
	char long_names[4][204];
	size_t n = 0;

	(void)state;
	assert_non_null(wanted);
	for (size_t i = 0; i < 4; i++) {
		memset(long_names[i], 'a' + (int)i, 200);
		strcpy(long_names[i] + 200, "end");
		long_names[i][0] = 't';
	}
	for (size_t i = 0; i < N; i++)
		wanted[i] = (struct sample_ksym){ long_names[i % 4], 0xffffffff81000000 + i * 16 };
	sample_kallsyms(SAMPLE_LAYOUT_6_12, wanted, N, &image);
	assert_null(kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n));
	assert_int_equal(n, N);
	for (size_t i = 0; i < N; i++) {
		assert_string_equal(symbols[i].name, wanted[i].name + 1);
		assert_int_equal(symbols[i].addr, wanted[i].addr);
	}
}

static void test_kallsyms_missing(void **state)
{
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	struct kc_kernel_symbol *symbols = NULL;
	struct kc_error *err;
	size_t n = 0;

	(void)state;
	sample_kallsyms(SAMPLE_LAYOUT_6_1, SYMBOLS, KC_ARRAY_SIZE(SYMBOLS), &image);
	image.data[3 * 4 + 3] = (char)0x80; /* an address that is far above the next one */
	err = kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	assert_null(symbols);
	kc_error_free(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kallsyms_6_1),
		cmocka_unit_test(test_kallsyms_6_12),
		cmocka_unit_test(test_kallsyms_many),
		cmocka_unit_test(test_kallsyms_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
