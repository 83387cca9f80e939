// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: a function in which tasks sleep. A read of /proc/kcare_sleepy sleeps until somebody writes to it or a
 * signal comes, one of /proc/kcare_deaf until somebody writes; the kernel thread sleepyd goes there after a write of
 * "h".
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

noinline ssize_t sleepy_wait(unsigned long before, bool deaf)
{
	if (deaf) {
		wait_event(sleepy_queue, sleepy_wakeups != before);
		return 0;
	}
	return wait_event_interruptible(sleepy_queue, sleepy_wakeups != before) ? -ERESTARTSYS : 0;
}

static int thread_main(void *unused)
{
	while (!kthread_should_stop()) {
		if (held)
			sleepy_wait(sleepy_wakeups, true);
		else
			msleep_interruptible(50);
	}
	return 0;
}

static ssize_t sleepy_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	return sleepy_wait(sleepy_wakeups, false);
}

static ssize_t deaf_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	return sleepy_wait(sleepy_wakeups, true);
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
static const struct proc_ops deaf_ops = { .proc_read = deaf_read, .proc_write = sleepy_write };

static int __init sleepy_init(void)
{
	thread = kthread_run(thread_main, NULL, "sleepyd");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	proc_create("kcare_sleepy", 0666, NULL, &ops);
	proc_create("kcare_deaf", 0666, NULL, &deaf_ops);
	return 0;
}

static void __exit sleepy_exit(void)
{
	held = false;
	sleepy_wakeups++;
	wake_up_all(&sleepy_queue);
	kthread_stop(thread);
	remove_proc_entry("kcare_sleepy", NULL);
	remove_proc_entry("kcare_deaf", NULL);
}

module_init(sleepy_init);
module_exit(sleepy_exit);
MODULE_DESCRIPTION("kcare tests: a function to sleep in");
MODULE_LICENSE("GPL");
