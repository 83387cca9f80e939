/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a livepatch module consists of beside its code: kcare-build (src/target/kernel) defines these symbols in the
 * object that it links with the compiled template.c. Nothing else passes between the two.
 *
 * The symbols are weak here only so that the template alone passes modpost; all of them must be defined.
 */
#ifndef KCARE_TEMPLATE_H
#define KCARE_TEMPLATE_H

#include "kcare_abi.h"
#include "kcare_fix.h"

enum kcare_callback_kind {
	KCARE_CALLBACK_PRE_PATCH = 0,
	KCARE_CALLBACK_POST_PATCH = 1,
	KCARE_CALLBACK_PRE_UNPATCH = 2,
	KCARE_CALLBACK_POST_UNPATCH = 3,
};

/* A function that a fix gave to KCARE_PRE_PATCH() and its like. */
struct kcare_callback {
	const char *object; /* the module whose source it is in; NULL: the kernel image */
	unsigned int kind;  /* enum kcare_callback_kind */
	void *fn;	    /* PRE_PATCH: int (*)(struct klp_object *); the others return nothing */
};

struct klp_patch;

/* The image ("vmlinux", name NULL) is its first object, with or without functions; all use the callbacks below. */
extern struct klp_patch kcare_klp_patch __attribute__((weak));
extern const struct kcare_patch kcare_patch_info __attribute__((weak));
/* Ended by one whose fn is NULL. */
extern const struct kcare_callback kcare_callbacks[] __attribute__((weak));
extern const struct kcare_global kcare_globals[] __attribute__((weak));
extern const unsigned int kcare_n_globals __attribute__((weak));
/* All of the section .kcare.switches. */
extern struct kcare_switch kcare_switches[] __attribute__((weak));
extern const unsigned int kcare_n_switches __attribute__((weak));
/* Not 0: a stored pointer may lead into this module for ever, so that it is never unloaded. */
extern const unsigned int kcare_is_pinned __attribute__((weak));

/* A field in this module that the kernel relocates when a module is loaded, since it refers to that module. */
struct kcare_klp_field {
	const char *object; /* the module */
	void *place;
	unsigned int size; /* 4 or 8 */
};

/* Ended by one whose place is NULL. */
extern const struct kcare_klp_field kcare_klp_fields[] __attribute__((weak));

/* Defined by template.c, for struct klp_object's callbacks. */
int kcare_pre_patch(struct klp_object *obj);
void kcare_post_patch(struct klp_object *obj);
void kcare_pre_unpatch(struct klp_object *obj);
void kcare_post_unpatch(struct klp_object *obj);

#endif
