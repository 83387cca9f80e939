/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repository metadata after The Update Framework 1.0: root, targets (and its bins), snapshot, timestamp; each an
 * envelope of sign/. This file is the one definition of their fields for reader (repo/client.h) and writer
 * (repo/repository.h); whether they may be trusted is decided there. Format: docs/repository-format.md.
 *
 * Files of a feed, below feeds/FEED/: metadata/N.root.json, metadata/timestamp.json, metadata/V.snapshot.json,
 * metadata/V.targets.json, metadata/V.bin-HEX.json, targets/DIR/SHA256.NAME.
 * `signed` of all but root has the member "x-kcare-feed".
 */
#ifndef KC_REPO_METADATA_H
#define KC_REPO_METADATA_H

#include <stdbool.h>

#include "base/ctx.h"
#include "sign/envelope.h"
#include "sign/hash.h"

enum kc_repo_role {
	KC_ROLE_ROOT,
	KC_ROLE_TARGETS,
	KC_ROLE_SNAPSHOT,
	KC_ROLE_TIMESTAMP,
	KC_ROLE_COUNT,
};
const char *kc_repo_role_name(enum kc_repo_role role); /* "root", … */

#define KC_REPO_SPEC_VERSION "1.0.31"
#define KC_REPO_FEED_MEMBER "x-kcare-feed"

enum { /* sizes that a reader accepts */
       KC_REPO_ROOT_SIZE_MAX = 256 << 10,
       KC_REPO_TIMESTAMP_SIZE_MAX = 16 << 10,
       KC_REPO_SNAPSHOT_SIZE_MAX = 1 << 20,
       KC_REPO_TARGETS_SIZE_MAX = 16 << 20,
       KC_REPO_ROOTS_MAX = 1024, /* roots in a row that one refresh follows */
       KC_REPO_KEYS_MAX = 64,
       KC_REPO_ROLE_KEYS_MAX = KC_ENVELOPE_SIGNATURES_MAX,
       KC_REPO_BINS_FROM = 256, /* targets: from so many on a feed has bins; see docs/repository-format.md */
       /* Between 32 and 256 bins: their names keep two digits, as TUF lets no name vanish from the snapshot. */
       KC_REPO_BIN_BITS_MIN = 5,
       KC_REPO_BIN_BITS_MAX = 8,
};

struct kc_repo_role_keys {
	char (*keyids)[KC_KEYID_SIZE];
	size_t n_keyids;
	unsigned threshold;
};

struct kc_repo_root {
	uint64_t version; /* 1, 2, 3 … */
	int64_t expires;  /* Unix seconds, as of all roles */
	uint8_t (*keys)[KC_PUBLIC_KEY_SIZE];
	size_t n_keys;
	struct kc_repo_role_keys roles[KC_ROLE_COUNT];
};

/* A file that other metadata names. */
struct kc_repo_meta {
	char *name;			/* "snapshot.json", "bin-3f.json"; of targets: the target's path */
	uint64_t version;		/* 0 for targets */
	uint64_t size;			/* 0: not said */
	char hash[KC_SHA256_TEXT_SIZE]; /* "": not said */
};

/* timestamp (one file: snapshot.json), snapshot (targets.json and the bins), targets or a bin (target files). */
struct kc_repo_document {
	uint64_t version;
	int64_t expires;
	char *feed;
	struct kc_repo_meta *files; /* ascending by name */
	size_t n_files;
	/* targets only: 0, or there are 2^bin_bits bins, whose keys are those of the role targets */
	unsigned bin_bits;
};

/*
 * Of the `signed` part of an envelope. KC_ERR_CORRUPT: its members are not what they should be, or of another role;
 * members that are not known are left alone, as TUF wants it. KC_ERR_VERSION: of another TUF than 1.x. On failure the
 * struct holds what was read so far; the caller clears it either way. `root` is needed for targets with bins: their
 * keys must be those of its role targets.
 */
struct kc_error *kc_repo_root_decode(const json_t *signed_part, struct kc_repo_root *root);
struct kc_error *kc_repo_document_decode(const json_t *signed_part, enum kc_repo_role role,
					 const struct kc_repo_root *root, struct kc_repo_document *document);
/*
 * `*signed_part` is the caller's (json_decref). The order of files does not matter here. What the decoder would refuse
 * is refused, with its error.
 */
struct kc_error *kc_repo_root_encode(const struct kc_repo_root *root, json_t **signed_part);
struct kc_error *kc_repo_document_encode(const struct kc_repo_document *document, enum kc_repo_role role,
					 const struct kc_repo_root *root, json_t **signed_part);
void kc_repo_root_clear(struct kc_repo_root *root);
void kc_repo_document_clear(struct kc_repo_document *document);

bool kc_repo_role_has_key(const struct kc_repo_role_keys *role, const char *keyid);
/* The keys of a role, for kc_envelope_verify() with its threshold. */
struct kc_error *kc_repo_role_keyring(const struct kc_repo_root *root, enum kc_repo_role role,
				      struct kc_keyring **keyring);
/* NULL: the document does not have it. */
const struct kc_repo_meta *kc_repo_document_find(const struct kc_repo_document *document, const char *name);
/* The bin that a target path is in: "bin-3f"; by the first `bits` of the SHA-256 of the path. */
void kc_repo_bin_name(const char *path, unsigned bits, char name[16]);
void kc_repo_bin_name_at(unsigned index, unsigned bits, char name[16]);
/* For so many targets: 0, no bins; else the fewest bits with at most 32 targets per bin, within the limits. */
unsigned kc_repo_bin_bits(size_t n_targets);
/*
 * "kernel/0123…", "user/debian12/libssl3": at most 128 characters; parts of letters, digits and . _ + ~ -, each
 * beginning with a letter or digit, so that a path is safe as a file name and in a URL.
 */
bool kc_repo_target_path_is_valid(const char *path);
/* "2026-11-24T12:00:00Z" <-> Unix seconds. */
void kc_repo_time_text(int64_t seconds, char text[21]);
bool kc_repo_time_parse(const char *text, int64_t *seconds);

/* "metadata/3.root.json", "metadata/7.snapshot.json"; targets: "targets/kernel/HASH.0123…" (caller frees; NULL). */
char *kc_repo_metadata_path(uint64_t version, const char *name);
char *kc_repo_target_file_path(const char *path, const char *hash);

#define KC_CLEANUP_REPO_ROOT KC_CLEANUP(kc_repo_root_clear)
#define KC_CLEANUP_REPO_DOCUMENT KC_CLEANUP(kc_repo_document_clear)

#endif
