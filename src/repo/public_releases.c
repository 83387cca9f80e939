/* SPDX-License-Identifier: GPL-2.0-or-later */
/* releases.json: what a feed has for one kernel, with what each patch fixes. */
#include "repo/public_internal.h"

#include <string.h>

#include "base/file.h"
#include "patch/patch_info.h"

static const json_t *find_by_hash(const json_t *releases, const char *hash)
{
	const json_t *release;
	size_t i;

	json_array_foreach(json_object_get(releases, "releases"), i, release)
	{
		const char *other = json_string_value(json_object_get(release, "sha256"));

		if (other && !strcmp(other, hash))
			return release;
	}
	return NULL;
}

static json_t *fix_to_json(const struct kc_fix_info *fix)
{
	json_t *cves = json_array();

	for (size_t i = 0; i < fix->n_cves; i++)
		json_array_append_new(cves, json_string(fix->cves[i]));
	return json_pack("{s:s?, s:s?, s:o, s:s?, s:s?, s:s?}", "name", fix->name, "description", fix->description,
			 "cves", cves, "cvss", fix->cvss, "cve_url", fix->cve_url, "patch_url", fix->patch_url);
}

/* Its author's words, out of the patch file: that was verified when it was deployed, or by the mirror. */
static struct kc_error *read_patch(struct kc_ctx *ctx, const struct kc_public_files *files, const char *hash,
				   json_t **release)
{
	kc_autofree char *name = kc_blob_path(hash), *path = name ? kc_path_join(files->dir, name) : NULL;
	kc_autopatch struct kc_patch *patch = NULL;
	json_t *fixes = json_array();

	if (!path || !fixes)
		return kc_error_no_memory();
	KC_TRY(kc_patch_peek(ctx, path, &patch));
	for (size_t i = 0; i < patch->manifest.n_fixes; i++)
		json_array_append_new(fixes, fix_to_json(&patch->manifest.fixes[i]));
	*release = json_pack("{s:s, s:I, s:s?, s:o}", "sha256", hash, "created", (json_int_t)patch->manifest.created,
			     "effective_version", patch->manifest.kernel.effective_version, "fixes", fixes);
	return *release ? NULL : kc_error_no_memory();
}

static struct kc_error *make_release(struct kc_ctx *ctx, const struct kc_public_files *files,
				     const struct kc_target_entry *entry, const json_t *before, json_t **release)
{
	const json_t *known = find_by_hash(before, entry->hash);
	kc_autojson json_t *head = NULL, *made = NULL;
	char released[20];

	if (known)
		made = json_copy((json_t *)known);
	else
		KC_TRY(read_patch(ctx, files, entry->hash, &made));
	kc_patch_info_time(entry->released, released);
	head = json_pack("{s:i, s:s, s:s, s:s, s:b, s:I}", "level", (int)entry->level, "type", entry->type, "patchset",
			 entry->patchset, "released", released, "blocked", entry->blocked, "size",
			 (json_int_t)entry->size);
	if (!made || !head || json_object_update(made, head))
		return kc_error_no_memory();
	*release = kc_steal(made);
	return NULL;
}

/* "6.1.0-47-amd64 (debian12)"; a name that could not be one of a file is "other". */
static json_t *make_head(const struct kc_target_list *list)
{
	const char *title = list->title ? list->title : "", *open = strstr(title, " ("), *name = "other";
	size_t size = strlen(name);

	if (open) {
		size_t n = strspn(open + 2, "abcdefghijklmnopqrstuvwxyz0123456789._-");

		if (n && n <= 64 && open[2] != '.' && !strcmp(open + 2 + n, ")")) {
			name = open + 2;
			size = n;
		}
	}
	return json_pack("{s:s, s:s%, s:s%}", "kernel_id", list->path + strlen("kernel/"), "kernel", title,
			 open ? (size_t)(open - title) : strlen(title), "distribution", name, size);
}

struct kc_error *kc_public_releases_make(struct kc_ctx *ctx, const struct kc_public_files *files,
					 const struct kc_target_list *list, const json_t *before, json_t **releases)
{
	kc_autojson json_t *made = make_head(list);
	json_t *array = json_array();

	if (!made || !array || json_object_set_new(made, "releases", array))
		return kc_error_no_memory();
	for (size_t i = 0; i < list->n_entries; i++) {
		json_t *release = NULL;

		KC_TRY(make_release(ctx, files, &list->entries[i], before, &release));
		if (json_array_append_new(array, release))
			return kc_error_no_memory();
	}
	*releases = kc_steal(made);
	return NULL;
}

static int level_of(const json_t *release)
{
	return (int)json_integer_value(json_object_get(release, "level"));
}

static bool is_default(const json_t *release)
{
	const char *type = json_string_value(json_object_get(release, "type"));

	return type && !strcmp(type, "default");
}

/* A patch for all hosts comes before one for those that asked for another type. */
static bool is_better(const json_t *release, const json_t *best)
{
	if (!best)
		return true;
	if (is_default(release) != is_default(best))
		return is_default(release);
	return level_of(release) > level_of(best);
}

const json_t *kc_public_release_at(const json_t *releases, int level)
{
	const json_t *release, *best = NULL;
	size_t i;

	json_array_foreach(json_object_get(releases, "releases"), i, release)
	{
		if (json_is_true(json_object_get(release, "blocked")) || (level && level_of(release) != level))
			continue;
		if (is_better(release, best))
			best = release;
	}
	return best;
}
