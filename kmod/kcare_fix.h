/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a fix may use beside the kernel itself: `#include <kcare_fix.h>` in the source file that it changes, after the
 * other includes. Examples are in docs/kmod.md. Needs nothing else, so that any kernel file can include it.
 *
 * Each macro leaves an entry in a section .kcare.*, which kcare-build collects (src/target/kernel).
 */
#ifndef KCARE_FIX_H
#define KCARE_FIX_H

struct klp_object;

#define KCARE_ENTRY(kind) __attribute__((__used__, __section__(".kcare." kind), __aligned__(8)))

/*
 * Callbacks, called for the object (the kernel image or the module) that the source file belongs to; fn is static.
 *
 *   KCARE_PRE_PATCH	int fn(struct klp_object *): before the first task runs patched code. Not 0: nothing is patched.
 *   KCARE_POST_PATCH	void fn(struct klp_object *): no task runs old code any more.
 *   KCARE_PRE_UNPATCH	void fn(struct klp_object *): the patch is about to be removed.
 *   KCARE_POST_UNPATCH	void fn(struct klp_object *): no task runs patched code any more, or pre_patch was in vain.
 *
 * When the next level replaces this one, none of this one's is called: what KCARE_STATE() names goes to that level.
 * When one of several pre_patch callbacks of an object fails, all its post_unpatch callbacks are called: they must bear
 * that their own pre_patch was not.
 */
#define KCARE_PRE_PATCH(fn) \
	static int (*const kcare_pre_patch_##fn)(struct klp_object *) KCARE_ENTRY("callbacks.pre_patch") = (fn)
#define KCARE_POST_PATCH(fn) \
	static void (*const kcare_post_patch_##fn)(struct klp_object *) KCARE_ENTRY("callbacks.post_patch") = (fn)
#define KCARE_PRE_UNPATCH(fn) \
	static void (*const kcare_pre_unpatch_##fn)(struct klp_object *) KCARE_ENTRY("callbacks.pre_unpatch") = (fn)
#define KCARE_POST_UNPATCH(fn) \
	static void (*const kcare_post_unpatch_##fn)(struct klp_object *) KCARE_ENTRY("callbacks.post_unpatch") = (fn)

/* One use of a switch: 64 bytes, collected into an array. */
struct kcare_switch {
	const int *value; /* of the sysctl: 1 is off. Filled in before patched code runs */
	char name[56];	  /* "modify_ldt", ended by NUL */
};

/*
 * True while the fix is on: `if (KCARE_SWITCH(modify_ldt)) return -ENOSYS;` makes the sysctl kernel.kcare_modify_ldt,
 * and `sysctl kernel.kcare_modify_ldt=1` turns the fix off. The same name may be used in many places.
 */
#define KCARE_SWITCH(switch_name)                                                                        \
	({                                                                                               \
		static struct kcare_switch kcare_switch_##switch_name KCARE_ENTRY(                       \
			"switches") = { .name = #switch_name };                                          \
		_Static_assert(sizeof(#switch_name) <= sizeof(kcare_switch_##switch_name.name),          \
			       "name of a switch too long");                                             \
		!*(const volatile int *)*(const int *const volatile *)&kcare_switch_##switch_name.value; \
	})

/* One klp_state: 16 bytes, collected into an array. */
struct kcare_state {
	unsigned long long id;
	unsigned int version;
	unsigned int reserved;
};

/*
 * At file level: the fix owns something that outlives a level (shadow variables, a changed data structure). The next
 * level must name the same id with this or a higher version, or is refused.
 */
#define KCARE_STATE(state_id, state_version)                                                               \
	static const struct kcare_state kcare_state_##state_id KCARE_ENTRY("states") = { .id = (state_id), \
											 .version = (state_version) }

/*
 * Shadow variables: data of type `type` that belongs to an existing object without changing its layout. `id` is a
 * number that no other fix uses. With #include <linux/livepatch.h>.
 *
 *   KCARE_SHADOW_GET		a pointer, or NULL when the object has none
 *   KCARE_SHADOW_GET_OR_ALLOC	a pointer; new ones are zeroed; NULL when there is no memory
 *   KCARE_SHADOW_FREE		where the object is freed
 *   KCARE_SHADOW_FREE_ALL	in post_unpatch
 */
#define KCARE_SHADOW_GET(type, object, id) ((type *)klp_shadow_get((void *)(object), (id)))
#define KCARE_SHADOW_GET_OR_ALLOC(type, object, id, gfp) \
	((type *)klp_shadow_get_or_alloc((void *)(object), (id), sizeof(type), (gfp), NULL, NULL))
#define KCARE_SHADOW_FREE(object, id) klp_shadow_free((void *)(object), (id), NULL)
#define KCARE_SHADOW_FREE_ALL(id) klp_shadow_free_all((id), NULL)

#endif
