/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "apply/user_blacklist.h"
#include "apply/user_paths.h"
#include "base/file.h"

static struct kc_user_blacklist *parse(const char *text)
{
	struct kc_user_blacklist *blacklist = NULL;

	assert_null(kc_user_blacklist_parse("list", text, strlen(text), &blacklist));
	return blacklist;
}

static void assert_bad(const char *text, size_t size, const char *message)
{
	kc_autouserblacklist struct kc_user_blacklist *blacklist = NULL;
	kc_autoerror struct kc_error *err = kc_user_blacklist_parse("list", text, size, &blacklist);

	assert_non_null(err);
	assert_null(blacklist);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	if (!strstr(kc_error_message(err), message))
		fail_msg("'%s' is not in '%s'", message, kc_error_message(err));
}

static void example_of_the_reference_matches(void **state)
{
	kc_autouserblacklist struct kc_user_blacklist *blacklist = parse(" # Symantec Antivirus\n"
									 " path: /opt/Symantec/*\n"
									 " filename:symcfgd\n"
									 " filename:docker*\n"
									 "\n"
									 " path:/usr/libexec/docker/docker-*\r\n"
									 " regex:^/usr/bin/[[:alnum:]]+$");

	(void)state;
	assert_string_equal(kc_user_blacklist_match(blacklist, "/opt/Symantec/autoprotect/rtvscand"),
			    "path:/opt/Symantec/* (list:2)");
	assert_string_equal(kc_user_blacklist_match(blacklist, "/srv/symcfgd"), "filename:symcfgd (list:3)");
	assert_non_null(kc_user_blacklist_match(blacklist, "/x/dockerd"));
	assert_non_null(kc_user_blacklist_match(blacklist, "/usr/libexec/docker/docker-proxy"));
	assert_non_null(kc_user_blacklist_match(blacklist, "/usr/bin/vim2"));
	assert_null(kc_user_blacklist_match(blacklist, "/usr/bin/x-y"));
	assert_null(kc_user_blacklist_match(blacklist, "/opt/Symantec"));
	assert_null(kc_user_blacklist_match(blacklist, "/srv/symcfgd/other"));
	assert_null(kc_user_blacklist_match(blacklist, ""));
}

static void filename_is_the_last_part_only(void **state)
{
	kc_autouserblacklist struct kc_user_blacklist *blacklist = parse("filename: [ab]?\n");

	(void)state;
	assert_non_null(kc_user_blacklist_match(blacklist, "/usr/sbin/ax"));
	assert_null(kc_user_blacklist_match(blacklist, "/ax/cx"));
	assert_null(kc_user_blacklist_match(blacklist, "/ax/axx"));
}

static void regex_is_found_anywhere_unless_anchored(void **state)
{
	kc_autouserblacklist struct kc_user_blacklist *blacklist = parse("regex:virus(d|-scan)");

	(void)state;
	assert_non_null(kc_user_blacklist_match(blacklist, "/opt/antivirus-scan/bin/run"));
	assert_null(kc_user_blacklist_match(blacklist, "/opt/antivirus/bin/run"));
}

static void bad_lines_are_named_by_file_and_line(void **state)
{
	kc_autofree char *longest = calloc(1, 5000);

	(void)state;
	assert_bad("# fine\n/usr/bin/foo\n", 20, "list:2: '/usr/bin/foo' does not begin with");
	assert_bad("path:\n", 6, "list:1: there is no pattern");
	assert_bad("\n\nregex:[[:alnum\n", 16, "list:3: '[[:alnum' is not a POSIX extended regular expression");
	assert_bad("filename:/bin/foo", 17, "list:1: '/bin/foo' can match no file name");
	assert_bad("Path:/bin/foo", 13, "list:1:");
	assert_bad("path:/a\0b\n", 10, "list:1: not a text file");
	memset(longest, 'x', 4999);
	assert_bad(longest, 4999, "list:1: the line is too long");
}

static void empty_list_matches_nothing(void **state)
{
	kc_autouserblacklist struct kc_user_blacklist *blacklist = parse("# only a comment\n   \n");

	(void)state;
	assert_null(kc_user_blacklist_match(blacklist, "/usr/bin/vim"));
}

static void write_text(const char *fixed, const char *text)
{
	kc_autofree char *path = kc_user_path(fixed);
	kc_autofree char *dir = strndup(path, (size_t)(kc_path_name(path) - path - 1));

	assert_int_equal(kc_dir_make(dir, 0755), 0);
	assert_int_equal(kc_file_write_atomic(path, text, strlen(text), 0644), 0);
}

static void override_replaces_the_default_even_when_empty(void **state)
{
	char root[] = "/tmp/kcare-blacklist-XXXXXX";
	struct kc_user_blacklist *blacklist = NULL;
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autofree char *override = NULL;
	kc_autoerror struct kc_error *err = NULL;

	(void)state;
	assert_non_null(mkdtemp(root));
	setenv("KCARE_ROOT", root, 1);
	assert_null(kc_user_blacklist_load(ctx, &blacklist));
	assert_null(kc_user_blacklist_match(blacklist, "/a"));
	kc_user_blacklist_free(blacklist);
	write_text(KC_PATH_BLACKLIST, "path:/a\n");
	assert_null(kc_user_blacklist_load(ctx, &blacklist));
	assert_non_null(kc_user_blacklist_match(blacklist, "/a"));
	kc_user_blacklist_free(blacklist);
	write_text(KC_PATH_BLACKLIST_OVERRIDE, "");
	assert_null(kc_user_blacklist_load(ctx, &blacklist));
	assert_null(kc_user_blacklist_match(blacklist, "/a"));
	kc_user_blacklist_free(blacklist);
	/* It exists but cannot be read: nobody may be patched. */
	override = kc_user_path(KC_PATH_BLACKLIST_OVERRIDE);
	assert_int_equal(unlink(override), 0);
	assert_int_equal(mkdir(override, 0755), 0);
	blacklist = NULL;
	err = kc_user_blacklist_load(ctx, &blacklist);
	assert_non_null(err);
	assert_null(blacklist);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	unsetenv("KCARE_ROOT");
	assert_int_equal(kc_tree_remove(root), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_the_reference_matches),
		cmocka_unit_test(filename_is_the_last_part_only),
		cmocka_unit_test(regex_is_found_anywhere_unless_anchored),
		cmocka_unit_test(bad_lines_are_named_by_file_and_line),
		cmocka_unit_test(empty_list_matches_nothing),
		cmocka_unit_test(override_replaces_the_default_even_when_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
