/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patch file, `.kpatch`: one patch for one target at one level, signed by its author. Format: docs/patch-format.md.
 * Reading verifies first: nothing is decompressed or parsed before its signature and hash were checked.
 * What the userspace payload contains is in patch/user_payload.h.
 */
#ifndef KC_PATCH_PATCH_FILE_H
#define KC_PATCH_PATCH_FILE_H

#include "base/buf.h"
#include "base/ctx.h"
#include "sign/hash.h"
#include "sign/key.h"

/* A fix as its DEP-3 style header tells it. Strings are UTF-8, NULL when absent. */
struct kc_fix_info {
	char *name;
	char *description;
	char **cves; /* "CVE-2026-42766" */
	size_t n_cves;
	char *cvss;
	char *cve_url;
	char *patch_url;
	char *license;
};

#define KC_PATCH_MODULE_NAME "patch.ko" /* kernel payloads: the livepatch module … */
#define KC_PATCH_KCARE_NAME "kcare.ko"	/* … and the kcare.ko for its kernel */

/* Kernel patches: what the plan of the agent and the builder of the next level need to know. */
struct kc_kernel_manifest {
	char *release;		 /* "6.1.0-47-amd64": of the kernel it is for */
	char *effective_version; /* "6.1.0-56-amd64": the release whose fixes it brings; shown by --uname */
	char *build_id;		 /* GNU build-id of the image, lower-case hex */
	char *module;		 /* name of the livepatch module: "kcare_livepatch_3" */
	char **functions;	 /* what is replaced: "vmlinux:meminfo_proc_show" */
	size_t n_functions;
	char **switches; /* names of KCARE_SWITCH() */
	size_t n_switches;
	uint64_t *states; /* ids of klp_state */
	size_t n_states;
	struct kc_manifest_global {
		char *name;
		uint64_t offset, size, align; /* in kcare.ko's arena */
	} * globals;
	size_t n_globals;
	bool is_pinned; /* never unloaded: pointers into it may be stored */
};

enum kc_patch_kind {
	KC_PATCH_USER,
	KC_PATCH_KERNEL,
};

/* `Consistency:` of the fixes: when may a process switch? */
enum kc_consistency {
	KC_CONSISTENCY_STRICT,	 /* no thread is inside an old function of the set */
	KC_CONSISTENCY_FUNCTION, /* old and new may overlap */
};

struct kc_manifest {
	enum kc_patch_kind kind;
	char *target;	 /* user: build-id of the ELF file; kernel: kernel id (sha1 of /proc/version); lower-case hex */
	char *type;	 /* "default", "extra", "free" */
	uint32_t level;	 /* >= 1 */
	char *patchset;	 /* "U20261123_01" */
	char *package;	 /* "libssl3", or NULL for --elf */
	char *version;	 /* "3.0.17-1~deb12u2", or NULL */
	char *object;	 /* soname or file name: "libcrypto.so.3" */
	int64_t created; /* Unix seconds */
	enum kc_consistency consistency;
	struct kc_fix_info *fixes;
	size_t n_fixes;
	char **allowed; /* rules that --allow overrode */
	size_t n_allowed;
	struct kc_kernel_manifest kernel; /* KC_PATCH_KERNEL only */
};

struct kc_patch_payload {
	const char *name; /* user: KC_PAYLOAD_NAME */
	const void *data; /* NULL after kc_patch_peek() */
	size_t size;
};

struct kc_patch {
	struct kc_manifest manifest;
	char hash[KC_SHA256_TEXT_SIZE];	   /* of the whole file: the patch's identity in records and stores */
	char keyid[KC_KEYID_SIZE];	   /* who signed; after kc_patch_peek() only who is said to have, or "" */
	struct kc_patch_payload *payloads; /* decompressed; belong to the patch */
	size_t n_payloads;
};

/* Signs and appends a patch file to `out`. KC_ERR_INPUT names the value of the manifest that is not allowed. */
struct kc_error *kc_patch_encode(struct kc_ctx *ctx, const struct kc_manifest *manifest,
				 const struct kc_patch_payload *payloads, size_t n_payloads, const struct kc_key *key,
				 struct kc_buf *out);
/*
 * Verifies against `keyring`, then decodes. `name` is for messages. Each kind of damage has its own error:
 * KC_ERR_NOT_A_PATCH, KC_ERR_VERSION, KC_ERR_TRUNCATED, KC_ERR_CORRUPT (a bit is wrong somewhere), KC_ERR_LIMIT (too
 * large, also when only decompressed), KC_ERR_UNSIGNED, KC_ERR_UNKNOWN_KEY, KC_ERR_BAD_SIGNATURE, KC_ERR_INPUT (signed,
 * but its values make no sense).
 */
struct kc_error *kc_patch_decode(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
				 const struct kc_keyring *keyring, struct kc_patch **patch);
/* Reads and decodes a file. */
struct kc_error *kc_patch_open(struct kc_ctx *ctx, const char *path, const struct kc_keyring *keyring,
			       struct kc_patch **patch);
/* For `kcare-build show`: decodes the manifest without trusting it. The payloads have names and claimed sizes only. */
struct kc_error *kc_patch_peek(struct kc_ctx *ctx, const char *path, struct kc_patch **patch);
void kc_patch_free(struct kc_patch *patch);
const struct kc_patch_payload *kc_patch_payload_find(const struct kc_patch *patch, const char *name);

/* The manifest as JSON text, without the payloads (caller frees). KC_ERR_INPUT for text that is not UTF-8. */
struct kc_error *kc_manifest_to_json(const struct kc_manifest *manifest, char **text);

/*
 * Whether target, type, level, patchset, object, package and kernel release (of a kernel patch) are such as a manifest
 * may have; nothing else is looked at. KC_ERR_INPUT, naming the value.
 */
struct kc_error *kc_manifest_check_identity(const struct kc_manifest *manifest);
/* "K20261123_01", "U20261123_01", "U20261123_01-qemu". */
bool kc_patchset_name_is_valid(const char *name);

void kc_fix_info_clear(struct kc_fix_info *fix);
void kc_manifest_clear(struct kc_manifest *manifest);

KC_DEFINE_CLEANUP(kc_cleanup_patch, struct kc_patch *, kc_patch_free)
#define kc_autopatch KC_CLEANUP(kc_cleanup_patch)

#endif
