/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the userspace payload share; private to them. Limits are part of the format. */
#ifndef KC_PATCH_USER_PAYLOAD_INTERNAL_H
#define KC_PATCH_USER_PAYLOAD_INTERNAL_H

#include "patch/user_payload.h"

enum {
	KC_PAYLOAD_FUNCTIONS_MAX = 16384,
	KC_PAYLOAD_IMPORTS_MAX = 16384,
	KC_PAYLOAD_FRAGMENTS_MAX = 64,	/* per function */
	KC_PAYLOAD_RETURNS_MAX = 65536, /* per function */
	KC_PAYLOAD_STRING_MAX = 4096,	/* with '\0'; mangled C++ names are long */
	KC_PAYLOAD_SECTIONS_MAX = 65536,
	KC_PAYLOAD_ALIGN_MAX = 4096,
	KC_PAYLOAD_MEMORY_MAX = 64 << 20, /* all sections together, as mapped */
};

/* Reads the notes into `payload`, whose `elf` is set. */
struct kc_error *kc_payload_read_notes(struct kc_payload *payload);
/* Checks what the notes do not cover: sections, symbols, relocations. */
struct kc_error *kc_payload_check_elf(const struct kc_payload *payload);

#endif
