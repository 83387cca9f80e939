/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prepared packages in the cache, CACHE/user/PACKAGE_VERSION/:
 *	binary/                the unpacked binary package
 *	source/                its source, configured
 *	compile_commands.json  how its objects are compiled
 *	dependencies, plain/   what later runs have found out (build/depfile.h, build/objects.c)
 *	prepared               written last: without it, the folder is thrown away and made again
 */
#ifndef KC_BUILD_PREPARE_H
#define KC_BUILD_PREPARE_H

#include "build/tree.h"

/* Fills `tree`; prepares the package when that was not done yet. The tree is locked until it is freed. */
struct kc_error *kc_prepare(struct kc_ctx *ctx, const struct kc_build_user_request *request, struct kc_tree *tree);

#endif
