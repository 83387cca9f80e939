/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/array.h"
#include "base/file.h"
#include "patch/manifest.h"
#include "patch/user_payload.h"
#include "sample.h"
#include "sign/envelope.h"

struct fixture {
	struct kc_ctx *ctx;
	struct kc_key *key, *other_key;
	struct kc_keyring *keyring, *other_keyring;
	struct kc_buf file; /* a valid patch file, signed by `key` */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ctx = kc_ctx_new();
	sample_keys(f->ctx, &f->key, &f->keyring);
	sample_keys(f->ctx, &f->other_key, &f->other_keyring);
	sample_patch(f->ctx, f->key, &f->file);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	kc_key_free(f->key);
	kc_key_free(f->other_key);
	kc_keyring_free(f->keyring);
	kc_keyring_free(f->other_keyring);
	kc_buf_free(&f->file);
	kc_ctx_free(f->ctx);
	free(f);
	return 0;
}

static struct kc_error *decode(struct fixture *f, const struct kc_buf *file, size_t size)
{
	kc_autopatch struct kc_patch *patch = NULL;

	/* a copy of exactly this size, so that the sanitizer sees a read behind its end */
	kc_autofree void *copy = malloc(size ? size : 1);

	memcpy(copy, file->data, size);
	return kc_patch_decode(f->ctx, "sample", copy, size, f->keyring, &patch);
}

static void assert_error(struct kc_error *err, enum kc_error_code code)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s", kc_error_code_name(code));
	if (kc_error_code(err) != code)
		fail_msg("%s: %s, expected %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code));
}

static void what_was_encoded_is_decoded(void **state)
{
	struct fixture *f = *state;
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autobuf struct kc_buf payload = { 0 };
	const struct kc_patch_payload *found;
	struct kc_manifest expected;
	kc_autofree char *text = NULL, *expected_text = NULL;

	sample_payload(&payload);
	sample_manifest(&expected);
	sample_must(kc_patch_decode(f->ctx, "sample", f->file.data, f->file.size, f->keyring, &patch));
	sample_must(kc_manifest_to_json(&patch->manifest, &text));
	sample_must(kc_manifest_to_json(&expected, &expected_text));
	kc_manifest_clear(&expected);
	assert_string_equal(text, expected_text);
	assert_string_equal(patch->manifest.fixes[0].cves[1], "CVE-2026-42766");
	assert_string_equal(patch->keyid, kc_key_id(f->key));
	found = kc_patch_payload_find(patch, "user.o");
	assert_non_null(found);
	assert_int_equal(found->size, payload.size);
	assert_memory_equal(found->data, payload.data, payload.size);
	assert_null(kc_patch_payload_find(patch, "kernel.ko"));
}

static void decoding_needs_a_keyring(void **state)
{
	struct fixture *f = *state;
	struct kc_patch *patch = NULL;

	assert_error(kc_patch_decode(f->ctx, "sample", f->file.data, f->file.size, NULL, &patch), KC_ERR_UNKNOWN_KEY);
	assert_error(kc_patch_decode(f->ctx, "sample", f->file.data, f->file.size, f->other_keyring, &patch),
		     KC_ERR_UNKNOWN_KEY);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct fixture *f = *state;

	for (size_t bit = 0; bit < f->file.size * 8; bit++) {
		struct kc_error *err;

		f->file.data[bit / 8] ^= (char)(1 << bit % 8);
		err = decode(f, &f->file, f->file.size);
		if (!err)
			fail_msg("accepted with bit %zu of %zu flipped", bit, f->file.size * 8);
		if (kc_error_code(err) == KC_ERR_NO_MEMORY || kc_error_code(err) == KC_ERR_SYSTEM)
			fail_msg("bit %zu: %s", bit, kc_error_message(err));
		kc_error_free(err);
		f->file.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	sample_must(decode(f, &f->file, f->file.size));
}

static void every_truncation_is_said_to_be_one(void **state)
{
	struct fixture *f = *state;

	for (size_t size = 0; size < f->file.size; size++)
		assert_error(decode(f, &f->file, size), KC_ERR_TRUNCATED);
}

static void each_damage_has_its_own_error(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf file = { 0 };
	uint32_t envelope_size = (uint8_t)f->file.data[12] | (uint32_t)(uint8_t)f->file.data[13] << 8;

	kc_buf_append(&file, f->file.data, f->file.size);
	file.data[1] = 'k';
	assert_error(decode(f, &file, file.size), KC_ERR_NOT_A_PATCH);
	file.data[1] = 'K';
	file.data[8] = 2;
	assert_error(decode(f, &file, file.size), KC_ERR_VERSION);
	file.data[8] = 1;
	file.data[15] = 1;
	assert_error(decode(f, &file, file.size), KC_ERR_LIMIT);
	file.data[15] = 0;
	file.data[16] = ' ';
	assert_error(decode(f, &file, file.size), KC_ERR_CORRUPT);
	file.data[16] = '{';
	memcpy(strstr(file.data + 16, "libc6"), "libc7", 5);
	assert_error(decode(f, &file, file.size), KC_ERR_BAD_SIGNATURE);
	memcpy(strstr(file.data + 16, "libc7"), "libc6", 5);
	file.data[16 + envelope_size + 20] ^= 1;
	assert_error(decode(f, &file, file.size), KC_ERR_CORRUPT);
	file.data[16 + envelope_size + 20] ^= 1;
	kc_buf_append(&file, "", 1);
	assert_error(decode(f, &file, file.size), KC_ERR_CORRUPT);
	sample_must(decode(f, &file, file.size - 1));
}

/* ---- files that their author signed, and that are bad all the same ---- */

/* A patch file with this manifest and these bytes behind it, signed by each of `keys`. */
static void seal(const json_t *manifest, const void *frames, size_t frames_size, const struct kc_key *const *keys,
		 size_t n_keys, struct kc_buf *file)
{
	kc_autobuf struct kc_buf envelope = { 0 };

	sample_must(kc_envelope_encode(manifest, keys, n_keys, &envelope));
	kc_buf_append(file, "\x89KPATCH\n", 8);
	kc_buf_append_u32(file, 1);
	kc_buf_append_u32(file, (uint32_t)envelope.size);
	kc_buf_append(file, envelope.data, envelope.size);
	kc_buf_append(file, frames, frames_size);
}

/* A manifest in JSON for one payload "user.o" whose bytes in the file are `frame`; it claims `size` for the content. */
static json_t *manifest_for(const void *frame, size_t frame_size, const void *content, size_t content_size,
			    uint64_t claimed_size)
{
	char name[] = "user.o";
	struct kc_payload_entry entry = { .name = name, .size = claimed_size, .compressed_size = frame_size };
	struct kc_manifest manifest;
	json_t *json;

	kc_sha256_text(frame, frame_size, entry.compressed_hash);
	kc_sha256_text(content, content_size, entry.hash);
	sample_manifest(&manifest);
	sample_must(kc_manifest_encode(&manifest, &entry, 1, &json));
	kc_manifest_clear(&manifest);
	return json;
}

static void unsigned_and_twice_signed_files_are_refused(void **state)
{
	struct fixture *f = *state;
	kc_autobuf struct kc_buf none = { 0 }, two = { 0 };
	const struct kc_key *keys[] = { f->key, f->other_key };
	char frame[64];
	size_t size = ZSTD_compress(frame, sizeof(frame), "abc", 3, 1);
	kc_autojson json_t *manifest = manifest_for(frame, size, "abc", 3, 3);

	seal(manifest, frame, size, NULL, 0, &none);
	seal(manifest, frame, size, keys, 2, &two);
	assert_error(decode(f, &none, none.size), KC_ERR_UNSIGNED);
	assert_error(decode(f, &two, two.size), KC_ERR_CORRUPT);
}

static void assert_signed_frame(struct fixture *f, const struct kc_buf *frame, const void *content, size_t content_size,
				uint64_t claimed_size, enum kc_error_code code)
{
	kc_autobuf struct kc_buf file = { 0 };
	const struct kc_key *keys[] = { f->key };
	kc_autojson json_t *manifest = manifest_for(frame->data, frame->size, content, content_size, claimed_size);

	seal(manifest, frame->data, frame->size, keys, 1, &file);
	assert_error(decode(f, &file, file.size), code);
}

static void compress(const void *data, size_t size, struct kc_buf *frame)
{
	size_t capacity = ZSTD_compressBound(size), used;
	kc_autofree void *out = malloc(capacity);

	used = ZSTD_compress(out, capacity, data, size, 3);
	assert_false(ZSTD_isError(used));
	kc_buf_append(frame, out, used);
}

static void bombs_and_odd_frames_are_refused(void **state)
{
	struct fixture *f = *state;
	kc_autofree char *zeros = calloc(1, 64 << 20);
	kc_autobuf struct kc_buf bomb = { 0 }, two = { 0 }, skipped = { 0 }, trailing = { 0 }, garbage = { 0 },
				 good = { 0 };

	compress(zeros, 64 << 20, &bomb);
	assert_true(bomb.size < 16384);
	assert_signed_frame(f, &bomb, zeros, 100, 100, KC_ERR_LIMIT);
	compress("abc", 3, &two);
	compress("def", 3, &two);
	assert_signed_frame(f, &two, "abcdef", 6, 6, KC_ERR_CORRUPT);
	kc_buf_append_u32(&skipped, 0x184d2a50);
	kc_buf_append_u32(&skipped, 4);
	kc_buf_append(&skipped, "abcd", 4);
	assert_signed_frame(f, &skipped, "abc", 3, 3, KC_ERR_CORRUPT);
	compress("abc", 3, &trailing);
	kc_buf_append(&trailing, "x", 1);
	assert_signed_frame(f, &trailing, "abc", 3, 3, KC_ERR_CORRUPT);
	kc_buf_append_str(&garbage, "this is no zstd frame");
	assert_signed_frame(f, &garbage, "abc", 3, 3, KC_ERR_CORRUPT);
	compress("abc", 3, &good);
	assert_signed_frame(f, &good, "abc", 3, 4, KC_ERR_CORRUPT); /* shorter than signed */
	assert_signed_frame(f, &good, "abd", 3, 3, KC_ERR_CORRUPT); /* other content than signed */
}

static void huge_window_is_refused(void **state)
{
	struct fixture *f = *state;
	/* magic; no content size, no checksum; window 2^41; one raw block "abc", the last */
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x19, 0x00, 0x00, 'a', 'b', 'c' };
	kc_autobuf struct kc_buf buf = { 0 };

	kc_buf_append(&buf, frame, sizeof(frame));
	assert_signed_frame(f, &buf, "abc", 3, 3, KC_ERR_CORRUPT);
}

struct json_change {
	const char *key;
	const char *value; /* JSON; NULL removes the member */
	enum kc_error_code code;
};

static const struct json_change bad_members[] = {
	{ "document", "\"kcare-feed-1\"", KC_ERR_INPUT },
	{ "kind", "\"qemu\"", KC_ERR_INPUT },
	{ "target", "\"93ac6\"", KC_ERR_INPUT },
	{ "target", "\"93AC\"", KC_ERR_INPUT },
	{ "target", "\"\"", KC_ERR_INPUT },
	{ "type", "\"other\"", KC_ERR_INPUT },
	{ "level", "0", KC_ERR_INPUT },
	{ "level", "4294967296", KC_ERR_INPUT },
	{ "level", "\"3\"", KC_ERR_INPUT },
	{ "level", NULL, KC_ERR_INPUT },
	{ "patchset", "\"K20261123_01\"", KC_ERR_INPUT },
	{ "patchset", "\"U20261123\"", KC_ERR_INPUT },
	{ "patchset", "\"U20261123_01/..\"", KC_ERR_INPUT },
	{ "object", "\"../libc.so\"", KC_ERR_INPUT },
	{ "object", "\"..\"", KC_ERR_INPUT },
	{ "object", "\"\"", KC_ERR_INPUT },
	{ "object", "\"a\\nb\"", KC_ERR_INPUT },
	{ "package", "\"libc 6\"", KC_ERR_INPUT },
	{ "version", "\"1;2\"", KC_ERR_INPUT },
	{ "created", "-1", KC_ERR_INPUT },
	{ "consistency", "\"none\"", KC_ERR_INPUT },
	{ "fixes", "[]", KC_ERR_INPUT },
	{ "fixes", "[{\"name\":\"a\",\"cves\":[\"CVE-2026\"]}]", KC_ERR_INPUT },
	{ "fixes", "[{\"name\":\"a\",\"cves\":[\"cve-2026-1234\"]}]", KC_ERR_INPUT },
	{ "fixes", "[{\"name\":\"a\\nb\",\"cves\":[]}]", KC_ERR_INPUT },
	{ "fixes", "[{\"name\":\"a\",\"cves\":[],\"cve_url\":\"javascript:alert(1)\"}]", KC_ERR_INPUT },
	{ "fixes", "[{\"name\":\"a\",\"cves\":[],\"extra\":1}]", KC_ERR_INPUT },
	{ "fixes", "[{\"cves\":[]}]", KC_ERR_INPUT },
	{ "fixes", "[1]", KC_ERR_INPUT },
	{ "allowed", "[\"Data Changed\"]", KC_ERR_INPUT },
	{ "allowed", "{}", KC_ERR_INPUT },
	{ "payloads", "[]", KC_ERR_INPUT },
	{ "payloads", "[{}]", KC_ERR_INPUT },
	{ "payloads", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", KC_ERR_LIMIT },
	{ "unknown", "1", KC_ERR_INPUT },
};

static void signed_nonsense_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct kc_key *keys[] = { f->key };
	char frame[64];
	size_t size = ZSTD_compress(frame, sizeof(frame), "abc", 3, 1);

	for (size_t i = 0; i < KC_ARRAY_SIZE(bad_members); i++) {
		const struct json_change *change = &bad_members[i];
		kc_autojson json_t *manifest = manifest_for(frame, size, "abc", 3, 3);
		kc_autobuf struct kc_buf file = { 0 };

		if (change->value)
			json_object_set_new(manifest, change->key, json_loads(change->value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(manifest, change->key);
		seal(manifest, frame, size, keys, 1, &file);
		assert_error(decode(f, &file, file.size), change->code);
	}
}

static void payload_sizes_have_limits(void **state)
{
	static const char *const sizes[] = { "size", "compressed_size" };
	struct fixture *f = *state;
	const struct kc_key *keys[] = { f->key };
	char frame[64];
	size_t size = ZSTD_compress(frame, sizeof(frame), "abc", 3, 1);

	for (size_t i = 0; i < KC_ARRAY_SIZE(sizes); i++) {
		kc_autojson json_t *manifest = manifest_for(frame, size, "abc", 3, 3);
		json_t *entry = json_array_get(json_object_get(manifest, "payloads"), 0);
		kc_autobuf struct kc_buf huge = { 0 }, none = { 0 };

		json_object_set_new(entry, sizes[i], json_integer(INT64_C(1) << 40));
		seal(manifest, frame, size, keys, 1, &huge);
		assert_error(decode(f, &huge, huge.size), KC_ERR_LIMIT);
		json_object_set_new(entry, sizes[i], json_integer(0));
		seal(manifest, frame, size, keys, 1, &none);
		assert_error(decode(f, &none, none.size), KC_ERR_INPUT);
	}
}

/* ---- writing ---- */

static void bad_values_are_not_written(void **state)
{
	struct fixture *f = *state;
	struct kc_patch_payload payload = { "user.o", "abc", 3 }, other = { "other", "abc", 3 };
	struct kc_patch_payload twice[] = { payload, payload };
	kc_autobuf struct kc_buf out = { 0 };
	struct kc_manifest manifest;

	sample_manifest(&manifest);
	assert_error(kc_patch_encode(f->ctx, &manifest, &other, 1, f->key, &out), KC_ERR_INPUT);
	assert_error(kc_patch_encode(f->ctx, &manifest, twice, 2, f->key, &out), KC_ERR_INPUT);
	assert_error(kc_patch_encode(f->ctx, &manifest, NULL, 0, f->key, &out), KC_ERR_INPUT);
	manifest.patchset[0] = 'X';
	assert_error(kc_patch_encode(f->ctx, &manifest, &payload, 1, f->key, &out), KC_ERR_INPUT);
	manifest.patchset[0] = 'U';
	manifest.fixes[0].name[0] = '\t';
	assert_error(kc_patch_encode(f->ctx, &manifest, &payload, 1, f->key, &out), KC_ERR_INPUT);
	manifest.fixes[0].name[0] = '\xff';
	assert_error(kc_patch_encode(f->ctx, &manifest, &payload, 1, f->key, &out), KC_ERR_INPUT);
	assert_int_equal(out.size, 0);
	manifest.fixes[0].name[0] = 'w';
	sample_must(kc_patch_encode(f->ctx, &manifest, &payload, 1, f->key, &out));
	kc_manifest_clear(&manifest);
}

static void qemu_patchsets_are_allowed(void **state)
{
	struct kc_manifest manifest;

	(void)state;
	sample_manifest(&manifest);
	free(manifest.patchset);
	manifest.patchset = strdup("U20261123_02-qemu");
	sample_must(kc_manifest_check(&manifest));
	kc_manifest_clear(&manifest);
}

/* ---- kernels ---- */

static void a_kernel_patch_is_decoded(void **state)
{
	struct fixture *f = *state;
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autobuf struct kc_buf module = { 0 }, kcare = { 0 }, file = { 0 };
	kc_autofree char *text = NULL, *expected_text = NULL;
	const struct kc_kernel_manifest *kernel;
	struct kc_manifest manifest;

	kc_buf_append_str(&module, "a module");
	kc_buf_append_str(&kcare, "kcare.ko");
	sample_kernel_manifest(&manifest);
	manifest.kernel.is_pinned = true;
	sample_kernel_patch(f->ctx, f->key, &manifest, &module, &kcare, &file);
	sample_must(kc_patch_decode(f->ctx, "sample", file.data, file.size, f->keyring, &patch));
	sample_must(kc_manifest_to_json(&patch->manifest, &text));
	sample_must(kc_manifest_to_json(&manifest, &expected_text));
	kc_manifest_clear(&manifest);
	assert_string_equal(text, expected_text);
	kernel = &patch->manifest.kernel;
	assert_string_equal(kernel->effective_version, "6.1.0-56-amd64");
	assert_int_equal(kernel->n_functions, 2);
	assert_string_equal(kernel->functions[1], "qrtr:qrtr_create");
	assert_string_equal(kernel->switches[0], "modify_ldt");
	assert_int_equal(kernel->states[1], 68294);
	assert_int_equal(kernel->globals[1].offset, 64);
	assert_int_equal(kernel->globals[1].align, 32);
	assert_true(kernel->is_pinned);
	assert_memory_equal(kc_patch_payload_find(patch, KC_PATCH_MODULE_NAME)->data, "a module", 8);
	assert_memory_equal(kc_patch_payload_find(patch, KC_PATCH_KCARE_NAME)->data, "kcare.ko", 8);
}

static void a_kernel_patch_is_two_modules(void **state)
{
	struct fixture *f = *state;
	const struct kc_patch_payload payloads[] = {
		{ KC_PATCH_MODULE_NAME, "abc", 3 },
		{ KC_PATCH_KCARE_NAME, "def", 3 },
		{ "more", "ghi", 3 },
	};
	struct kc_payload_entry entries[2] = { 0 };
	kc_autobuf struct kc_buf out = { 0 };
	struct kc_manifest manifest;

	sample_kernel_manifest(&manifest);
	assert_error(kc_patch_encode(f->ctx, &manifest, payloads, 1, f->key, &out), KC_ERR_INPUT);
	assert_error(kc_patch_encode(f->ctx, &manifest, payloads + 1, 1, f->key, &out), KC_ERR_INPUT);
	assert_error(kc_patch_encode(f->ctx, &manifest, payloads, 3, f->key, &out), KC_ERR_INPUT);
	for (size_t i = 0; i < 2; i++) {
		entries[i] = (struct kc_payload_entry){ .name = (char *)payloads[i].name, 3, 3, "", "" };
		kc_sha256_text("abc", 3, entries[i].hash);
		kc_sha256_text("abc", 3, entries[i].compressed_hash);
	}
	sample_must(kc_payload_entries_check(&manifest, entries, 2));
	entries[1].size = KC_PATCH_KERNEL_MODULE_SIZE_MAX + 1;
	assert_error(kc_payload_entries_check(&manifest, entries, 2), KC_ERR_LIMIT);
	kc_manifest_clear(&manifest);
}

/* A member of "kernel" with a value that is signed, and nonsense. */
static const struct json_change bad_kernel_members[] = {
	{ "release", NULL, KC_ERR_INPUT },
	{ "release", "\"\"", KC_ERR_INPUT },
	{ "release", "\"6.1/..\"", KC_ERR_INPUT },
	{ "effective_version", "\"6.1.0 47\"", KC_ERR_INPUT },
	{ "build_id", "\"xyz\"", KC_ERR_INPUT },
	{ "build_id", "\"123\"", KC_ERR_INPUT },
	{ "module", "\"ext4\"", KC_ERR_INPUT },
	{ "module", "\"kcare_livepatch_../1\"", KC_ERR_INPUT },
	{ "module", "\"kcare_livepatch_1234567890123456789012345678901234567890\"", KC_ERR_INPUT },
	{ "functions", "{}", KC_ERR_INPUT },
	{ "functions", "[1]", KC_ERR_INPUT },
	{ "functions", "[\"raw_sendmsg\"]", KC_ERR_INPUT },
	{ "functions", "[\":raw_sendmsg\"]", KC_ERR_INPUT },
	{ "functions", "[\"vmlinux:\"]", KC_ERR_INPUT },
	{ "functions", "[\"nf-tables:a\"]", KC_ERR_INPUT },
	{ "functions", "[\"vmlinux:a b\"]", KC_ERR_INPUT },
	{ "switches", "[\"a/b\"]", KC_ERR_INPUT },
	{ "switches", "[\"a\",\"a\"]", KC_ERR_INPUT },
	{ "states", "[-1]", KC_ERR_INPUT },
	{ "states", "[\"1\"]", KC_ERR_INPUT },
	{ "states", "[5,6,5]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":0,\"size\":0,\"align\":1}]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":0,\"size\":4,\"align\":3}]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":2,\"size\":4,\"align\":4}]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":0,\"size\":9007199254740991,\"align\":1}]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":16777216,\"size\":1,\"align\":1}]", KC_ERR_INPUT },
	{ "globals", "[{\"name\":\"a\",\"offset\":0,\"size\":4}]", KC_ERR_INPUT },
	{ "globals",
	  "[{\"name\":\"a\",\"offset\":0,\"size\":4,\"align\":1},{\"name\":\"b\",\"offset\":3,\"size\":4,\"align\":1}]",
	  KC_ERR_INPUT },
	{ "globals",
	  "[{\"name\":\"a\",\"offset\":0,\"size\":4,\"align\":1},{\"name\":\"a\",\"offset\":4,\"size\":4,\"align\":1}]",
	  KC_ERR_INPUT },
	{ "pinned", "1", KC_ERR_INPUT },
	{ "unknown", "1", KC_ERR_INPUT },
};

/* Signed bytes of a kernel manifest in which one member is another. `change->value` NULL: it is missing. */
static void seal_kernel(struct fixture *f, const char *object, const struct json_change *change, struct kc_buf *file)
{
	static const char *const names[] = { KC_PATCH_MODULE_NAME, KC_PATCH_KCARE_NAME };
	const struct kc_key *keys[] = { f->key };
	struct kc_payload_entry entries[2] = { 0 };
	kc_autojson json_t *json = NULL;
	struct kc_manifest manifest;
	char frame[64], frames[128];
	size_t size = ZSTD_compress(frame, sizeof(frame), "abc", 3, 1);
	json_t *target;

	for (size_t i = 0; i < 2; i++) {
		entries[i] = (struct kc_payload_entry){ .name = (char *)names[i], 3, size, "", "" };
		kc_sha256_text("abc", 3, entries[i].hash);
		kc_sha256_text(frame, size, entries[i].compressed_hash);
		memcpy(frames + i * size, frame, size);
	}
	sample_kernel_manifest(&manifest);
	sample_must(kc_manifest_encode(&manifest, entries, 2, &json));
	kc_manifest_clear(&manifest);
	target = object ? json_object_get(json, object) : json;
	if (change && change->value)
		json_object_set_new(target, change->key, json_loads(change->value, JSON_DECODE_ANY, NULL));
	else if (change)
		json_object_del(target, change->key);
	seal(json, frames, 2 * size, keys, 1, file);
}

static void signed_nonsense_about_kernels_is_refused(void **state)
{
	static const struct json_change missing = { "kernel", NULL, KC_ERR_INPUT };
	static const struct json_change user = { "kind", "\"user\"", KC_ERR_INPUT };
	static const struct json_change build_id = { "target", "\"93ac615d\"", KC_ERR_INPUT };
	static const struct json_change *const changes[] = { &missing, &user, &build_id };
	struct fixture *f = *state;
	kc_autobuf struct kc_buf good = { 0 };

	seal_kernel(f, NULL, NULL, &good);
	sample_must(decode(f, &good, good.size));
	for (size_t i = 0; i < KC_ARRAY_SIZE(changes); i++) {
		kc_autobuf struct kc_buf file = { 0 };

		seal_kernel(f, NULL, changes[i], &file);
		assert_error(decode(f, &file, file.size), changes[i]->code);
	}
	for (size_t i = 0; i < KC_ARRAY_SIZE(bad_kernel_members); i++) {
		kc_autobuf struct kc_buf file = { 0 };

		seal_kernel(f, "kernel", &bad_kernel_members[i], &file);
		assert_error(decode(f, &file, file.size), bad_kernel_members[i].code);
	}
}

static void files_are_opened_and_peeked(void **state)
{
	struct fixture *f = *state;
	kc_autopatch struct kc_patch *opened = NULL, *peeked = NULL, *none = NULL;
	char dir[] = "/tmp/kcare-test-XXXXXX";
	kc_autofree char *path = NULL, *pipe = NULL;

	assert_non_null(mkdtemp(dir));
	path = kc_path_join(dir, "a.kpatch");
	pipe = kc_path_join(dir, "pipe.kpatch");
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(kc_file_write_atomic(path, f->file.data, f->file.size, 0644), 0);
	sample_must(kc_patch_open(f->ctx, path, f->keyring, &opened));
	sample_must(kc_patch_peek(f->ctx, path, &peeked));
	assert_string_equal(peeked->hash, opened->hash);
	assert_string_equal(peeked->keyid, opened->keyid);
	assert_int_equal(peeked->n_payloads, 1);
	assert_null(peeked->payloads[0].data);
	assert_int_equal(peeked->payloads[0].size, opened->payloads[0].size);
	assert_error(kc_patch_open(f->ctx, dir, f->keyring, &none), KC_ERR_NOT_A_PATCH);
	assert_error(kc_patch_open(f->ctx, pipe, f->keyring, &none), KC_ERR_NOT_A_PATCH);
	assert_int_equal(unlink(path), 0);
	assert_error(kc_patch_open(f->ctx, path, f->keyring, &none), KC_ERR_INPUT);
	assert_int_equal(kc_tree_remove(dir), 0);
}

static void payload_and_manifest_have_the_same_target(void **state)
{
	struct fixture *f = *state;
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autopayload struct kc_payload *payload = NULL, *other = NULL;

	sample_must(kc_patch_decode(f->ctx, "sample", f->file.data, f->file.size, f->keyring, &patch));
	sample_must(kc_patch_user_payload(f->ctx, patch, &payload));
	assert_int_equal(payload->n_functions, 1);
	patch->manifest.target[0] = '8';
	assert_error(kc_patch_user_payload(f->ctx, patch, &other), KC_ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encoded_is_decoded),
		cmocka_unit_test(decoding_needs_a_keyring),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(every_truncation_is_said_to_be_one),
		cmocka_unit_test(each_damage_has_its_own_error),
		cmocka_unit_test(unsigned_and_twice_signed_files_are_refused),
		cmocka_unit_test(bombs_and_odd_frames_are_refused),
		cmocka_unit_test(huge_window_is_refused),
		cmocka_unit_test(signed_nonsense_is_refused),
		cmocka_unit_test(payload_sizes_have_limits),
		cmocka_unit_test(bad_values_are_not_written),
		cmocka_unit_test(qemu_patchsets_are_allowed),
		cmocka_unit_test(a_kernel_patch_is_decoded),
		cmocka_unit_test(a_kernel_patch_is_two_modules),
		cmocka_unit_test(signed_nonsense_about_kernels_is_refused),
		cmocka_unit_test(files_are_opened_and_peeked),
		cmocka_unit_test(payload_and_manifest_have_the_same_target),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
