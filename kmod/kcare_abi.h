/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frozen interface between kcare.ko, which is loaded once per boot, and the livepatch modules that come and go.
 * kcare.ko copies all strings. Change nothing here: add a new function instead.
 */
#ifndef KCARE_ABI_H
#define KCARE_ABI_H

#define KCARE_ABI_VERSION 1
#define KCARE_ARENA_SIZE (1 << 18)

struct klp_object;

/* What a livepatch module says of itself. Written by kcare-build (src/target/kernel), read by kcare.ko. */
struct kcare_patch {
	unsigned int abi; /* KCARE_ABI_VERSION */
	unsigned int level;
	const char *effective_version; /* "6.1.0-56-amd64" */
	const char *cvelist;	       /* one CVE per line */
	const char *patch_info;	       /* as `kcarectl --patch-info` prints it */
	const char *const *switches;   /* names, NULL-terminated */
};

/* A variable that a fix brings: initialised once in the arena, when no earlier level has done so. */
struct kcare_global {
	unsigned int offset, size; /* in kcare_arena */
	const void *initial;	   /* NULL: zeros */
	unsigned long long id;	   /* first 8 bytes of the SHA-256 of its name */
};

/*
 * From the image's callbacks, in process context. prepare (pre_patch) copies everything and shows nothing yet; publish
 * (post_patch) shows it; hide (pre_unpatch) stops showing it, since from then on not all tasks are patched; publish may
 * follow again when the removal is reversed; withdraw (post_unpatch) drops it. None touches what another patch shows,
 * but publish, which takes its place.
 */
int kcare_patch_prepare(const struct kcare_patch *patch);
void kcare_patch_publish(const struct kcare_patch *patch);
void kcare_patch_hide(const struct kcare_patch *patch);
void kcare_patch_withdraw(const struct kcare_patch *patch);

/* Before patched code runs. Does nothing to variables that an earlier level has initialised. */
int kcare_globals_init(const struct kcare_global *globals, unsigned int n);
extern char kcare_arena[KCARE_ARENA_SIZE];

/* The value of kernel.kcare_NAME, 1: the fix is off. Stays at its place as long as kcare.ko is loaded. */
const int *kcare_switch_value(const char *name);

#endif
