/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/ctx.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/os_release.h"
#include "base/process.h"

static void error_carries_code_message_and_context(void **state)
{
	struct kc_error *err = kc_error_errno(KC_ERR_SYSTEM, ENOENT, "cannot open %s", "a.txt");

	(void)state;
	err = kc_error_prefix(err, "reading the list");
	assert_int_equal(kc_error_code(err), KC_ERR_SYSTEM);
	assert_string_equal(kc_error_message(err), "reading the list: cannot open a.txt: No such file or directory");
	kc_error_free(err);
}

static void every_error_kind_has_name_and_exit_code(void **state)
{
	(void)state;
	for (int code = 0; code < KC_ERR_COUNT; code++) {
		assert_non_null(kc_error_code_name(code));
		assert_int_not_equal(kc_error_code_exit(code), KC_EXIT_DONE);
		assert_true(kc_error_code_http(code) >= 200);
	}
}

static void singletons_survive_free_and_prefix(void **state)
{
	struct kc_error *err = kc_error_prefix(kc_error_not_found(), "symbol %s", "main");

	(void)state;
	assert_int_equal(kc_error_code(err), KC_ERR_NOT_FOUND);
	assert_string_equal(kc_error_message(err), "symbol main: not found");
	kc_error_free(err);
	kc_error_free(kc_error_not_found());
	kc_error_free(kc_error_no_memory());
	assert_string_equal(kc_error_message(kc_error_not_found()), "not found");
}

static void buf_grows_aligns_and_is_terminated(void **state)
{
	kc_autobuf struct kc_buf buf = { 0 };

	(void)state;
	kc_buf_append_str(&buf, "abc");
	kc_buf_align(&buf, 8);
	assert_int_equal(buf.size, 8);
	kc_buf_append_u32(&buf, 0x04030201);
	assert_memory_equal(buf.data, "abc\0\0\0\0\0\1\2\3\4", 13);
	for (int i = 0; i < 10000; i++)
		kc_buf_printf(&buf, "%d,", i);
	assert_false(buf.failed);
	assert_int_equal(buf.data[buf.size], '\0');
}

static void array_keeps_elements_while_it_grows(void **state)
{
	int *items = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int *item = kc_array_add(&items, &n);

		assert_non_null(item);
		assert_int_equal(*item, 0);
		*item = i;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(items[i], i);
	free(items);
}

static void hex_round_trip_and_bad_digits(void **state)
{
	uint8_t data[4];
	char text[9];

	(void)state;
	assert_int_equal(kc_hex_decode("00ffA5c3", data, 4), 0);
	kc_hex_encode(data, 4, text);
	assert_string_equal(text, "00ffa5c3");
	assert_int_equal(kc_hex_decode("00ffA5c", data, 4), -EINVAL);
	assert_int_equal(kc_hex_decode("00ffA5c3d", data, 4), -EINVAL);
	assert_int_equal(kc_hex_decode("0gffA5c3", data, 4), -EINVAL);
}

static void what_was_begun_is_removed_and_nothing_else(void **state)
{
	static const char *const others[] = { "file",
					      "file.backup",
					      "file.new-Ab12",
					      "file.new-Ab12345",
					      "file.new-Ab12.z",
					      "file.new-Ab123z~",
					      "another.new-Ab123z",
					      ".new-Ab123z" };
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *path = NULL, *begun = NULL, *link = NULL, *folder = NULL;
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = kc_path_join(dir, "file");
	link = kc_path_join(dir, "file.new-aLink1");
	folder = kc_path_join(dir, "file.new-folder");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		kc_autofree char *other = kc_path_join(dir, others[i]);

		assert_int_equal(kc_file_write_atomic(other, "x", 1, 0600), 0);
	}
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(kc_file_begin(path, &begun, &fd), 0);
	close(fd);
	assert_int_equal(stat(begun, &st), 0);
	kc_file_remove_begun(path);
	assert_int_equal(stat(begun, &st), -1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		kc_autofree char *other = kc_path_join(dir, others[i]);

		assert_int_equal(stat(other, &st), 0);
	}
	assert_int_equal(lstat(link, &st), 0);
	assert_int_equal(lstat(folder, &st), 0);
	assert_int_equal(kc_tree_remove(dir), 0);
	kc_file_remove_begun(path); /* no folder: nothing to do */
}

static void file_write_atomic_replaces_and_read_obeys_its_limit(void **state)
{
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *path = NULL, *deep = NULL;
	kc_autobuf struct kc_buf buf = { 0 };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = kc_path_join(dir, "file");
	deep = kc_path_join(dir, "a/b/c");
	assert_int_equal(kc_file_write_atomic(path, "one", 3, 0600), 0);
	assert_int_equal(kc_file_write_atomic(path, "two!", 4, 0640), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(kc_file_read(path, 3, &buf), -EFBIG);
	kc_buf_reset(&buf);
	assert_int_equal(kc_file_read(path, 4, &buf), 0);
	assert_string_equal(buf.data, "two!");
	kc_buf_reset(&buf);
	assert_int_equal(kc_file_read_now(path, 4, &buf), 0);
	assert_string_equal(buf.data, "two!");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(kc_file_read_now(path, 4, &buf), -EINVAL);
	assert_int_equal(kc_dir_make(deep, 0700), 0);
	assert_int_equal(kc_dir_make(deep, 0700), 0);
	assert_int_equal(kc_dir_make("", 0700), -ENOENT);
	assert_int_equal(kc_tree_remove(dir), 0);
	assert_int_equal(kc_tree_remove(dir), 0);
	assert_int_not_equal(stat(dir, &st), 0);
}

static void process_gives_output_and_exit_code(void **state)
{
	kc_autobuf struct kc_buf out = { 0 }, errors = { 0 };
	const char *argv[] = { "sh", "-c", "echo $WORD; echo bad >&2; exit 3", NULL };
	const char *env[] = { "WORD=hello", NULL };
	struct kc_process process = { .argv = argv, .env = env, .output = &out, .errors = &errors };
	const char *missing[] = { "/no/such/program", NULL };
	int exit_code;

	(void)state;
	assert_int_equal(kc_process_run(&process, &exit_code), 0);
	assert_int_equal(exit_code, 3);
	assert_string_equal(out.data, "hello\n");
	assert_string_equal(errors.data, "bad\n");
	process = (struct kc_process){ .argv = missing };
	assert_int_equal(kc_process_run(&process, &exit_code), 0);
	assert_int_equal(exit_code, 127);
}

static void os_release_names_the_distribution(void **state)
{
	static const struct {
		const char *text, *distro;
	} cases[] = {
		{ "NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n", "debian12" },
		{ "VERSION_ID='22.04'\nID=ubuntu\n", "ubuntu22" },
		{ "ID=arch", "arch" },
		{ "VERSION_ID=1\nXID=a\nID=\n", NULL },
		{ "", NULL },
	};
	kc_autofree char *codename =
		kc_os_release_value("NAME=\"Debian\"\nVERSION_CODENAME=bookworm\n", "VERSION_CODENAME");

	(void)state;
	assert_string_equal(codename, "bookworm");
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		kc_autofree char *distro = kc_os_distro(cases[i].text);

		if (cases[i].distro)
			assert_string_equal(distro, cases[i].distro);
		else
			assert_null(distro);
	}
}

static void count(void *kept)
{
	++*(int *)kept;
}

static void context_keeps_one_thing_and_releases_it(void **state)
{
	struct kc_ctx *ctx = kc_ctx_new();
	int first = 0, second = 0, third = 0;

	(void)state;
	assert_non_null(ctx);
	assert_null(kc_ctx_take_kept(ctx));
	kc_ctx_keep(ctx, &first, count);
	kc_ctx_keep(ctx, &second, count);
	assert_int_equal(first, 1);
	assert_ptr_equal(kc_ctx_take_kept(ctx), &second);
	assert_null(kc_ctx_take_kept(ctx));
	kc_ctx_keep(ctx, &third, count);
	kc_ctx_free(ctx);
	assert_int_equal(second, 0);
	assert_int_equal(third, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_carries_code_message_and_context),
		cmocka_unit_test(every_error_kind_has_name_and_exit_code),
		cmocka_unit_test(singletons_survive_free_and_prefix),
		cmocka_unit_test(buf_grows_aligns_and_is_terminated),
		cmocka_unit_test(array_keeps_elements_while_it_grows),
		cmocka_unit_test(hex_round_trip_and_bad_digits),
		cmocka_unit_test(what_was_begun_is_removed_and_nothing_else),
		cmocka_unit_test(file_write_atomic_replaces_and_read_obeys_its_limit),
		cmocka_unit_test(os_release_names_the_distribution),
		cmocka_unit_test(process_gives_output_and_exit_code),
		cmocka_unit_test(context_keeps_one_thing_and_releases_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
