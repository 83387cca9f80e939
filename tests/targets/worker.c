/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker program: all its commands. It opens libtwo.so only when asked to ("dlopen PATH"). */
#include <stddef.h>

#include "worker.h"

int main(void)
{
	return loop_main((const struct command *const[]){ life_commands, hold_commands, crowd_commands, wait_commands,
							  confine_commands, NULL });
}
