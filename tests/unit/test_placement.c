/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Placement against the truth: each case links a small file, keeps an unstripped copy, and compares the address of
 * every symbol that placement found in the stripped one with the copy's symbol table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "target/user/linked.h"
#include "target/user/placement.h"
#include "workshop.h"

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
	"static __attribute__((noinline, cold)) void complain(const char *text)\n"
	"{ fprintf(stderr, \"complaint: %s\\n\", text); abort(); }\n"
	"int exported(int x)\n"
	"{ switch (x) { case 0: return helper(1); case 1: return other(2); case 2: return 44 * shared_counter++;\n"
	"  case 3: complain(\"three\"); case 4: return (int)strtol(\"44\", NULL, 10); case 5: return errno;\n"
	"  case 6: return hidden_counter * 3; case 7: return puts(\"seven\"); default: return -1; } }\n"
	"int thread_sum(int x) { local_tls++; second_tls += x; own_tls ^= 5; return local_tls + second_tls + "
	"(int)own_tls + shared_tls; }\n"
	"typedef int operation(int);\n"
	"static operation *const operations[] = { helper, other, exported, thread_sum };\n"
	"static operation *writable[] = { helper, exported };\n"
	"int dispatch(int i, int x) { writable[i & 1] = operations[i & 3]; return operations[i & 3](x) + "
	"writable[1](x); }\n"
	"static operation *choose(void) { return hidden_counter ? helper : other; }\n"
	"int chosen(int) __attribute__((ifunc(\"choose\")));\n"
	"int call_chosen(int x) { return chosen(x) + 1; }\n"
	"double scale(double x) { return x * 2.75 + 1.25; }\n"
	"int tail(char *to, const char *from) { return exported(memcmp(to, from, 400)) ^ 0x1234; }\n";

static const char rest[] =
	"int shared_counter = 9;\n__thread int shared_tls = 4;\n"
	"extern int exported(int), thread_sum(int), dispatch(int, int), call_chosen(int);\n"
	"int other(int x) { return x * 77 - shared_counter; }\n"
	"#ifdef PROGRAM\n"
	"int main(int argc, char **argv) { (void)argv; return exported(argc) + thread_sum(argc) + dispatch(argc, 2) +"
	" call_chosen(argc); }\n"
	"#endif\n";

static void find(const struct kc_elf *linked, const struct kc_elf *plain, struct kc_placement **placement)
{
	struct kc_error *err = kc_placement_find(NULL, linked, plain, placement);

	if (err)
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
}

/* Compares with the symbol table of the copy; returns how many symbols were compared. */
static size_t compare_with_truth(const struct kc_placement *placement, const struct kc_elf *truth)
{
	size_t n = 0;

	for (size_t i = 1; i < placement->plain->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &placement->plain->symbols[i], *real;
		const struct kc_placed_symbol *placed = &placement->symbols[i];

		if (!symbol->name[0] || symbol->type == STT_SECTION || symbol->type == STT_FILE)
			continue;
		real = kc_elf_symbol_find(truth, symbol->name);
		if (!real || !real->section || (symbol->section && (symbol->section->flags & SHF_MERGE)))
			continue;
		if (symbol->type == STT_TLS && placed->tls_offset != real->value)
			fail_msg("%s: TLS offset %#lx, not %#lx", symbol->name, placed->tls_offset, real->value);
		if (symbol->type != STT_TLS && symbol->section && placed->addr != real->value)
			fail_msg("%s: address %#lx, not %#lx", symbol->name, placed->addr, real->value);
		if (!symbol->section && placed->addr != KC_NO_ADDR && placed->addr != real->value &&
		    placed->plt == KC_NO_ADDR)
			fail_msg("%s: address %#lx, not %#lx", symbol->name, placed->addr, real->value);
		n++;
	}
	return n;
}

static const struct kc_placed_symbol *placed(const struct kc_placement *placement, const char *name)
{
	for (size_t i = 1; i < placement->plain->n_symbols; i++) {
		if (!strcmp(placement->plain->symbols[i].name, name))
			return &placement->symbols[i];
	}
	fail_msg("the object has no symbol %s", name);
	return NULL;
}

struct variant {
	const char *compile, *link;
};

static void check_variant(const struct variant *variant)
{
	struct kc_placement *placement = NULL;
	struct workshop shop;

	print_message("# cc %s; ld %s\n", variant->compile, variant->link);
	workshop_open(&shop);
	workshop_write(&shop, "part.c", part);
	workshop_write(&shop, "rest.c", rest);
	workshop_run(&shop, "gcc -g0 -O2 %s -c part.c; gcc -g0 -O2 %s -c rest.c", variant->compile, variant->compile);
	workshop_run(&shop, "gcc %s -Wl,--build-id -o truth rest.o part.o; strip -o linked truth", variant->link);
	find(workshop_elf(&shop, "linked"), workshop_elf(&shop, "part.o"), &placement);
	assert_true(compare_with_truth(placement, workshop_elf(&shop, "truth")) >= 20);
	assert_true(placement->n_functions_proved >= 8);
	kc_placement_free(placement);
	workshop_close(&shop);
}

static void addresses_are_those_of_the_unstripped_file(void **state)
{
	static const struct variant variants[] = {
		{ "-fPIC", "-shared" },
		{ "-fPIC -fno-plt", "-shared" },
		{ "-fPIC -fno-plt -fcf-protection", "-shared -Wl,-z,now -Wl,-z,ibtplt" },
		{ "-fPIC -fcf-protection=full", "-shared -Wl,-z,ibtplt" },
		{ "-fPIC -fvisibility=hidden", "-shared" },
		{ "-fPIC -ftls-model=initial-exec", "-shared" },
		{ "-fPIC -ftls-model=local-dynamic", "-shared" },
		{ "-fPIC", "-shared -Wl,-Bsymbolic" },
		{ "-fPIC -ffunction-sections -fdata-sections", "-shared -Wl,--gc-sections" },
		{ "-fPIE -DPROGRAM", "-pie" },
		{ "-fPIC -DPROGRAM", "-pie" },
		{ "-fPIC -fno-plt -DPROGRAM", "-pie" },
		{ "-fPIE -DPROGRAM -fcf-protection", "-static-pie" },
		{ "-fno-pie -DPROGRAM", "-no-pie" },
		{ "-fPIC -DPROGRAM", "-no-pie" },
		{ "-fPIC -fno-plt -DPROGRAM", "-no-pie -Wl,-z,now" },
		{ "-fno-pie -DPROGRAM", "-static" },
		{ "-fPIE -DPROGRAM -Os", "-pie -Wl,--as-needed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		check_variant(&variants[i]);
}

static void imports_have_plt_entries_slots_and_tls_pairs(void **state)
{
	struct kc_placement *placement = NULL;
	kc_autolinked struct kc_linked *linked = NULL;
	struct workshop shop;
	uint64_t slot = 0;

	(void)state;
	workshop_open(&shop);
	workshop_write(&shop, "part.c", part);
	workshop_write(&shop, "rest.c", rest);
	workshop_run(&shop, "gcc -g0 -O2 -fPIC -c part.c; gcc -g0 -O2 -fPIC -c rest.c;"
			    "gcc -shared -o truth rest.o part.o; strip -o linked truth");
	find(workshop_elf(&shop, "linked"), workshop_elf(&shop, "part.o"), &placement);
	assert_null(kc_linked_new(NULL, placement->linked, &linked));
	assert_true(kc_linked_plt_slot(linked, placed(placement, "puts")->plt, &slot));
	assert_string_equal(kc_linked_rela_at(linked, slot)->symbol->name, "puts");
	assert_true(placed(placement, "puts")->addr == KC_NO_ADDR);
	assert_string_equal(kc_linked_rela_at(linked, placed(placement, "stderr")->got)->symbol->name, "stderr");
	assert_string_equal(kc_linked_rela_at(linked, placed(placement, "shared_tls")->tls_got)->symbol->name,
			    "shared_tls");
	assert_int_equal(kc_linked_rela_at(linked, placed(placement, "local_tls")->tls_got != KC_NO_ADDR
							   ? placed(placement, "local_tls")->tls_got
							   : placement->tls_ld_got)
				 ->type,
			 R_X86_64_DTPMOD64);
	kc_placement_free(placement);
	workshop_close(&shop);
}

static const char cxx[] =
	"#include <stdexcept>\n#include <string>\n#include <vector>\n"
	"struct shape { virtual ~shape() {} virtual int area() const { return 0; } };\n"
	"struct square : shape { int side; explicit square(int s) : side(s) {} int area() const override { return side "
	"* side; } };\n"
	"static std::string last;\n"
	"static __attribute__((noinline)) int parse(const std::string &text)\n"
	"{ if (text.empty()) throw std::invalid_argument(\"empty: \" + last); last = text; return std::stoi(text); }\n"
	"int total(const std::vector<std::string> &all)\n"
	"{ int sum = 0; for (const auto &one : all) { try { sum += parse(one); } catch (const std::invalid_argument &) "
	"{ sum--; } }\n"
	"  square s(sum); const shape &any = s; return any.area(); }\n"
	"shape *make(int side) { return new square(side); }\n";

static void cxx_with_exceptions_and_vtables_is_placed(void **state)
{
	struct kc_placement *placement = NULL;
	struct workshop shop;

	(void)state;
	workshop_open(&shop);
	workshop_write(&shop, "part.cc", cxx);
	workshop_write(&shop, "rest.cc",
		       "#include <string>\n#include <vector>\n"
		       "int more(std::vector<std::string> &v) { v.push_back(\"x\"); return v.size(); }\n");
	workshop_run(&shop, "g++ -g0 -O2 -fPIC -c part.cc; g++ -g0 -O2 -fPIC -c rest.cc;"
			    "g++ -shared -o truth rest.o part.o; strip -o linked truth");
	find(workshop_elf(&shop, "linked"), workshop_elf(&shop, "part.o"), &placement);
	assert_true(compare_with_truth(placement, workshop_elf(&shop, "truth")) >= 10);
	kc_placement_free(placement);
	workshop_close(&shop);
}

/* Links part.c, then tries to place what `edit` (a shell command) and other flags make of it. */
static struct kc_error *place_edited(struct workshop *shop, const char *edit, const char *flags)
{
	struct kc_placement *placement = NULL;
	struct kc_error *err;

	workshop_open(shop);
	workshop_write(shop, "part.c", part);
	workshop_write(shop, "rest.c", rest);
	workshop_run(shop,
		     "gcc -g0 -O2 -fPIC -c part.c; gcc -g0 -O2 -fPIC -c rest.c;"
		     "gcc -shared -o linked rest.o part.o; strip linked; %s; gcc -g0 -fPIC %s -c part.c",
		     edit, flags);
	err = kc_placement_find(NULL, workshop_elf(shop, "linked"), workshop_elf(shop, "part.o"), &placement);
	kc_placement_free(placement);
	return err;
}

static void another_source_or_compiler_gives_no_proof_and_names_the_function(void **state)
{
	static const struct {
		const char *edit, *flags, *names;
	} cases[] = {
		{ "sed -i 's/44 . shared_counter/45 * shared_counter/' part.c", "-O2", "exported" },
		{ "sed -i 's/return numbers/return 1 + numbers/' part.c", "-O2", "helper" },
		{ "sed -i 's/complaint: /Complaint: /' part.c", "-O2", "complain" },
		{ "sed -i 's/3, 1, 4, 1, 5/3, 1, 4, 1, 6/' part.c", "-O2", "numbers" },
		{ "sed -i 's/hidden_counter = 7/hidden_counter = 8/' part.c", "-O2", "hidden_counter" },
		{ "sed -i 's/2.75/2.5/' part.c", "-O2", "scale" },
		{ "sed -i 's/case 6: return hidden_counter/case 6: return zeroed[3]/' part.c", "-O2", "exported" },
		{ "sed -i 's/{ helper, other,/{ other, helper,/' part.c", "-O2", "operations" },
		{ "true", "-O1", "differ" },
		{ "true", "-O2 -fstack-protector-all", "differ" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct workshop shop;
		struct kc_error *err = place_edited(&shop, cases[i].edit, cases[i].flags);

		if (!err)
			fail_msg("%s was taken for the shipped code", cases[i].edit);
		print_message("# %s\n", kc_error_message(err));
		assert_int_equal(kc_error_code(err), KC_ERR_PROOF);
		assert_non_null(strstr(kc_error_message(err), cases[i].names));
		assert_non_null(strstr(kc_error_message(err), "GCC"));
		kc_error_free(err);
		workshop_close(&shop);
	}
}

static void an_object_of_another_file_is_not_found(void **state)
{
	struct workshop shop;
	struct kc_error *err = place_edited(
		&shop,
		"echo 'int unrelated(int a, int *b) { for (int i = 0; i < a; i++) b[i] = a * i + b[a - i]; "
		"return a ^ b[3]; }' > part.c",
		"-O2");

	(void)state;
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NOT_FOUND);
	kc_error_free(err);
	workshop_close(&shop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_those_of_the_unstripped_file),
		cmocka_unit_test(imports_have_plt_entries_slots_and_tls_pairs),
		cmocka_unit_test(cxx_with_exceptions_and_vtables_is_placed),
		cmocka_unit_test(another_source_or_compiler_gives_no_proof_and_names_the_function),
		cmocka_unit_test(an_object_of_another_file_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
