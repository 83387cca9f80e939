/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client of the repository, attacked: each test is one way to lie to a host. It must refuse with the error of its
 * own, and what it had accepted before must stand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "sample.h"
#include "sample_feed.h"

#define KERNEL "kernel/d6a9ac615d000000000000000000000000000047"
#define OTHER "kernel/0000000000000000000000000000000000000001"

enum { HOUR = 3600, DAY = 86400, MANY_ROOTS = 12 };

struct fixture {
	struct kc_ctx *ctx;
	struct sample_feed feed;
	struct kc_repo_source source;
	struct kc_buf anchor;
	char dir[64], state[80];
	int64_t now; /* of the host */
};

/* ---- a host ---- */

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kcare-test-XXXXXX");
	f->ctx = kc_ctx_new();
	*state = f;
	if (!f->ctx || !mkdtemp(f->dir))
		return -1;
	snprintf(f->state, sizeof(f->state), "%s/repo/0123/main", f->dir);
	sample_feed_start(&f->feed, f->ctx, "main");
	sample_feed_set_list(&f->feed, KERNEL, 1, false);
	sample_feed_set_list(&f->feed, OTHER, 1, false);
	f->feed.now = f->now = SAMPLE_NOW + HOUR;
	sample_feed_publish(&f->feed);
	sample_feed_source(&f->feed, &f->source);
	kc_buf_append(&f->anchor, sample_feed_file(&f->feed, "metadata/1.root.json")->data,
		      sample_feed_file(&f->feed, "metadata/1.root.json")->size);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int err = kc_tree_remove(f->dir);

	kc_buf_free(&f->anchor);
	sample_feed_clear(&f->feed);
	kc_ctx_free(f->ctx);
	free(f);
	return err;
}

/* As every run does: what is remembered comes from the folder. */
static struct kc_error *open_client(struct fixture *f, struct kc_repo_client **client)
{
	return kc_repo_client_open(f->ctx, f->state, "main", f->anchor.data, f->anchor.size, client);
}

static struct kc_error *refresh(struct fixture *f)
{
	kc_autorepoclient struct kc_repo_client *client = NULL;
	struct kc_repo_refreshed refreshed;

	KC_TRY(open_client(f, &client));
	return kc_repo_client_refresh(f->ctx, client, &f->source, f->now, &refreshed);
}

/* Refreshes, and takes the level that the list of KERNEL has; `*level` is negative when it is blocked. */
static struct kc_error *ask(struct fixture *f, long *level)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autorepoclient struct kc_repo_client *client = NULL;
	struct kc_repo_refreshed refreshed;

	KC_TRY(open_client(f, &client));
	KC_TRY(kc_repo_client_refresh(f->ctx, client, &f->source, f->now, &refreshed));
	KC_TRY(kc_repo_client_list(f->ctx, client, &f->source, KERNEL, &list));
	assert_int_equal(list.n_entries, 1);
	*level = list.entries[0].blocked ? -(long)list.entries[0].level : (long)list.entries[0].level;
	return NULL;
}

static void assert_level(struct fixture *f, long expected)
{
	long level = 0;

	sample_must(ask(f, &level));
	assert_int_equal(level, expected);
}

static void assert_error(struct kc_error *err, enum kc_error_code code)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s", kc_error_code_name(code));
	if (kc_error_code(err) != code)
		fail_msg("%s: %s, expected %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code));
}

/* ---- what the host remembers ---- */

static void add_state_file(struct fixture *f, const char *name, struct kc_buf *all)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", f->state, name);
	kc_buf_printf(all, "%s:", name);
	kc_file_read(path, 1 << 24, all);
}

enum part { ALL, BELOW_TIMESTAMP };

static void read_state(struct fixture *f, enum part part, struct kc_buf *all)
{
	static const char *const NAMES[] = { "1.root.json",
					     "2.root.json",
					     "3.root.json",
					     "snapshot.json",
					     "targets.json",
					     "bin-00.json",
					     "lists/kernel:d6a9ac615d000000000000000000000000000047" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(NAMES); i++)
		add_state_file(f, NAMES[i], all);
	if (part == ALL)
		add_state_file(f, "timestamp.json", all);
}

/* `part`: a timestamp that was good is kept, whatever it names. */
static void assert_refused_part(struct fixture *f, enum kc_error_code code, enum part part)
{
	kc_autobuf struct kc_buf before = { 0 }, after = { 0 };
	long level;

	read_state(f, part, &before);
	assert_error(ask(f, &level), code);
	read_state(f, part, &after);
	assert_int_equal(before.size, after.size);
	assert_memory_equal(before.data, after.data, after.size);
}

static void assert_refused(struct fixture *f, enum kc_error_code code)
{
	assert_refused_part(f, code, ALL);
}

/* ---- a portal ---- */

/* One hour later, there and here. */
static void pass_hour(struct fixture *f)
{
	f->feed.now += HOUR;
	f->now += HOUR;
}

static void publish_level(struct fixture *f, uint32_t level)
{
	pass_hour(f);
	sample_feed_set_list(&f->feed, KERNEL, level, false);
	sample_feed_publish(&f->feed);
}

static void copy_of(struct fixture *f, const char *path, struct kc_buf *copy)
{
	const struct kc_buf *file = sample_feed_file(&f->feed, path);

	kc_buf_append(copy, file->data, file->size);
}

static void put(struct fixture *f, const char *path, const struct kc_buf *text)
{
	sample_feed_put(&f->feed, path, text->data, text->size);
}

/* Changes `old` (which must be there) of a file to `new`, of the same length. */
static void alter(struct fixture *f, const char *path, const char *old, const char *new)
{
	struct kc_buf *file = sample_feed_file(&f->feed, path);
	char *at = memmem(file->data, file->size, old, strlen(old));

	assert_non_null(at);
	memcpy(at, new, strlen(new));
}

static struct kc_repo_meta *named(struct kc_repo_document *document, const char *name)
{
	for (size_t i = 0; i < document->n_files; i++)
		if (!strcmp(document->files[i].name, name))
			return &document->files[i];
	fail_msg("no %s", name);
	return NULL;
}

static void replace_key(struct fixture *f, enum kc_repo_role role)
{
	kc_key_free(f->feed.keys[role]);
	f->feed.keys[role] = sample_feed_key(f->ctx);
}

/* ---- the plain way ---- */

static void a_host_follows(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	publish_level(f, 2);
	assert_level(f, 2);
	assert_level(f, 2);
}

static void assert_asked(struct fixture *f, const char *const *words, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < f->feed.asked.size; i++)
		lines += f->feed.asked.data[i] == '\n';
	if (lines != n)
		fail_msg("%zu requests, expected %zu: %s", lines, n, f->feed.asked.data);
	for (size_t i = 0; i < n; i++)
		if (!strstr(f->feed.asked.data, words[i]))
			fail_msg("no %s among: %s", words[i], f->feed.asked.data);
	kc_buf_reset(&f->feed.asked);
}

static void an_up_to_date_host_asks_for_two_files(void **state)
{
	static const char *const FIRST[] = { "2.root.json", "timestamp.json", ".snapshot.json", ".targets.json",
					     "targets/kernel/" };
	struct fixture *f = *state;

	assert_level(f, 1);
	assert_asked(f, FIRST, 5);
	assert_level(f, 1);
	assert_asked(f, FIRST, 2);
	publish_level(f, 1); /* the list itself stays */
	assert_level(f, 1);
	assert_asked(f, FIRST, 4);
}

static void bins_are_fetched_one_by_one(void **state)
{
	static const char *const FIRST[] = { "2.root.json",   "timestamp.json", ".snapshot.json",
					     ".targets.json", ".bin-",		"targets/kernel/" };
	struct fixture *f = *state;
	kc_autorepoclient struct kc_repo_client *client = NULL;
	struct kc_repo_refreshed refreshed;
	char **paths = NULL;
	size_t n_paths = 0;

	f->feed.bin_bits = 5;
	publish_level(f, 3);
	assert_level(f, 3);
	assert_asked(f, FIRST, 6);
	assert_level(f, 3);
	assert_asked(f, FIRST, 2);
	sample_must(open_client(f, &client));
	sample_must(kc_repo_client_refresh(f->ctx, client, &f->source, f->now, &refreshed));
	assert_false(refreshed.is_new);
	sample_must(kc_repo_client_paths(f->ctx, client, &f->source, &paths, &n_paths));
	assert_int_equal(n_paths, 2);
	for (size_t i = 0; i < n_paths; i++) {
		assert_true(!strcmp(paths[i], KERNEL) || !strcmp(paths[i], OTHER));
		free(paths[i]);
	}
	free(paths);
}

static void bins_have_no_bins(void **state)
{
	struct fixture *f = *state;
	char bin[16], name[32];
	long level;

	kc_repo_bin_name(KERNEL, 5, bin);
	snprintf(name, sizeof(name), "%s.json", bin);
	f->feed.bin_bits = 5;
	publish_level(f, 2);
	*named(&f->feed.snapshot, name)->hash = '\0';
	named(&f->feed.snapshot, name)->size = 0;
	sample_feed_sign(&f->feed, KC_ROLE_TARGETS, &f->feed.targets, name, NULL); /* which has bins */
	sample_feed_sign_snapshot(&f->feed);
	assert_error(ask(f, &level), KC_ERR_CORRUPT);
}

static void what_a_feed_does_not_have_is_not_found(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autorepoclient struct kc_repo_client *client = NULL;
	struct kc_repo_refreshed refreshed;

	sample_must(open_client(f, &client));
	assert_error(kc_repo_client_list(f->ctx, client, &f->source, KERNEL, &list), KC_ERR_USAGE);
	sample_must(kc_repo_client_refresh(f->ctx, client, &f->source, f->now, &refreshed));
	assert_true(refreshed.is_new);
	assert_error(kc_repo_client_list(f->ctx, client, &f->source, "kernel/00", &list), KC_ERR_NOT_FOUND);
	sample_feed_remove(&f->feed, "metadata/timestamp.json");
	assert_refused(f, KC_ERR_NOT_FOUND);
}

static void a_cut_off_run_is_completed_by_the_next(void **state)
{
	static const char *const POINTS[] = { "snapshot.json", "targets.json", "targets/kernel/" };
	struct fixture *f = *state;
	long level;

	for (size_t i = 0; i < KC_ARRAY_SIZE(POINTS); i++) {
		publish_level(f, (uint32_t)i + 2);
		f->feed.fails_at = POINTS[i];
		assert_error(ask(f, &level), KC_ERR_NETWORK);
		f->feed.fails_at = NULL;
		assert_level(f, (long)i + 2);
	}
}

/* ---- 1: forged or unsigned ---- */

static void test_01_metadata_by_an_unknown_key(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *stranger = sample_feed_key(f->ctx);

	assert_level(f, 1);
	publish_level(f, 2);
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, stranger);
	assert_refused(f, KC_ERR_UNKNOWN_KEY);
	/* a key of the repository, and of another role */
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, f->feed.keys[KC_ROLE_TARGETS]);
	assert_refused(f, KC_ERR_UNKNOWN_KEY);
	/* below, where the hash above is right: the keys of the timestamp were stolen, those of the snapshot not */
	sample_feed_sign(&f->feed, KC_ROLE_SNAPSHOT, &f->feed.snapshot, "snapshot.json", stranger);
	sample_feed_sign_timestamp(&f->feed);
	assert_refused_part(f, KC_ERR_UNKNOWN_KEY, BELOW_TIMESTAMP);
}

static void test_01_targets_by_an_unknown_key(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *stranger = sample_feed_key(f->ctx);
	char path[64];

	assert_level(f, 1);
	publish_level(f, 2);
	sample_feed_sign(&f->feed, KC_ROLE_TARGETS, &f->feed.targets, "targets.json", stranger);
	sample_feed_path(&f->feed, "targets.json", path);
	kc_sha256_text(sample_feed_file(&f->feed, path)->data, sample_feed_file(&f->feed, path)->size,
		       named(&f->feed.snapshot, "targets.json")->hash);
	sample_feed_sign_snapshot(&f->feed);
	sample_feed_sign_timestamp(&f->feed);
	assert_error(refresh(f), KC_ERR_UNKNOWN_KEY);
}

static void test_01_altered_or_unsigned_metadata(void **state)
{
	static const char PAGE[] = "<html>sign in to the hotel's network</html>";
	static const char EMPTY[] = "{\"signatures\":[],\"signed\":{}}";
	struct fixture *f = *state;

	assert_level(f, 1);
	publish_level(f, 2);
	alter(f, "metadata/timestamp.json", "2026", "2036");
	assert_refused(f, KC_ERR_BAD_SIGNATURE);
	sample_feed_put(&f->feed, "metadata/timestamp.json", EMPTY, strlen(EMPTY));
	assert_refused(f, KC_ERR_UNSIGNED);
	sample_feed_put(&f->feed, "metadata/timestamp.json", PAGE, strlen(PAGE));
	assert_refused(f, KC_ERR_CORRUPT);
	sample_feed_put(&f->feed, "metadata/timestamp.json", "", 0);
	assert_refused(f, KC_ERR_CORRUPT);
}

/* A snapshot is no timestamp, even when both are signed by the same key. */
static void test_01_metadata_of_another_role(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	publish_level(f, 2);
	sample_feed_sign(&f->feed, KC_ROLE_SNAPSHOT, &f->feed.snapshot, "snapshot.json",
			 f->feed.keys[KC_ROLE_TIMESTAMP]);
	{
		kc_autobuf struct kc_buf snapshot = { 0 };
		char path[64];

		sample_feed_path(&f->feed, "snapshot.json", path);
		copy_of(f, path, &snapshot);
		put(f, "metadata/timestamp.json", &snapshot);
	}
	assert_refused(f, KC_ERR_CORRUPT);
}

/* ---- 2: rollback ---- */

static void test_02_rollback_of_the_timestamp(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf old = { 0 };

	copy_of(f, "metadata/timestamp.json", &old);
	publish_level(f, 2);
	assert_level(f, 2);
	put(f, "metadata/timestamp.json", &old);
	assert_refused(f, KC_ERR_ROLLBACK);
}

/* Hourly timestamps over one snapshot: showing an older one again would hide how old it is. */
static void test_02_rollback_of_the_timestamp_alone(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf old = { 0 };

	copy_of(f, "metadata/timestamp.json", &old);
	pass_hour(f);
	f->feed.timestamp.version = (uint64_t)f->feed.now;
	sample_feed_sign_timestamp(&f->feed);
	assert_level(f, 1);
	put(f, "metadata/timestamp.json", &old);
	assert_refused(f, KC_ERR_ROLLBACK);
}

/* Whoever has the key of the timestamp, and no other, names an old snapshot. */
static void test_02_rollback_of_the_snapshot(void **state)
{
	struct fixture *f = *state;
	struct kc_repo_meta old = f->feed.timestamp.files[0];

	publish_level(f, 2);
	assert_level(f, 2);
	named(&f->feed.timestamp, "snapshot.json")->version = old.version;
	f->feed.timestamp.version++;
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, NULL);
	assert_refused(f, KC_ERR_ROLLBACK);
}

/* The keys of timestamp and snapshot were stolen: a new snapshot names an old file. */
static void name_old_file(struct fixture *f, const char *name, uint64_t version)
{
	named(&f->feed.snapshot, name)->version = version;
	f->feed.snapshot.version++;
	f->feed.timestamp.version++;
	sample_feed_sign_snapshot(&f->feed);
}

static void test_02_rollback_of_targets(void **state)
{
	struct fixture *f = *state;
	uint64_t old = f->feed.targets.version;

	publish_level(f, 2);
	assert_level(f, 2);
	name_old_file(f, "targets.json", old);
	assert_refused_part(f, KC_ERR_ROLLBACK, BELOW_TIMESTAMP);
}

static void test_02_rollback_of_a_bin(void **state)
{
	struct fixture *f = *state;
	uint64_t old;
	char bin[16], name[32];

	kc_repo_bin_name(KERNEL, 5, bin);
	snprintf(name, sizeof(name), "%s.json", bin);
	f->feed.bin_bits = 5;
	publish_level(f, 2);
	old = named(&f->feed.snapshot, name)->version;
	publish_level(f, 3);
	assert_level(f, 3);
	name_old_file(f, name, old);
	assert_refused_part(f, KC_ERR_ROLLBACK, BELOW_TIMESTAMP);
}

static void test_02_a_bin_vanishes(void **state)
{
	struct fixture *f = *state;

	f->feed.bin_bits = 5;
	publish_level(f, 2);
	assert_level(f, 2);
	f->feed.bin_bits = 0;
	publish_level(f, 1);
	assert_refused_part(f, KC_ERR_ROLLBACK, BELOW_TIMESTAMP);
}

static void test_02_rollback_of_the_root(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf old = { 0 };

	sample_feed_publish_root(&f->feed, NULL, 0);
	assert_level(f, 1);
	copy_of(f, "metadata/1.root.json", &old);
	put(f, "metadata/3.root.json", &old);
	assert_refused(f, KC_ERR_ROLLBACK);
}

/* ---- 3: freeze ---- */

static void test_03_freeze(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	f->now += 3 * DAY; /* and always the same timestamp */
	assert_refused(f, KC_ERR_EXPIRED);
	f->now -= 3 * DAY;
	assert_level(f, 1);
}

/* What expired is named in the message. */
static void assert_expired(struct fixture *f, const char *what)
{
	kc_autoerror struct kc_error *err = refresh(f);

	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_EXPIRED);
	if (!strstr(kc_error_message(err), what))
		fail_msg("'%s' does not speak of %s", kc_error_message(err), what);
}

/* Fresh timestamps over a snapshot, or targets, that nobody has signed for two weeks. */
static void test_03_freeze_below_the_timestamp(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	f->now = f->feed.now + 14 * DAY;
	f->feed.timestamp.version = (uint64_t)f->now;
	f->feed.timestamp.expires = f->now + DAY;
	sample_feed_sign_timestamp(&f->feed);
	assert_expired(f, "snapshot.json");
	f->feed.snapshot.version = f->feed.timestamp.version = (uint64_t)f->now + 1;
	f->feed.snapshot.expires = f->now + DAY;
	sample_feed_sign_snapshot(&f->feed);
	assert_expired(f, "targets.json");
	f->feed.now = f->now;
	publish_level(f, 2);
	assert_level(f, 2);
}

/* The same to a host that has seen nothing yet. */
static void test_03_a_new_host_takes_nothing_expired(void **state)
{
	struct fixture *f = *state;

	f->now += HOUR;
	f->feed.snapshot.expires = f->now;
	f->feed.timestamp.version = ++f->feed.snapshot.version;
	sample_feed_sign_snapshot(&f->feed);
	assert_expired(f, "snapshot.json");
	f->feed.snapshot.expires = f->now + DAY;
	f->feed.timestamp.version = ++f->feed.snapshot.version;
	f->feed.targets.expires = f->now;
	sample_feed_sign(&f->feed, KC_ROLE_TARGETS, &f->feed.targets, "targets.json", NULL);
	*named(&f->feed.snapshot, "targets.json")->hash = '\0';
	sample_feed_sign_snapshot(&f->feed);
	assert_expired(f, "targets.json");
	publish_level(f, 2);
	assert_level(f, 2);
}

static void test_03_freeze_of_an_unseen_state(void **state)
{
	struct fixture *f = *state;

	f->now += 3 * DAY;
	assert_error(refresh(f), KC_ERR_EXPIRED);
}

static void test_03_the_root_expires(void **state)
{
	struct fixture *f = *state;

	f->feed.root_expires = f->now + HOUR;
	sample_feed_publish_root(&f->feed, NULL, 0);
	assert_level(f, 1);
	f->now += HOUR;
	assert_refused(f, KC_ERR_EXPIRED);
}

/* ---- 4: mix and match ---- */

static void test_04_files_of_different_states(void **state)
{
	static const char *const NAMES[] = { "snapshot.json", "targets.json" };
	struct fixture *f = *state;

	for (size_t i = 0; i < KC_ARRAY_SIZE(NAMES); i++) {
		kc_autobuf struct kc_buf old = { 0 }, right = { 0 };
		char path[64];

		assert_level(f, (long)i + 1);
		sample_feed_path(&f->feed, NAMES[i], path);
		copy_of(f, path, &old);
		publish_level(f, (uint32_t)i + 2);
		sample_feed_path(&f->feed, NAMES[i], path);
		copy_of(f, path, &right);
		put(f, path, &old);
		if (i == 0)
			assert_refused_part(f, KC_ERR_MIXED, BELOW_TIMESTAMP);
		else
			assert_error(refresh(f), KC_ERR_MIXED);
		put(f, path, &right);
		assert_level(f, (long)i + 2);
	}
}

static void test_04_a_list_of_another_state(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf right = { 0 };
	kc_autofree char *path = NULL;
	long level;

	assert_level(f, 1);
	publish_level(f, 2);
	path = kc_repo_target_file_path(KERNEL, named(&f->feed.targets, KERNEL)->hash);
	copy_of(f, path, &right);
	alter(f, path, "\"level\":2", "\"level\":9");
	assert_error(ask(f, &level), KC_ERR_MIXED);
	sample_feed_put(&f->feed, path, right.data, right.size - 1);
	assert_error(ask(f, &level), KC_ERR_MIXED);
	sample_feed_remove(&f->feed, path);
	assert_error(ask(f, &level), KC_ERR_MIXED);
	put(f, path, &right);
	assert_level(f, 2);
}

static void test_04_two_files_with_one_version(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	f->feed.timestamp.expires += 60;
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, NULL);
	assert_refused(f, KC_ERR_MIXED);
	f->feed.timestamp.version++;
	f->feed.snapshot.expires += 60;
	sample_feed_sign_snapshot(&f->feed);
	assert_refused(f, KC_ERR_MIXED);
}

static void test_04_a_version_that_the_snapshot_does_not_say(void **state)
{
	struct fixture *f = *state;
	char path[64], wanted[64];
	kc_autobuf struct kc_buf targets = { 0 };

	assert_level(f, 1);
	publish_level(f, 2);
	sample_feed_path(&f->feed, "targets.json", path);
	copy_of(f, path, &targets);
	/* no hash to compare, as TUF allows: the version itself is checked */
	named(&f->feed.snapshot, "targets.json")->version++;
	*named(&f->feed.snapshot, "targets.json")->hash = '\0';
	snprintf(wanted, sizeof(wanted), "metadata/%llu.targets.json",
		 (unsigned long long)named(&f->feed.snapshot, "targets.json")->version);
	put(f, wanted, &targets);
	sample_feed_sign_snapshot(&f->feed);
	assert_error(refresh(f), KC_ERR_MIXED);
}

/* ---- 5, 6: other targets, other feeds ---- */

static void test_05_the_list_of_another_target(void **state)
{
	struct fixture *f = *state;
	long level;

	pass_hour(f);
	sample_feed_set_list(&f->feed, OTHER, 7, false);
	/* whoever has the keys of the server puts it under the other name */
	for (size_t i = 0; i < f->feed.n_targets_now; i++)
		if (!strcmp(f->feed.targets_now[i].path, OTHER))
			sample_feed_set_target(&f->feed, KERNEL, f->feed.targets_now[i].text.data,
					       f->feed.targets_now[i].text.size);
	sample_feed_publish(&f->feed);
	assert_error(ask(f, &level), KC_ERR_WRONG_TARGET);
}

static void test_06_metadata_of_another_feed(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	f->feed.name = "test"; /* with the same keys, as all feeds of a repository have */
	publish_level(f, 2);
	assert_refused(f, KC_ERR_WRONG_FEED);
}

static void test_06_a_list_of_another_feed(void **state)
{
	struct fixture *f = *state;
	long level;

	assert_level(f, 1);
	f->feed.name = "test";
	sample_feed_set_list(&f->feed, KERNEL, 2, false);
	f->feed.name = "main";
	pass_hour(f);
	sample_feed_publish(&f->feed);
	assert_error(ask(f, &level), KC_ERR_WRONG_FEED);
}

/* ---- 7: endless data ---- */

static void put_long(struct fixture *f, const char *path, size_t size)
{
	kc_autofree char *data = malloc(size);

	memset(data, ' ', size);
	sample_feed_put(&f->feed, path, data, size);
}

static void test_07_endless_data(void **state)
{
	struct fixture *f = *state;
	char path[64];

	assert_level(f, 1);
	publish_level(f, 2);
	sample_feed_path(&f->feed, "snapshot.json", path);
	put_long(f, path, named(&f->feed.timestamp, "snapshot.json")->size + 1);
	assert_refused_part(f, KC_ERR_LIMIT, BELOW_TIMESTAMP);
	put_long(f, "metadata/timestamp.json", KC_REPO_TIMESTAMP_SIZE_MAX + 1);
	assert_refused(f, KC_ERR_LIMIT);
	put_long(f, "metadata/2.root.json", KC_REPO_ROOT_SIZE_MAX + 1);
	assert_refused(f, KC_ERR_LIMIT);
}

static void test_07_signed_sizes_have_limits(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *path = NULL;
	long level;

	pass_hour(f);
	sample_feed_publish(&f->feed);
	named(&f->feed.targets, KERNEL)->size = KC_TARGET_LIST_SIZE_MAX + 1;
	sample_feed_sign(&f->feed, KC_ROLE_TARGETS, &f->feed.targets, "targets.json", NULL);
	*named(&f->feed.snapshot, "targets.json")->hash = '\0';
	named(&f->feed.snapshot, "targets.json")->size = 0;
	sample_feed_sign_snapshot(&f->feed);
	kc_buf_reset(&f->feed.asked);
	assert_error(ask(f, &level), KC_ERR_LIMIT);
	assert_null(strstr(f->feed.asked.data, "targets/kernel"));
}

/* Deep, wide, and of huge numbers: JSON that is not canonical is refused before it means anything. */
static void test_07_bombs(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *deep = malloc(KC_REPO_TIMESTAMP_SIZE_MAX);

	assert_level(f, 1);
	memset(deep, '[', KC_REPO_TIMESTAMP_SIZE_MAX);
	sample_feed_put(&f->feed, "metadata/timestamp.json", deep, KC_REPO_TIMESTAMP_SIZE_MAX);
	assert_refused(f, KC_ERR_CORRUPT);
}

/* ---- 9: fast-forward ---- */

static void test_09_versions_of_the_far_future(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	publish_level(f, 2);
	f->feed.timestamp.version = KC_CANONICAL_INTEGER_MAX;
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, NULL);
	assert_refused(f, KC_ERR_FAST_FORWARD);
	f->feed.timestamp.version = f->feed.version;
	named(&f->feed.snapshot, "targets.json")->version = KC_CANONICAL_INTEGER_MAX;
	sample_feed_sign_snapshot(&f->feed);
	assert_refused_part(f, KC_ERR_FAST_FORWARD, BELOW_TIMESTAMP);
}

/* All online keys were stolen, and drove the versions up as far as hosts let them; new keys make it undone. */
static void test_09_recovery_by_rotation(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	f->feed.now += DAY - HOUR;
	sample_feed_set_list(&f->feed, KERNEL, 9, false);
	sample_feed_publish(&f->feed);
	assert_level(f, 9);
	f->feed.now = f->now;
	f->feed.version = 0;
	publish_level(f, 2);
	assert_refused(f, KC_ERR_ROLLBACK);
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		replace_key(f, role);
	sample_feed_publish_root(&f->feed, NULL, 0);
	sample_feed_publish(&f->feed);
	assert_level(f, 2);
	assert_level(f, 2);
}

static void test_09_rotation_of_targets_keeps_the_versions(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf old = { 0 };

	assert_level(f, 1);
	copy_of(f, "metadata/timestamp.json", &old);
	replace_key(f, KC_ROLE_TARGETS);
	sample_feed_publish_root(&f->feed, NULL, 0);
	publish_level(f, 2);
	assert_level(f, 2);
	put(f, "metadata/timestamp.json", &old);
	assert_refused(f, KC_ERR_ROLLBACK);
}

/* ---- 10: a removed key ---- */

static void test_10_a_removed_key_signs(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *stolen = f->feed.keys[KC_ROLE_TIMESTAMP];

	f->feed.keys[KC_ROLE_TIMESTAMP] = sample_feed_key(f->ctx);
	sample_feed_publish_root(&f->feed, NULL, 0);
	sample_feed_publish(&f->feed);
	assert_level(f, 1);
	pass_hour(f);
	f->feed.timestamp.version = (uint64_t)f->feed.now;
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, stolen);
	assert_refused(f, KC_ERR_REVOKED_KEY);
	/* a key that never was one of this role is unknown, and not replaced */
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, f->feed.keys[KC_ROLE_TARGETS]);
	assert_refused(f, KC_ERR_UNKNOWN_KEY);
}

/* A key that moved to another role does not sign for the old one any more. */
static void test_10_a_key_that_moved(void **state)
{
	struct fixture *f = *state;
	struct kc_key *moved = f->feed.keys[KC_ROLE_TIMESTAMP];

	assert_level(f, 1);
	kc_key_free(f->feed.keys[KC_ROLE_SNAPSHOT]);
	f->feed.keys[KC_ROLE_SNAPSHOT] = moved;
	f->feed.keys[KC_ROLE_TIMESTAMP] = sample_feed_key(f->ctx);
	sample_feed_publish_root(&f->feed, NULL, 0);
	publish_level(f, 2);
	assert_level(f, 2);
	f->feed.timestamp.version++;
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, moved);
	assert_refused(f, KC_ERR_REVOKED_KEY);
}

static void rotate_root_key(struct fixture *f, struct kc_key **old)
{
	const struct kc_key *both[2];

	*old = f->feed.root_keys[0];
	f->feed.root_keys[0] = sample_feed_key(f->ctx);
	both[0] = *old;
	both[1] = f->feed.root_keys[0];
	sample_feed_publish_root(&f->feed, both, 2);
}

static void test_10_a_removed_root_key_signs_a_root(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *stolen = NULL;
	const struct kc_key *both[2];
	struct kc_key *right;

	rotate_root_key(f, &stolen);
	assert_level(f, 1);
	/* his root has a key of his own: the second of the three */
	right = f->feed.root_keys[0];
	f->feed.root_keys[0] = f->feed.root_keys[1];
	f->feed.root_keys[1] = right;
	both[0] = stolen;
	both[1] = f->feed.root_keys[0];
	sample_feed_publish_root(&f->feed, both, 2);
	assert_refused(f, KC_ERR_REVOKED_KEY);
}

/* ---- 11: roots over many versions ---- */

static void test_11_a_host_that_was_off_for_months(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	for (int i = 0; i < MANY_ROOTS; i++) {
		kc_autokey struct kc_key *old = NULL;

		rotate_root_key(f, &old);
		for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
			replace_key(f, role);
		f->now += 30 * DAY; /* roots in between may be expired by now */
		f->feed.root_expires = f->now + 40 * DAY;
	}
	sample_feed_publish_root(&f->feed, NULL, 0);
	f->feed.now = f->now;
	publish_level(f, 2);
	assert_level(f, 2);
	assert_level(f, 2); /* from the folder */
}

static void test_11_a_gap_in_the_chain(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf later = { 0 };

	assert_level(f, 1);
	sample_feed_publish_root(&f->feed, NULL, 0);
	sample_feed_publish_root(&f->feed, NULL, 0);
	copy_of(f, "metadata/3.root.json", &later);
	put(f, "metadata/2.root.json", &later);
	assert_refused(f, KC_ERR_ROOT_CHAIN);
}

static void test_11_a_root_that_the_old_one_did_not_sign(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *old = f->feed.root_keys[0];
	const struct kc_key *own;

	assert_level(f, 1);
	own = f->feed.root_keys[0] = sample_feed_key(f->ctx);
	sample_feed_publish_root(&f->feed, &own, 1);
	assert_refused(f, KC_ERR_ROOT_CHAIN);
	/* and one that only the old one signed */
	f->feed.root_version--;
	own = old;
	sample_feed_publish_root(&f->feed, &own, 1);
	assert_refused(f, KC_ERR_ROOT_CHAIN);
}

static void test_11_too_few_signatures(void **state)
{
	struct fixture *f = *state;
	const struct kc_key *one;

	f->feed.n_root_keys = 3;
	f->feed.root_threshold = 2;
	sample_feed_publish_root(&f->feed, NULL, 0);
	assert_level(f, 1);
	one = f->feed.root_keys[1];
	sample_feed_publish_root(&f->feed, &one, 1);
	assert_refused(f, KC_ERR_ROOT_CHAIN);
	/* nor may a root lower the threshold by itself */
	f->feed.root_version--;
	f->feed.root_threshold = 1;
	one = f->feed.root_keys[0];
	sample_feed_publish_root(&f->feed, &one, 1);
	assert_refused(f, KC_ERR_ROOT_CHAIN);
	f->feed.root_version--;
	sample_feed_publish_root(&f->feed, (const struct kc_key *const *)&f->feed.root_keys[1], 2);
	assert_level(f, 1);
}

static void test_11_an_altered_root(void **state)
{
	struct fixture *f = *state;

	assert_level(f, 1);
	sample_feed_publish_root(&f->feed, NULL, 0);
	alter(f, "metadata/2.root.json", "\"threshold\":1", "\"threshold\":2");
	assert_refused(f, KC_ERR_BAD_SIGNATURE);
}

/* ---- 12: the clock ---- */

static void test_12_the_clock_is_behind(void **state)
{
	struct fixture *f = *state;

	f->now -= DAY + 60;
	assert_error(refresh(f), KC_ERR_CLOCK);
	f->now += DAY;
	assert_level(f, 1); /* an hour is no reason */
	f->now = 0;
	assert_refused(f, KC_ERR_CLOCK);
}

static void test_12_the_clock_is_ahead(void **state)
{
	struct fixture *f = *state;
	kc_autoerror struct kc_error *err = NULL;
	long level;

	assert_level(f, 1);
	f->now += 10 * 365 * (int64_t)DAY;
	assert_refused(f, KC_ERR_EXPIRED);
	err = ask(f, &level);
	assert_non_null(strstr(kc_error_message(err), "the clock of this host says 2036-11-21"));
}

/* ---- 14: the folder ---- */

static void in_state(struct fixture *f, const char *name, char path[200])
{
	snprintf(path, 200, "%s/%s", f->state, name);
}

static void test_14_a_folder_of_others(void **state)
{
	struct fixture *f = *state;
	char path[200], elsewhere[200];

	assert_level(f, 1);
	in_state(f, "timestamp.json", path);
	assert_int_equal(chmod(f->state, 0777), 0);
	assert_refused(f, KC_ERR_PERMISSION);
	assert_int_equal(chmod(f->state, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_refused(f, KC_ERR_PERMISSION);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(elsewhere, sizeof(elsewhere), "%s/old", f->dir);
	assert_int_equal(rename(path, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_refused(f, KC_ERR_PERMISSION);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_error(refresh(f), KC_ERR_PERMISSION); /* and does not wait */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(f->state, elsewhere), -1);
	assert_int_equal(unlink(elsewhere), 0);
	assert_int_equal(rename(f->state, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, f->state), 0);
	assert_error(refresh(f), KC_ERR_PERMISSION);
	if (geteuid() == 0) {
		assert_int_equal(unlink(f->state), 0);
		assert_int_equal(rename(elsewhere, f->state), 0);
		assert_int_equal(chown(f->state, 12345, 12345), 0);
		assert_error(refresh(f), KC_ERR_PERMISSION);
	}
}

static void a_damaged_folder_says_what_to_remove(void **state)
{
	static const char *const NAMES[] = { "timestamp.json", "snapshot.json", "1.root.json", "2.root.json" };
	struct fixture *f = *state;

	sample_feed_publish_root(&f->feed, NULL, 0);
	assert_level(f, 1);
	for (size_t i = 0; i < KC_ARRAY_SIZE(NAMES); i++) {
		kc_autobuf struct kc_buf text = { 0 };
		kc_autoerror struct kc_error *err = NULL;
		char path[200];

		in_state(f, NAMES[i], path);
		assert_int_equal(kc_file_read(path, 1 << 20, &text), 0);
		text.data[text.size / 2] ^= 1;
		assert_int_equal(kc_file_write_atomic(path, text.data, text.size, 0644), 0);
		err = refresh(f);
		assert_int_equal(kc_error_code(err), KC_ERR_CORRUPT);
		assert_non_null(strstr(kc_error_message(err), "remove the folder"));
		text.data[text.size / 2] ^= 1;
		assert_int_equal(kc_file_write_atomic(path, text.data, text.size, 0644), 0);
	}
	assert_int_equal(kc_tree_remove(f->state), 0);
	assert_level(f, 1);
}

/* They are fetched again: what they must be is signed above. */
static void damaged_targets_and_lists_are_fetched_again(void **state)
{
	static const char *const NAMES[] = { "targets.json", "lists/kernel:d6a9ac615d000000000000000000000000000047" };
	struct fixture *f = *state;

	for (size_t i = 0; i < KC_ARRAY_SIZE(NAMES); i++) {
		char path[200];

		assert_level(f, 1);
		in_state(f, NAMES[i], path);
		assert_int_equal(kc_file_write_atomic(path, "{}", 2, 0644), 0);
		assert_level(f, 1);
	}
}

static void the_trusted_root_is_checked(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf right = { 0 };
	kc_autorepoclient struct kc_repo_client *client = NULL;
	kc_autoerror struct kc_error *err = NULL;

	kc_buf_append(&right, f->anchor.data, f->anchor.size);
	memcpy(memmem(f->anchor.data, f->anchor.size, "2027", 4), "2037", 4);
	err = open_client(f, &client);
	assert_int_equal(kc_error_code(err), KC_ERR_BAD_SIGNATURE);
	assert_non_null(strstr(kc_error_message(err), "the root.json that this host trusts"));
	f->anchor.size = 0;
	assert_refused(f, KC_ERR_CORRUPT);
	f->anchor.size = right.size;
	memcpy(f->anchor.data, right.data, right.size);
	assert_level(f, 1);
}

/* The host was given a newer root.json by hand: its folder goes on, and old keys are still known as such. */
static void a_newer_trusted_root_goes_on(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *stolen = f->feed.keys[KC_ROLE_TIMESTAMP];

	assert_level(f, 1);
	f->feed.keys[KC_ROLE_TIMESTAMP] = sample_feed_key(f->ctx);
	sample_feed_publish_root(&f->feed, NULL, 0);
	kc_buf_reset(&f->anchor);
	copy_of(f, "metadata/2.root.json", &f->anchor);
	publish_level(f, 2);
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, stolen);
	assert_error(refresh(f), KC_ERR_REVOKED_KEY);
	sample_feed_sign(&f->feed, KC_ROLE_TIMESTAMP, &f->feed.timestamp, NULL, NULL);
	assert_level(f, 2);
}

/* ---- 15: a replayed block or unblock ---- */

static void test_15_a_replayed_list(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf old_timestamp = { 0 }, old_list = { 0 }, right = { 0 };
	kc_autofree char *old_path = NULL, *path = NULL;
	long level;

	assert_level(f, 1);
	old_path = kc_repo_target_file_path(KERNEL, named(&f->feed.targets, KERNEL)->hash);
	copy_of(f, old_path, &old_list);
	copy_of(f, "metadata/timestamp.json", &old_timestamp);
	pass_hour(f);
	sample_feed_set_list(&f->feed, KERNEL, 1, true);
	sample_feed_publish(&f->feed);
	assert_level(f, -1);
	/* the unblocked state again, as a whole: all its files are still there and signed */
	copy_of(f, "metadata/timestamp.json", &right);
	put(f, "metadata/timestamp.json", &old_timestamp);
	assert_refused(f, KC_ERR_ROLLBACK);
	/* only the list, to a host that needs it again */
	put(f, "metadata/timestamp.json", &right);
	path = kc_repo_target_file_path(KERNEL, named(&f->feed.targets, KERNEL)->hash);
	put(f, path, &old_list);
	assert_level(f, -1); /* it is in the folder */
	{
		char kept[200];

		in_state(f, "lists/kernel:d6a9ac615d000000000000000000000000000047", kept);
		assert_int_equal(unlink(kept), 0);
	}
	assert_error(ask(f, &level), KC_ERR_MIXED);
}

/* A portal that was restored from yesterday's copy: versions are times, so hosts go on. */
static void a_restored_portal_goes_on(void **state)
{
	struct fixture *f = *state;
	uint64_t yesterday = f->feed.version;

	publish_level(f, 2);
	assert_level(f, 2);
	f->feed.version = yesterday;
	publish_level(f, 1);
	assert_level(f, 1);
}

#define ON_A_HOST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_HOST(a_host_follows),
		ON_A_HOST(an_up_to_date_host_asks_for_two_files),
		ON_A_HOST(bins_are_fetched_one_by_one),
		ON_A_HOST(bins_have_no_bins),
		ON_A_HOST(what_a_feed_does_not_have_is_not_found),
		ON_A_HOST(a_cut_off_run_is_completed_by_the_next),
		ON_A_HOST(test_01_metadata_by_an_unknown_key),
		ON_A_HOST(test_01_targets_by_an_unknown_key),
		ON_A_HOST(test_01_altered_or_unsigned_metadata),
		ON_A_HOST(test_01_metadata_of_another_role),
		ON_A_HOST(test_02_rollback_of_the_timestamp),
		ON_A_HOST(test_02_rollback_of_the_timestamp_alone),
		ON_A_HOST(test_02_rollback_of_the_snapshot),
		ON_A_HOST(test_02_rollback_of_targets),
		ON_A_HOST(test_02_rollback_of_a_bin),
		ON_A_HOST(test_02_a_bin_vanishes),
		ON_A_HOST(test_02_rollback_of_the_root),
		ON_A_HOST(test_03_freeze),
		ON_A_HOST(test_03_freeze_below_the_timestamp),
		ON_A_HOST(test_03_a_new_host_takes_nothing_expired),
		ON_A_HOST(test_03_freeze_of_an_unseen_state),
		ON_A_HOST(test_03_the_root_expires),
		ON_A_HOST(test_04_files_of_different_states),
		ON_A_HOST(test_04_a_list_of_another_state),
		ON_A_HOST(test_04_two_files_with_one_version),
		ON_A_HOST(test_04_a_version_that_the_snapshot_does_not_say),
		ON_A_HOST(test_05_the_list_of_another_target),
		ON_A_HOST(test_06_metadata_of_another_feed),
		ON_A_HOST(test_06_a_list_of_another_feed),
		ON_A_HOST(test_07_endless_data),
		ON_A_HOST(test_07_signed_sizes_have_limits),
		ON_A_HOST(test_07_bombs),
		ON_A_HOST(test_09_versions_of_the_far_future),
		ON_A_HOST(test_09_recovery_by_rotation),
		ON_A_HOST(test_09_rotation_of_targets_keeps_the_versions),
		ON_A_HOST(test_10_a_removed_key_signs),
		ON_A_HOST(test_10_a_key_that_moved),
		ON_A_HOST(test_10_a_removed_root_key_signs_a_root),
		ON_A_HOST(test_11_a_host_that_was_off_for_months),
		ON_A_HOST(test_11_a_gap_in_the_chain),
		ON_A_HOST(test_11_a_root_that_the_old_one_did_not_sign),
		ON_A_HOST(test_11_too_few_signatures),
		ON_A_HOST(test_11_an_altered_root),
		ON_A_HOST(test_12_the_clock_is_behind),
		ON_A_HOST(test_12_the_clock_is_ahead),
		ON_A_HOST(test_14_a_folder_of_others),
		ON_A_HOST(a_damaged_folder_says_what_to_remove),
		ON_A_HOST(damaged_targets_and_lists_are_fetched_again),
		ON_A_HOST(the_trusted_root_is_checked),
		ON_A_HOST(a_newer_trusted_root_goes_on),
		ON_A_HOST(test_15_a_replayed_list),
		ON_A_HOST(a_restored_portal_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
