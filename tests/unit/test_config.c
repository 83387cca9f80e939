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
	assert_true(!*config.prefix && !*config.patch_server && !*config.http_proxy && !*config.no_proxy);
	assert_true(!kc_sticky_is_set(&config.sticky) && !kc_sticky_is_set(&config.auto_sticky));
	assert_true(!*config.sticky_patchset && !config.libcare_disabled);
	assert_int_equal(config.sticky_limit_days, 60);
	assert_int_equal(config.userspace, KC_USERSPACE_LIBS | KC_USERSPACE_QEMU);
	assert_string_equal(kc_config_feed(&config), "main");
	assert_int_equal(kc_config_delay_s(&config, false), 0);
	assert_int_equal(kc_config_delay_s(&config, true), 0);
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
	      "LOAD_KCARE_SYSCTL=0\r\nPATCH_TYPE=Extra\r\nPREFIX=12h\r\nPATCH_SERVER=\"https://p.example:8443/kcare//"
	      "\"  # ours\r\n"
	      "FORCE_GID=48\r\nSTICKY_PATCH=\r\nhttps_proxy=http://proxy:3128",
	      &config);
	assert_false(config.auto_update);
	assert_false(config.load_sysctl);
	assert_int_equal(config.freezer, KC_FREEZER_NONE);
	assert_int_equal(config.update_policy, KC_UPDATE_LOCAL_FIRST);
	assert_string_equal(config.patch_type, "extra");
	assert_string_equal(config.prefix, "12h");
	assert_string_equal(config.patch_server, "https://p.example:8443/kcare");
	assert_string_equal(config.https_proxy, "http://proxy:3128");
	assert_false(kc_sticky_is_set(&config.sticky));
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
	assert_refused(host, "PREFIX=../x", "kcare.conf:1: PREFIX: '../x' is not 12h, 24h, 48h or the name of a feed");
	assert_refused(host, "#\n#\nAUTO_UPDATE\n", "kcare.conf:3: expected KEY=VALUE, or # and a comment");
	assert_refused(host, "\xef\xbb\xbfPREFIX=test", "kcare.conf:1: a byte order mark is in front of it");
	assert_refused(host, "PREFIX=\"test", "kcare.conf:1: the quote is not closed");
	assert_refused(host, "PREFIX='test'x", "kcare.conf:1: something follows the closing quote");
}

static void servers_and_proxies_are_checked(void **state)
{
	static const struct {
		const char *line, *expected;
	} bad[] = {
		{ "PATCH_SERVER=ftp://p.example", "does not begin with http:// or https://" },
		{ "PATCH_SERVER=p.example", "does not begin with http:// or https://" },
		{ "PATCH_SERVER=file:///etc/passwd", "does not begin with http:// or https://" },
		{ "PATCH_SERVER=http://", "is not a URL such as" },
		{ "PATCH_SERVER=http:///x", "is not a URL such as" },
		{ "PATCH_SERVER=https://p.example/a?b", "is not a URL such as" },
		{ "PATCH_SERVER='https://p.example/#x'", "is not a URL such as" },
		{ "PATCH_SERVER='http://a b'", "is not a URL such as" },
		{ "PATCH_SERVER=http://a\tb", "is not a URL such as" },
		{ "PATCH_SERVER=http://a:0", "is not a URL such as" },
		{ "PATCH_SERVER=http://a:65536", "is not a URL such as" },
		{ "PATCH_SERVER=http://a/../b", "is not a URL such as" },
		{ "PATCH_SERVER=http://me:secret@a", "password in the URL is not supported" },
		{ "HTTP_PROXY=gopher://a:1", "HTTP_PROXY: this is not a proxy such as" },
		{ "HTTPS_PROXY='a b'", "HTTPS_PROXY: this is not a proxy such as" },
		{ "HTTPS_PROXY=http://a:1/x", "HTTPS_PROXY: this is not a proxy such as" },
		{ "NO_PROXY=a;b", "NO_PROXY: 'a;b' is not a list of hosts" },
	};
	static const char *const servers[] = { "http://10.0.0.5:8080/kcare", "HTTPS://P.example.org", "http://[::1]:80",
					       "http://[fe80::1]", "https://x/a/b-c_d~e" };
	static const char *const proxies[] = { "http://proxy:3128/", "proxy:3128", "http://me:p%40ss@proxy:1",
					       "socks5h://[::1]:1080" };
	struct agent_host *host = *state;
	char text[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(host, bad[i].line, bad[i].expected);
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		snprintf(text, sizeof(text), "PATCH_SERVER=%s\nno_proxy=localhost, .example.org\n", servers[i]);
		parse(host, text, &config);
		assert_string_equal(config.patch_server, servers[i]);
		assert_string_equal(config.no_proxy, "localhost, .example.org");
	}
	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		snprintf(text, sizeof(text), "Http_Proxy=%s\n", proxies[i]);
		parse(host, text, &config);
		assert_string_equal(config.http_proxy, proxies[i]);
	}
}

static void a_prefix_is_a_feed_or_a_delay(void **state)
{
	static const struct {
		const char *text, *feed;
		int hours, automatic_hours;
	} cases[] = {
		{ "PREFIX=test", "test", 0, 0 },
		{ "PREFIX=main", "main", 0, 0 },
		{ "PREFIX=24h", "main", 24, 24 },
		{ "PREFIX=48h\nUPDATE_DELAY=12h", "main", 48, 48 },
		{ "PREFIX=12h\nUPDATE_DELAY=3d", "main", 72, 72 },
		{ "PREFIX=13h", "13h", 0, 0 },
		{ "UPDATE_DELAY=12h\nAUTO_UPDATE_DELAY=0h", "main", 12, 0 },
		{ "PREFIX=12h\nAUTO_UPDATE_DELAY=2d", "main", 12, 48 },
		{ "AUTO_UPDATE_DELAY=5h", "main", 0, 5 },
	};
	struct agent_host *host = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };

		parse(host, cases[i].text, &config);
		assert_string_equal(kc_config_feed(&config), cases[i].feed);
		assert_int_equal(kc_config_delay_s(&config, false), cases[i].hours * 3600);
		assert_int_equal(kc_config_delay_s(&config, true), cases[i].automatic_hours * 3600);
	}
	assert_refused(host, "UPDATE_DELAY=12", "UPDATE_DELAY: '12' is not a number of hours or days");
	assert_refused(host, "UPDATE_DELAY=12hours", "is not a number of hours or days");
	assert_refused(host, "UPDATE_DELAY=-1h", "is not a number of hours or days");
	assert_refused(host, "UPDATE_DELAY=h", "is not a number of hours or days");
	assert_refused(host, "UPDATE_DELAY=3651d", "is not a number of hours or days");
	assert_refused(host, "AUTO_UPDATE_DELAY=99999999999h", "is not a number of hours or days");
	assert_refused(host, "PREFIX=Test", "is not 12h, 24h, 48h or the name of a feed");
	assert_refused(host, "PREFIX=-x", "is not 12h, 24h, 48h or the name of a feed");
}

static void assert_sticky(const char *text, const char *expected, int64_t before)
{
	struct kc_sticky sticky;
	char shown[16];

	assert_null(kc_sticky_parse(text, &sticky));
	kc_sticky_text(&sticky, shown);
	assert_string_equal(shown, expected);
	assert_int_equal(sticky.before, before);
}

static void sticky_dates_have_three_forms(void **state)
{
	static const char *const bad[] = { "320518",   "290218",    "31042018", "2018-13-01", "2018-5-25",
					   "25.05.18", "yesterday", "2505180",	"20180525x",  " 250518",
					   "001218",   "00000000",  "01011970", "KEYS",	      "1234-567-8" };
	struct kc_sticky sticky;

	(void)state;
	assert_sticky("250518", "2018-05-25", 1527292800); /* the 26th, 00:00 UTC */
	assert_sticky("25052018", "2018-05-25", 1527292800);
	assert_sticky("2018-05-25", "2018-05-25", 1527292800);
	assert_sticky("16092020", "2020-09-16", 1600300800);
	assert_sticky("290220", "2020-02-29", 1583020800);
	assert_sticky("311299", "2099-12-31", 4102444800);
	assert_sticky("key", "KEY", 0);
	assert_sticky("", "", 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_kc_error(kc_sticky_parse(bad[i], &sticky), KC_ERR_CONFIG, bad[i]);
}

static void a_sticky_day_must_be_over(void **state)
{
	const int64_t today = 1527292800;
	struct kc_sticky sticky;

	(void)state;
	assert_null(kc_sticky_parse("250518", &sticky));
	assert_kc_error(kc_sticky_check(&sticky, today - 1), KC_ERR_REFUSED, "2018-05-25 is today");
	assert_kc_error(kc_sticky_check(&sticky, today - 86401), KC_ERR_REFUSED, "is in the future");
	assert_null(kc_sticky_check(&sticky, today));
	assert_false(kc_sticky_is_old(&sticky, today + 60 * 86400 - 1, 60));
	assert_true(kc_sticky_is_old(&sticky, today + 60 * 86400, 60));
	assert_false(kc_sticky_is_old(&sticky, today + 6000 * (int64_t)86400, 0));
	assert_null(kc_sticky_parse("KEY", &sticky));
	assert_null(kc_sticky_check(&sticky, 0));
	assert_false(kc_sticky_is_old(&sticky, today, 1));
}

static void automatic_runs_have_keys_of_their_own(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config both = { 0 }, plain = { 0 };
	struct agent_host *host = *state;

	parse(host,
	      "STICKY_PATCH=250518\nAUTO_STICKY_PATCH=KEY\nSTICKY_PATCHSET=K20230908_02\n"
	      "AUTO_STICKY_PATCHSET=K20230907_01\nSTICKY_LIMIT=0\nUSERSPACE_PATCHES= QEMU ,\nLIBCARE_DISABLED=1",
	      &both);
	assert_false(kc_config_sticky(&both, false)->is_key);
	assert_true(kc_config_sticky(&both, true)->is_key);
	assert_string_equal(kc_config_patchset(&both, false), "K20230908_02");
	assert_string_equal(kc_config_patchset(&both, true), "K20230907_01");
	assert_int_equal(both.sticky_limit_days, 0);
	assert_int_equal(both.userspace, KC_USERSPACE_QEMU);
	assert_true(both.libcare_disabled);
	parse(host, "STICKY_PATCH=250518\nSTICKY_PATCHSET=U20230908_02-qemu\nUSERSPACE_PATCHES=libs,qemu\n", &plain);
	assert_int_equal(kc_config_sticky(&plain, true)->before, 1527292800);
	assert_string_equal(kc_config_patchset(&plain, true), "U20230908_02-qemu");
	assert_int_equal(plain.userspace, KC_USERSPACE_LIBS | KC_USERSPACE_QEMU);
	assert_refused(host, "STICKY_PATCH=310218", "STICKY_PATCH: there is no day '310218'");
	assert_refused(host, "AUTO_STICKY_PATCH=soon", "AUTO_STICKY_PATCH: 'soon' is not a date");
	assert_refused(host, "STICKY_LIMIT=x", "'x' is not a number of days");
	assert_refused(host, "STICKY_LIMIT=36501", "is not a number of days");
	assert_refused(host, "USERSPACE_PATCHES=libs,xen", "'xen' is not libs or qemu");
	assert_refused(host, "USERSPACE_PATCHES=','", "is not a list of libs and qemu");
	assert_refused(host, "STICKY_PATCHSET=K2023", "'K2023' is not the name of a patchset");
	assert_refused(host, "STICKY_PATCHSET=X20230908_02", "is not the name of a patchset");
	assert_refused(host, "STICKY_PATCHSET=K20230908_021", "is not the name of a patchset");
	assert_refused(host, "STICKY_PATCHSET=K20230908_02-", "is not the name of a patchset");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, agent_host_set_up, agent_host_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(without_a_file_there_are_defaults),
		TEST(booleans_have_many_spellings),
		TEST(every_key_is_read),
		TEST(odd_lines_are_named),
		TEST(servers_and_proxies_are_checked),
		TEST(a_prefix_is_a_feed_or_a_delay),
		TEST(sticky_dates_have_three_forms),
		TEST(a_sticky_day_must_be_over),
		TEST(automatic_runs_have_keys_of_their_own),
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
