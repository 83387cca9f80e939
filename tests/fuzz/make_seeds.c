/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the seeds of the fuzz targets, DIR/TARGET/NAME, with the code that writes such files in earnest.
 *
 *	make_seeds DIR ELF-FILE…          (each ELF file becomes a seed of "elf" and "process")
 */
#include <stdio.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "apply/user_record.h"
#include "base/array.h"
#include "base/file.h"
#include "fetch/protocol.h"
#include "patchset/patchset.h"
#include "proto/proto.h"
#include "sample.h"
#include "sample_feed.h"
#include "sample_kallsyms.h"
#include "sign/envelope.h"

static void write_seed(const char *dir, const char *target, const char *name, const void *data, size_t size)
{
	kc_autofree char *folder = kc_path_join(dir, target), *path = kc_path_join(folder, name);

	if (kc_dir_make(folder, 0755) || kc_file_write_atomic(path, data, size, 0644))
		sample_must(kc_error_new(KC_ERR_SYSTEM, "cannot write %s", path));
}

static void write_text_seed(const char *dir, const char *target, const char *name, const char *text)
{
	write_seed(dir, target, name, text, strlen(text));
}

static void write_payloads(const char *dir)
{
	const struct kc_payload_fragment late[] = { { 0x2000, 16 }, { 0x2100, 8 }, { 0x2200, 8 } };
	const uint64_t returns[] = { 0x2010, 0x2108 };
	kc_autobuf struct kc_buf one = { 0 }, several = { 0 };
	struct sample_object object;

	sample_payload(&one);
	write_seed(dir, "payload", "one", one.data, one.size);
	write_seed(dir, "elf", "payload", one.data, one.size);
	sample_object_start(&object);
	kc_elf_writer_add_symbol(object.writer, "puts", STB_WEAK, STT_NOTYPE, 0, 0, 0);
	sample_object_add_notes(&object);
	sample_object_add_function(&object, "new_helper", 0, late, 3, returns, 2);
	sample_object_add_import(&object, "puts", NULL, NULL, 0);
	sample_object_finish(&object, &several);
	write_seed(dir, "payload", "several", several.data, several.size);
}

static void write_signed(struct kc_ctx *ctx, const char *dir)
{
	kc_autokey struct kc_key *key = NULL, *other_key = NULL;
	kc_autokeyring struct kc_keyring *keyring = NULL, *other_keyring = NULL;
	kc_autojson json_t *feed = json_pack("{s:s, s:i, s:[i,b,n], s:{s:s}}", "feed", "main", "version", 1795467600,
					     "list", -1, 1, "meta", "text", "a\"\\\n\xc3\xa4");
	kc_autobuf struct kc_buf patch = { 0 }, envelope = { 0 };

	sample_keys(ctx, &key, &keyring);
	sample_keys(ctx, &other_key, &other_keyring);
	sample_patch(ctx, key, &patch);
	write_seed(dir, "patch", "sample", patch.data, patch.size);
	sample_must(kc_envelope_encode(feed, (const struct kc_key *const[]){ key, other_key }, 2, &envelope));
	write_seed(dir, "envelope", "feed", envelope.data, envelope.size);
	write_text_seed(dir, "envelope", "json", "{\"a\":[{},[],\"\\\\\",0,-1,9007199254740991,true,null],\"b\":{}}");
}

static void add_member(struct archive *tar, const char *name, const struct kc_buf *content)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)content->size);
	if (archive_write_header(tar, entry) != ARCHIVE_OK ||
	    archive_write_data(tar, content->data, content->size) != (la_ssize_t)content->size)
		sample_must(kc_error_new(KC_ERR_SYSTEM, "cannot write %s", name));
	archive_entry_free(entry);
}

/* The same files as a bare tar: behind bzip2's checksums nothing could be changed. A long name needs more headers. */
static void write_tar(const char *dir, const char *seed, int format, const char *name, const struct kc_buf *list,
		      const struct kc_buf *patch)
{
	struct archive *tar = archive_write_new();
	static char data[1 << 20];
	size_t size = 0;

	archive_write_set_format(tar, format);
	if (archive_write_open_memory(tar, data, sizeof(data), &size) != ARCHIVE_OK)
		sample_must(kc_error_new(KC_ERR_SYSTEM, "cannot write a tar"));
	add_member(tar, KC_PATCHSET_LIST_NAME, list);
	add_member(tar, name, patch);
	archive_write_free(tar);
	write_seed(dir, "patchset", seed, data, size);
}

static void write_patchset(struct kc_ctx *ctx, const char *dir)
{
	static const char *const types[] = { "default", NULL };
	kc_autopatchset struct kc_patchset *patchset = calloc(1, sizeof(*patchset));
	kc_autofree char *folder = kc_path_join(dir, "patchset"), *path = kc_path_join(folder, "patch");
	kc_autofree char *archive = kc_path_join(folder, "archive");
	char long_name[301] = "";
	kc_autobuf struct kc_buf patch = { 0 }, list = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autokey struct kc_key *key = NULL;

	patchset->name = strdup("U20261123_01");
	patchset->distro = strdup("debian12");
	sample_keys(ctx, &key, &keyring);
	sample_patch(ctx, key, &patch);
	write_seed(dir, "patchset", "patch", patch.data, patch.size);
	sample_must(kc_patchset_archive_write(ctx, archive, patchset, types, &path, 1, key));
	sample_must(kc_patchset_encode(patchset, key, &list));
	unlink(path);
	write_seed(dir, "patchset", "list", list.data, list.size);
	memset(long_name, 'a', sizeof(long_name) - 1);
	write_tar(dir, "ustar", ARCHIVE_FORMAT_TAR_USTAR, patchset->files[0].name, &list, &patch);
	write_tar(dir, "pax", ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, long_name, &list, &patch);
	write_tar(dir, "gnu", ARCHIVE_FORMAT_TAR_GNUTAR, long_name, &list, &patch);
}

static void write_fixes(const char *dir)
{
	write_text_seed(dir, "fix", "header",
			"Name: one\nDescription: first\n second\nCVE: CVE-2026-42766, CVE-2026-45445\nCVSS: 7.5\n"
			"Consistency: function\n\n--- a/a.c\n+++ b/a.c\n@@ -4,2 +4,3 @@ int c(void)\n {\n+\tif (0)\n"
			" \treturn 1;\n@@ -6,1 +7,1 @@\n-}\n\\ No newline at end of file\n+};\n");
	write_text_seed(dir, "fix", "new-file", "--- /dev/null\n+++ b/a.h\n@@ -0,0 +1 @@\n+#define A \\\n");
}

/* The mapping of a patch with one entry, as the patcher leaves it in a process. */
static void write_record(const char *dir)
{
	struct {
		struct kc_record_header header;
		struct kc_record_entry entry;
	} record = { .header = { .version = KC_RECORD_VERSION,
				 .state = KC_RECORD_APPLIED,
				 .size = 8192,
				 .text_size = 4096,
				 .code_offset = 1024,
				 .code_size = 64,
				 .level = 1,
				 .n_entries = 1,
				 .build_id_size = 20,
				 .patchset = "U20261123_01",
				 .object = "libcrypto.so.3" } };

	memcpy(record.header.magic, KC_RECORD_MAGIC, KC_RECORD_MAGIC_SIZE);
	memset(record.header.hash, 'a', 64);
	write_seed(dir, "process", "record", &record, sizeof(record));
}

static void write_kallsyms(const char *dir)
{
	static const struct sample_ksym symbols[] = { { "Apercpu", 0x40 },
						      { "Tinit_one", 0xffffffff81000000 },
						      { "tinit_two", 0xffffffff81000010 },
						      { "dthree", 0xffffffff82000000 } };
	kc_autobuf struct kc_buf old = { 0 }, new = { 0 };

	sample_kallsyms(SAMPLE_LAYOUT_6_1, symbols, 4, &old);
	write_seed(dir, "kernel_object", "kallsyms-6.1", old.data, old.size);
	sample_kallsyms(SAMPLE_LAYOUT_6_12, symbols, 4, &new);
	write_seed(dir, "kernel_object", "kallsyms-6.12", new.data, new.size);
}

/* A module of two functions that has a jump label, a string, a variable, an import and an export. */
static void write_module(const char *dir)
{
	static const char CODE[] = "\xeb\x00\xe8\0\0\0\0\x8b\x05\0\0\0\0\xc3", INFO[] = "license=GPL\0name=seed";
	struct kc_elf_writer *writer = kc_elf_writer_new();
	kc_autobuf struct kc_buf module = { 0 };
	kc_section_id text, data, strings, labels;
	kc_symbol_id function, import, variable, constants;

	text = kc_elf_writer_add_section(writer, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16, 0, CODE, 14);
	data = kc_elf_writer_add_section(writer, ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, 0, "\1\0\0\0\0\0\0",
					 8);
	strings = kc_elf_writer_add_section(writer, ".rodata.str1.1", SHT_PROGBITS, SHF_ALLOC | SHF_MERGE | SHF_STRINGS,
					    1, 1, "seed", 5);
	labels = kc_elf_writer_add_section(writer, "__jump_table", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 8, 0,
					   "0123456789abcde", 16);
	kc_elf_writer_add_section(writer, ".modinfo", SHT_PROGBITS, SHF_ALLOC, 1, 0, INFO, sizeof(INFO));
	kc_elf_writer_add_section(writer, ".gnu.linkonce.this_module", SHT_PROGBITS, SHF_ALLOC, 1, 0, "this", 4);
	function = kc_elf_writer_add_symbol(writer, "first", STB_LOCAL, STT_FUNC, text, 0, 7);
	constants = kc_elf_writer_add_symbol(writer, "", STB_LOCAL, STT_SECTION, strings, 0, 0);
	variable = kc_elf_writer_add_symbol(writer, "variable", STB_GLOBAL, STT_OBJECT, data, 0, 8);
	kc_elf_writer_add_symbol(writer, "second", STB_WEAK, STT_FUNC, text, 7, 7);
	kc_elf_writer_add_symbol(writer, "__ksymtab_variable", STB_GLOBAL, STT_OBJECT, data, 0, 0);
	import = kc_elf_writer_add_symbol(writer, "import", STB_GLOBAL, STT_NOTYPE, 0, 0, 0);
	kc_elf_writer_add_rela(writer, text, 3, R_X86_64_PLT32, import, -4);
	kc_elf_writer_add_rela(writer, text, 9, R_X86_64_PC32, variable, -4);
	kc_elf_writer_add_rela(writer, data, 0, R_X86_64_64, constants, 1);
	kc_elf_writer_add_rela(writer, labels, 0, R_X86_64_PC32, function, 0);
	kc_elf_writer_add_rela(writer, labels, 4, R_X86_64_PC32, function, 2);
	kc_elf_writer_add_rela(writer, labels, 8, R_X86_64_PC64, variable, 2);
	sample_must(kc_elf_writer_finish(writer, &module));
	write_seed(dir, "kernel_object", "module", module.data, module.size);
	kc_elf_writer_free(writer);
}

/* What root obeys: the first letter says which file it is. */
static void write_agent(const char *dir)
{
	static const char level[] = "\"kernel_id\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\",\"type\":\"default\","
				    "\"level\":3,\"hash\":"
				    "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
				    "\"boot_id\":\"00000000-1111-2222-3333-444444444444\"";
	kc_autobuf struct kc_buf state = { 0 }, marker = { 0 };

	kc_buf_printf(&state,
		      "s{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"kernel_version\":\"Linux\\n\",\"crashes\":"
		      "[{%s,\"loaded_at\":5}],\"applied\":{%s,\"patchset\":\"K20261123_01\",\"created\":1},"
		      "\"imported\":[{%s}],\"checked\":{\"at\":9,\"root\":\"0123456789abcdef\",\"feed\":\"main\","
		      "\"rules\":\"type=free\",\"is_known\":true,\"chosen\":{%s},\"blocked\":[{%s},{%s}]}}",
		      level, level, level, level, level, level);
	kc_buf_printf(&marker, "m{\"document\":\"kcare-loading-1\",%s,\"at\":1795467600,\"up_s\":17}", level);
	write_seed(dir, "agent", "state", state.data, state.size);
	write_seed(dir, "agent", "marker", marker.data, marker.size);
	write_text_seed(
		dir, "agent", "config",
		"c# kcare\r\nAUTO_UPDATE = No # x\nPREFIX='12h'\nPREFIX=\"test\" #y\r\nUPDATE_POLICY=LOCAL\n\nX=1\n"
		"PATCH_SERVER=http://[::1]:80/b/\nSTICKY_PATCH=250518\nAUTO_STICKY_PATCH=2018-05-25\nNO_PROXY=a,b\n"
		"STICKY_PATCHSET=U20230908_02-qemu\nUPDATE_DELAY=12h\nHTTP_PROXY=socks5h://a:b@c:1\nSTICKY_LIMIT=7\n"
		"USERSPACE_PATCHES=libs,qemu\n");
	write_text_seed(
		dir, "agent", "userspace",
		"u{\"document\": \"kcare-userspace-1\", \"patches\": [{\"target\": \"0123456789abcdef\", \"type\": "
		"\"default\", \"hash\": \"00\", \"level\": 2, \"patchset\": \"U20261123_01\", \"object\": "
		"\"libone.so.1\", "
		"\"origin\": \"0123456789abcdef main type=default\"}]}");
	write_text_seed(
		dir, "agent", "withdrawn",
		"w# comment\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 0123456789abcdef\n");
	write_text_seed(dir, "agent", "identity",
			"iserver_id=kA3456789012345f\nkey=abc\nsecret="
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\ninstance=b\nmachine=00\n");
	write_text_seed(
		dir, "agent", "portal",
		"p{\"document\":\"kcare-portal-1\",\"answer\":{\"nonce\":\"0123456789abcdef0123456789abcdef\","
		"\"terms\":{\"feed\":\"main\"}},\"answered_at\":5,\"kernel_error\":\"x: y\",\"n_processes\":3}");
	write_text_seed(dir, "agent", "sysctl", "y -net.ipv4.conf.eth0/1.forwarding = 1 2\t3 ");
}

/* The first letter says which decoder it is for. */
static void write_metadata_seed(const char *dir, char kind, const char *name, const json_t *json)
{
	kc_autobuf struct kc_buf text = { 0 };

	kc_buf_append(&text, &kind, 1);
	sample_must(kc_canonical_encode(json, &text));
	write_seed(dir, "metadata", name, text.data, text.size);
}

static void write_metadata(const char *dir)
{
	static const char HASH[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char feed[] = "main", snapshot[] = "snapshot.json", targets[] = "targets.json", bin[] = "bin-1f.json",
	     kernel[] = "kernel/d6a9ac615d000000000000000000000000000047", user[] = "user/debian12/libstdc++6";
	struct kc_repo_meta metas[] = { { .name = targets, .version = 5 }, { .name = bin, .version = 6, .size = 9 } };
	struct kc_repo_meta files[] = { { .name = kernel, .size = 300 }, { .name = user, .size = 4000 } };
	struct kc_repo_meta top = { .name = snapshot, .version = 7, .size = 900 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autojson json_t *roots = NULL, *timestamp = NULL, *snapshots = NULL, *flat = NULL, *bins = NULL;

	memcpy(metas[1].hash, HASH, sizeof(HASH));
	memcpy(files[0].hash, HASH, sizeof(HASH));
	memcpy(files[1].hash, HASH, sizeof(HASH));
	memcpy(top.hash, HASH, sizeof(HASH));
	sample_root(&root);
	sample_must(kc_repo_root_encode(&root, &roots));
	sample_must(kc_repo_document_encode(&(struct kc_repo_document){ 8, SAMPLE_NOW, feed, &top, 1, 0 },
					    KC_ROLE_TIMESTAMP, &root, &timestamp));
	sample_must(kc_repo_document_encode(&(struct kc_repo_document){ 8, SAMPLE_NOW, feed, metas, 2, 0 },
					    KC_ROLE_SNAPSHOT, &root, &snapshots));
	sample_must(kc_repo_document_encode(&(struct kc_repo_document){ 8, SAMPLE_NOW, feed, files, 2, 0 },
					    KC_ROLE_TARGETS, &root, &flat));
	sample_must(kc_repo_document_encode(&(struct kc_repo_document){ 8, SAMPLE_NOW, feed, NULL, 0, 6 },
					    KC_ROLE_TARGETS, &root, &bins));
	write_metadata_seed(dir, 'r', "root", roots);
	write_metadata_seed(dir, 't', "timestamp", timestamp);
	write_metadata_seed(dir, 's', "snapshot", snapshots);
	write_metadata_seed(dir, 'g', "targets", flat);
	write_metadata_seed(dir, 'g', "bins", bins);
}

/* What metadata names, as sample feeds have it. */
static void write_lists(const char *dir)
{
	char type[] = "extra", patchset[] = "U20261123_01", build_id[] = SAMPLE_BUILD_ID, feed[] = "main",
	     kernel[] = "kernel/" SAMPLE_KERNEL_ID, user[] = "user/debian12/libssl3", title[] = "libssl3 (debian12)";
	struct kc_target_entry entries[] = {
		{ build_id, type, 1, patchset, SAMPLE_NOW, "", 1000, true, 100 },
		{ build_id, type, 2, patchset, SAMPLE_NOW, "", 2000, false, 25 },
	};
	char prefix[][KC_USER_INDEX_PREFIX_SIZE] = { "0123abcd", "93ac615d" };
	struct kc_user_index_package package = { user, prefix, 2 };
	kc_autobuf struct kc_buf users = { 0 }, kernels = { 0 }, index = { 0 };

	kc_sha256_text("", 0, entries[0].hash);
	kc_sha256_text("a", 1, entries[1].hash);
	kc_buf_append(&users, "u", 1);
	kc_buf_append(&kernels, "k", 1);
	kc_buf_append(&index, "i", 1);
	sample_must(kc_target_list_encode(&(struct kc_target_list){ feed, user, title, entries, 2 }, &users));
	entries[0].target = entries[1].target = NULL;
	patchset[0] = 'K';
	sample_must(kc_target_list_encode(&(struct kc_target_list){ feed, kernel, title, entries, 2 }, &kernels));
	sample_must(kc_user_package_index_encode(&(struct kc_user_package_index){ &package, 1 }, "main", &index));
	write_seed(dir, "metadata", "user-list", users.data, users.size);
	write_seed(dir, "metadata", "kernel-list", kernels.data, kernels.size);
	write_seed(dir, "metadata", "user-index", index.data, index.size);
}

static void append_packet(struct kc_buf *out, const void *packet, size_t size, const char *bytes)
{
	kc_buf_append_u16(out, (uint16_t)(size + strlen(bytes)));
	kc_buf_append(out, packet, size);
	kc_buf_append_str(out, bytes);
}

/* A download in two parts that begins anew, how it ended, and the request for it. */
static void write_fetch(const char *dir)
{
	static const char *const texts[KC_FETCH_N_TEXTS] = { "http://a/b", "http://proxy:3128", "c", "kcare/1" };
	struct kc_fetch_request request = { .version = KC_FETCH_VERSION, .total_ms = 1000, .offset = 4, .limit = 100 };
	struct kc_fetch_end end = { .kind = KC_FETCH_END, .outcome = KC_FETCH_DONE, .status = 200, .n_requests = 1 };
	struct kc_fetch_data data = { .kind = KC_FETCH_DATA, .total = 8 };
	static uint8_t packet[KC_FETCH_REQUEST_MAX];
	kc_autobuf struct kc_buf answers = { 0 }, failure = { 0 }, asked = { 0 };

	append_packet(&answers, &data, sizeof(data), "body");
	data.offset = 4;
	append_packet(&answers, &data, sizeof(data), "half");
	data = (struct kc_fetch_data){ .kind = KC_FETCH_DATA, .total = KC_FETCH_TOTAL_UNKNOWN };
	append_packet(&answers, &data, sizeof(data), "anew");
	append_packet(&answers, &end, sizeof(end), "");
	end = (struct kc_fetch_end){ .kind = KC_FETCH_END,
				     .outcome = KC_FETCH_STATUS,
				     .status = 503,
				     .retry_after_s = 120,
				     .n_requests = 6,
				     .date = 1795467600,
				     .message = "the server answers 503" };
	append_packet(&failure, &end, sizeof(end), "");
	append_packet(&asked, packet, kc_fetch_request_encode(&request, texts, packet), "");
	write_seed(dir, "fetch", "answers", answers.data, answers.size);
	write_seed(dir, "fetch", "failure", failure.data, failure.size);
	write_seed(dir, "fetch", "request", asked.data, asked.size);
}

/* What agents and portals say; the first digit says which message it is. */
static void write_proto(const char *dir)
{
	static char text[] = "a \xc3\xa4\\\"", hex[] = "d6a9ac615d000000000000000000000000000047",
		    tags[] = "env:prod;ubuntu", lines[] = "one\n\ttwo\n", date[] = "2026-11-20";
	struct kc_credentials who = { .server_id = "a123456789ABCDEF" };
	struct kc_key_terms terms = { text, date, 1795467600, true, false, true };
	struct kc_registration registration = { text, text, hex, text, text, text, true };
	struct kc_checkin checkin = { .event = KC_CHECKIN_LATER,
				      .hostname = text,
				      .kernel_id = hex,
				      .level = 3,
				      .tags = tags,
				      .uptime_s = 5,
				      .libcare_is_enabled = true,
				      .n_processes = 7,
				      .last_error = text };
	struct kc_licence_info info = { text, text, 3, 10, terms };
	struct kc_buf all[7] = { 0 };
	struct kc_registered registered;
	struct kc_checkin_answer answer;
	struct kc_doctor_report report;

	memset(who.secret, 'a', sizeof(who.secret) - 1);
	registered = (struct kc_registered){ .credentials = who,
					     .nonce = "0123456789abcdef0123456789abcdef",
					     .terms = terms };
	answer = (struct kc_checkin_answer){ .nonce = "0123456789abcdef0123456789abcdef", .terms = terms };
	report = (struct kc_doctor_report){ who, text, lines };
	checkin.credentials = who;
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++)
		kc_buf_printf(&all[i], "%zu", i);
	sample_must(kc_credentials_encode(&who, &all[0]));
	sample_must(kc_registration_encode(&registration, &all[1]));
	sample_must(kc_registered_encode(&registered, &all[2]));
	sample_must(kc_checkin_encode(&checkin, &all[3]));
	sample_must(kc_checkin_answer_encode(&answer, &all[4]));
	sample_must(kc_licence_info_encode(&info, &all[5]));
	sample_must(kc_doctor_report_encode(&report, &all[6]));
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++) {
		write_seed(dir, "proto", (char[]){ (char)('0' + i), '\0' }, all[i].data, all[i].size);
		kc_buf_free(&all[i]);
	}
	write_text_seed(dir, "proto", "error", "7{\"error\":\"key-limit-reached\",\"message\":\"no place\"}");
	write_text_seed(dir, "proto", "plain", "8env:prod;\xc3\xa4\xf0\x9f\x90\xa7\xe2\x80\xae\xff\n");
}

static void write_portal(const char *dir)
{
	static const char *const seeds[] = {
		"rbytes=0-99",
		"rbytes=100-",
		"rbytes=-18446744073709551615",
		"a192.0.2.1:80",
		"a[2001:db8::1]:443",
		"n10.0.0.0/8, 2001:db8::/32;::ffff:192.0.2.0/120 127.0.0.1",
		"l[::]:443",
		"l127.0.0.1:8142",
		"cCONNECTIONS_PER_ADDRESS=100",
		"cUPSTREAM=https://example.org/",
		"cLOG_FORMAT=json",
		"cSERVE_REPOSITORY=off",
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(seeds); i++)
		write_text_seed(dir, "portal", (char[]){ (char)('a' + i), '\0' }, seeds[i]);
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();

	if (argc < 2 || !ctx) {
		fprintf(stderr, "usage: %s DIR ELF-FILE...\n", argv[0]);
		return 2;
	}
	write_payloads(argv[1]);
	write_text_seed(argv[1], "blacklist", "reference",
			" # Symantec Antivirus\n path: /opt/Symantec/*\n filename:symcfgd\n filename:docker*\r\n"
			"path:/usr/[a-z]*/doc?er\n\nregex:^/usr/bin/[[:alnum:]]+$|(/|x)*y\n");
	write_signed(ctx, argv[1]);
	write_patchset(ctx, argv[1]);
	write_fixes(argv[1]);
	write_record(argv[1]);
	write_agent(argv[1]);
	write_metadata(argv[1]);
	write_lists(argv[1]);
	write_fetch(argv[1]);
	write_proto(argv[1]);
	write_portal(argv[1]);
	write_kallsyms(argv[1]);
	write_module(argv[1]);
	for (int i = 2; i < argc; i++) {
		kc_autobuf struct kc_buf file = { 0 };

		if (kc_file_read(argv[i], 1 << 20, &file))
			sample_must(kc_error_new(KC_ERR_SYSTEM, "cannot read %s", argv[i]));
		write_seed(argv[1], "elf", kc_path_name(argv[i]), file.data, file.size);
		write_seed(argv[1], "process", kc_path_name(argv[i]), file.data, file.size);
	}
	return 0;
}
