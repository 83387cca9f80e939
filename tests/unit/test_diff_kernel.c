/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The differ with the kernel's tables and rules, on small sources that annotate code as kernel headers do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/kernel/kernel_tables.h"
#include "workshop.h"

/* What a kernel header is to its sources; the formats are those of 6.1. */
static const char header[] =
	"#define notrace __attribute__((no_instrument_function))\n"
	"#define in(name) __attribute__((section(name)))\n"
	"#define used __attribute__((used))\n"
	"#define noinline __attribute__((noinline, noipa))\n"
	"#define ALTERNATIVE(old, new, feature) asm volatile(\"661: \" old \"\\n662:\\n\" \\\n"
	"  \".pushsection .altinstructions,\\\"a\\\"\\n.long 661b-.\\n.long 663f-.\\n.word \" #feature \"\\n\" \\\n"
	"  \".byte 662b-661b\\n.byte 664f-663f\\n.popsection\\n\" \\\n"
	"  \".pushsection .altinstr_replacement,\\\"ax\\\"\\n663: \" new \"\\n664:\\n.popsection\" ::: \"eax\", "
	"\"cc\")\n"
	"#define AUX_BRANCH(var) ({ __label__ yes_, no_, end_; int r_; asm goto(\"jmp 6f\\n\" \\\n"
	"  \".pushsection .altinstr_aux,\\\"ax\\\"\\n6: testb $1, \" #var \"\\njnz %l[yes_]\\njmp "
	"%l[no_]\\n.popsection\" \\\n"
	"  :::: yes_, no_); no_: r_ = 0; goto end_; yes_: r_ = 1; end_: r_; })\n"
	"#define WARN(flags) asm volatile(\"1: ud2\\n.pushsection __bug_table,\\\"aw\\\"\\n.long 1b-.\\n.long 0\\n\" "
	"\\\n"
	"  \".word %c0\\n.word %c1\\n.popsection\" :: \"i\" (__LINE__), \"i\" (flags))\n"
	"#define GET_USER(to, from, type) asm volatile(\"1: mov (%1), %0\\n2:\\n.pushsection __ex_table,\\\"a\\\"\\n\" "
	"\\\n"
	"  \".balign 4\\n.long 1b-.\\n.long 2b-.\\n.long \" #type \"\\n.popsection\" : \"=r\" (to) : \"r\" (from))\n"
	"struct static_key { long enabled; };\n"
	"static inline __attribute__((always_inline)) int branch(struct static_key *const key) {\n"
	"  asm goto(\"1: jmp %l[yes]\\n.pushsection __jump_table,\\\"aw\\\"\\n.balign 8\\n.long 1b-.\\n\"\n"
	"  \".long %l[yes]-.\\n.quad %c0+2-.\\n.popsection\" :: \"i\" (key) :: yes);\n"
	"  return 0; yes: return 1; }\n"
	"#define BRANCH(key) branch(&key)\n"
	"struct _ddebug { const char *mod, *function, *file, *format; unsigned line : 18, id : 6, flags : 8;\n"
	"  struct static_key key; };\n"
	"void dynamic_pr_debug(struct _ddebug *, const char *);\n"
	"#define pr_debug(text) do { static struct _ddebug in(\"__dyndbg\") descriptor = \\\n"
	"  { \"m\", __func__, __FILE__, text, __LINE__ }; \\\n"
	"  if (BRANCH(descriptor.key)) dynamic_pr_debug(&descriptor, text); } while (0)\n"
	"void printk(const char *, ...);\n"
	"#define printk_once(text) do { static _Bool in(\".data.once\") __already_done; \\\n"
	"  if (!__already_done) { __already_done = 1; printk(text); } } while (0)\n"
	"void __might_sleep(const char *, int);\n"
	"#define might_sleep() __might_sleep(__FILE__, __LINE__)\n"
	"#define EXPORT_SYMBOL(name) asm(\".section \\\"___ksymtab+\" #name \"\\\",\\\"a\\\"\\n.long \" #name \" - "
	".\\n\" \\\n"
	"  \".long 0\\n.previous\")\n"
	"#define initcall(fn) asm(\".section .initcall6.init,\\\"a\\\"\\n.long \" #fn \" - .\\n.previous\")\n";

/* One comparison; everything in it is freed by release(). */
struct fixture {
	struct kc_ctx *ctx;
	struct workshop shop;
	struct kc_kernel_layout layout;
	struct kc_kernel_diff target; /* is_module, is_in_image, allowed: set before compare() */
	const char *flags;	      /* more compiler flags; NULL: none */
	struct kc_diff *diff;
	struct kc_error *err;
	char warning[256]; /* the last one */
};

static void release(struct fixture *f)
{
	kc_diff_free(f->diff);
	kc_error_free(f->err);
	kc_ctx_free(f->ctx);
	workshop_close(&f->shop);
}

#define autofixture KC_CLEANUP(release) struct fixture

static void keep_warning(void *data, enum kc_log_level level, const char *message)
{
	struct fixture *f = data;

	if (level == KC_LOG_WARNING)
		snprintf(f->warning, sizeof(f->warning), "%s", message);
}

static struct kc_elf *compile(struct fixture *f, const char *name, const char *source)
{
	kc_autofree char *object = NULL;

	workshop_write(&f->shop, "foo.c", source);
	workshop_run(&f->shop,
		     "gcc -O2 -g -include kernel.h -fno-PIE -mcmodel=kernel -pg -mfentry -mrecord-mcount %s "
		     "-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-jump-tables "
		     "-fno-common -c -o %s.o foo.c",
		     f->flags ? f->flags : "-fcf-protection=none", name);
	assert_true(asprintf(&object, "%s.o", name) > 0);
	return workshop_elf(&f->shop, object);
}

static void compare(struct fixture *f, const char *orig, const char *patched)
{
	struct kc_diff_options options;
	struct kc_elf *elfs[2];

	f->ctx = kc_ctx_new();
	assert_non_null(f->ctx);
	kc_ctx_set_log(f->ctx, KC_LOG_WARNING, keep_warning, f);
	workshop_open(&f->shop);
	workshop_write(&f->shop, "kernel.h", header);
	elfs[0] = compile(f, "orig", orig);
	elfs[1] = compile(f, "patched", patched);
	f->layout = (struct kc_kernel_layout){ .alt_instr_size = 12,
					       .paravirt_site_size = 16,
					       .bug_entry_size = 12,
					       .bug_entry_line = 8,
					       .bug_entry_flags = 10,
					       .extable_size = 12,
					       .jump_entry_size = 16,
					       .jump_entry_target = 4,
					       .jump_entry_key = 8 };
	f->target.layout = &f->layout;
	f->target.orig = elfs[0];
	kc_kernel_diff_options(&f->target, &options);
	f->err = kc_diff_objects(f->ctx, elfs[0], elfs[1], &options, &f->diff);
}

static void must_differ(struct fixture *f, const char *orig, const char *patched)
{
	compare(f, orig, patched);
	if (f->err)
		fail_msg("%s", kc_error_message(f->err));
}

static void must_be_same(const struct fixture *setup, const char *orig, const char *patched)
{
	autofixture f = *setup;

	compare(&f, orig, patched);
	if (!f.err)
		fail_msg("there is a difference");
	if (kc_error_code(f.err) != KC_ERR_NO_CHANGE)
		fail_msg("%s", kc_error_message(f.err));
}

/* Refused by `rule` with `part` in the message, and not by that rule when it is allowed. */
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
	assert_null(kc_diff_check_allowed(allowed));
	accepted.target.allowed = allowed;
	compare(&accepted, orig, patched);
	if (accepted.err && kc_error_rule_name(accepted.err) && strcmp(kc_error_rule_name(accepted.err), rule) == 0)
		fail_msg("%s: refused although allowed: %s", rule, kc_error_message(accepted.err));
}

/* The item of the patched object with this name; one that ends in "." takes any number after it. */
static struct kc_diff_item *item(const struct fixture *f, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < f->diff->n_items; i++) {
		const char *other = kc_diff_item_name(&f->diff->items[i]);

		if (strcmp(other, name) == 0 || (name[length - 1] == '.' && strncmp(other, name, length) == 0))
			return &f->diff->items[i];
	}
	fail_msg("there is no item %s", name);
	return NULL;
}

static const struct kc_diff_entry *entry(const struct fixture *f, const char *function, const char *table)
{
	const struct kc_diff_entry *found = kc_diff_entry_find(item(f, function), table);

	if (!found)
		fail_msg("%s has no entry in %s", function, table);
	return found;
}

#define assert_state(f, name, wanted, cloned)                         \
	do {                                                          \
		assert_int_equal(item((f), (name))->state, (wanted)); \
		assert_int_equal(item((f), (name))->clone, (cloned)); \
	} while (0)

static const struct fixture image;

/* ---- tables -------------------------------------------------------------------------------------------------- */

#define ANNOTATED                                                                                 \
	"int flag; struct static_key key;\n"                                                      \
	"int alt(int x) { ALTERNATIVE(\"movl $1, %%eax\", \"movl $2, %%eax\", 77); return x; }\n" \
	"int empty(int x) { ALTERNATIVE(\"movl $1, %%eax\", \"\", 78); return x; }\n"             \
	"int aux(int x) { return AUX_BRANCH(flag) ? x : 3; }\n"                                   \
	"int warn(int x) { if (x > 3) WARN(1); might_sleep(); return x; }\n"                      \
	"int user(int *p) { int x; GET_USER(x, p, 3); return x; }\n"                              \
	"int label(int x) { return BRANCH(key) ? x : 7; }\n"                                      \
	"void debug(void) { pr_debug(\"one\"); pr_debug(\"two\"); }\n"                            \
	"void once(void) { printk_once(\"one\"); printk_once(\"two\"); }\n"

static void equal_sources_do_not_change(void **state)
{
	(void)state;
	must_be_same(&image, ANNOTATED, ANNOTATED);
}

static void moved_lines_do_not_count(void **state)
{
	(void)state;
	must_be_same(&image, ANNOTATED, "/* one\n * two\n * three */\n\n" ANNOTATED);
}

/* Its snippets come before the others', its line numbers and counters, too. */
static void annotations_of_another_function_do_not_count(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "int flag2; int new(int x) { return x; }\n" ANNOTATED,
		    "int flag2; int new(int x) { ALTERNATIVE(\"movl $5, %%eax\", \"movl $6, %%eax\", 70); WARN(2);\n"
		    "  printk_once(\"new\"); pr_debug(\"new\"); return AUX_BRANCH(flag2) ? x : 9; }\n" ANNOTATED);
	assert_int_equal(f.diff->n_changed_functions, 1);
	assert_int_equal(f.diff->n_new_functions, 0);
	assert_state(&f, "new", KC_DIFF_CHANGED, true);
	entry(&f, "new", "__bug_table");
	entry(&f, "new", "__mcount_loc");
	assert_state(&f, "alt", KC_DIFF_SAME, false);
}

static void changed_replacement_changes_its_function(void **state)
{
	const struct kc_diff_entry *alternative;
	const struct kc_diff_item *snippet;
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "void a(void); void b(void);\n"
		    "int g(void) { ALTERNATIVE(\"movl $1, %%eax\", \"movl $4, %%eax\", 8); return 1; }\n"
		    "int f(void) { ALTERNATIVE(\"call a\", \"call a\", 8); return 1; }\n",
		    "void a(void); void b(void);\n"
		    "int g(void) { ALTERNATIVE(\"movl $1, %%eax\", \"movl $4, %%eax\", 8); return 1; }\n"
		    "int f(void) { ALTERNATIVE(\"call a\", \"call b\", 8); return 1; }\n");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
	assert_string_equal(item(&f, "f")->reason, "what annotates its code differs");
	alternative = entry(&f, "f", ".altinstructions");
	assert_int_equal(alternative->n_refs, 2);
	assert_ptr_equal(alternative->refs[0].item, item(&f, "f"));
	snippet = alternative->refs[1].item;
	assert_true(snippet->is_snippet && snippet->clone);
	assert_int_equal(snippet->size, 5);
	assert_int_equal(snippet->n_refs, 1);
	assert_true(snippet->refs[0].is_branch);
	assert_string_equal(snippet->refs[0].rela->symbol->name, "b");
}

static void empty_replacement_refers_to_what_it_replaces(void **state)
{
	const struct kc_diff_entry *alternative;
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "int f(int x) { ALTERNATIVE(\"movl $1, %%eax\", \"\", 8); return x; }\n"
		    "int g(void) { ALTERNATIVE(\"movl $1, %%eax\", \"movl $4, %%eax\", 8); return 1; }\n",
		    "int f(int x) { ALTERNATIVE(\"movl $1, %%eax\", \"\", 8); return x + 1; }\n"
		    "int g(void) { ALTERNATIVE(\"movl $1, %%eax\", \"movl $4, %%eax\", 8); return 1; }\n");
	alternative = entry(&f, "f", ".altinstructions");
	assert_ptr_equal(alternative->refs[1].item, item(&f, "f"));
	assert_int_equal(alternative->refs[1].offset, alternative->refs[0].offset);
	assert_int_equal(f.diff->n_changed_functions, 1);
}

static void changed_fields_of_entries_count(void **state)
{
	autofixture feature = { 0 }, flags = { 0 }, type = { 0 };

	(void)state;
	must_differ(&feature, "int f(int x) { ALTERNATIVE(\"nop\", \"ret\", 8); return x; }",
		    "int f(int x) { ALTERNATIVE(\"nop\", \"ret\", 9); return x; }");
	must_differ(&flags, "int f(int x) { WARN(1); return x; }", "int f(int x) { WARN(2); return x; }");
	must_differ(&type, "int f(int *p) { int x; GET_USER(x, p, 3); return x; }",
		    "int f(int *p) { int x; GET_USER(x, p, 4); return x; }");
}

static void snippets_that_are_jumped_to_are_cloned(void **state)
{
	const struct kc_diff_item *snippet = NULL;
	autofixture f = { 0 };

	(void)state;
	must_differ(&f,
		    "int a, b; int g(int x) { return AUX_BRANCH(a) ? x : 3; }\n"
		    "int f(int x) { return AUX_BRANCH(b) ? x : 3; }",
		    "int a, b; int g(int x) { return AUX_BRANCH(a) ? x : 3; }\n"
		    "int f(int x) { return AUX_BRANCH(a) ? x : 3; }");
	assert_state(&f, "g", KC_DIFF_SAME, false);
	for (size_t i = 0; i < item(&f, "f")->n_refs; i++)
		if (item(&f, "f")->refs[i].item && item(&f, "f")->refs[i].item->is_snippet)
			snippet = item(&f, "f")->refs[i].item;
	assert_non_null(snippet);
	assert_true(snippet->clone);
	assert_string_equal(snippet->section->name, ".altinstr_aux");
	assert_true(snippet->offset > 0);
}

/* 6.12: endbr64, and padding in front of each function, which a table points to. */
static void padding_before_functions(void **state)
{
	const char *flags = "-fcf-protection=branch -fpatchable-function-entry=16,16";
	struct fixture setup = { .flags = flags };
	autofixture f = setup;

	(void)state;
	must_be_same(&setup, ANNOTATED, "\n\n" ANNOTATED);
	must_differ(&f, "int f(int x) { return x + 1; }", "int f(int x) { return x + 2; }");
	assert_int_equal(item(&f, "f")->offset, 16);
	assert_int_equal(entry(&f, "f", "__patchable_function_entries")->refs[0].offset, -16);
	assert_int_equal(entry(&f, "f", "__mcount_loc")->refs[0].offset, 4);
}

/* Functions in one section reach each other without relocations. */
static void distances_in_a_shared_section_do_not_count(void **state)
{
	static const char source[] = "static noinline in(\".sched.text\") int a(int x) { return x * %s; }\n"
				     "static noinline in(\".sched.text\") int b(int x) { return a(x) + 1; }\n"
				     "in(\".sched.text\") int c(int x) { return a(x) + b(x); }\n";
	char orig[512], patched[512];
	const struct kc_diff_item *b;
	bool found = false;
	autofixture f = { 0 };

	(void)state;
	snprintf(orig, sizeof(orig), source, "3");
	snprintf(patched, sizeof(patched), source, "(x > 7 ? x * x + 9 : 1234567)");
	must_differ(&f, orig, patched);
	assert_state(&f, "a", KC_DIFF_CHANGED, true);
	assert_state(&f, "b", KC_DIFF_SAME, false);
	assert_state(&f, "c", KC_DIFF_SAME, false);
	b = item(&f, "b");
	for (size_t i = 0; i < b->n_refs; i++) {
		const struct kc_diff_ref *ref = &b->refs[i];

		if (ref->item != item(&f, "a"))
			continue;
		found = true;
		assert_true(ref->is_branch);
		assert_int_equal(ref->offset, 0);
		assert_string_equal(ref->rela->symbol->name, "a");
		assert_int_equal(ref->rela->type, R_X86_64_PLT32);
		assert_int_equal(ref->rela->addend, -4);
	}
	assert_true(found);
}

static void short_jump_to_a_neighbour_is_refused(void **state)
{
	static const char source[] = "static noinline in(\".sched.text\") int a(int x) { return x * 3; }\n"
				     "in(\".sched.text\") int b(int x) { return a(x + %s); }\n";
	char orig[512], patched[512];

	(void)state;
	snprintf(orig, sizeof(orig), source, "1");
	snprintf(patched, sizeof(patched), source, "2");
	must_refuse(&image, orig, patched, "short-branch", "jumps to a");
}

/* ---- data ---------------------------------------------------------------------------------------------------- */

static void another_message_that_is_shown_once(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "void f(void) { printk_once(\"a\"); printk_once(\"b\"); } void g(void) { printk_once(\"c\"); }",
		    "void f(void) { printk_once(\"a\"); printk_once(\"x\"); printk_once(\"b\"); }\n"
		    "void g(void) { printk_once(\"c\"); }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
	assert_state(&f, "g", KC_DIFF_SAME, false);
}

static void descriptors_are_carried_along(void **state)
{
	const struct kc_diff_entry *label;
	autofixture f = { .target.is_module = true };

	(void)state;
	must_differ(&f, "void f(int x) { pr_debug(\"a\"); printk(\"x\", x); }",
		    "void f(int x) { pr_debug(\"a\"); pr_debug(\"b\"); printk(\"x\", x + 1); }");
	label = entry(&f, "f", "__jump_table");
	assert_int_equal(label->n_refs, 3);
	assert_string_equal(label->refs[2].item->section->name, "__dyndbg");
	assert_true(label->refs[2].item->clone);
	assert_true(label->refs[2].item->is_literal);
}

static void empty_variables_are_known_by_their_users(void **state)
{
	static const char source[] = "struct key {}; void init(struct key *);\n"
				     "%s void f(void) { static struct key __key; init(&__key); }";
	char orig[512], patched[512];

	(void)state;
	snprintf(orig, sizeof(orig), source, "");
	snprintf(patched, sizeof(patched), source, "static struct key unused_; struct key *p(void);");
	must_be_same(&image, orig, patched);
}

static void roots_are_cloned(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(&f, "int x; int f(void) { return x; }",
		    "int x; int f(void) { return x; } static int fix(void) { x = 3; return 0; }\n"
		    "static int (*callback)(void) used in(\".kcare.callbacks.pre_patch\") = fix;");
	assert_state(&f, "callback", KC_DIFF_NEW, true);
	assert_state(&f, "fix", KC_DIFF_NEW, true);
	assert_true(item(&f, "callback")->is_root);
	assert_state(&f, "f", KC_DIFF_SAME, false);
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

static void compared_table_of_functions_is_refused(void **state)
{
	(void)state;
	must_refuse(&image,
		    "void g(void); void h(void); static void (*const ops[])(void) = { g, g };"
		    "int is_ours(const void *p) { return p == ops; }",
		    "void g(void); void h(void); static void (*const ops[])(void) = { g, h };"
		    "int is_ours(const void *p) { return p == ops; }",
		    "data-changed", "is_ours");
}

static void code_of_the_start_is_refused(void **state)
{
	(void)state;
	must_refuse(&image, "in(\".init.text\") int f(int x) { return x; }",
		    "in(\".init.text\") int f(int x) { return x + 1; }", "init", ".init.text");
	must_refuse(&image, "in(\".exit.text\") notrace int f(int x) { return x; }",
		    "in(\".exit.text\") notrace int f(int x) { return x + 1; }", "init", ".exit.text");
	must_refuse(&image, "in(\".init.data\") int n = 1; int f(void) { return n; }",
		    "in(\".init.data\") int n = 2; int f(void) { return n; }", "init", ".init.data");
	must_refuse(&image, "int f(void) { return 1; }", "int f(void) { return 1; } initcall(f);", "initcall",
		    "initcall");
	must_refuse(&image, "int f(void) { return 1; }",
		    "int f(void) { return 2; } void *fixup used in(\".pci_fixup_final\") = f;", "initcall", "fixup");
	must_refuse(&image, "int f(void) { return 1; }",
		    "int n; int f(void) { return 1; } void *param used in(\"__param\") = &n;", "param", "KCARE_SWITCH");
}

static void function_without_hook_is_refused(void **state)
{
	(void)state;
	must_refuse(&image, "notrace int f(int x) { return x * 2; }", "notrace int f(int x) { return x * 3; }",
		    "no-fentry", "f cannot be replaced");
	must_refuse(&image, "static notrace int f(int x) { return x * 2; } int (*ops)(int) = f;",
		    "static notrace int f(int x) { return x * 3; } int (*ops)(int) = f;", "no-fentry",
		    "data object ops points to it");
}

/* `static inline` functions that were not inlined are not compiled for tracing. */
static void callers_of_a_local_function_without_hook_are_replaced(void **state)
{
	autofixture f = { 0 };

	(void)state;
	must_differ(
		&f,
		"static notrace noinline int f(int x) { return x * 2; } noinline int g(int x) { return f(x) + 1; }\n"
		"int h(int x) { return g(x); }",
		"static notrace noinline int f(int x) { return x * 3; } noinline int g(int x) { return f(x) + 1; }\n"
		"int h(int x) { return g(x); }");
	assert_state(&f, "f", KC_DIFF_NEW, true);
	assert_true(item(&f, "f")->is_unhookable);
	assert_null(item(&f, "f")->twin);
	assert_state(&f, "g", KC_DIFF_CHANGED, true);
	assert_state(&f, "h", KC_DIFF_SAME, false);
}

static void exported_symbols(void **state)
{
	(void)state;
	must_refuse(&image, "int f(int x) { return x; }", "int f(int x) { return x; } EXPORT_SYMBOL(f);", "export-new",
		    "newly exported");
	must_refuse(&image, "int f(int x) { return x; } EXPORT_SYMBOL(f);",
		    "int f(long x) { return x + 1; } EXPORT_SYMBOL(f);", "symbol-crc", "f() was \"int (int)\"");
	must_refuse(&image, "struct s { int a; }; struct s *p; int f(void) { return p->a; } EXPORT_SYMBOL(p);",
		    "struct t { int a; }; struct t *p; int f(void) { return p->a + 1; } EXPORT_SYMBOL(p);",
		    "symbol-crc", "p was");
}

static void new_per_cpu_variable_is_refused(void **state)
{
	(void)state;
	must_refuse(&image, "int f(void) { return 1; }",
		    "static in(\".data..percpu\") int n; int f(void) { return n++; }", "percpu-new", "per-CPU");
}

static bool is_core(void *data, const char *name)
{
	(void)data;
	return strncmp(name, "core_", 5) == 0;
}

static void static_keys_of_modules_are_refused(void **state)
{
	struct fixture module = { .target = { .is_module = true, .is_in_image = is_core } };
	autofixture of_image = { 0 }, of_core = module, own = module;
	const char *orig = "struct static_key key; extern struct static_key core_key, other_key;\n"
			   "int f(int x) { return BRANCH(key) ? x : 4; } int g(int x) { return x; }\n";
	char patched[1024];

	(void)state;
	snprintf(patched, sizeof(patched), "%s int h(int x) { return BRANCH(other_key) ? x : 4; }", orig);
	must_refuse(&module, orig, patched, "static-key", "other_key");
	snprintf(patched, sizeof(patched), "%s int h(int x) { return BRANCH(key) ? x : 4; }", orig);
	must_refuse(&module, orig, patched, "static-key", "static key key");
	must_differ(&of_image, orig, patched);
	snprintf(patched, sizeof(patched), "%s int h(int x) { return BRANCH(core_key) ? x : 4; }", orig);
	must_differ(&of_core, orig, patched);
	snprintf(patched, sizeof(patched), "%s static struct static_key mine; int h(int x) { return BRANCH(mine); }",
		 orig);
	must_differ(&own, orig, patched);
}

/* The emitter leaves them silent. */
static void tracepoints_of_modules_pass(void **state)
{
	autofixture f = { .target = { .is_module = true, .is_in_image = is_core } };

	(void)state;
	must_differ(&f,
		    "struct static_key __tracepoint_t; void __SCT__tp_func_t(int);\n"
		    "int f(int x) { if (BRANCH(__tracepoint_t)) __SCT__tp_func_t(x); return x; }",
		    "struct static_key __tracepoint_t; void __SCT__tp_func_t(int);\n"
		    "int f(int x) { if (BRANCH(__tracepoint_t)) __SCT__tp_func_t(x); return x + 1; }");
	assert_state(&f, "f", KC_DIFF_CHANGED, true);
}

static void static_calls_of_modules_are_refused(void **state)
{
	struct fixture module = { .target = { .is_module = true, .is_in_image = is_core } };
	autofixture of_image = { 0 };
	const char *orig = "int __SCT__hook(int); int f(int x) { return __SCT__hook(x) + 1; }";
	const char *patched = "int __SCT__hook(int); int f(int x) { return __SCT__hook(x) + 2; }";

	(void)state;
	must_refuse(&module, orig, patched, "static-call", "hook");
	must_differ(&of_image, orig, patched);
}

static void grown_struct_is_refused(void **state)
{
	(void)state;
	must_refuse(&image, "struct shm { int a; }; int f(struct shm *s) { return s->a; }",
		    "struct shm { int a; char pad[512]; }; int f(struct shm *s) { s->pad[3] = 1; return s->a; }",
		    "struct-layout", "its size changed from 4 to 516 bytes");
}

static void function_that_sleeps_is_warned_of(void **state)
{
	autofixture sleeps = { 0 }, does_not = { 0 };

	(void)state;
	must_differ(&sleeps, "void schedule(void); int f(int x) { schedule(); return x; }",
		    "void schedule(void); int f(int x) { schedule(); return x + 1; }");
	assert_non_null(strstr(sleeps.warning, "f calls schedule"));
	must_differ(&does_not, "void scheduler(void); int f(int x) { scheduler(); return x; }",
		    "void scheduler(void); int f(int x) { scheduler(); return x + 1; }");
	assert_string_equal(does_not.warning, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_sources_do_not_change),
		cmocka_unit_test(moved_lines_do_not_count),
		cmocka_unit_test(annotations_of_another_function_do_not_count),
		cmocka_unit_test(changed_replacement_changes_its_function),
		cmocka_unit_test(empty_replacement_refers_to_what_it_replaces),
		cmocka_unit_test(changed_fields_of_entries_count),
		cmocka_unit_test(snippets_that_are_jumped_to_are_cloned),
		cmocka_unit_test(padding_before_functions),
		cmocka_unit_test(distances_in_a_shared_section_do_not_count),
		cmocka_unit_test(short_jump_to_a_neighbour_is_refused),
		cmocka_unit_test(another_message_that_is_shown_once),
		cmocka_unit_test(descriptors_are_carried_along),
		cmocka_unit_test(empty_variables_are_known_by_their_users),
		cmocka_unit_test(roots_are_cloned),
		cmocka_unit_test(compared_table_of_functions_is_refused),
		cmocka_unit_test(code_of_the_start_is_refused),
		cmocka_unit_test(function_without_hook_is_refused),
		cmocka_unit_test(callers_of_a_local_function_without_hook_are_replaced),
		cmocka_unit_test(exported_symbols),
		cmocka_unit_test(new_per_cpu_variable_is_refused),
		cmocka_unit_test(static_keys_of_modules_are_refused),
		cmocka_unit_test(tracepoints_of_modules_pass),
		cmocka_unit_test(static_calls_of_modules_are_refused),
		cmocka_unit_test(grown_struct_is_refused),
		cmocka_unit_test(function_that_sleeps_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
