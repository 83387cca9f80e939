/* SPDX-License-Identifier: GPL-2.0-or-later */
/* releases.json: what a feed has for one kernel, with what each patch fixes. */
#include "repo/public_internal.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "patch/patch_info.h"

static bool has_hash(const json_t *release, const char *hash)
{
	return release && !strcmp(kc_public_text(release, "sha256"), hash);
}

/* Lists mostly grow: what was at `guess` is there still. */
static const json_t *find_by_hash(const json_t *releases, const char *hash, size_t guess)
{
	const json_t *array = json_object_get(releases, "releases"), *release = json_array_get(array, guess);
	size_t i;

	if (has_hash(release, hash))
		return release;
	json_array_foreach(array, i, release)
	{
		if (has_hash(release, hash))
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
	json_t *fixes;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_patch_peek(ctx, path, &patch));
	fixes = json_array();
	for (size_t i = 0; i < patch->manifest.n_fixes; i++)
		json_array_append_new(fixes, fix_to_json(&patch->manifest.fixes[i]));
	*release = json_pack("{s:s, s:I, s:s?, s:o}", "sha256", hash, "created", (json_int_t)patch->manifest.created,
			     "effective_version", patch->manifest.kernel.effective_version, "fixes", fixes);
	return *release ? NULL : kc_error_no_memory();
}

/* A patch file that cannot be read must not keep a feed from being published; it is tried again next time. */
static struct kc_error *read_patch_if_possible(struct kc_ctx *ctx, const struct kc_public_files *files,
					       const struct kc_target_entry *entry, json_t **release)
{
	struct kc_error *err = read_patch(ctx, files, entry->hash, release);

	if (!err || kc_error_code(err) == KC_ERR_NO_MEMORY)
		return err;
	kc_warning(ctx, "what it fixes is not shown: %s", kc_error_message(err));
	kc_error_free(err);
	*release = json_pack("{s:I, s:[]}", "created", (json_int_t)entry->released, "fixes");
	return *release ? NULL : kc_error_no_memory();
}

static struct kc_error *make_release(struct kc_ctx *ctx, const struct kc_public_files *files,
				     const struct kc_target_entry *entry, const json_t *known, json_t **release)
{
	kc_autojson json_t *head = NULL, *made = NULL;
	char released[20];

	if (known)
		made = json_copy((json_t *)known);
	else
		KC_TRY(read_patch_if_possible(ctx, files, entry, &made));
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
		const json_t *known = find_by_hash(before, list->entries[i].hash, i);
		json_t *release = NULL;

		KC_TRY(make_release(ctx, files, &list->entries[i], known, &release));
		if (json_array_append_new(array, release))
			return kc_error_no_memory();
	}
	*releases = kc_steal(made);
	return NULL;
}

int kc_public_level(const json_t *release)
{
	return (int)json_integer_value(json_object_get(release, "level"));
}

static bool is_default(const json_t *release)
{
	return !strcmp(kc_public_text(release, "type"), "default");
}

/* A patch for all hosts comes before one for those that asked for another type. */
static struct kc_error *add_level(struct kc_public_levels *levels, const json_t *release)
{
	struct kc_public_level *level = NULL;
	int number = kc_public_level(release);

	for (size_t i = 0; !level && i < levels->n_levels; i++)
		if (levels->levels[i].level == number)
			level = &levels->levels[i];
	if (level && (!is_default(release) || is_default(level->release)))
		return NULL;
	if (!level)
		level = kc_array_add(&levels->levels, &levels->n_levels);
	if (!level)
		return kc_error_no_memory();
	*level = (struct kc_public_level){ number, release };
	return NULL;
}

struct kc_error *kc_public_levels_make(const json_t *releases, struct kc_public_levels *levels)
{
	const json_t *release;
	size_t i;

	json_array_foreach(json_object_get(releases, "releases"), i, release)
	{
		if (!json_is_true(json_object_get(release, "blocked")))
			KC_TRY(add_level(levels, release));
	}
	return NULL;
}

void kc_public_levels_clear(struct kc_public_levels *levels)
{
	free(levels->levels);
}

const json_t *kc_public_levels_find(const struct kc_public_levels *levels, int level)
{
	for (size_t i = 0; i < levels->n_levels; i++)
		if (levels->levels[i].level == level)
			return levels->levels[i].release;
	return NULL;
}

const json_t *kc_public_levels_highest(const struct kc_public_levels *levels)
{
	const struct kc_public_level *best = NULL;
	bool best_is_default = false;

	for (size_t i = 0; i < levels->n_levels; i++) {
		const struct kc_public_level *level = &levels->levels[i];
		bool level_is_default = is_default(level->release);

		if (best && (level_is_default != best_is_default ? best_is_default : level->level < best->level))
			continue;
		best = level;
		best_is_default = level_is_default;
	}
	return best ? best->release : NULL;
}
