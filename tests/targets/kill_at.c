/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program and kills it (SIGKILL, all its threads) when it enters its N-th system call, counted over all threads
 * in the order in which they happen. With "-r", system calls that only read memory or files do not count: being killed
 * behind one more of them leaves nothing else behind. With "-w" only those count that change another process, with "-f"
 * those that change what files there are, with "-n" those that give a file its name or take it away, with "-d" those of
 * "-f" and those that write into regular files, standard output and error left out. With "-a FILE" it begins to count
 * when FILE is there, which grows by one byte for each. strace(1) counts each thread by itself, which misses most
 * points.
 *
 * Usage: kill_at [-r|-w|-f|-n|-d] [-a FILE] N PROGRAM [ARGUMENT…]. Exit code: 137 when it was killed, else the
 * program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		  PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL,
	SYSCALL_STOP = SIGTRAP | 0x80,
	KILLED = 137,
};

typedef bool counting(pid_t tid, const struct __ptrace_syscall_info *call);

static bool no_read(pid_t tid, const struct __ptrace_syscall_info *call)
{
	unsigned long long number = call->entry.nr;

	(void)tid;
	return number != SYS_pread64 && number != SYS_process_vm_readv && number != SYS_read &&
	       number != SYS_newfstatat;
}

static bool changes_others(pid_t tid, const struct __ptrace_syscall_info *call)
{
	unsigned long long number = call->entry.nr;

	(void)tid;
	return number == SYS_ptrace || number == SYS_pwrite64 || number == SYS_process_vm_writev;
}

static bool is_one_of(const unsigned long long *numbers, size_t n, const struct __ptrace_syscall_info *call)
{
	for (size_t i = 0; i < n; i++)
		if (call->entry.nr == numbers[i])
			return true;
	return false;
}

static bool changes_names(pid_t tid, const struct __ptrace_syscall_info *call)
{
	static const unsigned long long numbers[] = {
		SYS_rename,  SYS_renameat,  SYS_renameat2, SYS_link,	 SYS_linkat,
		SYS_symlink, SYS_symlinkat, SYS_unlink,	   SYS_unlinkat,
	};

	(void)tid;
	return is_one_of(numbers, sizeof(numbers) / sizeof(*numbers), call);
}

static bool changes_files(pid_t tid, const struct __ptrace_syscall_info *call)
{
	static const unsigned long long numbers[] = {
		SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_fchmod, SYS_chmod, SYS_truncate, SYS_creat, SYS_ftruncate,
	};

	return changes_names(tid, call) || is_one_of(numbers, sizeof(numbers) / sizeof(*numbers), call) ||
	       (call->entry.nr == SYS_openat && call->entry.args[2] & O_CREAT);
}

static bool is_file(pid_t tid, unsigned long long fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%llu", tid, fd);
	return fd > STDERR_FILENO && !stat(path, &st) && S_ISREG(st.st_mode);
}

static bool changes_data(pid_t tid, const struct __ptrace_syscall_info *call)
{
	static const unsigned long long numbers[] = { SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_fallocate };

	if (is_one_of(numbers, sizeof(numbers) / sizeof(*numbers), call))
		return is_file(tid, call->entry.args[0]);
	return changes_files(tid, call);
}

static bool any(pid_t tid, const struct __ptrace_syscall_info *call)
{
	(void)tid;
	(void)call;
	return true;
}

/* False: it is not there yet. */
static bool note(const char *armed)
{
	int fd = open(armed, O_WRONLY | O_APPEND);
	bool is_noted = fd >= 0 && write(fd, "x", 1) == 1;

	if (fd >= 0)
		close(fd);
	return is_noted;
}

/* Is this stop the entry of a system call that counts? */
static bool counts(pid_t tid, counting *wanted, const char *armed)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	return wanted(tid, &info) && (!armed || note(armed));
}

static int trace(pid_t pid, unsigned long limit, counting *wanted, const char *armed)
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
			if (counts(tid, wanted, armed) && ++n == limit)
				kill(pid, SIGKILL);
		} else if (!(status >> 16) && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, tid, 0, deliver);
	}
	return n >= limit ? KILLED : 1;
}

static counting *mode(const char *option)
{
	if (!strcmp(option, "-r"))
		return no_read;
	if (!strcmp(option, "-w"))
		return changes_others;
	if (!strcmp(option, "-n"))
		return changes_names;
	if (!strcmp(option, "-d"))
		return changes_data;
	return !strcmp(option, "-f") ? changes_files : NULL;
}

int main(int argc, char **argv)
{
	counting *wanted = argc > 1 ? mode(argv[1]) : NULL;
	char **arguments = argv + 1 + (wanted != NULL);
	const char *armed = NULL;
	int status;
	pid_t pid;

	if (arguments[0] && !strcmp(arguments[0], "-a") && arguments[1]) {
		armed = arguments[1];
		arguments += 2;
	}
	if (!arguments[0] || !arguments[1])
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
	return trace(pid, strtoul(arguments[0], NULL, 0), wanted ? wanted : any, armed);
}
