/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How each object of a tree is compiled: read from compile_commands.json, or from what `make -n` prints, which is then
 * stored as such. Outputs and dependency files are taken out of the arguments: callers say where the object goes.
 */
#ifndef KC_BUILD_COMMANDS_H
#define KC_BUILD_COMMANDS_H

#include "base/buf.h"
#include "base/ctx.h"

struct kc_compile_command {
	char *dir;	  /* absolute working folder */
	char *file;	  /* absolute path of the source file, without "." and ".." */
	char *output;	  /* the object as the build names it, relative to `dir`; NULL when unknown */
	char **arguments; /* NULL-terminated: compiler, options, source as the build names it; no -c, no -o, no -M… */
	size_t n_arguments;
};

struct kc_commands {
	struct kc_compile_command *items;
	size_t n_items;
};

/* A compile_commands.json (https://clang.llvm.org/docs/JSONCompilationDatabase.html). KC_ERR_INPUT when damaged. */
struct kc_error *kc_commands_load(struct kc_ctx *ctx, const char *path, struct kc_commands **commands);
struct kc_error *kc_commands_parse_json(struct kc_ctx *ctx, const char *name, const void *text, size_t size,
					struct kc_commands **commands);
/*
 * Adds the compilations in the output of `make -n -w`, run in `dir`. `text` is changed. Other commands are
 * skipped; the list is sorted afterwards.
 */
struct kc_error *kc_commands_add_make(struct kc_commands *commands, const char *dir, char *text);
struct kc_error *kc_commands_save(const struct kc_commands *commands, const char *path);
void kc_compile_command_clear(struct kc_compile_command *command);
void kc_commands_free(struct kc_commands *commands);

/*
 * Adds one command. `words` are its words, the compiler first; what is no compilation to an object is skipped. `file`
 * is its source when known.
 */
struct kc_error *kc_commands_add(struct kc_commands *commands, const char *dir, const char *file, const char *output,
				 char *const *words, size_t n_words);

/* "/a/b" + "../c//./d" gives "/a/c/d" (caller frees; NULL when out of memory). */
char *kc_path_resolve(const char *dir, const char *path);

KC_DEFINE_CLEANUP(kc_cleanup_commands, struct kc_commands *, kc_commands_free)
#define kc_autocommands KC_CLEANUP(kc_cleanup_commands)

#endif
