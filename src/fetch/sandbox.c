/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cage of kcare-fetch. The system call filter names what is forbidden: which calls getaddrinfo() and the name
 * service modules of a host make is nobody's to know, what a downloader never does is plain.
 */
#include "fetch/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/array.h"

enum {
	NOBODY = 65534,
	MEMORY_MAX = 512 << 20,
	FILES_MAX = 128,
};

struct user {
	uid_t uid;
	gid_t gid;
};

/* Only /etc/passwd: other sources of users would be asked over libraries and sockets that we need for nothing else. */
static struct user choose_user(void)
{
	kc_autofclose FILE *file = fopen("/etc/passwd", "re");
	struct user user = { NOBODY, NOBODY };
	const struct passwd *entry;

	while (file && (entry = fgetpwent(file))) {
		bool is_ours = !strcmp(entry->pw_name, KC_FETCH_USER);

		if (entry->pw_uid && (is_ours || !strcmp(entry->pw_name, "nobody")))
			user = (struct user){ entry->pw_uid, entry->pw_gid };
		if (is_ours)
			break;
	}
	return user;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static struct kc_error *drop_privileges(void)
{
	struct user user = { getuid(), getgid() };

	if (geteuid() == 0) {
		user = choose_user();
		for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
			continue;
		if (setgroups(0, NULL) < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot give up the groups of root");
	}
	if (setresgid(user.gid, user.gid, user.gid) < 0 || setresuid(user.uid, user.uid, user.uid) < 0 ||
	    drop_capabilities() < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot become user %u", (unsigned)user.uid);
	if (user.uid != 0 && setuid(0) == 0)
		return kc_error_new(KC_ERR_SYSTEM, "root's rights are still there");
	return NULL;
}

static struct kc_error *set_limits(void)
{
	static const struct {
		__rlimit_resource_t resource;
		rlim_t limit;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, 0 }, /* it writes no file at all */
		{ RLIMIT_NOFILE, FILES_MAX },
#ifndef __SANITIZE_ADDRESS__
		{ RLIMIT_AS, MEMORY_MAX },
#endif
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(limits); i++)
		if (setrlimit(limits[i].resource, &(struct rlimit){ limits[i].limit, limits[i].limit }) < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot set a limit");
	return NULL;
}

#ifdef __x86_64__
#define X32_BIT 0x40000000

/* What is loaded next: the call's number, the low half of its first argument. */
#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define IF_EQUAL(value, then_skip, else_skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), then_skip, else_skip)
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)
#define FAIL(errnum) ANSWER(SECCOMP_RET_ERRNO | (errnum))
#define FORBID(call) IF_EQUAL(SYS_##call, 0, 1), FAIL(EPERM)

static const struct sock_filter filter[] = {
	LOAD(arch),
	IF_EQUAL(AUDIT_ARCH_X86_64, 1, 0),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	/* other programs and processes; threads are fine */
	FORBID(execve),
	FORBID(execveat),
	FORBID(fork),
	FORBID(vfork),
	FORBID(kill),
	FORBID(ptrace),
	FORBID(process_vm_readv),
	FORBID(process_vm_writev),
	FORBID(pidfd_open),
	FORBID(pidfd_getfd),
	FORBID(pidfd_send_signal),
	/* what the kernel is attacked through */
	FORBID(bpf),
	FORBID(perf_event_open),
	FORBID(userfaultfd),
	FORBID(io_uring_setup),
	FORBID(add_key),
	FORBID(request_key),
	FORBID(keyctl),
	FORBID(init_module),
	FORBID(finit_module),
	FORBID(delete_module),
	FORBID(kexec_load),
	FORBID(kexec_file_load),
	/* another view of the host */
	FORBID(mount),
	FORBID(umount2),
	FORBID(pivot_root),
	FORBID(chroot),
	FORBID(unshare),
	FORBID(setns),
	FORBID(open_by_handle_at),
	FORBID(fsopen),
	FORBID(open_tree),
	FORBID(move_mount),
	/* clone3() has its flags in memory: the C library then takes clone() */
	IF_EQUAL(SYS_clone3, 0, 1),
	FAIL(ENOSYS),
	IF_EQUAL(SYS_clone, 0, 4),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
	FAIL(EPERM),
	ALLOW,
	IF_EQUAL(SYS_socket, 0, 6),
	LOAD(args[0]),
	IF_EQUAL(AF_INET, 4, 0),
	IF_EQUAL(AF_INET6, 3, 0),
	IF_EQUAL(AF_UNIX, 2, 0),
	IF_EQUAL(AF_NETLINK, 1, 0), /* getaddrinfo() asks for our addresses */
	FAIL(EAFNOSUPPORT),
	ALLOW,
};

static struct kc_error *filter_calls(void)
{
	struct sock_fprog program = { KC_ARRAY_SIZE(filter), (struct sock_filter *)filter };

	/* a kernel without seccomp: the rest of the cage holds */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 && errno != EINVAL)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot filter system calls");
	return NULL;
}
#else
static struct kc_error *filter_calls(void)
{
	return NULL;
}
#endif

struct kc_error *kc_sandbox_enter(void)
{
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
	KC_TRY(drop_privileges());
	KC_TRY(set_limits());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot lock itself in");
	return filter_calls();
}
