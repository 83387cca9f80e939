/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "small_kernel.h"

/* The jump label is as arch/x86/include/asm/jump_label.h writes it for objtool: a jump that becomes a nop. */
static const char PART[] =
	"extern int rest(const char *, int), shared;\n"
	"extern int overridden(int);\n"
	"struct key { int enabled; } switch_key;\n"
	"static int counter = 7, zeroed[64];\n"
	"static int per_cpu_count __attribute__((section(\".data..percpu\"))) = 3;\n"
	"static const char *const names[] = { \"first name\", \"second name\" };\n"
	"static int (*operation)(int);\n"
	"static __attribute__((noinline)) int helper(int x)\n"
	"{ counter += x; zeroed[x & 63]++; return rest(names[x & 1], counter); }\n"
	"__attribute__((weak)) int overridden(int x) { return x + 1; }\n"
	"__attribute__((weak)) int kept(int x) { return x * 3 + shared; }\n"
	"__attribute__((noinline)) int has_label(int x)\n"
	"{ asm goto(\"1: jmp %l[on]\\n .pushsection __jump_table, \\\"aw\\\"\\n .balign 8\\n .long 1b - .\\n\"\n"
	"  \".long %l[on] - .\\n .quad switch_key + 2 - .\\n .popsection\" : : : : on);\n"
	"  return helper(x) ^ 5;\n"
	"on: return helper(x + 1) ^ 77; }\n"
	"static __attribute__((noinline, noclone, noreturn)) void stop(int x) { for (;;) shared = rest(\"stopped\", "
	"x); }\n"
	"int exported(int x)\n"
	"{ int n; asm(\"movl %%gs:%1, %0\" : \"=r\"(n) : \"m\"(per_cpu_count));\n"
	"  if (x == 1234) stop(x);\n"
	"  if (operation) return operation(x); return helper(n) + overridden(x) + kept(x) + rest(\"a string\", x); }\n"
	"__attribute__((section(\".init.text\"))) int start_part(void)\n"
	"{ operation = helper; return rest(\"started\", has_label(3)); }\n";

static const char REST[] = "int shared = 9;\n"
			   "static __attribute__((noinline)) int helper(int x) { return x ^ shared; }\n"
			   "int overridden(int x) { return helper(x) * 4; }\n"
			   "int rest(const char *text, int x) { shared += *text; return helper(x + shared); }\n"
			   "const char linux_banner[] = \"" SMALL_KERNEL_BANNER "\\n\";\n";

static const char TABLES[] = "	.section __ksymtab_strings, \"aMS\", @progbits, 1\n"
			     "name: .asciz \"exported\"\nnamespace: .asciz \"\"\n"
			     "	.section __ksymtab_gpl, \"a\"\n"
			     "	.long exported - .\n	.long name - .\n	.long namespace - .\n"
			     "	.section .kallsyms, \"a\"\n	.balign 8\n	.space 65536\n";

static const char MODULE[] = "	.section .modinfo, \"a\"\n	.asciz \"license=GPL\"\n	.asciz \"name=small\"\n"
			     "	.section .gnu.linkonce.this_module, \"aw\"\n	.space 64\n"
			     "	.section __ksymtab_gpl, \"a\"\n	.globl __ksymtab_exported\n"
			     "__ksymtab_exported:	.long exported - .\n	.long 0\n	.long 0\n"
			     "	.section .init.text, \"ax\"\n	.type twice, @function\ntwice: ret\n";

/* Its homonym, in code that stays. */
static const char STAYS[] = "	.type twice, @function\ntwice: ret\n";

#define FLAGS                                                                                                  \
	"-O2 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone -ffreestanding -fcf-protection=none -fno-common " \
	"-fno-asynchronous-unwind-tables -fno-stack-protector -fno-toplevel-reorder"

static void compile(struct workshop *shop)
{
	workshop_write(shop, "part.c", PART);
	workshop_write(shop, "rest.c", REST);
	workshop_run(shop, "for name in part rest; do gcc " FLAGS " -c $name.c; done");
}

/* What nm prints: "ffffffff81000000 T exported". */
static size_t parse_symbols(char *text, struct sample_ksym **symbols)
{
	size_t n = 0;
	char *line;

	while ((line = strsep(&text, "\n")) && *line) {
		struct sample_ksym *symbol = kc_array_add(symbols, &n);
		char *rest;

		assert_non_null(symbol);
		symbol->addr = strtoull(line, &rest, 16);
		rest[2] = rest[1]; /* kallsyms has the type right in front of the name */
		symbol->name = rest + 2;
	}
	return n;
}

static void add_kallsyms(const struct workshop *shop, enum sample_layout layout)
{
	kc_autofree char *list = kc_path_join(shop->dir, "symbols"), *path = kc_path_join(shop->dir, "kallsyms");
	kc_autobuf struct kc_buf text = { 0 }, tables = { 0 };
	kc_autofree struct sample_ksym *symbols = NULL;
	size_t n;

	workshop_run(shop, "nm -n vmlinux.full > symbols");
	assert_int_equal(kc_file_read(list, 1 << 20, &text), 0);
	n = parse_symbols(text.data, &symbols);
	assert_true(n > 10);
	sample_kallsyms(layout, symbols, n, &tables);
	assert_true(tables.size < 65536);
	kc_buf_append_zeros(&tables, 65536 - tables.size);
	assert_int_equal(kc_file_write_atomic(path, tables.data, tables.size, 0600), 0);
	workshop_run(
		shop,
		"objcopy --update-section .kallsyms=kallsyms vmlinux.full unstripped; strip -o vmlinux unstripped");
}

void small_kernel_make(struct workshop *shop, enum sample_layout layout)
{
	compile(shop);
	workshop_write(shop, "tables.s", TABLES);
	workshop_run(shop, "as tables.s -o tables.o");
	workshop_run(shop, "ld -static -nostdlib -z noexecstack --build-id=sha1 -Ttext=0xffffffff81000000 "
			   "--section-start=.data..percpu=0 -e exported -o vmlinux.full rest.o part.o tables.o");
	add_kallsyms(shop, layout);
}

void small_kernel_make_module(struct workshop *shop)
{
	compile(shop);
	workshop_write(shop, "module.s", MODULE);
	workshop_write(shop, "stays.s", STAYS);
	workshop_run(shop, "as module.s -o module.o; as stays.s -o stays.o; ld -r -o small.o rest.o part.o module.o "
			   "stays.o; strip -g -o small.ko small.o");
}

struct kc_kernel_object *small_kernel_open(const struct workshop *shop, const char *name)
{
	kc_autofree char *path = kc_path_join(shop->dir, name);
	struct kc_kernel_object *object = NULL;
	struct kc_error *err = strstr(name, ".ko") ? kc_kernel_module_open(NULL, path, &object)
						   : kc_kernel_image_open(NULL, path, &object);

	if (err)
		fail_msg("%s", kc_error_message(err));
	return object;
}
