/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The userspace side of the agent without a server and without patching anybody: the folder of patches and what is
 * remembered of it, what is withdrawn, and which build-ids are in memory. The whole: tests/scenario.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/paths.h"
#include "agent/userspace.h"
#include "agent/userspace_current.h"
#include "agent/userspace_memory.h"
#include "agent_host.h"
#include "base/file.h"
#include "base/hex.h"
#include "proc/process.h"
#include "sample.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ORIGIN "0123456789abcdef main type=default"
#define FILE_NAME KC_PATH_CURRENT "/" SAMPLE_BUILD_ID ".kpatch"

struct fixture {
	struct agent_host host;
	struct kc_key *key, *other_key;
	struct kc_keyring *keyring, *other_keyring;
	struct kc_buf file;
	struct kc_patch *patch;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	agent_host_open(&f->host);
	sample_keys(f->host.ctx, &f->key, &f->keyring);
	sample_keys(f->host.ctx, &f->other_key, &f->other_keyring);
	sample_patch(f->host.ctx, f->key, &f->file);
	sample_must(kc_patch_decode(f->host.ctx, "sample", f->file.data, f->file.size, f->keyring, &f->patch));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	kc_patch_free(f->patch);
	kc_buf_free(&f->file);
	kc_key_free(f->key);
	kc_key_free(f->other_key);
	kc_keyring_free(f->keyring);
	kc_keyring_free(f->other_keyring);
	agent_host_close(&f->host);
	free(f);
	return 0;
}

/* ---- the folder ---- */

static void put_sample(struct fixture *f)
{
	KC_CLEANUP_CURRENT struct kc_current current = { 0 };

	assert_null(kc_current_read(f->host.ctx, f->keyring, &current));
	assert_int_equal(current.n_patches, 0);
	assert_null(kc_current_put(&current, f->patch, &f->file, ORIGIN));
	assert_null(kc_withdrawn_add(&current.withdrawn, HASH_A, SAMPLE_BUILD_ID));
	assert_null(kc_current_write(&current));
}

static void assert_sample(const struct fixture *f, const struct kc_current *current, const char *origin)
{
	const struct kc_current_patch *found = kc_current_find(current, SAMPLE_BUILD_ID);

	assert_int_equal(current->n_patches, 1);
	assert_non_null(found);
	assert_int_equal(found->level, f->patch->manifest.level);
	assert_string_equal(found->hash, f->patch->hash);
	assert_string_equal(found->type, f->patch->manifest.type);
	assert_string_equal(found->patchset, f->patch->manifest.patchset);
	assert_string_equal(found->object, f->patch->manifest.object);
	assert_string_equal(found->origin, origin);
}

static void what_was_put_is_found(void **state)
{
	KC_CLEANUP_CURRENT struct kc_current current = { 0 };
	struct fixture *f = *state;

	put_sample(f);
	assert_true(agent_host_has(&f->host, FILE_NAME));
	assert_null(kc_current_read(f->host.ctx, f->keyring, &current));
	assert_sample(f, &current, ORIGIN);
	assert_true(kc_withdrawn_has(&current.withdrawn, HASH_A));
	assert_null(kc_current_remove(&current, SAMPLE_BUILD_ID));
	assert_int_equal(current.n_patches, 0);
	assert_false(agent_host_has(&f->host, FILE_NAME));
	assert_null(kc_current_remove(&current, SAMPLE_BUILD_ID));
	kc_withdrawn_clear(&current.withdrawn);
	assert_null(kc_current_write(&current));
	assert_false(agent_host_has(&f->host, KC_PATH_CURRENT "/" KC_WITHDRAWN_NAME));
}

static void without_its_state_the_files_tell(void **state)
{
	static const char *const damages[] = {
		"", "{", "{\"document\": \"kcare-state-1\"}",
		"{\"document\": \"kcare-userspace-1\", \"patches\": [{\"target\": \"../x\", \"type\": \"default\", "
		"\"hash\": \"00\", \"level\": 1}]}",
		"{\"document\": \"kcare-userspace-1\", \"patches\": 1}"
	};
	struct fixture *f = *state;

	put_sample(f);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		KC_CLEANUP_CURRENT struct kc_current current = { 0 };

		agent_host_put_text(&f->host, KC_PATH_USERSPACE_STATE, damages[i]);
		assert_null(kc_current_read(f->host.ctx, f->keyring, &current));
		assert_sample(f, &current, "");
		assert_non_null(strstr(f->host.log.data, "state.json is damaged"));
		kc_buf_reset(&f->host.log);
	}
}

/* A state that says more than there is, or something else than the file is. */
static void the_file_counts(void **state)
{
	struct fixture *f = *state;

	put_sample(f);
	agent_host_put_text(&f->host, KC_PATH_USERSPACE_STATE,
			    "{\"document\": \"kcare-userspace-1\", \"patches\": ["
			    "{\"target\": \"" SAMPLE_BUILD_ID "\", \"type\": \"extra\", \"hash\": \"" HASH_A
			    "\", \"level\": 99, \"patchset\": \"x\", \"object\": \"x\", \"origin\": \"x\"},"
			    "{\"target\": \"1111111111111111\", \"type\": \"extra\", \"hash\": \"" HASH_B
			    "\", \"level\": 7, \"patchset\": \"x\", \"object\": \"x\", \"origin\": \"x\"}]}");
	{
		KC_CLEANUP_CURRENT struct kc_current current = { 0 };

		assert_null(kc_current_read(f->host.ctx, f->keyring, &current));
		assert_sample(f, &current, "");
	}
}

static void what_does_not_verify_is_removed(void **state)
{
	struct fixture *f = *state;

	put_sample(f);
	agent_host_put(&f->host, KC_PATH_CURRENT "/mine.kpatch", f->file.data, f->file.size);
	agent_host_put(&f->host, KC_PATH_CURRENT "/1111111111111111.kpatch", f->file.data, f->file.size);
	f->file.data[f->file.size - 1] ^= 1;
	agent_host_put(&f->host, FILE_NAME, f->file.data, f->file.size);
	{
		KC_CLEANUP_CURRENT struct kc_current current = { 0 };

		assert_null(kc_current_read(f->host.ctx, f->keyring, &current));
		assert_int_equal(current.n_patches, 0);
	}
	assert_false(agent_host_has(&f->host, FILE_NAME));
	assert_false(agent_host_has(&f->host, KC_PATH_CURRENT "/1111111111111111.kpatch"));
	assert_non_null(strstr(f->host.log.data, "it is for something else than its name says; it is removed"));
	/* files of the administrator are left alone */
	assert_true(agent_host_has(&f->host, KC_PATH_CURRENT "/mine.kpatch"));
}

static void an_author_who_is_not_trusted_any_more(void **state)
{
	KC_CLEANUP_CURRENT struct kc_current current = { 0 };
	struct fixture *f = *state;
	kc_autofree char *path = agent_host_path(&f->host, KC_PATH_USERSPACE_STATE);

	put_sample(f);
	assert_int_equal(unlink(path), 0);
	assert_null(kc_current_read(f->host.ctx, f->other_keyring, &current));
	assert_int_equal(current.n_patches, 0);
	assert_false(agent_host_has(&f->host, FILE_NAME));
}

/* ---- what is withdrawn ---- */

static struct kc_error *parse(const char *text, struct kc_withdrawn *withdrawn)
{
	return kc_withdrawn_parse("list", text, strlen(text), withdrawn);
}

static void lines_of_withdrawn(void **state)
{
	KC_CLEANUP_WITHDRAWN struct kc_withdrawn withdrawn = { 0 };

	(void)state;
	assert_null(parse("# comment\n\n" HASH_A " 0123ab\n" HASH_B " ff\n" HASH_A " 0123ab", &withdrawn));
	assert_int_equal(withdrawn.n_patches, 2);
	assert_true(kc_withdrawn_has(&withdrawn, HASH_B));
	assert_true(kc_withdrawn_has_target(&withdrawn, "0123ab"));
	assert_false(kc_withdrawn_has_target(&withdrawn, "0123"));
	assert_kc_error(parse("#\n" HASH_A "\n", &withdrawn), KC_ERR_INPUT, "list:2: expected the hash");
	assert_kc_error(parse(HASH_A " 0g\n", &withdrawn), KC_ERR_INPUT, "list:1: ");
	assert_kc_error(parse(HASH_A " 01 \n", &withdrawn), KC_ERR_INPUT, "list:1: ");
}

/* ---- build-ids ---- */

static void build_ids_of_this_process(void **state)
{
	KC_CLEANUP_BUILD_IDS struct kc_build_ids build_ids = { 0 };
	kc_autoprocess struct kc_process_view *view = NULL;
	struct fixture *f = *state;
	size_t n = 0;

	assert_null(kc_process_view_open(f->host.ctx, getpid(), &view));
	assert_null(kc_build_ids_add_memory(f->host.ctx, &build_ids));
	kc_build_ids_sort(&build_ids);
	for (size_t i = 1; i < build_ids.n_ids; i++)
		assert_true(strcmp(build_ids.ids[i - 1], build_ids.ids[i]) < 0);
	for (size_t i = 0; i < view->n_objects; i++) {
		char text[KC_BUILD_ID_TEXT_SIZE];

		kc_hex_encode(view->objects[i].build_id, view->objects[i].build_id_size, text);
		n += *text && kc_build_ids_have(&build_ids, text);
	}
	assert_true(n >= 2);
}

static void packages_that_concern(void **state)
{
	KC_CLEANUP_BUILD_IDS struct kc_build_ids build_ids = { 0 };
	char prefixes[][KC_USER_INDEX_PREFIX_SIZE] = { "00000001", "abc", "ffffffff" };
	struct kc_user_index_package package = { .prefixes = prefixes, .n_prefixes = 3 }, empty = { 0 };

	(void)state;
	assert_false(kc_build_ids_concern(&build_ids, &package));
	kc_build_ids_sort(&build_ids);
	assert_null(kc_build_ids_add(&build_ids, "0000000211111111"));
	assert_null(kc_build_ids_add(&build_ids, "abcd"));
	kc_build_ids_sort(&build_ids);
	assert_false(kc_build_ids_concern(&build_ids, &package));
	assert_null(kc_build_ids_add(&build_ids, "ffffffff00"));
	kc_build_ids_sort(&build_ids);
	assert_true(kc_build_ids_concern(&build_ids, &package));
	assert_false(kc_build_ids_concern(&build_ids, &empty));
}

static void names_of_kinds(void **state)
{
	unsigned kinds = 0;

	(void)state;
	assert_null(kc_userspace_kinds_parse("libs", &kinds));
	assert_int_equal(kinds, KC_USERSPACE_LIBS);
	assert_null(kc_userspace_kinds_parse("qemu,libs", &kinds));
	assert_int_equal(kinds, KC_USERSPACE_LIBS | KC_USERSPACE_QEMU);
	assert_kc_error(kc_userspace_kinds_parse("libs,kernel", &kinds), KC_ERR_USAGE, "'kernel' is not");
	assert_kc_error(kc_userspace_kinds_parse("", &kinds), KC_ERR_USAGE, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_its_state_the_files_tell, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_file_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_does_not_verify_is_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_author_who_is_not_trusted_any_more, set_up, tear_down),
		cmocka_unit_test(lines_of_withdrawn),
		cmocka_unit_test_setup_teardown(build_ids_of_this_process, set_up, tear_down),
		cmocka_unit_test(packages_that_concern),
		cmocka_unit_test(names_of_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
