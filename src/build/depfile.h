/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a compilation reads: parses the compiler's dependency output, and finds the objects of a tree that include a
 * header. The latter asks the preprocessor about every object once per prepared tree.
 */
#ifndef KC_BUILD_DEPFILE_H
#define KC_BUILD_DEPFILE_H

#include "build/commands.h"

/* `text` is one make rule. `*paths`: absolute, NULL-terminated; kc_paths_free(). */
struct kc_error *kc_depfile_parse(const char *dir, const char *text, char ***paths);
void kc_paths_free(char **paths);
static inline void kc_cleanup_paths(char ***paths)
{
	kc_paths_free(*paths);
}
#define kc_autopaths KC_CLEANUP(kc_cleanup_paths)

/*
 * For each command: the files it reads below `root`. `cache_path`: where the answer is kept, or NULL. The result has
 * commands->n_items entries, each NULL-terminated.
 */
struct kc_error *kc_dependencies_scan(struct kc_ctx *ctx, const struct kc_commands *commands, const char *root,
				      const char *cache_path, unsigned parallel, char ****dependencies);
void kc_dependencies_free(char ***dependencies, size_t n);

#endif
