/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manifest of a patch file as JSON, and what its values may be; private to this room. */
#ifndef KC_PATCH_MANIFEST_H
#define KC_PATCH_MANIFEST_H

#include <jansson.h>

#include "patch/patch_file.h"

/* Names format and version inside the signed part too: signed data of another kind can never pass for a patch. */
#define KC_MANIFEST_DOCUMENT "kcare-patch-1"

enum {
	KC_PATCH_PAYLOADS_MAX = 16,
	KC_PATCH_PAYLOAD_SIZE_MAX = 256 << 20, /* decompressed, all payloads together */
	KC_MANIFEST_FIXES_MAX = 1024,
	KC_MANIFEST_CVES_MAX = 256, /* per fix */
	KC_MANIFEST_ALLOWED_MAX = 64,
	KC_MANIFEST_FUNCTIONS_MAX = 16384, /* kernels */
	KC_MANIFEST_SWITCHES_MAX = 256,
	KC_MANIFEST_STATES_MAX = 256,
	KC_MANIFEST_GLOBALS_MAX = 1024,
	KC_PATCH_KERNEL_MODULE_SIZE_MAX = 64 << 20, /* each */
};

/* A payload as the manifest describes it: its bytes in the file, and what they decompress to. */
struct kc_payload_entry {
	char *name;
	uint64_t size, compressed_size;
	char hash[KC_SHA256_TEXT_SIZE], compressed_hash[KC_SHA256_TEXT_SIZE];
};

/* Checked values only: both call kc_manifest_check(). `*json` is the caller's. */
struct kc_error *kc_manifest_encode(const struct kc_manifest *manifest, const struct kc_payload_entry *entries,
				    size_t n_entries, json_t **json);
/* On failure `manifest` and `*entries` hold what was read so far; the caller clears them either way. */
struct kc_error *kc_manifest_decode(const json_t *json, struct kc_manifest *manifest, struct kc_payload_entry **entries,
				    size_t *n_entries);

/* KC_ERR_INPUT, naming the value. */
struct kc_error *kc_manifest_check(const struct kc_manifest *manifest);
struct kc_error *kc_payload_entries_check(const struct kc_manifest *manifest, const struct kc_payload_entry *entries,
					  size_t n);
void kc_payload_entries_free(struct kc_payload_entry *entries, size_t n);

#endif
