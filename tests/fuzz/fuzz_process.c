/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of what is read from the memory of a process, which the process can fill as it likes: ELF objects with
 * their build-ids and names, and the records of patches. The input lies in our own memory; a view shows it once as a
 * mapped library and once as the mapping of a patch.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "apply/user_record.h"
#include "proc/internal.h"

enum { MEMORY_SIZE = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as_patcher(struct kc_ctx *ctx, struct kc_process_view *view)
{
	struct kc_record *records = NULL;
	size_t n_records = 0;

	kc_error_free(kc_objects_find(ctx, view));
	kc_error_free(kc_records_read(ctx, view, &records, &n_records));
	for (size_t i = 0; i < n_records; i++)
		kc_record_count_active(view, &records[i]);
	kc_records_free(records, n_records);
	kc_objects_clear(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *memory;
	static int mem_fd = -1;
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_map maps[2] = { 0 };
	struct kc_process_view view = { .pid = getpid(), .maps = maps, .n_maps = 2 };

	if (!memory) {
		memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mem_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	}
	if (memory == MAP_FAILED || mem_fd < 0 || !ctx)
		abort();
	memset(memory, 0, MEMORY_SIZE);
	memcpy(memory, data, size < MEMORY_SIZE ? size : MEMORY_SIZE);
	view.mem_fd = mem_fd;
	maps[0] = (struct kc_map){ .start = (uint64_t)memory,
				   .end = (uint64_t)memory + MEMORY_SIZE,
				   .inode = 1,
				   .read = true,
				   .exec = true,
				   .path = "/usr/lib/library.so" };
	maps[1] = maps[0];
	maps[1].inode = 0;
	maps[1].path = "";
	read_as_patcher(ctx, &view);
	return 0;
}
