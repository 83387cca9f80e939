/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of the portal: every kind of value, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "portal/config.h"

static struct kc_error *load(const char *text, struct kc_portal_config *config)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	char path[] = "/tmp/kcare-config-XXXXXX";
	int fd = mkstemp(path);
	struct kc_error *err;

	assert_true(fd >= 0);
	assert_int_equal(kc_fd_write(fd, text, strlen(text)), 0);
	close(fd);
	assert_kc_ok(kc_portal_config_init(config));
	err = kc_portal_config_load(ctx, path, config);
	unlink(path);
	return err;
}

static void test_defaults(void **state)
{
	KC_CLEANUP_PORTAL_CONFIG struct kc_portal_config config = { 0 };
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();

	(void)state;
	assert_kc_ok(kc_portal_config_init(&config));
	assert_kc_ok(kc_portal_config_load(ctx, "/nowhere/config", &config));
	assert_string_equal(config.listen, "");
	assert_int_equal(config.threads, 2);
	assert_true(config.serves_repository && !config.log_json);
	assert_int_equal(config.inactive_days, 30);
}

static void test_values(void **state)
{
	KC_CLEANUP_PORTAL_CONFIG struct kc_portal_config config = { 0 };

	(void)state;
	assert_kc_ok(load("# a comment\n\nLISTEN = \"[::]:443\" # all\nserve_repository=No\nTHREADS=4\n"
			  "UPSTREAM=https://patches.example.org/\r\nLOG_FORMAT=JSON\n",
			  &config));
	assert_string_equal(config.listen, "[::]:443");
	assert_string_equal(config.upstream, "https://patches.example.org/");
	assert_int_equal(config.threads, 4);
	assert_true(config.log_json && !config.serves_repository);
}

static void test_wrong_values(void **state)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "\nTREADS=4\n", ":2: there is no key TREADS" },
		{ "THREADS=many\n", ":1: THREADS: is a number" },
		{ "THREADS=\n", ":1: THREADS: is a number" },
		{ "THREADS=0\n", "from 1 to 64" },
		{ "THREADS=4294967298\n", "is a number" },
		{ "CONNECTIONS=-5\n", "is a number" },
		{ "SERVE_REPOSITORY=maybe\n", "is YES or NO" },
		{ "LOG_FORMAT=xml\n", "text or json" },
		{ "UPSTREAM=ftp://x\n", "http://" },
		{ "LISTEN\n", "expected KEY=VALUE" },
		{ "LISTEN=\"half\n", "quote" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		KC_CLEANUP_PORTAL_CONFIG struct kc_portal_config config = { 0 };

		assert_kc_error(load(wrong[i].text, &config), KC_ERR_CONFIG, wrong[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_wrong_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
