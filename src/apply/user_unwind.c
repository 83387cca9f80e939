/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second opinion: a word on a stack looks like a return address into forbidden code, but may be what an earlier
 * call left there. The stopped thread is unwound by its tables (libdw); only frames count then. Whatever the unwinder
 * cannot finish counts as inside. Files are read as they are mapped; no debug information is looked for.
 */
#include "apply/user_unwind.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <string.h>

#include "apply/user_stop.h"

#define FRAMES_MAX 4096
#define VDSO_SIZE_MAX 65536
#define REGISTERS 17 /* of DWARF on x86-64: 16, and the pc */

struct kc_unwind {
	const struct kc_process_view *view;
	Dwfl *dwfl;
	uint8_t *vdso;
	size_t vdso_size;
	/* the thread that is being unwound */
	const struct kc_forbidden *forbidden;
	const struct user_regs_struct *regs;
	pid_t tid;
	size_t n_frames;
	bool inside;
};

static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, char **file_name,
		    Elf **elf)
{
	struct kc_unwind *unwind = *userdata;
	const struct kc_map *map = kc_process_map_at(unwind->view, base);
	char path[96];

	(void)module;
	if (map && strcmp(map->path, "[vdso]") == 0) {
		*elf = unwind->vdso ? elf_memory((char *)unwind->vdso, unwind->vdso_size) : NULL;
		return -1;
	}
	if (!map)
		return -1;
	(void)name;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", unwind->view->pid, (unsigned long)map->start,
		 (unsigned long)map->end);
	*file_name = strdup(path);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int find_no_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, const char *file,
			     const char *link, GElf_Word crc, char **found)
{
	(void)module, (void)userdata, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
	return -1;
}

static const Dwfl_Callbacks module_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debuginfo,
};

/* Threads are asked for by id, never listed. */
static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl, (void)arg, (void)thread_arg;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	struct kc_unwind *unwind = arg;

	(void)dwfl;
	*thread_arg = unwind;
	return tid == unwind->tid;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	struct kc_unwind *unwind = arg;

	(void)dwfl;
	return kc_process_read(unwind->view, addr, result, sizeof(*result)) == 0;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct user_regs_struct *r = ((struct kc_unwind *)arg)->regs;
	Dwarf_Word registers[REGISTERS] = {
		r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
		r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip,
	};

	return dwfl_thread_state_registers(thread, 0, REGISTERS, registers);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/* Without a table libdw guesses by frame pointers, which leaves frames out. */
static bool has_table(struct kc_unwind *unwind, Dwarf_Addr pc)
{
	Dwfl_Module *module = dwfl_addrmodule(unwind->dwfl, pc);
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr bias;
	Dwarf_CFI *cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
	bool has = cfi && dwarf_cfi_addrframe(cfi, pc - bias, &frame) == 0;

	free(frame);
	return has;
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct kc_unwind *unwind = arg;
	Dwarf_Addr pc;
	bool interrupted; /* by a signal, or the innermost: pc is where it goes on, not behind a call */

	if (!dwfl_frame_pc(frame, &pc, &interrupted) || ++unwind->n_frames > FRAMES_MAX)
		unwind->inside = true;
	else if (!has_table(unwind, interrupted ? pc : pc - 1))
		unwind->inside = true;
	else if (interrupted)
		unwind->inside = kc_forbidden_has_pc(unwind->forbidden, pc);
	else
		unwind->inside = kc_forbidden_has_return(unwind->forbidden, pc) ||
				 kc_forbidden_has_pc(unwind->forbidden, pc - 1);
	return unwind->inside ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static void read_vdso(struct kc_unwind *unwind, const struct kc_map *map)
{
	size_t size = map->end - map->start;

	if (size > VDSO_SIZE_MAX)
		return;
	unwind->vdso = malloc(size);
	unwind->vdso_size = size;
	if (unwind->vdso && kc_process_read(unwind->view, map->start, unwind->vdso, size)) {
		free(unwind->vdso);
		unwind->vdso = NULL;
	}
}

static bool report_module(struct kc_unwind *unwind, const char *name, uint64_t start, uint64_t end)
{
	Dwfl_Module *module = dwfl_report_module(unwind->dwfl, name, start, end);
	void **userdata;

	if (!module)
		return false;
	dwfl_module_info(module, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = unwind;
	return true;
}

static bool attach(struct kc_unwind *unwind)
{
	const struct kc_process_view *view = unwind->view;

	unwind->dwfl = dwfl_begin(&module_callbacks);
	if (!unwind->dwfl)
		return false;
	dwfl_report_begin(unwind->dwfl);
	for (size_t i = 0; i < view->n_objects; i++)
		report_module(unwind, view->objects[i].name, view->objects[i].start, view->objects[i].end);
	for (size_t i = 0; i < view->n_maps; i++) {
		if (strcmp(view->maps[i].path, "[vdso]") != 0)
			continue;
		read_vdso(unwind, &view->maps[i]);
		report_module(unwind, "[vdso]", view->maps[i].start, view->maps[i].end);
	}
	dwfl_report_end(unwind->dwfl, NULL, NULL);
	return dwfl_attach_state(unwind->dwfl, NULL, view->pid, &thread_callbacks, unwind);
}

struct kc_unwind *kc_unwind_new(const struct kc_process_view *view)
{
	struct kc_unwind *unwind = calloc(1, sizeof(*unwind));

	if (!unwind)
		return NULL;
	unwind->view = view;
	if (!attach(unwind)) {
		kc_unwind_free(unwind);
		return NULL;
	}
	return unwind;
}

void kc_unwind_free(struct kc_unwind *unwind)
{
	if (!unwind)
		return;
	if (unwind->dwfl)
		dwfl_end(unwind->dwfl);
	free(unwind->vdso);
	free(unwind);
}

bool kc_unwind_is_inside(struct kc_unwind *unwind, const struct kc_forbidden *forbidden, pid_t tid,
			 const struct user_regs_struct *regs)
{
	unwind->forbidden = forbidden;
	unwind->regs = regs;
	unwind->tid = tid;
	unwind->n_frames = 0;
	unwind->inside = false;
	return dwfl_getthread_frames(unwind->dwfl, tid, take_frame, unwind) != 0 || unwind->inside || !unwind->n_frames;
}
