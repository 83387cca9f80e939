/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What older tools, scanners and people fetch from a repository. Nothing of it is signed and no agent of ours reads it;
 * it is made from target lists that are, and from the patch files that they name, and can be made again at any time.
 *
 *   FEED/KERNELID/version, latest.v1    the highest level; the files are there when there is one
 *   FEED/KERNELID/LEVEL/kpatch.info     patch/patch_info.h
 *   FEED/KERNELID/releases.json         all of the above, and the fixes, for programs
 *   KERNELID                            a link to main/KERNELID
 *   12h, 24h, 48h                       links to main: delays are the host's to count
 *   libcare-patches.json                build-ids that main has patches for
 *   feeds.json                          names of the feeds, for mirrors
 *   patchsets/NAME.json                 lists of patchsets, signed by their authors; not from here
 *   index.html, index/                  pages about main: distributions, kernels, releases
 *   kernelcare_pub.der                  whose modules a Secure Boot host shall admit; not from here
 */
#ifndef KC_REPO_PUBLIC_FILES_H
#define KC_REPO_PUBLIC_FILES_H

#include "repo/target_list.h"

struct kc_public_files;

/* `dir`: the folder that the web server shows. It goes on from what is there; what cannot be read is made anew. */
struct kc_error *kc_public_files_open(struct kc_ctx *ctx, const char *dir, struct kc_public_files **files);
/* The feed has this list, as text, for a target now; NULL: none any more. Its blobs are in place. */
struct kc_error *kc_public_files_put(struct kc_ctx *ctx, struct kc_public_files *files, const char *feed,
				     const char *path, const char *text, size_t size);
/* Nothing is left of targets of the feed that are not among these. */
struct kc_error *kc_public_files_keep(struct kc_ctx *ctx, struct kc_public_files *files, const char *feed,
				      char *const *paths, size_t n_paths);
/* What is about many targets. `feeds`: names of all of them, NULL-terminated; files of others are removed. */
struct kc_error *kc_public_files_finish(struct kc_ctx *ctx, struct kc_public_files *files, const char *const *feeds);
void kc_public_files_close(struct kc_public_files *files);

/* Would a feed of this name get in the way of other files? */
bool kc_public_name_is_reserved(const char *name);

/* feeds.json. KC_ERR_CORRUPT when it is something else. The caller frees each name, and the array, either way. */
struct kc_error *kc_public_feeds_decode(const char *text, size_t size, char ***feeds, size_t *n_feeds);
#define KC_PUBLIC_FEEDS_NAME "feeds.json"
#define KC_PUBLIC_PATCHSETS "patchsets" /* a folder */

KC_DEFINE_CLEANUP(kc_cleanup_public_files, struct kc_public_files *, kc_public_files_close)
#define kc_autopublicfiles KC_CLEANUP(kc_cleanup_public_files)

#endif
