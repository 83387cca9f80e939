/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program and kills it (SIGKILL, all its threads) when it enters its N-th system call, counted over all threads
 * in the order in which they happen. With "-r", system calls that only read memory or files do not count: being killed
 * behind one more of them leaves nothing else behind. With "-w" only those count that change another process. strace(1)
 * counts each thread by itself, which misses most points.
 *
 * Usage: kill_at [-r|-w] N PROGRAM [ARGUMENT…]. Exit code: 137 when it was killed, else the program's.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		  PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL,
	SYSCALL_STOP = SIGTRAP | 0x80,
	KILLED = 137,
};

static bool only_reads(unsigned long long number)
{
	return number == SYS_pread64 || number == SYS_process_vm_readv || number == SYS_read ||
	       number == SYS_newfstatat;
}

static bool changes_others(unsigned long long number)
{
	return number == SYS_ptrace || number == SYS_pwrite64 || number == SYS_process_vm_writev;
}

static bool any(unsigned long long number)
{
	(void)number;
	return true;
}

static bool no_read(unsigned long long number)
{
	return !only_reads(number);
}

/* Is this stop the entry of a system call that counts? */
static bool counts(pid_t tid, bool (*wanted)(unsigned long long number))
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	return wanted(info.entry.nr);
}

static int trace(pid_t pid, unsigned long limit, bool (*wanted)(unsigned long long number))
{
	unsigned long n = 0;
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int deliver = 0;

		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		if (WSTOPSIG(status) == SYSCALL_STOP) {
			if (counts(tid, wanted) && ++n == limit)
				kill(pid, SIGKILL);
		} else if (!(status >> 16) && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, tid, 0, deliver);
	}
	return n >= limit ? KILLED : 1;
}

int main(int argc, char **argv)
{
	bool reads = argc > 1 && !strcmp(argv[1], "-r"), writes = argc > 1 && !strcmp(argv[1], "-w");
	char **arguments = argv + 1 + (reads || writes);
	int status;
	pid_t pid;

	if (argc - (reads || writes) < 3)
		return 2;
	pid = fork();
	if (pid == 0) {
		raise(SIGSTOP);
		execv(arguments[1], arguments + 1);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || ptrace(PTRACE_SEIZE, pid, 0, OPTIONS)) {
		fprintf(stderr, "kill_at: cannot trace: %s\n", strerror(errno));
		return 1;
	}
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	kill(pid, SIGCONT);
	return trace(pid, strtoul(arguments[0], NULL, 0), writes ? changes_others : reads ? no_read : any);
}
