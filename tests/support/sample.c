/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

void sample_must(struct kc_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "sample: %s: %s\n", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	abort();
}

static void *must_have(void *p)
{
	if (!p)
		sample_must(kc_error_no_memory());
	return p;
}

void sample_keys(struct kc_ctx *ctx, struct kc_key **key, struct kc_keyring **keyring)
{
	char dir[] = "/tmp/kcare-test-XXXXXX", path[64], keyid[KC_KEYID_SIZE];

	must_have(mkdtemp(dir));
	sample_must(kc_key_generate(ctx, dir, "author", NULL, keyid));
	snprintf(path, sizeof(path), "%s/author.key", dir);
	sample_must(kc_key_load(ctx, path, key));
	snprintf(path, sizeof(path), "%s/author.pub", dir);
	sample_must(kc_keyring_load(ctx, path, keyring));
	if (kc_tree_remove(dir))
		sample_must(kc_error_new(KC_ERR_SYSTEM, "cannot remove %s", dir));
}

void sample_manifest(struct kc_manifest *manifest)
{
	struct kc_fix_info *fix = must_have(calloc(1, sizeof(*fix)));

	fix->name = must_have(strdup("wordexp: do not count words twice"));
	fix->description = must_have(strdup("WRDE_REUSE with WRDE_APPEND:\nwordc was wrong (\"naïve\")."));
	fix->cves = must_have(calloc(2, sizeof(*fix->cves)));
	fix->cves[0] = must_have(strdup("CVE-2025-15281"));
	fix->cves[1] = must_have(strdup("CVE-2026-42766"));
	fix->n_cves = 2;
	fix->cvss = must_have(strdup("7.5"));
	fix->cve_url = must_have(strdup("https://security-tracker.debian.org/tracker/CVE-2025-15281"));
	*manifest = (struct kc_manifest){
		.kind = KC_PATCH_USER,
		.target = must_have(strdup(SAMPLE_BUILD_ID)),
		.type = must_have(strdup("default")),
		.level = 3,
		.patchset = must_have(strdup("U20261123_01")),
		.package = must_have(strdup("libc6")),
		.version = must_have(strdup("2.36-9+deb12u7")),
		.object = must_have(strdup("libc.so.6")),
		.created = 1795467600,
		.fixes = fix,
		.n_fixes = 1,
	};
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = must_have(strdup(value));
}

static char **strings(const char *first, const char *second)
{
	char **texts = must_have(calloc(2, sizeof(*texts)));

	texts[0] = must_have(strdup(first));
	texts[1] = must_have(strdup(second));
	return texts;
}

void sample_kernel_manifest(struct kc_manifest *manifest)
{
	struct kc_kernel_manifest *kernel = &manifest->kernel;

	sample_manifest(manifest);
	manifest->kind = KC_PATCH_KERNEL;
	replace(&manifest->target, SAMPLE_KERNEL_ID);
	replace(&manifest->patchset, "K20261123_01");
	replace(&manifest->package, "linux-image-6.1.0-47-amd64");
	replace(&manifest->version, "6.1.170-3");
	replace(&manifest->object, "vmlinux");
	*kernel = (struct kc_kernel_manifest){
		.release = must_have(strdup("6.1.0-47-amd64")),
		.effective_version = must_have(strdup("6.1.0-56-amd64")),
		.build_id = must_have(strdup(SAMPLE_BUILD_ID)),
		.module = must_have(strdup("kcare_livepatch_3")),
		.functions = strings("vmlinux:raw_sendmsg", "qrtr:qrtr_create"),
		.n_functions = 2,
		.switches = strings("modify_ldt", "qrtr"),
		.n_switches = 2,
		.states = must_have(calloc(2, sizeof(uint64_t))),
		.n_states = 2,
		.globals = must_have(calloc(2, sizeof(*kernel->globals))),
		.n_globals = 2,
	};
	kernel->states[0] = 7;
	kernel->states[1] = 68294;
	kernel->globals[0] = (struct kc_manifest_global){ strdup("net/ipv4/raw.c:n_refused"), 0, 4, 4 };
	kernel->globals[1] = (struct kc_manifest_global){ strdup("net/qrtr/af_qrtr.c:limits"), 64, 256, 32 };
}

void sample_object_start(struct sample_object *object)
{
	struct kc_elf_writer *writer = must_have(kc_elf_writer_new());
	const uint8_t text[SAMPLE_TEXT_SIZE] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xc3 };
	const uint8_t data[SAMPLE_DATA_SIZE] = { 1 };

	*object = (struct sample_object){ .writer = writer };
	object->text = kc_elf_writer_add_section(writer, ".text.new_function", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR,
						 16, 0, text, sizeof(text));
	object->data = kc_elf_writer_add_section(writer, ".data.table", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, 0, data,
						 sizeof(data));
	object->rodata =
		kc_elf_writer_add_section(writer, ".rodata.str1.1", SHT_PROGBITS, SHF_ALLOC, 1, 0, "sample", 7);
	object->target =
		kc_elf_writer_add_section(writer, KC_PAYLOAD_TARGET_SECTION, SHT_PROGBITS, SHF_ALLOC, 1, 0, NULL, 0);
	object->tls = kc_elf_writer_add_section(writer, KC_PAYLOAD_TLS_SECTION, SHT_PROGBITS, SHF_ALLOC, 1, 0, NULL, 0);
	object->function = kc_elf_writer_add_symbol(writer, "new_function", STB_GLOBAL, STT_FUNC, object->text, 0, 32);
	object->helper = kc_elf_writer_add_symbol(writer, "new_helper", STB_LOCAL, STT_FUNC, object->text, 32, 32);
	object->variable =
		kc_elf_writer_add_symbol(writer, "old_variable", STB_GLOBAL, STT_OBJECT, object->target, 0x4010, 8);
	object->thread_local = kc_elf_writer_add_symbol(writer, "old_tls", STB_GLOBAL, STT_TLS, object->tls, 16, 4);
	object->import = kc_elf_writer_add_symbol(writer, "memcpy", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	kc_elf_writer_add_rela(writer, object->text, 8, R_X86_64_PC32, object->variable, -4);
	kc_elf_writer_add_rela(writer, object->text, 16, R_X86_64_PLT32, object->import, -4);
	kc_elf_writer_add_rela(writer, object->text, 24, R_X86_64_REX_GOTPCRELX, object->import, -4);
	kc_elf_writer_add_rela(writer, object->data, 0, R_X86_64_64, object->helper, 0);
	kc_elf_writer_add_rela(writer, object->data, 8, R_X86_64_DTPMOD64, object->thread_local, 0);
	kc_elf_writer_add_rela(writer, object->data, 16, R_X86_64_DTPOFF64, object->thread_local, 0);
}

void sample_object_add_function(struct sample_object *object, const char *replacement, uint32_t jump_offset,
				const struct kc_payload_fragment *fragments, size_t n_fragments,
				const uint64_t *returns, size_t n_returns)
{
	struct kc_elf_symbol symbol = { .name = replacement };
	struct kc_payload_function function = {
		.replacement = &symbol,
		.addr = fragments[0].addr,
		.size = fragments[0].size,
		.jump_offset = jump_offset,
		.hash = { 0xaa },
		.fragments = (struct kc_payload_fragment *)fragments,
		.n_fragments = n_fragments,
		.returns = (uint64_t *)returns,
		.n_returns = n_returns,
	};

	kc_payload_encode_function(&object->notes, &function);
}

void sample_object_add_import(struct sample_object *object, const char *name, const char *version, const char *library,
			      uint32_t flags)
{
	struct kc_elf_symbol symbol = { .name = name };
	struct kc_payload_import import = { &symbol, version, library, flags };

	kc_payload_encode_import(&object->notes, &import);
}

void sample_object_add_notes(struct sample_object *object)
{
	const uint8_t build_id[20] = { 0x93, 0xac, 0x61, 0x5d };
	const struct kc_payload_fragment fragments[] = { { SAMPLE_FUNCTION_ADDR, SAMPLE_FUNCTION_SIZE },
							 { 0x800, 0x20 } };
	/* behind a call in the middle, behind one that ends the function, behind one that ends its cold part */
	const uint64_t returns[] = { SAMPLE_FUNCTION_ADDR + 0x10, SAMPLE_FUNCTION_ADDR + SAMPLE_FUNCTION_SIZE, 0x820 };

	kc_payload_encode_target(&object->notes, build_id, sizeof(build_id), KC_PAYLOAD_PINNED);
	sample_object_add_function(object, "new_function", 4, fragments, 2, returns, 3);
	sample_object_add_import(object, "memcpy", "GLIBC_2.14", "libc.so.6", KC_IMPORT_WEAK);
}

void sample_object_finish(struct sample_object *object, struct kc_buf *out)
{
	kc_elf_writer_add_section(object->writer, KC_PAYLOAD_NOTE_SECTION, SHT_NOTE, 0, 4, 0, object->notes.data,
				  object->notes.size);
	sample_must(kc_elf_writer_finish(object->writer, out));
	kc_elf_writer_free(object->writer);
	kc_buf_free(&object->notes);
}

void sample_payload(struct kc_buf *out)
{
	struct sample_object object;

	sample_object_start(&object);
	sample_object_add_notes(&object);
	sample_object_finish(&object, out);
}

void sample_patch(struct kc_ctx *ctx, const struct kc_key *key, struct kc_buf *out)
{
	kc_autobuf struct kc_buf object = { 0 };
	struct kc_patch_payload payload = { .name = KC_PAYLOAD_NAME };
	struct kc_manifest manifest;

	sample_payload(&object);
	payload.data = object.data;
	payload.size = object.size;
	sample_manifest(&manifest);
	sample_must(kc_patch_encode(ctx, &manifest, &payload, 1, key, out));
	kc_manifest_clear(&manifest);
}

void sample_kernel_patch(struct kc_ctx *ctx, const struct kc_key *key, const struct kc_manifest *manifest,
			 const struct kc_buf *module, const struct kc_buf *kcare, struct kc_buf *out)
{
	const struct kc_patch_payload payloads[] = {
		{ KC_PATCH_MODULE_NAME, module->data, module->size },
		{ KC_PATCH_KCARE_NAME, kcare->data, kcare->size },
	};

	sample_must(kc_patch_encode(ctx, manifest, payloads, 2, key, out));
}
