/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel placement against the truth: a small image or module, whose unstripped copy tells the address of every symbol;
 * and what is refused when one of the two is not quite the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "small_kernel.h"
#include "target/kernel/kernel_placement.h"

struct fixture {
	struct workshop shop;
	struct kc_kernel_object *object;
	struct kc_elf *part, *truth;
	struct kc_kernel_placement *placement;
};

static void open_image(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	workshop_open(&f->shop);
	small_kernel_make(&f->shop, SAMPLE_LAYOUT_6_1);
	f->object = small_kernel_open(&f->shop, "vmlinux");
	f->part = workshop_elf(&f->shop, "part.o");
	f->truth = workshop_elf(&f->shop, "vmlinux.full");
}

static void open_module(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	workshop_open(&f->shop);
	small_kernel_make_module(&f->shop);
	f->object = small_kernel_open(&f->shop, "small.ko");
	f->part = workshop_elf(&f->shop, "part.o");
	f->truth = workshop_elf(&f->shop, "small.o");
}

static void close_all(struct fixture *f)
{
	kc_kernel_placement_free(f->placement);
	kc_kernel_object_free(f->object);
	workshop_close(&f->shop);
}

static void find(struct fixture *f)
{
	struct kc_error *err = kc_kernel_placement_find(NULL, f->object, f->part, &f->placement);

	if (err)
		fail_msg("%s", kc_error_message(err));
}

/* Fails unless there is this error, and its message has all of these texts. */
static void find_fails(struct fixture *f, enum kc_error_code code, const char *text, const char *other_text)
{
	struct kc_error *err = kc_kernel_placement_find(NULL, f->object, f->part, &f->placement);

	assert_non_null(err);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text) ||
	    !strstr(kc_error_message(err), other_text))
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	kc_error_free(err);
}

static const struct kc_kernel_placed *placed(const struct fixture *f, const char *name)
{
	for (size_t i = 1; i < f->part->n_symbols; i++) {
		if (!strcmp(f->part->symbols[i].name, name))
			return &f->placement->symbols[i];
	}
	fail_msg("no symbol %s", name);
	return NULL;
}

/* The bytes at a symbol of the image, to be damaged. */
static uint8_t *bytes_of(struct fixture *f, const char *name)
{
	const struct kc_elf_symbol *symbol = kc_elf_symbol_find(f->truth, name);

	assert_non_null(symbol);
	return (uint8_t *)kc_kernel_image_read(f->object, symbol->value, 1);
}

static void check_truth(const struct fixture *f, const char *name)
{
	const struct kc_elf_symbol *symbol = kc_elf_symbol_find(f->truth, name);
	const struct kc_kernel_placed *p = placed(f, name);

	assert_non_null(symbol);
	assert_true(p->is_known);
	assert_int_equal(p->addr, symbol->value);
	assert_non_null(p->symbol);
	assert_string_equal(p->symbol->name, name);
	assert_int_equal(p->symbol->addr, symbol->value);
	if (f->object->is_module)
		assert_string_equal(p->section->name, symbol->section->name);
	else
		assert_null(p->section);
}

static const char *const NAMES[] = { "exported", "has_label",  "kept",		"start_part", "rest",	"shared",
				     "names",	 "switch_key", "per_cpu_count", "operation",  "zeroed", "counter" };

static void check_all(const struct fixture *f)
{
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		check_truth(f, NAMES[i]);
	assert_int_equal(f->placement->n_functions_proved, 6);
	assert_true(placed(f, "overridden")->is_overridden);
	assert_string_equal(placed(f, "overridden")->symbol->name, "overridden");
	assert_false(placed(f, "kept")->is_overridden);
	/* The second helper(): the first one is rest.o's. */
	assert_int_equal(placed(f, "helper")->symbol->sympos, 2);
}

static void test_image(void **state)
{
	struct fixture f;

	(void)state;
	open_image(&f);
	find(&f);
	check_all(&f);
	assert_int_equal(placed(&f, "overridden")->addr, kc_elf_symbol_find(f.truth, "overridden")->value);
	close_all(&f);
}

static void test_module(void **state)
{
	struct fixture f;

	(void)state;
	open_module(&f);
	find(&f);
	check_all(&f);
	close_all(&f);
}

/* part.o alone is a module: what it refers to is imported. */
static void test_imports(void **state)
{
	struct fixture f;

	(void)state;
	open_module(&f);
	workshop_run(&f.shop, "ld -r -o alone.ko part.o module.o");
	kc_kernel_object_free(f.object);
	f.object = small_kernel_open(&f.shop, "alone.ko");
	find(&f);
	assert_true(placed(&f, "rest")->is_known);
	assert_null(placed(&f, "rest")->section);
	assert_null(placed(&f, "rest")->symbol);
	assert_false(placed(&f, "overridden")->is_overridden);
	close_all(&f);
}

/* objtool ran on the image, not on the object: its nops are not in there. */
static void test_jump_label(void **state)
{
	const uint8_t NOP[] = { 0x66, 0x90 };
	struct fixture f;
	uint8_t *code;

	(void)state;
	open_image(&f);
	code = bytes_of(&f, "has_label");
	while (code[0] != 0xeb)
		code++;
	memcpy(code, NOP, sizeof(NOP));
	find(&f);
	check_all(&f);
	kc_kernel_placement_free(f.placement);
	f.placement = NULL;
	code[0] = 0x90; /* some other instruction */
	find_fails(&f, KC_ERR_PROOF, "has_label+0x", "differs");
	close_all(&f);
}

static void test_code_differs(void **state)
{
	struct fixture f;

	(void)state;
	open_image(&f);
	bytes_of(&f, "kept")[1] ^= 0x40;
	find_fails(&f, KC_ERR_PROOF, "kept+0x1 in .text differs", "shipped");
	close_all(&f);
}

static void test_string_differs(void **state)
{
	struct fixture f;
	uint8_t *text;

	(void)state;
	open_image(&f);
	text = memmem(f.object->data.data, f.object->data.size, "a string", 9);
	assert_non_null(text);
	text[2] = 'S';
	find_fails(&f, KC_ERR_PROOF, "exported+0x", "refers to another string");
	close_all(&f);
}

static void test_data_differs(void **state)
{
	struct fixture f;

	(void)state;
	open_image(&f);
	*bytes_of(&f, "counter") = 8;
	find_fails(&f, KC_ERR_PROOF, "counter+0x0 in .data differs", "shipped");
	close_all(&f);
}

/* A field that leads to another symbol than the compiled one. */
static void test_reference_differs(void **state)
{
	struct fixture f;
	uint8_t *field;

	(void)state;
	open_image(&f);
	field = bytes_of(&f, "kept");
	while (field[0] != 0x03 || field[1] != 0x05) /* add shared(%rip),%eax */
		field++;
	field[2] += 4;
	find_fails(&f, KC_ERR_PROOF, "kept+0x", "refers to something else than shared");
	close_all(&f);
}

static void compile_again(struct fixture *f, const char *sed)
{
	workshop_run(&f->shop,
		     "cp part.o old.o; sed -i '%s' part.c; gcc -O2 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone "
		     "-ffreestanding -fcf-protection=none -fno-common -fno-asynchronous-unwind-tables "
		     "-fno-stack-protector -fno-toplevel-reorder -c part.c -o again.o",
		     sed);
	f->part = workshop_elf(&f->shop, "again.o");
}

static void test_other_function(void **state)
{
	struct fixture f;

	(void)state;
	open_image(&f);
	compile_again(&f, "s/int exported/int added(int x) { return x; }\\nint exported/");
	find_fails(&f, KC_ERR_PROOF, "function added is not at its place in vmlinux", "3 of 5 functions");
	close_all(&f);
}

static void test_not_part(void **state)
{
	struct fixture f;

	(void)state;
	open_image(&f);
	compile_again(&f, "s/helper/aid/g; s/has_label/with_label/; s/exported/public/");
	find_fails(&f, KC_ERR_NOT_FOUND, "is not part of", "vmlinux");
	close_all(&f);
}

/* Twice the same code under the same names, as of a file that is compiled into two objects. */
static void open_twins(struct fixture *f, const char *text)
{
	open_module(f);
	workshop_write(&f->shop, "twin.c", text);
	workshop_run(&f->shop, "for n in one two; do sed s/NAME/$n/ twin.c > $n.c; "
			       "gcc -c -fno-pic -fno-asynchronous-unwind-tables $n.c; done; "
			       "ld -r -o twins.ko one.o two.o module.o");
	kc_kernel_object_free(f->object);
	f->object = small_kernel_open(&f->shop, "twins.ko");
	f->part = workshop_elf(&f->shop, "two.o");
}

static void test_fits_twice(void **state)
{
	struct fixture f;

	(void)state;
	open_twins(&f, "static __attribute__((used)) int twin(int x) { return x * 5; }\n");
	find_fails(&f, KC_ERR_PROOF, "section .text fits several places in small", "");
	close_all(&f);
}

/* Its data has a name of its own, and refers to its code. */
static void test_twin_by_data(void **state)
{
	struct fixture f;

	(void)state;
	open_twins(&f, "static int twin(int x) { return x * 5; }\nint (*const NAME)(int) = twin;\n");
	find(&f);
	assert_int_equal(placed(&f, "twin")->symbol->sympos, 2);
	close_all(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),	       cmocka_unit_test(test_module),
		cmocka_unit_test(test_imports),	       cmocka_unit_test(test_jump_label),
		cmocka_unit_test(test_code_differs),   cmocka_unit_test(test_string_differs),
		cmocka_unit_test(test_data_differs),   cmocka_unit_test(test_reference_differs),
		cmocka_unit_test(test_other_function), cmocka_unit_test(test_not_part),
		cmocka_unit_test(test_fits_twice),     cmocka_unit_test(test_twin_by_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
