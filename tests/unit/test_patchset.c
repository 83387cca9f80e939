/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of a patchset and its archive, as the author's and the repository's code call them. What an enemy may put
 * into an archive is in tests/scenario/test_patchset.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "patchset/archive_internal.h"
#include "sample.h"
#include "sign/envelope.h"

#define BUILD_ID_B "0011223344556677889900112233445566778899"

static const char *const only_default[] = { "default", NULL };

struct fixture {
	struct kc_ctx *ctx;
	struct kc_key *key, *other_key;
	struct kc_keyring *keyring, *other_keyring;
	char dir[64];
	char *files[2]; /* patch files of U20261123_01 by `key`: libc6 level 3, and another build-id */
};

static char *make_patch(struct fixture *f, const struct kc_key *key, const char *name,
			const struct kc_manifest *manifest)
{
	kc_autobuf struct kc_buf object = { 0 }, file = { 0 };
	struct kc_patch_payload payload = { .name = KC_PAYLOAD_NAME };
	char *path = kc_path_join(f->dir, name);

	sample_payload(&object);
	payload.data = object.data;
	payload.size = object.size;
	sample_must(kc_patch_encode(f->ctx, manifest, &payload, 1, key, &file));
	assert_int_equal(kc_file_write_atomic(path, file.data, file.size, 0644), 0);
	return path;
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = value ? strdup(value) : NULL;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct kc_manifest manifest;

	f->ctx = kc_ctx_new();
	sample_keys(f->ctx, &f->key, &f->keyring);
	sample_keys(f->ctx, &f->other_key, &f->other_keyring);
	strcpy(f->dir, "/tmp/kcare-patchset-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	sample_manifest(&manifest);
	f->files[0] = make_patch(f, f->key, "z.kpatch", &manifest);
	replace(&manifest.target, BUILD_ID_B);
	replace(&manifest.package, NULL);
	replace(&manifest.object, ".odd näme");
	f->files[1] = make_patch(f, f->key, "a.kpatch", &manifest);
	kc_manifest_clear(&manifest);
	*state = f;
	return 0;
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
	free(f->files[0]);
	free(f->files[1]);
	free(f);
	return 0;
}

static struct kc_patchset *new_patchset(const char *name)
{
	struct kc_patchset *patchset = calloc(1, sizeof(*patchset));

	patchset->name = strdup(name);
	patchset->distro = strdup("debian12");
	patchset->released = 1795467600;
	return patchset;
}

static void add_files(struct fixture *f, struct kc_patchset *patchset)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(f->files); i++) {
		kc_autopatch struct kc_patch *patch = NULL;

		sample_must(kc_patch_open(f->ctx, f->files[i], f->keyring, &patch));
		sample_must(kc_patchset_add(patchset, patch, 1000 + i));
	}
}

/* The signed list of two files. */
static void make_list(struct fixture *f, struct kc_buf *list)
{
	kc_autopatchset struct kc_patchset *patchset = new_patchset("U20261123_01");

	add_files(f, patchset);
	sample_must(kc_patchset_encode(patchset, f->key, list));
}

static void expect(struct kc_error *err, enum kc_error_code code, const char *text)
{
	assert_non_null(err);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s, instead of %s: … %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code), text);
	kc_error_free(err);
}

static void expect_list(struct fixture *f, const struct kc_buf *list, enum kc_error_code code, const char *text)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;

	expect(kc_patchset_decode("x.tar.bz2", list->data, list->size, f->keyring, &patchset), code, text);
	assert_null(patchset);
}

/* ---- the list ---- */

static void a_list_has_all_its_files_by_name(void **state)
{
	struct fixture *f = *state;
	kc_autopatchset struct kc_patchset *patchset = NULL, *shown = NULL;
	kc_autobuf struct kc_buf list = { 0 };
	const struct kc_patchset_file *file;

	make_list(f, &list);
	sample_must(kc_patchset_decode("x", list.data, list.size, f->keyring, &patchset));
	assert_string_equal(patchset->name, "U20261123_01");
	assert_string_equal(patchset->distro, "debian12");
	assert_int_equal(patchset->released, 1795467600);
	assert_string_equal(patchset->keyid, kc_key_id(f->key));
	assert_int_equal(patchset->n_files, 2);
	file = &patchset->files[0];
	assert_string_equal(file->name, "_odd_n__me-0011223344556677-3.kpatch");
	assert_string_equal(file->package, "_odd_n__me");
	assert_string_equal(file->object, ".odd näme");
	assert_int_equal(file->size, 1001);
	file = &patchset->files[1];
	assert_string_equal(file->name, "libc.so.6-93ac615d00000000-3.kpatch");
	assert_string_equal(file->target, SAMPLE_BUILD_ID);
	assert_string_equal(file->type, "default");
	assert_string_equal(file->package, "libc6");
	assert_null(file->release);
	assert_int_equal(file->level, 3);
	assert_int_equal(file->kind, KC_PATCH_USER);
	assert_ptr_equal(kc_patchset_find(patchset, file->name), file);
	assert_null(kc_patchset_find(patchset, "libc.so.6"));
	sample_must(kc_patchset_peek("x", list.data, list.size, &shown));
	assert_string_equal(shown->keyid, patchset->keyid);
}

static void paths_of_targets(void **state)
{
	struct kc_patchset patchset = { .distro = (char *)"debian12" };
	struct kc_patchset_file kernel = { .kind = KC_PATCH_KERNEL, .target = (char *)SAMPLE_KERNEL_ID };
	struct kc_patchset_file user = { .target = (char *)SAMPLE_BUILD_ID, .package = (char *)"libc6" };
	kc_autofree char *kernel_path = kc_patchset_target_path(&patchset, &kernel);
	kc_autofree char *user_path = kc_patchset_target_path(&patchset, &user);

	(void)state;
	assert_string_equal(kernel_path, "kernel/" SAMPLE_KERNEL_ID);
	assert_string_equal(user_path, "user/debian12/libc6");
}

static void signatures_are_checked_first(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf list = { 0 }, other = { 0 };
	kc_autojson json_t *whole = NULL;
	struct kc_patchset *patchset = NULL;
	json_t *signed_part;

	make_list(f, &list);
	expect_list(f, &(struct kc_buf){ .data = list.data, .size = list.size - 1 }, KC_ERR_CORRUPT, "x.tar.bz2");
	expect_list(f, &(struct kc_buf){ .data = list.data, .size = 0 }, KC_ERR_CORRUPT, "");
	whole = json_loadb(list.data, list.size, 0, NULL);
	signed_part = json_object_get(whole, "signed");
	sample_must(kc_envelope_encode(signed_part, NULL, 0, &other));
	expect_list(f, &other, KC_ERR_UNSIGNED, "no signature");
	kc_buf_reset(&other);
	sample_must(kc_envelope_encode(signed_part, (const struct kc_key *const[]){ f->other_key }, 1, &other));
	expect_list(f, &other, KC_ERR_UNKNOWN_KEY, kc_key_id(f->other_key));
	kc_buf_reset(&other);
	sample_must(kc_envelope_encode(signed_part, (const struct kc_key *const[]){ f->key, f->other_key }, 2, &other));
	expect_list(f, &other, KC_ERR_CORRUPT, "one signature");
	*(char *)memmem(list.data, list.size, "debian12", 8) = 'x';
	expect_list(f, &list, KC_ERR_BAD_SIGNATURE, "");
	expect(kc_patchset_decode("x", list.data, list.size, NULL, &patchset), KC_ERR_UNKNOWN_KEY, "no keys");
}

/* What is signed is `signed_part`. */
static void expect_signed(struct fixture *f, const json_t *signed_part, enum kc_error_code code, const char *text)
{
	kc_autobuf struct kc_buf list = { 0 };

	sample_must(kc_envelope_encode(signed_part, (const struct kc_key *const[]){ f->key }, 1, &list));
	expect_list(f, &list, code, text);
}

static json_t *load_signed(struct fixture *f)
{
	kc_autobuf struct kc_buf list = { 0 };
	kc_autojson json_t *whole = NULL;

	make_list(f, &list);
	whole = json_loadb(list.data, list.size, 0, NULL);
	return json_incref(json_object_get(whole, "signed"));
}

static void values_of_the_list_are_checked(void **state)
{
	static const struct {
		const char *key, *value; /* JSON; NULL: without the member */
		enum kc_error_code code;
		const char *text;
	} cases[] = {
		{ "document", "\"kcare-patch-1\"", KC_ERR_CORRUPT, "not the list of a patchset" },
		{ "document", NULL, KC_ERR_CORRUPT, "document" },
		{ "extra", "1", KC_ERR_CORRUPT, "extra" },
		{ "name", "\"U2026_01\"", KC_ERR_INPUT, "'U2026_01' is not the name of a patchset" },
		{ "name", "\"../U20261123_01\"", KC_ERR_INPUT, "not the name" },
		{ "name", "1", KC_ERR_CORRUPT, "Expected string" },
		{ "name", "\"K20261123_01\"", KC_ERR_INPUT, "patchset for kernels" },
		{ "distro", "\"Debian 12\"", KC_ERR_INPUT, "not a distribution" },
		{ "distro", "\"..\"", KC_ERR_INPUT, "not a distribution" },
		{ "distro", "\"\"", KC_ERR_INPUT, "not a distribution" },
		{ "distro", "\"a/b\"", KC_ERR_INPUT, "not a distribution" },
		{ "released", "-1", KC_ERR_INPUT, "no time" },
		{ "released", "\"2026\"", KC_ERR_CORRUPT, "Expected integer" },
		{ "files", "[]", KC_ERR_INPUT, "no patch file" },
		{ "files", "{}", KC_ERR_CORRUPT, "" },
		{ "files", "[1]", KC_ERR_CORRUPT, "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autojson json_t *json = load_signed(f);

		if (cases[i].value)
			json_object_set_new(json, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(json, cases[i].key);
		expect_signed(f, json, cases[i].code, cases[i].text);
	}
}

static void values_of_its_files_are_checked(void **state)
{
	static const struct {
		const char *key, *value;
		enum kc_error_code code;
		const char *text;
	} cases[] = {
		{ "name", "\"../libc.kpatch\"", KC_ERR_INPUT, "not allowed for a file" },
		{ "name", "\"/libc.kpatch\"", KC_ERR_INPUT, "not allowed for a file" },
		{ "name", "\".kpatch\"", KC_ERR_INPUT, "not allowed for a file" },
		{ "name", "\"-rf.kpatch\"", KC_ERR_INPUT, "not allowed for a file" },
		{ "name", "\"PATCHSET.json\"", KC_ERR_INPUT, "not allowed for a file" },
		{ "name", "\"_odd_n__me-0011223344556677-3.kpatch\"", KC_ERR_INPUT, "is there twice" },
		{ "name", "\"A.kpatch\"", KC_ERR_INPUT, "names ascend" },
		{ "name", NULL, KC_ERR_CORRUPT, "name" },
		{ "sha256", "\"00\"", KC_ERR_INPUT, "SHA-256" },
		{ "size", "0", KC_ERR_INPUT, "a size of 0" },
		{ "size", "-1", KC_ERR_INPUT, "not allowed" },
		{ "size", "1000000000", KC_ERR_LIMIT, "MiB" },
		{ "kind", "\"kernel\"", KC_ERR_INPUT, "in one patchset" },
		{ "kind", "\"user2\"", KC_ERR_INPUT, "kind" },
		{ "target", "\"xyz\"", KC_ERR_INPUT, "target" },
		{ "target", "\"" BUILD_ID_B "\"", KC_ERR_INPUT, "same target, type and level" },
		{ "type", "\"other\"", KC_ERR_INPUT, "type (default, extra or free)" },
		{ "level", "0", KC_ERR_INPUT, "level 0" },
		{ "level", "4294967297", KC_ERR_INPUT, "not allowed" },
		{ "object", "\"a/b\"", KC_ERR_INPUT, "object" },
		{ "package", "\"..\"", KC_ERR_INPUT, "package name '..'" },
		{ "package", "\"a/b\"", KC_ERR_INPUT, "package" },
		{ "package", NULL, KC_ERR_INPUT, "a program a package" },
		{ "release", "\"6.1\"", KC_ERR_INPUT, "a kernel has a release" },
		{ "mode", "1", KC_ERR_CORRUPT, "mode" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autojson json_t *json = load_signed(f);
		json_t *file = json_array_get(json_object_get(json, "files"), 1);

		if (cases[i].value)
			json_object_set_new(file, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(file, cases[i].key);
		expect_signed(f, json, cases[i].code, cases[i].text);
	}
}

static void a_list_that_could_not_be_read_is_not_written(void **state)
{
	struct fixture *f = *state;
	kc_autopatchset struct kc_patchset *patchset = new_patchset("U20261123_01");
	kc_autobuf struct kc_buf list = { 0 };

	expect(kc_patchset_encode(patchset, f->key, &list), KC_ERR_INPUT, "no patch file");
	add_files(f, patchset);
	add_files(f, patchset);
	expect(kc_patchset_encode(patchset, f->key, &list), KC_ERR_INPUT, "is there twice");
	patchset->files[1].name[0] = 'a';
	patchset->files[3].name[0] = 'b';
	expect(kc_patchset_encode(patchset, f->key, &list), KC_ERR_INPUT, "same target, type and level");
	replace(&patchset->name, "K20261123_01");
	expect(kc_patchset_encode(patchset, f->key, &list), KC_ERR_INPUT, "is for processes");
	assert_int_equal(list.size, 0);
}

static void a_patch_must_be_what_its_entry_says(void **state)
{
	struct fixture *f = *state;
	kc_autopatchset struct kc_patchset *patchset = new_patchset("U20261123_01");
	kc_autopatch struct kc_patch *patch = NULL;
	struct kc_manifest *manifest;
	const struct kc_patchset_file *file;

	sample_must(kc_patch_open(f->ctx, f->files[0], f->keyring, &patch));
	sample_must(kc_patchset_add(patchset, patch, 1));
	manifest = &patch->manifest;
	file = patchset->files;
	sample_must(kc_patchset_check_patch(patchset, file, patch));
	manifest->level = 2;
	expect(kc_patchset_check_patch(patchset, file, patch), KC_ERR_WRONG_TARGET,
	       "the list says level 3, the patch file 2");
	manifest->level = 3;
	replace(&manifest->package, "libc7");
	expect(kc_patchset_check_patch(patchset, file, patch), KC_ERR_WRONG_TARGET,
	       "package libc6, the patch file libc7");
	replace(&manifest->package, "libc6");
	replace(&manifest->type, "extra");
	expect(kc_patchset_check_patch(patchset, file, patch), KC_ERR_WRONG_TARGET,
	       "type default, the patch file extra");
	replace(&manifest->type, "default");
	replace(&manifest->target, BUILD_ID_B);
	expect(kc_patchset_check_patch(patchset, file, patch), KC_ERR_WRONG_TARGET, "target " SAMPLE_BUILD_ID);
	replace(&manifest->target, SAMPLE_BUILD_ID);
	replace(&manifest->patchset, "U20261123_02");
	expect(kc_patchset_check_patch(patchset, file, patch), KC_ERR_WRONG_TARGET, "patchset U20261123_01");
}

/* ---- the archive ---- */

static char *write_archive(struct fixture *f, const char *name, char *const *files)
{
	kc_autopatchset struct kc_patchset *patchset = new_patchset("U20261123_01");
	char *path = kc_path_join(f->dir, name);

	sample_must(kc_patchset_archive_write(f->ctx, path, patchset, only_default, files, 2, f->key));
	return path;
}

static void read_all(const char *dir, const char *name, struct kc_buf *content)
{
	kc_autofree char *path = kc_path_join(dir, name);

	assert_int_equal(kc_file_read(path, 1 << 20, content), 0);
}

static void an_archive_gives_back_its_files(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *path = write_archive(f, "a.tar.bz2", f->files), *dir = kc_path_join(f->dir, "out");
	kc_autopatchset struct kc_patchset *patchset = NULL, *again = NULL, *shown = NULL, *decoded = NULL;
	kc_autobuf struct kc_buf original = { 0 }, unpacked = { 0 }, list = { 0 };
	struct stat st;

	assert_true(kc_patchset_is_archive(path));
	assert_false(kc_patchset_is_archive(f->files[0]));
	assert_false(kc_patchset_is_archive(f->dir));
	sample_must(kc_patchset_archive_read(f->ctx, path, f->keyring, NULL, &again));
	assert_int_equal(stat(dir, &st), -1);
	sample_must(kc_patchset_archive_read(f->ctx, path, f->keyring, dir, &patchset));
	assert_int_equal(patchset->n_files, 2);
	read_all(f->dir, "z.kpatch", &original);
	read_all(dir, "libc.so.6-93ac615d00000000-3.kpatch", &unpacked);
	assert_int_equal(original.size, unpacked.size);
	assert_memory_equal(original.data, unpacked.data, original.size);
	read_all(dir, KC_PATCHSET_LIST_NAME, &list);
	sample_must(kc_patchset_decode("x", list.data, list.size, f->keyring, &decoded));
	/* the second time there is such a folder: it is not ours to fill or to remove */
	expect(kc_patchset_archive_read(f->ctx, path, f->keyring, dir, &shown), KC_ERR_SYSTEM, "File exists");
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(kc_tree_remove(dir), 0);
	expect(kc_patchset_archive_read(f->ctx, path, f->other_keyring, dir, &shown), KC_ERR_UNKNOWN_KEY, "a.tar.bz2");
	assert_int_equal(stat(dir, &st), -1);
	sample_must(kc_patchset_archive_peek(f->ctx, path, &shown));
	assert_string_equal(shown->name, "U20261123_01");
}

static void the_same_release_gives_the_same_bytes(void **state)
{
	struct fixture *f = *state;
	char *reversed[] = { f->files[1], f->files[0] };
	kc_autofree char *a = write_archive(f, "a.tar.bz2", f->files), *b = write_archive(f, "b.tar.bz2", reversed);
	kc_autobuf struct kc_buf one = { 0 }, two = { 0 };

	read_all(f->dir, "a.tar.bz2", &one);
	read_all(f->dir, "b.tar.bz2", &two);
	assert_int_equal(one.size, two.size);
	assert_memory_equal(one.data, two.data, one.size);
}

static void cuts_and_flipped_bits_are_noticed(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *path = write_archive(f, "a.tar.bz2", f->files);
	kc_autobuf struct kc_buf file = { 0 };
	size_t n_tried = 0, n_noticed = 0;

	read_all(f->dir, "a.tar.bz2", &file);
	for (size_t i = 0; i < file.size; i += 7, n_tried++) {
		kc_autopatchset struct kc_patchset *cut = NULL, *flipped = NULL;
		kc_autofree char *copy = malloc(i + 1);
		struct kc_error *err;

		memcpy(copy, file.data, i);
		err = kc_patchset_memory_read(f->ctx, "x", copy, i, false, f->keyring, NULL, &cut);
		assert_non_null(err);
		kc_error_free(err);
		file.data[i] ^= 1 << i % 8;
		err = kc_patchset_memory_read(f->ctx, "x", file.data, file.size, false, f->keyring, NULL, &flipped);
		/* some bits of bzip2 mean nothing, as in codes that no block uses: then all is as before */
		n_noticed += err != NULL;
		assert_true(err || flipped->n_files == 2);
		kc_error_free(err);
		file.data[i] ^= 1 << i % 8;
	}
	assert_true(n_noticed > n_tried * 9 / 10);
}

static void expect_no_archive(struct fixture *f, char *const *files, size_t n, const char *const *types,
			      enum kc_error_code code, const char *text)
{
	kc_autopatchset struct kc_patchset *patchset = new_patchset("U20261123_01");
	kc_autofree char *folder = kc_path_join(f->dir, "new"), *path = kc_path_join(folder, "a.tar.bz2");

	assert_int_equal(mkdir(folder, 0755), 0);
	expect(kc_patchset_archive_write(f->ctx, path, patchset, types, files, n, f->key), code, text);
	assert_int_equal(rmdir(folder), 0); /* it is empty */
}

static void what_does_not_belong_is_not_packed(void **state)
{
	struct fixture *f = *state;
	char *twice[] = { f->files[0], f->files[0] }, *odd[1];
	struct kc_manifest manifest;

	expect_no_archive(f, twice, 2, only_default, KC_ERR_INPUT, "same target, type and level");
	expect_no_archive(f, NULL, 0, only_default, KC_ERR_INPUT, "no patch file");
	expect_no_archive(f, f->files, 2, (const char *const[]){ "extra", "free", NULL }, KC_ERR_INPUT,
			  "its type is default");
	odd[0] = f->dir;
	expect_no_archive(f, odd, 1, only_default, KC_ERR_INPUT, "cannot read");
	sample_manifest(&manifest);
	odd[0] = make_patch(f, f->other_key, "other.kpatch", &manifest);
	expect_no_archive(f, odd, 1, only_default, KC_ERR_UNKNOWN_KEY, "signed by another key");
	free(odd[0]);
	replace(&manifest.patchset, "U20261123_02");
	odd[0] = make_patch(f, f->key, "second.kpatch", &manifest);
	expect_no_archive(f, odd, 1, only_default, KC_ERR_INPUT, "belongs to the patchset U20261123_02");
	free(odd[0]);
	kc_manifest_clear(&manifest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_has_all_its_files_by_name, set_up, tear_down),
		cmocka_unit_test(paths_of_targets),
		cmocka_unit_test_setup_teardown(signatures_are_checked_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(values_of_the_list_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(values_of_its_files_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_list_that_could_not_be_read_is_not_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_patch_must_be_what_its_entry_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_archive_gives_back_its_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_same_release_gives_the_same_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cuts_and_flipped_bits_are_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_does_not_belong_is_not_packed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
