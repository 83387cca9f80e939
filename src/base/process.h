/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other programs as subprocesses: no shell, output captured with a limit. 0 or -errno; what the program itself says
 * is in `exit_code`.
 */
#ifndef KC_BASE_PROCESS_H
#define KC_BASE_PROCESS_H

#include "base/buf.h"

struct kc_process {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const char *const *env;	 /* extra "NAME=value" strings, NULL-terminated, or NULL */
	const char *dir;	 /* working folder, or NULL */
	const char *input_path;	 /* standard input; NULL: /dev/null */
	struct kc_buf *output;	 /* standard output is appended here; NULL: discarded */
	struct kc_buf *errors;	 /* standard error; NULL: joins `output` */
	size_t output_limit;	 /* bytes per stream; the rest is dropped; 0: 64 MiB */
};

/* Runs it to its end. `exit_code` is 128 + signal number when a signal ended it, 127 when it could not be found. */
int kc_process_run(const struct kc_process *process, int *exit_code);
/*
 * Where a helper program of ours lies: beside the running program (a build that is not installed), else in
 * KC_LIBEXECDIR. Caller frees; NULL when out of memory.
 */
char *kc_process_helper_path(const char *name);

#endif
