/* SPDX-License-Identifier: GPL-2.0-only */
/* What a patch of sleepy_wait() needs of its module. */
#ifndef SLEEPY_H
#define SLEEPY_H

#include <linux/wait.h>

extern wait_queue_head_t sleepy_queue;
extern unsigned long sleepy_wakeups;

ssize_t sleepy_wait(unsigned long before, bool deaf);

#endif
