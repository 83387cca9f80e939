/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The userspace payload: entry points, and the encoders of its notes. Reading the notes is user_payload_notes.c;
 * checking the rest of the object is user_payload_check.c.
 */
#include "patch/user_payload_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

struct kc_error *kc_payload_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
				  struct kc_payload **payload)
{
	kc_autopayload struct kc_payload *parsed = calloc(1, sizeof(*parsed));
	struct kc_error *err;

	if (!parsed)
		return kc_error_no_memory();
	KC_TRY(kc_elf_parse(ctx, name, data, size, &parsed->elf));
	err = kc_payload_read_notes(parsed);
	if (!err)
		err = kc_payload_check_elf(parsed);
	if (err)
		return kc_error_prefix(err, "%s", name);
	*payload = kc_steal(parsed);
	return NULL;
}

struct kc_error *kc_patch_user_payload(struct kc_ctx *ctx, const struct kc_patch *patch, struct kc_payload **payload)
{
	const struct kc_patch_payload *file = kc_patch_payload_find(patch, KC_PAYLOAD_NAME);
	kc_autopayload struct kc_payload *parsed = NULL;
	char build_id[2 * sizeof(parsed->build_id) + 1];

	if (!file || !file->data)
		return kc_error_new(KC_ERR_INPUT, "the patch has no payload %s", KC_PAYLOAD_NAME);
	KC_TRY(kc_payload_parse(ctx, KC_PAYLOAD_NAME, file->data, file->size, &parsed));
	assert(parsed);
	kc_hex_encode(parsed->build_id, parsed->build_id_size, build_id);
	if (strcmp(build_id, patch->manifest.target))
		return kc_error_new(KC_ERR_INPUT, "the manifest is for the build-id %s, the payload for %s",
				    patch->manifest.target, build_id);
	*payload = kc_steal(parsed);
	return NULL;
}

void kc_payload_free(struct kc_payload *payload)
{
	if (!payload)
		return;
	for (size_t i = 0; i < payload->n_functions; i++) {
		free(payload->functions[i].fragments);
		free(payload->functions[i].returns);
	}
	free(payload->functions);
	free(payload->imports);
	kc_elf_free(payload->elf);
	free(payload);
}

/* Appends one note; what `desc` is missing (out of memory) makes `section` fail too. */
static void append_note(struct kc_buf *section, enum kc_payload_note type, const struct kc_buf *desc)
{
	kc_buf_align(section, 4);
	kc_buf_append_u32(section, sizeof(KC_PAYLOAD_NOTE_OWNER));
	kc_buf_append_u32(section, (uint32_t)desc->size);
	kc_buf_append_u32(section, type);
	kc_buf_append(section, KC_PAYLOAD_NOTE_OWNER, sizeof(KC_PAYLOAD_NOTE_OWNER));
	kc_buf_align(section, 4);
	kc_buf_append(section, desc->data, desc->size);
	kc_buf_align(section, 4);
	section->failed |= desc->failed;
}

static uint32_t string_size(const char *text)
{
	return text ? (uint32_t)strlen(text) + 1 : 0;
}

static void append_string(struct kc_buf *desc, const char *text)
{
	kc_buf_append(desc, text, string_size(text));
}

void kc_payload_encode_target(struct kc_buf *section, const uint8_t *build_id, size_t build_id_size, uint32_t flags)
{
	kc_autobuf struct kc_buf desc = { 0 };

	kc_buf_append_u32(&desc, flags);
	kc_buf_append_u32(&desc, (uint32_t)build_id_size);
	kc_buf_append(&desc, build_id, build_id_size);
	append_note(section, KC_NOTE_TARGET, &desc);
}

void kc_payload_encode_function(struct kc_buf *section, const struct kc_payload_function *function)
{
	kc_autobuf struct kc_buf desc = { 0 };

	kc_buf_append_u64(&desc, function->addr);
	kc_buf_append_u64(&desc, function->size);
	kc_buf_append_u32(&desc, function->jump_offset);
	kc_buf_append_u32(&desc, (uint32_t)function->n_fragments);
	kc_buf_append_u32(&desc, (uint32_t)function->n_returns);
	kc_buf_append_u32(&desc, string_size(function->replacement->name));
	kc_buf_append(&desc, function->hash, sizeof(function->hash));
	for (size_t i = 0; i < function->n_fragments; i++) {
		kc_buf_append_u64(&desc, function->fragments[i].addr);
		kc_buf_append_u64(&desc, function->fragments[i].size);
	}
	for (size_t i = 0; i < function->n_returns; i++)
		kc_buf_append_u64(&desc, function->returns[i]);
	append_string(&desc, function->replacement->name);
	append_note(section, KC_NOTE_FUNCTION, &desc);
}

void kc_payload_encode_import(struct kc_buf *section, const struct kc_payload_import *import)
{
	kc_autobuf struct kc_buf desc = { 0 };

	kc_buf_append_u32(&desc, import->flags);
	kc_buf_append_u32(&desc, string_size(import->symbol->name));
	kc_buf_append_u32(&desc, string_size(import->version));
	kc_buf_append_u32(&desc, string_size(import->library));
	append_string(&desc, import->symbol->name);
	append_string(&desc, import->version);
	append_string(&desc, import->library);
	append_note(section, KC_NOTE_IMPORT, &desc);
}
