/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of proc/ share. */
#ifndef KC_PROC_INTERNAL_H
#define KC_PROC_INTERNAL_H

#include "proc/process.h"

/* Finds the ELF objects in view->maps. What is no sound ELF object is skipped. */
struct kc_error *kc_objects_find(struct kc_ctx *ctx, struct kc_process_view *view);
void kc_objects_clear(struct kc_process_view *view);

/* The entries of a folder that are numbers, ascending (caller frees). 0 or -errno. */
int kc_pid_dir_list(const char *path, pid_t **pids, size_t *n);

#endif
