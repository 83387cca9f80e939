/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel images and modules: the kallsyms tables of two series, small images and modules made by the host's compiler.
 */
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
#include "target/kernel/kallsyms.h"

static const struct sample_ksym SYMBOLS[] = {
	{ "Afixed_percpu_data", 0 },	       { "Acpu_number", 0x1a008 },
	{ "T_stext", 0xffffffff81000000 },     { "tinit_once", 0xffffffff81000010 },
	{ "Tinit_once", 0xffffffff81000010 },  { "Wweak_one", 0xffffffff81000020 },
	{ "rinit_table", 0xffffffff82000000 }, { "dstate.0", 0xffffffff82a00000 },
};

static void check_symbols(enum sample_layout layout)
{
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	kc_autofree struct kc_kernel_symbol *symbols = NULL;
	struct kc_error *err;
	size_t n = 0;

	kc_buf_append_zeros(&image, 4096);
	sample_kallsyms(layout, SYMBOLS, KC_ARRAY_SIZE(SYMBOLS), &image);
	kc_buf_append_zeros(&image, 4096);
	err = kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n);
	assert_null(err);
	assert_int_equal(n, KC_ARRAY_SIZE(SYMBOLS));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(symbols[i].name, SYMBOLS[i].name + 1);
		assert_int_equal(symbols[i].addr, SYMBOLS[i].addr);
		assert_int_equal(symbols[i].is_function, strchr("tTwW", SYMBOLS[i].name[0]) != NULL);
		assert_int_equal(symbols[i].is_global, strchr("ATW", SYMBOLS[i].name[0]) != NULL);
		assert_int_equal(symbols[i].is_absolute, i < 2);
	}
}

static void test_kallsyms_6_1(void **state)
{
	(void)state;
	check_symbols(SAMPLE_LAYOUT_6_1);
}

static void test_kallsyms_6_12(void **state)
{
	(void)state;
	check_symbols(SAMPLE_LAYOUT_6_12);
}

/* More than one marker, and names of more than 127 tokens. */
static void test_kallsyms_many(void **state)
{
	enum { N = 1000 };
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	kc_autofree struct sample_ksym *wanted = calloc(N, sizeof(*wanted));
	kc_autofree struct kc_kernel_symbol *symbols = NULL;
	char long_names[4][204];
	size_t n = 0;

	(void)state;
	assert_non_null(wanted);
	for (size_t i = 0; i < 4; i++) {
		memset(long_names[i], 'a' + (int)i, 200);
		strcpy(long_names[i] + 200, "end");
		long_names[i][0] = 't';
	}
	for (size_t i = 0; i < N; i++)
		wanted[i] = (struct sample_ksym){ long_names[i % 4], 0xffffffff81000000 + i * 16 };
	sample_kallsyms(SAMPLE_LAYOUT_6_12, wanted, N, &image);
	assert_null(kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n));
	assert_int_equal(n, N);
	for (size_t i = 0; i < N; i++) {
		assert_string_equal(symbols[i].name, wanted[i].name + 1);
		assert_int_equal(symbols[i].addr, wanted[i].addr);
	}
}

static void test_kallsyms_missing(void **state)
{
	kc_autobuf struct kc_buf image = { 0 }, names = { 0 };
	struct kc_kernel_symbol *symbols = NULL;
	struct kc_error *err;
	size_t n = 0;

	(void)state;
	sample_kallsyms(SAMPLE_LAYOUT_6_1, SYMBOLS, KC_ARRAY_SIZE(SYMBOLS), &image);
	image.data[3 * 4 + 3] = (char)0x80; /* an address that is far above the next one */
	err = kc_kallsyms_read("image", (const uint8_t *)image.data, image.size, &names, &symbols, &n);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	assert_null(symbols);
	kc_error_free(err);
}

static void check_image(struct kc_kernel_object *image)
{
	const struct kc_kernel_symbol *first, *second;
	size_t n;

	assert_string_equal(image->name, "vmlinux");
	assert_string_equal(image->proc_version, SMALL_KERNEL_BANNER "\n");
	assert_string_equal(image->release, "6.1.0-1-small");
	assert_string_equal(image->compiler, "gcc-12");
	assert_int_equal(strlen(image->kernel_id), 40);
	assert_int_equal(image->elf->build_id_size, 20);
	first = kc_kernel_symbol_find(image, "exported");
	assert_true(first->is_exported && first->is_unique && first->is_function && first->is_global);
	assert_false(kc_kernel_symbol_find(image, "rest")->is_exported);
	first = kc_kernel_symbol_find(image, "helper");
	second = kc_kernel_symbol_next(image, first);
	assert_int_equal(first->sympos, 1);
	assert_int_equal(second->sympos, 2);
	assert_true(first->addr < second->addr && !first->is_unique && !second->is_unique && !first->is_global);
	assert_null(kc_kernel_symbol_next(image, second));
	assert_null(kc_kernel_symbol_find(image, "absent"));
	assert_ptr_equal(kc_kernel_symbol_at(image, first->addr + 1, &n), first);
	assert_int_equal(n, 1);
	assert_null(kc_kernel_image_read(image, first->addr, 1 << 30));
	kc_kernel_object_free(image);
}

/* A bzImage around the payload file, which `name` then is. */
static void make_bzimage(const struct workshop *shop, const char *payload, const char *name)
{
	kc_autofree char *from = kc_path_join(shop->dir, payload), *to = kc_path_join(shop->dir, name);
	const uint32_t offset = 16;
	kc_autobuf struct kc_buf file = { 0 };
	uint32_t size;

	kc_buf_append_zeros(&file, 1024 + offset);
	assert_int_equal(kc_file_read(from, 1 << 24, &file), 0);
	size = (uint32_t)file.size - 1024 - offset;
	file.data[0x1f1] = 1; /* sectors of set-up code, beside the boot sector */
	memcpy(file.data + 0x202, "HdrS\x0f\x02", 6);
	memcpy(file.data + 0x248, &offset, 4);
	memcpy(file.data + 0x24c, &size, 4);
	assert_int_equal(kc_file_write_atomic(to, file.data, file.size, 0600), 0);
}

static void test_image(void **state)
{
	static const char *const PACKERS[] = { "xz --check=crc32 -c", "zstd -qc", "lz4 -lqc" };
	struct workshop shop;

	(void)state;
	workshop_open(&shop);
	small_kernel_make(&shop, SAMPLE_LAYOUT_6_12);
	check_image(small_kernel_open(&shop, "vmlinux"));
	for (size_t i = 0; i < KC_ARRAY_SIZE(PACKERS); i++) {
		/* The kernel's build appends the size of the content. */
		workshop_run(&shop, "%s vmlinux > packed; printf '\\1\\2\\3\\0' >> packed", PACKERS[i]);
		make_bzimage(&shop, "packed", "vmlinuz");
		check_image(small_kernel_open(&shop, "vmlinuz"));
	}
	workshop_run(&shop, "gzip -c vmlinux > packed");
	make_bzimage(&shop, "packed", "vmlinuz");
	check_image(small_kernel_open(&shop, "vmlinuz"));
	workshop_close(&shop);
}

static void check_refused(const struct workshop *shop, const char *name, bool is_module, enum kc_error_code code,
			  const char *text)
{
	kc_autofree char *path = kc_path_join(shop->dir, name);
	struct kc_kernel_object *object = NULL;
	struct kc_error *err =
		is_module ? kc_kernel_module_open(NULL, path, &object) : kc_kernel_image_open(NULL, path, &object);

	assert_non_null(err);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), text))
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	kc_error_free(err);
}

static void test_no_image(void **state)
{
	struct workshop shop;

	(void)state;
	workshop_open(&shop);
	small_kernel_make(&shop, SAMPLE_LAYOUT_6_1);
	workshop_write(&shop, "text", "hello\n");
	check_refused(&shop, "text", false, KC_ERR_INPUT, "not a kernel image");
	check_refused(&shop, "part.o", false, KC_ERR_INPUT, "an object file");
	check_refused(&shop, "vmlinux.full", false, KC_ERR_INPUT, "no kallsyms tables");
	check_refused(&shop, "absent", false, KC_ERR_SYSTEM, "cannot read");
	make_bzimage(&shop, "vmlinux", "vmlinuz");
	check_refused(&shop, "vmlinuz", false, KC_ERR_INPUT, "compressed by none of");
	workshop_run(&shop, "xz -c vmlinux | head -c 2000 > packed");
	make_bzimage(&shop, "packed", "vmlinuz");
	check_refused(&shop, "vmlinuz", false, KC_ERR_INPUT, "xz cannot unpack it");
	workshop_run(&shop, "zstd -qc vmlinux | head -c 2000 > packed");
	make_bzimage(&shop, "packed", "vmlinuz");
	check_refused(&shop, "vmlinuz", false, KC_ERR_INPUT, "zstd cannot unpack it");
	workshop_run(&shop, "head -c 1500 vmlinuz > cut");
	check_refused(&shop, "cut", false, KC_ERR_TRUNCATED, "outside the file");
	check_refused(&shop, "part.o", true, KC_ERR_INPUT, "not a kernel module");
	check_refused(&shop, "vmlinux", true, KC_ERR_INPUT, "not a kernel module");
	workshop_close(&shop);
}

static void check_module(struct kc_kernel_object *module)
{
	const struct kc_kernel_symbol *symbol;

	assert_string_equal(module->name, "small");
	assert_true(module->is_module);
	assert_true(kc_kernel_symbol_find(module, "exported")->is_exported);
	assert_false(kc_kernel_symbol_find(module, "rest")->is_exported);
	symbol = kc_kernel_symbol_find(module, "helper");
	assert_int_equal(symbol->sympos, 1);
	assert_string_equal(symbol->section->name, ".text");
	assert_int_equal(kc_kernel_symbol_next(module, symbol)->sympos, 2);
	/* Counted only while the module is being loaded, and then before the other one. */
	symbol = kc_kernel_symbol_find(module, "twice");
	assert_string_equal(symbol->section->name, ".init.text");
	assert_int_equal(symbol->sympos, 0);
	symbol = kc_kernel_symbol_next(module, symbol);
	assert_string_equal(symbol->section->name, ".text");
	assert_int_equal(symbol->sympos, 0);
	kc_kernel_object_free(module);
}

static void test_module(void **state)
{
	struct workshop shop;

	(void)state;
	workshop_open(&shop);
	small_kernel_make_module(&shop);
	check_module(small_kernel_open(&shop, "small.ko"));
	workshop_run(&shop, "xz -k small.ko; zstd -q small.ko; gzip -k small.ko");
	check_module(small_kernel_open(&shop, "small.ko.xz"));
	check_module(small_kernel_open(&shop, "small.ko.zst"));
	check_module(small_kernel_open(&shop, "small.ko.gz"));
	workshop_close(&shop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kallsyms_6_1),  cmocka_unit_test(test_kallsyms_6_12),
		cmocka_unit_test(test_kallsyms_many), cmocka_unit_test(test_kallsyms_missing),
		cmocka_unit_test(test_image),	      cmocka_unit_test(test_no_image),
		cmocka_unit_test(test_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
