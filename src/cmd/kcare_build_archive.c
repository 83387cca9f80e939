/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/kcare_build_archive.h"

#include <time.h>

#include <jansson.h>

#include "sign/canonical.h"

void kc_build_print_time(const char *label, int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm tm;
	char text[64];

	if (gmtime_r(&time, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		printf("%-12s %s\n", label, text);
	else
		printf("%-12s %lld\n", label, (long long)seconds);
}

static uint64_t total_size(const struct kc_patchset *patchset)
{
	uint64_t total = 0;

	for (size_t i = 0; i < patchset->n_files; i++)
		total += patchset->files[i].size;
	return total;
}

static const char *release_or_package(const struct kc_patchset_file *file)
{
	return file->release ? file->release : file->package;
}

static void print_table(const char *path, const struct kc_patchset *patchset)
{
	printf("%s\n(signatures not checked: 'kcare-build verify' does that)\n", path);
	printf("patchset     %s\ndistro       %s\n", patchset->name, patchset->distro);
	kc_build_print_time("released", patchset->released);
	printf("signed by    %s\nfiles        %zu, %ju bytes\n", *patchset->keyid ? patchset->keyid : "nobody",
	       patchset->n_files, (uintmax_t)total_size(patchset));
	for (size_t i = 0; i < patchset->n_files; i++) {
		const struct kc_patchset_file *file = &patchset->files[i];

		printf("  %s\n    level %u, type %s, for %s, %s %s\n", file->name, file->level, file->type,
		       release_or_package(file), file->kind == KC_PATCH_KERNEL ? "kernel id" : "build-id",
		       file->target);
	}
}

static json_t *file_to_json(const struct kc_patchset_file *file)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:s, s:s}", "name", file->name, "sha256", file->hash,
			 "size", (json_int_t)file->size, "kind", file->kind == KC_PATCH_KERNEL ? "kernel" : "user",
			 "target", file->target, "type", file->type, "level", (int)file->level, "object", file->object,
			 file->release ? "release" : "package", release_or_package(file));
}

static struct kc_error *print_json(const struct kc_patchset *patchset)
{
	kc_autojson json_t *files = json_array(), *all = NULL;
	kc_autofree char *text = NULL;

	for (size_t i = 0; i < patchset->n_files; i++)
		if (json_array_append_new(files, file_to_json(&patchset->files[i])))
			return kc_error_no_memory();
	all = json_pack("{s:s, s:s, s:I, s:s, s:s, s:O}", "patchset", patchset->name, "distro", patchset->distro,
			"released", (json_int_t)patchset->released, "signed_by", patchset->keyid, "signature",
			"not checked", "files", files);
	text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	if (!text)
		return kc_error_no_memory();
	printf("%s\n", text);
	return NULL;
}

struct kc_error *kc_build_archive_show(struct kc_ctx *ctx, const char *path, bool json)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;

	KC_TRY(kc_patchset_archive_peek(ctx, path, &patchset));
	if (json)
		return print_json(patchset);
	print_table(path, patchset);
	return NULL;
}

struct kc_error *kc_build_archive_verify(struct kc_ctx *ctx, const char *path, const struct kc_keyring *authors)
{
	kc_autopatchset struct kc_patchset *patchset = NULL;

	KC_TRY(kc_patchset_archive_read(ctx, path, authors, NULL, &patchset));
	printf("%s: good signatures\n", path);
	printf("key id       %s\npatchset     %s\ndistro       %s\n", patchset->keyid, patchset->name,
	       patchset->distro);
	kc_build_print_time("released", patchset->released);
	printf("files        %zu, %ju bytes: all there, and as listed\n", patchset->n_files,
	       (uintmax_t)total_size(patchset));
	return NULL;
}
