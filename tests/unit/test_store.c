/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of applied patch files, the index that chooses from a folder, and the server's queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "apply/user_index.h"
#include "apply/user_tasks.h"
#include "base/file.h"
#include "base/hex.h"
#include "sample.h"

#define BUILD_ID_A SAMPLE_BUILD_ID
#define BUILD_ID_B "0011223344556677889900112233445566778899"
#define BUILD_ID_SHORT "93ac615dca7f44b2"

struct fixture {
	struct kc_ctx *ctx;
	struct kc_key *key, *other_key;
	struct kc_keyring *keyring, *other_keyring;
	char dir[64];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ctx = kc_ctx_new();
	sample_keys(f->ctx, &f->key, &f->keyring);
	sample_keys(f->ctx, &f->other_key, &f->other_keyring);
	strcpy(f->dir, "/tmp/kcare-store-XXXXXX");
	*state = f;
	return mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	kc_key_free(f->key);
	kc_key_free(f->other_key);
	kc_keyring_free(f->keyring);
	kc_keyring_free(f->other_keyring);
	kc_ctx_free(f->ctx);
	kc_tree_remove(f->dir);
	free(f);
	return 0;
}

static void make_patch(struct fixture *f, const struct kc_key *key, const char *build_id, uint32_t level,
		       struct kc_buf *file)
{
	kc_autobuf struct kc_buf object = { 0 };
	struct kc_patch_payload payload = { .name = KC_PAYLOAD_NAME };
	struct kc_manifest manifest;

	sample_payload(&object);
	payload.data = object.data;
	payload.size = object.size;
	sample_manifest(&manifest);
	free(manifest.target);
	manifest.target = strdup(build_id);
	manifest.level = level;
	sample_must(kc_patch_encode(f->ctx, &manifest, &payload, 1, key, file));
	kc_manifest_clear(&manifest);
}

static void write_file(struct fixture *f, const char *name, const void *data, size_t size)
{
	kc_autofree char *path = kc_path_join(f->dir, name);

	assert_int_equal(kc_file_write_atomic(path, data, size, 0644), 0);
}

static void write_patch(struct fixture *f, const char *name, const struct kc_key *key, const char *build_id,
			uint32_t level)
{
	kc_autobuf struct kc_buf file = { 0 };

	make_patch(f, key, build_id, level, &file);
	write_file(f, name, file.data, file.size);
}

static void assert_error(struct kc_error *err, enum kc_error_code code, const char *text)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s", kc_error_code_name(code));
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s, expected %s with '%s'", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code), text);
}

static void what_was_put_is_got(void **state)
{
	struct fixture *f = *state;
	kc_autouserstore struct kc_user_store *store = NULL;
	kc_autofree char *dir = kc_path_join(f->dir, "a/b/patches");
	kc_autobuf struct kc_buf file = { 0 };
	kc_autofree const struct kc_patch **all = NULL;
	const struct kc_patch *patch, *again;
	char hash[KC_SHA256_TEXT_SIZE];
	size_t n;

	make_patch(f, f->key, BUILD_ID_A, 3, &file);
	kc_sha256_text(file.data, file.size, hash);
	assert_null(kc_user_store_open(f->ctx, dir, f->keyring, &store));
	assert_null(kc_user_store_all(f->ctx, store, &all, &n));
	assert_int_equal(n, 0);
	assert_error(kc_user_store_get(f->ctx, store, hash, &patch), KC_ERR_NOT_FOUND, "is not in");
	assert_null(kc_user_store_put(f->ctx, store, file.data, file.size));
	assert_null(kc_user_store_put(f->ctx, store, file.data, file.size));
	assert_null(kc_user_store_get(f->ctx, store, hash, &patch));
	assert_string_equal(patch->hash, hash);
	assert_int_equal(patch->manifest.level, 3);
	assert_null(kc_user_store_get(f->ctx, store, hash, &again));
	assert_ptr_equal(patch, again);
	assert_null(kc_user_store_all(f->ctx, store, &all, &n));
	assert_int_equal(n, 1);
	assert_ptr_equal(all[0], patch);
}

static void damaged_file_is_refused_and_healed_by_putting_again(void **state)
{
	struct fixture *f = *state;
	kc_autouserstore struct kc_user_store *store = NULL;
	kc_autobuf struct kc_buf file = { 0 };
	kc_autofree const struct kc_patch **all = NULL;
	const struct kc_patch *patch;
	char hash[KC_SHA256_TEXT_SIZE], name[KC_SHA256_TEXT_SIZE + 8];
	size_t n;

	make_patch(f, f->key, BUILD_ID_A, 3, &file);
	kc_sha256_text(file.data, file.size, hash);
	snprintf(name, sizeof(name), "%s.kpatch", hash);
	assert_null(kc_user_store_open(f->ctx, f->dir, f->keyring, &store));
	file.data[file.size / 2] ^= 1;
	write_file(f, name, file.data, file.size);
	file.data[file.size / 2] ^= 1;
	assert_error(kc_user_store_get(f->ctx, store, hash, &patch), KC_ERR_CORRUPT, "does not match its name");
	assert_null(kc_user_store_all(f->ctx, store, &all, &n));
	assert_int_equal(n, 0);
	assert_null(kc_user_store_put(f->ctx, store, file.data, file.size));
	assert_null(kc_user_store_get(f->ctx, store, hash, &patch));
}

static void stored_file_of_an_unknown_author_is_refused(void **state)
{
	struct fixture *f = *state;
	kc_autouserstore struct kc_user_store *store = NULL, *keyless = NULL;
	kc_autobuf struct kc_buf file = { 0 };
	const struct kc_patch *patch;
	char hash[KC_SHA256_TEXT_SIZE];

	make_patch(f, f->other_key, BUILD_ID_A, 3, &file);
	kc_sha256_text(file.data, file.size, hash);
	assert_null(kc_user_store_open(f->ctx, f->dir, f->keyring, &store));
	assert_null(kc_user_store_put(f->ctx, store, file.data, file.size));
	assert_error(kc_user_store_get(f->ctx, store, hash, &patch), KC_ERR_UNKNOWN_KEY, "");
	assert_null(kc_user_store_open(f->ctx, f->dir, NULL, &keyless));
	assert_error(kc_user_store_get(f->ctx, keyless, hash, &patch), KC_ERR_UNKNOWN_KEY, "no author is trusted");
}

static void hash_from_a_process_is_no_path(void **state)
{
	struct fixture *f = *state;
	kc_autouserstore struct kc_user_store *store = NULL;
	const struct kc_patch *patch;
	char upper[KC_SHA256_TEXT_SIZE] = "";

	memset(upper, 'A', sizeof(upper) - 1);
	assert_null(kc_user_store_open(f->ctx, f->dir, f->keyring, &store));
	assert_error(kc_user_store_get(f->ctx, store, "../../etc/shadow", &patch), KC_ERR_INPUT, "not the hash");
	assert_error(kc_user_store_get(f->ctx, store, "", &patch), KC_ERR_INPUT, "not the hash");
	assert_error(kc_user_store_get(f->ctx, store, upper, &patch), KC_ERR_INPUT, "not the hash");
}

static struct kc_patch *find(const struct kc_user_index *index, const char *build_id)
{
	uint8_t bytes[64];
	size_t size = strlen(build_id) / 2;

	assert_int_equal(kc_hex_decode(build_id, bytes, size), 0);
	return kc_user_index_find(index, bytes, size);
}

static void highest_level_of_each_build_id_is_chosen(void **state)
{
	struct fixture *f = *state;
	kc_autouserindex struct kc_user_index *index = NULL;

	write_patch(f, "a1.kpatch", f->key, BUILD_ID_A, 1);
	write_patch(f, "a7.kpatch", f->key, BUILD_ID_A, 7);
	write_patch(f, "a3.kpatch", f->key, BUILD_ID_A, 3);
	write_patch(f, "b2.kpatch", f->key, BUILD_ID_B, 2);
	write_patch(f, "short.kpatch", f->key, BUILD_ID_SHORT, 5);
	write_file(f, "README", "not a patch", 11);
	write_file(f, ".hidden.kpatch", "not a patch", 11);
	assert_null(kc_user_index_load(f->ctx, f->dir, f->keyring, &index));
	assert_int_equal(kc_user_index_size(index), 3);
	assert_int_equal(find(index, BUILD_ID_A)->manifest.level, 7);
	assert_int_equal(find(index, BUILD_ID_B)->manifest.level, 2);
	assert_int_equal(find(index, BUILD_ID_SHORT)->manifest.level, 5);
	assert_null(find(index, "93ac615dca7f44b2e5e6bb9d8d1d4a5c1e0f3c2b"));
	assert_null(find(index, "93ac"));
	assert_null(kc_user_index_find(index, (const uint8_t *)"", 0));
}

static void one_bad_file_refuses_the_whole_folder(void **state)
{
	struct fixture *f = *state;
	kc_autouserindex struct kc_user_index *index = NULL;

	write_patch(f, "a.kpatch", f->key, BUILD_ID_A, 1);
	write_patch(f, "b.kpatch", f->other_key, BUILD_ID_B, 1);
	assert_error(kc_user_index_load(f->ctx, f->dir, f->keyring, &index), KC_ERR_UNKNOWN_KEY, "b.kpatch");
	write_file(f, "b.kpatch", "rubbish", 7);
	assert_error(kc_user_index_load(f->ctx, f->dir, f->keyring, &index), KC_ERR_NOT_A_PATCH, "b.kpatch");
	assert_null(index);
	assert_error(kc_user_index_load(f->ctx, "/no/such/folder", f->keyring, &index), KC_ERR_INPUT,
		     "/no/such/folder");
}

static void two_patches_of_one_level_are_ambiguous_copies_are_not(void **state)
{
	struct fixture *f = *state;
	kc_autouserindex struct kc_user_index *index = NULL;
	kc_autobuf struct kc_buf copy = { 0 }, object = { 0 }, other = { 0 };
	struct kc_patch_payload payload = { .name = KC_PAYLOAD_NAME };
	struct kc_manifest manifest;

	make_patch(f, f->key, BUILD_ID_A, 2, &copy);
	write_file(f, "copy1.kpatch", copy.data, copy.size);
	write_file(f, "copy2.kpatch", copy.data, copy.size);
	assert_null(kc_user_index_load(f->ctx, f->dir, f->keyring, &index));
	assert_int_equal(kc_user_index_size(index), 1);
	/* Made a second later: another file of the same level. */
	sample_payload(&object);
	payload.data = object.data;
	payload.size = object.size;
	sample_manifest(&manifest);
	manifest.level = 2;
	manifest.created++;
	sample_must(kc_patch_encode(f->ctx, &manifest, &payload, 1, f->key, &other));
	kc_manifest_clear(&manifest);
	write_file(f, "other.kpatch", other.data, other.size);
	kc_user_index_free(kc_steal(index));
	assert_error(kc_user_index_load(f->ctx, f->dir, f->keyring, &index), KC_ERR_INPUT, "other.kpatch");
}

static void index_keeps_what_was_verified_even_if_the_file_changes(void **state)
{
	struct fixture *f = *state;
	kc_autouserindex struct kc_user_index *index = NULL;
	kc_autouserstore struct kc_user_store *store = NULL;
	kc_autofree char *dir = kc_path_join(f->dir, "patches"), *file = kc_path_join(f->dir, "a.kpatch");
	const struct kc_patch *stored;

	write_patch(f, "a.kpatch", f->key, BUILD_ID_A, 1);
	assert_null(kc_user_index_load(f->ctx, file, f->keyring, &index));
	write_file(f, "a.kpatch", "changed", 7);
	assert_null(kc_user_store_open(f->ctx, dir, f->keyring, &store));
	assert_null(kc_user_index_keep(f->ctx, index, store, kc_user_index_at(index, 0)));
	assert_null(kc_user_store_get(f->ctx, store, kc_user_index_at(index, 0)->hash, &stored));
	assert_int_equal(stored->manifest.level, 1);
}

static void queue_is_bounded_ordered_and_holds_a_process_once(void **state)
{
	struct kc_tasks tasks = { .max = 2 };
	struct kc_task *task;

	(void)state;
	assert_null(kc_tasks_next(&tasks));
	kc_tasks_need(&tasks, 10, 1000)->due_ns = 5000;
	kc_tasks_need(&tasks, 11, 2000);
	assert_int_equal(tasks.n, 2);
	assert_null(kc_tasks_need(&tasks, 12, 3000));
	assert_int_equal(kc_tasks_need(&tasks, 10, 9000)->seen_ns, 1000);
	assert_int_equal(kc_tasks_next(&tasks)->pid, 11);
	assert_true(kc_tasks_has_fresh(&tasks));
	task = kc_tasks_find(&tasks, 11);
	kc_task_postpone(task, 10000, 100, 350);
	assert_int_equal(task->due_ns, 10100);
	kc_task_postpone(task, 10000, 100, 350);
	assert_int_equal(task->due_ns, 10200);
	kc_task_postpone(task, 10000, 100, 350);
	assert_int_equal(task->due_ns, 10350);
	kc_task_add_addr(task, 0x1000, 4000);
	assert_int_equal(kc_tasks_next(&tasks)->pid, 11);
	kc_tasks_drop(&tasks, kc_tasks_find(&tasks, 10));
	assert_null(kc_tasks_find(&tasks, 10));
	assert_non_null(kc_tasks_find(&tasks, 11));
	assert_non_null(kc_tasks_need(&tasks, 12, 3000));
	kc_tasks_clear(&tasks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_is_got, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_file_is_refused_and_healed_by_putting_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stored_file_of_an_unknown_author_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hash_from_a_process_is_no_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(highest_level_of_each_build_id_is_chosen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_bad_file_refuses_the_whole_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_patches_of_one_level_are_ambiguous_copies_are_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(index_keeps_what_was_verified_even_if_the_file_changes, set_up,
						tear_down),
		cmocka_unit_test(queue_is_bounded_ordered_and_holds_a_process_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
