/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of kernel patching share. A switch of the kernel is always the same: something is told to livepatch (a
 * module is loaded, `enabled` is written), then kc_kernel_settle() waits until every task has switched.
 */
#ifndef KC_APPLY_KERNEL_INTERNAL_H
#define KC_APPLY_KERNEL_INTERNAL_H

#include <signal.h>
#include <sys/types.h>

#include "apply/kernel.h"

#define KC_LIVEPATCH_DIR "/sys/kernel/livepatch"
#define KC_MODULE_DIR "/sys/module"
#define KC_MODULE_PREFIX "kcare_livepatch_"
#define KC_KCARE_MODULE "kcare"
#define KC_MODULE_NAME_SIZE 64

/* ---- pseudo files: kernel_files.c ---- */

/*
 * Reads a file of a pseudo file system ("tracefs"): where it is usually mounted, else through a mount of our own that
 * nobody else sees. 0 or -errno.
 */
int kc_pseudo_read(const char *type, const char *mount_point, const char *name, struct kc_buf *text);
/* /sys/kernel/livepatch/NAME/ATTRIBUTE: 0, 1 or -errno; -ENOENT when livepatch does not know that patch (any more). */
int kc_livepatch_get(const char *name, const char *attribute);
int kc_livepatch_set(const char *name, const char *attribute, bool value);
/* Was a transition forced since the last boot? The kernel does not tell; /run/kcare does. */
bool kc_forced_is_noted(void);
struct kc_error *kc_forced_note(void);
/* "kcare_livepatch_…"? */
bool kc_module_is_ours(const char *name);
/* Modules in memory of ours that livepatch does not know (any more): `*names` and its strings are the caller's. */
struct kc_error *kc_module_list_idle(char ***names, size_t *n);

/* ---- modules: kernel_module.c ---- */

bool kc_module_is_loaded(const char *name);
/* KC_ERR_LOCKDOWN, KC_ERR_CONFLICT, KC_ERR_MODULE with what the kernel said, KC_ERR_PERMISSION. */
struct kc_error *kc_module_load(struct kc_ctx *ctx, const struct kc_kernel *kernel, const char *name,
				const struct kc_patch_payload *payload);
/*
 * Tries until `end_ns` (kc_now_ns()): never waits for users inside the kernel. 0 or -errno: -EWOULDBLOCK when something
 * still uses it; a module that is not there is fine.
 */
int kc_module_remove(const char *name, uint64_t end_ns);
/* Is the loaded module named kcare ours, and not KernelCare's own? */
bool kc_module_kcare_is_ours(void);
/* The newest of the kernel's messages in `text` (records of /dev/kmsg) about a module, without its prefix, or NULL. */
char *kc_kmsg_pick(const char *text, const char *module);

/* ---- tasks: kernel_tasks.c ---- */

struct kc_kernel_task {
	pid_t pid, tid;
	char comm[64];
	char state;	/* as in stat: R S D T … */
	bool is_kernel; /* runs no code of a program: a kernel thread, an io_uring worker */
};

/* The name, state and kind of a task from the text of its `stat`. 0 or -EINVAL. */
int kc_task_stat_parse(const char *text, struct kc_kernel_task *task);
/*
 * Tasks whose patch_state is not `target` (0, 1); -1: all tasks. `*n_total` counts all. `*tasks` is the caller's.
 */
struct kc_error *kc_task_list(struct kc_ctx *ctx, int target, struct kc_kernel_task **tasks, size_t *n,
			      size_t *n_total);
/* Appends the tasks with their kernel stacks; those with the same name and stack together. */
void kc_task_describe(const struct kc_kernel_task *tasks, size_t n, struct kc_buf *out);
/* Interrupts the tasks and at once lets them go on; no system call returns what it would not have returned. */
struct kc_error *kc_task_interrupt(struct kc_ctx *ctx, const struct kc_kernel_task *tasks, size_t n,
				   size_t *n_interrupted);

/* ---- transitions: kernel_settle.c ---- */

/* SIGINT, SIGTERM and SIGHUP wait until we are done, or until kc_kernel_settle() sees them. */
struct kc_signal_guard {
	sigset_t watched, before;
};
void kc_signals_hold(struct kc_signal_guard *guard);
void kc_signals_release(struct kc_signal_guard *guard);

/*
 * Waits until the transition of `name` is over, whichever way it goes, as the options say. KC_ERR_NOT_SETTLED names the
 * blocking tasks, KC_ERR_BUSY is a signal of `guard` (NULL: signals must wait). The transition is still under way then.
 */
struct kc_error *kc_kernel_settle(struct kc_ctx *ctx, const char *name, const struct kc_kernel_options *options,
				  const struct kc_signal_guard *guard, struct kc_kernel_result *result);

/* ---- other users of the functions: kernel_users.c, kernel_bpf.c ---- */

/* A function to replace, as the manifest writes it: "vmlinux:meminfo_proc_show". */
struct kc_kernel_function {
	const char *object;
	size_t object_size;
	const char *name;
};
void kc_kernel_function_parse(const char *text, struct kc_kernel_function *function);

/*
 * Text of the kernel's lists, and what it says about one function: appends "; " and a text for each user. `n_ours`:
 * how many livepatches of ours hold the function.
 */
void kc_kprobes_find(const char *list, const char *events, const struct kc_kernel_function *function,
		     struct kc_buf *users);
void kc_ftrace_find(const char *enabled, const struct kc_kernel_function *function, unsigned n_ours,
		    struct kc_buf *users);
/* Who else uses a function that the patch replaces? KC_ERR_CONFLICT. */
struct kc_error *kc_kernel_users_check(struct kc_ctx *ctx, const struct kc_patch *patch);
/* Names of the BPF programs behind a trampoline ("bpf_trampoline_6442501209"), or NULL: not known. */
char *kc_bpf_trampoline_programs(const char *trampoline);

#endif
