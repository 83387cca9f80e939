/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build show: what a patch file or a patchset says of itself. It trusts nothing, and says so. */
#include "cmd/kcare_build.h"

#include <string.h>

#include <jansson.h>

#include "cmd/kcare_build_archive.h"
#include "patch/patch_file.h"

static void print_description(const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		printf("    %.*s\n", (int)length, text);
		text += length + (text[length] == '\n');
	}
}

static void print_fix(const struct kc_fix_info *fix)
{
	printf("  %s\n", fix->name);
	for (size_t i = 0; i < fix->n_cves; i++)
		printf("    %s%s%s\n", fix->cves[i], i == 0 && fix->cvss ? "  CVSS " : "",
		       i == 0 && fix->cvss ? fix->cvss : "");
	if (fix->cve_url)
		printf("    %s\n", fix->cve_url);
	if (fix->patch_url)
		printf("    %s\n", fix->patch_url);
	if (fix->license)
		printf("    licence: %s\n", fix->license);
	if (fix->description)
		print_description(fix->description);
}

static void print_kernel(const struct kc_kernel_manifest *kernel)
{
	printf("kernel       %s, build-id %s\n", kernel->release, kernel->build_id);
	printf("effective    %s\n", kernel->effective_version);
	printf("module       %s%s\n", kernel->module,
	       kernel->is_pinned ? ", stays loaded: pointers into it may be stored" : "");
	for (size_t i = 0; i < kernel->n_functions; i++)
		printf("replaces     %s\n", kernel->functions[i]);
	for (size_t i = 0; i < kernel->n_switches; i++)
		printf("switch       kernel.kcare_%s\n", kernel->switches[i]);
	for (size_t i = 0; i < kernel->n_states; i++)
		printf("state        %ju\n", (uintmax_t)kernel->states[i]);
	for (size_t i = 0; i < kernel->n_globals; i++)
		printf("variable     %s, %ju bytes\n", kernel->globals[i].name, (uintmax_t)kernel->globals[i].size);
}

static void print_table(const char *path, const struct kc_patch *patch)
{
	const struct kc_manifest *m = &patch->manifest;

	printf("%s\n(signature not checked: 'kcare-build verify' does that)\n", path);
	printf("patchset     %s\nlevel        %u\ntype         %s\n", m->patchset, m->level, m->type);
	printf("target       %s %s\n", m->kind == KC_PATCH_USER ? "build-id" : "kernel id", m->target);
	printf("object       %s\n", m->object);
	if (m->package)
		printf("package      %s %s\n", m->package, m->version ? m->version : "");
	if (m->kind == KC_PATCH_KERNEL)
		print_kernel(&m->kernel);
	kc_build_print_time("created", m->created);
	printf("consistency  %s\n", m->consistency == KC_CONSISTENCY_STRICT ? "strict" : "function");
	printf("signed by    %s\n", *patch->keyid ? patch->keyid : "nobody");
	printf("sha256       %s\n", patch->hash);
	for (size_t i = 0; i < patch->n_payloads; i++)
		printf("payload      %s, %zu bytes\n", patch->payloads[i].name, patch->payloads[i].size);
	for (size_t i = 0; i < m->n_allowed; i++)
		printf("overridden   rule %s\n", m->allowed[i]);
	printf("fixes\n");
	for (size_t i = 0; i < m->n_fixes; i++)
		print_fix(&m->fixes[i]);
}

static json_t *payloads_to_json(const struct kc_patch *patch)
{
	json_t *array = json_array();

	for (size_t i = 0; i < patch->n_payloads; i++)
		json_array_append_new(array, json_pack("{s:s, s:I}", "name", patch->payloads[i].name, "size",
						       (json_int_t)patch->payloads[i].size));
	return array;
}

static struct kc_error *print_json(const struct kc_patch *patch)
{
	kc_autofree char *manifest = NULL, *text = NULL;
	json_t *all;

	KC_TRY(kc_manifest_to_json(&patch->manifest, &manifest));
	all = json_pack("{s:s, s:s, s:s, s:o, s:o}", "sha256", patch->hash, "signed_by", patch->keyid, "signature",
			"not checked", "manifest", json_loads(manifest, 0, NULL), "payloads", payloads_to_json(patch));
	text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	json_decref(all);
	if (!text)
		return kc_error_no_memory();
	printf("%s\n", text);
	return NULL;
}

struct kc_error *kc_build_show_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
	kc_autopatch struct kc_patch *patch = NULL;
	bool json = false;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
		if (option != 'j')
			return kc_command_bad_option(option, argv);
		json = true;
	}
	KC_TRY(kc_command_need_arguments(argc, 1, "FILE"));
	if (kc_patchset_is_archive(argv[optind]))
		return kc_build_archive_show(ctx, argv[optind], json);
	KC_TRY(kc_patch_peek(ctx, argv[optind], &patch));
	if (json)
		return print_json(patch);
	print_table(argv[optind], patch);
	return NULL;
}
