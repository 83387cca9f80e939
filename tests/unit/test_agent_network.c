/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network side of the agent, without a network: what it remembers of a check, what it may use of the cache then,
 * which step it takes, which repository it trusts, what it logs, and what it does not touch. The rest needs a server:
 * tests/scenario/test_kcarectl_network.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/cache.h"
#include "agent/info.h"
#include "agent/integrity_log.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "agent/policy.h"
#include "agent/remote.h"
#include "agent/root_file.h"
#include "agent/settings.h"
#include "agent/step.h"
#include "agent_host.h"
#include "base/file.h"
#include "sample.h"
#include "sample_feed.h"

#define KERNEL_ID "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER_HASH "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CONFIG "/etc/sysconfig/kcare/kcare.conf"

enum { NOBODY = 65534 };

static struct kc_level level_of(const char *type, uint32_t number, const char *hash)
{
	struct kc_level level = { .kernel_id = KERNEL_ID, .number = number };

	strcpy(level.type, type);
	strcpy(level.hash, hash);
	return level;
}

/* ---- what is remembered ---- */

static void add_blocked(struct kc_checked *checked, struct kc_level level)
{
	checked->blocked = realloc(checked->blocked, (checked->n_blocked + 1) * sizeof(level));
	checked->blocked[checked->n_blocked++] = level;
}

/* Level 5 was chosen, levels 4 and 6 are blocked, level 9 was imported. */
static void fill_state(struct kc_state *state)
{
	const struct kc_level imported = level_of("default", 9, HASH);

	*state = (struct kc_state){ .checked = { .at = 1795500000,
						 .root = "0123456789abcdef",
						 .feed = "main",
						 .rules = strdup("type=default"),
						 .chosen = level_of("default", 5, HASH),
						 .patchset = strdup("K20261120_01"),
						 .is_known = true } };
	strcpy(state->kernel_id, KERNEL_ID);
	add_blocked(&state->checked, level_of("default", 4, HASH));
	add_blocked(&state->checked, level_of("default", 6, HASH));
	assert_null(kc_state_add_imported(state, &imported));
}

static void a_check_is_remembered(void **state)
{
	KC_CLEANUP_STATE struct kc_state written = { 0 }, read = { 0 }, none = { 0 };

	(void)state;
	fill_state(&written);
	assert_null(kc_state_write(&written));
	assert_null(kc_state_read(&read));
	assert_int_equal(read.checked.at, 1795500000);
	assert_string_equal(read.checked.root, "0123456789abcdef");
	assert_string_equal(read.checked.feed, "main");
	assert_string_equal(read.checked.rules, "type=default");
	assert_string_equal(read.checked.patchset, "K20261120_01");
	assert_true(read.checked.is_known);
	assert_memory_equal(&read.checked.chosen, &written.checked.chosen, sizeof(read.checked.chosen));
	assert_int_equal(read.checked.n_blocked, 2);
	assert_memory_equal(read.checked.blocked, written.checked.blocked, 2 * sizeof(struct kc_level));
	assert_int_equal(read.n_imported, 1);
	assert_int_equal(read.imported[0].number, 9);
	/* none was to be had */
	written.checked.chosen.number = 0;
	assert_null(kc_state_write(&written));
	assert_null(kc_state_read(&none));
	assert_int_equal(none.checked.chosen.number, 0);
	assert_string_equal(none.checked.chosen.kernel_id, KERNEL_ID);
	assert_string_equal(none.checked.chosen.type, "default");
}

static void a_damaged_check_is_named(void **state)
{
#define CHECKED "{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"checked\":"
#define RIGHT "\"at\":1,\"root\":\"0\",\"feed\":\"main\",\"kernel_id\":\"" KERNEL_ID "\",\"type\":\"default\""
	static const char *const texts[] = {
		CHECKED "[]}",
		CHECKED "{}}",
		CHECKED "{\"at\":0,\"root\":\"\",\"feed\":\"\",\"kernel_id\":\"" KERNEL_ID "\",\"type\":\"default\"}}",
		CHECKED "{" RIGHT ",\"chosen\":{\"level\":1}}}",
		CHECKED "{" RIGHT ",\"blocked\":{}}}",
		CHECKED "{" RIGHT ",\"blocked\":[{}]}}",
		CHECKED "{\"at\":1,\"root\":\"0123456789abcdef0\",\"feed\":\"main\"}}",
		"{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"imported\":[1]}",
	};
	KC_CLEANUP_STATE struct kc_state right = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		KC_CLEANUP_STATE struct kc_state read = { 0 };

		assert_kc_error(kc_state_parse("state.json", texts[i], strlen(texts[i]), &read), KC_ERR_CORRUPT,
				"state.json is damaged");
	}
	assert_null(kc_state_parse("state.json", CHECKED "{" RIGHT "}}", strlen(CHECKED "{" RIGHT "}}"), &right));
	assert_int_equal(right.checked.at, 1);
}

static void imported_levels_are_remembered_once(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct kc_level level = level_of("default", 1, HASH);

	(void)state;
	for (uint32_t i = 1; i <= 1001; i++) {
		level.number = i;
		assert_null(kc_state_add_imported(&remembered, &level));
		assert_null(kc_state_add_imported(&remembered, &level));
	}
	assert_int_equal(remembered.n_imported, 1000);
	assert_true(kc_state_is_imported(&remembered, &level));
	kc_state_drop_imported(&remembered, &level);
	assert_false(kc_state_is_imported(&remembered, &level));
	kc_state_drop_imported(&remembered, &level);
	assert_int_equal(remembered.n_imported, 999);
	level.number = 1; /* the oldest went */
	assert_false(kc_state_is_imported(&remembered, &level));
}

/* ---- what may be used of the cache ---- */

static void put_level(const char *type, uint32_t number)
{
	struct kc_level level = level_of(type, number, HASH);

	sample_must(kc_cache_put(&level, "x", 1));
}

static void assert_newest(const struct kc_state *state, const char *type, bool has_server, const char *expected_type,
			  uint32_t number)
{
	struct kc_level level;
	size_t n;

	assert_null(kc_cache_newest(
		&(struct kc_cache_query){
			.kernel_id = KERNEL_ID, .type = type, .state = state, .has_server = has_server },
		&level, &n));
	assert_int_equal(level.number, number);
	if (number)
		assert_string_equal(level.type, expected_type);
}

static void only_the_choice_and_imports_are_used(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };

	(void)state;
	fill_state(&remembered);
	put_level("default", 3);
	put_level("default", 4); /* blocked */
	assert_newest(&remembered, "default", true, "default", 3);
	put_level("default", 7); /* from another feed, or before the configuration changed */
	assert_newest(&remembered, "default", true, "default", 3);
	put_level("default", 5);
	assert_newest(&remembered, "default", true, "default", 5);
	put_level("default", 6);
	assert_newest(&remembered, "default", true, "default", 5);
	put_level("default", 9);
	assert_newest(&remembered, "default", true, "default", 9);
	/* without a server all is good that is not blocked */
	put_level("default", 12);
	assert_newest(&remembered, "default", false, "default", 12);
	remembered.checked.blocked[1] = level_of("default", 12, HASH);
	assert_newest(&remembered, "default", false, "default", 9);
	/* an imported level can be blocked as well */
	remembered.checked.blocked[0] = level_of("default", 9, HASH);
	assert_newest(&remembered, "default", true, "default", 5);
	/* a kernel that nobody has asked about */
	remembered.checked.chosen.kernel_id[0] ^= 1;
	assert_newest(&remembered, "default", true, "default", 7);
}

static void the_type_is_the_configured_one_then_the_chosen_one(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };

	(void)state;
	fill_state(&remembered);
	put_level("default", 5);
	put_level("extra", 8); /* of before: the feed has no extra patches now */
	assert_newest(&remembered, "extra", true, "default", 5);
	strcpy(remembered.imported[0].type, "extra");
	remembered.imported[0].number = 8;
	assert_newest(&remembered, "extra", true, "extra", 8);
	/* the type was changed, and nobody has asked since: what was chosen is better than nothing */
	remembered.n_imported = 0;
	remembered.checked.chosen = level_of("extra", 8, HASH);
	assert_newest(&remembered, "free", true, "extra", 8);
}

static void a_block_is_of_one_build(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct kc_level level = level_of("default", 4, OTHER_HASH);

	(void)state;
	fill_state(&remembered);
	assert_false(kc_state_is_blocked(&remembered, &level));
	strcpy(level.hash, HASH);
	assert_true(kc_state_is_blocked(&remembered, &level));
	*level.hash = '\0'; /* not known which */
	assert_true(kc_state_is_blocked(&remembered, &level));
	strcpy(level.type, "extra");
	assert_false(kc_state_is_blocked(&remembered, &level));
}

/* ---- the step ---- */

static void nothing_lowers_a_level_but_a_block_or_a_wish(void **state)
{
	static const struct {
		uint32_t level, chosen;
		bool is_blocked, is_explicit, has_changed;
		enum { SAME, WANTED, DROPPED } type; /* of the chosen one */
		enum kc_step expected;
	} cases[] = {
		{ 0, 0, false, true, true, SAME, KC_STEP_NONE },
		{ 0, 3, false, false, false, SAME, KC_STEP_UP },
		{ 3, 3, false, true, true, SAME, KC_STEP_NONE },
		{ 3, 4, false, false, false, SAME, KC_STEP_UP },
		{ 3, 4, true, false, false, SAME, KC_STEP_UP },
		{ 4, 3, false, false, false, SAME, KC_STEP_KEEP },
		{ 4, 3, false, true, false, SAME, KC_STEP_KEEP },
		{ 4, 3, false, false, true, SAME, KC_STEP_ASK },
		{ 4, 3, false, true, true, SAME, KC_STEP_LOWER },
		{ 4, 3, true, false, false, SAME, KC_STEP_FALL_BACK },
		{ 4, 3, true, true, true, SAME, KC_STEP_FALL_BACK },
		{ 4, 0, false, true, true, SAME, KC_STEP_KEEP },
		{ 4, 0, true, false, false, SAME, KC_STEP_UNLOAD },
		{ 4, 3, false, false, false, WANTED, KC_STEP_UP }, /* levels of two types do not compare */
		{ 4, 3, true, false, false, WANTED, KC_STEP_FALL_BACK },
		{ 3, 4, true, false, false, WANTED, KC_STEP_FALL_BACK },
		{ 3, 3, false, false, false, WANTED, KC_STEP_UP },
		/* the feed has no more of the wanted type, which is in: as good as lower */
		{ 3, 9, false, false, false, DROPPED, KC_STEP_KEEP },
		{ 3, 9, false, true, false, DROPPED, KC_STEP_KEEP },
		{ 3, 9, false, false, true, DROPPED, KC_STEP_ASK },
		{ 3, 9, false, true, true, DROPPED, KC_STEP_LOWER },
		{ 3, 9, true, false, false, DROPPED, KC_STEP_FALL_BACK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kc_step_facts facts = {
			.level = cases[i].level,
			.type = "default",
			.is_blocked = cases[i].is_blocked,
			.chosen = cases[i].chosen,
			.chosen_type = cases[i].type == SAME ? "default" : "extra",
			.wanted_type = cases[i].type == WANTED ? "extra" : "default",
			.is_explicit = cases[i].is_explicit,
			.choice_changed = cases[i].has_changed,
		};

		if (kc_step_decide(&facts) != cases[i].expected)
			fail_msg("case %zu: step %d, expected %d", i, kc_step_decide(&facts), cases[i].expected);
	}
}

/* ---- the configuration's policy ---- */

static void configure(struct agent_host *host, const char *text, struct kc_config *config)
{
	agent_host_put_text(host, CONFIG, text);
	sample_must(kc_config_load(host->ctx, config));
}

#define MACHINE "kcare machine 0123456789abcdef0123456789abcdef"

static void a_policy_says_what_the_configuration_says(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;
	struct kc_policy plain, automatic;
	kc_autofree char *rules = NULL, *own_rules = NULL;
	char machine[KC_SHA256_TEXT_SIZE];

	agent_host_put_text(host, KC_PATH_MACHINE_ID, "0123456789abcdef0123456789abcdef\n");
	configure(host,
		  "PATCH_TYPE=extra\nPREFIX=12h\nSTICKY_PATCH=250518\nSTICKY_PATCHSET=K20230908_02\n"
		  "AUTO_UPDATE_DELAY=3d\nAUTO_STICKY_PATCHSET=K20230907_01\n",
		  &config);
	assert_null(kc_policy_read(host->ctx, &config, false, 1527292800 + 86400, &plain));
	assert_string_equal(plain.choice.type, "extra");
	/* a hash of the machine-id, which is nobody's business: the portal is told, so that it can choose as the host
	 * does */
	kc_sha256_text(MACHINE, strlen(MACHINE), machine);
	assert_string_equal(plain.choice.host, machine);
	assert_string_equal(plain.choice.not_newer, "K20230908_02");
	assert_int_equal(plain.choice.before, 1527292800);
	assert_int_equal(plain.choice.delay_s, 12 * 3600);
	assert_int_equal(plain.choice.now, 1527292800 + 86400);
	assert_int_equal(host->log.size, 0);
	assert_null(kc_policy_read(host->ctx, &config, true, 1527292800 + 61 * 86400, &automatic));
	assert_int_equal(automatic.choice.delay_s, 3 * 86400);
	assert_string_equal(automatic.choice.not_newer, "K20230907_01");
	assert_int_equal(automatic.choice.before, 1527292800); /* old, and holds */
	assert_non_null(strstr(host->log.data, "2018-05-25 is more than 60 days ago; it still holds"));
	assert_kc_error(kc_policy_read(host->ctx, &config, false, 1527292799, &plain), KC_ERR_REFUSED, "is today");
	rules = kc_policy_rules(&config, false);
	own_rules = kc_policy_rules(&config, true);
	assert_string_equal(rules, "type=extra sticky=2018-05-25 patchset=K20230908_02 delay=12h");
	assert_string_equal(own_rules, "type=extra sticky=2018-05-25 patchset=K20230907_01 delay=72h");
}

static void a_key_needs_a_registered_host(void **state)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	struct agent_host *host = *state;
	struct kc_policy policy;

	configure(host, "AUTO_STICKY_PATCH=KEY\n", &config);
	assert_null(kc_policy_read(host->ctx, &config, false, 1, &policy));
	assert_true(*policy.choice.host); /* without a machine-id it is the host's name */
	assert_kc_error(kc_policy_read(host->ctx, &config, true, 1, &policy), KC_ERR_REFUSED,
			"this host is not registered");
}

static void settings_are_checked_before_they_are_written(void **state)
{
	struct agent_host *host = *state;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *path = agent_host_path(host, CONFIG);
	time_t day = time(NULL) - 10 * 86400;
	char sticky[16];

	strftime(sticky, sizeof(sticky), "%d%m%Y", gmtime(&day));
	agent_host_put_text(host, CONFIG, "# mine\nPATCH_TYPE=free # why\n");
	assert_kc_error(kc_agent_set(host->ctx, "gold", sticky), KC_ERR_USAGE,
			"--set-patch-type: 'gold' is not default, extra or free");
	assert_kc_error(kc_agent_set(host->ctx, "extra", "tomorrow"), KC_ERR_USAGE,
			"--set-sticky-patch: 'tomorrow' is not a date");
	assert_kc_error(kc_agent_set(host->ctx, "extra", "010120"), KC_ERR_REFUSED, "STICKY_LIMIT");
	day = time(NULL) + 86400;
	strftime(sticky, sizeof(sticky), "%Y-%m-%d", gmtime(&day));
	assert_kc_error(kc_agent_set(host->ctx, "extra", sticky), KC_ERR_REFUSED, "is in the future");
	assert_int_equal(kc_file_read(path, 1000, &text), 0);
	assert_string_equal(text.data, "# mine\nPATCH_TYPE=free # why\n");
	assert_null(kc_agent_set(host->ctx, "EXTRA", "key"));
	assert_null(kc_agent_set(host->ctx, NULL, ""));
	kc_buf_reset(&text);
	assert_int_equal(kc_file_read(path, 1000, &text), 0);
	assert_string_equal(text.data, "# mine\nPATCH_TYPE=extra # why\nSTICKY_PATCH=\n");
	agent_host_put_text(host, CONFIG, "STICKY_LIMIT=0\nAUTO_STICKY_PATCH=010120\n");
	assert_null(kc_agent_set(host->ctx, NULL, "010120"));
	assert_non_null(strstr(host->log.data, "AUTO_STICKY_PATCH is set"));
}

/* ---- what a look tells ---- */

static void look(struct agent_host *host, const char *config_text, struct kc_state *remembered,
		 struct kc_agent_info *info, struct kc_buf *status)
{
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autobuf struct kc_buf version = { 0 };

	configure(host, config_text, &config);
	assert_int_equal(kc_file_read("/proc/version", 1 << 16, &version), 0);
	free(remembered->kernel_version);
	remembered->kernel_version = strdup(version.data);
	sample_must(kc_state_write(remembered));
	kc_agent_info_clear(info);
	sample_must(kc_agent_info_read(host->ctx, NULL, &config, info));
	kc_buf_reset(status);
	sample_must(kc_agent_info_status(info, status));
}

static void a_status_has_an_age(void **state)
{
	static const struct {
		int64_t age;
		const char *text;
	} ages[] = {
		{ 1, "Checked 1 second ago, feed main." },
		{ 119, "Checked 119 seconds ago, feed main." },
		{ 120, "Checked 2 minutes ago, feed main." },
		{ 3 * 3600, "Checked 3 hours ago, feed main." },
		{ 86400, "Checked 24 hours ago, feed main." },
		{ 40 * 86400, "Checked 40 days ago, feed main." },
		{ -9, "Checked at a time that has not come yet: the clock was set back, feed main." },
	};
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = { 0 };
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	kc_autobuf struct kc_buf status = { 0 }, text = { 0 }, json = { 0 };
	struct agent_host *host = *state;

	fill_state(&remembered);
	look(host, "PATCH_SERVER=http://p.example\n", &remembered, &info, &status);
	assert_int_equal(info.status, KC_STATUS_NO_PATCHES);
	assert_int_equal(info.newest.number, 5); /* offered, not in the cache yet */
	assert_false(info.is_cached);
	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		info.now = info.checked_at + ages[i].age;
		kc_buf_reset(&status);
		assert_null(kc_agent_info_status(&info, &status));
		if (!strstr(status.data, ages[i].text))
			fail_msg("%s, expected %s", status.data, ages[i].text);
	}
	assert_null(kc_agent_info_text(&info, &text));
	assert_non_null(strstr(text.data, "patch level 5 (default) is available; 'kcarectl --update' applies it\n"));
	assert_non_null(strstr(text.data, "kpatch-note: Checked at a time"));
	assert_null(kc_agent_info_json(&info, &json));
	assert_non_null(strstr(json.data, "\"is-blocked\":false,\"feed\":\"main\",\"checked-at\":1795500000,"));
}

static void a_status_says_what_it_cannot_know(void **state)
{
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = { 0 };
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	kc_autobuf struct kc_buf status = { 0 };
	struct agent_host *host = *state;

	fill_state(&remembered);
	put_level("default", 5);
	look(host, "PATCH_SERVER=http://p.example\nPREFIX=test\n", &remembered, &info, &status);
	assert_string_equal(status.data,
			    "No patches applied. Patch level 5 is available. The configuration has changed "
			    "since the last check; 'kcarectl --check' asks again.\n");
	look(host, "PATCH_SERVER=http://p.example\nSTICKY_PATCH=010120\n", &remembered, &info, &status);
	assert_true(info.is_outdated);
	look(host, "PATCH_SERVER=http://p.example\nAUTO_STICKY_PATCH=010120\n", &remembered, &info, &status);
	assert_false(info.is_outdated); /* somebody asked by hand */
	look(host, "", &remembered, &info, &status);
	assert_string_equal(status.data, "No patches applied. Patch level 5 is available.\n");
	remembered.checked.at = 0;
	look(host, "PATCH_SERVER=http://p.example\n", &remembered, &info, &status);
	assert_non_null(strstr(status.data, "The patch server has not been asked about this kernel yet"));
	info.loaded.level = 5;
	strcpy(info.loaded.type, "default");
	info.is_blocked = true;
	info.status = kc_agent_status_of(&info);
	assert_int_equal(info.status, KC_STATUS_NEW_PATCHES);
	kc_buf_reset(&status);
	assert_null(kc_agent_info_status(&info, &status));
	assert_non_null(
		strstr(status.data, "Patch level 5 is applied, but blocked: 'kcarectl --update' takes it out."));
}

/* ---- trust ---- */

/* root.json of a repository, below the host's root. */
static void put_root(struct agent_host *host, struct sample_feed *feed, const char *fixed, const char *version)
{
	const struct kc_buf *file = sample_feed_file(feed, version);

	agent_host_put(host, fixed, file->data, file->size);
}

static struct kc_error *import_root(struct agent_host *host, const char *fixed, bool replace,
				    struct kc_trusted_root *trusted)
{
	kc_autofree char *path = agent_host_path(host, fixed);

	*trusted = (struct kc_trusted_root){ 0 };
	assert_true(kc_agent_is_root(path));
	return kc_agent_import_root(host->ctx, path, replace, trusted);
}

static void a_repository_is_trusted_by_hand(void **state)
{
	struct sample_feed feed = { 0 }, other = { 0 };
	struct kc_trusted_root trusted;
	struct agent_host *host = *state;

	sample_feed_start(&feed, host->ctx, "main");
	sample_feed_start(&other, host->ctx, "main");
	put_root(host, &feed, "/in/root.json", "metadata/1.root.json");
	put_root(host, &other, "/in/other.json", "metadata/1.root.json");
	assert_null(import_root(host, "/in/root.json", false, &trusted));
	assert_int_equal(trusted.version, 1);
	assert_int_equal(trusted.threshold, 1);
	assert_int_equal(trusted.n_keyids, 1);
	assert_string_equal(trusted.keyids[0], kc_key_id(feed.root_keys[0]));
	assert_false(trusted.was_replaced);
	assert_true(agent_host_has(host, KC_PATH_ROOT));
	kc_trusted_root_clear(&trusted);
	assert_kc_error(import_root(host, "/in/root.json", false, &trusted), KC_ERR_NOTHING, "trusted already");
	/* the next root of the same repository comes by itself */
	sample_feed_publish_root(&feed, NULL, 0);
	put_root(host, &feed, "/in/2.root.json", "metadata/2.root.json");
	assert_kc_error(import_root(host, "/in/2.root.json", true, &trusted), KC_ERR_NOTHING, "trusted already");
	assert_kc_error(import_root(host, "/in/other.json", false, &trusted), KC_ERR_REFUSED, "add --force");
	assert_null(import_root(host, "/in/other.json", true, &trusted));
	assert_true(trusted.was_replaced);
	kc_trusted_root_clear(&trusted);
	/* whatever is there instead of one can be replaced */
	agent_host_put_text(host, KC_PATH_ROOT, "{}");
	assert_kc_error(import_root(host, "/in/root.json", false, &trusted), KC_ERR_CORRUPT, KC_PATH_ROOT);
	assert_null(import_root(host, "/in/root.json", true, &trusted));
	kc_trusted_root_clear(&trusted);
	sample_feed_clear(&feed);
	sample_feed_clear(&other);
}

static void what_is_no_root_is_not_trusted(void **state)
{
	struct sample_feed feed = { 0 };
	struct kc_trusted_root trusted;
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, "/in/key.pub");
	const struct kc_key *signer;
	char timestamp[64];

	sample_feed_start(&feed, host->ctx, "main");
	sample_feed_publish(&feed);
	agent_host_put_text(host, "/in/a.json", " {\"signed\":{}}");
	assert_kc_error(import_root(host, "/in/a.json", false, &trusted), KC_ERR_CORRUPT, "/in/a.json");
	snprintf(timestamp, sizeof(timestamp), "metadata/timestamp.json");
	put_root(host, &feed, "/in/timestamp.json", timestamp);
	assert_kc_error(import_root(host, "/in/timestamp.json", false, &trusted), KC_ERR_CORRUPT, "timestamp.json");
	signer = feed.keys[KC_ROLE_TARGETS]; /* a key of the repository, but not the one of its root */
	sample_feed_publish_root(&feed, &signer, 1);
	put_root(host, &feed, "/in/root.json", "metadata/2.root.json");
	assert_kc_error(import_root(host, "/in/root.json", false, &trusted), KC_ERR_UNKNOWN_KEY,
			"it is not signed by its own root keys");
	assert_false(agent_host_has(host, KC_PATH_ROOT));
	agent_host_put_text(host, "/in/key.pub", "-----BEGIN PUBLIC KEY-----\n");
	assert_false(kc_agent_is_root(path));
	sample_feed_clear(&feed);
}

static void without_trust_there_is_no_server(void **state)
{
	kc_autoremote struct kc_remote *remote = NULL;
	KC_CLEANUP_CONFIG struct kc_config none = { 0 }, config = { 0 };
	struct agent_host *host = *state;

	configure(host, "", &none);
	assert_kc_error(kc_remote_open(host->ctx, &none, true, &remote), KC_ERR_CONFIG, "no PATCH_SERVER");
	configure(host, "PATCH_SERVER=http://127.0.0.1:1\n", &config);
	assert_kc_error(kc_remote_open(host->ctx, &config, true, &remote), KC_ERR_UNKNOWN_KEY,
			"--import-key root.json");
}

/* ---- the log ---- */

static void violations_are_logged(void **state)
{
	kc_autoerror struct kc_error *rollback =
		kc_error_new(KC_ERR_ROLLBACK, "version 3, but 4 was accepted\n\x1b[2J");
	kc_autoerror struct kc_error *network = kc_error_new(KC_ERR_NETWORK, "no route");
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, KC_PATH_INTEGRITY_LOG),
			 *dir = agent_host_path(host, "/var/log/kcare");
	kc_autobuf struct kc_buf line = { 0 }, text = { 0 };
	struct stat st;

	assert_true(kc_is_violation(rollback));
	assert_false(kc_is_violation(network));
	kc_integrity_line(rollback, "main", "http://a/\xc3\xa4\\", 1795521600, &line);
	assert_string_equal(line.data,
			    "2026-11-24T12:00:00Z rollback main http://a/\\xc3\\xa4\\x5c version 3, but 4 was "
			    "accepted\\x0a\\x1b[2J\n");
	kc_integrity_log(host->ctx, rollback, "main", NULL);
	kc_integrity_log(host->ctx, rollback, "main", "http://a");
	assert_int_equal(kc_file_read(path, 10000, &text), 0);
	assert_non_null(strstr(text.data, " rollback main - version 3"));
	assert_non_null(strstr(text.data, "\n2")); /* appended */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0750, 0);
	assert_int_equal(host->log.size, 0);
}

static void a_log_of_somebody_else_is_not_written(void **state)
{
	kc_autoerror struct kc_error *err = kc_error_new(KC_ERR_EXPIRED, "over");
	struct agent_host *host = *state;
	kc_autofree char *path = agent_host_path(host, KC_PATH_INTEGRITY_LOG),
			 *victim = agent_host_path(host, "/victim"), *dir = agent_host_path(host, "/var/log/kcare");
	struct stat st;

	agent_host_put_text(host, "/victim", "");
	assert_int_equal(kc_dir_make(dir, 0750), 0);
	assert_int_equal(symlink(victim, path), 0);
	kc_integrity_log(host->ctx, err, "main", NULL);
	assert_non_null(strstr(host->log.data, "cannot write"));
	kc_buf_reset(&host->log);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(victim, path), 0);
	kc_integrity_log(host->ctx, err, "main", NULL);
	assert_non_null(strstr(host->log.data, "nothing is logged there"));
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_size, 0);
	kc_buf_reset(&host->log);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	kc_integrity_log(host->ctx, err, "main", NULL);
	assert_non_null(strstr(host->log.data, "nothing is logged there"));
	assert_false(agent_host_has(host, KC_PATH_INTEGRITY_LOG));
}

/* ---- local attackers ---- */

static void folders_of_others_are_refused(void **state)
{
	struct agent_host *host = *state;
	kc_autofree char *cache = agent_host_path(host, KC_PATH_CACHE),
			 *kernel = agent_host_path(host, KC_PATH_KERNEL_CACHE),
			 *elsewhere = agent_host_path(host, "/elsewhere"), *made = NULL, *lock = NULL;
	kc_autoclose int fd = -1;

	assert_null(kc_root_folder_make(KC_PATH_KERNEL_CACHE, &made));
	assert_string_equal(made, kernel);
	assert_int_equal(rmdir(kernel), 0);
	assert_int_equal(mkdir(elsewhere, 0755), 0);
	assert_int_equal(symlink(elsewhere, kernel), 0);
	assert_kc_error(kc_root_folder_make(KC_PATH_KERNEL_CACHE "/x", NULL), KC_ERR_PERMISSION,
			"kernel: not a folder");
	assert_int_equal(unlink(kernel), 0);
	if (geteuid() != 0)
		return; /* the rest is about others than root */
	assert_int_equal(chmod(cache, 0777), 0);
	assert_kc_error(kc_root_folder_make(KC_PATH_KERNEL_CACHE, NULL), KC_ERR_PERMISSION,
			"/var/cache/kcare: somebody");
	assert_int_equal(chmod(cache, 0755), 0);
	assert_int_equal(chown(cache, NOBODY, NOBODY), 0);
	assert_kc_error(kc_root_folder_make(KC_PATH_KERNEL_CACHE, NULL), KC_ERR_PERMISSION, "chown root");
	assert_int_equal(chown(cache, 0, 0), 0);
	assert_null(kc_root_folder_make(KC_PATH_KERNEL_CACHE, NULL));
	agent_host_put_text(host, KC_PATH_AGENT_LOCK, "");
	lock = agent_host_path(host, KC_PATH_AGENT_LOCK);
	assert_int_equal(chmod(lock, 0600), 0);
	assert_int_equal(chown(lock, NOBODY, NOBODY), 0);
	assert_kc_error(kc_agent_lock(0, &fd), KC_ERR_PERMISSION, "remove it");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agent_host_set_up, agent_host_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_check_is_remembered),
		TEST(a_damaged_check_is_named),
		TEST(imported_levels_are_remembered_once),
		TEST(only_the_choice_and_imports_are_used),
		TEST(the_type_is_the_configured_one_then_the_chosen_one),
		TEST(a_block_is_of_one_build),
		TEST(nothing_lowers_a_level_but_a_block_or_a_wish),
		TEST(a_policy_says_what_the_configuration_says),
		TEST(a_key_needs_a_registered_host),
		TEST(settings_are_checked_before_they_are_written),
		TEST(a_status_has_an_age),
		TEST(a_status_says_what_it_cannot_know),
		TEST(a_repository_is_trusted_by_hand),
		TEST(what_is_no_root_is_not_trusted),
		TEST(without_trust_there_is_no_server),
		TEST(violations_are_logged),
		TEST(a_log_of_somebody_else_is_not_written),
		TEST(folders_of_others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
