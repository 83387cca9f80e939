/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The next root: which keys may sign what from now on. And the request that carries it to the machine where the root
 * keys are, and back. A root counts when enough keys of the root before it and enough of its own have signed it. Where
 * a repository keeps its roots and the online keys is repo/root_keys.h.
 */
#ifndef KC_REPO_ROOT_H
#define KC_REPO_ROOT_H

#include "repo/metadata.h"

#define KC_ROOT_REQUEST_DOCUMENT "kcare-root-request-1"

enum {
	KC_ROOT_REQUEST_SIZE_MAX = 1 << 20,
	KC_ROOT_WARN_S = 60 * 86400, /* an operator is told so long before a root expires */
};

/* Keys are borrowed. Without any change, only the expiry is new. */
struct kc_root_changes {
	uint8_t (*added)[KC_PUBLIC_KEY_SIZE]; /* root keys */
	size_t n_added;
	const char *const *removed; /* key ids of root keys, NULL-terminated, or NULL */
	unsigned threshold;	    /* root keys that must sign; 0: as before */
	/* the one key that a role has from now on; NULL: as before; not for root */
	const uint8_t *online[KC_ROLE_COUNT];
};
/*
 * KC_ERR_USAGE: a key that is added is there already, or one that is removed is not; more signatures than keys. The
 * caller clears `next` either way.
 */
struct kc_error *kc_root_next(const struct kc_repo_root *current, const struct kc_root_changes *changes, int64_t now,
			      struct kc_repo_root *next);

/* A root that waits for signatures, with the root before it, both as envelopes. */
struct kc_root_request {
	struct kc_buf current_text, next_text;
	struct kc_repo_root current, next;
};
/* `current` must be signed by its own keys. The request has no signature yet. The caller clears it either way. */
struct kc_error *kc_root_request_make(const char *current, size_t current_size, const struct kc_root_changes *changes,
				      int64_t now, struct kc_root_request *request);
struct kc_error *kc_root_request_encode(const struct kc_root_request *request, struct kc_buf *out);
/* KC_ERR_CORRUPT: not such a request. Signatures of the next root may be missing; those that are there are right. */
struct kc_error *kc_root_request_decode(const char *name, const char *text, size_t size,
					struct kc_root_request *request);
void kc_root_request_clear(struct kc_root_request *request);
/* KC_ERR_UNKNOWN_KEY: a root key neither of the current nor of the next root. Signing twice changes nothing. */
struct kc_error *kc_root_request_sign(struct kc_root_request *request, const struct kc_key *key);
/* NULL: enough have signed. KC_ERR_UNSIGNED tells how many are missing, and whose keys could be the missing ones. */
struct kc_error *kc_root_request_check(const struct kc_root_request *request);
/* For people: what changes, with the key ids; several lines. */
struct kc_error *kc_root_request_describe(const struct kc_root_request *request, struct kc_buf *out);

/* A root that is signed by its own keys, and by those of `previous` unless that is NULL. KC_ERR_ROOT_CHAIN. */
struct kc_error *kc_root_verify(const char *text, size_t size, const struct kc_repo_root *previous,
				struct kc_repo_root *root);
/* "the root expires in 12 days …"; NULL: more than KC_ROOT_WARN_S are left (or no memory). The caller frees it. */
char *kc_root_warning(const struct kc_repo_root *root, int64_t now);

#define KC_CLEANUP_ROOT_REQUEST KC_CLEANUP(kc_root_request_clear)

#endif
