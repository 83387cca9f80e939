/* SPDX-License-Identifier: GPL-2.0-only */
/* What a patch of sleepy_wait() needs of its module. */
#ifndef SLEEPY_H
#define SLEEPY_H

#include <linux/wait.h>

extern wait_queue_head_t sleepy_queue;
extern unsigned long sleepy_wakeups;

enum sleepy_kind {
	SLEEPY_RESTARTS, /* the system call begins again when nothing was to be done for the signal */
	SLEEPY_DEAF,	 /* no signal wakes it */
	SLEEPY_RESTLESS, /* like epoll_wait: a signal that nobody handles shows, too, as EINTR */
};

ssize_t sleepy_wait(unsigned long before, enum sleepy_kind kind);

static inline ssize_t sleepy_sleep(unsigned long before, enum sleepy_kind kind)
{
	if (kind == SLEEPY_DEAF) {
		wait_event(sleepy_queue, sleepy_wakeups != before);
		return 0;
	}
	if (!wait_event_interruptible(sleepy_queue, sleepy_wakeups != before))
		return 0;
	return kind == SLEEPY_RESTLESS ? -EINTR : -ERESTARTSYS;
}

#endif
