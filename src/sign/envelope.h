/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signed JSON: {"signatures":[{"keyid":…,"sig":…}],"signed":{…}}, as canonical JSON (sign/canonical.h) to the last
 * byte. Each signature covers the canonical text of `signed`. For patch files, patchset lists and repository metadata.
 *
 * It says who signed what; whether `signed` makes sense is the caller's to check.
 */
#ifndef KC_SIGN_ENVELOPE_H
#define KC_SIGN_ENVELOPE_H

#include "sign/canonical.h"
#include "sign/key.h"

#define KC_ENVELOPE_SIGNATURES_MAX 32

struct kc_envelope {
	json_t *signed_part; /* an object */
	char keyids[KC_ENVELOPE_SIGNATURES_MAX][KC_KEYID_SIZE];
	size_t n_keyids;
};

/* Appends the envelope around `signed_part` (borrowed), signed by each of `keys`, to `out`. */
struct kc_error *kc_envelope_encode(const json_t *signed_part, const struct kc_key *const *keys, size_t n_keys,
				    struct kc_buf *out);
/*
 * Appends the envelope in `text`, signed by `key` too, to `out`; none of its signatures is checked. The same content
 * when `key` has signed it already.
 */
struct kc_error *kc_envelope_sign_more(const char *text, size_t size, const struct kc_key *key, struct kc_buf *out);
/*
 * Trusts the content when at least `threshold` (>= 1) different keys of `keyring` signed it; `keyids` are those.
 * A signature by a key that is not in the keyring does not count; a wrong one by a key that is in it is an error.
 * KC_ERR_CORRUPT: not an envelope. KC_ERR_UNSIGNED: no signature, or fewer than the threshold. KC_ERR_UNKNOWN_KEY: all
 * by other keys. KC_ERR_BAD_SIGNATURE.
 */
struct kc_error *kc_envelope_verify(const char *text, size_t size, const struct kc_keyring *keyring, unsigned threshold,
				    struct kc_envelope *envelope);
/* Checks no signature: `keyids` are those that the envelope claims. For showing a file, never for using it. */
struct kc_error *kc_envelope_peek(const char *text, size_t size, struct kc_envelope *envelope);
void kc_envelope_clear(struct kc_envelope *envelope);

#define kc_autoenvelope KC_CLEANUP(kc_envelope_clear)

#endif
