/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files client*.c. */
#ifndef KC_REPO_CLIENT_INTERNAL_H
#define KC_REPO_CLIENT_INTERNAL_H

#include "repo/client.h"

/* A key that a root of this chain had for some roles. */
struct kc_repo_former_key {
	uint8_t public[KC_PUBLIC_KEY_SIZE];
	unsigned roles; /* bits, 1 << enum kc_repo_role */
};

/* Verified metadata, and what the file was that it came from. */
struct kc_repo_held {
	bool is_set;
	struct kc_repo_document document;
	uint64_t size;
	char hash[KC_SHA256_TEXT_SIZE];
};

struct kc_repo_client {
	char *dir, *feed;
	struct kc_buf anchor;
	uint64_t anchor_version;
	struct kc_repo_root root; /* the newest that is trusted */
	bool has_new_root; /* which the folder does not have yet: the anchor was replaced, or this is the first run */
	struct kc_repo_former_key *former;
	size_t n_former;
	/* accepted last; the snapshot may be older than what the timestamp names, when a refresh was cut off */
	struct kc_repo_held timestamp, snapshot;
	struct kc_repo_held targets; /* after a refresh */
	bool is_refreshed;
	int64_t now; /* of the refresh */
};

/* ---- client_state.c: the folder ---- */
/*
 * Appends the file's content. KC_ERR_PERMISSION: another user owns the folder or the file, or may write to it. `limit`
 * is what was accepted when it was written, so more is damage.
 */
struct kc_error *kc_repo_state_read(const struct kc_repo_client *client, const char *name, size_t limit,
				    struct kc_buf *text, bool *exists);
/* Replaces it as a whole, durably; makes the folder. */
struct kc_error *kc_repo_state_write(const struct kc_repo_client *client, const char *name, const struct kc_buf *text);
/* The same for what is checked against its hash when it is read, and can be had again: without waiting for the disk. */
struct kc_error *kc_repo_state_keep(const struct kc_repo_client *client, const char *name, const struct kc_buf *text);
struct kc_error *kc_repo_state_forget(const struct kc_repo_client *client, const char *name);
/* Makes KC_ERR_CORRUPT of an error about a file of the folder (takes `err`): what to remove, and what is lost by it. */
struct kc_error *kc_repo_state_damaged(const struct kc_repo_client *client, const char *name, struct kc_error *err);

/* ---- client_verify.c: what metadata must be, before anything that it says is believed ---- */
/* Signed by the threshold of the role's keys. Adds KC_ERR_REVOKED_KEY to the errors of kc_envelope_verify(). */
struct kc_error *kc_repo_verify(const struct kc_repo_client *client, enum kc_repo_role role, const struct kc_buf *text,
				struct kc_envelope *envelope);
/* The keys of the trusted root are former ones from now on. */
struct kc_error *kc_repo_remember_keys(struct kc_repo_client *client, const struct kc_repo_root *root);
/* Signed, of this role and feed. The caller clears `held` either way. */
struct kc_error *kc_repo_held_read(const struct kc_repo_client *client, enum kc_repo_role role,
				   const struct kc_buf *text, struct kc_repo_held *held);
void kc_repo_held_clear(struct kc_repo_held *held);
/* Is this the file that `meta` names? */
bool kc_repo_held_is(const struct kc_repo_held *held, const struct kc_repo_meta *meta);
/* KC_ERR_FAST_FORWARD and KC_ERR_CLOCK: its version, or one that it names, cannot be. */
struct kc_error *kc_repo_check_versions(const struct kc_repo_document *document, int64_t now);
/* KC_ERR_EXPIRED. `what`: "metadata/timestamp.json". */
struct kc_error *kc_repo_check_expiry(int64_t expires, const char *what, int64_t now);

/* ---- client_roots.c: the chain of roots ---- */
/* The anchor, and what the folder has behind it. */
struct kc_error *kc_repo_roots_load(struct kc_repo_client *client);
/* Follows the roots that the source has. What a rotation makes worthless is forgotten, on disk and in memory. */
struct kc_error *kc_repo_roots_refresh(struct kc_ctx *ctx, struct kc_repo_client *client,
				       const struct kc_repo_source *source);

/* ---- client_refresh.c ---- */
/*
 * Targets or a bin as the snapshot names it: from the folder when it is there, else from the source, which the folder
 * remembers then. `name`: "bin-3f.json". The caller clears `held` either way.
 */
struct kc_error *kc_repo_fetch_targets(struct kc_ctx *ctx, const struct kc_repo_client *client,
				       const struct kc_repo_source *source, const char *name,
				       struct kc_repo_held *held);
/* The file at `path`, which must have this hash (and size, unless 0). KC_ERR_MIXED otherwise. */
struct kc_error *kc_repo_fetch_file(struct kc_ctx *ctx, const struct kc_repo_client *client,
				    const struct kc_repo_source *source, const char *path,
				    const struct kc_repo_meta *meta, size_t limit, struct kc_buf *text);

#define KC_CLEANUP_REPO_HELD KC_CLEANUP(kc_repo_held_clear)

#endif
