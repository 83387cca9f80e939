/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live patching of the running kernel through upstream livepatch: plan (is it safe?), load, wait for the transition,
 * undo. Only verified patch files come here. All paths of /proc, /sys and /dev are the kernel's own.
 */
#ifndef KC_APPLY_KERNEL_H
#define KC_APPLY_KERNEL_H

#include "patch/patch_file.h"

/* The kernel that is running. Strings belong to the struct. */
struct kc_kernel {
	char *release;	    /* uname -r */
	char *version;	    /* the whole /proc/version, with its newline */
	char kernel_id[41]; /* sha1 of that */
	char *build_id;	    /* /sys/kernel/notes, lower-case hex; "" when it cannot be read */
	bool is_container;  /* we are in a container: its kernel is not ours to patch */
	bool is_locked_down;
};
struct kc_error *kc_kernel_read(struct kc_ctx *ctx, struct kc_kernel *kernel);
void kc_kernel_clear(struct kc_kernel *kernel);

/* A livepatch module that is in the kernel, ours or somebody else's. */
struct kc_kernel_loaded {
	char name[64];
	bool is_ours;
	bool is_enabled, in_transition, is_forced;
	uint32_t level; /* ours: from /proc/kcare/level; 0: not published (yet) */
};
/* `*loaded` is the caller's to free. */
struct kc_error *kc_kernel_list(struct kc_ctx *ctx, struct kc_kernel_loaded **loaded, size_t *n);

enum kc_freezer {
	KC_FREEZER_SMART, /* interrupts and at once resumes the tasks that have not switched */
	KC_FREEZER_NONE,  /* waits for the kernel's own consistency model */
	KC_FREEZER_FULL,  /* interrupts every task */
};

struct kc_kernel_options {
	enum kc_freezer freezer;
	bool force;	    /* when the transition does not settle: livepatch's force; only a reboot unloads then */
	unsigned settle_ms; /* how long a transition may take; 0: 60 s */
};

struct kc_kernel_result {
	uint64_t load_ns, transition_ns;
	size_t n_functions, n_interrupted;
	bool was_forced;
};

/*
 * Everything that can be known before anything is changed. KC_ERR_WRONG_TARGET, KC_ERR_NOTHING (this very patch is in),
 * KC_ERR_CONFLICT (another livepatch, a kprobe or an ftrace user on a replaced function: says whose), KC_ERR_CONTAINER.
 */
struct kc_error *kc_kernel_plan(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_patch *patch);
/* Plans, loads, waits. After an error the kernel is as it was; KC_ERR_NOT_SETTLED names the blocking tasks with their
 * stacks. */
struct kc_error *kc_kernel_apply(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_patch *patch,
				 const struct kc_kernel_options *options, struct kc_kernel_result *result);
/* Disables and removes our patch. KC_ERR_NOTHING; KC_ERR_FORCED after a forced transition: reboot. */
struct kc_error *kc_kernel_unload(struct kc_ctx *ctx, const struct kc_kernel_options *options,
				  struct kc_kernel_result *result);

#endif
