/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "elf/elf_file.h"
#include "elf/elf_writer.h"

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"

static void read_whole(const char *path, struct kc_buf *buf)
{
	assert_int_equal(kc_file_read(path, 1UL << 28, buf), 0);
}

static struct kc_elf *open_elf(const char *path)
{
	struct kc_elf *elf = NULL;
	struct kc_error *err = kc_elf_open(NULL, path, &elf);

	if (err)
		fail_msg("%s", kc_error_message(err));
	return elf;
}

static struct kc_elf *parse(const char *name, const void *data, size_t size)
{
	struct kc_elf *elf = NULL;
	struct kc_error *err = kc_elf_parse(NULL, name, data, size, &elf);

	if (err)
		fail_msg("%s", kc_error_message(err));
	return elf;
}

static const struct kc_elf_symbol *find_dynamic(const struct kc_elf *elf, const char *name, const char *version)
{
	for (size_t i = 1; i < elf->n_dynamic_symbols; i++) {
		const struct kc_elf_symbol *symbol = &elf->dynamic_symbols[i];

		if (strcmp(symbol->name, name) == 0 && symbol->version && strcmp(symbol->version, version) == 0)
			return symbol;
	}
	return NULL;
}

/* Runs the compiler on `source`; the caller owns the object's bytes. */
static void compile(const char *compiler, const char *source, struct kc_buf *object)
{
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *in = NULL, *out = NULL;
	kc_autobuf struct kc_buf output = { 0 };
	int exit_code;

	assert_non_null(mkdtemp(dir));
	in = kc_path_join(dir, strcmp(compiler, "g++") == 0 ? "in.cc" : "in.c");
	out = kc_path_join(dir, "out.o");
	assert_int_equal(kc_file_write_atomic(in, source, strlen(source), 0600), 0);
	{
		const char *argv[] = {
			compiler, "-O2", "-g", "-fPIC", "-ffunction-sections", "-c", in, "-o", out, NULL
		};
		struct kc_process process = { .argv = argv, .output = &output };

		assert_int_equal(kc_process_run(&process, &exit_code), 0);
	}
	if (exit_code != 0)
		fail_msg("%s", output.data);
	read_whole(out, object);
	assert_int_equal(kc_tree_remove(dir), 0);
}

static void own_program_has_symbols_segments_and_build_id(void **state)
{
	kc_autoelf struct kc_elf *elf = open_elf("/proc/self/exe");
	const struct kc_elf_symbol *symbol = kc_elf_symbol_find(elf, "own_program_has_symbols_segments_and_build_id");
	kc_autofree char *build_id = kc_elf_build_id_text(elf);
	kc_autofree struct kc_elf_range *ranges = NULL;
	bool found = false;
	size_t n;

	(void)state;
	assert_int_equal(elf->type, ET_DYN);
	assert_non_null(symbol);
	assert_string_equal(symbol->section->name, ".text");
	assert_ptr_equal(kc_elf_section_at(elf, symbol->value), symbol->section);
	assert_int_equal(kc_elf_segment_at(elf, symbol->value)->p_flags, PF_R | PF_X);
	assert_ptr_equal(kc_elf_read(elf, symbol->value, symbol->size),
			 symbol->section->data + (symbol->value - symbol->section->addr));
	assert_int_equal(strlen(build_id), 40);
	assert_null(kc_elf_fde_ranges(NULL, elf, &ranges, &n));
	for (size_t i = 0; i < n; i++)
		found |= ranges[i].addr == symbol->value && ranges[i].size == symbol->size;
	assert_true(found);
}

static void libc_has_versions_and_needed_libraries(void **state)
{
	kc_autoelf struct kc_elf *libc = open_elf(LIBC), *self = open_elf("/proc/self/exe");
	const struct kc_elf_symbol *old = find_dynamic(libc, "memcpy", "GLIBC_2.2.5");
	const struct kc_elf_symbol *new = find_dynamic(libc, "memcpy", "GLIBC_2.14");
	const struct kc_elf_symbol *import = find_dynamic(libc, "__tls_get_addr", "GLIBC_2.3");
	const struct kc_elf_symbol *used = find_dynamic(self, "__libc_start_main", "GLIBC_2.34");

	(void)state;
	assert_string_equal(libc->soname, "libc.so.6");
	assert_int_equal(libc->n_needed, 1);
	assert_string_equal(libc->needed[0], "ld-linux-x86-64.so.2");
	assert_true(old && old->version_hidden && old->shndx != SHN_UNDEF && !old->library);
	assert_true(new && !new->version_hidden);
	assert_int_equal(new->type, STT_GNU_IFUNC);
	assert_true(import && import->shndx == SHN_UNDEF);
	assert_string_equal(import->library, "ld-linux-x86-64.so.2");
	assert_string_equal(used->library, "libc.so.6");
	assert_true(libc->n_dynamic_relas > 1000);
	for (size_t i = 1; i < libc->n_dynamic_relas; i++)
		assert_true(libc->dynamic_relas[i - 1].offset <= libc->dynamic_relas[i].offset);
}

/* Memory images and some packed programs have no section headers. */
static void file_without_section_headers_reads_the_same(void **state)
{
	kc_autoelf struct kc_elf *whole = open_elf(LIBC), *bare = NULL;
	kc_autofree struct kc_elf_range *whole_ranges = NULL, *bare_ranges = NULL;
	kc_autobuf struct kc_buf bytes = { 0 };
	size_t n_whole, n_bare;
	Elf64_Ehdr *header;

	(void)state;
	read_whole(LIBC, &bytes);
	header = (Elf64_Ehdr *)bytes.data;
	header->e_shoff = header->e_shnum = header->e_shstrndx = 0;
	bare = parse("bare", bytes.data, bytes.size);
	assert_int_equal(bare->n_sections, 0);
	assert_int_equal(bare->n_dynamic_relas, whole->n_dynamic_relas);
	assert_int_equal(bare->build_id_size, whole->build_id_size);
	assert_memory_equal(bare->build_id, whole->build_id, bare->build_id_size);
	/* DT_GNU_HASH tells the number of symbols, short of nothing. */
	assert_int_equal(bare->n_dynamic_symbols, whole->n_dynamic_symbols);
	for (size_t i = 0; i < bare->n_dynamic_symbols; i++) {
		assert_string_equal(bare->dynamic_symbols[i].name, whole->dynamic_symbols[i].name);
		assert_int_equal(bare->dynamic_symbols[i].value, whole->dynamic_symbols[i].value);
	}
	assert_null(kc_elf_fde_ranges(NULL, whole, &whole_ranges, &n_whole));
	assert_null(kc_elf_fde_ranges(NULL, bare, &bare_ranges, &n_bare));
	assert_true(n_whole > 1000);
	assert_int_equal(n_bare, n_whole);
	assert_memory_equal(bare_ranges, whole_ranges, n_bare * sizeof(*bare_ranges));
}

static void comdat_members_know_their_group(void **state)
{
	kc_autobuf struct kc_buf object = { 0 };
	kc_autoelf struct kc_elf *elf = NULL;
	const struct kc_elf_symbol *symbol;

	(void)state;
	compile("g++", "template <class T> T twice(T x) { return x * 2; } int (*f)(int) = twice<int>;", &object);
	elf = parse("comdat.o", object.data, object.size);
	symbol = kc_elf_symbol_find(elf, "_Z5twiceIiET_S0_");
	assert_non_null(symbol);
	assert_string_equal(symbol->section->group, "_Z5twiceIiET_S0_");
	assert_null(kc_elf_symbol_find(elf, "f")->section->group);
}

/* More sections than 16 bits can number: SHN_XINDEX, e_shnum 0. */
static void object_with_many_sections(void **state)
{
	kc_autobuf struct kc_buf source = { 0 }, object = { 0 };
	kc_autoelf struct kc_elf *elf = NULL;
	const struct kc_elf_symbol *symbol;

	(void)state;
	for (int i = 0; i < 66000; i++)
		kc_buf_printf(&source, "asm(\".section .s%d,\\\"a\\\"\\n.globl v%d\\nv%d: .long %d\");\n", i, i, i, i);
	compile("gcc", source.data, &object);
	elf = parse("many.o", object.data, object.size);
	assert_true(elf->n_sections > 66000);
	symbol = kc_elf_symbol_find(elf, "v65999");
	assert_non_null(symbol);
	assert_string_equal(symbol->section->name, ".s65999");
	assert_memory_equal(symbol->section->data, "\xcf\x01\x01\x00", 4);
}

static void writer_makes_what_the_reader_reads(void **state)
{
	struct kc_elf_writer *writer = kc_elf_writer_new();
	kc_autobuf struct kc_buf out = { 0 }, object = { 0 };
	kc_autoelf struct kc_elf *elf = NULL;
	const struct kc_elf_section *section;
	kc_section_id text, bss;
	kc_symbol_id global, local, import;

	(void)state;
	text = kc_elf_writer_add_section(writer, ".text.f", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16, 0,
					 "\xe8\0\0\0\0\xc3", 6);
	bss = kc_elf_writer_add_section(writer, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 32, 0, NULL, 1000);
	global = kc_elf_writer_add_symbol(writer, "f", STB_GLOBAL, STT_FUNC, text, 0, 6);
	import = kc_elf_writer_add_symbol(writer, "puts", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	local = kc_elf_writer_add_symbol(writer, "counter", STB_LOCAL, STT_OBJECT, bss, 8, 4);
	assert_true(text && bss && global && import && local);
	assert_true(kc_elf_writer_add_rela(writer, text, 1, R_X86_64_PLT32, import, -4));
	assert_true(kc_elf_writer_add_rela(writer, text, 2, R_X86_64_PC32, local, 7));
	assert_false(kc_elf_writer_add_rela(writer, 99, 0, R_X86_64_64, global, 0));
	kc_buf_append_str(&out, "odd");
	assert_null(kc_elf_writer_finish(writer, &out));
	kc_elf_writer_free(writer);

	kc_buf_append(&object, out.data + 3, out.size - 3);
	elf = parse("written.o", object.data, object.size);
	section = kc_elf_section_find(elf, ".text.f");
	assert_memory_equal(section->data, "\xe8\0\0\0\0\xc3", 6);
	assert_int_equal(section->align, 16);
	assert_int_equal(section->n_relas, 2);
	assert_string_equal(section->relas[0].symbol->name, "puts");
	assert_int_equal(section->relas[0].addend, -4);
	assert_int_equal(section->relas[0].symbol->shndx, SHN_UNDEF);
	assert_string_equal(section->relas[1].symbol->name, "counter");
	assert_int_equal(section->relas[1].symbol->value, 8);
	assert_int_equal(kc_elf_section_find(elf, ".bss")->size, 1000);
	assert_int_equal(elf->symbols[1].bind, STB_LOCAL);
	assert_int_equal(kc_elf_symbol_find(elf, "f")->bind, STB_GLOBAL);
}

/* Sections that grow, and a relocation section that comes before those that the writer makes itself. */
static void writer_grows_sections_and_orders_relocations(void **state)
{
	struct kc_elf_writer *writer = kc_elf_writer_new();
	kc_autobuf struct kc_buf out = { 0 };
	kc_autoelf struct kc_elf *elf = NULL;
	const struct kc_elf_section *section;
	kc_section_id text, bss, first;
	kc_symbol_id symbol;

	(void)state;
	text = kc_elf_writer_add_section(writer, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 4, 0, NULL, 0);
	bss = kc_elf_writer_add_section(writer, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 8, 0, NULL, 0);
	kc_elf_writer_append(writer, text, 16, "abcdefgh", 8);
	kc_elf_writer_append(writer, text, 1, NULL, 4);
	kc_elf_writer_set(writer, text, 8, "\x12\x34", 2);
	kc_elf_writer_append(writer, bss, 64, NULL, 100);
	assert_int_equal(kc_elf_writer_section_size(writer, text), 12);
	symbol = kc_elf_writer_add_symbol(writer, "special", STB_GLOBAL, STT_NOTYPE, 0xff20, 0, 0);
	assert_true(kc_elf_writer_add_rela(writer, text, 0, R_X86_64_32, symbol, 0));
	first = kc_elf_writer_add_rela_section(writer, ".first", SHF_ALLOC, text);
	assert_true(kc_elf_writer_add_rela(writer, first, 4, R_X86_64_32, symbol, 5));
	assert_null(kc_elf_writer_finish(writer, &out));
	kc_elf_writer_free(writer);

	elf = parse("grown.o", out.data, out.size);
	section = kc_elf_section_find(elf, ".text");
	assert_int_equal(section->size, 12);
	assert_int_equal(section->align, 16);
	assert_memory_equal(section->data, "abcdefgh\x12\x34\0\0", 12);
	assert_int_equal(kc_elf_section_find(elf, ".bss")->size, 100);
	assert_int_equal(section->n_relas, 2);
	assert_int_equal(section->relas[1].addend, 5);
	assert_int_equal(section->relas[0].symbol->shndx, 0xff20);
	assert_true(kc_elf_section_find(elf, ".first")->index < kc_elf_section_find(elf, ".rela.text")->index);
	assert_int_equal(kc_elf_section_find(elf, ".first")->info, section->index);
}

static void damaged(const char *data, size_t size, bool must_fail)
{
	/* An exact copy, so that the address sanitizer sees any step over its end. */
	char *copy = malloc(size ? size : 1);
	struct kc_elf *elf = NULL;
	struct kc_error *err;

	memcpy(copy, data, size);
	err = kc_elf_parse(NULL, "damaged", copy, size, &elf);
	if (err) {
		assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
		kc_error_free(err);
	} else {
		kc_autofree struct kc_elf_range *ranges = NULL;
		size_t n;

		assert_false(must_fail);
		kc_error_free(kc_elf_fde_ranges(NULL, elf, &ranges, &n));
		kc_elf_free(elf);
	}
	free(copy);
}

static void truncated_objects_are_refused(void **state)
{
	kc_autobuf struct kc_buf object = { 0 };

	(void)state;
	compile("gcc", "int f(int x) { return x + 1; }", &object);
	for (size_t size = 0; size < object.size; size++)
		damaged(object.data, size, true);
}

static void flipped_bytes_do_no_harm(void **state)
{
	kc_autobuf struct kc_buf object = { 0 }, library = { 0 };

	(void)state;
	compile("g++", "#include <string>\nstd::string f(int x) { throw std::string(x, 'a'); }", &object);
	for (size_t i = 0; i < object.size; i += 7) {
		object.data[i] ^= 0xff;
		damaged(object.data, object.size, false);
		object.data[i] ^= 0xff;
	}
	read_whole("/lib/x86_64-linux-gnu/libdl.so.2", &library);
	for (size_t i = 0; i < library.size; i++) {
		library.data[i] ^= 0xff;
		damaged(library.data, library.size, false);
		library.data[i] ^= 0xff;
	}
}

static void not_an_elf_file_is_refused(void **state)
{
	struct kc_elf *elf = NULL;
	struct kc_error *err = kc_elf_open(NULL, "/etc/passwd", &elf);

	(void)state;
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	assert_string_equal(kc_error_message(err), "/etc/passwd: not an ELF file");
	kc_error_free(err);
	err = kc_elf_open(NULL, "/", &elf);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	kc_error_free(err);
	err = kc_elf_open(NULL, "/no/such/file", &elf);
	assert_int_equal(kc_error_code(err), KC_ERR_SYSTEM);
	kc_error_free(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_program_has_symbols_segments_and_build_id),
		cmocka_unit_test(libc_has_versions_and_needed_libraries),
		cmocka_unit_test(file_without_section_headers_reads_the_same),
		cmocka_unit_test(comdat_members_know_their_group),
		cmocka_unit_test(object_with_many_sections),
		cmocka_unit_test(writer_makes_what_the_reader_reads),
		cmocka_unit_test(writer_grows_sections_and_orders_relocations),
		cmocka_unit_test(truncated_objects_are_refused),
		cmocka_unit_test(flipped_bytes_do_no_harm),
		cmocka_unit_test(not_an_elf_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
