/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signal frame that leads a borrowed thread back (format: arch/x86/include/uapi/asm/sigcontext.h), and the
 * registers that go into it.
 */
#include "apply/user_remote.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define XSTATE_HEADER 512	   /* offset of the XSAVE header; its first word is the mask of what is in use */
#define XSTATE_SOFTWARE 464	   /* offset of what the kernel says about the layout */
#define XFEATURES_AMX (3ull << 17) /* 8 KiB of tiles: allowed for few threads, not in ordinary frames */
#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u

struct software_bytes {
	uint32_t magic1;
	uint32_t extended_size; /* with magic2 */
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t padding[7];
};

/* How many bytes of the standard layout hold `xfeatures`? */
static size_t xstate_extent(uint64_t xfeatures)
{
	size_t extent = XSTATE_HEADER + 64;
	unsigned size, offset, c, d;

	for (unsigned i = 2; i < 63; i++) {
		if (!(xfeatures >> i & 1) || !__get_cpuid_count(0xd, i, &size, &offset, &c, &d))
			continue;
		if (offset + size > extent)
			extent = offset + size;
	}
	return extent;
}

bool kc_xstate_get(pid_t tid, struct kc_xstate *xstate)
{
	struct iovec vector = { xstate->data, sizeof(xstate->data) };
	uint64_t in_use;

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &vector) || vector.iov_len < XSTATE_HEADER + 64)
		return false;
	xstate->size = vector.iov_len;
	memcpy(&in_use, xstate->data + XSTATE_HEADER, sizeof(in_use));
	return !(in_use & XFEATURES_AMX);
}

void kc_xstate_set(pid_t tid, const struct kc_xstate *xstate)
{
	struct iovec vector = { (void *)xstate->data, xstate->size };

	ptrace(PTRACE_SETREGSET, tid, (void *)NT_X86_XSTATE, &vector);
}

/* Registers with which the thread goes on by itself: a system call that was interrupted begins again. */
static struct user_regs_struct resumable(const struct user_regs_struct *regs)
{
	struct user_regs_struct resumed = *regs;
	int64_t result = (int64_t)regs->rax;

	if ((int64_t)regs->orig_rax < 0 || regs->orig_rax == SYS_close)
		return resumed;
	if (result == -EINTR || (result <= -512 && result >= -516)) { /* ERESTARTSYS … ERESTART_RESTARTBLOCK */
		resumed.rax = regs->orig_rax;
		resumed.rip -= 2;
	}
	return resumed;
}

static void fill_context(const struct user_regs_struct *regs, uint64_t fpstate, struct sigcontext *context)
{
	*context = (struct sigcontext){
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rdi = regs->rdi,
		.rsi = regs->rsi,
		.rbp = regs->rbp,
		.rbx = regs->rbx,
		.rdx = regs->rdx,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rsp = regs->rsp,
		.rip = regs->rip,
		.eflags = regs->eflags,
		.cs = (unsigned short)regs->cs,
		.__pad0 = (unsigned short)regs->ss, /* named ss by the kernel */
		.__fpstate_word = fpstate,
	};
}

/* Marks the extended state as the kernel does for its own frames. Returns its size with the mark at the end. */
static size_t fill_xstate(const struct kc_xstate *xstate, uint8_t *at)
{
	struct software_bytes software = { .magic1 = MAGIC1 };
	uint32_t magic2 = MAGIC2;
	size_t size;

	memcpy(&software.xfeatures, xstate->data + XSTATE_SOFTWARE, sizeof(software.xfeatures));
	software.xfeatures &= ~XFEATURES_AMX;
	size = xstate_extent(software.xfeatures);
	if (size > xstate->size)
		size = xstate->size;
	memcpy(at, xstate->data, size);
	software.xstate_size = (uint32_t)size;
	software.extended_size = (uint32_t)(size + sizeof(magic2));
	memcpy(at + XSTATE_SOFTWARE, &software, sizeof(software));
	memcpy(at + size, &magic2, sizeof(magic2));
	return size + sizeof(magic2);
}

/* struct rt_sigframe of the kernel, without siginfo */
struct signal_frame {
	uint64_t restorer;
	uint64_t flags, link;
	uint64_t stack[3]; /* zeros: the alternate stack stays as it is */
	struct sigcontext context;
	uint64_t mask;
};

#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4

size_t kc_signal_frame_build(const struct user_regs_struct *regs, uint64_t mask, const struct kc_xstate *xstate,
			     uint64_t restorer, uint64_t top, uint8_t frame[KC_SIGNAL_FRAME_MAX], uint64_t *addr)
{
	struct user_regs_struct resumed = resumable(regs);
	struct signal_frame head = {
		.restorer = restorer,
		.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.mask = mask,
	};
	uint64_t fpstate, start;
	size_t size;

	/* from the top: extended state (64-byte aligned), then the head (8 behind a multiple of 16) */
	fpstate = (top - xstate->size - 64) & ~63ull;
	start = ((fpstate - sizeof(head) - 16) & ~15ull) + 8;
	if (fpstate - start + xstate->size + 64 > KC_SIGNAL_FRAME_MAX)
		return 0;
	memset(frame, 0, KC_SIGNAL_FRAME_MAX);
	fill_context(&resumed, fpstate, &head.context);
	memcpy(frame, &head, sizeof(head));
	size = fpstate - start + fill_xstate(xstate, frame + (fpstate - start));
	*addr = start;
	return size;
}

bool kc_in_rseq(const struct kc_process_view *view, pid_t tid, uint64_t pc)
{
	struct {
		uint64_t area;
		uint32_t size, signature, flags, pad;
	} config;
	struct {
		uint32_t version, flags;
		uint64_t start, size, abort;
	} section;
	uint64_t pointer;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, (void *)sizeof(config), &config) < 0 || !config.area)
		return false;
	if (kc_process_read(view, config.area + 8, &pointer, sizeof(pointer)) || !pointer ||
	    kc_process_read(view, pointer, &section, sizeof(section)))
		return false;
	return pc - section.start < section.size;
}

/*
 * ptrace writes words: what surrounds the data is written as it is. A word may lie anywhere inside a page, so that an
 * entry is written at once.
 */
static int poke(const struct kc_process_view *view, pid_t tid, uint64_t addr, const uint8_t *data, size_t size)
{
	while (size) {
		uint64_t last = (addr | (KC_PAGE - 1)) + 1 - sizeof(uint64_t), at = addr < last ? addr : last, word;
		size_t skip = addr - at, n = 8 - skip < size ? 8 - skip : size;
		int ret = kc_process_read(view, at, &word, sizeof(word));

		if (ret)
			return ret;
		memcpy((uint8_t *)&word + skip, data, n);
		if (ptrace(PTRACE_POKEDATA, tid, at, word))
			return -errno;
		addr += n;
		data += n;
		size -= n;
	}
	return 0;
}

int kc_remote_write(const struct kc_process_view *view, pid_t tid, uint64_t addr, const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(view->mem_fd, (const char *)data + done, size - done, (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (tid && n < 0 && (errno == EIO || errno == EPERM || errno == EACCES || errno == EFAULT))
			return poke(view, tid, addr + done, (const uint8_t *)data + done, size - done);
		return n < 0 ? -errno : -ESRCH;
	}
	return 0;
}
