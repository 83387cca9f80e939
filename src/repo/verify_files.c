/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patch files, against the entries that name them; and files that nothing names. */
#include "repo/verify_internal.h"

#include <errno.h>
#include <fts.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "repo/public_files.h"

enum {
	BLOB_SIZE_MAX = 512 << 20,
	STRAY_AGE_S = 2 * 86400, /* what was replaced stays a while for hosts that are at work */
};

static int compare_blobs(const void *a, const void *b)
{
	return strcmp(((const struct kc_verify_blob *)a)->hash, ((const struct kc_verify_blob *)b)->hash);
}

static void free_blob(void *data)
{
	struct kc_verify_blob *blob = data;

	free(blob->target);
	free(blob->type);
	free(blob->patchset);
	free(blob);
}

void kc_verify_blobs_free(struct kc_verify *verify)
{
	tdestroy(verify->blobs, free_blob);
	verify->blobs = NULL;
}

/* ---- one patch file ---- */

static struct kc_error *read_blob(const char *path, const struct kc_target_entry *entry, struct kc_buf *data)
{
	int err = kc_file_read_now(path, BLOB_SIZE_MAX, data);
	char hash[KC_SHA256_TEXT_SIZE];

	if (err)
		return kc_error_errno(err == -ENOENT ? KC_ERR_NOT_FOUND : KC_ERR_INPUT, -err, "cannot read %s", path);
	if (data->size != entry->size)
		return kc_error_new(KC_ERR_CORRUPT, "%s has %zu bytes, and the feed says %llu", path, data->size,
				    (unsigned long long)entry->size);
	kc_sha256_text(data->data, data->size, hash);
	if (strcmp(hash, entry->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s: its content does not match its name", path);
	return NULL;
}

static struct kc_error *decode_blob(struct kc_verify *verify, const char *path, const struct kc_target_entry *entry,
				    struct kc_patch **patch)
{
	kc_autobuf struct kc_buf data = { 0 };

	KC_TRY(read_blob(path, entry, &data));
	if (!verify->options->authors)
		return kc_patch_peek(verify->ctx, path, patch);
	return kc_patch_decode(verify->ctx, path, data.data, data.size, verify->options->authors, patch);
}

static struct kc_error *copy_text(const char *text, char **copy)
{
	*copy = strdup(text);
	return *copy ? NULL : kc_error_no_memory();
}

static struct kc_error *look_at(struct kc_verify *verify, const struct kc_target_entry *entry,
				struct kc_verify_blob *blob)
{
	kc_autofree char *name = kc_blob_path(entry->hash), *path = name ? kc_path_join(verify->dir, name) : NULL;
	kc_autopatch struct kc_patch *patch = NULL;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_verify_mark(verify, name));
	KC_TRY(decode_blob(verify, path, entry, &patch));
	KC_TRY(copy_text(patch->manifest.target, &blob->target));
	KC_TRY(copy_text(patch->manifest.type, &blob->type));
	KC_TRY(copy_text(patch->manifest.patchset, &blob->patchset));
	blob->level = patch->manifest.level;
	blob->is_good = true;
	return NULL;
}

/* The file of the hash; looked at once, however many entries name it. `*err`: what is wrong with it. */
static struct kc_error *get_blob(struct kc_verify *verify, const struct kc_target_entry *entry,
				 const struct kc_verify_blob **blob, struct kc_error **err)
{
	struct kc_verify_blob *fresh = calloc(1, sizeof(*fresh)), **found;

	if (!fresh)
		return kc_error_no_memory();
	memcpy(fresh->hash, entry->hash, sizeof(fresh->hash));
	found = tsearch(fresh, &verify->blobs, compare_blobs);
	if (!found || *found != fresh)
		free_blob(fresh);
	if (!found)
		return kc_error_no_memory();
	if (*found == fresh) {
		*err = look_at(verify, entry, fresh);
		verify->verified->n_blobs++;
	}
	*blob = *found;
	return NULL;
}

struct kc_error *kc_verify_entry(struct kc_verify *verify, const struct kc_target_list *list,
				 const struct kc_target_entry *entry)
{
	const char *target = entry->target ? entry->target : kc_path_name(list->path);
	const struct kc_verify_blob *blob;
	struct kc_error *err = NULL;
	char what[KC_TARGET_PATH_SIZE + 128];

	KC_TRY(get_blob(verify, entry, &blob, &err));
	if (!err && blob->is_good &&
	    (strcmp(blob->target, target) || strcmp(blob->type, entry->type) || blob->level != entry->level ||
	     strcmp(blob->patchset, entry->patchset)))
		err = kc_error_new(KC_ERR_WRONG_TARGET,
				   "the patch file %.16s… is for %s, type %s, level %u, patchset %s; the feed shows it "
				   "for %s, type %s, level %u, patchset %s",
				   entry->hash, blob->target, blob->type, blob->level, blob->patchset, target,
				   entry->type, entry->level, entry->patchset);
	if (!err)
		err = kc_verify_listed(verify, target, entry);
	snprintf(what, sizeof(what), "feed %.64s, %s, level %u", list->feed, list->path, entry->level);
	return kc_verify_report(verify, err, what);
}

/* ---- strays ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Versions of metadata that were replaced go by their age; unknown names do not belong here at any age. */
static bool is_metadata(const char *name)
{
	static const char *const suffixes[] = { ".root.json", ".snapshot.json", ".targets.json" };
	size_t digits = strspn(name, "0123456789");

	if (!strcmp(name, "timestamp.json"))
		return true;
	for (size_t i = 0; digits && i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (!strcmp(name + digits, suffixes[i]))
			return true;
	return digits && !strncmp(name + digits, ".bin-", 5);
}

static bool is_stray(const struct kc_verify *verify, const char *name, const struct stat *st)
{
	if (strstr(name, "/metadata/"))
		return !is_metadata(kc_path_name(name));
	return st->st_mtime + STRAY_AGE_S < verify->options->now &&
	       !tfind(name, (void *const *)&verify->files, compare_names);
}

static struct kc_error *look_for_strays(struct kc_verify *verify, const char *folder)
{
	kc_autofree char *path = kc_path_join(verify->dir, folder);
	char *const paths[] = { path, NULL };
	FTSENT *entry;
	FTS *tree;

	if (!path)
		return kc_error_no_memory();
	if (access(path, F_OK)) /* mirrors of older repositories have no patchsets/ */
		return NULL;
	tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!tree)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", path);
	while ((entry = fts_read(tree))) {
		const char *name = entry->fts_path + strlen(verify->dir) + 1;

		if (entry->fts_info == FTS_D || entry->fts_info == FTS_DP || entry->fts_info == FTS_NS)
			continue;
		if (entry->fts_info == FTS_F && !is_stray(verify, name, entry->fts_statp))
			continue;
		verify->verified->n_strays++;
		kc_warning(verify->ctx, "%s: nothing refers to it", name);
	}
	fts_close(tree);
	return NULL;
}

struct kc_error *kc_verify_strays(struct kc_verify *verify)
{
	KC_TRY(look_for_strays(verify, "feeds"));
	KC_TRY(look_for_strays(verify, KC_PUBLIC_PATCHSETS));
	return look_for_strays(verify, "blobs");
}
