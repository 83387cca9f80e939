/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc/loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"

#define AUXV_SIZE_MAX 4096
#define MAPS_SIZE_MAX ((size_t)64 << 20)
#define N_SEGMENTS_MAX 256
#define N_DYNAMIC_MAX 1024
#define PAGE_MASK (~(uint64_t)4095) /* x86-64 has no other page size */

struct segments {
	Elf64_Phdr items[N_SEGMENTS_MAX];
	size_t n;
	uint64_t bias; /* run-time address minus virtual address */
};

struct range {
	uint64_t start, end, offset, inode;
	unsigned dev_major, dev_minor;
	bool write;
};

/* The process may vanish at any time; where it can be seen but not read, say so. */
static struct kc_error *gone_or_forbidden(int errnum)
{
	if (errnum == EACCES || errnum == EPERM)
		return kc_error_errno(KC_ERR_PERMISSION, errnum, "its memory cannot be read");
	return kc_error_new(KC_ERR_NO_PROCESS, "it has ended");
}

static bool read_memory(int mem, uint64_t addr, void *data, size_t size)
{
	return pread(mem, data, size, (off_t)addr) == (ssize_t)size;
}

static bool read_segments(int mem, uint64_t addr, size_t n, struct segments *segments)
{
	segments->n = n;
	return n && n <= N_SEGMENTS_MAX && read_memory(mem, addr, segments->items, n * sizeof(Elf64_Phdr));
}

static const Elf64_Phdr *find_segment(const struct segments *segments, uint32_t type)
{
	for (size_t i = 0; i < segments->n; i++) {
		if (segments->items[i].p_type == type)
			return &segments->items[i];
	}
	return NULL;
}

/* The program's own segments, as the kernel told the loader. False during exec, before it did. */
static struct kc_error *read_program(pid_t pid, int mem, struct segments *program, bool *complete)
{
	kc_autobuf struct kc_buf auxv = { 0 };
	const Elf64_auxv_t *entries;
	uint64_t phdr = 0, n = 0;
	const Elf64_Phdr *self;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	err = kc_file_read(path, AUXV_SIZE_MAX, &auxv);
	if (err)
		return gone_or_forbidden(-err);
	entries = (const void *)auxv.data;
	for (size_t i = 0; i < auxv.size / sizeof(*entries) && entries[i].a_type != AT_NULL; i++) {
		if (entries[i].a_type == AT_PHDR)
			phdr = entries[i].a_un.a_val;
		else if (entries[i].a_type == AT_PHNUM)
			n = entries[i].a_un.a_val;
	}
	*complete = phdr && read_segments(mem, phdr, n, program);
	if (!*complete)
		return NULL;
	self = find_segment(program, PT_PHDR);
	if (self)
		program->bias = phdr - self->p_vaddr;
	else if (find_segment(program, PT_LOAD))
		program->bias = phdr - sizeof(Elf64_Ehdr) - find_segment(program, PT_LOAD)->p_vaddr;
	return NULL;
}

/* Is the list of objects complete and not being changed? */
static bool debug_is_consistent(int mem, uint64_t addr)
{
	struct r_debug debug;

	return addr && read_memory(mem, addr, &debug, sizeof(debug)) && debug.r_version > 0 && debug.r_map &&
	       debug.r_state == RT_CONSISTENT;
}

/* What cannot be read is not there yet. A static program has no list; one without DT_DEBUG shows none. */
static bool list_is_consistent(int mem, const struct segments *program)
{
	const Elf64_Phdr *dynamic = find_segment(program, PT_DYNAMIC);
	size_t n = dynamic ? dynamic->p_memsz / sizeof(Elf64_Dyn) : 0;
	Elf64_Dyn entries[N_DYNAMIC_MAX];

	if (!find_segment(program, PT_INTERP) || !n)
		return true;
	if (n > N_DYNAMIC_MAX)
		n = N_DYNAMIC_MAX;
	if (!read_memory(mem, program->bias + dynamic->p_vaddr, entries, n * sizeof(*entries)))
		return false;
	for (size_t i = 0; i < n && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_DEBUG)
			return debug_is_consistent(mem, entries[i].d_un.d_ptr);
	}
	return true;
}

static struct kc_error *read_maps(pid_t pid, struct range **ranges, size_t *n)
{
	kc_autobuf struct kc_buf maps = { 0 };
	char path[64], *line, *rest;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	err = kc_file_read(path, MAPS_SIZE_MAX, &maps);
	if (err)
		return gone_or_forbidden(-err);
	for (line = strtok_r(maps.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct range range, *added;
		char permissions[5];

		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &range.start, &range.end, permissions, &range.offset,
			   &range.dev_major, &range.dev_minor, &range.inode) != 7)
			continue;
		range.write = permissions[1] == 'w';
		added = kc_array_add(ranges, n);
		if (!added)
			return kc_error_no_memory();
		*added = range;
	}
	return NULL;
}

/* The mapping of the file's first page that belongs to the mapping at `addr`: the nearest below. */
static const struct range *find_head(const struct range *ranges, size_t n, uint64_t addr)
{
	const struct range *at = NULL, *head = NULL;

	for (size_t i = 0; i < n && !at; i++) {
		if (addr >= ranges[i].start && addr < ranges[i].end)
			at = &ranges[i];
	}
	for (size_t i = 0; at && i < n && ranges[i].start <= addr; i++) {
		if (ranges[i].inode == at->inode && ranges[i].dev_major == at->dev_major &&
		    ranges[i].dev_minor == at->dev_minor && ranges[i].inode && !ranges[i].offset)
			head = &ranges[i];
	}
	return head;
}

static bool read_object(int mem, uint64_t start, struct segments *object)
{
	const Elf64_Phdr *load;
	Elf64_Ehdr header;

	if (!read_memory(mem, start, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    !read_segments(mem, start + header.e_phoff, header.e_phnum, object))
		return false;
	load = find_segment(object, PT_LOAD);
	object->bias = load ? start - (load->p_vaddr & PAGE_MASK) : start;
	return true;
}

/* The pages that the loader protects when it has relocated the object are not writable any more. */
static enum kc_loader_state judge_relro(const struct segments *object, const struct range *ranges, size_t n)
{
	const Elf64_Phdr *relro = find_segment(object, PT_GNU_RELRO);
	uint64_t start, end;

	if (!relro)
		return KC_LOADER_PROBABLY;
	start = (object->bias + relro->p_vaddr) & PAGE_MASK;
	end = (object->bias + relro->p_vaddr + relro->p_memsz) & PAGE_MASK;
	if (start >= end)
		return KC_LOADER_PROBABLY;
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].write && ranges[i].start < end && ranges[i].end > start)
			return KC_LOADER_BUSY;
	}
	return KC_LOADER_DONE;
}

struct kc_error *kc_loader_look(struct kc_ctx *ctx, pid_t pid, uint64_t addr, enum kc_loader_state *state)
{
	kc_autofree struct range *ranges = NULL;
	const struct range *head;
	kc_autoclose int mem = -1;
	struct segments segments;
	bool complete = false;
	char path[64];
	size_t n = 0;

	(void)ctx;
	*state = KC_LOADER_BUSY;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return gone_or_forbidden(errno);
	KC_TRY(read_program(pid, mem, &segments, &complete));
	if (!complete || !list_is_consistent(mem, &segments))
		return NULL;
	KC_TRY(read_maps(pid, &ranges, &n));
	head = find_head(ranges, n, addr);
	if (!head)
		return kc_error_new(KC_ERR_NOTHING, "the object is not mapped any more");
	if (read_object(mem, head->start, &segments))
		*state = judge_relro(&segments, ranges, n);
	return NULL;
}
