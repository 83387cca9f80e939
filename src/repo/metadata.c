/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What metadata of all roles has in common: names, times, bins, keys. */
#include "repo/metadata.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

enum {
	TARGETS_PER_BIN = 32,
	TARGET_PATH_LENGTH_MAX = KC_CANONICAL_KEY_MAX, /* a path is a key of an object */
};
#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

const char *kc_repo_role_name(enum kc_repo_role role)
{
	static const char *const names[KC_ROLE_COUNT] = {
		[KC_ROLE_ROOT] = "root",
		[KC_ROLE_TARGETS] = "targets",
		[KC_ROLE_SNAPSHOT] = "snapshot",
		[KC_ROLE_TIMESTAMP] = "timestamp",
	};

	return names[role];
}

void kc_repo_root_clear(struct kc_repo_root *root)
{
	for (size_t i = 0; i < KC_ROLE_COUNT; i++)
		free(root->roles[i].keyids);
	free(root->keys);
	memset(root, 0, sizeof(*root));
}

void kc_repo_document_clear(struct kc_repo_document *document)
{
	for (size_t i = 0; i < document->n_files; i++)
		free(document->files[i].name);
	free(document->files);
	free(document->feed);
	memset(document, 0, sizeof(*document));
}

bool kc_repo_role_has_key(const struct kc_repo_role_keys *role, const char *keyid)
{
	for (size_t i = 0; i < role->n_keyids; i++)
		if (!strcmp(role->keyids[i], keyid))
			return true;
	return false;
}

struct kc_error *kc_repo_role_keyring(const struct kc_repo_root *root, enum kc_repo_role role,
				      struct kc_keyring **keyring)
{
	kc_autokeyring struct kc_keyring *made = NULL;

	KC_TRY(kc_keyring_new(&made));
	for (size_t i = 0; i < root->n_keys; i++) {
		char keyid[KC_KEYID_SIZE];

		KC_TRY(kc_public_key_raw_id(root->keys[i], keyid));
		if (kc_repo_role_has_key(&root->roles[role], keyid))
			KC_TRY(kc_keyring_add(made, root->keys[i]));
	}
	*keyring = kc_steal(made);
	return NULL;
}

static int compare_name(const void *name, const void *file)
{
	return strcmp(name, ((const struct kc_repo_meta *)file)->name);
}

const struct kc_repo_meta *kc_repo_document_find(const struct kc_repo_document *document, const char *name)
{
	if (!document->n_files)
		return NULL;
	return bsearch(name, document->files, document->n_files, sizeof(*document->files), compare_name);
}

/* As wide as the last name needs: "bin-00" to "bin-1f". */
void kc_repo_bin_name_at(unsigned index, unsigned bits, char name[16])
{
	snprintf(name, 16, "bin-%0*x", (int)(bits + 3) / 4, index);
}

void kc_repo_bin_name(const char *path, unsigned bits, char name[16])
{
	uint8_t hash[KC_SHA256_SIZE];

	kc_sha256(path, strlen(path), hash);
	kc_repo_bin_name_at((unsigned)(hash[0] << 8 | hash[1]) >> (16 - bits), bits, name);
}

unsigned kc_repo_bin_bits(size_t n_targets)
{
	unsigned bits = KC_REPO_BIN_BITS_MIN;

	if (n_targets < KC_REPO_BINS_FROM)
		return 0;
	while (bits < KC_REPO_BIN_BITS_MAX && n_targets > (size_t)TARGETS_PER_BIN << bits)
		bits++;
	return bits;
}

static bool is_digit_or_letter(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool kc_repo_target_path_is_valid(const char *path)
{
	bool at_start = true;

	if (strnlen(path, TARGET_PATH_LENGTH_MAX + 1) > TARGET_PATH_LENGTH_MAX)
		return false;
	for (const char *p = path; *p; p++) {
		if (!is_digit_or_letter(*p) && (at_start || !strchr("/._+~-", *p)))
			return false;
		at_start = *p == '/';
	}
	return !at_start;
}

char *kc_repo_metadata_path(uint64_t version, const char *name)
{
	char *path;

	return asprintf(&path, "metadata/%llu.%s", (unsigned long long)version, name) < 0 ? NULL : path;
}

char *kc_repo_target_file_path(const char *path, const char *hash)
{
	const char *name = kc_path_name(path);
	char *file;

	return asprintf(&file, "targets/%.*s%s.%s", (int)(name - path), path, hash, name) < 0 ? NULL : file;
}

void kc_repo_time_text(int64_t seconds, char text[21])
{
	time_t when = (time_t)(seconds < 0 ? 0 : seconds > LAST_SECOND ? LAST_SECOND : seconds);
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool kc_repo_time_parse(const char *text, int64_t *seconds)
{
	struct tm tm = { 0 };
	char again[21];
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!end || *end)
		return false;
	*seconds = (int64_t)timegm(&tm);
	/* strptime() also takes spaces, single digits and the 31st of June */
	kc_repo_time_text(*seconds, again);
	return !strcmp(again, text);
}
