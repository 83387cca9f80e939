/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target of canonical JSON and envelopes: what is accepted must be the one text for its value. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sign/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_one_meaning(const char *text, size_t size)
{
	kc_autojson json_t *value = NULL;
	kc_autobuf struct kc_buf again = { 0 };
	kc_autoerror struct kc_error *err = kc_canonical_parse(text, size, &value);

	if (err)
		return;
	err = kc_canonical_encode(value, &again);
	if (err || again.size != size || memcmp(again.data, text, size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };
	const char *text = (const char *)data;
	kc_autoerror struct kc_error *err = NULL;

	check_one_meaning(text, size);
	err = kc_envelope_peek(text, size, &envelope);
	if (!err && (!json_is_object(envelope.signed_part) || envelope.n_keyids > KC_ENVELOPE_SIGNATURES_MAX))
		abort();
	return 0;
}
