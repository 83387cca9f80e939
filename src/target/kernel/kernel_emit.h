/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From differences and placements to the livepatch module: everything that changed in the image and in modules, in one
 * .ko for one kernel. It is made in three steps: emit (cloned items, their entries in the kernel's tables, and the
 * klp_patch structures), objtool (ORC, return sites, static call sites, endbr seals: the kernel's own tool, on our
 * object), finish (link with the template, turn references to unexported symbols into klp symbols, versions, strip).
 */
#ifndef KC_TARGET_KERNEL_KERNEL_EMIT_H
#define KC_TARGET_KERNEL_KERNEL_EMIT_H

#include "base/buf.h"
#include "diff/diff.h"
#include "target/kernel/kernel_layout.h"
#include "target/kernel/kernel_placement.h"

/* One compiled object of the image or of a module. */
struct kc_kernel_emit_object {
	const char *name;	    /* "fs/proc/meminfo.c", for messages */
	const struct kc_diff *diff; /* of objects that did not go through objtool */
	const struct kc_kernel_placement *placement;
};

/* A variable that a fix brings. It lives in kcare.ko's arena, at the same place in each level that has it. */
struct kc_kernel_global {
	char *name;		      /* "fs/proc/meminfo.c:counter" */
	uint64_t offset, size, align; /* in the arena */
};

struct kc_kernel_globals {
	struct kc_kernel_global *items;
	size_t n_items;
};

struct kc_kernel_emit_options {
	const struct kc_kernel_object *image; /* vmlinux: symbols that module objects refer to */
	const struct kc_elf *template_elf;    /* kmod/template.c, compiled for this kernel */
	const char *template_path;
	const char *symvers;	    /* the text of Module.symvers, with kcare.ko's own lines */
	const char *module_name;    /* "kcare_livepatch_3" */
	const char *const *objtool; /* argv up to the object, NULL-terminated; NULL: this kernel has none */
	const char *const *allowed; /* rules to let pass, NULL-terminated */
	const char *work_dir;	    /* an empty folder; patch.o and linked.o stay in it */
	/* what kcare.ko shows while the patch is in */
	uint32_t level;
	const char *effective_version;
	const char *cvelist;			  /* one per line */
	const char *patch_info;			  /* as `kcarectl --patch-info` prints it */
	const struct kc_kernel_globals *previous; /* of the level before; NULL: none */
};

/* What the manifest records of the module beside its bytes. */
struct kc_kernel_emitted {
	struct kc_kernel_globals globals;
	char **functions; /* "vmlinux:meminfo_proc_show", what is replaced; NULL-terminated */
	char **switches;  /* names given to KCARE_SWITCH(), NULL-terminated */
	uint64_t *states; /* ids of klp_state that the fixes own */
	size_t n_states;
	bool is_pinned; /* a stored pointer may outlive it: never unloaded */
	size_t n_klp_symbols;
};

/*
 * Appends the module (unsigned) to `out`. KC_ERR_RULE for a refusal (see docs/refusals.md); KC_ERR_NO_CHANGE when no
 * object changes.
 */
struct kc_error *kc_kernel_emit(struct kc_ctx *ctx, const struct kc_kernel_emit_object *objects, size_t n_objects,
				const struct kc_kernel_emit_options *options, struct kc_kernel_emitted *emitted,
				struct kc_buf *out);
void kc_kernel_emitted_clear(struct kc_kernel_emitted *emitted);

#endif
