/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "patch/user_payload.h"
#include "sample.h"

static struct kc_error *parse(const struct kc_buf *file, struct kc_payload **payload)
{
	return kc_payload_parse(NULL, "sample", file->data, file->size, payload);
}

static void what_was_encoded_is_read(void **state)
{
	kc_autobuf struct kc_buf file = { 0 };
	kc_autopayload struct kc_payload *payload = NULL;
	const struct kc_payload_function *function;
	const struct kc_payload_import *import;

	(void)state;
	sample_payload(&file);
	sample_must(parse(&file, &payload));
	assert_int_equal(payload->build_id_size, 20);
	assert_int_equal(payload->build_id[0], 0x93);
	assert_int_equal(payload->flags, KC_PAYLOAD_PINNED);
	assert_int_equal(payload->n_functions, 1);
	function = &payload->functions[0];
	assert_string_equal(function->replacement->name, "new_function");
	assert_int_equal(function->addr, SAMPLE_FUNCTION_ADDR);
	assert_int_equal(function->size, SAMPLE_FUNCTION_SIZE);
	assert_int_equal(function->jump_offset, 4);
	assert_int_equal(function->hash[0], 0xaa);
	assert_int_equal(function->n_fragments, 2);
	assert_int_equal(function->fragments[1].addr, 0x800);
	assert_int_equal(function->n_returns, 3);
	assert_int_equal(function->returns[1], SAMPLE_FUNCTION_ADDR + SAMPLE_FUNCTION_SIZE);
	assert_int_equal(payload->n_imports, 1);
	import = &payload->imports[0];
	assert_string_equal(import->symbol->name, "memcpy");
	assert_string_equal(import->version, "GLIBC_2.14");
	assert_string_equal(import->library, "libc.so.6");
	assert_int_equal(import->flags, KC_IMPORT_WEAK);
}

static void functions_are_sorted_and_import_may_be_open(void **state)
{
	const struct kc_payload_fragment later[] = { { 0x2000, 16 } }, earlier[] = { { 0x100, 5 } };
	kc_autobuf struct kc_buf file = { 0 };
	kc_autopayload struct kc_payload *payload = NULL;
	struct sample_object object;

	(void)state;
	sample_object_start(&object);
	kc_elf_writer_add_symbol(object.writer, "any", STB_WEAK, STT_NOTYPE, 0, 0, 0);
	sample_object_add_function(&object, "new_helper", 0, later, 1, NULL, 0);
	sample_object_add_notes(&object);
	sample_object_add_function(&object, "new_helper", 0, earlier, 1, NULL, 0);
	sample_object_add_import(&object, "any", NULL, NULL, 0);
	sample_object_finish(&object, &file);
	sample_must(parse(&file, &payload));
	assert_int_equal(payload->n_functions, 3);
	assert_int_equal(payload->functions[0].addr, 0x100);
	assert_int_equal(payload->functions[2].addr, 0x2000);
	assert_null(payload->imports[1].version);
	assert_null(payload->imports[1].library);
}

/* ---- one thing wrong in a valid payload ---- */

static void second_target(struct sample_object *o)
{
	kc_payload_encode_target(&o->notes, (const uint8_t *)"x", 1, 0);
}

static void unknown_type(struct sample_object *o)
{
	size_t start = o->notes.size;

	kc_payload_encode_target(&o->notes, (const uint8_t *)"x", 1, 0);
	o->notes.data[start + 8] = 9;
}

static void other_owner(struct sample_object *o)
{
	size_t start = o->notes.size;

	kc_payload_encode_target(&o->notes, (const uint8_t *)"x", 1, 0);
	o->notes.data[start + 12] = 'K';
}

static void cut_note(struct sample_object *o)
{
	sample_object_add_import(o, "memcpy", NULL, NULL, 0);
	o->notes.size -= 4;
}

static void longer_note(struct sample_object *o)
{
	size_t start = o->notes.size;

	sample_object_add_import(o, "memcpy", NULL, NULL, 0);
	o->notes.data[start + 4] += 4;
	kc_buf_append_u32(&o->notes, 0);
}

static void add_function_at(struct sample_object *o, uint64_t addr, uint64_t size, uint32_t jump_offset)
{
	const struct kc_payload_fragment fragments[] = { { addr, size } };

	sample_object_add_function(o, "new_helper", jump_offset, fragments, 1, NULL, 0);
}

static void overlap(struct sample_object *o)
{
	add_function_at(o, SAMPLE_FUNCTION_ADDR + SAMPLE_FUNCTION_SIZE - 1, 16, 0);
}

static void overlap_with_cold_part(struct sample_object *o)
{
	add_function_at(o, 0x7f8, 16, 0);
}

static void short_function(struct sample_object *o)
{
	add_function_at(o, 0x9000, 8, 4);
}

static void odd_jump(struct sample_object *o)
{
	add_function_at(o, 0x9000, 16, 2);
}

static void wrapping_function(struct sample_object *o)
{
	add_function_at(o, UINT64_MAX - 8, 16, 0);
}

static void empty_function(struct sample_object *o)
{
	add_function_at(o, 0x9000, 0, 0);
}

static void return_at_start(struct sample_object *o)
{
	const struct kc_payload_fragment fragments[] = { { 0x9000, 16 } };
	const uint64_t returns[] = { 0x9000 };

	sample_object_add_function(o, "new_helper", 0, fragments, 1, returns, 1);
}

static void return_behind_end(struct sample_object *o)
{
	const struct kc_payload_fragment fragments[] = { { 0x9000, 16 } };
	const uint64_t returns[] = { 0x9011 };

	sample_object_add_function(o, "new_helper", 0, fragments, 1, returns, 1);
}

static void many_fragments(struct sample_object *o)
{
	struct kc_payload_fragment fragments[65];

	for (size_t i = 0; i < KC_ARRAY_SIZE(fragments); i++)
		fragments[i] = (struct kc_payload_fragment){ 0x9000 + i * 16, 16 };
	sample_object_add_function(o, "new_helper", 0, fragments, KC_ARRAY_SIZE(fragments), NULL, 0);
}

static void many_returns(struct sample_object *o)
{
	const struct kc_payload_fragment fragments[] = { { 0x9000, 1 << 20 } };
	size_t n = 65537;
	kc_autofree uint64_t *returns = calloc(n, sizeof(*returns));

	for (size_t i = 0; i < n; i++)
		returns[i] = 0x9001 + i;
	sample_object_add_function(o, "new_helper", 0, fragments, 1, returns, n);
}

static void same_fragment_twice(struct sample_object *o)
{
	const struct kc_payload_fragment fragments[] = { { 0x9000, 16 }, { 0x9000, 16 } };

	sample_object_add_function(o, "new_helper", 0, fragments, 2, NULL, 0);
}

static void replaced_by(struct sample_object *o, const char *name)
{
	const struct kc_payload_fragment fragments[] = { { 0x9000, 16 } };

	sample_object_add_function(o, name, 0, fragments, 1, NULL, 0);
}

static void replaced_by_nothing(struct sample_object *o)
{
	replaced_by(o, "no_such_symbol");
}

static void replaced_by_data(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "fake", STB_LOCAL, STT_FUNC, o->data, 0, 8);
	replaced_by(o, "fake");
}

static void replaced_by_target(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "fake", STB_LOCAL, STT_FUNC, o->target, 0x100, 8);
	replaced_by(o, "fake");
}

static void replaced_by_import(struct sample_object *o)
{
	replaced_by(o, "memcpy");
}

static void replaced_outside(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "fake", STB_LOCAL, STT_FUNC, o->text, SAMPLE_TEXT_SIZE, 0);
	replaced_by(o, "fake");
}

static void ambiguous_replacement(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "fake", STB_LOCAL, STT_FUNC, o->text, 0, 8);
	kc_elf_writer_add_symbol(o->writer, "fake", STB_LOCAL, STT_FUNC, o->text, 8, 8);
	replaced_by(o, "fake");
}

static void import_twice(struct sample_object *o)
{
	sample_object_add_import(o, "memcpy", NULL, NULL, 0);
}

static void import_without_note(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "puts", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
}

static void import_that_is_defined(struct sample_object *o)
{
	sample_object_add_import(o, "new_helper", NULL, NULL, 0);
}

static void import_flags(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "puts", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	sample_object_add_import(o, "puts", NULL, NULL, 8);
}

static void import_from_path(struct sample_object *o)
{
	kc_elf_writer_add_symbol(o->writer, "puts", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	sample_object_add_import(o, "puts", NULL, "/tmp/evil.so", 0);
}

static void relocation_type(struct sample_object *o)
{
	kc_elf_writer_add_rela(o->writer, o->text, 0, R_X86_64_TPOFF32, o->thread_local, 0);
}

static void relocation_outside(struct sample_object *o)
{
	kc_elf_writer_add_rela(o->writer, o->data, SAMPLE_DATA_SIZE - 7, R_X86_64_64, o->helper, 0);
}

static void relocation_tls_as_address(struct sample_object *o)
{
	kc_elf_writer_add_rela(o->writer, o->data, 24, R_X86_64_64, o->thread_local, 0);
}

static void relocation_address_as_tls(struct sample_object *o)
{
	kc_elf_writer_add_rela(o->writer, o->data, 24, R_X86_64_TPOFF64, o->helper, 0);
}

static void relocation_tls_in_text(struct sample_object *o)
{
	kc_elf_writer_add_rela(o->writer, o->text, 40, R_X86_64_TPOFF64, o->thread_local, 0);
}

static void relocation_in_notes(struct sample_object *o)
{
	kc_section_id debug = kc_elf_writer_add_section(o->writer, ".debug_info", SHT_PROGBITS, 0, 1, 0, "12345678", 8);

	kc_elf_writer_add_rela(o->writer, debug, 0, R_X86_64_64, o->helper, 0);
}

static void section_wx(struct sample_object *o)
{
	kc_elf_writer_add_section(o->writer, ".wx", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR, 1, 0, "x", 1);
}

static void section_constructors(struct sample_object *o)
{
	kc_elf_writer_add_section(o->writer, ".init_array", SHT_INIT_ARRAY, SHF_ALLOC | SHF_WRITE, 8, 8, "12345678", 8);
}

static void section_new_tls(struct sample_object *o)
{
	kc_elf_writer_add_section(o->writer, ".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS, 8, 0, NULL, 8);
}

static void section_huge(struct sample_object *o)
{
	kc_elf_writer_add_section(o->writer, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 8, 0, NULL, 1ULL << 40);
}

static void section_alignment(struct sample_object *o)
{
	kc_elf_writer_add_section(o->writer, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 1 << 20, 0, NULL, 8);
}

static const struct spoiled {
	const char *name;
	void (*spoil)(struct sample_object *object);
	const char *message; /* part of it */
} spoiled[] = {
	{ "second target note", second_target, "two target notes" },
	{ "unknown note type", unknown_type, "unknown type 9" },
	{ "note of another owner", other_owner, "not a note of kcare" },
	{ "note cut short", cut_note, "cut short" },
	{ "note too long", longer_note, "wrong size" },
	{ "overlapping functions", overlap, "overlap" },
	{ "overlap with a cold part", overlap_with_cold_part, "overlap" },
	{ "function shorter than the jump", short_function, "shorter than the jump" },
	{ "jump at an odd place", odd_jump, "bad jump offset" },
	{ "function that wraps around", wrapping_function, "wraps around" },
	{ "empty function", empty_function, "is empty" },
	{ "return address at the start", return_at_start, "return address 0x9000" },
	{ "return address behind the end", return_behind_end, "return address 0x9011" },
	{ "too many fragments", many_fragments, "65 fragments" },
	{ "too many return addresses", many_returns, "too many return addresses" },
	{ "one fragment twice", same_fragment_twice, "overlap" },
	{ "replacement that does not exist", replaced_by_nothing, "does not exist" },
	{ "replacement in data", replaced_by_data, "is not a function" },
	{ "replacement in the target", replaced_by_target, "is not a function" },
	{ "replacement that is imported", replaced_by_import, "is not a function" },
	{ "replacement outside its section", replaced_outside, "outside its section" },
	{ "replacement that exists twice", ambiguous_replacement, "exists twice" },
	{ "import described twice", import_twice, "two import notes" },
	{ "import without a note", import_without_note, "has no import note" },
	{ "import that is defined", import_that_is_defined, "is defined in the payload" },
	{ "import with unknown flags", import_flags, "unknown flags" },
	{ "import from a path", import_from_path, "bad version or library" },
	{ "relocation type", relocation_type, "is not allowed here" },
	{ "relocation outside its section", relocation_outside, "outside" },
	{ "relocation: TLS as an address", relocation_tls_as_address, "has no address" },
	{ "relocation: an address as TLS", relocation_address_as_tls, "has no address" },
	{ "relocation: TLS in code", relocation_tls_in_text, "is not allowed here" },
	{ "relocation in a section that is not mapped", relocation_in_notes, "must not have relocations" },
	{ "section writable and executable", section_wx, "writable and executable" },
	{ "section with constructors", section_constructors, "cannot be mapped" },
	{ "section with new TLS", section_new_tls, "thread-local" },
	{ "section too large", section_huge, "too large" },
	{ "section with a large alignment", section_alignment, "alignment" },
};

static void one_wrong_thing_is_refused(void **state)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(spoiled); i++) {
		kc_autobuf struct kc_buf file = { 0 };
		struct kc_payload *payload = NULL;
		kc_autoerror struct kc_error *err = NULL;
		struct sample_object object;

		(void)state;
		sample_object_start(&object);
		sample_object_add_notes(&object);
		spoiled[i].spoil(&object);
		sample_object_finish(&object, &file);
		err = parse(&file, &payload);
		if (!err)
			fail_msg("%s: accepted", spoiled[i].name);
		if (!strstr(kc_error_message(err), spoiled[i].message))
			fail_msg("%s: refused for another reason: %s", spoiled[i].name, kc_error_message(err));
		assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	}
}

static void notes_are_needed(void **state)
{
	kc_autobuf struct kc_buf without = { 0 }, only_target = { 0 };
	kc_autoerror struct kc_error *no_notes = NULL, *no_function = NULL;
	struct kc_payload *payload = NULL;
	struct sample_object object;

	(void)state;
	sample_object_start(&object);
	sample_object_finish(&object, &without);
	no_notes = parse(&without, &payload);
	assert_non_null(no_notes);
	sample_object_start(&object);
	kc_payload_encode_target(&object.notes, (const uint8_t *)"x", 1, 0);
	sample_object_add_import(&object, "memcpy", NULL, NULL, 0);
	sample_object_finish(&object, &only_target);
	no_function = parse(&only_target, &payload);
	assert_non_null(strstr(kc_error_message(no_function), "replaces no function"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encoded_is_read),
		cmocka_unit_test(functions_are_sorted_and_import_may_be_open),
		cmocka_unit_test(one_wrong_thing_is_refused),
		cmocka_unit_test(notes_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
