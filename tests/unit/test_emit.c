/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emission, from a source change to a payload that is parsed back. What the payload says of the target is compared with
 * an unstripped copy of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "patch/user_payload.h"
#include "target/user/emit.h"
#include "target/user/linked.h"
#include "workshop.h"

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"

static const char part[] =
	"#include <errno.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
	"extern int other(int), shared_counter;\n"
	"extern __thread int shared_tls;\n"
	"static int hidden_counter = 7, zeroed[16];\n"
	"static const int numbers[] = { 3, 1, 4, 1, 5, 9, 2, 6 };\n"
	"static __thread int local_tls = 3, second_tls;\n"
	"__thread long own_tls;\n"
	"static __attribute__((noinline)) int helper(int x)\n"
	"{ hidden_counter += x; zeroed[x & 15]++; return numbers[x & 7] + hidden_counter; }\n"
	"static __attribute__((noinline)) int untouched(int x)\n"
	"{ zeroed[x & 7] += shared_counter; return zeroed[1] ^ other(x); }\n"
	"static __attribute__((noinline, cold, noreturn)) void complain(const char *text) { puts(text); abort(); }\n"
	"int exported(int x)\n"
	"{ switch (x) { case 0: return helper(1); case 1: return other(2); case 2: return 44 * shared_counter++;\n"
	"  case 3: return untouched(x); case 4: return (int)strtol(\"44\", NULL, 10); case 5: return errno;\n"
	"  case 6: return hidden_counter * 3; case 7: return puts(\"seven\");\n"
	"  case 8: if (__builtin_expect(!getenv(\"HOME\"), 0)) complain(\"nowhere\"); return 8;\n"
	"  /* MORE */\n default: return -1; } }\n"
	"int thread_sum(int x)\n"
	"{ local_tls++; second_tls += x; own_tls ^= 5; return local_tls + second_tls + (int)own_tls + shared_tls; }\n"
	"typedef int operation(int);\n"
	"static operation *const operations[] = { helper, other, exported, thread_sum };\n"
	"int dispatch(int i, int x) { return operations[i & 3](x) + 1; }\n"
	"static operation *choose(void) { return hidden_counter ? helper : other; }\n"
	"int chosen(int) __attribute__((ifunc(\"choose\")));\n"
	"int call_chosen(int x) { return chosen(x) + 1; }\n";

static const char rest[] =
	"int shared_counter = 9;\n__thread int shared_tls = 4;\n"
	"extern int exported(int), thread_sum(int), dispatch(int, int), call_chosen(int);\n"
	"int other(int x) { return x * 77 - shared_counter; }\n"
	"#ifdef PROGRAM\n"
	"int main(int argc, char **argv) { (void)argv; return exported(argc) + thread_sum(argc) + dispatch(argc, 2) +"
	" call_chosen(argc); }\n"
	"#endif\n";

struct variant {
	const char *compiler, *compile, *link;
};

static const struct variant library = { "gcc", "-fPIC", "-shared" };

/* One fix, from source to payload. */
struct fix {
	struct workshop shop;
	struct kc_ctx *ctx;
	struct kc_elf *linked, *truth, *plain;
	struct kc_elf *libc;
	struct kc_placement *placement;
	struct kc_diff *diff;
	struct kc_buf out;
	struct kc_payload *payload;
};

static void fix_close(struct fix *fix)
{
	kc_payload_free(fix->payload);
	kc_buf_free(&fix->out);
	kc_diff_free(fix->diff);
	kc_placement_free(fix->placement);
	kc_elf_free(fix->libc);
	kc_ctx_free(fix->ctx);
	workshop_close(&fix->shop);
}

static void must(struct kc_error *err)
{
	if (err)
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
}

/* `edit` is a sed script for part.c (part.cc for g++). */
static struct kc_error *emit(struct fix *fix, const struct variant *variant, const char *source, const char *edit)
{
	struct workshop *shop = &fix->shop;
	struct kc_emit_options options = { .libraries = &fix->libc, .n_libraries = 1 };
	const char *ext = strstr(variant->compiler, "++") ? "cc" : "c";
	struct kc_emit_object object = { .name = "part.c" };
	char name[16];

	memset(fix, 0, sizeof(*fix));
	fix->ctx = kc_ctx_new();
	assert_non_null(fix->ctx);
	workshop_open(shop);
	snprintf(name, sizeof(name), "part.%s", ext);
	workshop_write(shop, name, source);
	workshop_write(shop, "rest.c", rest);
	workshop_run(shop,
		     "CC='%s -g0 -O2 %s'; SPLIT='-ffunction-sections -fdata-sections'; $CC -c part.%s -o part.o;"
		     "gcc -g0 -O2 %s -c rest.c; $CC -g $SPLIT -c part.%s -o orig.o; sed -i '%s' part.%s;"
		     "$CC -g $SPLIT -c part.%s -o patched.o; %s %s -Wl,--build-id -o truth rest.o part.o; strip -o "
		     "linked truth",
		     variant->compiler, variant->compile, ext, variant->compile, ext, edit, ext, ext, variant->compiler,
		     variant->link);
	fix->linked = workshop_elf(shop, "linked");
	fix->truth = workshop_elf(shop, "truth");
	fix->plain = workshop_elf(shop, "part.o");
	must(kc_elf_open(fix->ctx, LIBC, &fix->libc));
	must(kc_placement_find(fix->ctx, fix->linked, fix->plain, &fix->placement));
	must(kc_diff_objects(fix->ctx, workshop_elf(shop, "orig.o"), workshop_elf(shop, "patched.o"), NULL,
			     &fix->diff));
	object.diff = fix->diff;
	object.placement = fix->placement;
	return kc_emit_user_payload(fix->ctx, fix->linked, &object, 1, &options, &fix->out);
}

static const struct kc_elf_symbol *find_symbol(const struct fix *fix, const char *name)
{
	for (size_t i = 1; i < fix->payload->elf->n_symbols; i++) {
		if (!strcmp(fix->payload->elf->symbols[i].name, name))
			return &fix->payload->elf->symbols[i];
	}
	return NULL;
}

static const struct kc_payload_function *find_function(const struct fix *fix, const char *name)
{
	for (size_t i = 0; i < fix->payload->n_functions; i++) {
		if (!strcmp(fix->payload->functions[i].replacement->name, name))
			return &fix->payload->functions[i];
	}
	fail_msg("%s is not replaced", name);
	return NULL;
}

static const struct kc_payload_import *find_import(const struct fix *fix, const char *name)
{
	for (size_t i = 0; i < fix->payload->n_imports; i++) {
		if (!strcmp(fix->payload->imports[i].symbol->name, name))
			return &fix->payload->imports[i];
	}
	fail_msg("%s is not imported", name);
	return NULL;
}

/* Addresses that the payload names, against the unstripped copy and the dynamic relocations. */
static void check_target_symbols(const struct fix *fix)
{
	kc_autolinked struct kc_linked *linked = NULL;

	must(kc_linked_new(fix->ctx, fix->linked, &linked));
	for (size_t i = 1; i < fix->payload->elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &fix->payload->elf->symbols[i], *real;
		const struct kc_elf_rela *dynamic;
		char name[128];
		uint64_t slot = symbol->value;

		if (!symbol->section || strcmp(symbol->section->name, KC_PAYLOAD_TARGET_SECTION) != 0)
			continue;
		snprintf(name, sizeof(name), "%s", symbol->name);
		*strrchr(name, '@') = '\0';
		real = kc_elf_symbol_find(fix->truth, name);
		if (strstr(symbol->name, "@target") && strcmp(name, "string") != 0) {
			assert_non_null(real);
			if (real->value != symbol->value)
				fail_msg("%s: %#lx, not %#lx", symbol->name, symbol->value, real->value);
		}
		if (strstr(symbol->name, "@plt"))
			assert_true(kc_linked_plt_slot(linked, symbol->value, &slot));
		dynamic = kc_linked_rela_at(linked, slot);
		if (!strstr(symbol->name, "@target") && dynamic && dynamic->symbol->name[0] &&
		    dynamic->type != R_X86_64_DTPMOD64)
			assert_string_equal(dynamic->symbol->name, name);
	}
}

static void emit_and_parse(struct fix *fix, const struct variant *variant, const char *source, const char *edit)
{
	must(emit(fix, variant, source, edit));
	must(kc_payload_parse(fix->ctx, "payload", fix->out.data, fix->out.size, &fix->payload));
	assert_int_equal(fix->payload->build_id_size, fix->linked->build_id_size);
	assert_memory_equal(fix->payload->build_id, fix->linked->build_id, fix->linked->build_id_size);
	check_target_symbols(fix);
}

static void a_changed_function_is_described_exactly(void **state)
{
	const struct kc_payload_function *function;
	const struct kc_elf_symbol *real, *cold;
	uint8_t hash[KC_SHA256_SIZE];
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part, "s/44 . shared_counter/45 * shared_counter/");
	assert_int_equal(fix.payload->n_functions, 1);
	assert_int_equal(fix.payload->n_imports, 0);
	assert_int_equal(fix.payload->flags, 0);
	function = find_function(&fix, "exported");
	real = kc_elf_symbol_find(fix.truth, "exported");
	cold = kc_elf_symbol_find(fix.truth, "exported.cold");
	assert_non_null(cold);
	assert_int_equal(function->addr, real->value);
	assert_int_equal(function->size, real->size);
	assert_int_equal(function->jump_offset, 0);
	assert_int_equal(function->n_fragments, 2);
	assert_int_equal(function->fragments[1].addr, cold->value);
	assert_int_equal(function->fragments[1].size, cold->size);
	kc_sha256(kc_elf_read(fix.linked, real->value, real->size), real->size, hash);
	assert_memory_equal(function->hash, hash, sizeof(hash));
	/* All calls of this code are call rel32. */
	for (size_t i = 0; i < function->n_returns; i++)
		assert_int_equal(*kc_elf_read(fix.linked, function->returns[i] - 5, 1), 0xe8);
	assert_true(function->n_returns >= 4);
	assert_non_null(find_symbol(&fix, "helper@target"));
	assert_non_null(find_symbol(&fix, "hidden_counter@target"));
	assert_non_null(find_symbol(&fix, "puts@plt"));
	assert_non_null(find_symbol(&fix, "shared_counter@got"));
	fix_close(&fix);
}

/* It ends in a call of abort(), whose return address lies behind it. */
static void a_trailing_call_has_its_return_address_behind_the_function(void **state)
{
	const struct kc_payload_function *function;
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part, "s/{ puts(text); abort/{ puts(text + 1); abort/");
	function = &fix.payload->functions[0];
	assert_string_equal(function->replacement->name, "complain.constprop.0");
	assert_int_equal(function->n_returns, 2);
	assert_int_equal(function->returns[1], function->addr + function->size);
	fix_close(&fix);
}

static void calls_to_changed_functions_go_to_the_clone_and_pointers_to_the_original(void **state)
{
	const struct kc_elf_symbol *clone;
	struct fix fix;
	size_t n_direct = 0, n_original = 0;

	(void)state;
	emit_and_parse(
		&fix, &library, part,
		"s/return numbers.x . 7./return 2 + numbers[x \\& 7]/;"
		"s/.. MORE ../case 9: return helper(9); case 10: return qsort(zeroed, 3, 4, (void *)helper), 1;/");
	clone = find_symbol(&fix, "helper");
	assert_non_null(clone);
	for (size_t i = 1; i < fix.payload->elf->n_sections; i++) {
		const struct kc_elf_section *section = &fix.payload->elf->sections[i];

		for (size_t j = 0; j < section->n_relas && strcmp(section->name, ".eh_frame") != 0; j++) {
			n_direct += section->relas[j].symbol == clone && section->relas[j].type == R_X86_64_PLT32;
			n_direct += section->relas[j].symbol == clone && section->relas[j].type == R_X86_64_PC32;
			n_original += !strcmp(section->relas[j].symbol->name, "helper@target");
		}
	}
	assert_true(n_direct >= 1);
	assert_int_equal(n_original, 1);
	assert_int_equal(fix.payload->n_functions, 2);
	assert_false(fix.payload->flags & KC_PAYLOAD_PINNED);
	fix_close(&fix);
}

static void new_imports_have_version_and_library(void **state)
{
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part,
		       "s/.. MORE ../case 9: { static char to[9]; extern void *memfrob(void *, size_t);"
		       "memcpy(memfrob(to, 9), \\&x, 4); return posix_memalign((void **)to, 8, 9) + to[x]; }/");
	assert_string_equal(find_import(&fix, "posix_memalign")->version, "GLIBC_2.2.5");
	assert_string_equal(find_import(&fix, "posix_memalign")->library, "libc.so.6");
	assert_string_equal(find_import(&fix, "memfrob")->version, "GLIBC_2.2.5");
	assert_int_equal(find_import(&fix, "memfrob")->flags, 0);
	fix_close(&fix);
	/* memcpy has an old and a default version. */
	emit_and_parse(&fix, &library, part,
		       "s/.. MORE ../case 9: memcpy(strerror(x), zeroed, strtol(\"9\", 0, 10)); return 2;/");
	assert_string_equal(find_import(&fix, "memcpy")->version, "GLIBC_2.14");
	fix_close(&fix);
}

static void what_is_defined_nowhere_is_refused(void **state)
{
	struct kc_error *err;
	struct fix fix;

	(void)state;
	err = emit(&fix, &library, part,
		   "s/.. MORE ../case 9: { extern int no_such_thing(void); return no_such_thing(); }/");
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_IMPORT);
	assert_non_null(strstr(kc_error_message(err), "no_such_thing"));
	kc_error_free(err);
	fix_close(&fix);
}

static void new_functions_and_data_are_carried(void **state)
{
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part,
		       "s/^int exported/static int calls; static __attribute__((noinline)) int fresh(int x)"
		       " { return calls += x * hidden_counter; } &/; s/.. MORE ../case 9: return fresh(calls);/");
	assert_non_null(find_symbol(&fix, "fresh"));
	assert_string_equal(find_symbol(&fix, "calls")->section->name, ".bss.calls");
	assert_int_equal(fix.payload->n_functions, 1);
	assert_false(fix.payload->flags & KC_PAYLOAD_PINNED);
	fix_close(&fix);
	/* A new function whose address is stored. */
	emit_and_parse(&fix, &library, part,
		       "s/^int exported/static __attribute__((noinline)) void fresh(void) { zeroed[3]++; } &/;"
		       "s/.. MORE ../case 9: return qsort(zeroed, 3, 4, (void *)fresh), 1;/");
	assert_true(fix.payload->flags & KC_PAYLOAD_PINNED);
	fix_close(&fix);
}

static void strings_of_the_target_are_used_and_new_ones_pin(void **state)
{
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part, "s/.. MORE ../case 9: return puts(\"nowhere\");/");
	assert_non_null(find_symbol(&fix, "string@target"));
	assert_false(fix.payload->flags & KC_PAYLOAD_PINNED);
	fix_close(&fix);
	emit_and_parse(&fix, &library, part, "s/.. MORE ../case 9: return puts(\"somewhere\");/");
	assert_true(fix.payload->flags & KC_PAYLOAD_PINNED);
	fix_close(&fix);
}

/* How often the payload uses what each TLS model needs. */
static size_t count_uses(const struct fix *fix, const char *suffix)
{
	size_t n = 0;

	for (size_t i = 1; i < fix->payload->elf->n_sections; i++) {
		const struct kc_elf_section *section = &fix->payload->elf->sections[i];

		for (size_t j = 0; j < section->n_relas; j++)
			n += strstr(section->relas[j].symbol->name, suffix) != NULL;
	}
	return n;
}

static void check_tls(const struct variant *variant, const char *suffix)
{
	struct fix fix;

	print_message("%s; %s: %s\n", variant->compile, variant->link, suffix);
	emit_and_parse(&fix, variant, part, "s/local_tls + second_tls/local_tls - second_tls/");
	assert_int_equal(fix.payload->n_functions, 1);
	if (*suffix)
		assert_true(count_uses(&fix, suffix) >= 1);
	for (size_t i = 1; i < fix.payload->elf->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &fix.payload->elf->symbols[i], *real;
		char name[64];

		if (symbol->type != STT_TLS || !strncmp(symbol->name, "module", 6))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(symbol->name, "@"), symbol->name);
		real = kc_elf_symbol_find(fix.truth, name);
		assert_non_null(real);
		assert_int_equal(symbol->value, real->value);
	}
	fix_close(&fix);
}

static void all_tls_models_work(void **state)
{
	static const struct {
		struct variant variant;
		const char *suffix;
	} cases[] = {
		{ { "gcc", "-fPIC", "-shared" }, "@tlsgd" },
		{ { "gcc", "-fPIC -fno-plt", "-shared" }, "@tlsgd" },
		{ { "gcc", "-fPIC -ftls-model=local-dynamic", "-shared" }, "@tlsld" },
		{ { "gcc", "-fPIC -ftls-model=initial-exec", "-shared" }, "@gottpoff" },
		{ { "gcc", "-fPIC -DPROGRAM", "-pie" }, "tls-slot" }, /* relaxed in the target: own slots */
		{ { "gcc", "-fPIC -ftls-model=local-dynamic -DPROGRAM", "-pie" }, "tls-slot" },
		{ { "gcc", "-fPIC -ftls-model=initial-exec -DPROGRAM", "-pie" }, "tls-slot" },
		{ { "gcc", "-fPIE -DPROGRAM", "-pie" }, "" }, /* local exec: constants */
		{ { "gcc", "-fno-pie -DPROGRAM", "-no-pie" }, "" },
		{ { "gcc", "-fPIE -DPROGRAM", "-static-pie" }, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_tls(&cases[i].variant, cases[i].suffix);
}

static void local_exec_offsets_are_those_of_the_target(void **state)
{
	static const struct variant program = { "gcc", "-fPIE -DPROGRAM", "-pie" };
	const struct kc_payload_function *function;
	struct kc_elf_symbol *real;
	const uint8_t *code;
	int32_t offset = 0;
	size_t hits = 0;
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &program, part, "s/own_tls ^= 5/own_tls ^= 6/");
	function = find_function(&fix, "thread_sum");
	real = kc_elf_symbol_find(fix.truth, "own_tls");
	for (size_t i = 0; i < fix.linked->n_segments; i++) {
		const Elf64_Phdr *segment = &fix.linked->segments[i];

		if (segment->p_type == PT_TLS)
			offset = (int32_t)(real->value - (segment->p_memsz + segment->p_align - 1) / segment->p_align *
								 segment->p_align);
	}
	code = function->replacement->section->data;
	for (uint64_t at = 0; at + 4 <= function->replacement->size; at++)
		hits += !memcmp(code + at, &offset, 4);
	assert_true(hits >= 1);
	fix_close(&fix);
}

static void every_kind_of_target_gets_a_payload(void **state)
{
	static const struct variant variants[] = {
		{ "gcc", "-fPIC -fno-plt", "-shared -Wl,-z,now" },
		{ "gcc", "-fPIC -fcf-protection=full", "-shared -Wl,-z,ibtplt" },
		{ "gcc", "-fPIC -fvisibility=hidden", "-shared" },
		{ "gcc", "-fPIC -ffunction-sections -fdata-sections", "-shared -Wl,--gc-sections" },
		{ "gcc", "-fPIE -DPROGRAM", "-pie" },
		{ "gcc", "-fPIC -DPROGRAM", "-pie" },
		{ "gcc", "-fPIE -DPROGRAM -fcf-protection", "-static-pie" },
		{ "gcc", "-fno-pie -DPROGRAM", "-no-pie" },
		{ "gcc", "-fPIC -fno-plt -DPROGRAM", "-no-pie" },
		{ "gcc", "-fno-pie -DPROGRAM", "-static" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		struct fix fix;

		print_message("# cc %s; ld %s\n", variants[i].compile, variants[i].link);
		emit_and_parse(&fix, &variants[i], part,
			       "s/.. MORE ../case 9: puts(\"seven\"); return chosen(numbers[x]) + helper(2);/;"
			       "s/i & 3..x. + 1/i \\& 3](x) + 2/");
		assert_int_equal(find_function(&fix, "exported")->addr,
				 kc_elf_symbol_find(fix.truth, "exported")->value);
		assert_int_equal(find_function(&fix, "dispatch")->jump_offset,
				 strstr(variants[i].compile, "-fcf-protection") ? 4 : 0);
		fix_close(&fix);
	}
}

static const char cxx[] =
	"#include <stdexcept>\n#include <string>\n#include <vector>\n"
	"struct shape { virtual ~shape() {} virtual int area() const { return 0; } };\n"
	"struct square : shape { int side; explicit square(int s) : side(s) {} int area() const override { return "
	"side; } };\n"
	"static std::string last;\n"
	"static __attribute__((noinline)) int parse(const std::string &text)\n"
	"{ if (text.empty()) throw std::invalid_argument(\"empty: \" + last); last = text; return std::stoi(text); }\n"
	"int total(const std::vector<std::string> &all)\n"
	"{ int sum = 0; for (const auto &one : all) { try { sum += parse(one); } catch (const std::invalid_argument &) "
	"{ sum -= 1; } }\n"
	"  square s(sum); const shape &any = s; return any.area(); }\n"
	"shape *make(int side) { return new square(side); }\n";

static void cxx_clones_bring_their_unwind_table(void **state)
{
	static const struct variant cxx_library = { "g++", "-fPIC", "-shared" };
	const struct kc_elf_section *table, *exceptions = NULL;
	struct fix fix;
	bool refers = false;

	(void)state;
	emit_and_parse(&fix, &cxx_library, cxx, "s/sum -= 1/sum -= 7/");
	assert_true(fix.payload->flags & KC_PAYLOAD_UNWIND);
	table = kc_elf_section_find(fix.payload->elf, ".eh_frame");
	assert_non_null(table);
	for (size_t i = 1; i < fix.payload->elf->n_sections; i++) {
		if (!strncmp(fix.payload->elf->sections[i].name, ".gcc_except_table", 17))
			exceptions = &fix.payload->elf->sections[i];
	}
	assert_non_null(exceptions);
	for (size_t i = 0; i < table->n_relas; i++)
		refers |= table->relas[i].symbol->section == exceptions;
	assert_true(refers);
	assert_non_null(find_symbol(&fix, "DW.ref.__gxx_personality_v0@target"));
	/* CIE, FDEs, end: every entry is whole, and every CIE pointer leads to a CIE. */
	for (uint64_t at = 0; at < table->size;) {
		uint32_t length, id, cie;

		memcpy(&length, table->data + at, 4);
		if (length == 0) {
			assert_int_equal(at + 4, table->size);
			break;
		}
		memcpy(&id, table->data + at + 4, 4);
		if (id) {
			memcpy(&cie, table->data + at + 4 - id + 4, 4);
			assert_int_equal(cie, 0);
		}
		at += 4 + length;
	}
	fix_close(&fix);
}

/* Two objects of one library: the first calls a function that is new in the second, and one that changed there. */
static void objects_of_one_file_find_each_other(void **state)
{
	struct kc_emit_object objects[2] = { { .name = "a.c" }, { .name = "b.c" } };
	struct kc_placement *placements[2] = { 0 };
	struct kc_diff *diffs[2] = { 0 };
	struct fix fix = { 0 };
	size_t n_calls = 0;

	(void)state;
	fix.ctx = kc_ctx_new();
	workshop_open(&fix.shop);
	workshop_write(&fix.shop, "a.c",
		       "#define H __attribute__((visibility(\"hidden\")))\n"
		       "extern H int inner(int), fresh(int); extern int puts(const char *);\n"
		       "static __attribute__((noinline)) int same(int x) { return puts(\"a\") + x; }\n"
		       "int outer(int x) { return inner(x) + same(x) /* MORE */; }\n");
	workshop_write(&fix.shop, "b.c",
		       "#define H __attribute__((visibility(\"hidden\")))\n"
		       "extern int puts(const char *);\n"
		       "static __attribute__((noinline)) int same(int x) { return puts(\"b\") - x; }\n"
		       "H int inner(int x) { return same(x) * 3; }\n/* MORE */\n");
	workshop_run(&fix.shop,
		     "S='-ffunction-sections -fdata-sections'; CC='gcc -O2 -fPIC'; for f in a b; do $CC -c $f.c;"
		     "$CC -g $S -c $f.c -o $f.orig.o; done; gcc -shared -Wl,--build-id -o truth a.o b.o;"
		     "strip -o linked truth; sed -i 's,/. MORE ./,+ fresh(x),; s/+ x;/+ x + 1;/' a.c;"
		     "sed -i 's,/. MORE ./,H int fresh(int x) { return x + 7; },; s/- x;/- x - 1;/; s/. 3/* 4/' b.c;"
		     "for f in a b; do $CC -g $S -c $f.c -o $f.patched.o; done");
	fix.linked = workshop_elf(&fix.shop, "linked");
	fix.truth = workshop_elf(&fix.shop, "truth");
	for (int i = 0; i < 2; i++) {
		must(kc_placement_find(fix.ctx, fix.linked, workshop_elf(&fix.shop, i ? "b.o" : "a.o"),
				       &placements[i]));
		must(kc_diff_objects(fix.ctx, workshop_elf(&fix.shop, i ? "b.orig.o" : "a.orig.o"),
				     workshop_elf(&fix.shop, i ? "b.patched.o" : "a.patched.o"), NULL, &diffs[i]));
		objects[i].placement = placements[i];
		objects[i].diff = diffs[i];
	}
	must(kc_emit_user_payload(fix.ctx, fix.linked, objects, 2, NULL, &fix.out));
	must(kc_payload_parse(fix.ctx, "payload", fix.out.data, fix.out.size, &fix.payload));
	check_target_symbols(&fix);
	/* outer, inner, and two static functions of one name */
	assert_int_equal(fix.payload->n_functions, 4);
	assert_int_equal(fix.payload->n_imports, 0);
	assert_non_null(find_function(&fix, "same@1"));
	for (size_t i = 0; i < find_symbol(&fix, "outer")->section->n_relas; i++) {
		const struct kc_elf_symbol *symbol = find_symbol(&fix, "outer")->section->relas[i].symbol;

		n_calls += symbol == find_symbol(&fix, "fresh") || symbol == find_symbol(&fix, "inner") ||
			   symbol == find_symbol(&fix, "same");
	}
	assert_int_equal(n_calls, 3);
	for (int i = 0; i < 2; i++) {
		kc_placement_free(placements[i]);
		kc_diff_free(diffs[i]);
	}
	fix_close(&fix);
}

/* In an executable the compiler expects a copy of other files' data; the patch must do without one. */
static void addresses_of_new_foreign_data_are_loaded_from_a_slot(void **state)
{
	static const struct variant program = { "gcc", "-fPIE -DPROGRAM", "-pie" };
	const struct kc_elf_section *code;
	struct fix fix;
	size_t n = 0;

	(void)state;
	emit_and_parse(
		&fix, &program, part,
		"s/.. MORE ../case 9: { extern char in6addr_any[16]; return memcmp(in6addr_any, zeroed, 400); }/");
	code = find_symbol(&fix, "exported")->section;
	for (size_t i = 0; i < code->n_relas; i++) {
		const struct kc_elf_rela *rela = &code->relas[i];

		if (strcmp(rela->symbol->name, "in6addr_any") != 0)
			continue;
		assert_int_equal(rela->type, R_X86_64_REX_GOTPCRELX);
		assert_int_equal(code->data[rela->offset - 2], 0x8b);
		n++;
	}
	assert_int_equal(n, 1);
	assert_string_equal(find_import(&fix, "in6addr_any")->version, "GLIBC_2.2.5");
	fix_close(&fix);
}

static void c_code_without_unwinders_needs_no_registration(void **state)
{
	struct fix fix;

	(void)state;
	emit_and_parse(&fix, &library, part, "s/own_tls ^= 5/own_tls ^= 6/");
	assert_false(fix.payload->flags & KC_PAYLOAD_UNWIND);
	assert_non_null(kc_elf_section_find(fix.payload->elf, ".eh_frame"));
	fix_close(&fix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_function_is_described_exactly),
		cmocka_unit_test(a_trailing_call_has_its_return_address_behind_the_function),
		cmocka_unit_test(calls_to_changed_functions_go_to_the_clone_and_pointers_to_the_original),
		cmocka_unit_test(new_imports_have_version_and_library),
		cmocka_unit_test(what_is_defined_nowhere_is_refused),
		cmocka_unit_test(new_functions_and_data_are_carried),
		cmocka_unit_test(strings_of_the_target_are_used_and_new_ones_pin),
		cmocka_unit_test(all_tls_models_work),
		cmocka_unit_test(local_exec_offsets_are_those_of_the_target),
		cmocka_unit_test(every_kind_of_target_gets_a_payload),
		cmocka_unit_test(cxx_clones_bring_their_unwind_table),
		cmocka_unit_test(objects_of_one_file_find_each_other),
		cmocka_unit_test(addresses_of_new_foreign_data_are_loaded_from_a_slot),
		cmocka_unit_test(c_code_without_unwinders_needs_no_registration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
