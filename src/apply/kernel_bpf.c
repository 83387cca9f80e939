// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose is a BPF trampoline? Its name is the key that the links of fentry, fexit and LSM programs tell, too. */
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

#include "apply/kernel_internal.h"

#define PREFIX "bpf_trampoline_"
#define IN_KERNEL_BTF UINT64_C(0x80000000) /* bpf_trampoline_compute_key(): the target is no BPF program */
#define LINKS_MAX 65536

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int info_by_id(int command, uint32_t id, void *info, size_t size)
{
	union bpf_attr attr = { .link_id = id }; /* prog_id is at the same place */
	kc_autoclose int fd = bpf(command, &attr);

	if (fd < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info = (uint64_t)(uintptr_t)info;
	attr.info.info_len = (uint32_t)size;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

static bool link_uses(const struct bpf_link_info *link, uint64_t key)
{
	uint64_t theirs = (uint64_t)link->tracing.target_obj_id << 32 | link->tracing.target_btf_id;

	return link->type == BPF_LINK_TYPE_TRACING && theirs == (key & ~IN_KERNEL_BTF);
}

static void append_program(uint32_t id, struct kc_buf *names)
{
	struct bpf_prog_info program = { 0 };

	if (info_by_id(BPF_PROG_GET_FD_BY_ID, id, &program, sizeof(program)))
		return;
	kc_buf_printf(names, "%s%.*s (id %u)", names->size ? ", " : "", (int)sizeof(program.name), program.name, id);
}

char *kc_bpf_trampoline_programs(const char *trampoline)
{
	kc_autobuf struct kc_buf names = { 0 };
	union bpf_attr next = { 0 };
	uint64_t key;

	if (strncmp(trampoline, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	key = strtoull(trampoline + strlen(PREFIX), NULL, 10);
	for (size_t i = 0; i < LINKS_MAX && bpf(BPF_LINK_GET_NEXT_ID, &next) == 0; i++) {
		struct bpf_link_info link = { 0 };

		next.start_id = next.next_id;
		if (info_by_id(BPF_LINK_GET_FD_BY_ID, next.next_id, &link, sizeof(link)) == 0 && link_uses(&link, key))
			append_program(link.prog_id, &names);
	}
	return names.size ? kc_buf_take(&names) : NULL;
}
