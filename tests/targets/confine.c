/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways in which a process shuts itself in before it is patched. Each answers 0, or errno. Never patched. */
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define MDWE_REFUSE_EXEC_GAIN 1

/* Any mmap, mprotect or munmap from now on kills the whole process. */
static long run_seccomp(const char *argument)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(*rules), .filter = rules };

	(void)argument;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ? errno : 0;
}

/* Proves the filter: the process dies of it. */
static long run_mmap(const char *argument)
{
	(void)argument;
	return syscall(SYS_mmap, 0, 4096, 1, 0x22, -1, 0) == -1 ? errno : 0;
}

/* Memory-deny-write-execute: nothing becomes executable that was not mapped so. */
static long run_mdwe(const char *argument)
{
	(void)argument;
	return prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) ? errno : 0;
}

static long run_not_dumpable(const char *argument)
{
	(void)argument;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? errno : 0;
}

static long run_setuid(const char *argument)
{
	uid_t id = (uid_t)number(argument);

	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
		return errno;
	return 0;
}

static long run_traced(const char *argument)
{
	(void)argument;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

const struct command confine_commands[] = {
	{ "seccomp", run_seccomp },
	{ "mmap", run_mmap },
	{ "mdwe", run_mdwe },
	{ "not-dumpable", run_not_dumpable },
	{ "setuid", run_setuid },
	{ "dumpable", run_traced },
	{ NULL, NULL },
};
