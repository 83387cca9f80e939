/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The differ on pairs of small sources, compiled as the builder compiles them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "diff/diff.h"

#define MAX_FLAGS 8

/* One comparison; everything in it is freed by release(). */
struct fixture {
	struct kc_ctx *ctx;
	struct kc_buf objects[2];
	struct kc_elf *elfs[2];
	struct kc_diff *diff;
	struct kc_error *err;
	/* set before compare() */
	const char *compiler; /* NULL: gcc */
	const char *flags[MAX_FLAGS];
	struct kc_diff_options options;
};

static void release(struct fixture *f)
{
	kc_diff_free(f->diff);
	kc_error_free(f->err);
	for (int i = 0; i < 2; i++) {
		kc_elf_free(f->elfs[i]);
		kc_buf_free(&f->objects[i]);
	}
	kc_ctx_free(f->ctx);
}

#define autofixture KC_CLEANUP(release) struct fixture

static void compile(struct fixture *f, const char *source, struct kc_buf *object)
{
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *in = NULL, *out = NULL;
	kc_autobuf struct kc_buf output = { 0 };
	const char *argv[16 + MAX_FLAGS] = { f->compiler ? f->compiler : "gcc",
					     "-O2",
					     "-g",
					     "-ffunction-sections",
					     "-fdata-sections",
					     "-fcf-protection",
					     "-c",
					     "-o" };
	struct kc_process process = { .argv = argv, .output = &output, .dir = dir };
	int exit_code, n = 8;

	assert_non_null(mkdtemp(dir));
	in = kc_path_join(dir, f->compiler ? "in.cc" : "in.c");
	out = kc_path_join(dir, "out.o");
	assert_int_equal(kc_file_write_atomic(in, source, strlen(source), 0600), 0);
	argv[n++] = "out.o";
	for (int i = 0; f->flags[i]; i++)
		argv[n++] = f->flags[i];
	argv[n] = f->compiler ? "in.cc" : "in.c";
	assert_int_equal(kc_process_run(&process, &exit_code), 0);
	if (exit_code != 0)
		fail_msg("%s", output.data);
	assert_int_equal(kc_file_read(out, 1UL << 28, object), 0);
	assert_int_equal(kc_tree_remove(dir), 0);
}

static void compare(struct fixture *f, const char *orig, const char *patched)
{
	const char *sources[] = { orig, patched };

	f->ctx = kc_ctx_new();
	assert_non_null(f->ctx);
	for (int i = 0; i < 2; i++) {
		compile(f, sources[i], &f->objects[i]);
		f->err = kc_elf_parse(f->ctx, i ? "patched.o" : "orig.o", f->objects[i].data, f->objects[i].size,
				      &f->elfs[i]);
		assert_null(f->err);
	}
	f->err = kc_diff_objects(f->ctx, f->elfs[0], f->elfs[1], &f->options, &f->diff);
}

static void must_differ(struct fixture *f, const char *orig, const char *patched)
{
	compare(f, orig, patched);
	if (f->err)
		fail_msg("%s", kc_error_message(f->err));
}

static void must_be_same(struct fixture *f, const char *orig, const char *patched)
{
	compare(f, orig, patched);
	if (!f->err)
		fail_msg("there is a difference");
	if (kc_error_code(f->err) != KC_ERR_NO_CHANGE)
		fail_msg("%s", kc_error_message(f->err));
}

/* Refused by `rule` with `part` in the message, and not refused when that is allowed. */
static void must_refuse(const struct fixture *setup, const char *orig, const char *patched, const char *rule,
			const char *part)
{
	const char *allowed[] = { rule, NULL };
	autofixture refused = *setup, accepted = *setup;

	compare(&refused, orig, patched);
	if (!refused.err)
		fail_msg("%s: not refused", rule);
	if (kc_error_code(refused.err) != KC_ERR_RULE)
		fail_msg("%s: not a refusal: %s", rule, kc_error_message(refused.err));
	assert_string_equal(kc_error_rule_name(refused.err), rule);
	if (!strstr(kc_error_message(refused.err), part))
		fail_msg("\"%s\" is not in \"%s\"", part, kc_error_message(refused.err));
	accepted.options.allowed = allowed;
	compare(&accepted, orig, patched);
	if (accepted.err && kc_error_code(accepted.err) != KC_ERR_NO_CHANGE)
		fail_msg("%s: refused although allowed: %s", rule, kc_error_message(accepted.err));
}

/* The item of the patched object with this name up to its number, NULL when there is none. */
static struct kc_diff_item *find(const struct fixture *f, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < f->diff->n_items; i++) {
		const char *other = kc_diff_item_name(&f->diff->items[i]);

		if (strcmp(other, name) == 0 || (name[length - 1] == '.' && strncmp(other, name, length) == 0))
			return &f->diff->items[i];
	}
	return NULL;
}

static struct kc_diff_item *item(const struct fixture *f, const char *name)
{
	struct kc_diff_item *found = find(f, name);

	if (!found)
		fail_msg("there is no item %s", name);
	return found;
}

#define assert_state(f, name, wanted, cloned)                         \
	do {                                                          \
		assert_int_equal(item((f), (name))->state, (wanted)); \
		assert_int_equal(item((f), (name))->clone, (cloned)); \
	} while (0)

/* ---- what changed -------------------------------------------------------------------------------------------- */

static void equal_sources_do_not_change(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_be_same(&f, "int puts(const char *); int f(int x) { puts(\"a\"); return x * 3; }",
		     "int puts(const char *); int f(int x) { puts(\"a\"); return x * 3; }");
}

static void changed_function_is_cloned_with_its_literals_only(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "int puts(const char *); int n; int g(int x) { return x + n; }\n"
		    "int f(int x) { puts(\"old\"); return g(x); } int h(int x) { puts(\"h\"); return x; }",
		    "int puts(const char *); int n; int g(int x) { return x + n; }\n"
		    "int f(int x) { if (x > 5) puts(\"new\"); puts(\"old\"); return g(x); }"
		    "int h(int x) { puts(\"h\"); return x; }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
	assert_state(&f, "h", KC_DIFF_SAME, false);
	assert_state(&f, "n", KC_DIFF_SAME, false);
	assert_state(&f, ".rodata.f.str1.1", KC_DIFF_CHANGED, true);
	assert_false(item(&f, ".rodata.h.str1.1")->clone);
	assert_int_equal(f.diff->n_changed_functions, 1);
	assert_int_equal(f.diff->n_new_functions, 0);
	assert_string_equal(item(&f, "f")->twin->symbol->name, "f");
}

static void only_a_string_changed(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "int puts(const char *); int f(void) { return puts(\"old\"); }",
		    "int puts(const char *); int f(void) { return puts(\"new\"); }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
}

static void moved_string_does_not_count(void **state)
{
	autofixture f = { .flags = { "-fno-function-sections", "-fno-data-sections" } };

	(void)state;
	must_differ(&f,
		    "int puts(const char *); int f(void) { return puts(\"a\"); } int g(void) { return puts(\"b\"); }",
		    "int puts(const char *); int h(void) { return puts(\"long one\"); }"
		    "int f(void) { return puts(\"a\"); } int g(void) { return puts(\"b\"); }");
	assert_state(&f, "f", KC_DIFF_SAME, false);
	assert_state(&f, "g", KC_DIFF_SAME, false);
	assert_state(&f, "h", KC_DIFF_NEW, true);
}

static void changed_floating_point_constant(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "double f(double x) { return x * 1.5; } double g(double x) { return x * 2.5; }",
		    "double f(double x) { return x * 1.25; } double g(double x) { return x * 2.5; }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
}

static void new_functions_and_variables_are_cloned_when_reached(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "int f(int x) { return x; }",
		    "int counter; static int seen = 4;\n"
		    "static __attribute__((noinline)) int helper(int x) { return x / ++seen; }\n"
		    "static __attribute__((noinline, used)) int unused(int x) { return x / 7; }\n"
		    "int f(int x) { counter++; return helper(x) + helper(x + 1); }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "helper", KC_DIFF_NEW, true);
	assert_state(&f, "counter", KC_DIFF_NEW, true);
	assert_state(&f, "seen", KC_DIFF_NEW, true);
	assert_state(&f, "unused", KC_DIFF_NEW, false);
	assert_false(item(&f, "helper")->address_taken);
	assert_int_equal(f.diff->n_new_functions, 1);
}

static void address_of_a_new_function_is_noticed(void **state)
{
	autofixture f = { .flags = { "-fPIC", "-fcf-protection" } };

	(void)state;
	must_differ(&f, "void at(int (*)(int)); int f(int x) { at(0); return x; }",
		    "void at(int (*)(int)); static int passed(int x) { return x + 1; } static int stored(int x) { "
		    "return x; }\n"
		    "int global(int x) { return x + 9; } int (*table[])(int) = { stored };\n"
		    "static __attribute__((noinline)) int called(int x) { return x / 3; }\n"
		    "int f(int x) { at(passed); at(global); at(table[x]); return called(x); }");
	assert_true(item(&f, "passed")->address_taken);
	assert_true(item(&f, "stored")->address_taken);
	assert_true(item(&f, "global")->address_taken);
	assert_false(item(&f, "called")->address_taken);
	assert_int_equal(item(&f, "f")->twin->jump_offset, 4);
}

static void inlined_callee_changes_its_callers(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(
		&f,
		"static inline int g(int x) { return x + 1; } int f(int x) { return g(x); } int h(int x) { return x; }",
		"static inline int g(int x) { return x + 2; } int f(int x) { return g(x); } int h(int x) { return x; "
		"}");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "h", KC_DIFF_SAME, false);
}

static void common_variables(void **state)
{
	autofixture f = { .flags = { "-fcommon" } };

	(void)state;
	must_differ(&f, "int shared; int f(void) { return shared; } int g(void) { return shared; }",
		    "int shared, added; int f(void) { return shared + added; } int g(void) { return shared; }");
	assert_state(&f, "shared", KC_DIFF_SAME, false);
	assert_state(&f, "added", KC_DIFF_NEW, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
}

static void static_may_come_and_go(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(
		&f,
		"static int n; static __attribute__((noinline)) int g(int x) { return x / 3 + n++; }\n"
		"int h(int x) { return x * 9; } int f(int x) { return g(x) + h(x); }",
		"int n; __attribute__((noinline)) int g(int x) { return x / 5 + n++; }\n"
		"static __attribute__((noinline)) int h(int x) { return x * 9; } int f(int x) { return g(x) + h(x); }");
	assert_state(&f, "n", KC_DIFF_SAME, false);
	assert_state(&f, "g", KC_DIFF_CHANGED, true);
	assert_non_null(item(&f, "h")->twin);
}

/* ---- static variables, numbered by the compiler ------------------------------------------------------------------ */

static void static_locals_keep_their_twins_when_numbers_move(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "int a(void) { static int count = 1; return count++; }\n"
		    "int b(void) { static int count = 2; return count += 2; }\n"
		    "int c(void) { static int count = 3; return count += 3; }",
		    "int z(void) { static int other; static int count = 9; return other + count++; }\n"
		    "int b(void) { static int count = 2; return count += 20; }\n"
		    "int a(void) { static int count = 1; return count++; }\n"
		    "int c(void) { static int count = 3; return count += 3; }");
	assert_state(&f, "a", KC_DIFF_SAME, false);
	assert_state(&f, "b", KC_DIFF_CHANGED, true);
	assert_state(&f, "c", KC_DIFF_SAME, false);
	assert_state(&f, "z", KC_DIFF_NEW, true);
	for (size_t i = 0; i < f.diff->n_items; i++) {
		const struct kc_diff_item *variable = &f.diff->items[i];

		if (!variable->scope || strncmp(variable->symbol->name, "count.", 6) != 0)
			continue;
		if (strcmp(variable->scope, "z") == 0) {
			assert_null(variable->twin);
			assert_true(variable->clone);
		} else {
			assert_non_null(variable->twin);
			assert_string_equal(variable->twin->scope, variable->scope);
			assert_false(variable->clone);
		}
	}
}

static void doubtful_static_locals_are_refused(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	must_refuse(&f, "int a(int x) { if (x) { static int n; return n++; } return 0; }",
		    "int a(int x) { if (x > 3) { static int n; return n += 7; } if (x) { static int n; return n++; } "
		    "return 0; }",
		    "data-changed", "nothing tells which is which");
}

static void function_names_do_not_count(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "void die(const char *); void f(int x) { if (x) die(__func__); } void g(int x) { if (!x) "
		    "die(__func__); }",
		    "void die(const char *); void e(int x) { if (x > 1) die(__func__); }\n"
		    "void f(int x) { if (x) die(__func__); } void g(int x) { if (!x) die(__func__); }");
	assert_state(&f, "f", KC_DIFF_SAME, false);
	assert_state(&f, "g", KC_DIFF_SAME, false);
	assert_state(&f, "e", KC_DIFF_NEW, true);
}

/* ---- jump tables ------------------------------------------------------------------------------------------------- */

#define SWITCH(second)                                                                                              \
	"int a(int), b(int), c(int), d(int), e(int);\n"                                                             \
	"int f(int k, int x) { switch (k) { case 0: return a(x) + 1; case 1: return b(x) + 2; case 2: return c(x);" \
	" case 3: return d(x) * 5; case 4: return e(x); case " second ": return a(x) - 3; } return 0; }"

static void jump_table_changed(void **state)
{
	autofixture f = { .flags = { "-fPIC" } };

	(void)state;
	must_differ(&f, SWITCH("5"), SWITCH("6"));
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_true(item(&f, ".rodata.f")->clone);
	assert_true(item(&f, ".rodata.f")->is_literal);
	assert_false(item(&f, "f")->address_taken);
}

/* The same code, the same number of cases, another order of the entries. */
static void only_the_jump_table_changed(void **state)
{
	static const char source[] =
		"int a(int), b(int), c(int), d(int), e(int), g(int);\n"
		"int f(int k, int x) { switch (k) { case %c: return a(x) + 1; case %c: return b(x) + 2;"
		" case 2: return c(x); case 3: return d(x) * 5; case 4: return e(x); case 5: return g(x) - 3; } return "
		"0; }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture pic = { .flags = { "-fPIC" } }, fixed = { .flags = { "-fno-pie" } };

	(void)state;
	kc_buf_printf(&orig, source, '0', '1');
	kc_buf_printf(&patched, source, '1', '0');
	must_differ(&pic, orig.data, patched.data);
	assert_state(&pic, "f", KC_DIFF_CHANGED, true);
	must_differ(&fixed, orig.data, patched.data);
	assert_state(&fixed, "f", KC_DIFF_CHANGED, true);
}

static void jump_table_unchanged(void **state)
{
	autofixture f = { .flags = { "-fPIC" } };

	(void)state;
	must_differ(&f, SWITCH("5"), "int added(int x) { return x; }\n" SWITCH("5"));
	assert_state(&f, "f", KC_DIFF_SAME, false);
	assert_false(item(&f, ".rodata.f")->clone);
}

/* ---- what gcc makes of a function -------------------------------------------------------------------------------- */

static void cold_part_belongs_to_its_function(void **state)
{
	static const char source[] =
		"int abort_it(int) __attribute__((cold)); void log_it(int, const char *) __attribute__((cold));\n"
		"int f(int x, int *p) { if (x < 0) { log_it(x, \"%s\"); *p = abort_it(x) + 1; log_it(*p, \"b\"); }"
		" return x * %d; }\nint g(int x, int *p) { if (x < 0) { log_it(x, \"g\"); *p = abort_it(x); } return "
		"x; }";
	kc_autobuf struct kc_buf orig = { 0 }, hot = { 0 }, cold = { 0 };
	autofixture f = { 0 }, h = { 0 };

	(void)state;
	kc_buf_printf(&orig, source, "a", 3);
	kc_buf_printf(&hot, source, "a", 5);
	kc_buf_printf(&cold, source, "c", 3);
	must_differ(&f, orig.data, hot.data);
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "f.cold", KC_DIFF_CHANGED, true);
	assert_true(item(&f, "f.cold")->is_fragment);
	assert_ptr_equal(item(&f, "f.cold")->parent, item(&f, "f"));
	assert_ptr_equal(item(&f, "f.cold")->twin->parent, item(&f, "f")->twin);
	assert_state(&f, "g.cold", KC_DIFF_SAME, false);
	assert_int_equal(f.diff->n_changed_functions, 1);
	must_differ(&h, orig.data, cold.data);
	assert_state(&h, "f", KC_DIFF_CHANGED, true);
	assert_state(&h, "f.cold", KC_DIFF_CHANGED, true);
}

static void clones_of_functions_find_their_twins(void **state)
{
	static const char source[] =
		"struct s { int a, b; }; int out(int, int); int sum(struct s *);\n"
		"static __attribute__((noinline)) int spec(int mode, int x) { if (mode == 4) return out(x, 4); out(x, "
		"%d);"
		" return out(mode, x) / 3; }\n"
		"static __attribute__((noinline)) int by_ref(struct s *s, int y) { return out(s->a, y) + %d; }\n"
		"int u(int x) { return spec(2, x) + spec(2, x + 1); }\n"
		"int v(struct s *s) { return by_ref(s, s->b) + by_ref(s, 1); }\n"
		"int w(int x) { struct s s = { x, x }; return sum(&s); }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture f = { 0 };

	(void)state;
	kc_buf_printf(&orig, source, 1, 5);
	kc_buf_printf(&patched, source, 11, 55);
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "spec.constprop.", KC_DIFF_CHANGED, true);
	assert_non_null(item(&f, "spec.constprop.")->twin);
	assert_state(&f, "by_ref.isra.", KC_DIFF_CHANGED, true);
	assert_non_null(item(&f, "by_ref.isra.")->twin);
	assert_false(item(&f, "by_ref.isra.")->is_fragment);
	assert_state(&f, "u", KC_DIFF_SAME, false);
	assert_state(&f, "v", KC_DIFF_SAME, false);
	assert_state(&f, "w", KC_DIFF_SAME, false);
}

static void split_off_part_finds_its_twin(void **state)
{
	static const char source[] =
		"int slow(int, int); int more(int); \n"
		"static int get(int *p) { if (*p) return 1; int x = slow(*p, %d); for (int i = 0; i < x; i++) more(i);"
		" more(x); more(x + 1); more(x + 2); return slow(2, x); }\n"
		"int f(int *p) { return get(p) + 1; } int g(int *p) { return get(p) + 2; } int h(int *p) { return "
		"get(p) - 3; }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture f = { 0 };

	(void)state;
	kc_buf_printf(&orig, source, 1);
	kc_buf_printf(&patched, source, 7);
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "get.part.", KC_DIFF_CHANGED, true);
	assert_state(&f, "f", KC_DIFF_SAME, false);
	assert_state(&f, "g", KC_DIFF_SAME, false);
}

/* ---- C++ --------------------------------------------------------------------------------------------------------- */

#define CXX_CLASSES                                                    \
	"#include <stdexcept>\n#include <string>\n#include <vector>\n" \
	"struct Base { virtual ~Base() {} virtual int run(int x) = 0; }; struct Other { int code; };\n"

static void cxx_function_that_throws(void **state)
{
	static const char source[] = CXX_CLASSES
		"struct Derived : Base { std::vector<int> v; int run(int x) override; };\n"
		"int Derived::run(int x) { if (x < %d) throw std::runtime_error(\"bad\"); v.push_back(x); return x; }\n"
		"Base *make() { return new Derived; }\n"
		"int guard(Base *b, int x) { try { return b->run(x); } catch (std::exception &e) { return -1; } }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	/* else gcc inlines run() into guard() behind a comparison */
	autofixture f = { .compiler = "g++", .flags = { "-fPIC", "-fno-devirtualize" } };

	(void)state;
	kc_buf_printf(&orig, source, 0);
	kc_buf_printf(&patched, source, 1);
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "_ZN7Derived3runEi", KC_DIFF_CHANGED, true);
	assert_non_null(item(&f, "_ZN7Derived3runEi")->lsda);
	assert_true(item(&f, "_ZN7Derived3runEi")->lsda->clone);
	assert_state(&f, "_Z5guardP4Basei", KC_DIFF_SAME, false);
	assert_state(&f, "_Z4makev", KC_DIFF_SAME, false);
	assert_state(&f, "_ZTV7Derived", KC_DIFF_SAME, false);
	assert_state(&f, "_ZTI7Derived", KC_DIFF_SAME, false);
	assert_int_equal(f.diff->n_changed_functions, item(&f, "_ZN7Derived3runEi.cold")->clone ? 1 : 0);
}

/* The handler's type is in the exception table only; the code stays. */
static void cxx_only_the_caught_type_changed(void **state)
{
	static const char source[] = "struct A { int x; }; struct B { int x; }; int run(int);\n"
				     "int f(int x) { try { return run(x); } catch (%s &) { return -1; } }\n"
				     "int g(int x) { try { return run(x); } catch (A &) { return -2; } }\n"
				     "int h(int x) { try { return run(x); } catch (B &) { return -3; } }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture f = { .compiler = "g++", .flags = { "-fPIC" } };

	(void)state;
	kc_buf_printf(&orig, source, "A");
	kc_buf_printf(&patched, source, "B");
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "_Z1fi", KC_DIFF_CHANGED, true);
	assert_state(&f, "_Z1gi", KC_DIFF_SAME, false);
	assert_state(&f, "_Z1hi", KC_DIFF_SAME, false);
	assert_true(item(&f, "_Z1fi")->lsda->clone);
	assert_true(item(&f, "DW.ref._ZTI1B")->clone);
}

static void cxx_template_instance(void **state)
{
	static const char source[] = "template <class T> __attribute__((noinline)) T scale(T x) { return x * %d; }\n"
				     "int f(int x) { return scale(x); } %s";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture f = { .compiler = "g++" };

	(void)state;
	kc_buf_printf(&orig, source, 3, "");
	kc_buf_printf(&patched, source, 3, "long g(long x) { return scale(x); }");
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "_Z5scaleIiET_S0_", KC_DIFF_SAME, false);
	assert_state(&f, "_Z5scaleIlET_S0_", KC_DIFF_NEW, true);
	assert_state(&f, "_Z1gl", KC_DIFF_NEW, true);
}

static void cxx_new_virtual_function_is_refused(void **state)
{
	struct fixture f = { .compiler = "g++", .flags = { "-fPIC" } };

	(void)state;
	must_refuse(&f, "struct A { virtual int a(); }; int A::a() { return 1; }",
		    "struct A { virtual int a(); virtual int b(); }; int A::a() { return 1; } int A::b() { return 2; }",
		    "data-changed", "_ZTV1A: its size differs");
}

/* The compiler calls them _ZZ1fiE1n and _ZZ1fiE1n_0, by their order. */
static void cxx_static_locals(void **state)
{
	struct fixture doubtful = { .compiler = "g++" };
	autofixture f = { .compiler = "g++" };

	(void)state;
	must_refuse(&doubtful, "int f(int x) { if (x) { static int n; return n++; } return 0; }",
		    "int f(int x) { if (x > 3) { static int n; return n += 7; } if (x) { static int n; return n++; } "
		    "return 0; }",
		    "data-changed", "nothing tells which is which");
	must_differ(&f,
		    "int f(int x) { static int n, n_0; if (x) { static int n = 4; return n++ + ++n_0; } return n++; }",
		    "int f(int x) { static int n, n_0, n_1; if (x) { static int n = 4; return n++ + ++n_0; } return "
		    "n++ + n_1++; }");
	assert_string_equal(item(&f, "_ZZ1fiE1n")->twin->symbol->name, "_ZZ1fiE1n");
	assert_string_equal(item(&f, "_ZZ1fiE1n_0")->twin->symbol->name, "_ZZ1fiE1n_0");
	assert_string_equal(item(&f, "_ZZ1fiE3n_0")->twin->symbol->name, "_ZZ1fiE3n_0");
	assert_state(&f, "_ZZ1fiE3n_1", KC_DIFF_NEW, true);
}

static void cxx_new_shared_variable_is_refused(void **state)
{
	static const char source[] = "struct S { S(); int n; }; inline int &shared() { static int n; return n; } int "
				     "f(int x) { return x %s; }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	struct fixture f = { .compiler = "g++" };

	(void)state;
	kc_buf_printf(&orig, source, "* 2");
	kc_buf_printf(&patched, source, "+ shared()++");
	must_refuse(&f, orig.data, patched.data, "data-changed", "_ZZ6sharedvE1n: a variable of an inline function");
}

/* Its constructor function is named after the first thing in the file. */
static void cxx_initialiser_with_another_name(void **state)
{
	autofixture f = { .compiler = "g++" };

	(void)state;
	must_differ(&f, "int make(); int value = make(); int f(int x) { return value + x; }",
		    "int make(); int added; int value = make(); int f(int x) { added++; return value + x * 2; }");
	assert_state(&f, "_Z1fi", KC_DIFF_CHANGED, true);
}

/* ---- __LINE__ ---------------------------------------------------------------------------------------------------- */

#define LINE_USER                                                                                           \
	"void die(const char *, int, const char *);\nvoid f(int x)\n{\n\tif (x)\n\t\tdie(\"a\", __LINE__, " \
	"\"b\");\n}\n"

static void moved_lines_do_not_count(void **state)
{
	autofixture f = { 0 }, g = { 0 };

	(void)state;
	must_differ(&f, "int g(int x) { return x; }\n" LINE_USER, "int g(int x)\n{\n\treturn x + 1;\n}\n" LINE_USER);
	assert_state(&f, "f", KC_DIFF_SAME, false);
	assert_state(&f, "g", KC_DIFF_CHANGED, true);
	must_be_same(&g, LINE_USER, "\n\n\n" LINE_USER);
}

/* The seventh argument goes over the stack, as a pushed immediate. */
static void moved_line_on_the_stack(void **state)
{
	static const char source[] = "void die(int, int, int, int, int, int, int);\n%svoid f(int x)\n{\n\tif (x)\n"
				     "\t\tdie(1, 2, 3, 4, 5, 6, __LINE__);\n\tdie(x, x, x, x, x, x, x);\n}\n";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 }, lines = { 0 };
	autofixture f = { 0 };

	(void)state;
	for (int i = 0; i < 200; i++)
		kc_buf_append_str(&lines, "\n");
	kc_buf_printf(&orig, source, lines.data);
	kc_buf_append_str(&lines, "\n\n");
	kc_buf_printf(&patched, source, lines.data);
	must_be_same(&f, orig.data, patched.data);
}

static void a_constant_is_not_a_line(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "void die(int);\nvoid f(int x)\n{\n\tif (x)\n\t\tdie(100);\n}\n",
		    "\n\nvoid die(int);\nvoid f(int x)\n{\n\tif (x)\n\t\tdie(102);\n}\n");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
}

/* ---- constants --------------------------------------------------------------------------------------------------- */

static void changed_constant_is_cloned_for_its_users(void **state)
{
	static const char source[] =
		"static const int table[64] = { 1, 2, 3, %d }; static const int same[64] = { 7, 8 };\n"
		"int f(int i) { return table[i]; } int g(int i) { return same[i]; } int h(int i) { return table[i + "
		"1]; }";
	kc_autobuf struct kc_buf orig = { 0 }, patched = { 0 };
	autofixture f = { .flags = { "-fPIC" } };

	(void)state;
	kc_buf_printf(&orig, source, 4);
	kc_buf_printf(&patched, source, 5);
	must_differ(&f, orig.data, patched.data);
	assert_state(&f, "table", KC_DIFF_CHANGED, true);
	assert_state(&f, "same", KC_DIFF_SAME, false);
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "h", KC_DIFF_CHANGED, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void changed_data_is_refused(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	must_refuse(&f, "int limit = 10; int f(int x) { return x < limit; }",
		    "int limit = 20; int f(int x) { return x < limit; }", "data-changed", "limit: its content differs");
	must_refuse(&f, "static int limits[2]; int f(int x) { return limits[x]++; }",
		    "static int limits[3]; int f(int x) { return limits[x]++; }", "data-changed",
		    "limits: its size differs");
	must_refuse(&f, "const int limit[] = { 1, 2 }; int f(int x) { return limit[x]; }",
		    "const int limit[] = { 1, 3 }; int f(int x) { return limit[x]; }", "data-changed", "limit: ");
	must_refuse(&f, "const char *name = \"old\"; const char *f(void) { return name; }",
		    "const char *name = \"new\"; const char *f(void) { return name; }", "data-changed",
		    "name: its pointers differ");
	must_refuse(&f, "static const int t[2] = { 1, 2 }; const int *p = t; int f(int x) { return p[x]; }",
		    "static const int t[2] = { 1, 3 }; const int *p = t; int f(int x) { return p[x]; }", "data-changed",
		    "the data object p points to it");
	must_refuse(&f, "int f(int x) { return x; }",
		    "static int entry __attribute__((section(\"registry\"), used)) = 3; int f(int x) { return x + 1; }",
		    "data-changed", "a new entry of the table registry");
}

static void changed_layout_is_refused(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	must_refuse(&f, "struct s { int a; char c; }; int f(struct s *s) { return s->a; }",
		    "struct s { int a; int b; char c; }; int f(struct s *s) { return s->a + s->b; }", "struct-layout",
		    "struct s: member b is where c was, its size changed from 8 to 12 bytes");
	must_refuse(&f, "typedef struct { int a; char c; } s_t; int f(s_t *s) { return s->a; }",
		    "typedef struct { int a; char c; char d; } s_t; int f(s_t *s) { return s->a + s->d; }",
		    "struct-layout", "s_t: member d is new");
	must_refuse(
		&f,
		"struct s { struct { int x; union { int y; long z; }; } in; }; long f(struct s *s) { return s->in.y; }",
		"struct s { struct { int x; union { int y; short z; }; } in; }; long f(struct s *s) { return s->in.y + "
		"1; }",
		"struct-layout", "struct s: member in was");
	must_refuse(&f, "struct s { unsigned a : 3, b : 4; }; int f(struct s *s) { return s->b; }",
		    "struct s { unsigned a : 4, b : 4; }; int f(struct s *s) { return s->b; }", "struct-layout",
		    "struct s: member a was");
	must_refuse(&f, "enum e { A, B, C }; int f(enum e e) { return e == C; }",
		    "enum e { A, N, B, C }; int f(enum e e) { return e == C; }", "struct-layout",
		    "enum e: member B was");
	f.compiler = "g++";
	must_refuse(&f, "namespace n { class c { int a; public: long get(); }; long c::get() { return a; } }",
		    "namespace n { class c { long a; public: long get(); }; long c::get() { return a; } }",
		    "struct-layout", "struct n::c: member a was");
}

static void harmless_type_changes_are_accepted(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "enum e { A, B }; struct s { const int a; struct s *next; }; int f(struct s *s, enum e e) { return "
		    "s->a + e; }",
		    "enum e { A, B, C }; struct t { int x; }; typedef int mine; struct s { mine a; struct s *next; };\n"
		    "int f(struct s *s, enum e e) { struct t t = { s->a }; return e == C ? 0 : t.x + e * 2; }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
}

static void object_without_debug_information_is_refused(void **state)
{
	struct fixture f = { .flags = { "-g0" } };

	(void)state;
	must_refuse(&f, "int f(int x) { return x; }", "int f(int x) { return x + 1; }", "struct-layout",
		    "compile with -g");
}

static bool is_api(void *data, const char *name)
{
	(void)data;
	return strncmp(name, "api_", 4) == 0;
}

static void changed_abi_of_an_exported_function_is_refused(void **state)
{
	struct fixture f = { .options.is_exported = is_api };
	autofixture hidden = { .options.is_exported = is_api };

	(void)state;
	must_refuse(&f, "struct s; int api_f(struct s *s, int x) { return s ? x : 0; }",
		    "struct s; int api_f(struct s *s, long x) { return s ? x : 0; }", "function-abi",
		    "api_f() was \"int (struct s *, int)\", is \"int (struct s *, long int)\"");
	must_refuse(&f, "void api_f(int *x) { *x = 1; }", "int api_f(int *x) { *x = 1; return 2; }", "function-abi",
		    "api_f");
	must_differ(&hidden, "int f(int x) { return x; }", "int f(int x, int y) { return x + y; }");
}

static void constructors_are_refused(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	must_refuse(&f,
		    "int n; __attribute__((constructor)) static void init(void) { n = 1; } int f(void) { return n; }",
		    "int n; __attribute__((constructor)) static void init(void) { n = 2; } int f(void) { return n; }",
		    "constructor", "init: the constructor or destructor changed");
	must_refuse(
		&f, "int n; int f(void) { return n; }",
		"int n; __attribute__((constructor)) static void init(void) { n = 2; } int f(void) { return n + 1; }",
		"constructor", "added or changed");
	must_refuse(&f,
		    "int n; __attribute__((destructor)) static void fini(void) { n = 2; } int f(void) { return n; }",
		    "int n; int f(void) { return n + 1; }", "constructor", "removed");
	f.compiler = "g++";
	must_refuse(&f, "int make(); int value = make(); int f() { return value; }",
		    "int make(); int value = make() + 1; int f() { return value; }", "constructor",
		    "_GLOBAL__sub_I_value");
}

static void short_function_is_refused(void **state)
{
	struct fixture f = { .flags = { "-fcf-protection=none" } };
	autofixture exact = { .flags = { "-fcf-protection" } };

	(void)state;
	must_refuse(&f, "void f(void) { }", "int n; void f(void) { n = 1; }", "short-function",
		    "f: the original has 1 bytes, the jump to its replacement needs 5");
	/* endbr64; ret: five bytes; the jump takes the place of the endbr64 */
	must_differ(&exact, "void f(void) { }", "int n; void f(void) { n = 1; }");
	assert_int_equal(item(&exact, "f")->twin->jump_offset, 0);
}

#define LOOP(start, step)                                                                                    \
	"int n; asm(\".section .text.f,\\\"ax\\\"; .globl f; .type f,@function; f: " start "; 1: add $" step \
	",%eax; dec %rdi; jne 1b; ret; .size f, .-f; .previous\");"

static void jump_into_the_entry_is_refused(void **state)
{
	struct fixture f = { 0 };
	autofixture later = { 0 }, first = { 0 };

	(void)state;
	must_refuse(&f, LOOP("xor %eax,%eax", "1"), LOOP("xor %eax,%eax", "2"), "entry-jump",
		    "f: the original jumps back into its first 5 bytes");
	must_refuse(&f, LOOP("endbr64; xor %eax,%eax", "1"), LOOP("endbr64; xor %eax,%eax", "2"), "entry-jump",
		    "its first 9 bytes");
	must_differ(&later, LOOP("mov $0,%eax", "1"), LOOP("mov $0,%eax", "2"));
	must_differ(&first, LOOP("endbr64", "1"), LOOP("endbr64", "2"));
	assert_int_equal(item(&first, "f")->twin->jump_offset, 4);
}

static void second_entry_is_refused(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	must_refuse(&f,
		    "int n; asm(\".section .text.f,\\\"ax\\\"; .globl f, g; .type f,@function; .type g,@function;"
		    "f: mov $1,%eax; g: add $2,%eax; ret; .size f,.-f; .size g,.-g; .previous\");",
		    "int n; asm(\".section .text.f,\\\"ax\\\"; .globl f, g; .type f,@function; .type g,@function;"
		    "f: mov $1,%eax; g: add $3,%eax; ret; .size f,.-f; .size g,.-g; .previous\");",
		    "entry-jump", "f has a second entry, g");
}

#define TABLE_IN_TEXT(value, returned)                                                                              \
	"int n; asm(\".section .text.f,\\\"ax\\\"; .long " value "; .globl f; .type f,@function; f: mov $" returned \
	",%eax; ret; .size f,.-f; .p2align 4; .previous\");"

static void constants_between_functions_are_refused(void **state)
{
	struct fixture f = { 0 };
	autofixture same = { 0 };

	(void)state;
	must_refuse(&f, TABLE_IN_TEXT("12345", "1"), TABLE_IN_TEXT("12346", "1"), "data-changed",
		    ".text.f: code or constants that no symbol describes");
	must_differ(&same, TABLE_IN_TEXT("12345", "1"), TABLE_IN_TEXT("12345", "2"));
	assert_state(&same, "f", KC_DIFF_CHANGED, true);
}

static void lto_objects_are_refused(void **state)
{
	struct fixture f = { .flags = { "-flto", "-ffat-lto-objects" } };

	(void)state;
	must_refuse(&f, "int f(int x) { return x; }", "int f(int x) { return x + 1; }", "lto",
		    "orig.o holds link-time optimisation code");
}

static void new_thread_local_variable_is_refused(void **state)
{
	struct fixture f = { .flags = { "-fPIC" } };
	autofixture old = { .flags = { "-fPIC" } };

	(void)state;
	must_refuse(&f, "int f(int x) { return x; }", "static __thread int t; int f(int x) { return x + t++; }",
		    "tls-new", "t: a thread-local variable");
	must_refuse(&f, "__thread int t = 1; int f(int x) { return x + t; }",
		    "__thread int t = 2; int f(int x) { return x + t; }", "tls-new", "t: a thread-local variable");
	must_differ(&old, "static __thread int a, t; int f(int x) { return x + t++; } int g(void) { return a++; }",
		    "static __thread int a, t; int f(int x) { return x - t++; } int g(void) { return a++; }");
	assert_state(&old, "t", KC_DIFF_SAME, false);
	assert_state(&old, "g", KC_DIFF_SAME, false);
}

static void changed_resolver_is_refused(void **state)
{
	static const char source[] =
		"static int a(int x) { return x + %d; } static int b(int x) { return x; } extern int which;\n"
		"static int (*choose(void))(int) { return which > %d ? a : b; }\n"
		"int f(int) __attribute__((ifunc(\"choose\")));";
	kc_autobuf struct kc_buf orig = { 0 }, resolver = { 0 }, chosen = { 0 };
	struct fixture f = { 0 };
	autofixture accepted = { 0 };

	(void)state;
	kc_buf_printf(&orig, source, 1, 0);
	kc_buf_printf(&resolver, source, 1, 5);
	kc_buf_printf(&chosen, source, 3, 0);
	must_refuse(&f, orig.data, resolver.data, "ifunc-changed", "f: the resolver");
	must_differ(&accepted, orig.data, chosen.data);
	assert_state(&accepted, "a", KC_DIFF_CHANGED, true);
	assert_state(&accepted, "f", KC_DIFF_SAME, false);
}

static void relocations_lead_to_items(void **state)
{
	autofixture f = { .flags = { "-fPIC" } };
	const struct kc_diff_item *function;
	bool string = false, variable = false, import = false;

	(void)state;
	must_differ(&f,
		    "int put(const char *, int); static int n[4]; int get(int i) { return n[i]; } int f(int x) { n[2] "
		    "= x; return 0; }",
		    "int put(const char *, int); static int n[4]; int get(int i) { return n[i]; } int f(int x) { n[2] "
		    "= 7; n[3] = x; return "
		    "put(\"abc\", x); }");
	function = item(&f, "f");
	for (size_t i = 0; i < function->n_refs; i++) {
		const struct kc_diff_ref *ref = &function->refs[i];

		string |= ref->item && ref->item->is_literal && ref->offset == 0 && !ref->is_branch;
		variable |= ref->item && ref->item == find(&f, "n") && ref->offset == 8;
		import |=
			!ref->item && strcmp(ref->rela->symbol->name, "put") == 0 && ref->is_branch && ref->offset == 0;
		if (ref->item)
			assert_ptr_equal(kc_diff_item_at(f.diff, ref->rela->symbol, ref->rela->addend), ref->item);
	}
	assert_true(string);
	assert_true(variable);
	assert_true(import);
}

static void misspelt_rules_are_not_allowed(void **state)
{
	const char *const good[] = { "data-changed", "lto", "ifunc-changed", NULL };
	const char *const bad[] = { "", "data", "changed", "data-changed,", "lto ", ", ", NULL };

	(void)state;
	assert_null(kc_diff_check_allowed(NULL));
	assert_null(kc_diff_check_allowed(good));
	for (size_t i = 0; bad[i]; i++) {
		const char *const one[] = { "lto", bad[i], NULL };
		kc_autoerror struct kc_error *err = kc_diff_check_allowed(one);

		assert_non_null(err);
		assert_int_equal(kc_error_code(err), KC_ERR_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misspelt_rules_are_not_allowed),
		cmocka_unit_test(equal_sources_do_not_change),
		cmocka_unit_test(changed_function_is_cloned_with_its_literals_only),
		cmocka_unit_test(only_a_string_changed),
		cmocka_unit_test(moved_string_does_not_count),
		cmocka_unit_test(changed_floating_point_constant),
		cmocka_unit_test(new_functions_and_variables_are_cloned_when_reached),
		cmocka_unit_test(address_of_a_new_function_is_noticed),
		cmocka_unit_test(inlined_callee_changes_its_callers),
		cmocka_unit_test(common_variables),
		cmocka_unit_test(static_may_come_and_go),
		cmocka_unit_test(static_locals_keep_their_twins_when_numbers_move),
		cmocka_unit_test(doubtful_static_locals_are_refused),
		cmocka_unit_test(function_names_do_not_count),
		cmocka_unit_test(jump_table_changed),
		cmocka_unit_test(only_the_jump_table_changed),
		cmocka_unit_test(jump_table_unchanged),
		cmocka_unit_test(cold_part_belongs_to_its_function),
		cmocka_unit_test(clones_of_functions_find_their_twins),
		cmocka_unit_test(split_off_part_finds_its_twin),
		cmocka_unit_test(cxx_function_that_throws),
		cmocka_unit_test(cxx_only_the_caught_type_changed),
		cmocka_unit_test(cxx_template_instance),
		cmocka_unit_test(cxx_new_virtual_function_is_refused),
		cmocka_unit_test(cxx_static_locals),
		cmocka_unit_test(cxx_new_shared_variable_is_refused),
		cmocka_unit_test(cxx_initialiser_with_another_name),
		cmocka_unit_test(moved_lines_do_not_count),
		cmocka_unit_test(moved_line_on_the_stack),
		cmocka_unit_test(a_constant_is_not_a_line),
		cmocka_unit_test(changed_constant_is_cloned_for_its_users),
		cmocka_unit_test(changed_data_is_refused),
		cmocka_unit_test(changed_layout_is_refused),
		cmocka_unit_test(harmless_type_changes_are_accepted),
		cmocka_unit_test(object_without_debug_information_is_refused),
		cmocka_unit_test(changed_abi_of_an_exported_function_is_refused),
		cmocka_unit_test(constructors_are_refused),
		cmocka_unit_test(short_function_is_refused),
		cmocka_unit_test(jump_into_the_entry_is_refused),
		cmocka_unit_test(second_entry_is_refused),
		cmocka_unit_test(constants_between_functions_are_refused),
		cmocka_unit_test(lto_objects_are_refused),
		cmocka_unit_test(new_thread_local_variable_is_refused),
		cmocka_unit_test(changed_resolver_is_refused),
		cmocka_unit_test(relocations_lead_to_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
