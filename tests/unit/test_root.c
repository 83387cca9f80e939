/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The next root: what it may change, who must sign it, and how it takes effect in a repository. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "repo/repository.h"
#include "repo/root_keys.h"
#include "sample.h"

#define NOW 1795500000

struct fixture {
	struct kc_ctx *ctx;
	char dir[32];
	char path[256]; /* the last one that was named */
	struct kc_key *root, *spare;
	uint8_t spare_public[KC_PUBLIC_KEY_SIZE];
};

static const char *in_dir(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	return f->path;
}

static void assert_error(struct kc_error *err, enum kc_error_code code, const char *text)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s", kc_error_code_name(code));
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s, expected %s: …%s…", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code), text);
}

/* A key DIR/FOLDER/NAME.key, as a role key of `root`. */
static void give_key(struct fixture *f, const char *folder, const char *name, struct kc_repo_root *root,
		     enum kc_repo_role role, struct kc_key **key)
{
	uint8_t public[KC_PUBLIC_KEY_SIZE];
	char keyid[KC_KEYID_SIZE], file[64];
	kc_autokey struct kc_key *made = NULL;

	sample_must(kc_key_generate(f->ctx, in_dir(f, folder), name, NULL, keyid));
	snprintf(file, sizeof(file), "%s/%s.key", folder, name);
	sample_must(kc_key_load(f->ctx, in_dir(f, file), &made));
	sample_must(kc_key_public(made, public));
	if (root) {
		root->keys = realloc(root->keys, (root->n_keys + 1) * sizeof(*root->keys));
		memcpy(root->keys[root->n_keys++], public, sizeof(public));
		root->roles[role].keyids = malloc(KC_KEYID_SIZE);
		memcpy(root->roles[role].keyids[0], keyid, KC_KEYID_SIZE);
		root->roles[role].n_keyids = 1;
		root->roles[role].threshold = 1;
	}
	if (key)
		*key = kc_steal(made);
}

static void write_root(struct fixture *f, const struct kc_repo_root *root)
{
	kc_autojson json_t *signed_part = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	const struct kc_key *key = f->root;

	sample_must(kc_repo_root_encode(root, &signed_part));
	sample_must(kc_envelope_encode(signed_part, &key, 1, &text));
	assert_int_equal(kc_dir_make(in_dir(f, "private/roots"), 0700), 0);
	assert_int_equal(kc_file_write_atomic(in_dir(f, "private/roots/1.root.json"), text.data, text.size, 0644), 0);
}

/* A repository with root 1 and its keys, as `kcare-repo init` makes it. */
static int set_up(void **state)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { .version = 1, .expires = NOW + 30 * 86400 };
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kcare-test-XXXXXX");
	f->ctx = kc_ctx_new();
	*state = f;
	if (!f->ctx || !mkdtemp(f->dir))
		return -1;
	give_key(f, "offline", "root", &root, KC_ROLE_ROOT, &f->root);
	give_key(f, "offline", "spare", NULL, KC_ROLE_ROOT, &f->spare);
	sample_must(kc_key_public(f->spare, f->spare_public));
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		give_key(f, "private/keys", kc_repo_role_name(role), &root, role, NULL);
	write_root(f, &root);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int err = kc_tree_remove(f->dir);

	kc_key_free(f->root);
	kc_key_free(f->spare);
	kc_ctx_free(f->ctx);
	free(f);
	return err;
}

static void load(struct fixture *f, struct kc_repo_root *root)
{
	kc_autobuf struct kc_buf text = { 0 };

	sample_must(kc_root_load(f->ctx, f->dir, &text, root));
}

static bool exists(struct fixture *f, const char *name)
{
	return !access(in_dir(f, name), F_OK);
}

static const bool online[KC_ROLE_COUNT] = {
	[KC_ROLE_TARGETS] = true, [KC_ROLE_SNAPSHOT] = true, [KC_ROLE_TIMESTAMP] = true
};
static const bool no_role[KC_ROLE_COUNT];
static const struct kc_root_changes no_change;

static void online_keys_are_replaced(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root before = { 0 }, after = { 0 };
	char revoked[128];

	load(f, &before);
	sample_must(kc_root_prepare(f->ctx, f->dir, online, &no_change, NOW, &request));
	assert_error(kc_root_adopt(f->ctx, f->dir, &request), KC_ERR_UNSIGNED,
		     "has 0 of the 1 signatures that it needs from root keys of root 1; sign it with ");
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_adopt(f->ctx, f->dir, &request));
	sample_must(kc_root_keys_settle(f->ctx, f->dir));
	load(f, &after);
	assert_int_equal(after.version, 2);
	assert_int_equal(after.n_keys, 4);
	assert_int_equal(after.expires, NOW + KC_REPO_ROOT_VALID_S);
	assert_string_equal(after.roles[KC_ROLE_ROOT].keyids[0], before.roles[KC_ROLE_ROOT].keyids[0]);
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++) {
		assert_false(kc_repo_role_has_key(&after.roles[role], before.roles[role].keyids[0]));
		snprintf(revoked, sizeof(revoked), "private/keys/revoked/%s-%.12s.key", kc_repo_role_name(role),
			 before.roles[role].keyids[0]);
		assert_true(exists(f, revoked));
	}
	/* again: nothing to do */
	sample_must(kc_root_keys_settle(f->ctx, f->dir));
}

static void a_killed_run_is_completed(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 }, second = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root after = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, online, &no_change, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_adopt(f->ctx, f->dir, &request));
	/* killed here; and the next run begins a request of its own */
	assert_true(exists(f, "private/keys/next/targets.key"));
	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &no_change, NOW, &second));
	load(f, &after);
	assert_int_equal(after.version, 2);
	assert_false(exists(f, "private/keys/next/targets.key"));
	sample_must(kc_root_keys_settle(f->ctx, f->dir));
}

static void a_lost_key_is_named_and_can_be_replaced(void **state)
{
	struct fixture *f = *state;
	const bool timestamp[KC_ROLE_COUNT] = { [KC_ROLE_TIMESTAMP] = true };
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 };

	assert_int_equal(unlink(in_dir(f, "private/keys/timestamp.key")), 0);
	assert_error(kc_root_keys_settle(f->ctx, f->dir), KC_ERR_KEY, "--rotate timestamp");
	sample_must(kc_root_prepare(f->ctx, f->dir, timestamp, &no_change, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_adopt(f->ctx, f->dir, &request));
	sample_must(kc_root_keys_settle(f->ctx, f->dir));
	assert_true(exists(f, "private/keys/timestamp.key"));
}

static void root_keys_are_replaced_by_both_signatures(void **state)
{
	struct fixture *f = *state;
	const char *removed[] = { kc_key_id(f->root), NULL };
	const struct kc_root_changes changes = { .added = &f->spare_public, .n_added = 1, .removed = removed };
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root after = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &changes, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	assert_error(kc_root_adopt(f->ctx, f->dir, &request), KC_ERR_UNSIGNED, "from root keys of root 2");
	sample_must(kc_root_request_sign(&request, f->spare));
	sample_must(kc_root_request_sign(&request, f->spare));
	sample_must(kc_root_adopt(f->ctx, f->dir, &request));
	load(f, &after);
	assert_int_equal(after.roles[KC_ROLE_ROOT].n_keyids, 1);
	assert_string_equal(after.roles[KC_ROLE_ROOT].keyids[0], kc_key_id(f->spare));
}

static void a_threshold_needs_as_many_keys(void **state)
{
	struct fixture *f = *state;
	const struct kc_root_changes alone = { .threshold = 2 };
	const struct kc_root_changes both = { .threshold = 2, .added = &f->spare_public, .n_added = 1 };
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request refused = { 0 }, request = { 0 };

	assert_error(kc_root_prepare(f->ctx, f->dir, no_role, &alone, NOW, &refused), KC_ERR_USAGE,
		     "2 signatures would be needed, but there would be only 1 root keys");
	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &both, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	assert_error(kc_root_request_check(&request), KC_ERR_UNSIGNED, "has 1 of the 2 signatures");
	sample_must(kc_root_request_sign(&request, f->spare));
	sample_must(kc_root_request_check(&request));
}

static void keys_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	const char *unknown[] = { kc_key_id(f->spare), NULL };
	uint8_t root_public[1][KC_PUBLIC_KEY_SIZE];
	const struct kc_root_changes remove = { .removed = unknown };
	const struct kc_root_changes again = { .added = root_public, .n_added = 1 };
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request first = { 0 }, second = { 0 }, third = { 0 };

	sample_must(kc_key_public(f->root, root_public[0]));
	assert_error(kc_root_prepare(f->ctx, f->dir, no_role, &remove, NOW, &first), KC_ERR_USAGE,
		     "is not the id of a root key of root 1");
	assert_error(kc_root_prepare(f->ctx, f->dir, no_role, &again, NOW, &second), KC_ERR_USAGE,
		     "root 1 has the key");
	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &no_change, NOW, &third));
	assert_error(kc_root_request_sign(&third, f->spare), KC_ERR_UNKNOWN_KEY, "neither of root 1 nor of root 2");
}

static void a_request_travels_and_comes_back(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request here = { 0 }, there = { 0 }, back = { 0 };
	kc_autobuf struct kc_buf out = { 0 }, signed_text = { 0 }, described = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, online, &no_change, NOW, &here));
	sample_must(kc_root_request_encode(&here, &out));
	sample_must(kc_root_request_decode("file", out.data, out.size, &there));
	sample_must(kc_root_request_describe(&there, &described));
	assert_non_null(strstr(described.data, "root 1 -> root 2"));
	assert_non_null(strstr(described.data, here.next.roles[KC_ROLE_SNAPSHOT].keyids[0]));
	sample_must(kc_root_request_sign(&there, f->root));
	sample_must(kc_root_request_encode(&there, &signed_text));
	sample_must(kc_root_request_decode("file", signed_text.data, signed_text.size, &back));
	sample_must(kc_root_adopt(f->ctx, f->dir, &back));
	assert_error(kc_root_adopt(f->ctx, f->dir, &back), KC_ERR_REFUSED, "the repository has root 2 now");
}

/* Changes one byte of the request's signed text at `needle`. */
static void spoil(struct kc_buf *text, const char *needle)
{
	char *found = memmem(text->data, text->size, needle, strlen(needle));

	assert_non_null(found);
	found += strlen(needle);
	*found = *found == '1' ? '2' : '1';
}

static void a_request_that_was_altered_is_refused(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 }, first = { 0 }, second = { 0 }, third = { 0 };
	kc_autobuf struct kc_buf out = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &no_change, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_request_encode(&request, &out));
	assert_error(kc_root_request_decode("x.json", out.data, out.size - 1, &first), KC_ERR_CORRUPT, "x.json");
	spoil(&out, "\"expires\":\"20");
	assert_error(kc_root_request_decode("x.json", out.data, out.size, &second), KC_ERR_BAD_SIGNATURE, "x.json");
	assert_error(kc_root_request_decode("x.json", "{}", 2, &third), KC_ERR_CORRUPT, "waits for signatures");
}

static void new_online_keys_must_be_here(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root after = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, online, &no_change, NOW, &request));
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_discard(f->ctx, f->dir));
	assert_error(kc_root_adopt(f->ctx, f->dir, &request), KC_ERR_REFUSED, "is not in ");
	load(f, &after);
	assert_int_equal(after.version, 1);
}

static void a_root_follows_only_its_own(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request request = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root good = { 0 }, late = { 0 }, unsigned_root = { 0 };

	sample_must(kc_root_prepare(f->ctx, f->dir, no_role, &no_change, NOW, &request));
	assert_error(kc_root_verify(request.next_text.data, request.next_text.size, &request.current, &unsigned_root),
		     KC_ERR_ROOT_CHAIN, "not signed as root 1 demands");
	sample_must(kc_root_request_sign(&request, f->root));
	sample_must(kc_root_verify(request.next_text.data, request.next_text.size, &request.current, &good));
	request.current.version = 7;
	assert_error(kc_root_verify(request.next_text.data, request.next_text.size, &request.current, &late),
		     KC_ERR_ROOT_CHAIN, "root 2 cannot follow root 7");
}

static void an_operator_is_warned_in_time(void **state)
{
	struct kc_repo_root root = { .version = 3, .expires = NOW };
	kc_autofree char *soon = kc_root_warning(&root, NOW - 10 * 86400), *late = kc_root_warning(&root, NOW + 1);

	(void)state;
	assert_null(kc_root_warning(&root, NOW - 61 * 86400));
	assert_non_null(strstr(soon, "root 3 expires in 10 days, on 20"));
	assert_non_null(strstr(late, "root 3 expired on 20"));
}

static void no_repository_is_named(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoclose int fd = -1;

	assert_error(kc_root_load(f->ctx, in_dir(f, "offline"), &text, &root), KC_ERR_INPUT, "is not a repository");
	assert_error(kc_repository_lock(f->ctx, in_dir(f, "offline"), &fd), KC_ERR_INPUT, "is not a repository");
	sample_must(kc_repository_lock(f->ctx, f->dir, &fd));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(online_keys_are_replaced),
		T(a_killed_run_is_completed),
		T(a_lost_key_is_named_and_can_be_replaced),
		T(root_keys_are_replaced_by_both_signatures),
		T(a_threshold_needs_as_many_keys),
		T(keys_that_make_no_sense_are_refused),
		T(a_request_travels_and_comes_back),
		T(a_request_that_was_altered_is_refused),
		T(new_online_keys_must_be_here),
		T(a_root_follows_only_its_own),
		T(an_operator_is_warned_in_time),
		T(no_repository_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
