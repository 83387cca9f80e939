/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare.conf read and rewritten, and sysctl.conf split into names and values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/config.h"
#include "agent/sysctl.h"
#include "agent_host.h"
#include "base/file.h"

#define CONFIG "/etc/sysconfig/kcare/kcare.conf"
#define SYSCTL "/etc/sysconfig/kcare/sysctl.conf"

static int set_up(void **state)
{
	struct agent_host *host = malloc(sizeof(*host));

	agent_host_open(host);
	*state = host;
	return 0;
}

static int tear_down(void **state)
{
	agent_host_close(*state);
	free(*state);
	return 0;
}

static void parse(struct agent_host *host, const char *text, struct kc_config *config)
{
	kc_autoerror struct kc_error *err = kc_config_parse(host->ctx, "kcare.conf", text, strlen(text), config);

	if (err)
		fail_msg("%s", kc_error_message(err));
}

static void assert_refused(struct agent_host *host, const char *text, const char *expected)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };

	assert_kc_error(kc_config_parse(host->ctx, "kcare.conf", text, strlen(text), &config), KC_ERR_CONFIG, expected);
}

static void without_a_file_there_are_defaults(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	assert_null(kc_config_load(host->ctx, &config));
	assert_true(config.auto_update && config.load_sysctl && !config.ignore_unknown_kernel);
	assert_true(config.update_policy == KC_UPDATE_REMOTE && config.freezer == KC_FREEZER_SMART);
	assert_string_equal(config.patch_type, "default");
	assert_true(!*config.prefix && !*config.patch_server);
	assert_int_equal(host->log.size, 0);
}

static void booleans_have_many_spellings(void **state)
{
	static const char *const yes[] = { "YES", "yes", "True", "TRUE", "true", "1", "on", "ON", "\"Yes\"", "'on'" };
	static const char *const no[] = { "NO", "no", "False", "false", "0", "off", "Off", "\"0\"" };
	struct agent_host *host = *state;
	char text[64];

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		snprintf(text, sizeof(text), "IGNORE_UNKNOWN_KERNEL=%s\n", yes[i]);
		parse(host, text, &config);
		assert_true(config.ignore_unknown_kernel);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		snprintf(text, sizeof(text), "AUTO_UPDATE=%s", no[i]);
		parse(host, text, &config);
		assert_false(config.auto_update);
	}
}

static void every_key_is_read(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	parse(host,
	      "# kcare\r\n\r\n  AUTO_UPDATE = No   # not now\r\nPATCH_METHOD=nofreeze\r\nUPDATE_POLICY = "
	      "'local_first'\r\n"
	      "LOAD_KCARE_SYSCTL=0\r\nPATCH_TYPE=Extra\r\nPREFIX=12h\r\nPATCH_SERVER=\"https://p.example/#x\"\r\n"
	      "FORCE_GID=48\r\nSTICKY_PATCH=\r\nhttps_proxy=http://proxy:3128",
	      &config);
	assert_false(config.auto_update);
	assert_false(config.load_sysctl);
	assert_int_equal(config.freezer, KC_FREEZER_NONE);
	assert_int_equal(config.update_policy, KC_UPDATE_LOCAL_FIRST);
	assert_string_equal(config.patch_type, "extra");
	assert_string_equal(config.prefix, "12h");
	assert_string_equal(config.patch_server, "https://p.example/#x");
	assert_int_equal(host->log.size, 0);
}

static void odd_lines_are_named(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	parse(host, "AUTO_UPDAT=NO\nPREFIX=test\nPREFIX=\nPREFIX=24h\n", &config);
	assert_string_equal(config.prefix, "24h");
	assert_string_equal(host->log.data, "kcare.conf:1: there is no key 'AUTO_UPDAT'; it is ignored\n"
					    "kcare.conf:3: PREFIX is set in line 2 already; the last one counts\n"
					    "kcare.conf:4: PREFIX is set in line 3 already; the last one counts\n");
	assert_refused(host, "\nAUTO_UPDATE=maybe",
		       "kcare.conf:2: AUTO_UPDATE: 'maybe' is not YES, NO, True, False, 1, 0, on or off");
	assert_refused(host, "UPDATE_POLICY=x", "kcare.conf:1: UPDATE_POLICY: 'x' is not REMOTE, LOCAL or LOCAL_FIRST");
	assert_refused(host, "PATCH_METHOD=smartest",
		       "kcare.conf:1: PATCH_METHOD: 'smartest' is not normal, nofreeze or smart");
	assert_refused(host, "PATCH_TYPE=gold", "kcare.conf:1: PATCH_TYPE: 'gold' is not default, extra or free");
	assert_refused(host, "PREFIX=../x",
		       "kcare.conf:1: PREFIX: '../x' is not a name of letters, digits, '.', '_' and '-'");
	assert_refused(host, "#\n#\nAUTO_UPDATE\n", "kcare.conf:3: expected KEY=VALUE, or # and a comment");
	assert_refused(host, "PREFIX=\"test", "kcare.conf:1: the quote is not closed");
	assert_refused(host, "PREFIX='test'x", "kcare.conf:1: something follows the closing quote");
}

static void what_others_may_write_is_not_obeyed(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, CONFIG);

	agent_host_put_text(host, CONFIG, "AUTO_UPDATE=NO\n");
	assert_int_equal(chmod(path, 0666), 0);
	if (geteuid() == 0)
		assert_kc_error(kc_config_load(host->ctx, &config), KC_ERR_PERMISSION, "chmod go-w");
	else /* who is not root has nothing to lose */
		assert_null(kc_config_load(host->ctx, &config));
}

static void assert_rewritten(const char *before, const char *key, const char *value, const char *after)
{
	kc_autobuf struct kc_buf out = { 0 };

	assert_null(kc_config_rewrite(before, strlen(before), key, value, &out));
	assert_string_equal(out.data ? out.data : "", after);
}

static void rewriting_changes_one_value_only(void **state)
{
	(void)state;
	assert_rewritten("# a\n\n KEY = old  # why\nODD=1\n", "KEY", "new", "# a\n\n KEY = new  # why\nODD=1\n");
	assert_rewritten("A=1\nKEY='old'\nB=2", "KEY", "new one", "A=1\nKEY='new one'\nB=2");
	assert_rewritten("KEY='old'", "KEY", "it's", "KEY=\"it's\"");
	assert_rewritten("KEY=old", "KEY", "a b", "KEY=\"a b\"");
	assert_rewritten("KEY= # none\n", "KEY", "x", "KEY= x # none\n");
	assert_rewritten("key=old\r\n", "KEY", "new", "key=new\r\n");
	assert_rewritten("KEY=1\nKEY=2\n", "KEY", "3", "KEY=1\nKEY=3\n");
	assert_rewritten("A=1", "KEY", "x", "A=1\nKEY=x\n");
	assert_rewritten("A=1\r\n", "KEY", "x", "A=1\r\nKEY=x\r\n");
	assert_rewritten("", "KEY", "", "KEY=\n");
	assert_rewritten("#KEY=1\nKEY=2\nB=1\nKEY=3", "KEY", NULL, "#KEY=1\nB=1\n");
	assert_rewritten("KEY_TWO=2\nnonsense\n", "KEY", NULL, "KEY_TWO=2\nnonsense\n");
}

static void what_cannot_be_written_is_refused(void **state)
{
	static const char *const bad[] = { "a\nB=1", "a\r", "'\"" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kc_autobuf struct kc_buf out = { 0 };

		assert_kc_error(kc_config_rewrite("", 0, "KEY", bad[i], &out), KC_ERR_INPUT, "KEY");
	}
}

static void a_set_key_is_loaded(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, CONFIG), *behind = agent_host_path(host, "/managed.conf");
	struct stat st;

	assert_null(kc_config_set(host->ctx, "PATCH_TYPE", NULL));
	assert_false(agent_host_has(host, CONFIG));
	assert_null(kc_config_set(host->ctx, "PATCH_TYPE", "extra"));
	/* a configuration that is managed elsewhere: the link stays, and so does its mode */
	assert_int_equal(rename(path, behind), 0);
	assert_int_equal(symlink(behind, path), 0);
	assert_int_equal(chmod(behind, 0640), 0);
	assert_null(kc_config_set(host->ctx, "PREFIX", "test"));
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_null(kc_config_load(host->ctx, &config));
	assert_string_equal(config.patch_type, "extra");
	assert_string_equal(config.prefix, "test");
	assert_int_equal(kc_file_read(behind, 1000, &text), 0);
	assert_string_equal(text.data, "PATCH_TYPE=extra\nPREFIX=test\n");
}

static void assert_sysctl(const char *line, const char *name, const char *value, bool ignore)
{
	struct kc_sysctl_line parsed;

	assert_true(kc_sysctl_parse(line, strlen(line), &parsed));
	assert_null(parsed.problem);
	assert_int_equal(parsed.ignore_failure, ignore);
	assert_int_equal(parsed.name_size, strlen(name));
	assert_memory_equal(parsed.name, name, strlen(name));
	assert_int_equal(parsed.value_size, strlen(value));
	assert_memory_equal(parsed.value, value, strlen(value));
}

static void sysctl_lines_are_split(void **state)
{
	static const char *const comments[] = { "", "  \t", "# a = b", " ; a = b", "\r" };
	struct kc_sysctl_line parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(comments) / sizeof(comments[0]); i++)
		assert_false(kc_sysctl_parse(comments[i], strlen(comments[i]), &parsed));
	assert_sysctl("fs.enforce_symlinksifowner=1", "fs.enforce_symlinksifowner", "1", false);
	assert_sysctl("  kernel.kcare_modify_ldt = 1 \r", "kernel.kcare_modify_ldt", "1", false);
	assert_sysctl("-net.ipv4.tcp_rmem = 1\t2 3", "net.ipv4.tcp_rmem", "1\t2 3", true);
	assert_sysctl("a=b=c", "a", "b=c", false);
	assert_sysctl("a=", "a", "", false);
	assert_true(kc_sysctl_parse("kernel.panic", 12, &parsed));
	assert_non_null(parsed.problem);
	assert_true(kc_sysctl_parse("= 1", 3, &parsed));
	assert_non_null(parsed.problem);
}

static void sysctl_names_stay_below_proc_sys(void **state)
{
	static const char *const names[][2] = {
		{ "kernel.kcare_x", "kernel/kcare_x" },
		{ "kernel/kcare_x", "kernel/kcare_x" },
		{ "net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding" },
		{ "net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding" },
		{ "../../etc/passwd", NULL },
		{ "kernel/../../version", NULL },
		{ "kernel/./x", NULL },
		{ "/etc/passwd", NULL },
		{ "kernel..x", NULL },
		{ "kernel.", NULL },
		{ "", NULL },
		{ "kernel.//.x", NULL }, /* dots first: each '/' is a dot inside a part */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kc_autofree char *path = kc_sysctl_path(names[i][0], strlen(names[i][0]));

		if (names[i][1])
			assert_string_equal(path, names[i][1]);
		else if (path)
			fail_msg("'%s' became '%s'", names[i][0], path);
	}
}

static void bad_sysctls_warn(void **state)
{
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, SYSCTL);
	kc_autobuf struct kc_buf expected = { 0 };

	assert_null(kc_sysctl_load(host->ctx)); /* there is none */
	agent_host_put_text(host, SYSCTL, "# mine\nno.such.sysctl = 1\n-no.such.either = 1\n../version = 1\nnonsense");
	assert_null(kc_sysctl_load(host->ctx));
	kc_buf_printf(&expected, "%s:2: this kernel has no sysctl no.such.sysctl\n", path);
	kc_buf_printf(&expected, "%s:4: '../version' is not the name of a sysctl\n", path);
	kc_buf_printf(&expected, "%s:5: expected NAME = VALUE, or # and a comment\n", path);
	assert_string_equal(host->log.data, expected.data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(without_a_file_there_are_defaults),
		TEST(booleans_have_many_spellings),
		TEST(every_key_is_read),
		TEST(odd_lines_are_named),
		TEST(what_others_may_write_is_not_obeyed),
		TEST(rewriting_changes_one_value_only),
		TEST(what_cannot_be_written_is_refused),
		TEST(a_set_key_is_loaded),
		TEST(sysctl_lines_are_split),
		TEST(sysctl_names_stay_below_proc_sys),
		TEST(bad_sysctls_warn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
