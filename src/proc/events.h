/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens on the host as it happens: executable mappings, with the build-id of the file, and forks. From perf
 * events, one ring for each CPU; CPUs that come online later are added. Costs the watched processes nothing that they
 * could notice. Needs CAP_PERFMON (or CAP_SYS_ADMIN).
 *
 * It is a stream with holes: `lost` tells when to look at the processes themselves again.
 */
#ifndef KC_PROC_EVENTS_H
#define KC_PROC_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ctx.h"

enum kc_event_kind {
	KC_EVENT_MAP,  /* a file was mapped executable: by exec, the loader, dlopen */
	KC_EVENT_FORK, /* a process (not a thread) was made */
};

struct kc_event {
	enum kc_event_kind kind;
	pid_t pid;
	pid_t parent; /* FORK only */
	/* MAP only: */
	uint64_t addr, size;
	uint8_t build_id[20];
	size_t build_id_size; /* 0: the kernel could not tell; then the file is named by device and inode */
	uint32_t dev_major, dev_minor;
	uint64_t inode, generation;
	const char *path; /* in the process's mount namespace; valid during the call */
};

typedef void kc_event_fn(void *data, const struct kc_event *event);

struct kc_events_options {
	size_t ring_pages;  /* per CPU, a power of two; 0: 64 */
	bool no_build_id;   /* as on kernels before 5.12 */
	const char *online; /* list of CPUs, as in /sys/devices/system/cpu/online; NULL: that file */
};

struct kc_events;

/* KC_ERR_PERMISSION when perf events are forbidden here, KC_ERR_SYSTEM when the kernel has none. */
struct kc_error *kc_events_open(struct kc_ctx *ctx, const struct kc_events_options *options, struct kc_events **events);
void kc_events_free(struct kc_events *events);

/* Becomes readable when there is something for kc_events_read(). */
int kc_events_fd(const struct kc_events *events);
/*
 * Hands out all that has happened since, in order for each CPU, not over all. Sets `*lost` when something was missed:
 * a ring was full, or a CPU came or went. Never blocks.
 */
struct kc_error *kc_events_read(struct kc_ctx *ctx, struct kc_events *events, kc_event_fn *fn, void *data, bool *lost);
/*
 * Compares the rings with `online` (NULL: the file) and opens or closes rings. kc_events_read() does it by itself when
 * the kernel announces a change; where announcements do not arrive (a network namespace), call it now and then.
 */
struct kc_error *kc_events_update_cpus(struct kc_ctx *ctx, struct kc_events *events, const char *online, bool *changed);
size_t kc_events_n_cpus(const struct kc_events *events);

KC_DEFINE_CLEANUP(kc_cleanup_events, struct kc_events *, kc_events_free)
#define kc_autoevents KC_CLEANUP(kc_cleanup_events)

#endif
