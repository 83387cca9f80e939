// SPDX-License-Identifier: GPL-2.0-only
/*
 * A livepatch as kcare-build makes them, by hand, around the same template: LEVEL says in /proc/cmdline that it is in,
 * and replaces a function in which tasks sleep. /proc/loadavg shows its switches and a variable that levels hand over.
 * LEVEL 0 is somebody else's: it knows nothing of kcare.ko. PINNED: it is never unloaded.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

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

static struct klp_func sleepy_funcs[] = { { .old_name = "sleepy_wait", .new_func = patched_sleepy_wait }, {} };

#if LEVEL > 0

/* Here kcare-build would collect the entries; the label comes first in the section. */
asm(".pushsection .kcare.switches,\"aw\",@progbits\n.balign 8\n.globl kcare_switches\nkcare_switches:\n.popsection");
#include "template.c"

#define READS_OFFSET 64
#define CVES_SIZE (LEVEL * 250000)

static int patched_loadavg_proc_show(struct seq_file *m, void *v)
{
	int *reads = (int *)(kcare_arena + READS_OFFSET);

	seq_printf(m, "level=%d reads=%d first=%d", LEVEL, ++*reads, KCARE_SWITCH(first));
#if LEVEL > 1
	seq_printf(m, " second=%d", KCARE_SWITCH(second));
#endif
	seq_putc(m, '\n');
	return 0;
}

static int note_pre_patch(struct klp_object *obj)
{
	pr_info("kcare test: %s pre_patch %d\n", obj->name ?: "vmlinux", LEVEL);
#ifdef REFUSE
	return -EUCLEAN;
#else
	return 0;
#endif
}

static void note_post_patch(struct klp_object *obj)
{
	pr_info("kcare test: %s post_patch %d\n", obj->name ?: "vmlinux", LEVEL);
}

static void note_pre_unpatch(struct klp_object *obj)
{
	pr_info("kcare test: %s pre_unpatch %d\n", obj->name ?: "vmlinux", LEVEL);
}

static void note_post_unpatch(struct klp_object *obj)
{
	pr_info("kcare test: %s post_unpatch %d\n", obj->name ?: "vmlinux", LEVEL);
}

#define NOTES(object)                                                                                   \
	{ object, 0, note_pre_patch }, { object, 1, note_post_patch }, { object, 2, note_pre_unpatch }, \
	{                                                                                               \
		object, 3, note_post_unpatch                                                            \
	}
const struct kcare_callback kcare_callbacks[] = { NOTES(NULL), NOTES("sleepy"), {} };

static const int first_reads = 1000;
static const char *const switches[] = { "first", LEVEL > 1 ? "second" : NULL, NULL };
static const char cves[CVES_SIZE + 1] = { [0 ... CVES_SIZE - 1] = '0' + LEVEL };
const struct kcare_patch kcare_patch_info = { .abi = KCARE_ABI_VERSION,
					      .level = LEVEL,
					      .effective_version = "test-" TEXT(LEVEL),
					      .cvelist = cves,
					      .patch_info = "kpatch-name: level " TEXT(LEVEL) "\n",
					      .switches = switches };
const struct kcare_global kcare_globals[] = { { READS_OFFSET, sizeof(int), &first_reads, 0x1234 } };
const unsigned int kcare_n_globals = ARRAY_SIZE(kcare_globals);
const unsigned int kcare_n_switches = LEVEL > 1 ? 2 : 1;
const struct kcare_klp_field kcare_klp_fields[] = { {} };
#ifdef PINNED
const unsigned int kcare_is_pinned = 1;

/* A write to the parameter says that nobody keeps a pointer into it any more. */
static int unpin(const char *value, const struct kernel_param *param)
{
	module_put(THIS_MODULE);
	return 0;
}
static const struct kernel_param_ops unpin_ops = { .set = unpin };
module_param_cb(unpin, &unpin_ops, NULL, 0200);
#else
const unsigned int kcare_is_pinned;
#endif

#define CALLBACKS                                                                        \
	{                                                                                \
		kcare_pre_patch, kcare_post_patch, kcare_pre_unpatch, kcare_post_unpatch \
	}

static struct klp_func image_funcs[] = { { .old_name = "cmdline_proc_show", .new_func = patched_cmdline_proc_show },
					 { .old_name = "loadavg_proc_show", .new_func = patched_loadavg_proc_show },
					 {} };
static struct klp_object objects[] = { { .funcs = image_funcs, .callbacks = CALLBACKS },
				       { .name = "sleepy", .funcs = sleepy_funcs, .callbacks = CALLBACKS },
				       {} };
struct klp_patch kcare_klp_patch = { .mod = THIS_MODULE, .objs = objects, .replace = true };

#else

static struct klp_func image_funcs[] = { { .old_name = "cmdline_proc_show", .new_func = patched_cmdline_proc_show },
					 {} };
static struct klp_object objects[] = { { .funcs = image_funcs }, { .name = "sleepy", .funcs = sleepy_funcs }, {} };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects, .replace = true };

static int __init patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("kcare tests: a livepatch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");

#endif
