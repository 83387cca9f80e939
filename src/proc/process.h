/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A read-only view of a process: its maps, its threads, the ELF objects in its memory with their build-ids. Used by
 * the patcher and (later) the scanner. Nothing here stops or changes a process, and everything read from it is hostile:
 * sizes are limited, addresses are checked.
 */
#ifndef KC_PROC_PROCESS_H
#define KC_PROC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ctx.h"
#include "elf/elf_file.h"

struct kc_map {
	uint64_t start, end;
	uint64_t offset; /* in the file */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	bool read, write, exec, shared;
	const char *path; /* as the kernel shows it ("[stack]", "/usr/lib/… (deleted)"), "" when anonymous */
};

/* An ELF file in the memory of a process. */
struct kc_object {
	const char *path; /* of its first mapping, without " (deleted)" */
	const char *name; /* soname when it has one, else file name: the key of `libcare-ctl info` */
	uint64_t bias;	  /* run-time address minus virtual address in the file */
	uint64_t start, end;
	uint8_t build_id[64]; /* from memory; size 0 when there is none */
	size_t build_id_size;
	bool is_main; /* the program itself */
	bool deleted; /* the file was deleted or replaced on disk */
};

struct kc_process_view {
	pid_t pid;
	uint64_t start_time; /* field 22 of stat: with the pid, the identity of the process */
	char comm[17];
	char *exe; /* path of the program in its own mount namespace, or "" */
	struct kc_map *maps;
	size_t n_maps;
	struct kc_object *objects;
	size_t n_objects;
	int mem_fd; /* /proc/PID/mem, read-only unless the patcher reopened it */
};

/* KC_ERR_NO_PROCESS, KC_ERR_PERMISSION; kernel threads and zombies give KC_ERR_NOTHING. */
struct kc_error *kc_process_view_open(struct kc_ctx *ctx, pid_t pid, struct kc_process_view **view);
void kc_process_view_free(struct kc_process_view *view);
/* Reads maps and objects again (the process may have mapped more). */
struct kc_error *kc_process_view_refresh(struct kc_ctx *ctx, struct kc_process_view *view);

/* All or nothing. 0 or -errno. */
int kc_process_read(const struct kc_process_view *view, uint64_t addr, void *data, size_t size);
const struct kc_map *kc_process_map_at(const struct kc_process_view *view, uint64_t addr);
/* Parses the object's file as it is mapped (through /proc/PID/map_files: also when it was deleted or replaced). */
struct kc_error *kc_object_open_elf(struct kc_ctx *ctx, const struct kc_process_view *view,
				    const struct kc_object *object, struct kc_elf **elf);
/* PIDs of all processes, ascending (caller frees). */
struct kc_error *kc_process_list(struct kc_ctx *ctx, pid_t **pids, size_t *n);

KC_DEFINE_CLEANUP(kc_cleanup_process_view, struct kc_process_view *, kc_process_view_free)
#define kc_autoprocess KC_CLEANUP(kc_cleanup_process_view)

#endif
