// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: a function in which tasks sleep. A read of /proc/kcare_sleepy sleeps until somebody writes to it or a
 * signal comes, one of /proc/kcare_deaf until somebody writes, one of /proc/kcare_restless shows EINTR; the kernel
 * thread sleepyd goes there after a write of "h".
 */
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "sleepy.h"

DECLARE_WAIT_QUEUE_HEAD(sleepy_queue);
EXPORT_SYMBOL_GPL(sleepy_queue);
unsigned long sleepy_wakeups;
EXPORT_SYMBOL_GPL(sleepy_wakeups);
static struct task_struct *thread;
static bool held;

noinline ssize_t sleepy_wait(unsigned long before, enum sleepy_kind kind)
{
	return sleepy_sleep(before, kind);
}

static int thread_main(void *unused)
{
	while (!kthread_should_stop()) {
		if (held)
			sleepy_wait(sleepy_wakeups, SLEEPY_DEAF);
		else
			msleep_interruptible(50);
	}
	return 0;
}

static ssize_t sleepy_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	return sleepy_wait(sleepy_wakeups, (enum sleepy_kind)(unsigned long)pde_data(file_inode(file)));
}

/* "h": the kernel thread goes into the function, too; anything else wakes everybody. */
static ssize_t sleepy_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	char c = 0;

	if (size && get_user(c, from))
		return -EFAULT;
	held = c == 'h';
	if (!held) {
		sleepy_wakeups++;
		wake_up_all(&sleepy_queue);
	}
	return size;
}

static const struct proc_ops ops = { .proc_read = sleepy_read, .proc_write = sleepy_write };
static const char *const names[] = { "kcare_sleepy", "kcare_deaf", "kcare_restless" };

static int __init sleepy_init(void)
{
	unsigned long i;

	thread = kthread_run(thread_main, NULL, "sleepyd");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		proc_create_data(names[i], 0666, NULL, &ops, (void *)i);
	return 0;
}

static void __exit sleepy_exit(void)
{
	unsigned long i;

	held = false;
	sleepy_wakeups++;
	wake_up_all(&sleepy_queue);
	kthread_stop(thread);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		remove_proc_entry(names[i], NULL);
}

module_init(sleepy_init);
module_exit(sleepy_exit);
MODULE_DESCRIPTION("kcare tests: a function to sleep in");
MODULE_LICENSE("GPL");
