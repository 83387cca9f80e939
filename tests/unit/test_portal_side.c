/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host's side of the portal, without one: who it is, what it remembers and tells, the terms of its key, its report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/checkin.h"
#include "agent/doctor.h"
#include "agent/host_facts.h"
#include "agent/identity.h"
#include "agent/paths.h"
#include "agent/policy.h"
#include "agent/portal_link.h"
#include "agent/portal_state.h"
#include "agent_host.h"
#include "base/array.h"
#include "base/file.h"
#include "sample.h"

#define ID "kA3456789012345f"
#define FORMER_ID "fA3456789012345f"
#define HEX16 "0123456789abcdef"
#define SECRET HEX16 HEX16 HEX16 HEX16
#define NONCE HEX16 HEX16
#define DAY_S INT64_C(86400)
#define NOW (INT64_C(1795467600)) /* 2026-11-23 21:00 */

static void register_host(const struct agent_host *host)
{
	struct kc_identity identity = { .credentials = { ID, SECRET }, .key = (char *)"THEKEY", .instance = "two" };

	agent_host_put_text(host, KC_PATH_MACHINE_ID, "fedcba98765432100123456789abcdef\n");
	assert_kc_ok(kc_machine_id(identity.machine));
	assert_kc_ok(kc_identity_write(&identity));
}

static void answer(const char *feed, const char *sticky)
{
	struct kc_portal_state state = {
		.answered_at = NOW,
		.answer = { .nonce = NONCE, .terms = { .feed = (char *)feed, .sticky = (char *)sticky } },
	};

	assert_kc_ok(kc_portal_state_write(&state));
}

/* ---- identity ---- */

static void an_identity_comes_back(void **state)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, KC_PATH_SYSTEMID);
	kc_autobuf struct kc_buf text = { 0 };
	struct stat st;

	assert_kc_ok(kc_identity_read(&identity));
	assert_false(kc_identity_is_registered(&identity));
	kc_identity_clear(&identity);
	register_host(host);
	assert_kc_ok(kc_identity_read(&identity));
	assert_true(kc_identity_is_registered(&identity));
	assert_string_equal(identity.credentials.server_id, ID);
	assert_string_equal(identity.credentials.secret, SECRET);
	assert_string_equal(identity.key, "THEKEY");
	assert_string_equal(identity.instance, "two");
	assert_int_equal(strlen(identity.machine), 64);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(kc_file_read(path, 4096, &text), 0);
	assert_int_equal(strncmp(text.data, "server_id=" ID "\n", 27), 0); /* other tools read it */
	assert_null(strstr(text.data, "fedcba98"));			   /* the machine-id stays here */
}

static void identities_that_are_none(void **state)
{
	static const char *const damaged[] = {
		"server_id=1\nkey=k\nsecret=" SECRET "\n",
		"server_id=" ID "\nkey=k\nsecret=xyz\n",
		"server_id=" ID "\nsecret=" SECRET "\n", /* no key to register again with */
		"server_id=" ID ID "\nkey=k\nsecret=" SECRET "\n",
		"server_id=../../etc/passwd\nkey=k\nsecret=" SECRET "\n",
		"server_id=" ID "\nkey=k\nsecret=" SECRET "\nformer_id=" ID "\n",
	};
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, KC_PATH_SYSTEMID);

	for (size_t i = 0; i < KC_ARRAY_SIZE(damaged); i++) {
		KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };

		agent_host_put_text(host, KC_PATH_SYSTEMID, damaged[i]);
		assert_kc_error(kc_identity_read(&identity), KC_ERR_CORRUPT, "register this host again");
	}
	/* of an agent that knows no secrets */
	for (size_t i = 0; i < 2; i++) {
		KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };

		agent_host_put_text(host, KC_PATH_SYSTEMID, i ? "server_id=" ID "\nother=1\n" : "");
		assert_kc_ok(kc_identity_read(&identity));
		assert_false(kc_identity_is_registered(&identity));
	}
	if (geteuid() == 0) {
		KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };

		assert_int_equal(chmod(path, 0666), 0);
		assert_kc_error(kc_identity_read(&identity), KC_ERR_PERMISSION, "somebody else may change it");
	}
}

static void what_was_begun_comes_back(void **state)
{
	struct kc_identity written = {
		.credentials = { .server_id = ID, .secret = SECRET },
		.key = (char *)"THEKEY",
		.instance = "one",
		.next_instance = "two",
		.former = { .server_id = FORMER_ID, .secret = SECRET },
	};
	KC_CLEANUP_IDENTITY struct kc_identity read = { 0 };

	(void)state;
	assert_kc_ok(kc_identity_write(&written));
	assert_kc_ok(kc_identity_read(&read));
	assert_string_equal(read.former.server_id, FORMER_ID);
	assert_string_equal(read.former.secret, SECRET);
	assert_string_equal(read.instance, "one");
	kc_identity_take_next_instance(&read);
	assert_string_equal(read.instance, "two");
	kc_identity_take_next_instance(&read); /* there is none any more */
	assert_string_equal(read.instance, "two");
}

static void the_machine_is_told_by_a_hash(void **state)
{
	char one[KC_SHA256_TEXT_SIZE], other[KC_SHA256_TEXT_SIZE], named[KC_SHA256_TEXT_SIZE],
		again[KC_SHA256_TEXT_SIZE];
	struct agent_host *host = *state;

	assert_kc_ok(kc_machine_id(named)); /* no machine-id: of the host's name */
	assert_kc_ok(kc_machine_id(again));
	assert_string_equal(named, again);
	agent_host_put_text(host, KC_PATH_MACHINE_ID, "0123456789abcdef0123456789abcdef\n");
	assert_kc_ok(kc_machine_id(one));
	agent_host_put_text(host, KC_PATH_MACHINE_ID, "0123456789abcdef0123456789abcdee\n");
	assert_kc_ok(kc_machine_id(other));
	assert_true(strcmp(one, other) && strcmp(one, named));
	agent_host_put_text(host, KC_PATH_MACHINE_ID, "\n"); /* an image that was not started yet */
	assert_kc_ok(kc_machine_id(again));
	assert_string_equal(named, again);
}

/* ---- what is remembered ---- */

static void the_state_comes_back(void **state)
{
	char error[] = "network: away";
	struct kc_portal_state written = {
		.answered_at = NOW,
		.server_id = ID,
		.answer = { .nonce = NONCE, .terms = { .feed = (char *)"test", .sticky = (char *)"yesterday" } },
		.errors = { [KC_RUN_USERSPACE] = error },
		.n_processes = 33,
		.n_patched = 32,
	};
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state read = { 0 };

	(void)state;
	assert_kc_ok(kc_portal_state_write(&written));
	assert_kc_ok(kc_portal_state_read(&read));
	assert_int_equal(read.answered_at, NOW);
	assert_string_equal(read.server_id, ID);
	assert_string_equal(read.answer.nonce, NONCE);
	assert_string_equal(read.answer.terms.feed, "test");
	assert_null(read.errors[KC_RUN_KERNEL]);
	assert_string_equal(read.errors[KC_RUN_USERSPACE], error);
	assert_true(read.n_processes == 33 && read.n_patched == 32);
	assert_kc_ok(kc_portal_state_remove());
	kc_portal_state_clear(&read);
	assert_kc_ok(kc_portal_state_read(&read));
	assert_int_equal(read.answered_at, 0);
}

static void a_damaged_state_is_none(void **state)
{
	static const char *const damaged[] = {
		"",
		"{",
		"[]",
		"{\"document\":\"kcare-state-1\"}",
		"{\"document\":\"kcare-portal-1\"}",
		"{\"document\":\"kcare-portal-1\",\"answer\":{\"nonce\":\"short\"},\"answered_at\":5}",
		"{\"document\":\"kcare-portal-1\",\"answer\":{},\"answered_at\":-5}",
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(damaged); i++) {
		KC_CLEANUP_PORTAL_STATE struct kc_portal_state read = { 0 };

		assert_kc_ok(kc_portal_state_parse(damaged[i], strlen(damaged[i]), &read));
		assert_int_equal(read.answered_at, 0);
	}
}

static char *remembered(enum kc_run_kind kind)
{
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };

	assert_kc_ok(kc_portal_state_read(&state));
	return kc_steal(state.errors[kind]);
}

/* Kernel and processes have ends of their own; to have nothing to do is well. */
static void ends_of_runs_are_remembered(void **state)
{
	struct agent_host *host = *state;
	kc_autoerror struct kc_error *err = kc_error_new(KC_ERR_NETWORK, "no\n  route");
	kc_autoerror struct kc_error *nothing = kc_error_new(KC_ERR_NOTHING, "none");
	kc_autoerror struct kc_error *container = kc_error_new(KC_ERR_CONTAINER, "ask its host");
	struct kc_run_end end = { .kind = KC_RUN_KERNEL, .err = err };

	kc_checkin_remember_end(host->ctx, &end);
	assert_false(agent_host_has(host, KC_PATH_PORTAL)); /* nobody will ask */
	register_host(host);
	kc_checkin_remember_end(host->ctx, &end);
	for (int i = 0; i < 3; i++) {
		kc_autofree char *kernel = remembered(KC_RUN_KERNEL), *userspace = remembered(KC_RUN_USERSPACE);

		assert_null(userspace);
		if (!i)
			assert_string_equal(kernel, "network: no route");
		else
			assert_null(kernel);
		end.err = i ? container : nothing;
		kc_checkin_remember_end(host->ctx, &end);
	}
	end = (struct kc_run_end){ .kind = KC_RUN_USERSPACE, .err = err, .n_processes = 3, .n_patched = 2 };
	kc_checkin_remember_end(host->ctx, &end);
	{
		kc_autofree char *kernel = remembered(KC_RUN_KERNEL), *userspace = remembered(KC_RUN_USERSPACE);

		assert_null(kernel);
		assert_string_equal(userspace, "network: no route");
	}
	assert_int_equal(host->log.size, 0);
}

/* ---- the terms of the key ---- */

static void configure(const struct agent_host *host, const char *text, struct kc_config *config)
{
	kc_config_clear(config);
	agent_host_put_text(host, KC_PATH_CONFIG, text);
	assert_kc_ok(kc_config_load(host->ctx, config));
}

static void the_feed_of_the_key_is_followed(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	configure(host, "", &config);
	assert_string_equal(kc_config_feed(&config), "main");
	assert_false(config.has_terms);
	answer("stable", "");
	configure(host, "", &config);
	assert_true(config.has_terms);
	assert_string_equal(kc_config_feed(&config), "stable");
	answer("12h", "");
	assert_kc_ok(kc_config_use_terms(host->ctx, &config));
	assert_string_equal(kc_config_feed(&config), "main");
	assert_int_equal(kc_config_delay_s(&config, true), 12 * 3600);
	/* a choice of this host counts, for once or for ever */
	assert_kc_ok(kc_config_use_prefix(&config, ""));
	assert_int_equal(kc_config_delay_s(&config, true), 0);
	configure(host, "PREFIX=test\n", &config);
	assert_string_equal(kc_config_feed(&config), "test");
	configure(host, "PREFIX=48h\n", &config);
	assert_string_equal(kc_config_feed(&config), "main");
	assert_int_equal(kc_config_delay_s(&config, true), 48 * 3600);
	assert_int_equal(host->log.size, 0);
}

static void a_feed_that_is_none_is_not_followed(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	answer("../../other", "");
	configure(host, "", &config);
	assert_string_equal(kc_config_feed(&config), "main");
	assert_non_null(strstr(host->log.data, "'../../other' is not"));
}

static void assert_sticky(struct agent_host *host, const char *sticky, int64_t before, const char *rules)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autofree char *found = NULL;
	struct kc_policy policy;

	answer("main", sticky);
	configure(host, "STICKY_PATCH=KEY\nSTICKY_LIMIT=0\n", &config);
	assert_kc_ok(kc_policy_read(host->ctx, &config, false, NOW, &policy));
	assert_int_equal(policy.choice.before, before);
	found = kc_policy_rules(&config, false);
	assert_string_equal(found, rules);
}

static void the_date_of_the_key_holds(void **state)
{
	struct agent_host *host = *state;
	int64_t today = NOW - NOW % DAY_S;

	assert_sticky(host, "2026-11-20", today - 2 * DAY_S, "type=default sticky=KEY:2026-11-20");
	assert_sticky(host, "20112026", today - 2 * DAY_S, "type=default sticky=KEY:20112026");
	assert_sticky(host, "yesterday", today, "type=default sticky=KEY:yesterday");
	assert_sticky(host, "", 0, "type=default sticky=KEY");
}

static void dates_of_the_key_that_are_none(void **state)
{
	static const char *const bad[] = { "KEY", "tomorrow", "2026-13-01", "2026-11-23", "2026-11-24" };
	struct agent_host *host = *state;

	for (size_t i = 0; i < KC_ARRAY_SIZE(bad); i++) {
		KC_CLEANUP_CONFIG struct kc_config config = { 0 };
		struct kc_policy policy;

		answer("main", bad[i]);
		configure(host, "STICKY_PATCH=KEY\n", &config);
		assert_kc_error(kc_policy_read(host->ctx, &config, false, NOW, &policy), KC_ERR_REFUSED, bad[i]);
	}
}

/* ---- where the portal is ---- */

static void the_portal_is_beside_the_patches(void **state)
{
	static const struct {
		const char *config, *url;
	} cases[] = {
		{ "PATCH_SERVER=https://p.example/kcare/\n", "https://p.example/kcare/admin/api/kcare/checkin" },
		{ "PATCH_SERVER=https://p.example\nREGISTRATION_URL=http://r.example:8080/a/\n",
		  "http://r.example:8080/a/checkin" },
	};
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;
	kc_autofree char *none = NULL;

	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autofree char *url = NULL;

		configure(host, cases[i].config, &config);
		assert_kc_ok(kc_portal_url(&config, "/checkin", &url));
		assert_string_equal(url, cases[i].url);
	}
	configure(host, "", &config);
	assert_kc_error(kc_portal_url(&config, "/checkin", &none), KC_ERR_CONFIG, "REGISTRATION_URL or PATCH_SERVER");
}

static void tags_of_the_configuration_are_checked(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;

	configure(host, "TAGS=\"env:prod;ubuntu\"\n", &config);
	assert_string_equal(config.tags, "env:prod;ubuntu");
	agent_host_put_text(host, KC_PATH_CONFIG, "TAGS=a;;b\n");
	kc_config_clear(&config);
	assert_kc_error(kc_config_load(host->ctx, &config), KC_ERR_CONFIG, "TAGS: the tag ''");
}

/* ---- the host ---- */

static void names_come_from_the_hosts_file(void **state)
{
	static const char hosts[] = "127.0.0.1 localhost\n# 10.0.0.1 web.wrong web\n::1 localhost ip6.localhost\n"
				    "10.0.0.1\tweb.example.org  web # web.comment\r\n10.0.0.2 db db.example.org\n"
				    "10.0.0.3 bare\n10.0.0.4 WEB.other web";
	static const struct {
		const char *name, *fqdn;
	} cases[] = { { "web", "web.example.org" }, { "db", "db.example.org" }, { "bare", NULL }, { "absent", NULL } };

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autofree char *found = kc_fqdn_of_hosts(hosts, cases[i].name);

		if (cases[i].fqdn)
			assert_string_equal(found, cases[i].fqdn);
		else
			assert_null(found);
	}
	assert_null(kc_fqdn_of_hosts("", "web"));
	assert_null(kc_fqdn_of_hosts("\n\n  \n10.0.0.1", "10.0.0.1"));
}

static void expect_virtualization(struct agent_host *host, bool is_container, const char *expected)
{
	KC_CLEANUP_HOST_FACTS struct kc_host_facts facts = { 0 };

	assert_kc_ok(kc_host_facts_read(host->root, is_container, false, &facts));
	assert_string_equal(facts.virtualization, expected);
}

static void machines_are_told_apart(void **state)
{
	struct agent_host *host = *state;

	expect_virtualization(host, false, "none");
	agent_host_put_text(host, "/proc/cpuinfo", "model name\t: AMD EPYC\x1b[2J 9\nflags\t\t: fpu sse\n");
	agent_host_put_text(host, "/sys/class/dmi/id/sys_vendor", "Dell Inc.\n");
	expect_virtualization(host, false, "none");
	agent_host_put_text(host, "/sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
	expect_virtualization(host, false, "none"); /* bare metal of a cloud */
	agent_host_put_text(host, "/proc/cpuinfo", "model name\t: x\nflags\t\t: fpu hypervisor sse\n");
	expect_virtualization(host, false, "amazon");
	agent_host_put_text(host, "/sys/class/dmi/id/sys_vendor", "Nobody\n");
	expect_virtualization(host, false, "vm");
	agent_host_put_text(host, "/sys/class/dmi/id/product_name", "VMware7,1\n");
	expect_virtualization(host, false, "vmware");
	agent_host_put_text(host, "/proc/cpuinfo", "model name\t: x\nflags\t\t: fpu\nbugs : hypervisor\n");
	expect_virtualization(host, false, "none");
	agent_host_put_text(host, "/sys/hypervisor/type", "xen\n");
	expect_virtualization(host, false, "xen");
}

static void containers_are_told_apart(void **state)
{
	struct agent_host *host = *state;

	expect_virtualization(host, true, "container");
	agent_host_put_text(host, "/proc/1/cgroup", "0::/lxc/box\n");
	expect_virtualization(host, true, "lxc");
	agent_host_put_text(host, "/.dockerenv", "");
	expect_virtualization(host, true, "docker");
	agent_host_put_text(host, "/run/.containerenv", "");
	expect_virtualization(host, true, "podman");
	agent_host_put_text(host, "/run/systemd/container", "systemd-nspawn\n");
	expect_virtualization(host, true, "systemd-nspawn");
}

static void facts_can_be_sent(void **state)
{
	KC_CLEANUP_HOST_FACTS struct kc_host_facts facts = { 0 };
	struct agent_host *host = *state;

	agent_host_put_text(host, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
	agent_host_put_text(host, "/proc/cpuinfo", "model name\t: AMD EPYC\x1b[2J 9\nflags\t\t: fpu sse\n");
	assert_kc_ok(kc_host_facts_read(host->root, false, false, &facts));
	assert_string_equal(facts.distro, "debian");
	assert_string_equal(facts.distro_version, "12");
	assert_string_equal(facts.processor, "AMD EPYC?[2J 9");
	assert_true(*facts.hostname && !strchr(facts.hostname, '.') && facts.uptime_s > 0 && *facts.machine);
}

/* ---- the report ---- */

static void lines_are_masked(void **state)
{
	static const struct {
		const char *line, *masked;
	} cases[] = {
		{ "PREFIX = test\n", "PREFIX=test\n" },
		{ "https_proxy='http://user:hunter2@proxy:1'\n", "https_proxy=***@proxy:1\n" },
		{ "HTTP_PROXY=us@er:hunter2@proxy:1\n", "HTTP_PROXY=***@proxy:1\n" },
		{ "secret=0123\n", "secret=***\n" },
		{ "key=abc\n", "key=***\n" },
		{ "MY_PASSWORD=abc", "MY_PASSWORD=***\n" },
		{ "nonce=abc\n", "nonce=***\n" },
		{ "# the old one was hunter2\n", "# ***\n" },
		{ "no line at all hunter2\n", "# ***\n" },
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autobuf struct kc_buf out = { 0 };

		kc_doctor_mask(cases[i].line, strlen(cases[i].line), &out);
		assert_string_equal(out.data, cases[i].masked);
	}
}

/* Wherever they got to. */
static void secrets_stay_on_the_host(void **state)
{
	static const char *const secrets[] = { SECRET, "THEKEY", NONCE, "hunter22", "topsecret", "ffffffffc0a7c000" };
	struct agent_host *host = *state;
	kc_autobuf struct kc_buf out = { 0 };

	register_host(host);
	answer("main", "");
	agent_host_put_text(host, KC_PATH_CONFIG, "HTTPS_PROXY=http://user:hunter22@proxy:1\nTAGS=env:prod\n");
	agent_host_put_text(host, KC_PATH_INTEGRITY_LOG,
			    "begin " SECRET " THEKEY " NONCE " http://u:hunter22@proxy:1 topsecret \x1b[2J\xff "
			    "RAX: ffffffffc0a7c000 R8: 0000ffffc0a7c000 end\n");
	assert_int_equal(setenv("http_proxy", "http://a:topsecret@b:1", 1), 0);
	assert_kc_ok(kc_doctor_report(host->ctx, &out));
	unsetenv("http_proxy");
	for (size_t i = 0; i < KC_ARRAY_SIZE(secrets); i++)
		if (strstr(out.data, secrets[i]))
			fail_msg("%s is in the report", secrets[i]);
	assert_non_null(strstr(out.data, "begin *** *** *** http://u:***@proxy:1 *** ?[2J? RAX: **************** "
					 "R8: 0000ffffc0a7c000 end\n"));
	assert_non_null(strstr(out.data, "TAGS=env:prod\n"));
	assert_non_null(strstr(out.data, "server_id=" ID "\n"));
	assert_non_null(strstr(out.data, "==== kernel log"));
	assert_true(out.size <= KC_DOCTOR_REPORT_MAX && !out.data[out.size]);
}

static void long_logs_end_with_what_happened_last(void **state)
{
	struct agent_host *host = *state;
	kc_autobuf struct kc_buf log = { 0 }, out = { 0 };

	kc_buf_append_str(&log, "the first line\n");
	while (log.size < 300 << 10)
		kc_buf_append_str(&log, "something in between\n");
	kc_buf_append_str(&log, "the last line\n");
	agent_host_put(host, KC_PATH_INTEGRITY_LOG, log.data, log.size);
	assert_kc_ok(kc_doctor_report(host->ctx, &out));
	assert_null(strstr(out.data, "the first line"));
	assert_non_null(strstr(out.data, "the last line"));
	assert_true(out.size < 400 << 10);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, agent_host_set_up, agent_host_tear_down)
	const struct CMUnitTest tests[] = {
		T(an_identity_comes_back),
		T(identities_that_are_none),
		T(what_was_begun_comes_back),
		T(the_machine_is_told_by_a_hash),
		T(the_state_comes_back),
		T(a_damaged_state_is_none),
		T(ends_of_runs_are_remembered),
		T(the_feed_of_the_key_is_followed),
		T(a_feed_that_is_none_is_not_followed),
		T(the_date_of_the_key_holds),
		T(dates_of_the_key_that_are_none),
		T(the_portal_is_beside_the_patches),
		T(tags_of_the_configuration_are_checked),
		T(names_come_from_the_hosts_file),
		T(machines_are_told_apart),
		T(containers_are_told_apart),
		T(facts_can_be_sent),
		T(lines_are_masked),
		T(secrets_stay_on_the_host),
		T(long_logs_end_with_what_happened_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
