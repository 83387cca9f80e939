/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patchset: a named release over many targets, as its author signed it. PATCHSET.json is an envelope
 * (sign/envelope.h) around the list of all its files; nothing can be left out or swapped unnoticed. The archive,
 * NAME.tar.bz2, holds that list and the patch files. Format: docs/patchset-format.md.
 */
#ifndef KC_PATCHSET_PATCHSET_H
#define KC_PATCHSET_PATCHSET_H

#include "patch/patch_file.h"

#define KC_PATCHSET_DOCUMENT "kcare-patchset-1"
#define KC_PATCHSET_LIST_NAME "PATCHSET.json"

enum {
	KC_PATCHSET_FILES_MAX = 20000,
	KC_PATCHSET_LIST_SIZE_MAX = 8 << 20,
	KC_PATCHSET_FILE_SIZE_MAX = 258 << 20,
	KC_PATCHSET_NAME_MAX = 100, /* of a file in the archive: what a plain tar header holds */
	KC_PATCHSET_PACKAGE_MAX = 128,
	KC_PATCHSET_DISTRO_MAX = 32,
};
#define KC_PATCHSET_SIZE_MAX ((uint64_t)64 << 30) /* all files together */

/* One patch file of a patchset. */
struct kc_patchset_file {
	char *name; /* in the archive: "kernel-0123456789abcdef-3.kpatch"; no folder */
	char hash[KC_SHA256_TEXT_SIZE];
	uint64_t size;
	enum kc_patch_kind kind;
	char *target; /* as in the manifest: kernel id or build-id */
	char *type;   /* "default", "extra", "free" */
	uint32_t level;
	char *release; /* kernels: "6.1.0-47-amd64"; else NULL */
	char *package; /* userspace: "libssl3", or after the object's name when the patch knows no package; else NULL */
	char *object;  /* "libcrypto.so.3", "vmlinux" */
};

struct kc_patchset {
	char *name;			/* "K20261123_01", "U20261123_01", "U20261123_01-qemu" */
	char *distro;			/* "debian12": what its targets run; a part of the paths of userspace targets */
	int64_t released;		/* Unix seconds */
	struct kc_patchset_file *files; /* ascending by name */
	size_t n_files;
	char keyid[KC_KEYID_SIZE]; /* who signed it; after decoding */
};

/*
 * Signs and appends PATCHSET.json; sorts the files by name. KC_ERR_INPUT names what is not allowed: a name twice, one
 * (target, type, level) twice, kernel and userspace files together, a kind that the name's letter denies. KC_ERR_LIMIT.
 */
struct kc_error *kc_patchset_encode(struct kc_patchset *patchset, const struct kc_key *key, struct kc_buf *out);
/*
 * Verifies, then decodes and checks the same. `name` is for messages. KC_ERR_CORRUPT: not such a list. KC_ERR_UNSIGNED,
 * KC_ERR_UNKNOWN_KEY, KC_ERR_BAD_SIGNATURE, KC_ERR_LIMIT, KC_ERR_INPUT (signed, but its values make no sense).
 */
struct kc_error *kc_patchset_decode(const char *name, const void *data, size_t size, const struct kc_keyring *authors,
				    struct kc_patchset **patchset);
/* Decodes without trusting it: for showing, never for using. */
struct kc_error *kc_patchset_peek(const char *name, const void *data, size_t size, struct kc_patchset **patchset);
void kc_patchset_free(struct kc_patchset *patchset);

/* KC_ERR_INPUT: not "debian12" or the like (a-z 0-9 . _ -, beginning with a letter or digit). */
struct kc_error *kc_patchset_check_distro(const char *distro);
/* NULL: not in the list. */
struct kc_patchset_file *kc_patchset_find(const struct kc_patchset *patchset, const char *name);
/* Appends the entry of a patch file of `size` bytes. */
struct kc_error *kc_patchset_add(struct kc_patchset *patchset, const struct kc_patch *patch, uint64_t size);
/* KC_ERR_WRONG_TARGET: the (verified) patch file is not what its entry says. */
struct kc_error *kc_patchset_check_patch(const struct kc_patchset *patchset, const struct kc_patchset_file *file,
					 const struct kc_patch *patch);
/*
 * Where such a file belongs in a repository: "kernel/KERNELID" or "user/DISTRO/PACKAGE". The caller frees; NULL when
 * out of memory.
 */
char *kc_patchset_target_path(const struct kc_patchset *patchset, const struct kc_patchset_file *file);

/*
 * Makes the archive `path` of the patch files `files`: verifies each against the key's own public part, checks that all
 * name this patchset and one of `types` (NULL-terminated), signs the list, and writes the archive atomically. The same
 * files give the same bytes. `patchset` gives name, distro and released; its files are filled in.
 */
struct kc_error *kc_patchset_archive_write(struct kc_ctx *ctx, const char *path, struct kc_patchset *patchset,
					   const char *const *types, char *const *files, size_t n_files,
					   const struct kc_key *key);
/*
 * Unpacks an archive into the new folder `dir` (PATCHSET.json and the patch files, flat) and verifies all: the list
 * against `authors`, each file against the list, each patch file's own signature and manifest against its entry. The
 * archive may come from an enemy: KC_ERR_ARCHIVE (links, folders, absolute or "..", unknown or missing files, a name
 * twice), KC_ERR_LIMIT (bombs), KC_ERR_UNKNOWN_KEY … and then nothing is left of `dir`. Reading stops as soon as
 * something is wrong; nothing is ever written that was not verified. NULL for `dir`: only verifies.
 */
struct kc_error *kc_patchset_archive_read(struct kc_ctx *ctx, const char *path, const struct kc_keyring *authors,
					  const char *dir, struct kc_patchset **patchset);
/* The list of an archive, not trusted: for showing. */
struct kc_error *kc_patchset_archive_peek(struct kc_ctx *ctx, const char *path, struct kc_patchset **patchset);
/* Whether the file begins as an archive does (bzip2); false, too, when it cannot be read. */
bool kc_patchset_is_archive(const char *path);

KC_DEFINE_CLEANUP(kc_cleanup_patchset, struct kc_patchset *, kc_patchset_free)
#define kc_autopatchset KC_CLEANUP(kc_cleanup_patchset)

#endif
