/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Canonical JSON: exactly one text for one value, so that a signature has one meaning. Docs: docs/patch-format.md.
 *
 *   - no white space; members of an object sorted by the bytes of their keys;
 *   - keys: 1 to 128 ASCII characters 0x20..0x7e other than '"' and '\';
 *   - integers only, -(2^53-1) to 2^53-1, without leading zeros; true, false, null;
 *   - strings: valid UTF-8 as it is; '"', '\' and newline are written \" \\ \n; no other control character
 *     (U+0000..U+001F, U+007F..U+009F);
 *   - at most 16 levels of nesting.
 */
#ifndef KC_SIGN_CANONICAL_H
#define KC_SIGN_CANONICAL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

#define KC_CANONICAL_DEPTH_MAX 16
#define KC_CANONICAL_KEY_MAX 128
#define KC_CANONICAL_INTEGER_MAX ((INT64_C(1) << 53) - 1)

/* Appends the canonical text of `value`. KC_ERR_INPUT when it has none. */
struct kc_error *kc_canonical_encode(const json_t *value, struct kc_buf *out);
/*
 * Parses a text that is canonical to the last byte; anything else is KC_ERR_CORRUPT. The caller owns `*value`
 * (json_decref).
 */
struct kc_error *kc_canonical_parse(const char *text, size_t size, json_t **value);

KC_DEFINE_CLEANUP(kc_cleanup_json, json_t *, json_decref)
#define kc_autojson KC_CLEANUP(kc_cleanup_json)

#endif
