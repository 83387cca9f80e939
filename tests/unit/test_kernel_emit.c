/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Emission of a livepatch module, from a source change of a small kernel or module to the finished file, which is read
 * back. objtool and loading are left to tests/vm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "small_kernel.h"
#include "target/kernel/kernel_emit.h"
#include "target/kernel/kernel_symvers.h"
#include "target/kernel/kernel_tables.h"

#define SHN_LIVEPATCH 0xff20
#define SHF_RELA_LIVEPATCH 0x00100000

/* Sizes of an imagined kernel, in the order of kernel_layout.h. */
static const char TEMPLATE[] =
	"#define ABSENT 0xffffffffu\n"
	"static const unsigned layout[] __attribute__((used, section(\".kcare.layout\"))) = { 0x6b636c31,\n"
	"  64, 8, 16, 24, 80, 0, 8, 16, 24, 32, 40, 96, 0, 8, 16, 88, 24, 0, 8, 128, 24, 80, 88, 64, 0, 8,\n"
	"  12, 16, 12, 8, 10, 12, 16, 0, 4, 8, 8, 6, 8 };\n"
	"struct module { char bytes[128]; } __this_module __attribute__((section(\".gnu.linkonce.this_module\")));\n"
	"static const char license[] __attribute__((used, section(\".modinfo\"), aligned(1))) = \"license=GPL\";\n"
	"static const char name[] __attribute__((used, section(\".modinfo\"), aligned(1))) = \"name=template\";\n"
	"static const struct { unsigned long crc; char name[56]; } version __attribute__((used, "
	"section(\"__versions\")))\n"
	"  = { 0x77, \"module_layout\" };\n"
	"extern char kcare_klp_patch[], kcare_patch_info[], kcare_callbacks[], kcare_globals[], kcare_switches[];\n"
	"extern const unsigned kcare_n_globals, kcare_n_switches, kcare_is_pinned;\n"
	"extern char kcare_klp_fields[] __attribute__((weak)), shared[] __attribute__((weak));\n"
	"extern int __kcare_call(void *, ...);\n"
	"int kcare_pre_patch(void *object) { return __kcare_call(object, kcare_patch_info, kcare_callbacks, "
	"kcare_globals,\n"
	"  kcare_switches, kcare_n_globals + kcare_n_switches + kcare_is_pinned); }\n"
	"void kcare_post_patch(void *object) { (void)object; }\n"
	"void kcare_pre_unpatch(void *object) { (void)object; }\n"
	"void kcare_post_unpatch(void *object) { __kcare_call(object, kcare_klp_fields, shared); }\n"
	"int init_module(void) { return __kcare_call(kcare_klp_patch); }\n";

static const char SYMVERS[] = "0x11223344\texported\tvmlinux\tEXPORT_SYMBOL_GPL\t\n"
			      "0x00000055\t__kcare_call\tkcare\tEXPORT_SYMBOL_GPL\tKCARE\n"
			      "0x00000066\tkcare_arena\tkcare\tEXPORT_SYMBOL_GPL\t\n"
			      "0x00000099\tfar_away\tdrivers/far/far-away\tEXPORT_SYMBOL_GPL\t\n"
			      "0x000000aa\t__tracepoint_far\tdrivers/far/far-away\tEXPORT_SYMBOL_GPL\t\n";

#define FLAGS                                                                                                  \
	"-O2 -mcmodel=kernel -fno-pic -fno-pie -mno-red-zone -ffreestanding -fcf-protection=none -fno-common " \
	"-fno-asynchronous-unwind-tables -fno-stack-protector -fno-toplevel-reorder"

/* One fix, from source to module. */
struct fix {
	struct workshop shop;
	struct kc_ctx *ctx;
	struct kc_kernel_object *image, *module;
	struct kc_kernel_layout layout;
	struct kc_kernel_diff diff_options[2];
	struct kc_kernel_placement *placements[2]; /* of part.c, and of rest.c where a test changes it, too */
	struct kc_diff *diffs[2];
	size_t n_objects;
	struct kc_kernel_emit_options options;
	struct kc_kernel_emitted emitted;
	struct kc_buf out;
	struct kc_elf *result;
};

static void fix_close(struct fix *fix)
{
	kc_elf_free(fix->result);
	kc_buf_free(&fix->out);
	kc_kernel_emitted_clear(&fix->emitted);
	for (size_t i = 0; i < fix->n_objects; i++) {
		kc_diff_free(fix->diffs[i]);
		kc_kernel_placement_free(fix->placements[i]);
	}
	kc_kernel_object_free(fix->module);
	kc_kernel_object_free(fix->image);
	kc_ctx_free(fix->ctx);
	workshop_close(&fix->shop);
}

static void must(struct kc_error *err)
{
	if (err)
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
}

/* The change that the sed script `edit` makes to NAME.c, of which NAME.o is in the image or module. */
static void change(struct fix *fix, const char *name, const char *edit)
{
	static const char *const allowed[] = { "static-key", NULL };
	struct workshop *shop = &fix->shop;
	struct kc_kernel_diff *target = &fix->diff_options[fix->n_objects];
	struct kc_diff_options options;
	struct kc_elf *objects[3];
	char object[32];

	workshop_write(shop, "edit.sed", edit);
	workshop_run(shop,
		     "CC='gcc -g " FLAGS " -ffunction-sections -fdata-sections'; $CC -c %s.c -o %s-orig.o;"
		     "sed -i -f edit.sed %s.c; $CC -c %s.c -o %s-patched.o",
		     name, name, name, name, name);
	for (int i = 0; i < 3; i++) {
		snprintf(object, sizeof(object), "%s%s.o", name, (const char *[]){ "", "-orig", "-patched" }[i]);
		objects[i] = workshop_elf(shop, object);
	}
	*target = (struct kc_kernel_diff){ .layout = &fix->layout, .orig = objects[1], .allowed = allowed };
	target->is_module = fix->module;
	kc_kernel_diff_options(target, &options);
	options.is_kernel = false; /* no fentry here */
	must(kc_kernel_placement_find(fix->ctx, fix->module ? fix->module : fix->image, objects[0],
				      &fix->placements[fix->n_objects]));
	must(kc_diff_objects(fix->ctx, objects[1], objects[2], &options, &fix->diffs[fix->n_objects]));
	fix->n_objects++;
}

/* A small kernel, and a change to its part.c; `is_module`: to that in small.ko. */
static void fix_open(struct fix *fix, bool is_module, const char *edit)
{
	struct workshop *shop = &fix->shop;

	*fix = (struct fix){ .ctx = kc_ctx_new() };
	assert_non_null(fix->ctx);
	workshop_open(shop);
	small_kernel_make(shop, SAMPLE_LAYOUT_6_1);
	if (is_module)
		small_kernel_make_module(shop);
	workshop_write(shop, "template.c", TEMPLATE);
	workshop_run(shop, "mkdir work; gcc -g " FLAGS " -c template.c");
	fix->image = small_kernel_open(shop, "vmlinux");
	if (is_module)
		fix->module = small_kernel_open(shop, "small.ko");
	fix->options = (struct kc_kernel_emit_options){ .image = fix->image,
							.template_elf = workshop_elf(shop, "template.o"),
							.symvers = SYMVERS,
							.module_name = "kcare_livepatch_7",
							.level = 7,
							.effective_version = "6.1.0-9",
							.cvelist = "CVE-2026-1\n" };
	must(kc_kernel_layout_read(fix->options.template_elf, &fix->layout));
	change(fix, "part", edit);
}

static struct kc_error *emit(struct fix *fix)
{
	struct kc_kernel_emit_object objects[] = { { "part.c", fix->diffs[0], fix->placements[0] },
						   { "rest.c", fix->diffs[1], fix->placements[1] } };
	char template[128], work[128];

	snprintf(template, sizeof(template), "%s/template.o", fix->shop.dir);
	snprintf(work, sizeof(work), "%s/work", fix->shop.dir);
	fix->options.template_path = template;
	fix->options.work_dir = work;
	KC_TRY(kc_kernel_emit(fix->ctx, objects, fix->n_objects, &fix->options, &fix->emitted, &fix->out));
	return kc_elf_parse(fix->ctx, "result.ko", fix->out.data, fix->out.size, &fix->result);
}

static void fix_make(struct fix *fix, bool is_module, const char *edit)
{
	fix_open(fix, is_module, edit);
	must(emit(fix));
}

/* Fails unless this rule refuses, and the message has `text`. */
static void fix_refused(struct fix *fix, const char *rule, const char *text)
{
	struct kc_error *err = emit(fix);

	assert_non_null(err);
	if (!kc_error_rule_name(err) || strcmp(kc_error_rule_name(err), rule) != 0 ||
	    !strstr(kc_error_message(err), text))
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	kc_error_free(err);
}

static const struct kc_elf_section *section(const struct fix *fix, const char *name)
{
	const struct kc_elf_section *found = kc_elf_section_find(fix->result, name);

	if (!found)
		fail_msg("no section %s", name);
	return found;
}

static const struct kc_elf_symbol *symbol(const struct fix *fix, const char *name)
{
	for (size_t i = 1; i < fix->result->n_symbols; i++)
		if (!strcmp(fix->result->symbols[i].name, name))
			return &fix->result->symbols[i];
	return NULL;
}

static bool has_text(const struct kc_elf_section *in, const char *text)
{
	return memmem(in->data, in->size, text, strlen(text) + 1) != NULL;
}

/* The relocation at a place. */
static const struct kc_elf_rela *rela_at(const struct kc_elf_section *in, uint64_t offset)
{
	for (size_t i = 0; i < in->n_relas; i++)
		if (in->relas[i].offset == offset)
			return &in->relas[i];
	fail_msg("%s+0x%llx is not relocated", in->name, (unsigned long long)offset);
	return NULL;
}

/* The string that the pointer there leads to. */
static const char *text_at(const struct kc_elf_section *in, uint64_t offset)
{
	const struct kc_elf_rela *rela = rela_at(in, offset);

	assert_non_null(rela->symbol->section);
	return (const char *)rela->symbol->section->data + rela->symbol->value + rela->addend;
}

/* How often the relocations of the code name that symbol. */
static size_t count_uses(const struct fix *fix, const char *name)
{
	const struct kc_elf_section *text = section(fix, ".text");
	size_t n = 0;

	for (size_t i = 0; i < text->n_relas; i++)
		n += text->relas[i].type != R_X86_64_NONE && !strcmp(text->relas[i].symbol->name, name);
	return n;
}

/* The number of a relocation section of that name; its entries in `*n`. */
static const Elf64_Shdr *find_header(const struct fix *fix, const char *name, size_t *index)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)fix->out.data;
	const Elf64_Shdr *headers = (const Elf64_Shdr *)(fix->out.data + header->e_shoff);
	const char *names = fix->out.data + headers[header->e_shstrndx].sh_offset;

	for (size_t i = 1; i < header->e_shnum; i++) {
		if (!strcmp(names + headers[i].sh_name, name)) {
			*index = i;
			return &headers[i];
		}
	}
	fail_msg("no section %s", name);
	return NULL;
}

static void checks_klp_symbols(const struct fix *fix)
{
	size_t klp_index, rela_index, n = 0;
	const Elf64_Shdr *klp = find_header(fix, ".klp.rela.vmlinux..text", &klp_index);

	find_header(fix, ".rela.text", &rela_index);
	assert_true(klp_index < rela_index);
	assert_int_equal(klp->sh_flags & (SHF_ALLOC | SHF_RELA_LIVEPATCH), SHF_ALLOC | SHF_RELA_LIVEPATCH);
	for (size_t i = 1; i < fix->result->n_symbols; i++) {
		const struct kc_elf_symbol *klp_symbol = &fix->result->symbols[i];

		if (strncmp(klp_symbol->name, ".klp.sym.", 9) != 0)
			continue;
		assert_int_equal(klp_symbol->shndx, SHN_LIVEPATCH);
		n += !strncmp(klp_symbol->name, ".klp.sym.vmlinux.", 17);
	}
	/* one entry, one search, for each */
	assert_int_equal(klp->sh_size, n * sizeof(Elf64_Rela));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ELF64_R_TYPE(((const Elf64_Rela *)(fix->out.data + klp->sh_offset))[i].r_info),
				 R_X86_64_NONE);
}

static void unexported_symbols_become_livepatch_symbols(void **state)
{
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/return operation(x) + 1;/");
	checks_klp_symbols(&fix);
	/* two functions have this name: rest.c's comes first */
	assert_true(count_uses(&fix, ".klp.sym.vmlinux.helper,2") > 0);
	assert_int_equal(count_uses(&fix, ".klp.sym.vmlinux.helper,1"), 0);
	assert_true(count_uses(&fix, ".klp.sym.vmlinux.per_cpu_count,1") > 0);
	assert_true(count_uses(&fix, ".klp.sym.vmlinux.operation,1") > 0);
	assert_int_equal(fix.emitted.n_klp_symbols,
			 find_header(&fix, ".klp.rela.vmlinux..text", &(size_t){ 0 })->sh_size / 24);
	assert_string_equal(fix.emitted.functions[0], "vmlinux:exported");
	assert_null(fix.emitted.functions[1]);
	assert_false(fix.emitted.is_pinned);
	fix_close(&fix);
}

/* What kernel/livepatch reads, by the layout in TEMPLATE. */
static void describes_the_replaced_function(void **state)
{
	const struct kc_elf_section *data;
	const struct kc_elf_symbol *patch;
	uint64_t objects, functions, at;
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/return operation(x) + 1;/");
	data = section(&fix, ".data");
	patch = symbol(&fix, "kcare_klp_patch");
	assert_non_null(patch);
	assert_ptr_equal(patch->section, data);
	assert_string_equal(rela_at(data, patch->value)->symbol->name, "__this_module");
	assert_int_equal(data->data[patch->value + 88], 1); /* replace */
	objects = rela_at(data, patch->value + 8)->addend;
	functions = rela_at(data, objects + 8)->addend;
	assert_string_equal(text_at(data, functions + 8), "exported");
	memcpy(&at, data->data + functions + 24, sizeof(at));
	assert_int_equal(at, 1);
	assert_int_equal(rela_at(data, functions + 16)->addend, symbol(&fix, "exported")->value);
	assert_string_equal(rela_at(data, objects + 16)->symbol->name, "kcare_pre_patch");
	fix_close(&fix);
}

static void module_has_its_name_and_versions(void **state)
{
	const struct kc_elf_section *info, *versions;
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/{ static int uses; return operation(x) + ++uses; }/");
	info = section(&fix, ".modinfo");
	assert_true(has_text(info, "name=kcare_livepatch_7"));
	assert_true(has_text(info, "license=GPL"));
	assert_true(has_text(info, "import_ns=KCARE"));
	assert_false(has_text(info, "name=template"));
	assert_string_equal((const char *)section(&fix, ".gnu.linkonce.this_module")->data + 24, "kcare_livepatch_7");
	versions = section(&fix, "__versions");
	assert_int_equal(versions->size, 3 * 64);
	assert_true(has_text(versions, "module_layout") && has_text(versions, "__kcare_call"));
	assert_true(has_text(versions, "kcare_arena"));
	assert_null(kc_elf_section_find(fix.result, ".kcare.layout"));
	assert_null(kc_elf_section_find(fix.result, ".debug_info"));
	fix_close(&fix);
}

static void new_variables_live_in_the_arena(void **state)
{
	static struct kc_kernel_global old[] = { { (char *)"part.c:gone", 0, 100, 4 },
						 { (char *)"part.c:exported.uses", 128, 4, 4 } };
	static const struct kc_kernel_globals previous = { old, 2 };
	const struct kc_kernel_globals *globals;
	const struct kc_elf_section *table;
	uint32_t place[2];
	uint64_t other;
	struct fix fix;

	(void)state;
	fix_open(&fix, false,
		 "s/return operation(x);/{ static int uses = 5; static long other; return operation(x) + ++uses + "
		 "++other; }/");
	fix.options.previous = &previous;
	must(emit(&fix));
	globals = &fix.emitted.globals;
	assert_int_equal(globals->n_items, 3);
	assert_string_equal(globals->items[2].name, "part.c:exported.other");
	assert_int_equal(globals->items[1].offset, 128);
	other = globals->items[2].offset;
	assert_true(other >= 100 && (other >= 132 || other + 8 <= 128) && other % 8 == 0 && other <= (1 << 18) - 8);
	assert_true(count_uses(&fix, "kcare_arena") >= 2);
	table = section(&fix, ".rodata.kcare_globals");
	assert_int_equal(table->size, 2 * 24);
	memcpy(place, table->data, sizeof(place));
	assert_true(place[0] == 128 || place[0] == other);
	assert_int_equal(table->n_relas, 1); /* only one has an initial value */
	assert_int_equal(*(const int *)text_at(table, table->relas[0].offset), 5);
	fix_close(&fix);
}

static void variables_have_the_same_place_in_each_build(void **state)
{
	uint64_t offset;
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/{ static int uses; return operation(x) + ++uses; }/");
	assert_string_equal(fix.emitted.globals.items[0].name, "part.c:exported.uses");
	offset = fix.emitted.globals.items[0].offset;
	fix_close(&fix);
	fix_make(&fix, false,
		 "s/return operation(x);/{ static int more, uses; return operation(x) + ++more + ++uses; }/");
	assert_int_equal(fix.emitted.globals.n_items, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fix.emitted.globals.items[i].offset == offset,
				 !strcmp(fix.emitted.globals.items[i].name, "part.c:exported.uses"));
	fix_close(&fix);
}

static void variable_cannot_change_its_size(void **state)
{
	static struct kc_kernel_global old[] = { { (char *)"part.c:exported.uses", 128, 8, 4 } };
	static const struct kc_kernel_globals previous = { old, 1 };
	struct fix fix;

	(void)state;
	fix_open(&fix, false, "s/return operation(x);/{ static int uses; return operation(x) + ++uses; }/");
	fix.options.previous = &previous;
	fix_refused(&fix, "data-changed", "part.c:exported.uses had 8 bytes");
	fix_close(&fix);
	fix_open(&fix, false, "s/return operation(x);/{ static int uses[70000]; return operation(x) + ++uses[x]; }/");
	fix_refused(&fix, "arena", "part.c:exported.uses");
	fix_close(&fix);
}

static void stored_new_function_pins_the_module(void **state)
{
	struct fix fix;

	(void)state;
	fix_make(&fix, false,
		 "s/^int exported(int x)/static int added(int x) { return x * 5; }\\nint exported(int x)/\n"
		 "s/if (operation) return operation(x);/if (x == 3) operation = added; else operation = helper;/");
	assert_true(fix.emitted.is_pinned);
	assert_non_null(symbol(&fix, "added"));
	/* the old function is stored by its old address */
	assert_true(count_uses(&fix, ".klp.sym.vmlinux.helper,2") > 1);
	fix_close(&fix);
}

static void called_new_function_does_not_pin(void **state)
{
	struct fix fix;

	(void)state;
	fix_make(&fix, false,
		 "s/^int exported(int x)/__attribute__((noinline)) static int added(int x) { return x * 5; }\\nint "
		 "exported(int x)/\n"
		 "s/return operation(x);/return added(x);/");
	assert_false(fix.emitted.is_pinned);
	fix_close(&fix);
}

/* A new table: looking things up in it is harmless, giving its address away is not. */
static void stored_new_data_pins_the_module(void **state)
{
	struct fix fix;

	(void)state;
	fix_make(&fix, false,
		 "s/return operation(x);/{ static const char *const table[] = { \"a\", \"b\" }; return rest(table[x], "
		 "1); }/");
	assert_false(fix.emitted.is_pinned);
	fix_close(&fix);
	fix_make(&fix, false,
		 "s/return operation(x);/{ static const char *const table[] = { \"a\", \"b\" };"
		 " return rest((const char *)table, 1) + rest(table[x], 1); }/");
	assert_true(fix.emitted.is_pinned);
	fix_close(&fix);
}

static void symbols_of_modules_wait_for_the_module(void **state)
{
	const struct kc_elf_section *fields;
	size_t index, rela_index, n;
	const Elf64_Shdr *klp;
	struct fix fix;

	(void)state;
	fix_make(&fix, true, "s/return operation(x);/return operation(x) + 1;/");
	klp = find_header(&fix, ".klp.rela.small..text", &index);
	find_header(&fix, ".rela.text", &rela_index);
	assert_true(index < rela_index);
	assert_int_equal(klp->sh_flags & (SHF_ALLOC | SHF_RELA_LIVEPATCH), SHF_ALLOC | SHF_RELA_LIVEPATCH);
	n = klp->sh_size / sizeof(Elf64_Rela);
	assert_true(n >= 5);
	assert_non_null(symbol(&fix, ".klp.sym.small.helper,2"));
	assert_non_null(symbol(&fix, ".klp.sym.small.operation,1"));
	/* and the fields are listed, for kernels that do not clear them */
	fields = section(&fix, ".rodata.kcare_klp_fields");
	assert_int_equal(fields->size, (n + 1) * 24);
	assert_string_equal(text_at(fields, 0), "small");
	assert_ptr_equal(rela_at(fields, 8)->symbol->section, section(&fix, ".text"));
	/* the template's weak symbols are only looked for when they are of use */
	assert_non_null(symbol(&fix, ".klp.sym.vmlinux.shared,1"));
	assert_string_equal(fix.emitted.functions[0], "small:exported");
	fix_close(&fix);
}

static void jump_label_of_a_module_is_refused(void **state)
{
	struct fix fix;

	(void)state;
	fix_open(&fix, true, "s/return helper(x + 1) ^ 77;/return helper(x + 1) ^ 78;/");
	fix_refused(&fix, "module-special", "switch_key");
	fix_close(&fix);
	fix_make(&fix, false, "s/return helper(x + 1) ^ 77;/return helper(x + 1) ^ 78;/");
	assert_string_equal(rela_at(section(&fix, "__jump_table"), 8)->symbol->name, ".klp.sym.vmlinux.switch_key,1");
	assert_int_equal(rela_at(section(&fix, "__jump_table"), 8)->addend, 2);
	fix_close(&fix);
}

/* Its label is there, with a key that is always off. */
static void tracepoint_of_a_module_stays_silent(void **state)
{
	const struct kc_elf_rela *key;
	struct fix fix;

	(void)state;
	fix_make(&fix, true,
		 "s/return operation(x);/{ asm goto(\"1: jmp %l[on]\\\\n .pushsection __jump_table, \\\\\"aw\\\\\"\\\\n"
		 ".balign 8\\\\n .long 1b - .\\\\n .long %l[on] - .\\\\n .quad __tracepoint_far + 2 - .\\\\n"
		 ".popsection\" : : : : on); return 1; on: return operation(x); }/");
	key = rela_at(section(&fix, "__jump_table"), 8);
	assert_int_equal(key->type, R_X86_64_PC64);
	assert_int_equal(key->addend & 3, 2);
	assert_string_equal(key->symbol->section->name, ".bss");
	assert_true(key->symbol->section->size >= 16);
	fix_close(&fix);
}

#define ENTRY(kind) "__attribute__((used, section(\".kcare." kind "\"), aligned(8)))"

static void collects_what_a_fix_brings(void **state)
{
	const struct kc_elf_section *table;
	struct fix fix;

	(void)state;
	fix_make(&fix, false,
		 "s/^int exported(int x)/static int prepare(void *o) { return shared + !o; }\\n"
		 "static int (*const entry)(void *) " ENTRY(
			 "callbacks.post_unpatch") " = prepare;\\n"
						   "static const struct { unsigned long id; unsigned version, "
						   "reserved; } owned " ENTRY(
							   "states") " = { 77, 3 };\\n"
								     "int exported(int x)/\n"
								     "s/return operation(x);/{ static struct { const "
								     "int *value; char name[56]; } s " ENTRY(
									     "switches") " = { 0, \"first\" }; return "
											 "*s.value ? operation(x) : 0; "
											 "}/");
	table = section(&fix, ".rodata.kcare_callbacks");
	assert_int_equal(table->size, 2 * 24);
	assert_int_equal(table->data[8], 3);
	assert_int_equal(rela_at(table, 16)->addend, symbol(&fix, "prepare")->value);
	assert_int_equal(fix.emitted.n_states, 1);
	assert_int_equal(fix.emitted.states[0], 77);
	assert_int_equal(section(&fix, ".data.kcare_states")->data[8], 3);
	assert_string_equal(fix.emitted.switches[0], "first");
	assert_null(fix.emitted.switches[1]);
	assert_int_equal(section(&fix, ".kcare.switches")->size, 64);
	assert_ptr_equal(symbol(&fix, "kcare_switches")->section, section(&fix, ".kcare.switches"));
	assert_false(fix.emitted.is_pinned);
	fix_close(&fix);
}

static void unknown_symbol_is_refused(void **state)
{
	struct fix fix;

	(void)state;
	fix_open(&fix, false, "s/return operation(x);/{ extern int nowhere(int); return nowhere(x); }/");
	fix_refused(&fix, "no-address", "nowhere");
	fix_close(&fix);
	/* another module may not be there; code of a module can rely on it */
	fix_open(&fix, false, "s/return operation(x);/{ extern int far_away(int); return far_away(x); }/");
	fix_refused(&fix, "no-address", "far_away");
	fix_close(&fix);
	fix_make(&fix, true, "s/return operation(x);/{ extern int far_away(int); return far_away(x); }/");
	assert_non_null(symbol(&fix, ".klp.sym.far_away.far_away,0"));
	fix_close(&fix);
}

/* objtool must see that what follows the call is not reached. */
static void call_that_never_returns_goes_through_a_stub(void **state)
{
	const struct kc_elf_symbol *stub;
	const struct kc_elf_rela *rela;
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/return operation(x) + 1;/");
	stub = symbol(&fix, "stop.noreturn");
	assert_non_null(stub);
	assert_int_equal(stub->size, 7);
	assert_int_equal(stub->value % 16, 0);
	rela = rela_at(stub->section, stub->value + 1);
	assert_string_equal(rela->symbol->name, ".klp.sym.vmlinux.stop,1");
	assert_int_equal(count_uses(&fix, ".klp.sym.vmlinux.stop,1"), 1);
	assert_null(symbol(&fix, "helper.noreturn"));
	fix_close(&fix);
}

static void objects_of_one_fix_know_each_other(void **state)
{
	const struct kc_elf_symbol *added;
	const struct kc_elf_section *text;
	size_t n = 0;
	struct fix fix;

	(void)state;
	fix_open(&fix, false,
		 "s/return operation(x);/{ extern int added(int), new_count; return added(x) + rest(0, new_count); }/");
	change(&fix, "rest",
	       "s/^int rest(/int new_count = 4;\\nint added(int x) { return x * 7 + new_count; }\\n&/; s/shared += "
	       "/shared -= /");
	must(emit(&fix));
	added = symbol(&fix, "added");
	assert_non_null(added);
	text = section(&fix, ".text");
	for (size_t i = 0; i < text->n_relas; i++)
		n += text->relas[i].symbol->section == text && text->relas[i].addend == (int64_t)added->value - 4;
	assert_int_equal(n, 1);
	/* calls of a changed function go to the new one at once */
	assert_int_equal(count_uses(&fix, ".klp.sym.vmlinux.rest,1"), 0);
	assert_string_equal(fix.emitted.functions[0], "vmlinux:exported");
	assert_string_equal(fix.emitted.functions[1], "vmlinux:rest");
	assert_int_equal(fix.emitted.globals.n_items, 1);
	assert_string_equal(fix.emitted.globals.items[0].name, "rest.c:new_count");
	assert_true(count_uses(&fix, "kcare_arena") >= 2);
	fix_close(&fix);
}

static void equal_inputs_give_equal_modules(void **state)
{
	struct kc_kernel_emitted second = { 0 };
	kc_autobuf struct kc_buf again = { 0 };
	struct fix fix;

	(void)state;
	fix_make(&fix, false, "s/return operation(x);/{ static int uses; return operation(x) + ++uses; }/");
	kc_buf_append(&again, fix.out.data, fix.out.size);
	second = fix.emitted;
	kc_elf_free(fix.result);
	kc_buf_reset(&fix.out);
	must(emit(&fix));
	assert_int_equal(again.size, fix.out.size);
	assert_memory_equal(again.data, fix.out.data, again.size);
	kc_kernel_emitted_clear(&second);
	fix_close(&fix);
}

static void symvers_are_read(void **state)
{
	struct kc_kernel_symvers symvers;
	struct kc_error *err;

	(void)state;
	must(kc_kernel_symvers_parse(SYMVERS, &symvers));
	assert_int_equal(symvers.n_exports, 5);
	assert_int_equal(kc_kernel_symvers_find(&symvers, "exported")->crc, 0x11223344);
	assert_string_equal(kc_kernel_symvers_find(&symvers, "far_away")->module, "far_away");
	assert_string_equal(kc_kernel_symvers_find(&symvers, "__kcare_call")->name_space, "KCARE");
	assert_null(kc_kernel_symvers_find(&symvers, "absent"));
	kc_kernel_symvers_clear(&symvers);
	err = kc_kernel_symvers_parse("0x12\tgood\tvmlinux\tEXPORT_SYMBOL\t\nnonsense\n", &symvers);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	kc_error_free(err);
	kc_kernel_symvers_clear(&symvers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unexported_symbols_become_livepatch_symbols),
		cmocka_unit_test(describes_the_replaced_function),
		cmocka_unit_test(module_has_its_name_and_versions),
		cmocka_unit_test(new_variables_live_in_the_arena),
		cmocka_unit_test(variables_have_the_same_place_in_each_build),
		cmocka_unit_test(variable_cannot_change_its_size),
		cmocka_unit_test(stored_new_function_pins_the_module),
		cmocka_unit_test(called_new_function_does_not_pin),
		cmocka_unit_test(stored_new_data_pins_the_module),
		cmocka_unit_test(symbols_of_modules_wait_for_the_module),
		cmocka_unit_test(jump_label_of_a_module_is_refused),
		cmocka_unit_test(tracepoint_of_a_module_stays_silent),
		cmocka_unit_test(collects_what_a_fix_brings),
		cmocka_unit_test(unknown_symbol_is_refused),
		cmocka_unit_test(call_that_never_returns_goes_through_a_stub),
		cmocka_unit_test(objects_of_one_fix_know_each_other),
		cmocka_unit_test(equal_inputs_give_equal_modules),
		cmocka_unit_test(symvers_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
