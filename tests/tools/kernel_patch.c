/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a signed patch file for the running kernel out of a livepatch module made by hand, for tests of the agent that
 * must not depend on the builder:
 *
 *	kernel_patch KEYS OUT LEVEL PATCH.ko KCARE.ko [TYPE [FUNCTION…]]
 *
 * KEYS is a folder with author.key and author.pub, which are made when they are not there. Real patches for kernels are
 * made by kcare-build.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apply/kernel.h"
#include "base/file.h"

#define MODULE_SIZE_MAX ((size_t)64 << 20)

static struct kc_error *load_key(struct kc_ctx *ctx, const char *dir, struct kc_key **key)
{
	kc_autofree char *path = kc_path_join(dir, "author.key");
	char keyid[KC_KEYID_SIZE];

	if (access(path, F_OK))
		KC_TRY(kc_key_generate(ctx, dir, "author", NULL, keyid));
	return kc_key_load(ctx, path, key);
}

static struct kc_error *read_module(const char *path, struct kc_buf *module)
{
	int err = kc_file_read(path, MODULE_SIZE_MAX, module);

	return err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path) : NULL;
}

/* The name of the module is that of its file. */
static struct kc_error *encode(struct kc_ctx *ctx, char **argv, const struct kc_kernel *kernel, struct kc_buf *out)
{
	kc_autobuf struct kc_buf patch = { 0 }, kcare = { 0 };
	kc_autofree char *name = strdup(kc_path_name(argv[4])), *effective_version = NULL;
	kc_autokey struct kc_key *key = NULL;
	struct kc_fix_info fix = { .name = (char *)"made by hand" };
	struct kc_manifest manifest = {
		.kind = KC_PATCH_KERNEL,
		.target = (char *)kernel->kernel_id,
		.type = (char *)(argv[6] ? argv[6] : "default"),
		.level = (uint32_t)atoi(argv[3]),
		.patchset = (char *)"K20261123_01",
		.object = (char *)"vmlinux",
		.created = time(NULL),
		.fixes = &fix,
		.n_fixes = 1,
		.kernel = { .release = kernel->release, .build_id = kernel->build_id, .module = name },
	};

	name[strcspn(name, ".")] = '\0';
	if (asprintf(&effective_version, "%s+%s", kernel->release, argv[3]) < 0)
		return kc_error_no_memory();
	manifest.kernel.effective_version = effective_version;
	manifest.kernel.functions = argv[6] ? &argv[7] : &argv[6];
	while (manifest.kernel.functions[manifest.kernel.n_functions])
		manifest.kernel.n_functions++;
	KC_TRY(read_module(argv[4], &patch));
	KC_TRY(read_module(argv[5], &kcare));
	KC_TRY(load_key(ctx, argv[1], &key));
	return kc_patch_encode(ctx, &manifest,
			       (struct kc_patch_payload[]){ { KC_PATCH_MODULE_NAME, patch.data, patch.size },
							    { KC_PATCH_KCARE_NAME, kcare.data, kcare.size } },
			       2, key, out);
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autobuf struct kc_buf out = { 0 };
	kc_autoerror struct kc_error *err = NULL;
	struct kc_kernel kernel = { 0 };

	if (argc < 6 || !ctx) {
		fprintf(stderr, "usage: kernel_patch KEYS OUT LEVEL PATCH.ko KCARE.ko [TYPE [FUNCTION...]]\n");
		return 2;
	}
	err = kc_kernel_read(ctx, &kernel);
	if (!err)
		err = encode(ctx, argv, &kernel, &out);
	kc_kernel_clear(&kernel);
	if (!err && kc_file_write_atomic(argv[2], out.data, out.size, 0644))
		err = kc_error_new(KC_ERR_SYSTEM, "cannot write %s", argv[2]);
	if (err)
		fprintf(stderr, "kernel_patch: %s\n", kc_error_message(err));
	return err ? 1 : 0;
}
