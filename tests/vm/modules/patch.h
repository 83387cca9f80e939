// SPDX-License-Identifier: GPL-2.0-only
/*
 * A livepatch as kcare-build makes them, by hand: LEVEL says in /proc/cmdline that it is in, and replaces a function in
 * which tasks sleep. LEVEL 0 is somebody else's: it knows nothing of kcare.ko. PINNED: it is never unloaded.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "kcare_abi.h"
#include "sleepy.h"

#define TEXT(number) TEXT2(number)
#define TEXT2(number) #number

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "patched by level " TEXT(LEVEL) "\n");
	return 0;
}

static ssize_t patched_sleepy_wait(unsigned long before, enum sleepy_kind kind)
{
	return sleepy_sleep(before, kind);
}

#if LEVEL > 0
static const char *const switches[] = { NULL };
static const struct kcare_patch info = { .abi = KCARE_ABI_VERSION,
					 .level = LEVEL,
					 .effective_version = "test",
					 .cvelist = "",
					 .patch_info = "kpatch-name: level " TEXT(LEVEL) "\n",
					 .switches = switches };

static int pre_patch(struct klp_object *obj)
{
	return kcare_patch_prepare(&info);
}

static void post_patch(struct klp_object *obj)
{
	kcare_patch_publish(&info);
}

static void post_unpatch(struct klp_object *obj)
{
	kcare_patch_withdraw(&info);
}
#define CALLBACKS .callbacks = { .pre_patch = pre_patch, .post_patch = post_patch, .post_unpatch = post_unpatch },
#else
#define CALLBACKS
#endif

static struct klp_func image_funcs[] = { { .old_name = "cmdline_proc_show", .new_func = patched_cmdline_proc_show },
					 {} };
static struct klp_func sleepy_funcs[] = { { .old_name = "sleepy_wait", .new_func = patched_sleepy_wait }, {} };
static struct klp_object objects[] = { { .funcs = image_funcs, CALLBACKS },
				       { .name = "sleepy", .funcs = sleepy_funcs },
				       {} };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects, .replace = true };

#ifdef PINNED
/* As if a pointer into it were stored; a write to the parameter says that it is not any more. */
static int unpin(const char *value, const struct kernel_param *param)
{
	module_put(THIS_MODULE);
	return 0;
}
static const struct kernel_param_ops unpin_ops = { .set = unpin };
module_param_cb(unpin, &unpin_ops, NULL, 0200);
#endif

static int __init patch_init(void)
{
	int ret = klp_enable_patch(&patch);

#ifdef PINNED
	if (!ret)
		__module_get(THIS_MODULE);
#endif
	return ret;
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("kcare tests: a livepatch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
