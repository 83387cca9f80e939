/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A prepared kernel, CACHE/kernel/RELEASE/ (or CACHE/kernel/given-HASH/ for one that is not of the archive):
 *	image/, headers/    the unpacked packages
 *	vmlinux             the image, unpacked
 *	obj/                Kbuild's output folder, configured as the headers say; plain objects that were made are kept
 *	units, commands     every object of the configuration (build/kernel_units.h)
 *	includes            who includes what (build/kernel_includes.h); made when a header is touched
 *	kmod/               kcare.ko and the template of livepatch modules, compiled for this kernel
 *	prepared            written last: without it, the folder is thrown away and made again
 * The source, CACHE/kernel/source-VERSION[-rt], is shared by the flavours of one version and never written to.
 */
#ifndef KC_BUILD_KERNEL_TREE_H
#define KC_BUILD_KERNEL_TREE_H

#include "build/kernel.h"
#include "build/kernel_units.h"
#include "build/tree.h"
#include "target/kernel/kernel_object.h"

struct kc_kernel_tree {
	struct kc_tree *tree; /* source_dir, cache_dir, scratch_dir, the lock; `commands`: of the candidates */
	char *release;
	char *package, *version; /* NULL: given, not of the archive */
	char *obj_dir;
	char *headers_dir;
	char *modules_dir; /* "…/lib/modules/RELEASE", or NULL: unknown */
	char *kmod_dir;
	char *compiler; /* "gcc-12" */
	char *image_path, *units_path, *commands_path, *includes_path;
	struct kc_kernel_units units;
	struct kc_kernel_object *image;
};

/* Prepares the kernel when that was not done yet, and opens it. Locked until it is freed. */
struct kc_error *kc_kernel_tree_open(struct kc_ctx *ctx, const struct kc_build_kernel_request *request,
				     struct kc_kernel_tree **tree);
void kc_kernel_tree_free(struct kc_kernel_tree *tree);

/* Lets Kbuild make `targets`: "net/qrtr/af_qrtr.o". KC_ERR_COMPILE. */
struct kc_error *kc_kernel_make(struct kc_ctx *ctx, const struct kc_kernel_tree *tree, const char *const *targets,
				size_t n_targets, unsigned jobs);
/*
 * Runs this kernel's make with `arguments` (NULL-terminated). Its standard output is appended to `output` unless that
 * is NULL. A failure is `code`, unless `exit_code` is set: then that is all.
 */
struct kc_error *kc_kernel_make_run(const struct kc_kernel_tree *tree, enum kc_error_code code, const char *what,
				    const char *const *arguments, struct kc_buf *output, int *exit_code);
/* The .ko file of a module ("net/qrtr/qrtr"), compressed or not. KC_ERR_INPUT when it is not there. */
struct kc_error *kc_kernel_module_path(const struct kc_kernel_tree *tree, const char *module, char **path);

/* tree->compiler, installed. KC_ERR_BUILD_DEPENDS says what to install. */
struct kc_error *kc_kernel_check_compiler(struct kc_ctx *ctx, const struct kc_kernel_tree *tree);
/* Fills a kernel's folder (build/kernel_prepare.c). `tree` has all its paths; source and headers are there. */
struct kc_error *kc_kernel_configure(struct kc_ctx *ctx, struct kc_kernel_tree *tree, unsigned jobs);
/* Compiles kmod/ for this kernel, unless that was done with the same sources. */
struct kc_error *kc_kernel_make_kmod(struct kc_ctx *ctx, const struct kc_kernel_tree *tree);
/* Fetches and unpacks a kernel of the archive into the cache (build/kernel_fetch.c). */
struct kc_error *kc_kernel_fetch(struct kc_ctx *ctx, const char *cache_dir, struct kc_kernel_tree *tree);

KC_DEFINE_CLEANUP(kc_cleanup_kernel_tree, struct kc_kernel_tree *, kc_kernel_tree_free)
#define kc_autokerneltree KC_CLEANUP(kc_cleanup_kernel_tree)

#endif
