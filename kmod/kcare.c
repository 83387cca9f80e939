// SPDX-License-Identifier: GPL-2.0-only
/*
 * kcare.ko: what stays while livepatch modules come and go. It tells the world which patch is in (/proc/kcare), owns
 * the switches that turn single fixes off (kernel.kcare_*) and the memory of variables that fixes bring. Livepatch
 * modules call it through kcare_abi.h and depend on it, so that it cannot be unloaded while one of them is loaded.
 *
 * It does not patch anything, and it reads no file.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <linux/utsname.h>
#include <linux/version.h>

#include "kcare_abi.h"

#define TEXT_MAX (1 << 20)

/*
 * What /proc/kcare shows
 */

enum { FILE_CVELIST, FILE_EFFECTIVE_VERSION, FILE_PATCH_INFO, FILE_LEVEL, N_FILES };

static const char *const file_names[N_FILES] = { "cvelist", "effective_version", "patch_info", "level" };

/* Texts of one patch, as copies. Each open file holds one, so that what it reads is of one patch, whatever comes. */
struct texts {
	struct kref kref;
	const struct kcare_patch *patch; /* to compare, never to read: it may be gone */
	char *text[N_FILES];
	size_t size[N_FILES];
};

static DEFINE_SPINLOCK(texts_lock);
static struct texts *unpatched; /* what is shown while there is no patch */
static struct texts *shown;
static struct texts *prepared; /* of a patch that comes or goes, or NULL: livepatch allows one transition at a time */

static void texts_release(struct kref *kref)
{
	struct texts *texts = container_of(kref, struct texts, kref);
	int i;

	for (i = 0; i < N_FILES; i++)
		kvfree(texts->text[i]);
	kfree(texts);
}

static struct texts *texts_get(struct texts *texts)
{
	kref_get(&texts->kref);
	return texts;
}

static void texts_put(struct texts *texts)
{
	if (texts)
		kref_put(&texts->kref, texts_release);
}

/* A copy that ends in a newline, unless it is empty. */
static int texts_set(struct texts *texts, int file, const char *text)
{
	size_t size = strnlen(text, TEXT_MAX + 1);

	if (size > TEXT_MAX)
		return -E2BIG;
	texts->text[file] = kvmalloc(size + 1, GFP_KERNEL);
	if (!texts->text[file])
		return -ENOMEM;
	memcpy(texts->text[file], text, size);
	if (size && text[size - 1] != '\n')
		texts->text[file][size++] = '\n';
	texts->size[file] = size;
	return 0;
}

static struct texts *texts_new(const struct kcare_patch *patch)
{
	struct texts *texts = kzalloc(sizeof(*texts), GFP_KERNEL);
	char level[16];
	int ret;

	if (!texts)
		return ERR_PTR(-ENOMEM);
	kref_init(&texts->kref);
	texts->patch = patch;
	snprintf(level, sizeof(level), "%u", patch->level);
	ret = texts_set(texts, FILE_LEVEL, level);
	if (!ret)
		ret = texts_set(texts, FILE_CVELIST, patch->cvelist);
	if (!ret)
		ret = texts_set(texts, FILE_PATCH_INFO, patch->patch_info);
	if (!ret)
		ret = texts_set(texts, FILE_EFFECTIVE_VERSION, patch->effective_version);
	if (ret) {
		texts_put(texts);
		return ERR_PTR(ret);
	}
	return texts;
}

static int file_open(struct inode *inode, struct file *file)
{
	spin_lock(&texts_lock);
	file->private_data = texts_get(shown);
	spin_unlock(&texts_lock);
	return 0;
}

/* Never less than the caller's buffer holds, but at the end: OpenSCAP takes a short read for the end. */
static ssize_t file_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	const struct texts *texts = file->private_data;
	unsigned long i = (unsigned long)pde_data(file_inode(file));

	return simple_read_from_buffer(to, size, offset, texts->text[i], texts->size[i]);
}

static int file_release(struct inode *inode, struct file *file)
{
	texts_put(file->private_data);
	return 0;
}

static const struct proc_ops file_ops = {
	.proc_open = file_open,
	.proc_read = file_read,
	.proc_lseek = default_llseek,
	.proc_release = file_release,
};

static struct proc_dir_entry *folder;

static int files_create(void)
{
	unsigned long i;

	folder = proc_mkdir("kcare", NULL);
	if (!folder)
		return -ENOMEM;
	for (i = 0; i < N_FILES; i++)
		if (!proc_create_data(file_names[i], 0444, folder, &file_ops, (void *)i))
			goto undo;
	return 0;
undo:
	proc_remove(folder);
	return -ENOMEM;
}

/*
 * Switches
 */

/* Lives until kcare.ko goes: patched code reads the value, and the next level finds it as it was. */
struct kswitch {
	struct list_head node;
	int value;			 /* 1: the fix is off */
	struct ctl_table_header *sysctl; /* NULL: the patch that is shown does not have it */
	struct ctl_table table[2];
	char name[]; /* "kcare_modify_ldt" */
};

#define SWITCH_PREFIX "kcare_"

static const char *const no_switches[] = { NULL };
static LIST_HEAD(switches);
static DEFINE_MUTEX(switches_lock);

static const char *switch_short_name(const struct kswitch *item)
{
	return item->name + strlen(SWITCH_PREFIX);
}

static struct kswitch *switch_find(const char *name)
{
	struct kswitch *item;

	list_for_each_entry (item, &switches, node)
		if (!strcmp(switch_short_name(item), name))
			return item;
	return NULL;
}

static struct kswitch *switch_add(const char *name)
{
	size_t size = strlen(SWITCH_PREFIX) + strlen(name) + 1;
	struct kswitch *item = kzalloc(sizeof(*item) + size, GFP_KERNEL);

	if (!item)
		return NULL;
	snprintf(item->name, size, SWITCH_PREFIX "%s", name);
	item->table[0] = (struct ctl_table){
		.procname = item->name,
		.data = &item->value,
		.maxlen = sizeof(item->value),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_ONE,
	};
	list_add_tail(&item->node, &switches);
	return item;
}

static void switch_show(struct kswitch *item)
{
	if (item->sysctl)
		return;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	item->sysctl = register_sysctl("kernel", item->table);
#else
	item->sysctl = register_sysctl_sz("kernel", item->table, 1);
#endif
	if (!item->sysctl)
		pr_warn("no sysctl kernel.%s: the fix stays %s\n", item->name, item->value ? "off" : "on");
}

static void switch_hide(struct kswitch *item)
{
	if (item->sysctl)
		unregister_sysctl_table(item->sysctl);
	item->sysctl = NULL;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* Shows these switches and no others. */
static void switches_show(const char *const *names)
{
	struct kswitch *item;

	mutex_lock(&switches_lock);
	list_for_each_entry (item, &switches, node) {
		if (is_among(switch_short_name(item), names))
			switch_show(item);
		else
			switch_hide(item);
	}
	mutex_unlock(&switches_lock);
}

static void switches_free(void)
{
	struct kswitch *item, *next;

	list_for_each_entry_safe (item, next, &switches, node) {
		switch_hide(item);
		kfree(item);
	}
}

const int *kcare_switch_value(const char *name)
{
	struct kswitch *item;

	mutex_lock(&switches_lock);
	item = switch_find(name);
	if (!item)
		item = switch_add(name);
	mutex_unlock(&switches_lock);
	return item ? &item->value : NULL;
}
EXPORT_SYMBOL_GPL(kcare_switch_value);

/*
 * Patches come and go
 */

int kcare_patch_prepare(const struct kcare_patch *patch)
{
	const char *const *name;
	struct texts *texts, *old;

	if (patch->abi != KCARE_ABI_VERSION) {
		pr_err("the patch wants kcare.ko %u, this is %u\n", patch->abi, KCARE_ABI_VERSION);
		return -EINVAL;
	}
	for (name = patch->switches; *name; name++)
		if (!kcare_switch_value(*name))
			return -ENOMEM;
	texts = texts_new(patch);
	if (IS_ERR(texts))
		return PTR_ERR(texts);

	spin_lock(&texts_lock);
	old = prepared;
	prepared = texts;
	spin_unlock(&texts_lock);
	texts_put(old);
	return 0;
}
EXPORT_SYMBOL_GPL(kcare_patch_prepare);

void kcare_patch_publish(const struct kcare_patch *patch)
{
	struct texts *old = NULL;

	spin_lock(&texts_lock);
	if (prepared && prepared->patch == patch) {
		old = shown;
		shown = prepared;
		prepared = NULL;
	}
	spin_unlock(&texts_lock);
	texts_put(old);
	switches_show(patch->switches);
}
EXPORT_SYMBOL_GPL(kcare_patch_publish);

void kcare_patch_hide(const struct kcare_patch *patch)
{
	struct texts *old = NULL;
	bool is_shown;

	spin_lock(&texts_lock);
	is_shown = shown->patch == patch;
	if (is_shown) {
		old = prepared;
		prepared = shown;
		shown = texts_get(unpatched);
	}
	spin_unlock(&texts_lock);
	texts_put(old);
	if (is_shown)
		switches_show(no_switches);
}
EXPORT_SYMBOL_GPL(kcare_patch_hide);

void kcare_patch_withdraw(const struct kcare_patch *patch)
{
	struct texts *old = NULL;

	kcare_patch_hide(patch);
	spin_lock(&texts_lock);
	if (prepared && prepared->patch == patch)
		swap(prepared, old);
	spin_unlock(&texts_lock);
	texts_put(old);
}
EXPORT_SYMBOL_GPL(kcare_patch_withdraw);

/*
 * Variables that fixes bring
 */

char kcare_arena[KCARE_ARENA_SIZE] __aligned(PAGE_SIZE);
EXPORT_SYMBOL_GPL(kcare_arena);

/* A variable that has its initial value, or what patched code has made of it. */
struct variable {
	struct list_head node;
	unsigned long long id;
	unsigned int offset, size;
};

static LIST_HEAD(variables);
static DEFINE_MUTEX(variables_lock);

/* 1: it is there already; 0: its place is free. */
static int variable_look(const struct kcare_global *global)
{
	const struct variable *item;

	if (global->offset > KCARE_ARENA_SIZE || global->size > KCARE_ARENA_SIZE - global->offset)
		return -EINVAL;
	list_for_each_entry (item, &variables, node) {
		if (item->id == global->id)
			return item->offset == global->offset && item->size == global->size ? 1 : -EINVAL;
		if (item->offset < global->offset + global->size && global->offset < item->offset + item->size)
			return -EBUSY;
	}
	return 0;
}

static int variable_add(const struct kcare_global *global)
{
	struct variable *item = kmalloc(sizeof(*item), GFP_KERNEL);

	if (!item)
		return -ENOMEM;
	item->id = global->id;
	item->offset = global->offset;
	item->size = global->size;
	list_add_tail(&item->node, &variables);
	if (global->initial)
		memcpy(kcare_arena + global->offset, global->initial, global->size);
	return 0;
}

int kcare_globals_init(const struct kcare_global *globals, unsigned int n)
{
	unsigned int i;
	int ret = 0;

	mutex_lock(&variables_lock);
	for (i = 0; i < n && ret >= 0; i++) {
		ret = variable_look(&globals[i]);
		if (!ret)
			ret = variable_add(&globals[i]);
	}
	mutex_unlock(&variables_lock);
	if (ret == -EINVAL || ret == -EBUSY)
		pr_err("variable %u of the patch is not where the loaded patches left it; build it with --previous\n",
		       i - 1);
	return min(ret, 0);
}
EXPORT_SYMBOL_GPL(kcare_globals_init);

static void variables_free(void)
{
	struct variable *item, *next;

	list_for_each_entry_safe (item, next, &variables, node)
		kfree(item);
}

static int __init kcare_init(void)
{
	struct kcare_patch patch = {
		.cvelist = "",
		.patch_info = "",
		.effective_version = init_utsname()->release,
		.switches = no_switches,
	};
	int ret;

	unpatched = texts_new(&patch);
	if (IS_ERR(unpatched))
		return PTR_ERR(unpatched);
	unpatched->patch = NULL;
	shown = texts_get(unpatched);
	ret = files_create();
	if (ret) {
		texts_put(shown);
		texts_put(unpatched);
	}
	return ret;
}

/* No patch module is loaded: they depend on this one. Open files are closed by proc_remove(). */
static void __exit kcare_exit(void)
{
	proc_remove(folder);
	switches_free();
	variables_free();
	texts_put(prepared);
	texts_put(shown);
	texts_put(unpatched);
}

module_init(kcare_init);
module_exit(kcare_exit);
MODULE_DESCRIPTION("kcare: what live patches leave to the world");
MODULE_LICENSE("GPL");
