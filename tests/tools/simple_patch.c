/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a patch file from a compiled object, for tests of the patcher that must not depend on the builder:
 *
 *	simple_patch TARGET OBJECT KEY OUT LEVEL PATCHSET FLAGS FUNCTION…
 *
 * Each FUNCTION of OBJECT replaces the one of that name in TARGET, which must have a symbol table. No proof, no differ:
 * the caller knows what changed. Return addresses are found by the bytes of a near call, which finds too many.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "elf/elf_writer.h"
#include "patch/patch_file.h"
#include "patch/user_payload.h"
#include "sign/key.h"

struct maker {
	struct kc_ctx *ctx;
	struct kc_elf *target, *object;
	struct kc_elf_writer *writer;
	kc_section_id *sections;
	kc_symbol_id *symbols;
	kc_section_id target_section, tls_section;
	struct kc_buf notes;
};

static int die(struct kc_error *err)
{
	fprintf(stderr, "simple_patch: %s\n", kc_error_message(err));
	kc_error_free(err);
	return 1;
}

static bool is_mapped(const struct kc_elf_section *section)
{
	return section->flags & SHF_ALLOC && section->type != SHT_NOTE && section->type != SHT_NULL;
}

static void add_sections(struct maker *maker)
{
	for (size_t i = 1; i < maker->object->n_sections; i++) {
		const struct kc_elf_section *section = &maker->object->sections[i];

		if (is_mapped(section))
			maker->sections[i] = kc_elf_writer_add_section(
				maker->writer, section->name, section->type,
				section->flags & ~(uint64_t)(SHF_GROUP | SHF_MERGE | SHF_STRINGS), section->align, 0,
				section->data, section->size);
	}
	maker->target_section = kc_elf_writer_add_section(maker->writer, KC_PAYLOAD_TARGET_SECTION, SHT_PROGBITS,
							  SHF_ALLOC, 1, 0, "", 0);
	maker->tls_section = kc_elf_writer_add_section(maker->writer, KC_PAYLOAD_TLS_SECTION, SHT_PROGBITS,
						       SHF_ALLOC | SHF_WRITE, 1, 0, "", 0);
}

static void add_import(struct maker *maker, struct kc_elf_symbol *symbol)
{
	struct kc_payload_import import = { .symbol = symbol };

	for (size_t i = 0; i < maker->target->n_dynamic_symbols; i++) {
		const struct kc_elf_symbol *dynamic = &maker->target->dynamic_symbols[i];

		if (strcmp(dynamic->name, symbol->name) == 0) {
			import.version = dynamic->version;
			import.library = dynamic->library;
		}
	}
	if (symbol->bind == STB_WEAK)
		import.flags = KC_IMPORT_WEAK;
	kc_payload_encode_import(&maker->notes, &import);
}

static void add_undefined(struct maker *maker, size_t i)
{
	struct kc_elf_symbol *symbol = &maker->object->symbols[i];
	const struct kc_elf_symbol *there = kc_elf_symbol_find(maker->target, symbol->name);

	if (there && there->shndx != SHN_UNDEF && there->type == STT_TLS)
		maker->symbols[i] = kc_elf_writer_add_symbol(maker->writer, symbol->name, STB_GLOBAL, STT_TLS,
							     maker->tls_section, there->value, there->size);
	else if (there && there->shndx != SHN_UNDEF)
		maker->symbols[i] = kc_elf_writer_add_symbol(maker->writer, symbol->name, STB_GLOBAL, there->type,
							     maker->target_section, there->value, there->size);
	else
		maker->symbols[i] =
			kc_elf_writer_add_symbol(maker->writer, symbol->name, STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	if (!there || there->shndx == SHN_UNDEF)
		add_import(maker, symbol);
}

static void add_symbols(struct maker *maker)
{
	for (size_t i = 1; i < maker->object->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &maker->object->symbols[i];

		if (symbol->shndx == SHN_UNDEF)
			add_undefined(maker, i);
		else if (symbol->section && is_mapped(symbol->section))
			maker->symbols[i] =
				kc_elf_writer_add_symbol(maker->writer, symbol->name, symbol->bind, symbol->type,
							 maker->sections[symbol->section->index], symbol->value,
							 symbol->size);
	}
	for (size_t i = 1; i < maker->object->n_sections; i++)
		for (size_t j = 0; maker->sections[i] && j < maker->object->sections[i].n_relas; j++) {
			const struct kc_elf_rela *rela = &maker->object->sections[i].relas[j];

			kc_elf_writer_add_rela(maker->writer, maker->sections[i], rela->offset, rela->type,
					       maker->symbols[rela->symbol->index], rela->addend);
		}
}

static void add_fragment(struct maker *maker, const struct kc_elf_symbol *symbol, struct kc_payload_function *function)
{
	const uint8_t *code = kc_elf_read(maker->target, symbol->value, symbol->size);

	function->fragments[function->n_fragments++] = (struct kc_payload_fragment){ symbol->value, symbol->size };
	for (size_t at = 2; code && at <= symbol->size; at++)
		if ((at >= 5 && code[at - 5] == 0xe8) || (code[at - 2] == 0xff && (code[at - 1] & 0xf8) == 0xd0) ||
		    (at >= 6 && code[at - 6] == 0xff && code[at - 5] == 0x15))
			function->returns[function->n_returns++] = symbol->value + at;
}

static struct kc_error *add_function(struct maker *maker, const char *name)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	struct kc_elf_symbol *there = kc_elf_symbol_find(maker->target, name);
	struct kc_elf_symbol *here = kc_elf_symbol_find(maker->object, name);
	struct kc_payload_fragment fragments[2];
	uint64_t returns[1024];
	struct kc_payload_function function = { .replacement = here, .fragments = fragments, .returns = returns };
	char cold[256];
	const uint8_t *code;

	if (!there || !here)
		return kc_error_new(KC_ERR_INPUT, "no function %s", name);
	function.addr = there->value;
	function.size = there->size;
	code = kc_elf_read(maker->target, there->value, there->size);
	if (!code)
		return kc_error_new(KC_ERR_INPUT, "function %s has no code", name);
	kc_sha256(code, there->size, function.hash);
	function.jump_offset = there->size > 9 && memcmp(code, endbr64, 4) == 0 ? 4 : 0;
	add_fragment(maker, there, &function);
	snprintf(cold, sizeof(cold), "%s.cold", name);
	there = kc_elf_symbol_find(maker->target, cold);
	if (there)
		add_fragment(maker, there, &function);
	kc_payload_encode_function(&maker->notes, &function);
	return NULL;
}

static struct kc_error *make(struct maker *maker, char **argv, int argc, struct kc_buf *out)
{
	kc_autofree char *build_id = NULL;
	kc_autobuf struct kc_buf payload = { 0 };
	struct kc_patch_payload part = { .name = KC_PAYLOAD_NAME };
	struct kc_manifest manifest = { 0 };
	kc_autokey struct kc_key *key = NULL;
	struct kc_fix_info fix = { 0 };

	KC_TRY(kc_elf_open(maker->ctx, argv[1], &maker->target));
	KC_TRY(kc_elf_open(maker->ctx, argv[2], &maker->object));
	KC_TRY(kc_key_load(maker->ctx, argv[3], &key));
	maker->sections = calloc(maker->object->n_sections + 1, sizeof(*maker->sections));
	maker->symbols = calloc(maker->object->n_symbols + 1, sizeof(*maker->symbols));
	maker->writer = kc_elf_writer_new();
	kc_payload_encode_target(&maker->notes, maker->target->build_id, maker->target->build_id_size,
				 (uint32_t)strtoul(argv[7], NULL, 0));
	add_sections(maker);
	add_symbols(maker);
	for (int i = 8; i < argc; i++)
		KC_TRY(add_function(maker, argv[i]));
	kc_elf_writer_add_section(maker->writer, KC_PAYLOAD_NOTE_SECTION, SHT_NOTE, 0, 4, 0, maker->notes.data,
				  maker->notes.size);
	KC_TRY(kc_elf_writer_finish(maker->writer, &payload));
	part.data = payload.data;
	part.size = payload.size;
	build_id = kc_elf_build_id_text(maker->target);
	fix.name = (char *)"test";
	manifest.kind = KC_PATCH_USER;
	manifest.target = build_id;
	manifest.type = (char *)"default";
	manifest.level = (uint32_t)atoi(argv[5]);
	manifest.patchset = argv[6];
	manifest.object = (char *)(maker->target->soname ? maker->target->soname : kc_path_name(argv[1]));
	manifest.fixes = &fix;
	manifest.n_fixes = 1;
	return kc_patch_encode(maker->ctx, &manifest, &part, 1, key, out);
}

int main(int argc, char **argv)
{
	struct maker maker = { .ctx = kc_ctx_new() };
	struct kc_buf out = { 0 };
	struct kc_error *err;
	int ret;

	if (argc < 9) {
		fprintf(stderr, "usage: simple_patch TARGET OBJECT KEY OUT LEVEL PATCHSET FLAGS FUNCTION...\n");
		return 2;
	}
	err = make(&maker, argv, argc, &out);
	ret = err ? die(err) : kc_file_write_atomic(argv[4], out.data, out.size, 0644);
	kc_buf_free(&out);
	kc_buf_free(&maker.notes);
	kc_elf_writer_free(maker.writer);
	kc_elf_free(maker.target);
	kc_elf_free(maker.object);
	free(maker.sections);
	free(maker.symbols);
	kc_ctx_free(maker.ctx);
	return ret ? 1 : 0;
}
