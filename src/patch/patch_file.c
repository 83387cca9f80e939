/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patch file as a container. docs/patch-format.md is the specification; in short, little-endian:
 *
 *	patch-file = magic version envelope-size envelope payload*
 *	magic         = 89 4b 50 41 54 43 48 0a           ; "\x89KPATCH\n": a transfer that mangles text shows at once
 *	version       = u32                               ; 1
 *	envelope-size = u32                               ; 1 to 1 MiB
 *	envelope      = canonical JSON, exactly one signature (sign/envelope.h)
 *	payload       = one zstd frame                    ; in the order of the manifest, without gaps, up to the end
 *
 * Order of reading: sizes, signature, manifest, hash of the compressed bytes, decompression, hash of the content.
 */
#include "patch/patch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/file.h"
#include "patch/cursor.h"
#include "patch/manifest.h"
#include "sign/envelope.h"

enum {
	VERSION = 1,
	HEADER_SIZE = 16,
	ENVELOPE_MAX = 1 << 20,
	FILE_MAX = KC_PATCH_PAYLOAD_SIZE_MAX + ENVELOPE_MAX + HEADER_SIZE,
	COMPRESSION_LEVEL = 12,
};

static const uint8_t magic[8] = { 0x89, 'K', 'P', 'A', 'T', 'C', 'H', '\n' };

/* ---- writing ---- */

/* Appends the frame to `frames` and describes it in `entry`. */
static struct kc_error *compress_payload(const struct kc_patch_payload *payload, struct kc_payload_entry *entry,
					 struct kc_buf *frames)
{
	size_t capacity = ZSTD_compressBound(payload->size), size;
	kc_autofree char *frame = malloc(capacity);

	entry->name = strdup(payload->name);
	if (!frame || !entry->name)
		return kc_error_no_memory();
	size = ZSTD_compress(frame, capacity, payload->data, payload->size, COMPRESSION_LEVEL);
	if (ZSTD_isError(size))
		return kc_error_new(KC_ERR_SYSTEM, "cannot compress %s: %s", payload->name, ZSTD_getErrorName(size));
	entry->size = payload->size;
	entry->compressed_size = size;
	kc_sha256_text(payload->data, payload->size, entry->hash);
	kc_sha256_text(frame, size, entry->compressed_hash);
	kc_buf_append(frames, frame, size);
	return NULL;
}

static struct kc_error *write_file(const struct kc_manifest *manifest, const struct kc_payload_entry *entries,
				   size_t n_entries, const struct kc_key *key, const struct kc_buf *frames,
				   struct kc_buf *out)
{
	kc_autobuf struct kc_buf envelope = { 0 };
	kc_autojson json_t *json = NULL;

	KC_TRY(kc_manifest_encode(manifest, entries, n_entries, &json));
	KC_TRY(kc_envelope_encode(json, &key, 1, &envelope));
	if (envelope.size > ENVELOPE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the manifest is larger than %d bytes: shorten the descriptions",
				    ENVELOPE_MAX);
	kc_buf_append(out, magic, sizeof(magic));
	kc_buf_append_u32(out, VERSION);
	kc_buf_append_u32(out, (uint32_t)envelope.size);
	kc_buf_append(out, envelope.data, envelope.size);
	kc_buf_append(out, frames->data, frames->size);
	return out->failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_patch_encode(struct kc_ctx *ctx, const struct kc_manifest *manifest,
				 const struct kc_patch_payload *payloads, size_t n_payloads, const struct kc_key *key,
				 struct kc_buf *out)
{
	struct kc_payload_entry *entries = calloc(n_payloads + 1, sizeof(*entries));
	kc_autobuf struct kc_buf frames = { 0 };
	struct kc_error *err = NULL;

	(void)ctx;
	if (!entries)
		return kc_error_no_memory();
	for (size_t i = 0; !err && i < n_payloads; i++)
		err = compress_payload(&payloads[i], &entries[i], &frames);
	if (!err && frames.failed)
		err = kc_error_no_memory();
	if (!err)
		err = write_file(manifest, entries, n_payloads, key, &frames, out);
	kc_payload_entries_free(entries, n_payloads);
	return err;
}

/* ---- reading ---- */

/* The parts of a file, before anything of it is believed. */
struct parts {
	const char *envelope;
	size_t envelope_size;
	struct kc_cursor payloads;
};

static struct kc_error *split(const void *data, size_t size, struct parts *parts)
{
	struct kc_cursor file = { data, size, false };
	uint32_t version;

	if (size && memcmp(data, magic, size < sizeof(magic) ? size : sizeof(magic)) != 0)
		return kc_error_new(KC_ERR_NOT_A_PATCH, "not a patch file");
	kc_cursor_bytes(&file, sizeof(magic));
	version = kc_cursor_u32(&file);
	parts->envelope_size = kc_cursor_u32(&file);
	if (file.failed)
		return kc_error_new(KC_ERR_TRUNCATED, "the file ends inside its header");
	if (version != VERSION)
		return kc_error_new(KC_ERR_VERSION, "the file has format version %u, this program knows %d", version,
				    VERSION);
	if (parts->envelope_size > ENVELOPE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the manifest is larger than %d bytes", ENVELOPE_MAX);
	parts->envelope = (const char *)kc_cursor_bytes(&file, parts->envelope_size);
	if (file.failed)
		return kc_error_new(KC_ERR_TRUNCATED, "the file ends inside its manifest");
	parts->payloads = file;
	return NULL;
}

/*
 * Into a buffer of exactly the signed size: whatever the frame claims, no more than that is ever written, and a frame
 * that is decompressed in one call needs no window memory. More than one frame, or a frame that skips, is refused.
 */
static struct kc_error *decompress(const struct kc_payload_entry *entry, const uint8_t *frame, void **content)
{
	kc_autofree void *buffer = NULL;
	size_t size;

	if (ZSTD_findFrameCompressedSize(frame, entry->compressed_size) != entry->compressed_size)
		return kc_error_new(KC_ERR_CORRUPT, "the payload %s is not one zstd frame", entry->name);
	buffer = malloc(entry->size);
	if (!buffer)
		return kc_error_no_memory();
	size = ZSTD_decompress(buffer, entry->size, frame, entry->compressed_size);
	if (ZSTD_isError(size) && ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall)
		return kc_error_new(KC_ERR_LIMIT, "the payload %s decompresses to more than its signed %lu bytes",
				    entry->name, entry->size);
	if (ZSTD_isError(size))
		return kc_error_new(KC_ERR_CORRUPT, "the payload %s cannot be decompressed: %s", entry->name,
				    ZSTD_getErrorName(size));
	if (size != entry->size)
		return kc_error_new(KC_ERR_CORRUPT, "the payload %s decompresses to %zu instead of %lu bytes",
				    entry->name, size, entry->size);
	*content = kc_steal(buffer);
	return NULL;
}

static struct kc_error *check_hash(const struct kc_payload_entry *entry, const void *data, size_t size,
				   const char *expected)
{
	char hash[KC_SHA256_TEXT_SIZE];

	kc_sha256_text(data, size, hash);
	if (strcmp(hash, expected))
		return kc_error_new(KC_ERR_CORRUPT, "the payload %s does not match its signed hash", entry->name);
	return NULL;
}

static struct kc_error *read_payload(const struct kc_payload_entry *entry, struct kc_cursor *file,
				     struct kc_patch_payload *payload)
{
	const uint8_t *frame = kc_cursor_bytes(file, entry->compressed_size);
	void *content = NULL;

	if (!frame)
		return kc_error_new(KC_ERR_TRUNCATED, "the file ends inside the payload %s", entry->name);
	KC_TRY(check_hash(entry, frame, entry->compressed_size, entry->compressed_hash));
	KC_TRY(decompress(entry, frame, &content));
	payload->data = content;
	return check_hash(entry, content, entry->size, entry->hash);
}

/* Reads the manifest into `patch`; its payloads get their names and sizes only. */
static struct kc_error *read_manifest(const json_t *json, struct kc_patch *patch, struct kc_payload_entry **entries,
				      size_t *n_entries)
{
	KC_TRY(kc_manifest_decode(json, &patch->manifest, entries, n_entries));
	patch->payloads = calloc(*n_entries, sizeof(*patch->payloads));
	if (!patch->payloads)
		return kc_error_no_memory();
	patch->n_payloads = *n_entries;
	for (size_t i = 0; i < *n_entries; i++) {
		patch->payloads[i].size = (*entries)[i].size;
		patch->payloads[i].name = strdup((*entries)[i].name);
		if (!patch->payloads[i].name)
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *read_payloads(struct kc_patch *patch, const struct kc_payload_entry *entries,
				      struct kc_cursor *file)
{
	for (size_t i = 0; i < patch->n_payloads; i++)
		KC_TRY(read_payload(&entries[i], file, &patch->payloads[i]));
	if (file->size)
		return kc_error_new(KC_ERR_CORRUPT, "%zu bytes follow the last payload", file->size);
	return NULL;
}

/* A patch file has one author: exactly one signature, so that every bit of the file is covered. */
static struct kc_error *open_envelope(const struct parts *parts, const struct kc_keyring *keyring,
				      struct kc_envelope *envelope)
{
	kc_autoenvelope struct kc_envelope claimed = { 0 };

	KC_TRY(kc_envelope_peek(parts->envelope, parts->envelope_size, &claimed));
	if (claimed.n_keyids > 1)
		return kc_error_new(KC_ERR_CORRUPT, "a patch file has one signature, this one has %zu",
				    claimed.n_keyids);
	if (keyring)
		return kc_envelope_verify(parts->envelope, parts->envelope_size, keyring, 1, envelope);
	*envelope = claimed;
	claimed.signed_part = NULL;
	return NULL;
}

/* Without a keyring: no signature is checked, and no payload is touched. */
static struct kc_error *decode(const void *data, size_t size, const struct kc_keyring *keyring, struct kc_patch *patch)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	struct kc_payload_entry *entries = NULL;
	size_t n_entries = 0;
	struct parts parts = { 0 };
	struct kc_error *err;

	if (size > FILE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "larger than %d bytes", FILE_MAX);
	KC_TRY(split(data, size, &parts));
	KC_TRY(open_envelope(&parts, keyring, &envelope));
	memcpy(patch->keyid, envelope.keyids[0], sizeof(patch->keyid));
	kc_sha256_text(data, size, patch->hash);
	err = read_manifest(envelope.signed_part, patch, &entries, &n_entries);
	if (!err && keyring)
		err = read_payloads(patch, entries, &parts.payloads);
	kc_payload_entries_free(entries, n_entries);
	return err;
}

static struct kc_error *decode_named(const char *name, const void *data, size_t size, const struct kc_keyring *keyring,
				     struct kc_patch **patch)
{
	kc_autopatch struct kc_patch *decoded = calloc(1, sizeof(*decoded));
	struct kc_error *err;

	if (!decoded)
		return kc_error_no_memory();
	err = decode(data, size, keyring, decoded);
	if (err)
		return kc_error_prefix(err, "%s", name);
	*patch = kc_steal(decoded);
	return NULL;
}

struct kc_error *kc_patch_decode(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
				 const struct kc_keyring *keyring, struct kc_patch **patch)
{
	(void)ctx;
	if (!keyring) /* only kc_patch_peek() goes without */
		return kc_error_new(KC_ERR_UNKNOWN_KEY, "%s: there are no keys to check it with", name);
	return decode_named(name, data, size, keyring, patch);
}

/* Not through a pipe or a device, which might never end or block. */
static struct kc_error *read_file(const char *path, struct kc_buf *buf)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_NOT_A_PATCH, "%s: not a file", path);
	err = kc_fd_read(fd, FILE_MAX, buf);
	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %d bytes", path, FILE_MAX);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return NULL;
}

struct kc_error *kc_patch_open(struct kc_ctx *ctx, const char *path, const struct kc_keyring *keyring,
			       struct kc_patch **patch)
{
	kc_autobuf struct kc_buf file = { 0 };

	KC_TRY(read_file(path, &file));
	return kc_patch_decode(ctx, path, file.data, file.size, keyring, patch);
}

struct kc_error *kc_patch_peek(struct kc_ctx *ctx, const char *path, struct kc_patch **patch)
{
	kc_autobuf struct kc_buf file = { 0 };

	(void)ctx;
	KC_TRY(read_file(path, &file));
	return decode_named(path, file.data, file.size, NULL, patch);
}

void kc_patch_free(struct kc_patch *patch)
{
	if (!patch)
		return;
	for (size_t i = 0; i < patch->n_payloads; i++) {
		free((void *)patch->payloads[i].name);
		free((void *)patch->payloads[i].data);
	}
	free(patch->payloads);
	kc_manifest_clear(&patch->manifest);
	free(patch);
}

const struct kc_patch_payload *kc_patch_payload_find(const struct kc_patch *patch, const char *name)
{
	for (size_t i = 0; i < patch->n_payloads; i++)
		if (!strcmp(patch->payloads[i].name, name))
			return &patch->payloads[i];
	return NULL;
}
