/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What make -n says of a kernel's objects, and who includes what; the whole way is tested with real kernels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "build/apt_sources.h"
#include "build/kernel_includes.h"
#include "build/kernel_units.h"

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

static struct kc_ctx *ctx;
static char dir[32];

/* Each test has a folder. */
static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/kcare-test-XXXXXX");
	ctx = kc_ctx_new();
	return !ctx || !mkdtemp(dir);
}

static int tear_down(void **state)
{
	(void)state;
	kc_ctx_free(ctx);
	return kc_tree_remove(dir);
}

static void write_text(const char *name, const char *text)
{
	kc_autofree char *path = kc_path_join(dir, name), *folder = NULL;

	folder = strndup(path, (size_t)(kc_path_name(path) - path));
	assert_int_equal(kc_dir_make(folder, 0700), 0);
	assert_int_equal(kc_file_write_atomic(path, text, strlen(text), 0600), 0);
}

/* ---- units ---- */

#define CC(object, source) "set -e;  echo '  CC      " object "'; gcc-12 -O2 -DX='\"a b\"' -c -o " object " " source

static const char make_output[] =
	/* clang-format off */
	"make -f /src/scripts/Makefile.build obj=init\n"
	CC("init/main.o", "/src/init/main.c") " ; ./tools/objtool/objtool --orc init/main.o; scripts/basic/fixdep x\n"
	CC("scripts/mod/empty.o", "/src/scripts/mod/empty.c") "\n"
	"gcc -O2 -c -o /obj/tools/objtool/check.o check.c\n"
	CC("net/q/a.o", "/src/net/q/a.c") "\n"
	CC("net/q/a.o", "/src/net/q/a.c") "\n"
	CC("net/q/shared.o", "/src/net/q/../q/shared.c") "\n"
	CC("net/r/../q/twice.o", "/src/net/r/../q/twice.c") "\n"
	CC("net/old/x.o", "/src/net/old/x.c") "\n"
	CC("arch/x86/entry/thunk_64.o", "/src/arch/x86/entry/thunk_64.S") "\n"
	CC("lib/crc.o", "/src/lib/crc.c") "\n"
	CC("drivers/video/made.o", "drivers/video/made.c") "\n"
	CC("arch/x86/entry/vdso/vgettimeofday.o", "/src/arch/x86/entry/vdso/vgettimeofday.c") "\n"
	"set -e; mkdir -p net/q; printf '%s\\n'   a.o shared.o | awk '!x[$0]++ { print(\"net/q/\"$0) }' > net/q/q.mod\n"
	"set -e; printf '%s\\n'   ../q/twice.o shared.o | awk '!x[$0]++ { print(\"net/r/\"$0) }' > net/r/r.mod; :\n"
	"{ echo net/old/x.o; } > net/old/old.mod\n"
	"rm -f init/built-in.a;  printf \"init/%s \" main.o | xargs ar cDPrST init/built-in.a\n"
	"rm -f arch/x86/entry/built-in.a;  printf \"arch/x86/entry/%s \" thunk_64.o made/built-in.a | "
	"xargs ar cDPrST arch/x86/entry/built-in.a\n"
	"rm -f drivers/video/built-in.a; printf \"drivers/video/%s \" made.o | xargs ar cDPrST x.a\n"
	"rm -f lib/lib.a; ar cDPrsT lib/lib.a lib/crc.o lib/gone.o; echo 'cmd' > lib/.lib.a.cmd";
/* clang-format on */

static const struct kc_kernel_unit *find_unit(const struct kc_kernel_units *units, const char *object)
{
	for (size_t i = 0; i < units->n_items; i++)
		if (!strcmp(units->items[i].object, object))
			return &units->items[i];
	fail_msg("there is no %s", object);
	return NULL;
}

/* Parses, writes and reads the made-up output; `commands` is the path of its file. */
static void read_units(const char *commands, struct kc_kernel_units *units)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_kernel_units parsed = { 0 };
	kc_autofree char *output = strdup(make_output), *path = kc_path_join(dir, "units");

	assert_ok(kc_kernel_units_parse("/obj", output, &parsed, &text));
	assert_ok(kc_kernel_units_write(&parsed, path));
	assert_int_equal(kc_file_write_atomic(commands, text.data, text.size, 0600), 0);
	assert_ok(kc_kernel_units_read(path, units));
	kc_kernel_units_clear(&parsed);
}

static void units_know_where_they_go(void **state)
{
	static const struct {
		const char *object, *source, *modules;
		enum kc_kernel_place place;
	} want[] = {
		{ "arch/x86/entry/thunk_64.o", "/src/arch/x86/entry/thunk_64.S", "", KC_KERNEL_IMAGE },
		{ "arch/x86/entry/vdso/vgettimeofday.o", "/src/arch/x86/entry/vdso/vgettimeofday.c", "",
		  KC_KERNEL_OTHER },
		{ "drivers/video/made.o", "/obj/drivers/video/made.c", "", KC_KERNEL_IMAGE },
		{ "init/main.o", "/src/init/main.c", "", KC_KERNEL_IMAGE },
		{ "lib/crc.o", "/src/lib/crc.c", "", KC_KERNEL_LIBRARY },
		{ "net/old/x.o", "/src/net/old/x.c", "net/old/old", KC_KERNEL_MODULE },
		{ "net/q/a.o", "/src/net/q/a.c", "net/q/q", KC_KERNEL_MODULE },
		{ "net/q/shared.o", "/src/net/q/shared.c", "net/q/q", KC_KERNEL_MODULE },
		{ "net/r/../q/twice.o", "/src/net/q/twice.c", "net/r/r", KC_KERNEL_MODULE },
	};
	kc_autofree char *commands = kc_path_join(dir, "commands");
	struct kc_kernel_units units = { 0 };

	(void)state;
	read_units(commands, &units);
	assert_int_equal(units.n_items, KC_ARRAY_SIZE(want));
	for (size_t i = 0; i < KC_ARRAY_SIZE(want); i++) {
		assert_string_equal(units.items[i].object, want[i].object);
		assert_string_equal(units.items[i].source, want[i].source);
		assert_string_equal(units.items[i].modules, want[i].modules);
		assert_int_equal(units.items[i].place, want[i].place);
	}
	assert_true(kc_kernel_units_have_module(&units, "net/r/r"));
	assert_true(kc_kernel_units_have_module(&units, "net/q/q"));
	assert_false(kc_kernel_units_have_module(&units, "net/q"));
	assert_false(kc_kernel_units_have_module(&units, "q"));
	kc_kernel_units_clear(&units);
}

static void units_keep_their_commands(void **state)
{
	kc_autofree char *commands = kc_path_join(dir, "commands");
	kc_autocommands struct kc_commands *list = calloc(1, sizeof(*list));
	struct kc_kernel_units units = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	const struct kc_kernel_unit *unit;

	(void)state;
	read_units(commands, &units);
	unit = find_unit(&units, "init/main.o");
	assert_ok(kc_kernel_unit_command_text(unit, commands, &text));
	assert_string_equal(text.data, "gcc-12 -O2 -DX='\"a b\"' -c -o init/main.o /src/init/main.c");
	assert_ok(kc_kernel_unit_command(unit, "/obj", commands, "/kmod", list));
	assert_int_equal(list->n_items, 1);
	assert_string_equal(list->items[0].dir, "/obj");
	assert_string_equal(list->items[0].file, "/src/init/main.c");
	assert_string_equal(list->items[0].output, "init/main.o");
	assert_string_equal(list->items[0].arguments[2], "-DX=\"a b\"");
	assert_int_equal(truncate(commands, 10), 0);
	kc_buf_reset(&text);
	assert_fails(kc_kernel_unit_command_text(unit, commands, &text), KC_ERR_INPUT, "cut short");
	kc_kernel_units_clear(&units);
}

static void damaged_lists_of_units_are_refused(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "0\ta.o\t/a.c\t\t0\t5", "cut short" },	{ "0\ta.o\t/a.c\t\t0\n", "damaged" },
		{ "9\ta.o\t/a.c\t\t0\t5\n", "damaged" },	{ "0\ta.o\t/a.c\t\t0\t0\n", "damaged" },
		{ "0\ta.o\t/a.c\t\t0\t99999999\n", "damaged" }, { "0\ta.o\t/a.c\t\t0\t5\tx\n", "damaged" },
	};
	kc_autofree char *path = kc_path_join(dir, "units");

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++) {
		struct kc_kernel_units units = { 0 };

		write_text("units", cases[i].text);
		assert_fails(kc_kernel_units_read(path, &units), KC_ERR_INPUT, cases[i].part);
		kc_kernel_units_clear(&units);
	}
}

/* ---- includes ---- */

/* A kernel of a few files: src/ and obj/ in the test's folder. */
struct small_source {
	struct kc_kernel_tree kernel;
	struct kc_tree tree;
};

static const struct {
	const char *name, *text;
} source_files[] = {
	{ "src/include/linux/kconfig.h", "#include <generated/autoconf.h>\n" },
	{ "src/include/linux/list.h", "" },
	{ "src/include/linux/sock.h", "# include\t<linux/list.h>\n" },
	{ "src/include/asm-generic/bug.h", "" },
	{ "src/include/linux/genl.h", "#include GENL_FILE\n" },
	{ "src/include/linux/drbd_genl.h", "" },
	{ "src/include/uapi/linux/list.h", "" },
	{ "src/arch/x86/include/asm/page.h", "" },
	{ "src/arch/arm/include/asm/page.h", "#include <linux/kconfig.h>\n" },
	{ "src/tools/include/linux/list.h", "" },
	{ "src/tools/include/linux/sock.h", "#include <linux/only_tools.h>\n" },
	{ "src/net/q/local.h", "" },
	{ "src/net/other/local.h", "" },
	{ "src/net/q/a.c", "int x;\n#include \"local.h\"\n#include <linux/sock.h>\n" },
	{ "src/net/q/b.c", "#include \"../other/local.h\"\n#include \"part.c\"\n" },
	{ "src/net/q/part.c", "#include <asm/bug.h>\n" },
	{ "src/net/q/c.c", "#if 0\n/* #include <asm/page.h> */\n#endif\n#define GENL_FILE <linux/drbd_genl.h>\n" },
	{ "src/net/q/d.c", "#include <far/away.h>\n#include_next <linux/sock.h>\n" },
	{ "src/drivers/x/include/far/away.h", "" },
	{ "obj/include/generated/autoconf.h", "" },
	{ "obj/arch/x86/include/generated/asm/bug.h", "#include <asm-generic/bug.h>\n" },
};

/* Only the first one's command forces a header; the last one is not generated yet. */
static const char *const unit_sources[] = { "src/net/q/a.c", "src/net/q/b.c", "src/net/q/c.c", "src/net/q/d.c",
					    "obj/net/q/made.c" };

static void write_units(const char *path)
{
	kc_autobuf struct kc_buf units = { 0 }, commands = { 0 };

	kc_buf_printf(&commands, "gcc -include %s/src/include/linux/kconfig.h -c", dir);
	for (size_t i = 0; i < KC_ARRAY_SIZE(unit_sources); i++)
		kc_buf_printf(&units, "1\t%s.o\t%s/%s\tnet/q/q\t0\t%zu\n", unit_sources[i], dir, unit_sources[i],
			      i ? strlen("gcc") : commands.size);
	assert_int_equal(kc_file_write_atomic(path, units.data, units.size, 0600), 0);
	write_text("commands", commands.data);
}

static void open_source(struct small_source *source)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(source_files); i++)
		write_text(source_files[i].name, source_files[i].text);
	*source = (struct small_source){ .kernel.tree = &source->tree };
	source->tree.source_dir = kc_path_join(dir, "src");
	source->kernel.obj_dir = kc_path_join(dir, "obj");
	source->kernel.includes_path = kc_path_join(dir, "includes");
	source->kernel.commands_path = kc_path_join(dir, "commands");
	source->kernel.units_path = kc_path_join(dir, "units");
	write_units(source->kernel.units_path);
	assert_ok(kc_kernel_units_read(source->kernel.units_path, &source->kernel.units));
}

static void close_source(struct small_source *source)
{
	kc_kernel_units_clear(&source->kernel.units);
	free(source->tree.source_dir);
	free(source->kernel.obj_dir);
	free(source->kernel.includes_path);
	free(source->kernel.commands_path);
	free(source->kernel.units_path);
}

/* `want`: the letters of the sources that may read the file; 'm' is the one that is not generated yet. */
static void assert_readers(const struct small_source *source, const char *name, const char *want)
{
	kc_autofree char *path = kc_path_join(dir, name);
	const char *const paths[] = { path };
	kc_autofree size_t *units = NULL;
	char got[8] = "";
	size_t n = 0;

	assert_ok(kc_kernel_includes_find(ctx, &source->kernel, paths, 1, 100, &units, &n));
	for (size_t i = 0; i < n; i++)
		got[i] = kc_path_name(source->kernel.units.items[units[i]].source)[0];
	if (strcmp(got, want) != 0)
		fail_msg("%s: read by \"%s\", not \"%s\"", name, got, want);
}

static void includers_are_found(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "src/net/q/a.c", "a" },
		{ "src/net/q/part.c", "b" },
		{ "src/net/q/local.h", "am" },
		{ "src/net/other/local.h", "bm" },
		{ "src/include/linux/list.h", "adm" },
		{ "src/include/uapi/linux/list.h", "m" },
		{ "src/tools/include/linux/list.h", "m" },
		{ "src/tools/include/linux/sock.h", "dm" },
		{ "src/include/asm-generic/bug.h", "bm" },
		{ "src/arch/x86/include/asm/page.h", "cm" },
		{ "src/arch/arm/include/asm/page.h", "m" },
		{ "src/include/linux/drbd_genl.h", "cm" },
		{ "src/drivers/x/include/far/away.h", "dm" },
		{ "src/include/linux/kconfig.h", "am" },
		{ "obj/include/generated/autoconf.h", "am" },
		/* a fix would bring them */
		{ "src/drivers/x/far/away.h", "dm" },
		{ "src/include/far/away.h", "dm" },
		{ "src/net/q/new.h", "m" },
		{ "elsewhere/src/net/q/local.h", "" },
	};
	struct small_source source;

	(void)state;
	open_source(&source);
	for (size_t i = 0; i < KC_ARRAY_SIZE(cases); i++)
		assert_readers(&source, cases[i].name, cases[i].want);
	close_source(&source);
}

static void many_includers_are_refused(void **state)
{
	kc_autofree char *list = kc_path_join(dir, "src/include/linux/list.h");
	kc_autofree char *local = kc_path_join(dir, "src/net/other/local.h");
	const char *const paths[] = { list, local };
	kc_autofree size_t *units = NULL;
	struct small_source source;
	size_t n = 0;

	(void)state;
	open_source(&source);
	assert_ok(kc_kernel_includes_find(ctx, &source.kernel, paths, 1, 3, &units, &n));
	assert_int_equal(n, 3);
	/* adds to what is there */
	assert_ok(kc_kernel_includes_find(ctx, &source.kernel, paths + 1, 1, 4, &units, &n));
	assert_int_equal(n, 4);
	for (size_t i = 1; i < n; i++)
		assert_true(units[i] > units[i - 1]);
	assert_fails(kc_kernel_includes_find(ctx, &source.kernel, paths, 2, 3, &units, &n), KC_ERR_LIMIT,
		     "--max-objects 4");
	close_source(&source);
}

static void the_answer_is_kept(void **state)
{
	struct small_source source;
	kc_autobuf struct kc_buf text = { 0 };
	char *last;

	(void)state;
	open_source(&source);
	assert_readers(&source, "src/net/q/local.h", "am");
	/* what is kept is used: a new line is not seen … */
	write_text("src/net/q/c.c", "#include \"local.h\"\n");
	assert_readers(&source, "src/net/q/local.h", "am");
	/* … until what is kept is damaged */
	assert_int_equal(kc_file_read(source.kernel.includes_path, 1 << 20, &text), 0);
	last = strrchr(text.data, '\t') + 1;
	*last = *last == '0' ? '1' : '0';
	write_text("includes", text.data);
	assert_readers(&source, "src/net/q/local.h", "acm");
	assert_int_equal(truncate(source.kernel.includes_path, 20), 0);
	assert_readers(&source, "src/net/q/local.h", "acm");
	close_source(&source);
}

/* ---- the archive ---- */

static void backports_follow_the_release(void **state)
{
	kc_autobuf struct kc_buf list = { 0 }, stanzas = { 0 }, none = { 0 };

	(void)state;
	kc_apt_backports_list("deb [a=bookworm] http://d/bookworm bookworm main\ndeb-src http://d bookworm main\n"
			      "deb http://d bookworm-updates main\ndeb http://d bookworm-security main",
			      "bookworm", &list);
	assert_string_equal(list.data, "deb [a=bookworm] http://d/bookworm bookworm-backports main\n"
				       "deb-src http://d bookworm-backports main\n");
	kc_apt_backports_deb822("Types: deb\nURIs: http://d\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
				"Types: deb\nSuites: bookworm-security\nURIs: http://s\n",
				"bookworm", &stanzas);
	assert_string_equal(stanzas.data,
			    "Types: deb\nURIs: http://d\nSuites: bookworm-backports\nComponents: main\n\n");
	kc_apt_backports_list("", "bookworm", &none);
	kc_apt_backports_deb822("", "bookworm", &none);
	assert_int_equal(none.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(units_know_where_they_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(units_keep_their_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_lists_of_units_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(includers_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_includers_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_answer_is_kept, set_up, tear_down),
		cmocka_unit_test(backports_follow_the_release),
	};

	return cmocka_run_group_tests_name("kernel-build", tests, NULL, NULL);
}
