/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest between its struct and JSON. Every member is known: one that is missing, of another type, or unknown is
 * an error, so that an older kcare never applies a patch of which it understands only a part.
 */
#include "patch/manifest.h"

#include <string.h>

#include "sign/canonical.h"

static const char *const kind_names[] = { [KC_PATCH_USER] = "user", [KC_PATCH_KERNEL] = "kernel" };
static const char *const consistency_names[] = {
	[KC_CONSISTENCY_STRICT] = "strict",
	[KC_CONSISTENCY_FUNCTION] = "function",
};

/* ---- writing ---- */

static struct kc_error *set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) ? kc_error_no_memory() : NULL;
}

/* NULL is left out. */
static struct kc_error *set_string(json_t *object, const char *key, const char *text)
{
	json_t *value;

	if (!text)
		return NULL;
	value = json_string(text);
	if (!value)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %s is not valid UTF-8", key);
	return set(object, key, value);
}

static struct kc_error *set_strings(json_t *object, const char *key, char *const *texts, size_t n)
{
	json_t *array = json_array();

	KC_TRY(set(object, key, array));
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(array, json_string(texts[i])))
			return kc_error_no_memory();
	return NULL;
}

static struct kc_error *set_fixes(json_t *object, const struct kc_manifest *manifest)
{
	json_t *array = json_array();

	KC_TRY(set(object, "fixes", array));
	for (size_t i = 0; i < manifest->n_fixes; i++) {
		const struct kc_fix_info *fix = &manifest->fixes[i];
		json_t *member = json_object();

		if (json_array_append_new(array, member))
			return kc_error_no_memory();
		KC_TRY(set_string(member, "name", fix->name));
		KC_TRY(set_string(member, "description", fix->description));
		KC_TRY(set_strings(member, "cves", fix->cves, fix->n_cves));
		KC_TRY(set_string(member, "cvss", fix->cvss));
		KC_TRY(set_string(member, "cve_url", fix->cve_url));
		KC_TRY(set_string(member, "patch_url", fix->patch_url));
		KC_TRY(set_string(member, "license", fix->license));
	}
	return NULL;
}

static struct kc_error *set_numbers(json_t *object, const char *key, const uint64_t *numbers, size_t n)
{
	json_t *array = json_array();

	KC_TRY(set(object, key, array));
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(array, json_integer((json_int_t)numbers[i])))
			return kc_error_no_memory();
	return NULL;
}

static struct kc_error *set_globals(json_t *object, const struct kc_kernel_manifest *kernel)
{
	json_t *array = json_array();

	KC_TRY(set(object, "globals", array));
	for (size_t i = 0; i < kernel->n_globals; i++) {
		const struct kc_manifest_global *global = &kernel->globals[i];
		json_t *member = json_object();

		if (json_array_append_new(array, member))
			return kc_error_no_memory();
		KC_TRY(set_string(member, "name", global->name));
		KC_TRY(set(member, "offset", json_integer((json_int_t)global->offset)));
		KC_TRY(set(member, "size", json_integer((json_int_t)global->size)));
		KC_TRY(set(member, "align", json_integer((json_int_t)global->align)));
	}
	return NULL;
}

static struct kc_error *set_kernel(json_t *object, const struct kc_kernel_manifest *kernel)
{
	json_t *member = json_object();

	KC_TRY(set(object, "kernel", member));
	KC_TRY(set_string(member, "release", kernel->release));
	KC_TRY(set_string(member, "effective_version", kernel->effective_version));
	KC_TRY(set_string(member, "build_id", kernel->build_id));
	KC_TRY(set_string(member, "module", kernel->module));
	KC_TRY(set_strings(member, "functions", kernel->functions, kernel->n_functions));
	KC_TRY(set_strings(member, "switches", kernel->switches, kernel->n_switches));
	KC_TRY(set_numbers(member, "states", kernel->states, kernel->n_states));
	KC_TRY(set_globals(member, kernel));
	return set(member, "pinned", json_boolean(kernel->is_pinned));
}

static struct kc_error *set_manifest(json_t *object, const struct kc_manifest *manifest)
{
	KC_TRY(set_string(object, "document", KC_MANIFEST_DOCUMENT));
	KC_TRY(set_string(object, "kind", kind_names[manifest->kind]));
	KC_TRY(set_string(object, "target", manifest->target));
	KC_TRY(set_string(object, "type", manifest->type));
	KC_TRY(set(object, "level", json_integer(manifest->level)));
	KC_TRY(set_string(object, "patchset", manifest->patchset));
	KC_TRY(set_string(object, "package", manifest->package));
	KC_TRY(set_string(object, "version", manifest->version));
	KC_TRY(set_string(object, "object", manifest->object));
	KC_TRY(set(object, "created", json_integer(manifest->created)));
	KC_TRY(set_string(object, "consistency", consistency_names[manifest->consistency]));
	KC_TRY(set_fixes(object, manifest));
	if (manifest->kind == KC_PATCH_KERNEL)
		KC_TRY(set_kernel(object, &manifest->kernel));
	return set_strings(object, "allowed", manifest->allowed, manifest->n_allowed);
}

static struct kc_error *set_payloads(json_t *object, const struct kc_payload_entry *entries, size_t n)
{
	json_t *array = json_array();

	KC_TRY(set(object, "payloads", array));
	for (size_t i = 0; i < n; i++) {
		json_t *member = json_object();

		if (json_array_append_new(array, member))
			return kc_error_no_memory();
		KC_TRY(set_string(member, "name", entries[i].name));
		KC_TRY(set(member, "size", json_integer((json_int_t)entries[i].size)));
		KC_TRY(set_string(member, "sha256", entries[i].hash));
		KC_TRY(set(member, "compressed_size", json_integer((json_int_t)entries[i].compressed_size)));
		KC_TRY(set_string(member, "compressed_sha256", entries[i].compressed_hash));
	}
	return NULL;
}

struct kc_error *kc_manifest_encode(const struct kc_manifest *manifest, const struct kc_payload_entry *entries,
				    size_t n_entries, json_t **json)
{
	kc_autojson json_t *object = json_object();

	if (!object)
		return kc_error_no_memory();
	KC_TRY(kc_manifest_check(manifest));
	KC_TRY(kc_payload_entries_check(manifest, entries, n_entries));
	KC_TRY(set_manifest(object, manifest));
	KC_TRY(set_payloads(object, entries, n_entries));
	*json = kc_steal(object);
	return NULL;
}

struct kc_error *kc_manifest_to_json(const struct kc_manifest *manifest, char **text)
{
	kc_autojson json_t *object = json_object();

	if (!object)
		return kc_error_no_memory();
	KC_TRY(set_manifest(object, manifest));
	*text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	return *text ? NULL : kc_error_no_memory();
}

/* ---- reading ---- */

/* One object, and how many of its members were asked for: all of them, at the end. */
struct reader {
	const json_t *object;
	size_t n_used;
};

static struct kc_error *bad_member(const char *key)
{
	return kc_error_new(KC_ERR_INPUT, "bad manifest: '%s' is missing, or of a wrong type", key);
}

static const json_t *take(struct reader *reader, const char *key)
{
	const json_t *value = json_object_get(reader->object, key);

	reader->n_used += value != NULL;
	return value;
}

static struct kc_error *check_all_used(const struct reader *reader)
{
	if (!json_is_object(reader->object) || json_object_size(reader->object) != reader->n_used)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: it has members that are not known");
	return NULL;
}

static struct kc_error *copy_string(const json_t *value, const char *key, char **text)
{
	if (!json_is_string(value))
		return bad_member(key);
	*text = strdup(json_string_value(value));
	return *text ? NULL : kc_error_no_memory();
}

static struct kc_error *get_string(struct reader *reader, const char *key, char **text)
{
	return copy_string(take(reader, key), key, text);
}

static struct kc_error *get_optional_string(struct reader *reader, const char *key, char **text)
{
	const json_t *value = take(reader, key);

	return value ? copy_string(value, key, text) : NULL;
}

static struct kc_error *get_integer(struct reader *reader, const char *key, int64_t max, int64_t *number)
{
	const json_t *value = take(reader, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
		return bad_member(key);
	*number = json_integer_value(value);
	return NULL;
}

static struct kc_error *get_array(struct reader *reader, const char *key, size_t max, const json_t **array)
{
	*array = take(reader, key);
	if (!json_is_array(*array))
		return bad_member(key);
	if (json_array_size(*array) > max)
		return kc_error_new(KC_ERR_LIMIT, "bad manifest: more than %zu %s", max, key);
	return NULL;
}

static struct kc_error *get_strings(struct reader *reader, const char *key, size_t max, char ***texts, size_t *n)
{
	const json_t *array;

	KC_TRY(get_array(reader, key, max, &array));
	*texts = calloc(json_array_size(array) + 1, sizeof(**texts));
	if (!*texts)
		return kc_error_no_memory();
	for (; *n < json_array_size(array); ++*n)
		KC_TRY(copy_string(json_array_get(array, *n), key, &(*texts)[*n]));
	return NULL;
}

/* One of `n` names, as its number. */
static struct kc_error *get_choice(struct reader *reader, const char *key, const char *const *names, size_t n,
				   unsigned *choice)
{
	const char *text = json_string_value(take(reader, key));

	for (size_t i = 0; text && i < n; i++) {
		if (strcmp(text, names[i]))
			continue;
		*choice = (unsigned)i;
		return NULL;
	}
	return bad_member(key);
}

static struct kc_error *get_hash(struct reader *reader, const char *key, char hash[KC_SHA256_TEXT_SIZE])
{
	const char *text = json_string_value(take(reader, key));

	if (!text || strlen(text) != KC_SHA256_TEXT_SIZE - 1)
		return bad_member(key);
	memcpy(hash, text, KC_SHA256_TEXT_SIZE);
	return NULL;
}

static struct kc_error *read_fix(const json_t *object, struct kc_fix_info *fix)
{
	struct reader reader = { object, 0 };

	KC_TRY(get_string(&reader, "name", &fix->name));
	KC_TRY(get_optional_string(&reader, "description", &fix->description));
	KC_TRY(get_strings(&reader, "cves", KC_MANIFEST_CVES_MAX, &fix->cves, &fix->n_cves));
	KC_TRY(get_optional_string(&reader, "cvss", &fix->cvss));
	KC_TRY(get_optional_string(&reader, "cve_url", &fix->cve_url));
	KC_TRY(get_optional_string(&reader, "patch_url", &fix->patch_url));
	KC_TRY(get_optional_string(&reader, "license", &fix->license));
	return check_all_used(&reader);
}

static struct kc_error *get_fixes(struct reader *reader, struct kc_manifest *manifest)
{
	const json_t *array;

	KC_TRY(get_array(reader, "fixes", KC_MANIFEST_FIXES_MAX, &array));
	manifest->fixes = calloc(json_array_size(array) + 1, sizeof(*manifest->fixes));
	if (!manifest->fixes)
		return kc_error_no_memory();
	manifest->n_fixes = json_array_size(array);
	for (size_t i = 0; i < manifest->n_fixes; i++)
		KC_TRY(read_fix(json_array_get(array, i), &manifest->fixes[i]));
	return NULL;
}

static struct kc_error *get_boolean(struct reader *reader, const char *key, bool *value)
{
	const json_t *json = take(reader, key);

	if (!json_is_boolean(json))
		return bad_member(key);
	*value = json_is_true(json);
	return NULL;
}

static struct kc_error *get_unsigned(struct reader *reader, const char *key, uint64_t *number)
{
	int64_t value = 0;

	KC_TRY(get_integer(reader, key, KC_CANONICAL_INTEGER_MAX, &value));
	*number = (uint64_t)value;
	return NULL;
}

static struct kc_error *get_states(struct reader *reader, struct kc_kernel_manifest *kernel)
{
	const json_t *array;

	KC_TRY(get_array(reader, "states", KC_MANIFEST_STATES_MAX, &array));
	kernel->states = calloc(json_array_size(array) + 1, sizeof(*kernel->states));
	if (!kernel->states)
		return kc_error_no_memory();
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *value = json_array_get(array, i);

		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return bad_member("states");
		kernel->states[kernel->n_states++] = (uint64_t)json_integer_value(value);
	}
	return NULL;
}

static struct kc_error *read_global(const json_t *object, struct kc_manifest_global *global)
{
	struct reader reader = { object, 0 };

	KC_TRY(get_string(&reader, "name", &global->name));
	KC_TRY(get_unsigned(&reader, "offset", &global->offset));
	KC_TRY(get_unsigned(&reader, "size", &global->size));
	KC_TRY(get_unsigned(&reader, "align", &global->align));
	return check_all_used(&reader);
}

static struct kc_error *get_globals(struct reader *reader, struct kc_kernel_manifest *kernel)
{
	const json_t *array;

	KC_TRY(get_array(reader, "globals", KC_MANIFEST_GLOBALS_MAX, &array));
	kernel->globals = calloc(json_array_size(array) + 1, sizeof(*kernel->globals));
	if (!kernel->globals)
		return kc_error_no_memory();
	kernel->n_globals = json_array_size(array);
	for (size_t i = 0; i < kernel->n_globals; i++)
		KC_TRY(read_global(json_array_get(array, i), &kernel->globals[i]));
	return NULL;
}

static struct kc_error *get_kernel(struct reader *reader, struct kc_kernel_manifest *kernel)
{
	const json_t *object = take(reader, "kernel");
	struct reader member = { object, 0 };

	if (!json_is_object(object))
		return bad_member("kernel");
	KC_TRY(get_string(&member, "release", &kernel->release));
	KC_TRY(get_string(&member, "effective_version", &kernel->effective_version));
	KC_TRY(get_string(&member, "build_id", &kernel->build_id));
	KC_TRY(get_string(&member, "module", &kernel->module));
	KC_TRY(get_strings(&member, "functions", KC_MANIFEST_FUNCTIONS_MAX, &kernel->functions, &kernel->n_functions));
	KC_TRY(get_strings(&member, "switches", KC_MANIFEST_SWITCHES_MAX, &kernel->switches, &kernel->n_switches));
	KC_TRY(get_states(&member, kernel));
	KC_TRY(get_globals(&member, kernel));
	KC_TRY(get_boolean(&member, "pinned", &kernel->is_pinned));
	return check_all_used(&member);
}

static struct kc_error *read_entry(const json_t *object, struct kc_payload_entry *entry)
{
	struct reader reader = { object, 0 };
	int64_t size = 0, compressed_size = 0;

	KC_TRY(get_string(&reader, "name", &entry->name));
	KC_TRY(get_integer(&reader, "size", INT64_MAX, &size));
	KC_TRY(get_hash(&reader, "sha256", entry->hash));
	KC_TRY(get_integer(&reader, "compressed_size", INT64_MAX, &compressed_size));
	KC_TRY(get_hash(&reader, "compressed_sha256", entry->compressed_hash));
	entry->size = (uint64_t)size;
	entry->compressed_size = (uint64_t)compressed_size;
	return check_all_used(&reader);
}

static struct kc_error *get_entries(struct reader *reader, struct kc_payload_entry **entries, size_t *n)
{
	const json_t *array;

	KC_TRY(get_array(reader, "payloads", KC_PATCH_PAYLOADS_MAX, &array));
	*entries = calloc(json_array_size(array) + 1, sizeof(**entries));
	if (!*entries)
		return kc_error_no_memory();
	*n = json_array_size(array);
	for (size_t i = 0; i < *n; i++)
		KC_TRY(read_entry(json_array_get(array, i), &(*entries)[i]));
	return NULL;
}

static struct kc_error *get_manifest(struct reader *reader, struct kc_manifest *manifest)
{
	unsigned kind = 0, consistency = 0;
	int64_t level = 0;

	KC_TRY(get_choice(reader, "kind", kind_names, 2, &kind));
	KC_TRY(get_string(reader, "target", &manifest->target));
	KC_TRY(get_string(reader, "type", &manifest->type));
	KC_TRY(get_integer(reader, "level", UINT32_MAX, &level));
	KC_TRY(get_string(reader, "patchset", &manifest->patchset));
	KC_TRY(get_optional_string(reader, "package", &manifest->package));
	KC_TRY(get_optional_string(reader, "version", &manifest->version));
	KC_TRY(get_string(reader, "object", &manifest->object));
	KC_TRY(get_integer(reader, "created", KC_CANONICAL_INTEGER_MAX, &manifest->created));
	KC_TRY(get_choice(reader, "consistency", consistency_names, 2, &consistency));
	KC_TRY(get_fixes(reader, manifest));
	manifest->kind = (enum kc_patch_kind)kind;
	if (manifest->kind == KC_PATCH_KERNEL)
		KC_TRY(get_kernel(reader, &manifest->kernel));
	manifest->consistency = (enum kc_consistency)consistency;
	manifest->level = (uint32_t)level;
	return get_strings(reader, "allowed", KC_MANIFEST_ALLOWED_MAX, &manifest->allowed, &manifest->n_allowed);
}

struct kc_error *kc_manifest_decode(const json_t *json, struct kc_manifest *manifest, struct kc_payload_entry **entries,
				    size_t *n_entries)
{
	struct reader reader = { json, 0 };
	const char *document = json_string_value(take(&reader, "document"));

	if (!document || strcmp(document, KC_MANIFEST_DOCUMENT))
		return kc_error_new(KC_ERR_INPUT, "what is signed is not a patch manifest");
	KC_TRY(get_manifest(&reader, manifest));
	KC_TRY(get_entries(&reader, entries, n_entries));
	KC_TRY(check_all_used(&reader));
	KC_TRY(kc_manifest_check(manifest));
	return kc_payload_entries_check(manifest, *entries, *n_entries);
}

/* ---- freeing ---- */

static void free_strings(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void kc_fix_info_clear(struct kc_fix_info *fix)
{
	free_strings(fix->cves, fix->n_cves);
	free(fix->name);
	free(fix->description);
	free(fix->cvss);
	free(fix->cve_url);
	free(fix->patch_url);
	free(fix->license);
	*fix = (struct kc_fix_info){ 0 };
}

static void clear_kernel(struct kc_kernel_manifest *kernel)
{
	for (size_t i = 0; i < kernel->n_globals; i++)
		free(kernel->globals[i].name);
	free(kernel->globals);
	free_strings(kernel->functions, kernel->n_functions);
	free_strings(kernel->switches, kernel->n_switches);
	free(kernel->states);
	free(kernel->release);
	free(kernel->effective_version);
	free(kernel->build_id);
	free(kernel->module);
}

void kc_manifest_clear(struct kc_manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_fixes; i++)
		kc_fix_info_clear(&manifest->fixes[i]);
	free(manifest->fixes);
	free_strings(manifest->allowed, manifest->n_allowed);
	clear_kernel(&manifest->kernel);
	free(manifest->target);
	free(manifest->type);
	free(manifest->patchset);
	free(manifest->package);
	free(manifest->version);
	free(manifest->object);
	*manifest = (struct kc_manifest){ 0 };
}

void kc_payload_entries_free(struct kc_payload_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(entries[i].name);
	free(entries);
}
