/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patchsets that come and go as lists and blobs: what is checked, and what is left when it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "kc_assert.h"
#include "publishing.h"
#include "sample.h"

#define NAME "K20261123_01"
#define RELEASED 1795400000

static const struct sample_entry one[] = { { SAMPLE_KERNEL_ID, 1, NULL } };

/* A repository `up` that has NAME in its feed main, and an empty one, `down`. */
static int set_up(void **state)
{
	struct publishing *p = calloc(1, sizeof(*p));

	publishing_start(p);
	publishing_init(p, "up", true);
	publishing_init(p, "down", true);
	publishing_deploy(p, "up", publishing_archive(p, NAME, RELEASED, NULL, one, 1), "main");
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	publishing_clear(*state);
	free(*state);
	return 0;
}

static struct kc_error *deploy_from(struct publishing *p, const char *folder, enum kc_patchset_state state)
{
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;

	KC_TRY(kc_repository_open(p->ctx, publishing_path(p, "down"), &repository));
	return kc_repository_deploy_files(p->ctx, repository, publishing_path(p, "%s", folder), NAME, "main", state, 0,
					  &change);
}

static void assert_seen(struct publishing *p, const char *name, const char *expected)
{
	kc_autobuf struct kc_buf seen = { 0 };

	publishing_seen(p, name, "main", SAMPLE_KERNEL_ID, &seen);
	assert_string_equal(seen.data, expected);
}

static char *blob_of(struct publishing *p, const char *folder)
{
	kc_autopatchset struct kc_patchset *list = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *blob = NULL;

	assert_int_equal(kc_file_read(publishing_path(p, "up/public/patchsets/" NAME ".json"), 1 << 20, &text), 0);
	sample_must(kc_patchset_peek("list", text.data, text.size, &list));
	blob = kc_blob_path(list->files[0].hash);
	return strdup(publishing_path(p, "%s/%s", folder, blob));
}

static void it_comes_from_a_public_folder(void **state)
{
	struct publishing *p = *state;
	kc_autofree char *from = blob_of(p, "up/public"), *to = blob_of(p, "down/public");
	kc_autobuf struct kc_buf theirs = { 0 }, ours = { 0 };
	struct stat a, b;

	assert_kc_ok(deploy_from(p, "up/public", KC_PATCHSET_ENABLED));
	assert_seen(p, "down", "1 " NAME "\n");
	/* the author's list goes on as it is, and no byte of a blob is copied */
	assert_int_equal(kc_file_read(publishing_path(p, "up/public/patchsets/" NAME ".json"), 1 << 20, &theirs), 0);
	assert_int_equal(kc_file_read(publishing_path(p, "down/public/patchsets/" NAME ".json"), 1 << 20, &ours), 0);
	assert_string_equal(theirs.data, ours.data);
	assert_int_equal(stat(from, &a) | stat(to, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_kc_error(deploy_from(p, "up/public", KC_PATCHSET_ENABLED), KC_ERR_NOTHING, "has " NAME " already");
}

static void disabled_it_is_not_shown(void **state)
{
	struct publishing *p = *state;

	assert_kc_ok(deploy_from(p, "up/public", KC_PATCHSET_DISABLED));
	assert_seen(p, "down", "");
	assert_false(publishing_has(p, "down/public/patchsets/" NAME ".json"));
	publishing_set_state(p, "down", NAME, "main", KC_PATCHSET_ENABLED);
	assert_seen(p, "down", "1 " NAME "\n");
	assert_true(publishing_has(p, "down/public/patchsets/" NAME ".json"));
}

static void assert_nothing_came(struct publishing *p)
{
	char incoming[64];

	snprintf(incoming, sizeof(incoming), "down/private/incoming-%d", (int)getpid());
	assert_seen(p, "down", "");
	assert_false(publishing_has(p, "%s", incoming));
	assert_false(publishing_has(p, "down/private/patchsets/" NAME ".json"));
}

static void what_is_wrong_leaves_nothing(void **state)
{
	struct publishing *p = *state;
	kc_autofree char *blob = blob_of(p, "up/public"), *away = NULL;
	kc_autobuf struct kc_buf data = { 0 };

	assert_true(asprintf(&away, "%s.away", blob) > 0);
	assert_int_equal(kc_file_read(blob, 1 << 20, &data), 0);
	assert_int_equal(rename(blob, away), 0);
	assert_kc_error(deploy_from(p, "up/public", KC_PATCHSET_ENABLED), KC_ERR_NOT_FOUND, ".kpatch");
	assert_nothing_came(p);
	data.data[data.size / 2] ^= 1;
	assert_int_equal(kc_file_replace(blob, data.data, data.size, 0644), 0);
	assert_kc_error(deploy_from(p, "up/public", KC_PATCHSET_ENABLED), KC_ERR_CORRUPT, "is not the file that");
	assert_nothing_came(p);
	assert_int_equal(kc_file_replace(blob, data.data, data.size - 1, 0644), 0);
	assert_kc_error(deploy_from(p, "up/public", KC_PATCHSET_ENABLED), KC_ERR_CORRUPT, "is not the file that");
	assert_int_equal(rename(away, blob), 0);
	assert_int_equal(rename(publishing_path(p, "up/public/patchsets/" NAME ".json"),
				publishing_path(p, "up/public/patchsets/K20261123_02.json")),
			 0);
	assert_kc_error(deploy_from(p, "up/public", KC_PATCHSET_ENABLED), KC_ERR_NOT_FOUND, NAME ".json");
	assert_nothing_came(p);
}

static void a_stranger_is_refused(void **state)
{
	struct publishing *p = *state;
	kc_autorepository struct kc_repository *repository = NULL;
	kc_autokey struct kc_key *key = NULL;
	struct kc_repository_change change;
	char *const authors[] = { strdup(publishing_path(p, "stranger.pub")), NULL };

	publishing_keygen(p, "stranger");
	sample_must(kc_key_load(p->ctx, publishing_path(p, "stranger.key"), &key));
	publishing_init(p, "foreign", true);
	sample_must(kc_repository_open(p->ctx, publishing_path(p, "foreign"), &repository));
	sample_must(kc_repository_trust(p->ctx, repository, authors, NULL));
	sample_must(kc_repository_deploy(p->ctx, repository, publishing_archive(p, NAME, RELEASED, key, one, 1), "main",
					 KC_PATCHSET_ENABLED, 0, &change));
	free(authors[0]);
	assert_kc_error(deploy_from(p, "foreign/public", KC_PATCHSET_ENABLED), KC_ERR_UNKNOWN_KEY, NAME);
	assert_nothing_came(p);
}

static void what_is_kept_comes_back(void **state)
{
	struct publishing *p = *state;
	struct kc_feed_info *feeds = NULL;
	size_t n_feeds = 0;

	assert_kc_ok(deploy_from(p, "up/public", KC_PATCHSET_ENABLED));
	{
		kc_autorepository struct kc_repository *repository = NULL;
		struct kc_repository_change change;

		sample_must(kc_repository_open(p->ctx, publishing_path(p, "down"), &repository));
		sample_must(kc_repository_keep_files(p->ctx, repository, NAME, publishing_path(p, "shelf")));
		sample_must(kc_repository_undeploy(p->ctx, repository, NAME, "main", &change));
	}
	assert_seen(p, "down", "");
	{
		kc_autorepository struct kc_repository *repository = NULL;

		sample_must(kc_repository_open(p->ctx, publishing_path(p, "down"), &repository));
		sample_must(kc_repository_feeds(p->ctx, repository, &feeds, &n_feeds));
		assert_int_equal(feeds[0].n_undeployed, 1);
		assert_string_equal(feeds[0].undeployed[0], NAME);
		kc_feed_infos_free(feeds, n_feeds);
	}
	assert_kc_ok(deploy_from(p, "shelf", KC_PATCHSET_ENABLED));
	assert_seen(p, "down", "1 " NAME "\n");
	{
		kc_autorepository struct kc_repository *repository = NULL;

		sample_must(kc_repository_open(p->ctx, publishing_path(p, "down"), &repository));
		sample_must(kc_repository_feeds(p->ctx, repository, &feeds, &n_feeds));
		assert_int_equal(feeds[0].n_undeployed, 0);
		kc_feed_infos_free(feeds, n_feeds);
	}
}

static void it_is_added_to_another_feed_in_any_state(void **state)
{
	struct publishing *p = *state;
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_feed_info info = { .name = (char *)"test" };
	struct kc_repository_change change;
	kc_autobuf struct kc_buf seen = { 0 };

	sample_must(kc_repository_open(p->ctx, publishing_path(p, "up"), &repository));
	sample_must(kc_repository_feed_add(p->ctx, repository, &info, NULL));
	assert_kc_ok(kc_repository_add(p->ctx, repository, NAME, "test", KC_PATCHSET_BLOCKED, 0, &change));
	publishing_seen(p, "up", "test", SAMPLE_KERNEL_ID, &seen);
	assert_string_equal(seen.data, "1! " NAME "\n");
	assert_kc_error(kc_repository_add(p->ctx, repository, NAME, "test", KC_PATCHSET_ENABLED, 0, &change),
			KC_ERR_NOTHING, "already");
	assert_kc_error(kc_repository_add(p->ctx, repository, "K20261123_09", "test", KC_PATCHSET_ENABLED, 0, &change),
			KC_ERR_NOT_FOUND, "K20261123_09");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_comes_from_a_public_folder), T(disabled_it_is_not_shown),
		T(what_is_wrong_leaves_nothing),  T(a_stranger_is_refused),
		T(what_is_kept_comes_back),	  T(it_is_added_to_another_feed_in_any_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
