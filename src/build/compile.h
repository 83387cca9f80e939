/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles objects, several at a time. Each job is one object in one of three forms:
 *   plain    exactly as the package does it, for the proof
 *   original and
 *   patched  with one section per function and object, for the difference; patched sees the overlay
 */
#ifndef KC_BUILD_COMPILE_H
#define KC_BUILD_COMPILE_H

#include <stdbool.h>

#include "build/commands.h"
#include "build/overlay.h"

enum kc_variant {
	KC_VARIANT_PLAIN,
	KC_VARIANT_ORIGINAL,
	KC_VARIANT_PATCHED,
};

struct kc_compile_job {
	const struct kc_compile_command *command;
	enum kc_variant variant;
	const struct kc_overlay *overlay; /* for KC_VARIANT_PATCHED */
	char *object_path;		  /* absolute */
	bool failed;			  /* set by kc_compile() */
	struct kc_error *err;		  /* private */
};

/* Arguments that leave a folder again ("a/../b/x.c"): a real folder in the overlay, so that they stay in it. */
struct kc_error *kc_compile_add_dirs(const struct kc_compile_command *command, struct kc_overlay *overlay);

/* `env`: extra environment, NULL-terminated. KC_ERR_COMPILE with what the compiler said of the first job that failed.
 */
struct kc_error *kc_compile(struct kc_ctx *ctx, struct kc_compile_job *jobs, size_t n_jobs, unsigned parallel,
			    const char *const *env);

/* The files that the patched compilation of `job` has read: its dependencies, absolute paths, NULL-terminated. */
struct kc_error *kc_compile_dependencies(const struct kc_compile_job *job, char ***paths);

/* Calls run(data, i) for i below n in `parallel` threads, with progress. */
void kc_parallel(struct kc_ctx *ctx, const char *what, size_t n, unsigned parallel, void (*run)(void *data, size_t i),
		 void *data);

#endif
