/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_withdrawn.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/file.h"

#define DIGITS "0123456789abcdef"

enum {
	FILE_SIZE_MAX = 8 << 20,
	HASH_DIGITS = KC_SHA256_TEXT_SIZE - 1,
};

void kc_withdrawn_clear(struct kc_withdrawn *withdrawn)
{
	free(withdrawn->patches);
	*withdrawn = (struct kc_withdrawn){ 0 };
}

bool kc_withdrawn_has(const struct kc_withdrawn *withdrawn, const char *hash)
{
	for (size_t i = 0; i < withdrawn->n_patches; i++)
		if (!strcmp(withdrawn->patches[i].hash, hash))
			return true;
	return false;
}

bool kc_withdrawn_has_target(const struct kc_withdrawn *withdrawn, const char *build_id)
{
	for (size_t i = 0; i < withdrawn->n_patches; i++)
		if (!strcmp(withdrawn->patches[i].build_id, build_id))
			return true;
	return false;
}

struct kc_error *kc_withdrawn_add(struct kc_withdrawn *withdrawn, const char *hash, const char *build_id)
{
	struct kc_withdrawn_patch *added;

	if (kc_withdrawn_has(withdrawn, hash))
		return NULL;
	added = kc_array_add(&withdrawn->patches, &withdrawn->n_patches);
	if (!added)
		return kc_error_no_memory();
	snprintf(added->hash, sizeof(added->hash), "%s", hash);
	snprintf(added->build_id, sizeof(added->build_id), "%s", build_id);
	return NULL;
}

/* "HASH BUILD-ID" without its newline. */
static bool read_line(const char *line, size_t size, struct kc_withdrawn_patch *patch)
{
	size_t n_digits = size > HASH_DIGITS ? size - HASH_DIGITS - 1 : 0;

	if (!n_digits || n_digits >= sizeof(patch->build_id) || line[HASH_DIGITS] != ' ')
		return false;
	memcpy(patch->hash, line, HASH_DIGITS);
	memcpy(patch->build_id, line + HASH_DIGITS + 1, n_digits);
	return strspn(patch->hash, DIGITS) == HASH_DIGITS && strspn(patch->build_id, DIGITS) == n_digits;
}

struct kc_error *kc_withdrawn_parse(const char *name, const char *text, size_t size, struct kc_withdrawn *withdrawn)
{
	const char *end = text + size;

	for (unsigned number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text)), *stop = newline ? newline : end;
		struct kc_withdrawn_patch patch = { 0 };

		if (stop > text && *text != '#') {
			if (!read_line(text, (size_t)(stop - text), &patch))
				return kc_error_new(KC_ERR_INPUT,
						    "%s:%u: expected the hash of a patch file and a build-id; remove "
						    "the file, and 'kcarectl --userspace-update' writes it again",
						    name, number);
			KC_TRY(kc_withdrawn_add(withdrawn, patch.hash, patch.build_id));
		}
		text = newline ? newline + 1 : end;
	}
	return NULL;
}

struct kc_error *kc_withdrawn_read(const char *dir, struct kc_withdrawn *withdrawn)
{
	kc_autofree char *path = kc_path_join(dir, KC_WITHDRAWN_NAME);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, FILE_SIZE_MAX, &text);
	if (err == -ENOENT)
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	return kc_withdrawn_parse(path, text.data, text.size, withdrawn);
}

struct kc_error *kc_withdrawn_write(const char *dir, const struct kc_withdrawn *withdrawn)
{
	kc_autofree char *path = kc_path_join(dir, KC_WITHDRAWN_NAME);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	kc_buf_append_str(&text, "# Patches that must not stay in processes; written by kcarectl.\n");
	for (size_t i = 0; i < withdrawn->n_patches; i++)
		kc_buf_printf(&text, "%s %s\n", withdrawn->patches[i].hash, withdrawn->patches[i].build_id);
	if (text.failed)
		return kc_error_no_memory();
	if (withdrawn->n_patches)
		err = kc_file_write_atomic(path, text.data, text.size, 0644);
	else
		err = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}
