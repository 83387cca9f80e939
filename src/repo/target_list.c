/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Target lists and the userspace index as JSON. Every member is known: one that is missing, of another type, or unknown
 * is an error, so that an older kcare never obeys a list of which it understands only a part.
 */
#include "repo/target_list.h"

#include <string.h>

#include "repo/metadata.h"
#include "sign/canonical.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define KERNEL_FOLDER "kernel/"
#define USER_FOLDER "user/"

enum {
	LEVEL_MAX = 1000000, /* as manifests have it */
	TITLE_MAX = 255,
	BUILD_ID_DIGITS_MAX = 128,
	FEED_NAME_MAX = 64,
	PATCHSET_MAX = 63,
	INDEX_PACKAGES_MAX = 100000,
};

/* 1 to `max` characters, all of `allowed`. */
static bool is_made_of(const char *text, const char *allowed, size_t max)
{
	size_t length = strspn(text, allowed);

	return length > 0 && length <= max && !text[length];
}

bool kc_feed_name_is_valid(const char *name)
{
	static const char *const delays[] = { "12h", "24h", "48h" };

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
		if (!strcmp(name, delays[i]))
			return false;
	return is_made_of(name, DIGITS LOWER "._-", FEED_NAME_MAX) && !strchr("._-", name[0]);
}

char *kc_blob_path(const char *hash)
{
	char *path;

	return asprintf(&path, "blobs/%.2s/%s.kpatch", hash, hash) < 0 ? NULL : path;
}

/* ---- what values may be ---- */

static struct kc_error *bad_list(const char *what)
{
	return kc_error_new(KC_ERR_CORRUPT, "not a list of patches: %s", what);
}

static bool is_hash(const char *text)
{
	return is_made_of(text, DIGITS "abcdef", KC_SHA256_TEXT_SIZE - 1) && strlen(text) == KC_SHA256_TEXT_SIZE - 1;
}

static bool is_build_id(const char *text)
{
	return is_made_of(text, DIGITS "abcdef", BUILD_ID_DIGITS_MAX);
}

static bool is_kernel_path(const char *path)
{
	const char *id = path + strlen(KERNEL_FOLDER);

	return !strncmp(path, KERNEL_FOLDER, strlen(KERNEL_FOLDER)) && strlen(id) == KC_KERNEL_ID_SIZE - 1 &&
	       is_made_of(id, DIGITS "abcdef", KC_KERNEL_ID_SIZE - 1);
}

/* "user/debian12/libssl3" */
static bool is_package_path(const char *path)
{
	const char *slash =
		strncmp(path, USER_FOLDER, strlen(USER_FOLDER)) ? NULL : strchr(path + strlen(USER_FOLDER), '/');

	return slash && !strchr(slash + 1, '/') && kc_repo_target_path_is_valid(path);
}

static bool is_type(const char *type)
{
	return !strcmp(type, "default") || !strcmp(type, "extra") || !strcmp(type, "free");
}

/* Kernels: "K20261123_01"; userspace: "U20261123_01". */
static bool is_patchset(const char *name, bool is_kernel)
{
	return name[0] == (is_kernel ? 'K' : 'U') && is_made_of(name + 1, DIGITS LOWER "_-", PATCHSET_MAX - 1);
}

int kc_target_entry_compare(const struct kc_target_entry *a, const struct kc_target_entry *b)
{
	int order = a->target && b->target ? strcmp(a->target, b->target) : 0;

	order = order ? order : strcmp(a->type, b->type);
	return order ? order : (a->level > b->level) - (a->level < b->level);
}

static struct kc_error *check_entry(const struct kc_target_entry *entry, bool is_kernel)
{
	if (is_kernel ? entry->target != NULL : !entry->target || !is_build_id(entry->target))
		return bad_list("the target of an entry");
	if (!is_type(entry->type))
		return bad_list("the type of an entry");
	if (entry->level < 1 || entry->level > LEVEL_MAX)
		return bad_list("the level of an entry");
	if (!is_patchset(entry->patchset, is_kernel))
		return bad_list("the patchset of an entry");
	if (entry->released < 0 || entry->released > KC_CANONICAL_INTEGER_MAX)
		return bad_list("the release time of an entry");
	if (!is_hash(entry->hash) || entry->size < 1 || entry->size > (uint64_t)KC_CANONICAL_INTEGER_MAX)
		return bad_list("the patch file of an entry");
	if (entry->rollout < 1 || entry->rollout > KC_ROLLOUT_ALL)
		return bad_list("the rollout of an entry");
	return NULL;
}

static struct kc_error *check_list(const struct kc_target_list *list)
{
	bool is_kernel = is_kernel_path(list->path);

	if (!kc_feed_name_is_valid(list->feed))
		return bad_list("the name of the feed");
	if (!is_kernel && !is_package_path(list->path))
		return bad_list("its path");
	if (strlen(list->title) > TITLE_MAX)
		return bad_list("its title");
	if (list->n_entries == 0 || list->n_entries > KC_TARGET_ENTRIES_MAX)
		return bad_list("no entries, or too many");
	for (size_t i = 0; i < list->n_entries; i++) {
		KC_TRY(check_entry(&list->entries[i], is_kernel));
		if (i && kc_target_entry_compare(&list->entries[i - 1], &list->entries[i]) >= 0)
			return bad_list("the order of its entries");
	}
	return NULL;
}

/* ---- writing ---- */

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static json_t *entry_to_json(const struct kc_target_entry *entry)
{
	json_t *json = json_pack("{s:s, s:I, s:s, s:I, s:s, s:I}", "type", entry->type, "level",
				 (json_int_t)entry->level, "patchset", entry->patchset, "released",
				 (json_int_t)entry->released, "sha256", entry->hash, "size", (json_int_t)entry->size);

	if (json && ((entry->target && set_new(json, "target", json_string(entry->target))) ||
		     (entry->blocked && set_new(json, "blocked", json_true())) ||
		     (entry->rollout != KC_ROLLOUT_ALL && set_new(json, "rollout", json_integer(entry->rollout))))) {
		json_decref(json);
		return NULL;
	}
	return json;
}

struct kc_error *kc_target_list_encode(const struct kc_target_list *list, struct kc_buf *out)
{
	kc_autojson json_t *entries = json_array(), *json = NULL;
	size_t before = out->size;

	KC_TRY(check_list(list));
	for (size_t i = 0; i < list->n_entries; i++)
		if (json_array_append_new(entries, entry_to_json(&list->entries[i])))
			return kc_error_no_memory();
	json = json_pack("{s:s, s:s, s:s, s:s, s:O}", "document", KC_TARGET_LIST_DOCUMENT, "feed", list->feed, "path",
			 list->path, "title", list->title, "entries", entries);
	if (!json)
		return kc_error_no_memory();
	KC_TRY(kc_canonical_encode(json, out));
	if (out->size - before > KC_TARGET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%s: its list is larger than %d MiB", list->path,
				    KC_TARGET_LIST_SIZE_MAX >> 20);
	return NULL;
}

/* ---- reading ---- */

static struct kc_error *copy(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? kc_error_no_memory() : NULL;
}

static struct kc_error *read_entry(const json_t *json, struct kc_target_entry *entry)
{
	const char *target = NULL, *type, *patchset, *hash;
	json_int_t level, released, size, rollout = KC_ROLLOUT_ALL;
	json_error_t problem;
	int blocked = 0;

	if (json_unpack_ex((json_t *)json, &problem, JSON_STRICT, "{s?s, s:s, s:I, s:s, s:I, s:s, s:I, s?b, s?I}",
			   "target", &target, "type", &type, "level", &level, "patchset", &patchset, "released",
			   &released, "sha256", &hash, "size", &size, "blocked", &blocked, "rollout", &rollout))
		return bad_list(problem.text);
	if (level < 1 || level > LEVEL_MAX || size < 1 || rollout < 1 || rollout > KC_ROLLOUT_ALL || !is_hash(hash))
		return bad_list("a number or a hash of an entry");
	entry->level = (uint32_t)level;
	entry->released = released;
	entry->size = (uint64_t)size;
	entry->blocked = blocked;
	entry->rollout = (unsigned)rollout;
	memcpy(entry->hash, hash, KC_SHA256_TEXT_SIZE);
	KC_TRY(copy(target, &entry->target));
	KC_TRY(copy(type, &entry->type));
	return copy(patchset, &entry->patchset);
}

/* Of the two kinds of documents here. KC_ERR_WRONG_FEED. */
static struct kc_error *check_head(const char *document, const char *wanted_document, const char *feed,
				   const char *wanted_feed)
{
	if (strcmp(document, wanted_document))
		return kc_error_new(KC_ERR_CORRUPT, "a document '%.40s' where '%s' should be", document,
				    wanted_document);
	if (strcmp(feed, wanted_feed))
		return kc_error_new(KC_ERR_WRONG_FEED, "made for the feed '%.64s', not for '%s'", feed, wanted_feed);
	return NULL;
}

static struct kc_error *read_list(const json_t *json, const char *feed, const char *path, struct kc_target_list *list)
{
	const char *document, *its_feed, *its_path, *title;
	json_error_t problem;
	json_t *entries;

	if (json_unpack_ex((json_t *)json, &problem, JSON_STRICT, "{s:s, s:s, s:s, s:s, s:o}", "document", &document,
			   "feed", &its_feed, "path", &its_path, "title", &title, "entries", &entries))
		return bad_list(problem.text);
	KC_TRY(check_head(document, KC_TARGET_LIST_DOCUMENT, its_feed, feed));
	if (strcmp(its_path, path))
		return kc_error_new(KC_ERR_WRONG_TARGET, "a list for '%.128s', not for '%s'", its_path, path);
	if (!json_is_array(entries) || json_array_size(entries) > KC_TARGET_ENTRIES_MAX)
		return bad_list("no entries, or too many");
	KC_TRY(copy(feed, &list->feed));
	KC_TRY(copy(path, &list->path));
	KC_TRY(copy(title, &list->title));
	list->entries = calloc(json_array_size(entries) + 1, sizeof(*list->entries));
	if (!list->entries)
		return kc_error_no_memory();
	list->n_entries = json_array_size(entries);
	for (size_t i = 0; i < list->n_entries; i++)
		KC_TRY(read_entry(json_array_get(entries, i), &list->entries[i]));
	return check_list(list);
}

struct kc_error *kc_target_list_decode(const char *text, size_t size, const char *feed, const char *path,
				       struct kc_target_list *list)
{
	kc_autojson json_t *json = NULL;

	if (size > KC_TARGET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%s: its list is larger than %d MiB", path,
				    KC_TARGET_LIST_SIZE_MAX >> 20);
	KC_TRY(kc_canonical_parse(text, size, &json));
	return read_list(json, feed, path, list);
}

void kc_target_list_clear(struct kc_target_list *list)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		free(list->entries[i].target);
		free(list->entries[i].type);
		free(list->entries[i].patchset);
	}
	free(list->entries);
	free(list->feed);
	free(list->path);
	free(list->title);
	memset(list, 0, sizeof(*list));
}

/* ---- the index of build-ids ---- */

static struct kc_error *bad_index(const char *what)
{
	return kc_error_new(KC_ERR_CORRUPT, "not an index of packages: %s", what);
}

static struct kc_error *check_package(const struct kc_user_index_package *package)
{
	if (!is_package_path(package->path))
		return bad_index("the path of a list");
	if (package->n_prefixes == 0 || package->n_prefixes > KC_TARGET_ENTRIES_MAX)
		return bad_index("no build-ids of a list, or too many");
	for (size_t i = 0; i < package->n_prefixes; i++) {
		if (!is_made_of(package->prefixes[i], DIGITS "abcdef", KC_USER_INDEX_PREFIX_SIZE - 1))
			return bad_index("a build-id");
		if (i && strcmp(package->prefixes[i - 1], package->prefixes[i]) >= 0)
			return bad_index("the order of its build-ids");
	}
	return NULL;
}

static struct kc_error *check_index(const struct kc_user_package_index *index)
{
	if (index->n_packages > INDEX_PACKAGES_MAX)
		return bad_index("too many packages");
	for (size_t i = 0; i < index->n_packages; i++) {
		KC_TRY(check_package(&index->packages[i]));
		if (i && strcmp(index->packages[i - 1].path, index->packages[i].path) >= 0)
			return bad_index("the order of its packages");
	}
	return NULL;
}

struct kc_error *kc_user_package_index_encode(const struct kc_user_package_index *index, const char *feed,
					      struct kc_buf *out)
{
	kc_autojson json_t *packages = json_object(), *json = NULL;
	size_t before = out->size;

	KC_TRY(check_index(index));
	for (size_t i = 0; i < index->n_packages; i++) {
		const struct kc_user_index_package *package = &index->packages[i];
		json_t *prefixes = json_array();

		if (json_object_set_new(packages, package->path, prefixes))
			return kc_error_no_memory();
		for (size_t k = 0; k < package->n_prefixes; k++)
			if (json_array_append_new(prefixes, json_string(package->prefixes[k])))
				return kc_error_no_memory();
	}
	json = json_pack("{s:s, s:s, s:O}", "document", KC_USER_INDEX_DOCUMENT, "feed", feed, "packages", packages);
	if (!json)
		return kc_error_no_memory();
	KC_TRY(kc_canonical_encode(json, out));
	if (out->size - before > KC_TARGET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the index of packages is larger than %d MiB",
				    KC_TARGET_LIST_SIZE_MAX >> 20);
	return NULL;
}

static struct kc_error *read_package(const char *path, const json_t *prefixes, struct kc_user_index_package *package)
{
	if (!json_is_array(prefixes) || json_array_size(prefixes) > KC_TARGET_ENTRIES_MAX)
		return bad_index("no build-ids of a list, or too many");
	KC_TRY(copy(path, &package->path));
	package->prefixes = calloc(json_array_size(prefixes) + 1, sizeof(*package->prefixes));
	if (!package->prefixes)
		return kc_error_no_memory();
	for (; package->n_prefixes < json_array_size(prefixes); package->n_prefixes++) {
		const char *prefix = json_string_value(json_array_get(prefixes, package->n_prefixes));

		if (!prefix || strlen(prefix) >= KC_USER_INDEX_PREFIX_SIZE)
			return bad_index("a build-id");
		strcpy(package->prefixes[package->n_prefixes], prefix);
	}
	return NULL;
}

static int compare_packages(const void *a, const void *b)
{
	return strcmp(((const struct kc_user_index_package *)a)->path, ((const struct kc_user_index_package *)b)->path);
}

static struct kc_error *read_index(const json_t *json, const char *feed, struct kc_user_package_index *index)
{
	const char *document, *its_feed, *path;
	json_t *packages, *prefixes;
	json_error_t problem;

	if (json_unpack_ex((json_t *)json, &problem, JSON_STRICT, "{s:s, s:s, s:o}", "document", &document, "feed",
			   &its_feed, "packages", &packages))
		return bad_index(problem.text);
	KC_TRY(check_head(document, KC_USER_INDEX_DOCUMENT, its_feed, feed));
	if (!json_is_object(packages) || json_object_size(packages) > INDEX_PACKAGES_MAX)
		return bad_index("no packages, or too many");
	index->packages = calloc(json_object_size(packages) + 1, sizeof(*index->packages));
	if (!index->packages)
		return kc_error_no_memory();
	json_object_foreach(packages, path, prefixes)
	{
		KC_TRY(read_package(path, prefixes, &index->packages[index->n_packages++]));
	}
	qsort(index->packages, index->n_packages, sizeof(*index->packages), compare_packages);
	return check_index(index);
}

struct kc_error *kc_user_package_index_decode(const char *text, size_t size, const char *feed,
					      struct kc_user_package_index *index)
{
	kc_autojson json_t *json = NULL;

	if (size > KC_TARGET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the index of packages is larger than %d MiB",
				    KC_TARGET_LIST_SIZE_MAX >> 20);
	KC_TRY(kc_canonical_parse(text, size, &json));
	return read_index(json, feed, index);
}

void kc_user_package_index_clear(struct kc_user_package_index *index)
{
	for (size_t i = 0; i < index->n_packages; i++) {
		free(index->packages[i].path);
		free(index->packages[i].prefixes);
	}
	free(index->packages);
	memset(index, 0, sizeof(*index));
}
