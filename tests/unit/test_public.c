/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages and texts of a repository: whatever an author writes stays text. What tools fetch is in the scenarios. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "patch/patch_info.h"
#include "repo/public_files.h"
#include "sample.h"

#define PATH "kernel/" SAMPLE_KERNEL_ID

struct fixture {
	struct kc_ctx *ctx;
	char dir[32];
	struct kc_buf list; /* of the one kernel */
};

static void write_file(struct fixture *f, const char *name, const struct kc_buf *data)
{
	kc_autofree char *path = kc_path_join(f->dir, name);
	kc_autofree char *folder = strndup(path, (size_t)(kc_path_name(path) - path));

	assert_int_equal(kc_dir_make(folder, 0755), 0);
	assert_int_equal(kc_file_write_atomic(path, data->data, data->size, 0644), 0);
}

static void replace(char **member, const char *value)
{
	free(*member);
	*member = strdup(value);
}

/* A patch by somebody who wants to be seen, in a folder as deploy makes it. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	kc_autobuf struct kc_buf module = { 0 }, patch = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autokey struct kc_key *key = NULL;
	struct kc_manifest manifest;
	struct kc_target_entry entry = { .type = (char *)"default",
					 .level = 3,
					 .patchset = (char *)"K20261123_01",
					 .released = 1795500000,
					 .rollout = 100 };
	const struct kc_target_list list = { .feed = (char *)"main",
					     .path = (char *)PATH,
					     .title = (char *)"6.1.0-<b>47 (debian12)",
					     .entries = &entry,
					     .n_entries = 1 };
	kc_autofree char *blob = NULL;

	strcpy(f->dir, "/tmp/kcare-test-XXXXXX");
	f->ctx = kc_ctx_new();
	*state = f;
	if (!f->ctx || !mkdtemp(f->dir))
		return -1;
	sample_keys(f->ctx, &key, &keyring);
	sample_kernel_manifest(&manifest);
	manifest.level = 3;
	replace(&manifest.fixes[0].name, "\"><script>alert(1)</script>");
	replace(&manifest.fixes[0].description, "one & two\n\nkpatch-cve: CVE-1999-0001\n'<img src=x>'");
	replace(&manifest.fixes[0].patch_url, "https://example.org/?a='1'&b=2");
	kc_buf_append_str(&module, "a module");
	sample_kernel_patch(f->ctx, key, &manifest, &module, &module, &patch);
	kc_manifest_clear(&manifest);
	kc_sha256_text(patch.data, patch.size, entry.hash);
	entry.size = patch.size;
	blob = kc_blob_path(entry.hash);
	write_file(f, blob, &patch);
	sample_must(kc_target_list_encode(&list, &f->list));
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int err = kc_tree_remove(f->dir);

	kc_buf_free(&f->list);
	kc_ctx_free(f->ctx);
	free(f);
	return err;
}

static void put(struct fixture *f, const char *text, size_t size)
{
	static const char *const feeds[] = { "main", NULL };
	kc_autopublicfiles struct kc_public_files *files = NULL;

	sample_must(kc_public_files_open(f->ctx, f->dir, &files));
	sample_must(kc_public_files_put(f->ctx, files, "main", PATH, text, size));
	sample_must(kc_public_files_finish(f->ctx, files, feeds));
}

static void read_file(struct fixture *f, const char *name, struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(f->dir, name);

	assert_int_equal(kc_file_read(path, 1 << 20, text), 0);
}

static void an_author_cannot_put_markup_into_pages(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf page = { 0 }, index = { 0 };

	put(f, f->list.data, f->list.size);
	read_file(f, "index/kernel/" SAMPLE_KERNEL_ID ".html", &page);
	read_file(f, "index/debian12.html", &index);
	assert_null(strstr(page.data, "<script"));
	assert_null(strstr(page.data, "<img"));
	assert_null(strstr(page.data, "<b>"));
	assert_null(strstr(index.data, "<b>"));
	assert_non_null(strstr(page.data, "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
	assert_non_null(strstr(page.data, "one &amp; two"));
	assert_non_null(strstr(page.data, "href=\"https://example.org/?a=&#39;1&#39;&amp;b=2\""));
	assert_non_null(strstr(index.data, "6.1.0-&lt;b&gt;47"));
}

static void a_description_cannot_add_fields(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf text = { 0 };

	put(f, f->list.data, f->list.size);
	read_file(f, SAMPLE_KERNEL_ID "/3/kpatch.info", &text);
	assert_non_null(strstr(text.data, "kpatch-description: one & two  kpatch-cve: CVE-1999-0001 '<img src=x>'\n"));
	assert_null(strstr(text.data, "\nkpatch-cve: CVE-1999-0001"));
}

static void what_cannot_be_read_is_made_again(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf whole = { 0 }, again = { 0 }, damaged = { 0 };

	put(f, f->list.data, f->list.size);
	read_file(f, "main/" SAMPLE_KERNEL_ID "/releases.json", &whole);
	kc_buf_append_str(&damaged, "{\"releases\":[{\"sha256\":5,\"level\":\"x\"},7");
	write_file(f, "main/" SAMPLE_KERNEL_ID "/releases.json", &damaged);
	write_file(f, "index/kernels.json", &damaged);
	write_file(f, "libcare-patches.json", &damaged);
	put(f, f->list.data, f->list.size);
	read_file(f, "main/" SAMPLE_KERNEL_ID "/releases.json", &again);
	assert_string_equal(whole.data, again.data);
}

/* A feed must be published even then: what it fixes is shown when the file is back. */
static void a_patch_file_that_is_lost_is_only_warned_about(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *blobs = kc_path_join(f->dir, "blobs"), *away = kc_path_join(f->dir, "away");
	kc_autobuf struct kc_buf without = { 0 }, with = { 0 }, version = { 0 };

	assert_int_equal(rename(blobs, away), 0);
	put(f, f->list.data, f->list.size);
	read_file(f, SAMPLE_KERNEL_ID "/version", &version);
	assert_string_equal(version.data, "3\n");
	read_file(f, SAMPLE_KERNEL_ID "/3/kpatch.info", &without);
	assert_null(strstr(without.data, "kpatch-name"));
	assert_int_equal(rename(away, blobs), 0);
	put(f, f->list.data, f->list.size);
	read_file(f, SAMPLE_KERNEL_ID "/3/kpatch.info", &with);
	assert_non_null(strstr(with.data, "kpatch-name"));
}

static void a_target_that_is_gone_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { SAMPLE_KERNEL_ID, "main/" SAMPLE_KERNEL_ID,
					     "index/kernel/" SAMPLE_KERNEL_ID ".html", "index/debian12.html" };

	put(f, f->list.data, f->list.size);
	put(f, NULL, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		kc_autofree char *path = kc_path_join(f->dir, names[i]);

		assert_int_not_equal(access(path, F_OK), 0);
	}
}

static void feeds_of_others_are_checked(void **state)
{
	static const char *const bad[] = { "",
					   "{}",
					   "{\"feeds\":3}",
					   "{\"feeds\":[3]}",
					   "{\"feeds\":[\"..\"]}",
					   "{\"feeds\":[\"a/b\"]}",
					   "{\"feeds\":[\"blobs\"]}",
					   "{\"feeds\":[\"main\"]" };
	const char *good = "{\"feeds\":[\"main\",\"test\"]}";
	char **feeds = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		kc_autoerror struct kc_error *err = kc_public_feeds_decode(bad[i], strlen(bad[i]), &feeds, &n);

		assert_int_equal(kc_error_code(err), KC_ERR_CORRUPT);
		assert_int_equal(n, 0);
	}
	sample_must(kc_public_feeds_decode(good, strlen(good), &feeds, &n));
	assert_int_equal(n, 2);
	assert_string_equal(feeds[1], "test");
	free(feeds[0]);
	free(feeds[1]);
	free(feeds);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_author_cannot_put_markup_into_pages),     T(a_description_cannot_add_fields),
		T(what_cannot_be_read_is_made_again),	       T(a_target_that_is_gone_leaves_nothing),
		T(a_patch_file_that_is_lost_is_only_warned_about),
		cmocka_unit_test(feeds_of_others_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
