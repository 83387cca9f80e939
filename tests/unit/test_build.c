/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fixes, compile commands, overlays and the archive's source list; the whole way is tested by tests/scenario. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "build/apply_fix.h"
#include "build/apt_sources.h"
#include "build/commands.h"
#include "build/compile.h"
#include "build/depfile.h"
#include "build/fix.h"
#include "build/overlay.h"
#include "build/scratch.h"
#include "build/words.h"

static struct kc_ctx *ctx;

static int make_ctx(void **state)
{
	(void)state;
	ctx = kc_ctx_new();
	return !ctx;
}

static int drop_ctx(void **state)
{
	(void)state;
	kc_ctx_free(ctx);
	return 0;
}

#define assert_ok(call)                                                    \
	do {                                                               \
		struct kc_error *err_ = (call);                            \
		if (err_)                                                  \
			fail_msg("%s: %s", #call, kc_error_message(err_)); \
	} while (0)

static void assert_fails(struct kc_error *err, enum kc_error_code code, const char *part)
{
	assert_non_null(err);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), part))
		fail_msg("got %s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	kc_error_free(err);
}

static struct kc_fix *parse_fix(const char *text)
{
	struct kc_fix *fix = NULL;

	assert_ok(kc_fix_parse(ctx, "test.patch", text, strlen(text), &fix));
	return fix;
}

static struct kc_error *bad_fix(const char *text)
{
	struct kc_fix *fix = NULL;

	return kc_fix_parse(ctx, "test.patch", text, strlen(text), &fix);
}

static void header_fields_are_read(void **state)
{
	kc_autofix struct kc_fix *fix = parse_fix("Name: over-read\n"
						  "Description: reads too far\n"
						  " when the key is short\n"
						  " .\n"
						  "\tand more\n"
						  "Origin: upstream\n"
						  "CVE: CVE-2026-42766, CVE-2026-1111 CVE-2026-42766\n"
						  "cve: CVE-2025-123456\n"
						  "CVSS: 7.5\n"
						  "CVE-URL: https://example.org/a:b\n"
						  "Patch-URL: https://example.org/p\n"
						  "License: Apache-2.0\n"
						  "Consistency: function\n"
						  "\n"
						  "Some words.\n"
						  "---\n"
						  " a.c | 1 +\n"
						  "\n"
						  "--- a/dir/a.c\t2026-01-01\n"
						  "+++ b/dir/a.c\n"
						  "@@ -1,2 +1,2 @@ int f(void)\n"
						  " one\n"
						  "-two\n"
						  "+zwei\n"
						  "\\ No newline at end of file\n");

	(void)state;
	assert_string_equal(fix->info.name, "over-read");
	assert_string_equal(fix->info.description, "reads too far when the key is short and more");
	assert_int_equal(fix->info.n_cves, 3);
	assert_string_equal(fix->info.cves[0], "CVE-2026-42766");
	assert_string_equal(fix->info.cves[1], "CVE-2026-1111");
	assert_string_equal(fix->info.cves[2], "CVE-2025-123456");
	assert_string_equal(fix->info.cvss, "7.5");
	assert_string_equal(fix->info.cve_url, "https://example.org/a:b");
	assert_string_equal(fix->info.patch_url, "https://example.org/p");
	assert_string_equal(fix->info.license, "Apache-2.0");
	assert_int_equal(fix->consistency, KC_CONSISTENCY_FUNCTION);
	assert_int_equal(fix->n_files, 1);
	assert_string_equal(fix->files[0].path, "b/dir/a.c");
	assert_int_equal(fix->files[0].n_hunks, 1);
	assert_int_equal(fix->files[0].hunks[0].n_lines, 3);
	assert_int_equal(fix->files[0].hunks[0].n_orig, 2);
	assert_false(fix->files[0].hunks[0].lines[2].newline);
}

#define FILE_HEAD "--- a/a.c\n+++ b/a.c\n"

static void bad_fixes_are_refused(void **state)
{
	(void)state;
	assert_fails(bad_fix(""), KC_ERR_FIX, "no unified diff");
	assert_fails(bad_fix("Name: x\n"), KC_ERR_FIX, "no unified diff");
	assert_fails(bad_fix("CVE: CVE-26-1\n" FILE_HEAD), KC_ERR_FIX, "test.patch:2: \"CVE-26-1\" is no CVE number");
	assert_fails(bad_fix("Consistency: maybe\n" FILE_HEAD), KC_ERR_FIX, "maybe");
	assert_fails(bad_fix("Name: \xff\n" FILE_HEAD), KC_ERR_FIX, "UTF-8");
	assert_fails(bad_fix("Name: a\x01z\n" FILE_HEAD), KC_ERR_FIX, "control");
	assert_fails(bad_fix(FILE_HEAD), KC_ERR_FIX, "has no hunk");
	assert_fails(bad_fix("--- a/a.c\n+xx\n"), KC_ERR_FIX, "is not followed by");
	assert_fails(bad_fix("@@ -1 +1 @@\n-a\n+b\n"), KC_ERR_FIX, "before any");
	assert_fails(bad_fix(FILE_HEAD "@@ -1 +1 @@\n-a\n"), KC_ERR_FIX, "in the middle of a hunk");
	assert_fails(bad_fix(FILE_HEAD "@@ -1 +1 @@\n-a\n-b\n+c\n"), KC_ERR_FIX, "do not add up");
	assert_fails(bad_fix(FILE_HEAD "@@ -1,99999999999999999999 +1 @@\n-a\n"), KC_ERR_FIX, "not a hunk header");
	assert_fails(bad_fix(FILE_HEAD "@@ -x +1 @@\n-a\n"), KC_ERR_FIX, "not a hunk header");
	assert_fails(bad_fix("--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n"), KC_ERR_FIX,
		     "leaves the source tree");
	assert_fails(bad_fix("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n"), KC_ERR_FIX,
		     "leaves the source tree");
	assert_fails(bad_fix("--- a/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"), KC_ERR_FIX, "deletes");
	assert_fails(bad_fix("diff --git a/a.c b/b.c\nrename from a.c\nrename to b.c\n"), KC_ERR_FIX, "renames");
	assert_fails(bad_fix("diff --git a/a b/a\nGIT binary patch\n"), KC_ERR_FIX, "binary");
}

/* "1\n2\n…n\n" */
static struct kc_source *numbered_source(const char *path, int n)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_source *source = NULL;

	for (int i = 1; i <= n; i++)
		kc_buf_printf(&text, "%d\n", i);
	assert_ok(kc_source_parse(path, text.data, text.size, &source));
	return source;
}

static char *rendered(const struct kc_source *source)
{
	struct kc_buf out = { 0 };

	assert_ok(kc_source_render(source, &out));
	return kc_buf_take(&out);
}

static void hunks_apply_in_place_and_moved(void **state)
{
	kc_autosource struct kc_source *source = numbered_source("a.txt", 9);
	kc_autofix struct kc_fix *exact = parse_fix(FILE_HEAD "@@ -2,2 +2,3 @@\n 2\n+two and a half\n 3\n"
							      "@@ -8,2 +9,1 @@\n-8\n 9\n");
	kc_autofix struct kc_fix *moved = parse_fix(FILE_HEAD "@@ -1,3 +1,3 @@\n 5\n-6\n+six\n 7\n");
	kc_autofree char *text = NULL;

	(void)state;
	assert_ok(kc_source_apply(ctx, source, exact, &exact->files[0]));
	assert_ok(kc_source_apply(ctx, source, moved, &moved->files[0]));
	text = rendered(source);
	assert_string_equal(text, "1\n2\ntwo and a half\n3\n4\n5\nsix\n7\n9\n");
}

static void hunks_that_do_not_fit_are_named(void **state)
{
	kc_autosource struct kc_source *source = numbered_source("dir/a.c", 9);
	kc_autofix struct kc_fix *other = parse_fix(FILE_HEAD "@@ -1 +1 @@\n-1\n+one\n@@ -4,2 +4,2 @@\n 4\n-x\n+y\n");
	kc_autofix struct kc_fix *beyond = parse_fix(FILE_HEAD "@@ -40,2 +40,2 @@\n 40\n-41\n+y\n");
	kc_autofix struct kc_fix *done = parse_fix(FILE_HEAD "@@ -4,2 +4,2 @@\n 4\n-x\n+5\n");
	kc_autofix struct kc_fix *dos = parse_fix(FILE_HEAD "@@ -4,2 +4,2 @@\n 4\r\n-5\r\n+x\r\n");

	(void)state;
	assert_fails(kc_source_apply(ctx, source, other, &other->files[0]), KC_ERR_FIX_DOES_NOT_APPLY,
		     "dir/a.c: hunk 2 at line 4: line 5 is \"5\", but the fix expects \"x\"");
	assert_fails(kc_source_apply(ctx, source, beyond, &beyond->files[0]), KC_ERR_FIX_DOES_NOT_APPLY,
		     "hunk 1 at line 40: the file has only 9 lines");
	assert_fails(kc_source_apply(ctx, source, done, &done->files[0]), KC_ERR_FIX_DOES_NOT_APPLY,
		     "has this change already");
	assert_fails(kc_source_apply(ctx, source, dos, &dos->files[0]), KC_ERR_FIX_DOES_NOT_APPLY, "DOS line ends");
}

static void files_are_made_and_keep_their_end(void **state)
{
	kc_autosource struct kc_source *empty = NULL, *source = NULL;
	kc_autofix struct kc_fix *new = parse_fix("--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+a\n+b\n"
						  "\\ No newline at end of file\n");
	kc_autofix struct kc_fix *end = parse_fix(FILE_HEAD "@@ -2 +2 @@\n-y\n\\ No newline at end of file\n+z\n");
	kc_autofree char *text = NULL, *ended = NULL;

	(void)state;
	assert_true(new->files[0].created);
	assert_ok(kc_source_parse("new.txt", "", 0, &empty));
	assert_ok(kc_source_apply(ctx, empty, new, &new->files[0]));
	text = rendered(empty);
	assert_string_equal(text, "a\nb");
	assert_ok(kc_source_parse("a.txt", "x\ny", 3, &source));
	assert_ok(kc_source_apply(ctx, source, end, &end->files[0]));
	ended = rendered(source);
	assert_string_equal(ended, "x\nz\n");
}

static char *apply_to(const char *path, const char *text, const char *fix_text)
{
	kc_autosource struct kc_source *source = NULL;
	kc_autofix struct kc_fix *fix = parse_fix(fix_text);

	assert_ok(kc_source_parse(path, text, strlen(text), &source));
	assert_ok(kc_source_apply(ctx, source, fix, &fix->files[0]));
	return rendered(source);
}

static void line_numbers_are_kept(void **state)
{
	kc_autofree char *plain = NULL, *macro = NULL, *comment = NULL, *skipped = NULL;

	(void)state;
	plain = apply_to("a.c", "a\nb\nc\n", FILE_HEAD "@@ -1,3 +1,4 @@\n a\n-b\n+B\n+BB\n c\n");
	assert_string_equal(plain, "a\nB\nBB\n#line 3\nc\n");
	macro = apply_to("a.c", "#define A \\\n b \\\n c\nd\n", FILE_HEAD "@@ -2,2 +2,3 @@\n  b \\\n+ B \\\n  c\n");
	assert_string_equal(macro, "#define A \\\n b \\\n B \\\n c\n#line 4\nd\n");
	comment = apply_to("a.c", "/* a\n b\n*/\nc '\"' \"/*\"\nd\n", FILE_HEAD "@@ -1,2 +1,3 @@\n /* a\n+ A\n  b\n");
	assert_string_equal(comment, "/* a\n A\n b\n*/\n#line 4\nc '\"' \"/*\"\nd\n");
	skipped = apply_to("a.h", "#if 0\na\n#else\nb\n#endif\nc\nd\n", FILE_HEAD "@@ -1,2 +1,3 @@\n #if 0\n+A\n a\n");
	assert_string_equal(skipped, "#if 0\nA\n#line 2\na\n#else\n#line 4\nb\n#endif\n#line 6\nc\nd\n");
}

static void words_follow_the_shell(void **state)
{
	kc_autowords struct kc_words words = { 0 };
	static const char *const want[] = { "gcc", "-DA=\"b c\"", "-DX=$y", "",	  "a b",
					    NULL,  "cd",	  "x",	    NULL, "/nowhere/f.c" };

	(void)state;
	assert_ok(kc_words_split("gcc -DA=\"\\\"b c\\\"\" -DX='$y' '' a\\ b \\\n && cd x;; "
				 "`test -f '/nowhere/f.c' || echo '/nowhere/'`f.c # end",
				 "/", &words));
	assert_int_equal(words.n_items, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < words.n_items; i++) {
		if (!want[i])
			assert_null(words.items[i]);
		else
			assert_string_equal(words.items[i], want[i]);
	}
}

static void make_output_gives_commands(void **state)
{
	kc_autocommands struct kc_commands *commands = calloc(1, sizeof(*commands));
	char text[] = "make: Entering directory '/src/b'\n"
		      "gcc -I. -O2 -MMD -MF x.d.tmp -MT x.o -c -o lib/x.o ../x.c\n"
		      "touch x.d.tmp\n"
		      "gcc -I. -O2 -MMD -MF x.d.tmp -MT x.o -c -o lib/x.o ../x.c\n"
		      "make[1]: Entering directory '/src/sub'\n"
		      "echo \"  CC y\"; ccache x86_64-linux-gnu-gcc-12 -Wp,-MD,y.d \\\n  -c y.c -o y.o\n"
		      "make[1]: Leaving directory '/src/sub'\n"
		      "gcc -shared -o lib.so lib/x.o\n"
		      "cd deep && g++ -c z.cc && gcc -E x.c -o x.i\n"
		      "/bin/bash ../libtool --tag=CC --mode=compile gcc -DQ -c -o w.lo w.c\n"
		      "ar rc -c libfoo.a gcc.c\n"
		      "make: Leaving directory '/src/b'\n";
	static const struct {
		const char *dir, *file, *output, *arguments;
	} want[] = {
		{ "/src/b/deep", "/src/b/deep/z.cc", NULL, "g++ z.cc" },
		{ "/src/b", "/src/b/w.c", "w.lo", "gcc -DQ w.c" },
		{ "/src/b", "/src/b/w.c", "w.lo", "gcc -DQ w.c -fPIC -DPIC" },
		{ "/src/sub", "/src/sub/y.c", "y.o", "x86_64-linux-gnu-gcc-12 y.c" },
		{ "/src/b", "/src/x.c", "lib/x.o", "gcc -I. -O2 ../x.c" },
	};

	(void)state;
	assert_ok(kc_commands_add_make(commands, "/src/b", text));
	assert_int_equal(commands->n_items, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < commands->n_items; i++) {
		const struct kc_compile_command *command = &commands->items[i];
		kc_autobuf struct kc_buf arguments = { 0 };

		for (size_t j = 0; j < command->n_arguments; j++)
			kc_buf_printf(&arguments, "%s%s", j ? " " : "", command->arguments[j]);
		assert_string_equal(command->dir, want[i].dir);
		assert_string_equal(command->file, want[i].file);
		assert_string_equal(arguments.data, want[i].arguments);
		if (want[i].output)
			assert_string_equal(command->output, want[i].output);
		else
			assert_null(command->output);
	}
}

static void json_commands_round_trip(void **state)
{
	static const char text[] =
		"[{\"directory\": \"/src\", \"file\": \"a.c\", \"command\": \"cc -DS=\\\"x y\\\" -o a.o -c a.c\"},"
		" {\"directory\": \"/src/b\", \"file\": \"/src/c.c\", \"arguments\": [\"cc\", \"-c\", \"../c.c\"]},"
		" {\"directory\": \"/src\", \"file\": \"a.c\", \"command\": \"cc -E a.c\"}]";
	kc_autocommands struct kc_commands *commands = NULL, *again = NULL;
	char path[] = "/tmp/kcare-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_ok(kc_commands_parse_json(ctx, "json", text, strlen(text), &commands));
	assert_int_equal(commands->n_items, 2);
	assert_ok(kc_commands_save(commands, path));
	assert_ok(kc_commands_load(ctx, path, &again));
	assert_int_equal(again->n_items, 2);
	assert_string_equal(again->items[0].arguments[1], "-DS=x y");
	assert_string_equal(again->items[0].output, "a.o");
	assert_string_equal(again->items[1].file, "/src/c.c");
	assert_string_equal(again->items[1].arguments[1], "../c.c");
	assert_fails(kc_commands_parse_json(ctx, "json", "{}", 2, &again), KC_ERR_INPUT, "not a list");
	assert_fails(kc_commands_parse_json(ctx, "json", "[{}]", 4, &again), KC_ERR_INPUT, "entry 1");
	assert_fails(kc_commands_parse_json(ctx, "json", "[", 1, &again), KC_ERR_INPUT, "json:1");
	unlink(path);
}

static void paths_are_resolved(void **state)
{
	static const char *const cases[][3] = {
		{ "/a/b", "../c//./d", "/a/c/d" },
		{ "/a", "../../../x", "/x" },
		{ "/a", "/b/../c/", "/c" },
		{ "/a", "..", "/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kc_autofree char *path = kc_path_resolve(cases[i][0], cases[i][1]);

		assert_string_equal(path, cases[i][2]);
	}
}

static void write_text(const char *dir, const char *name, const char *text)
{
	kc_autofree char *path = kc_path_join(dir, name), *parent = strdup(path);

	*strrchr(parent, '/') = '\0';
	assert_int_equal(kc_dir_make(parent, 0755), 0);
	assert_int_equal(kc_file_write_atomic(path, text, strlen(text), 0644), 0);
}

static void assert_contains(const char *path, const char *text, bool expected)
{
	kc_autobuf struct kc_buf data = { 0 };

	assert_int_equal(kc_file_read(path, 1 << 20, &data), 0);
	assert_int_equal(memmem(data.data, data.size, text, strlen(text)) != NULL, expected);
}

/*
 * A header that another header includes through "..": the patched object sees the replaced text, under the file names
 * of the original; the source stays as it is.
 */
static void overlay_replaces_headers_invisibly(void **state)
{
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *source = NULL, *build = NULL, *header = NULL, *overlay_dir = NULL, *include = NULL;
	kc_autofree char *original = NULL, *patched = NULL, *absolute = NULL, *map = NULL;
	kc_autooverlay struct kc_overlay *overlay = NULL;
	kc_autopaths char **dependencies = NULL;
	struct kc_commands commands = { 0 };
	bool header_seen = false;

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_text(dir, "tree/src/main.c",
		   "#include \"one/one.h\"\nconst char *f(void)\n{\n\treturn TEXT __FILE__;\n}\n");
	write_text(dir, "tree/include/one/one.h", "#include \"../two/two.h\"\n");
	write_text(dir, "tree/include/two/two.h", "#define TEXT \"old text \"\n");
	write_text(dir, "tree/build/config.h", "");
	source = kc_path_join(dir, "tree/src/main.c");
	build = kc_path_join(dir, "tree/build");
	header = kc_path_join(dir, "tree/include/two/two.h");
	overlay_dir = kc_path_join(dir, "overlay");
	include = kc_path_join(dir, "tree/include/one");
	original = kc_path_join(dir, "original.o");
	patched = kc_path_join(dir, "patched.o");
	assert_true(asprintf(&map, "-fmacro-prefix-map=%s/tree/=", dir) > 0); /* as Kbuild does */
	char *words[] = { (char *)"gcc", map,	      (char *)"-I../include", (char *)"-include", (char *)"config.h",
			  source,	 (char *)"-c" };
	assert_ok(kc_commands_add(&commands, build, NULL, NULL, words, 7));
	assert_ok(kc_overlay_new(overlay_dir, &overlay));
	assert_ok(kc_overlay_add_dir(overlay, build));
	assert_ok(kc_overlay_add_dir(overlay, include));
	absolute = kc_path_resolve(build, "../src");
	assert_ok(kc_overlay_add_dir(overlay, absolute));
	assert_ok(kc_overlay_replace(overlay, header, "#define TEXT \"new text \"\n", 25));
	struct kc_compile_job jobs[] = {
		{ .command = commands.items, .variant = KC_VARIANT_ORIGINAL, .object_path = original },
		{ .command = commands.items,
		  .variant = KC_VARIANT_PATCHED,
		  .overlay = overlay,
		  .object_path = patched },
	};
	assert_ok(kc_compile(ctx, jobs, 2, 2, NULL));
	assert_contains(original, "old text src/main.c", true);
	assert_contains(patched, "new text src/main.c", true);
	assert_contains(patched, "old text ", false);
	assert_contains(patched, source, true);
	assert_contains(patched, overlay_dir, false);
	assert_contains(header, "old text", true);
	assert_ok(kc_compile_dependencies(&jobs[1], &dependencies));
	for (char **p = dependencies; *p; p++)
		header_seen |= !strncmp(*p, overlay_dir, strlen(overlay_dir)) && strstr(*p, "/include/two/two.h");
	assert_true(header_seen);
	kc_compile_command_clear(&commands.items[0]);
	free(commands.items);
	assert_int_equal(kc_tree_remove(dir), 0);
}

/* amdgpu: the source and its header are named through a sibling folder that nothing else is in. */
static void overlay_keeps_paths_that_go_back(void **state)
{
	char dir[] = "/tmp/kcare-test-XXXXXX", text[] = "#include <x.h>\nint f(void)\n{\n\treturn X + 0x2222;\n}\n";
	kc_autofree char *source = NULL, *build = NULL, *header = NULL, *real = NULL, *overlay_dir = NULL;
	kc_autofree char *include = NULL, *patched = NULL;
	kc_autooverlay struct kc_overlay *overlay = NULL;
	struct kc_commands commands = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_text(dir, "tree/amdgpu/Makefile", "");
	write_text(dir, "tree/display/x.c", "#include <x.h>\nint f(void)\n{\n\treturn X;\n}\n");
	write_text(dir, "tree/display/inc/x.h", "#define X 1\n");
	write_text(dir, "build/config.h", "");
	build = kc_path_join(dir, "build");
	source = kc_path_join(dir, "tree/amdgpu/../display/x.c");
	real = kc_path_join(dir, "tree/display/x.c");
	header = kc_path_join(dir, "tree/display/inc/x.h");
	overlay_dir = kc_path_join(dir, "overlay");
	patched = kc_path_join(dir, "patched.o");
	assert_true(asprintf(&include, "-I%s/tree/amdgpu/../display/inc", dir) > 0);
	char *words[] = { (char *)"gcc", include, source, (char *)"-c" };
	assert_ok(kc_commands_add(&commands, build, NULL, NULL, words, 4));
	assert_ok(kc_overlay_new(overlay_dir, &overlay));
	assert_ok(kc_overlay_add_dir(overlay, build));
	assert_ok(kc_compile_add_dirs(&commands.items[0], overlay));
	assert_ok(kc_overlay_replace(overlay, real, text, strlen(text)));
	assert_ok(kc_overlay_replace(overlay, header, "#define X 0x11110000\n", 21));
	struct kc_compile_job job = {
		.command = commands.items, .variant = KC_VARIANT_PATCHED, .overlay = overlay, .object_path = patched
	};
	assert_ok(kc_compile(ctx, &job, 1, 1, NULL));
	assert_contains(patched, "\x22\x22\x11\x11", true);
	kc_compile_command_clear(&commands.items[0]);
	free(commands.items);
	assert_int_equal(kc_tree_remove(dir), 0);
}

static void compiler_errors_are_shown(void **state)
{
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *object = NULL;
	kc_autocommands struct kc_commands *commands = calloc(1, sizeof(*commands));
	char *words[] = { (char *)"gcc", (char *)"-c", (char *)"bad.c" };

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_text(dir, "bad.c", "int f(void) { return no_such_thing; }\n");
	object = kc_path_join(dir, "bad.o");
	assert_ok(kc_commands_add(commands, dir, NULL, NULL, words, 3));
	struct kc_compile_job job = { .command = commands->items, .object_path = object };
	assert_fails(kc_compile(ctx, &job, 1, 1, NULL), KC_ERR_COMPILE, "no_such_thing");
	assert_true(job.failed);
	assert_int_equal(kc_tree_remove(dir), 0);
}

static void dependencies_are_parsed(void **state)
{
	static const char text[] = "a.o: ../a.c /usr/include/x.h \\\n with\\ space.h $$d.h\n\nx.h:\n";
	static const char *const want[] = { "/src/a.c", "/usr/include/x.h", "/src/b/with space.h", "/src/b/$d.h" };
	kc_autopaths char **paths = NULL;
	size_t n = 0;

	(void)state;
	assert_ok(kc_depfile_parse("/src/b", text, &paths));
	for (; paths[n]; n++) {
		assert_true(n < 4);
		assert_string_equal(paths[n], want[n]);
	}
	assert_int_equal(n, 4);
}

/* What a killed build left is removed by the next one; what is in use or new stays. */
static void stale_scratch_folders_are_removed(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char base[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *stale = NULL, *fresh = NULL;
	struct kc_scratch first = { 0 }, second = { 0 };

	(void)state;
	assert_non_null(mkdtemp(base));
	stale = kc_path_join(base, "kcare-build-stale");
	fresh = kc_path_join(base, "kcare-build-fresh");
	assert_int_equal(mkdir(stale, 0700), 0);
	assert_int_equal(mkdir(fresh, 0700), 0);
	assert_ok(kc_scratch_make(base, &first));
	assert_int_equal(utimensat(AT_FDCWD, stale, old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, first.path, old, 0), 0);
	assert_ok(kc_scratch_make(base, &second));
	assert_int_not_equal(access(stale, F_OK), 0);
	assert_int_equal(access(fresh, F_OK), 0);
	assert_int_equal(access(first.path, F_OK), 0);
	kc_scratch_remove(&first);
	kc_scratch_remove(&second);
	assert_int_equal(kc_tree_remove(base), 0);
}

static void apt_sources_get_deb_src(void **state)
{
	kc_autobuf struct kc_buf list = { 0 }, stanzas = { 0 };

	(void)state;
	kc_apt_convert_list("# x\ndeb [arch=amd64] http://a b main\ndeb http://d bookworm-security main\n"
			    "deb-src http://d bookworm main\ndeb http://d bookworm main\n",
			    "bookworm", &list);
	assert_string_equal(list.data, "deb http://d bookworm-security main\ndeb-src http://d bookworm-security main\n"
				       "deb http://d bookworm main\ndeb-src http://d bookworm main\n");
	kc_apt_convert_deb822(
		"Types: deb\n# note\nURIs: http://d\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
		"Types: deb\nSuites: nodistro\n\n"
		"Enabled: no\nTypes: deb\nSuites: bookworm\n",
		"bookworm", &stanzas);
	assert_string_equal(stanzas.data,
			    "Types: deb deb-src\n# note\nURIs: http://d\nSuites: bookworm bookworm-updates\n"
			    "Components: main\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_fields_are_read),
		cmocka_unit_test(bad_fixes_are_refused),
		cmocka_unit_test(hunks_apply_in_place_and_moved),
		cmocka_unit_test(hunks_that_do_not_fit_are_named),
		cmocka_unit_test(files_are_made_and_keep_their_end),
		cmocka_unit_test(line_numbers_are_kept),
		cmocka_unit_test(words_follow_the_shell),
		cmocka_unit_test(make_output_gives_commands),
		cmocka_unit_test(json_commands_round_trip),
		cmocka_unit_test(paths_are_resolved),
		cmocka_unit_test(overlay_replaces_headers_invisibly),
		cmocka_unit_test(overlay_keeps_paths_that_go_back),
		cmocka_unit_test(compiler_errors_are_shown),
		cmocka_unit_test(dependencies_are_parsed),
		cmocka_unit_test(stale_scratch_folders_are_removed),
		cmocka_unit_test(apt_sources_get_deb_src),
	};

	return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
