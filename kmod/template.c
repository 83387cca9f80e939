// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part that all livepatch modules share, compiled once for each kernel: starting and stopping, the callbacks, and
 * the numbers that kcare-build needs to write the kernel's structures itself. kcare-build links it with what changed
 * (kcare_template.h) and gives the module its name.
 *
 * Nothing here is in an .init section: the module is linked again after objtool has run.
 */
#include <linux/bug.h>
#include <linux/export.h>
#include <linux/extable.h>
#include <linux/jump_label.h>
#include <linux/livepatch.h>
#include <linux/memory.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/static_call_types.h>
#include <linux/version.h>
#include <asm/alternative.h>
#include <asm/ibt.h>
#include <asm/orc_types.h>
#include <asm/paravirt_types.h>
#include <asm/text-patching.h>

#include "kcare_template.h"

static bool kcare_callback_is(const struct kcare_callback *callback, const struct klp_object *obj, unsigned int kind)
{
	if (callback->kind != kind || !callback->object != !obj->name)
		return false;
	return !obj->name || !strcmp(callback->object, obj->name);
}

static void kcare_run_callbacks(struct klp_object *obj, unsigned int kind)
{
	const struct kcare_callback *callback;

	for (callback = kcare_callbacks; callback->fn; callback++)
		if (kcare_callback_is(callback, obj, kind))
			((void (*)(struct klp_object *))callback->fn)(obj);
}

static int kcare_run_pre_patch(struct klp_object *obj)
{
	const struct kcare_callback *callback;
	int ret;

	for (callback = kcare_callbacks; callback->fn; callback++) {
		if (!kcare_callback_is(callback, obj, KCARE_CALLBACK_PRE_PATCH))
			continue;
		ret = ((int (*)(struct klp_object *))callback->fn)(obj);
		if (ret) {
			/* livepatch itself does not call post_unpatch after this */
			kcare_run_callbacks(obj, KCARE_CALLBACK_POST_UNPATCH);
			return ret;
		}
	}
	return 0;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
/* Not exported: kcare-build makes them livepatch symbols. */
extern typeof(text_poke) text_poke __weak;
extern typeof(text_poke_sync) text_poke_sync __weak;
extern struct mutex text_mutex __weak;

/*
 * Until 6.3 the kernel leaves its relocations behind when a patched module goes, finds them when the module is loaded
 * again, and refuses to load it.
 */
static void kcare_clear_fields(struct klp_object *obj)
{
	static const u64 zero;
	const struct kcare_klp_field *field;

	mutex_lock(&text_mutex);
	for (field = kcare_klp_fields; field->place; field++)
		if (!strcmp(field->object, obj->name))
			text_poke(field->place, &zero, field->size);
	text_poke_sync();
	mutex_unlock(&text_mutex);
}
#else
static void kcare_clear_fields(struct klp_object *obj)
{
}
#endif

static int kcare_set_switches(void)
{
	unsigned int i;

	for (i = 0; i < kcare_n_switches; i++) {
		kcare_switches[i].value = kcare_switch_value(kcare_switches[i].name);
		if (!kcare_switches[i].value)
			return -ENOMEM;
	}
	return 0;
}

/* What patched code relies on, before there is any: the image is always the first object. */
static int kcare_prepare(void)
{
	int ret = kcare_patch_prepare(&kcare_patch_info);

	if (ret)
		return ret;
	ret = kcare_set_switches();
	if (!ret)
		ret = kcare_globals_init(kcare_globals, kcare_n_globals);
	if (ret)
		kcare_patch_withdraw(&kcare_patch_info);
	return ret;
}

int kcare_pre_patch(struct klp_object *obj)
{
	int ret = obj->name ? 0 : kcare_prepare();

	if (ret)
		return ret;
	ret = kcare_run_pre_patch(obj);
	if (ret && obj->name)
		kcare_clear_fields(obj);
	else if (ret)
		kcare_patch_withdraw(&kcare_patch_info);
	return ret;
}

void kcare_post_patch(struct klp_object *obj)
{
	kcare_run_callbacks(obj, KCARE_CALLBACK_POST_PATCH);
	if (!obj->name)
		kcare_patch_publish(&kcare_patch_info);
}

void kcare_pre_unpatch(struct klp_object *obj)
{
	if (!obj->name)
		kcare_patch_hide(&kcare_patch_info);
	kcare_run_callbacks(obj, KCARE_CALLBACK_PRE_UNPATCH);
}

void kcare_post_unpatch(struct klp_object *obj)
{
	if (!obj->name)
		kcare_patch_withdraw(&kcare_patch_info);
	kcare_run_callbacks(obj, KCARE_CALLBACK_POST_UNPATCH);
	/* never when the patch is removed: after a forced transition a task may still be in it */
	if (obj->name && obj->mod->state == MODULE_STATE_GOING)
		kcare_clear_fields(obj);
}

int init_module(void)
{
	int ret = klp_enable_patch(&kcare_klp_patch);

	if (!ret && kcare_is_pinned)
		__module_get(THIS_MODULE);
	return ret;
}

void cleanup_module(void)
{
}

/* objtool sees no pointer to these: they are in what is linked later. */
asm(IBT_NOSEAL("kcare_pre_patch") "");
asm(IBT_NOSEAL("kcare_post_patch") "");
asm(IBT_NOSEAL("kcare_pre_unpatch") "");
asm(IBT_NOSEAL("kcare_post_unpatch") "");
asm(IBT_NOSEAL("init_module") "");
asm(IBT_NOSEAL("cleanup_module") "");

#define KCARE_ABSENT 0xffffffff
#define KCARE_SIZE(type) sizeof(type)
#define KCARE_OFFSET(type, member) offsetof(type, member)

#ifdef CONFIG_MODULE_UNLOAD
#define KCARE_MODULE_EXIT KCARE_OFFSET(struct module, exit)
#else
#define KCARE_MODULE_EXIT KCARE_ABSENT
#endif

/* Since 6.8 they are alternatives. */
#if defined(CONFIG_PARAVIRT) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define KCARE_PARAVIRT_SITE_SIZE KCARE_SIZE(struct paravirt_patch_site)
#else
#define KCARE_PARAVIRT_SITE_SIZE KCARE_ABSENT
#endif

#ifdef CONFIG_DEBUG_BUGVERBOSE
#define KCARE_BUG_ENTRY_LINE KCARE_OFFSET(struct bug_entry, line)
#else
#define KCARE_BUG_ENTRY_LINE KCARE_ABSENT
#endif

#ifdef CONFIG_HAVE_STATIC_CALL_INLINE
#define KCARE_STATIC_CALL_SITE_SIZE KCARE_SIZE(struct static_call_site)
#else
#define KCARE_STATIC_CALL_SITE_SIZE KCARE_ABSENT
#endif

#ifdef CONFIG_UNWINDER_ORC
#define KCARE_ORC_ENTRY_SIZE KCARE_SIZE(struct orc_entry)
#else
#define KCARE_ORC_ENTRY_SIZE KCARE_ABSENT
#endif

#ifdef CONFIG_PRINTK_INDEX
#define KCARE_PI_ENTRY_SIZE KCARE_SIZE(struct pi_entry)
#else
#define KCARE_PI_ENTRY_SIZE KCARE_ABSENT
#endif

/* In the order of src/target/kernel/kernel_layout.h, little-endian. */
static const u32 kcare_layout[] __used __section(".kcare.layout") = {
	0x6b636c31, /* magic */
	KCARE_SIZE(struct klp_func),
	KCARE_OFFSET(struct klp_func, old_name),
	KCARE_OFFSET(struct klp_func, new_func),
	KCARE_OFFSET(struct klp_func, old_sympos),
	KCARE_SIZE(struct klp_object),
	KCARE_OFFSET(struct klp_object, name),
	KCARE_OFFSET(struct klp_object, funcs),
	KCARE_OFFSET(struct klp_object, callbacks.pre_patch),
	KCARE_OFFSET(struct klp_object, callbacks.post_patch),
	KCARE_OFFSET(struct klp_object, callbacks.pre_unpatch),
	KCARE_OFFSET(struct klp_object, callbacks.post_unpatch),
	KCARE_SIZE(struct klp_patch),
	KCARE_OFFSET(struct klp_patch, mod),
	KCARE_OFFSET(struct klp_patch, objs),
	KCARE_OFFSET(struct klp_patch, states),
	KCARE_OFFSET(struct klp_patch, replace),
	KCARE_SIZE(struct klp_state),
	KCARE_OFFSET(struct klp_state, id),
	KCARE_OFFSET(struct klp_state, version),
	KCARE_SIZE(struct module),
	KCARE_OFFSET(struct module, name),
	KCARE_OFFSET(struct module, init),
	KCARE_MODULE_EXIT,
	KCARE_SIZE(struct modversion_info),
	KCARE_OFFSET(struct modversion_info, crc),
	KCARE_OFFSET(struct modversion_info, name),
	KCARE_SIZE(struct alt_instr),
	KCARE_PARAVIRT_SITE_SIZE,
	KCARE_SIZE(struct bug_entry),
	KCARE_BUG_ENTRY_LINE,
	KCARE_OFFSET(struct bug_entry, flags),
	KCARE_SIZE(struct exception_table_entry),
	KCARE_SIZE(struct jump_entry),
	KCARE_OFFSET(struct jump_entry, code),
	KCARE_OFFSET(struct jump_entry, target),
	KCARE_OFFSET(struct jump_entry, key),
	KCARE_STATIC_CALL_SITE_SIZE,
	KCARE_ORC_ENTRY_SIZE,
	KCARE_PI_ENTRY_SIZE,
};

MODULE_DESCRIPTION("kcare: live patch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
