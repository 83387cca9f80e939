/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the values of a manifest may be. The same rules hold when a patch is written and when it is read: names from
 * here end up in paths, records and lists for scanners. That text is UTF-8 without control characters is the business
 * of the canonical encoder (sign/canonical.h).
 */
#include "patch/manifest.h"

#include <string.h>

#include "patch/user_payload.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum {
	LEVEL_MAX = 1000000,
	LINE_MAX_SIZE = 1024,
	DESCRIPTION_MAX = 65536,
	OBJECT_MAX = 255,
	PATCHSET_MAX = 63,
	NAME_MAX_SIZE = 64,
	BUILD_ID_DIGITS_MAX = 128,
	KERNEL_ID_DIGITS = 40,
	YEAR_DIGITS = 4,
	CVE_DIGITS_MIN = 4,
	CVE_DIGITS_MAX = 19,
	RELEASE_MAX = 64,   /* struct new_utsname */
	MODULE_MAX = 55,    /* MODULE_NAME_LEN of 64-bit kernels, without its zero byte */
	FUNCTION_MAX = 511, /* KSYM_NAME_LEN, the same */
	SWITCH_MAX = 48,
	ARENA_MAX = 16 << 20, /* far above any kcare.ko's */
	ALIGN_MAX = 4096,
};

/* 1 to `max` characters, all of `allowed`. */
static bool is_made_of(const char *text, const char *allowed, size_t max)
{
	size_t length = strspn(text, allowed);

	return length > 0 && length <= max && !text[length];
}

/* Skips exactly `n` digits; NULL when there are fewer. */
static const char *skip_digits(const char *text, size_t n)
{
	return text && strspn(text, DIGITS) >= n ? text + n : NULL;
}

static bool is_patchset(const char *name, enum kc_patch_kind kind)
{
	const char *p = *name == (kind == KC_PATCH_KERNEL ? 'K' : 'U') ? skip_digits(name + 1, 8) : NULL;

	p = p && *p == '_' ? skip_digits(p + 1, 2) : NULL;
	if (!p || strlen(name) > PATCHSET_MAX)
		return false;
	return !*p || (*p == '-' && is_made_of(p + 1, LOWER DIGITS, PATCHSET_MAX));
}

bool kc_patchset_name_is_valid(const char *name)
{
	return is_patchset(name, KC_PATCH_KERNEL) || is_patchset(name, KC_PATCH_USER);
}

static bool is_cve(const char *text)
{
	const char *p = strncmp(text, "CVE-", 4) ? NULL : skip_digits(text + 4, YEAR_DIGITS);
	size_t n = p && *p == '-' ? strspn(p + 1, DIGITS) : 0;

	return n >= CVE_DIGITS_MIN && n <= CVE_DIGITS_MAX && !p[1 + n];
}

static bool is_target(const char *text, enum kc_patch_kind kind)
{
	size_t length = strlen(text);

	if (!is_made_of(text, DIGITS "abcdef", BUILD_ID_DIGITS_MAX))
		return false;
	return kind == KC_PATCH_KERNEL ? length == KERNEL_ID_DIGITS : length >= 2 && length % 2 == 0;
}

static bool is_object(const char *text)
{
	return *text && strlen(text) <= OBJECT_MAX && !strpbrk(text, "/\n") && strcmp(text, ".") && strcmp(text, "..");
}

static bool is_line(const char *text)
{
	return *text && strlen(text) <= LINE_MAX_SIZE && !strchr(text, '\n');
}

/* Lists for people make links of them: only schemes that do nothing but lead somewhere. */
static bool is_url(const char *text)
{
	static const char *const schemes[] = { "https://", "http://", "git://", "ftp://" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(text, schemes[i], strlen(schemes[i])))
			return strlen(text) <= LINE_MAX_SIZE && !strpbrk(text, " \n\"<>");
	return false;
}

static struct kc_error *bad_value(const char *what, const char *value)
{
	return kc_error_new(KC_ERR_INPUT, "bad manifest: %s: '%.80s' is not allowed", what, value ? value : "(none)");
}

static struct kc_error *check_fix(const struct kc_fix_info *fix)
{
	if (!fix->name || !is_line(fix->name))
		return bad_value("name of a fix", fix->name);
	if (fix->description && strlen(fix->description) > DESCRIPTION_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %s: the description is too long", fix->name);
	if (fix->n_cves > KC_MANIFEST_CVES_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %s: too many CVEs", fix->name);
	for (size_t i = 0; i < fix->n_cves; i++)
		if (!is_cve(fix->cves[i]))
			return bad_value("CVE", fix->cves[i]);
	if (fix->cvss && !is_line(fix->cvss))
		return bad_value("CVSS", fix->cvss);
	if (fix->cve_url && !is_url(fix->cve_url))
		return bad_value("CVE-URL", fix->cve_url);
	if (fix->patch_url && !is_url(fix->patch_url))
		return bad_value("Patch-URL", fix->patch_url);
	if (fix->license && !is_line(fix->license))
		return bad_value("licence", fix->license);
	return NULL;
}

static struct kc_error *check_lists(const struct kc_manifest *manifest)
{
	if (manifest->n_fixes == 0 || manifest->n_fixes > KC_MANIFEST_FIXES_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %zu fixes (1 to %d are allowed)", manifest->n_fixes,
				    KC_MANIFEST_FIXES_MAX);
	for (size_t i = 0; i < manifest->n_fixes; i++)
		KC_TRY(check_fix(&manifest->fixes[i]));
	if (manifest->n_allowed > KC_MANIFEST_ALLOWED_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: too many overridden rules");
	for (size_t i = 0; i < manifest->n_allowed; i++)
		if (!is_made_of(manifest->allowed[i], LOWER DIGITS "-", NAME_MAX_SIZE))
			return bad_value("overridden rule", manifest->allowed[i]);
	return NULL;
}

/* "vmlinux:meminfo_proc_show"; "nf_tables:foo.isra.0"; "vmlinux:foo,2" is the second one of that name. */
static bool is_kernel_function(const char *text)
{
	const char *name = strchr(text, ':');
	size_t object = name ? strspn(text, LOWER UPPER DIGITS "_") : 0;

	return object > 0 && object <= MODULE_MAX && text + object == name &&
	       is_made_of(name + 1, LOWER UPPER DIGITS "_.$,", FUNCTION_MAX);
}

static bool overlaps(const struct kc_manifest_global *a, const struct kc_manifest_global *b)
{
	return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static struct kc_error *check_globals(const struct kc_kernel_manifest *kernel)
{
	for (size_t i = 0; i < kernel->n_globals; i++) {
		const struct kc_manifest_global *global = &kernel->globals[i];

		if (!global->name || !is_line(global->name))
			return bad_value("name of a variable", global->name);
		if (!global->size || global->size > ARENA_MAX || global->offset > ARENA_MAX - global->size)
			return bad_value("place of the variable", global->name);
		if (!global->align || global->align > ALIGN_MAX || (global->align & (global->align - 1)) ||
		    global->offset % global->align)
			return bad_value("alignment of the variable", global->name);
		for (size_t k = 0; k < i; k++) {
			if (overlaps(global, &kernel->globals[k]))
				return bad_value("variable in the place of another", global->name);
			if (!strcmp(global->name, kernel->globals[k].name))
				return bad_value("second variable of the same name", global->name);
		}
	}
	return NULL;
}

static struct kc_error *check_kernel_lists(const struct kc_kernel_manifest *kernel)
{
	if (kernel->n_functions > KC_MANIFEST_FUNCTIONS_MAX || kernel->n_switches > KC_MANIFEST_SWITCHES_MAX ||
	    kernel->n_states > KC_MANIFEST_STATES_MAX || kernel->n_globals > KC_MANIFEST_GLOBALS_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: too many functions, switches, states or variables");
	for (size_t i = 0; i < kernel->n_functions; i++)
		if (!is_kernel_function(kernel->functions[i]))
			return bad_value("function", kernel->functions[i]);
	for (size_t i = 0; i < kernel->n_switches; i++) {
		if (!is_made_of(kernel->switches[i], LOWER UPPER DIGITS "_", SWITCH_MAX))
			return bad_value("switch", kernel->switches[i]);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(kernel->switches[k], kernel->switches[i]))
				return bad_value("second switch of the same name", kernel->switches[i]);
	}
	for (size_t i = 0; i < kernel->n_states; i++)
		for (size_t k = 0; k < i; k++)
			if (kernel->states[k] == kernel->states[i])
				return kc_error_new(KC_ERR_INPUT, "bad manifest: the state %ju twice",
						    (uintmax_t)kernel->states[i]);
	return check_globals(kernel);
}

static bool is_release(const char *text)
{
	return text && is_made_of(text, LOWER UPPER DIGITS "+.~_-", RELEASE_MAX);
}

static struct kc_error *check_kernel(const struct kc_kernel_manifest *kernel)
{
	static const char prefix[] = "kcare_livepatch_"; /* how the agent knows its own modules */

	if (!is_release(kernel->effective_version))
		return bad_value("effective version", kernel->effective_version);
	if (!kernel->build_id || !is_target(kernel->build_id, KC_PATCH_USER))
		return bad_value("build-id of the image", kernel->build_id);
	if (!kernel->module || strncmp(kernel->module, prefix, sizeof(prefix) - 1) ||
	    !is_made_of(kernel->module, LOWER DIGITS "_", MODULE_MAX))
		return bad_value("name of the module", kernel->module);
	return check_kernel_lists(kernel);
}

struct kc_error *kc_manifest_check_identity(const struct kc_manifest *manifest)
{
	const char *type = manifest->type;

	if (!manifest->target || !is_target(manifest->target, manifest->kind))
		return bad_value("target", manifest->target);
	if (!type || (strcmp(type, "default") && strcmp(type, "extra") && strcmp(type, "free")))
		return bad_value("type (default, extra or free)", type);
	if (manifest->level < 1 || manifest->level > LEVEL_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: level %u (1 to %d are allowed)", manifest->level,
				    LEVEL_MAX);
	if (!manifest->patchset || !is_patchset(manifest->patchset, manifest->kind))
		return bad_value(manifest->kind == KC_PATCH_KERNEL ? "patchset (KYYYYMMDD_NN)"
								   : "patchset (UYYYYMMDD_NN or UYYYYMMDD_NN-name)",
				 manifest->patchset);
	if (!manifest->object || !is_object(manifest->object))
		return bad_value("object", manifest->object);
	if (manifest->package && !is_made_of(manifest->package, LOWER UPPER DIGITS "+._-", OBJECT_MAX))
		return bad_value("package", manifest->package);
	if (manifest->kind == KC_PATCH_KERNEL && !is_release(manifest->kernel.release))
		return bad_value("kernel release", manifest->kernel.release);
	return NULL;
}

struct kc_error *kc_manifest_check(const struct kc_manifest *manifest)
{
	KC_TRY(kc_manifest_check_identity(manifest));
	if (manifest->version && !is_made_of(manifest->version, LOWER UPPER DIGITS "+.:~^_-", OBJECT_MAX))
		return bad_value("version", manifest->version);
	if (manifest->created < 0)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: created before 1970");
	if (manifest->kind == KC_PATCH_KERNEL)
		KC_TRY(check_kernel(&manifest->kernel));
	return check_lists(manifest);
}

static struct kc_error *check_entry(const struct kc_payload_entry *entry)
{
	if (!entry->name || entry->name[0] == '.' || !is_made_of(entry->name, LOWER DIGITS "._-", NAME_MAX_SIZE))
		return bad_value("name of a payload", entry->name);
	if (entry->size == 0 || entry->compressed_size == 0)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: the payload %s is empty", entry->name);
	if (entry->size > KC_PATCH_PAYLOAD_SIZE_MAX || entry->compressed_size > KC_PATCH_PAYLOAD_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the payload %s is larger than %d MiB", entry->name,
				    KC_PATCH_PAYLOAD_SIZE_MAX >> 20);
	if (strspn(entry->hash, DIGITS "abcdef") != KC_SHA256_TEXT_SIZE - 1 ||
	    strspn(entry->compressed_hash, DIGITS "abcdef") != KC_SHA256_TEXT_SIZE - 1)
		return bad_value("hash of the payload", entry->name);
	return NULL;
}

static bool has_entry(const struct kc_payload_entry *entries, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(entries[i].name, name))
			return true;
	return false;
}

/* Exactly the payloads that this kind of patch is made of (user patches may carry more). */
static struct kc_error *check_names(enum kc_patch_kind kind, const struct kc_payload_entry *entries, size_t n)
{
	static const char *const user[] = { KC_PAYLOAD_NAME, NULL };
	static const char *const kernel[] = { KC_PATCH_MODULE_NAME, KC_PATCH_KCARE_NAME, NULL };
	const char *const *names = kind == KC_PATCH_KERNEL ? kernel : user;

	for (; *names; names++)
		if (!has_entry(entries, n, *names))
			return kc_error_new(KC_ERR_INPUT, "bad manifest: there is no payload %s", *names);
	if (kind != KC_PATCH_KERNEL)
		return NULL;
	if (n != 2)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %zu payloads in a kernel patch", n);
	for (size_t i = 0; i < n; i++)
		if (entries[i].size > KC_PATCH_KERNEL_MODULE_SIZE_MAX)
			return kc_error_new(KC_ERR_LIMIT, "the module %s is larger than %d MiB", entries[i].name,
					    KC_PATCH_KERNEL_MODULE_SIZE_MAX >> 20);
	return NULL;
}

struct kc_error *kc_payload_entries_check(const struct kc_manifest *manifest, const struct kc_payload_entry *entries,
					  size_t n)
{
	uint64_t total = 0;

	if (n == 0 || n > KC_PATCH_PAYLOADS_MAX)
		return kc_error_new(KC_ERR_INPUT, "bad manifest: %zu payloads", n);
	for (size_t i = 0; i < n; i++) {
		KC_TRY(check_entry(&entries[i]));
		if (has_entry(entries, i, entries[i].name))
			return bad_value("second payload of the same name", entries[i].name);
		total += entries[i].size;
	}
	if (total > KC_PATCH_PAYLOAD_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the payloads are larger than %d MiB",
				    KC_PATCH_PAYLOAD_SIZE_MAX >> 20);
	return check_names(manifest->kind, entries, n);
}
