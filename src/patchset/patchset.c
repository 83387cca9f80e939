/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signed list of a patchset between its struct and JSON, and what its values may be. Every member is known: one
 * that is missing, of another type, or unknown is an error. The archive around it is archive.c.
 */
#include "patchset/patchset.h"

#include <string.h>

#include "base/array.h"
#include "sign/envelope.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SUFFIX ".kpatch"

enum { OBJECT_PART = 40, TARGET_PART = 16 }; /* of names: see make_name() */

static const char *const kind_names[] = { [KC_PATCH_USER] = "user", [KC_PATCH_KERNEL] = "kernel" };

/* ---- what values may be ---- */

/* Ends up in paths: no '/', no "." or "..", nothing hidden. */
static bool is_name(const char *text, const char *allowed, size_t max)
{
	size_t length = strspn(text, allowed);

	return length > 0 && length <= max && !text[length] && text[0] != '.' && text[0] != '-';
}

static bool is_file_name(const char *name)
{
	size_t length = strlen(name);

	return is_name(name, LOWER UPPER DIGITS "+._-", KC_PATCHSET_NAME_MAX) && length > strlen(SUFFIX) &&
	       !strcmp(name + length - strlen(SUFFIX), SUFFIX);
}

struct kc_error *kc_patchset_check_distro(const char *distro)
{
	if (!is_name(distro, LOWER DIGITS "._-", KC_PATCHSET_DISTRO_MAX))
		return kc_error_new(KC_ERR_INPUT, "'%.80s' is not a distribution such as debian12", distro);
	return NULL;
}

/* By the rules for the manifest that the entry is a copy of. */
static struct kc_error *check_identity(const struct kc_patchset *patchset, const struct kc_patchset_file *file)
{
	const struct kc_manifest manifest = {
		.kind = file->kind,
		.target = file->target,
		.type = file->type,
		.level = file->level,
		.patchset = patchset->name,
		.package = file->package,
		.object = file->object,
		.kernel = { .release = file->release },
	};

	return kc_manifest_check_identity(&manifest);
}

static struct kc_error *check_file(const struct kc_patchset *patchset, const struct kc_patchset_file *file)
{
	if (!is_file_name(file->name))
		return kc_error_new(KC_ERR_INPUT, "the name '%.80s' is not allowed for a file", file->name);
	if (strlen(file->hash) != KC_SHA256_TEXT_SIZE - 1 || strspn(file->hash, DIGITS "abcdef") != strlen(file->hash))
		return kc_error_new(KC_ERR_INPUT, "%s: '%.80s' is not a SHA-256", file->name, file->hash);
	if (file->size == 0)
		return kc_error_new(KC_ERR_INPUT, "%s: a size of 0", file->name);
	if (file->size > KC_PATCHSET_FILE_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %d MiB", file->name,
				    KC_PATCHSET_FILE_SIZE_MAX >> 20);
	if (file->kind != patchset->files[0].kind)
		return kc_error_new(KC_ERR_INPUT, "patches for kernels and for processes in one patchset");
	if (file->kind == KC_PATCH_USER ? file->release || !file->package : file->package != NULL)
		return kc_error_new(KC_ERR_INPUT, "%s: a kernel has a release, a program a package", file->name);
	if (file->package && !is_name(file->package, LOWER UPPER DIGITS "+._-", KC_PATCHSET_PACKAGE_MAX))
		return kc_error_new(KC_ERR_INPUT, "%s: the package name '%.80s' is not allowed", file->name,
				    file->package);
	if (patchset->name[0] != (file->kind == KC_PATCH_KERNEL ? 'K' : 'U'))
		return kc_error_new(KC_ERR_INPUT, "%s is a patchset for %s, but %s is for %s", patchset->name,
				    patchset->name[0] == 'K' ? "kernels" : "processes", file->name,
				    file->kind == KC_PATCH_KERNEL ? "a kernel" : "processes");
	return check_identity(patchset, file);
}

static int compare_names(const void *a, const void *b)
{
	const struct kc_patchset_file *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int compare_targets(const void *a, const void *b)
{
	const struct kc_patchset_file *left = *(const struct kc_patchset_file *const *)a;
	const struct kc_patchset_file *right = *(const struct kc_patchset_file *const *)b;
	int order = strcmp(left->target, right->target);

	order = order ? order : strcmp(left->type, right->type);
	return order ? order : (left->level > right->level) - (left->level < right->level);
}

/* Names ascend, so that a name twice shows here, and one list has one text. */
static struct kc_error *check_order(const struct kc_patchset *patchset)
{
	const struct kc_patchset_file *files = patchset->files;
	size_t n = patchset->n_files;
	kc_autofree const struct kc_patchset_file **by_target = calloc(n + 1, sizeof(*by_target));

	if (!by_target)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		int order = i ? strcmp(files[i - 1].name, files[i].name) : -1;

		if (order >= 0)
			return kc_error_new(KC_ERR_INPUT,
					    order ? "%s is not in its place: names ascend" : "%s is there twice",
					    files[i].name);
		by_target[i] = &files[i];
	}
	qsort(by_target, n, sizeof(*by_target), compare_targets);
	for (size_t i = 1; i < n; i++)
		if (!compare_targets(&by_target[i - 1], &by_target[i]))
			return kc_error_new(KC_ERR_INPUT, "%s and %s are for the same target, type and level",
					    by_target[i - 1]->name, by_target[i]->name);
	return NULL;
}

static struct kc_error *check(const struct kc_patchset *patchset)
{
	uint64_t total = 0;

	if (!patchset->name || !kc_patchset_name_is_valid(patchset->name))
		return kc_error_new(KC_ERR_INPUT,
				    "'%.80s' is not the name of a patchset: KYYYYMMDD_NN for kernels, UYYYYMMDD_NN or "
				    "UYYYYMMDD_NN-name for processes",
				    patchset->name ? patchset->name : "");
	KC_TRY(kc_patchset_check_distro(patchset->distro));
	if (patchset->released < 0 || patchset->released > KC_CANONICAL_INTEGER_MAX)
		return kc_error_new(KC_ERR_INPUT, "released at a time that is no time");
	if (patchset->n_files == 0)
		return kc_error_new(KC_ERR_INPUT, "there is no patch file in it");
	if (patchset->n_files > KC_PATCHSET_FILES_MAX)
		return kc_error_new(KC_ERR_LIMIT, "more than %d files", KC_PATCHSET_FILES_MAX);
	for (size_t i = 0; i < patchset->n_files; i++) {
		KC_TRY(check_file(patchset, &patchset->files[i]));
		total += patchset->files[i].size;
	}
	if (total > KC_PATCHSET_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the files are larger than %ju GiB together",
				    (uintmax_t)KC_PATCHSET_SIZE_MAX >> 30);
	return check_order(patchset);
}

/* ---- writing ---- */

static json_t *file_to_json(const struct kc_patchset_file *file)
{
	json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:s}", "name", file->name, "sha256", file->hash,
				 "size", (json_int_t)file->size, "kind", kind_names[file->kind], "target", file->target,
				 "type", file->type, "level", (int)file->level, "object", file->object);
	const char *key = file->kind == KC_PATCH_KERNEL ? "release" : "package";
	const char *value = file->kind == KC_PATCH_KERNEL ? file->release : file->package;

	if (json && json_object_set_new(json, key, json_string(value))) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static struct kc_error *list_to_json(const struct kc_patchset *patchset, json_t **json)
{
	kc_autojson json_t *files = json_array();

	for (size_t i = 0; i < patchset->n_files; i++) {
		json_t *file = file_to_json(&patchset->files[i]);

		if (!file)
			return kc_error_new(KC_ERR_INPUT, "%s: a value is not valid UTF-8", patchset->files[i].name);
		if (json_array_append_new(files, file))
			return kc_error_no_memory();
	}
	*json = json_pack("{s:s, s:s, s:s, s:I, s:O}", "document", KC_PATCHSET_DOCUMENT, "name", patchset->name,
			  "distro", patchset->distro, "released", (json_int_t)patchset->released, "files", files);
	return *json ? NULL : kc_error_no_memory();
}

struct kc_error *kc_patchset_encode(struct kc_patchset *patchset, const struct kc_key *key, struct kc_buf *out)
{
	kc_autobuf struct kc_buf envelope = { 0 };
	kc_autojson json_t *signed_part = NULL;

	if (patchset->n_files)
		qsort(patchset->files, patchset->n_files, sizeof(*patchset->files), compare_names);
	KC_TRY(check(patchset));
	KC_TRY(list_to_json(patchset, &signed_part));
	KC_TRY(kc_envelope_encode(signed_part, &key, 1, &envelope));
	if (envelope.size > KC_PATCHSET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the list is larger than %d MiB", KC_PATCHSET_LIST_SIZE_MAX >> 20);
	kc_buf_append(out, envelope.data, envelope.size);
	return out->failed ? kc_error_no_memory() : NULL;
}

/* ---- reading ---- */

static struct kc_error *not_a_list(const json_error_t *problem)
{
	return kc_error_new(KC_ERR_CORRUPT, "what is signed is not the list of a patchset: %s", problem->text);
}

static bool copy(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

static struct kc_error *read_file(const json_t *json, struct kc_patchset_file *file)
{
	const char *name, *hash, *kind, *target, *type, *object, *release = NULL, *package = NULL;
	json_int_t size, level;
	json_error_t problem;

	if (json_unpack_ex((json_t *)json, &problem, JSON_STRICT, "{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:s, s?s, s?s}",
			   "name", &name, "sha256", &hash, "size", &size, "kind", &kind, "target", &target, "type",
			   &type, "level", &level, "object", &object, "release", &release, "package", &package))
		return not_a_list(&problem);
	if (strcmp(kind, kind_names[KC_PATCH_USER]) && strcmp(kind, kind_names[KC_PATCH_KERNEL]))
		return kc_error_new(KC_ERR_INPUT, "the kind '%.80s' is not known", kind);
	if (size < 0 || level < 0 || level > UINT32_MAX || strlen(hash) != KC_SHA256_TEXT_SIZE - 1)
		return kc_error_new(KC_ERR_INPUT, "a size, level or SHA-256 is not allowed");
	file->kind = strcmp(kind, kind_names[KC_PATCH_KERNEL]) ? KC_PATCH_USER : KC_PATCH_KERNEL;
	file->size = (uint64_t)size;
	file->level = (uint32_t)level;
	memcpy(file->hash, hash, KC_SHA256_TEXT_SIZE);
	if (!copy(name, &file->name) || !copy(target, &file->target) || !copy(type, &file->type) ||
	    !copy(object, &file->object) || !copy(release, &file->release) || !copy(package, &file->package))
		return kc_error_no_memory();
	return NULL;
}

static struct kc_error *read_list(const json_t *json, struct kc_patchset *patchset)
{
	const char *document, *name, *distro;
	json_int_t released;
	json_error_t problem;
	json_t *files;

	if (json_unpack_ex((json_t *)json, &problem, JSON_STRICT, "{s:s, s:s, s:s, s:I, s:o}", "document", &document,
			   "name", &name, "distro", &distro, "released", &released, "files", &files))
		return not_a_list(&problem);
	if (strcmp(document, KC_PATCHSET_DOCUMENT) || !json_is_array(files))
		return kc_error_new(KC_ERR_CORRUPT, "what is signed is not the list of a patchset");
	if (json_array_size(files) > KC_PATCHSET_FILES_MAX)
		return kc_error_new(KC_ERR_LIMIT, "more than %d files", KC_PATCHSET_FILES_MAX);
	patchset->released = released;
	patchset->files = calloc(json_array_size(files) + 1, sizeof(*patchset->files));
	if (!copy(name, &patchset->name) || !copy(distro, &patchset->distro) || !patchset->files)
		return kc_error_no_memory();
	patchset->n_files = json_array_size(files);
	for (size_t i = 0; i < patchset->n_files; i++)
		KC_TRY(read_file(json_array_get(files, i), &patchset->files[i]));
	return check(patchset);
}

/* A list has one author, as a patch file has: exactly one signature. */
static struct kc_error *open_list(const char *data, size_t size, const struct kc_keyring *authors,
				  struct kc_patchset *patchset)
{
	kc_autoenvelope struct kc_envelope claimed = { 0 }, verified = { 0 };
	struct kc_envelope *envelope = &claimed;

	if (size > KC_PATCHSET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "larger than %d MiB", KC_PATCHSET_LIST_SIZE_MAX >> 20);
	KC_TRY(kc_envelope_peek(data, size, &claimed));
	if (claimed.n_keyids > 1)
		return kc_error_new(KC_ERR_CORRUPT, "the list of a patchset has one signature, this one has %zu",
				    claimed.n_keyids);
	if (authors) {
		KC_TRY(kc_envelope_verify(data, size, authors, 1, &verified));
		envelope = &verified;
	}
	memcpy(patchset->keyid, envelope->keyids[0], sizeof(patchset->keyid));
	return read_list(envelope->signed_part, patchset);
}

static struct kc_error *decode(const char *name, const void *data, size_t size, const struct kc_keyring *authors,
			       struct kc_patchset **patchset)
{
	kc_autopatchset struct kc_patchset *decoded = calloc(1, sizeof(*decoded));
	struct kc_error *err;

	if (!decoded)
		return kc_error_no_memory();
	err = open_list(data, size, authors, decoded);
	if (err)
		return kc_error_prefix(err, "%s", name);
	*patchset = kc_steal(decoded);
	return NULL;
}

struct kc_error *kc_patchset_decode(const char *name, const void *data, size_t size, const struct kc_keyring *authors,
				    struct kc_patchset **patchset)
{
	if (!authors) /* only kc_patchset_peek() goes without */
		return kc_error_new(KC_ERR_UNKNOWN_KEY, "%s: there are no keys to check it with", name);
	return decode(name, data, size, authors, patchset);
}

struct kc_error *kc_patchset_peek(const char *name, const void *data, size_t size, struct kc_patchset **patchset)
{
	return decode(name, data, size, NULL, patchset);
}

struct kc_patchset_file *kc_patchset_find(const struct kc_patchset *patchset, const char *name)
{
	const struct kc_patchset_file wanted = { .name = (char *)name };

	return bsearch(&wanted, patchset->files, patchset->n_files, sizeof(wanted), compare_names);
}

/* ---- entries of patch files ---- */

/* An object's name as a package's: it becomes a part of URLs and file names. */
static char *name_of_object(const char *object)
{
	char *name = strndup(object, KC_PATCHSET_PACKAGE_MAX);

	for (char *p = name; p && *p; p++)
		if (!strchr(LOWER UPPER DIGITS "+._-", *p) || (p == name && (*p == '.' || *p == '-')))
			*p = '_';
	return name;
}

/* Whose list the patch goes to; NULL also when out of memory. */
static char *package_of(const struct kc_manifest *manifest)
{
	if (manifest->kind == KC_PATCH_KERNEL)
		return NULL;
	return manifest->package ? strdup(manifest->package) : name_of_object(manifest->object);
}

/* "libcrypto.so.3-0123456789abcdef-1.kpatch"; another type than the default one is part of the name. */
static char *make_name(const struct kc_manifest *manifest)
{
	kc_autofree char *object = name_of_object(manifest->kind == KC_PATCH_KERNEL ? "kernel" : manifest->object);
	bool plain = !strcmp(manifest->type, "default");
	char *name;

	if (!object || asprintf(&name, "%.*s-%.*s-%u%s%s" SUFFIX, OBJECT_PART, object, TARGET_PART, manifest->target,
				manifest->level, plain ? "" : "-", plain ? "" : manifest->type) < 0)
		return NULL;
	return name;
}

struct kc_error *kc_patchset_add(struct kc_patchset *patchset, const struct kc_patch *patch, uint64_t size)
{
	struct kc_patchset_file *file = kc_array_add(&patchset->files, &patchset->n_files);
	const struct kc_manifest *manifest = &patch->manifest;

	if (!file)
		return kc_error_no_memory();
	file->size = size;
	file->kind = manifest->kind;
	file->level = manifest->level;
	memcpy(file->hash, patch->hash, sizeof(file->hash));
	file->name = make_name(manifest);
	file->package = package_of(manifest);
	if (!file->name || (!file->package && manifest->kind == KC_PATCH_USER) ||
	    !copy(manifest->target, &file->target) || !copy(manifest->type, &file->type) ||
	    !copy(manifest->object, &file->object) || !copy(manifest->kernel.release, &file->release))
		return kc_error_no_memory();
	return NULL;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

struct kc_error *kc_patchset_check_patch(const struct kc_patchset *patchset, const struct kc_patchset_file *file,
					 const struct kc_patch *patch)
{
	const struct kc_manifest *manifest = &patch->manifest;
	kc_autofree char *package = package_of(manifest);
	const struct {
		const char *what, *listed, *found;
	} values[] = {
		{ "target", file->target, manifest->target },
		{ "type", file->type, manifest->type },
		{ "patchset", patchset->name, manifest->patchset },
		{ "object", file->object, manifest->object },
		{ "package", file->package, package },
		{ "release", file->release, manifest->kernel.release },
	};

	if (manifest->kind == KC_PATCH_USER && !package)
		return kc_error_no_memory();
	for (size_t i = 0; i < KC_ARRAY_SIZE(values); i++)
		if (!is_same(values[i].listed, values[i].found))
			return kc_error_new(KC_ERR_WRONG_TARGET, "%s: the list says %s %s, the patch file %s",
					    file->name, values[i].what, values[i].listed ? values[i].listed : "(none)",
					    values[i].found ? values[i].found : "(none)");
	if (file->level != manifest->level)
		return kc_error_new(KC_ERR_WRONG_TARGET, "%s: the list says level %u, the patch file %u", file->name,
				    file->level, manifest->level);
	return NULL;
}

char *kc_patchset_target_path(const struct kc_patchset *patchset, const struct kc_patchset_file *file)
{
	char *path;
	int n = file->kind == KC_PATCH_KERNEL ? asprintf(&path, "kernel/%s", file->target)
					      : asprintf(&path, "user/%s/%s", patchset->distro, file->package);

	return n < 0 ? NULL : path;
}

void kc_patchset_free(struct kc_patchset *patchset)
{
	if (!patchset)
		return;
	for (size_t i = 0; i < patchset->n_files; i++) {
		struct kc_patchset_file *file = &patchset->files[i];

		free(file->name);
		free(file->target);
		free(file->type);
		free(file->release);
		free(file->package);
		free(file->object);
	}
	free(patchset->files);
	free(patchset->name);
	free(patchset->distro);
	free(patchset);
}
