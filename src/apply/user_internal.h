/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the patcher share. The data flows: objects and patches → kc_load (code for one object, laid out and
 * relocated) → kc_transition (what to write, what must be free of threads) → one stop.
 */
#ifndef KC_APPLY_USER_INTERNAL_H
#define KC_APPLY_USER_INTERNAL_H

#include "apply/user.h"
#include "apply/user_record.h"
#include "proc/process.h"

#define KC_PAGE ((uint64_t)4096)
#define KC_PAGE_UP(n) (((uint64_t)(n) + KC_PAGE - 1) & ~(KC_PAGE - 1))

/* ---- symbols of the process: user_plan.c ---- */

/* An object in the loader's search order, with its file. */
struct kc_linked {
	const struct kc_object *object;
	struct kc_elf *elf; /* opened when first needed */
};

struct kc_link_map {
	struct kc_linked *items;
	size_t n_items;
};

struct kc_found_symbol {
	uint64_t addr;
	bool ifunc; /* `addr` is the resolver */
};

/* In the order in which the loader searches; KC_ERR_BUSY while the loader is at work. */
struct kc_error *kc_link_map_read(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map);
void kc_link_map_clear(struct kc_link_map *map);
/* The file of an item; NULL when it cannot be read. */
struct kc_elf *kc_linked_elf(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_linked *linked);
/* Looks a dynamic symbol up as the loader does. `version` and `library` may be NULL. KC_ERR_NOT_FOUND. */
struct kc_error *kc_link_map_find(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map,
				  const char *name, const char *version, const char *library,
				  struct kc_found_symbol *found);

/* ---- the code for one object: user_load.c, user_reloc.c ---- */

struct kc_slot {
	uint64_t value;	     /* resolved address (imports, symbols of the target) */
	uint32_t got, stub;  /* offsets in the mapping; 0: none */
	uint32_t ifunc_slot; /* offset in the RW part */
	bool ifunc, needs_got, needs_stub;
};

struct kc_load {
	const struct kc_patch *patch;
	const struct kc_object *object;
	struct kc_payload *payload;
	struct kc_elf *target;
	uint64_t base;			 /* of the mapping in the process; 0 until there is one */
	uint64_t text_size;		 /* R-X part, pages */
	uint64_t size;			 /* all, pages */
	uint8_t *image;			 /* `size` bytes */
	uint64_t *section_offsets;	 /* by section index; 0: not mapped */
	struct kc_slot *slots;		 /* by symbol index */
	struct kc_record_entry *entries; /* as many as the payload has functions */
	struct kc_record_header header;
	bool reused;	 /* a left-over mapping of the same patch */
	bool mapped;	 /* by us, now */
	bool registered; /* its unwind table, by us, now */
};

void kc_load_clear(struct kc_load *load);
/* Symbols, layout and sizes. Does not need a base. */
struct kc_error *kc_load_plan(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_link_map *map,
			      bool with_unwind, struct kc_load *load);
/* Content for `load->base`: code, relocated; record and entries. */
struct kc_error *kc_load_relocate(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_load *load);
/* Checks the hash of every replaced function in memory and reads the original bytes of its entry. */
struct kc_error *kc_load_check_bytes(struct kc_ctx *ctx, const struct kc_process_view *view,
				     const struct kc_record *records, size_t n_records, struct kc_load *load);
/* A free place of `size` bytes within reach of the object; `avoid` lists places that are taken already. */
struct kc_error *kc_find_hole(struct kc_ctx *ctx, const struct kc_process_view *view, const struct kc_object *object,
			      uint64_t size, const struct kc_load *avoid, size_t n_avoid, uint64_t *hole);
/* Helper of the two above: resolves a TLS relocation of the target. */
struct kc_error *kc_tls_value(const struct kc_process_view *view, const struct kc_load *load, uint32_t type,
			      uint64_t offset, int64_t addend, uint64_t *value);

struct kc_range {
	uint64_t start, end;
};

/*
 * Mappings of ours without a record: the patcher was killed after mapping and before writing. They are anonymous, R-X,
 * were never touched, and have the flag MAP_NORESERVE, which has no effect on them and which nobody else sets there.
 */
struct kc_error *kc_orphans_find(const struct kc_process_view *view, struct kc_range **orphans, size_t *n);

/* ---- the plan for one process: user_plan.c ---- */

struct kc_transition;
struct kc_unwind;

/* One run on one process. */
struct kc_session {
	struct kc_ctx *ctx;
	struct kc_process_view *view;
	struct kc_gadgets *gadgets;
	struct kc_link_map *link_map;
	struct kc_record *records;
	size_t n_records;
	bool *wanted; /* by record: stays or becomes active */
	struct kc_load *loads;
	size_t n_loads;
	struct kc_transition *transition;
};

/* Pairs patches with objects; those that are in already are left out. KC_ERR_NOTHING when none is left. */
struct kc_error *kc_plan_match(struct kc_session *session, struct kc_patch *const *patches, size_t n_patches);
/*
 * Which records are to be active in the end? All that are applied, but for objects that `loads` replace and for
 * `patchset` when `undo`. What a killed patcher left half done is finished or undone.
 */
struct kc_error *kc_plan_settle(struct kc_session *session, bool undo, const char *patchset);
/* What must be written, and where nobody may be. `session->transition` has no writes when all is as it should be. */
struct kc_error *kc_plan_transition(struct kc_session *session);
/* May the record's mapping be unmapped when its state is what it is? */
bool kc_plan_is_garbage(const struct kc_record *record);

/* ---- the switch: user_stop.c ---- */

/* Code that no thread may be in. */
struct kc_forbidden {
	struct kc_range *ranges; /* a pc in one of them is a hit; sorted, disjoint after kc_forbidden_finish() */
	size_t n_ranges;
	uint64_t *returns; /* a word on a stack that is one of these is a hit; sorted */
	size_t n_returns;
	uint64_t low, high; /* around all returns */
};
struct kc_error *kc_forbidden_add_range(struct kc_forbidden *forbidden, uint64_t start, uint64_t size);
struct kc_error *kc_forbidden_add_return(struct kc_forbidden *forbidden, uint64_t addr);
void kc_forbidden_finish(struct kc_forbidden *forbidden);
void kc_forbidden_clear(struct kc_forbidden *forbidden);
bool kc_forbidden_has_pc(const struct kc_forbidden *forbidden, uint64_t pc);
bool kc_forbidden_has_return(const struct kc_forbidden *forbidden, uint64_t word);

struct kc_write {
	uint64_t addr;
	uint8_t expected[KC_JUMP_SIZE];
	uint8_t bytes[KC_JUMP_SIZE];
};

struct kc_state_write {
	uint64_t record;		 /* its address */
	enum kc_record_state from;	 /* found and restored when nothing comes of it */
	enum kc_record_state during, to; /* around the entries */
};

/* A blocked thread that unwinding found inside: no need to stop it again to find it at the same place. */
struct kc_inside {
	pid_t tid;
	uint64_t sp, pc;
	uint64_t at, word; /* on its stack */
	unsigned uses;
};

struct kc_transition {
	struct kc_process_view *view;
	struct kc_forbidden forbidden;
	struct kc_write *writes;
	size_t n_writes;
	struct kc_state_write *states;
	size_t n_states;
	bool search_memory;  /* coroutines are possible: search the other stacks, too */
	uint64_t *restorers; /* addresses of code that does rt_sigreturn; not owned */
	size_t n_restorers;
	struct kc_unwind *unwind; /* made when first needed */
	struct kc_inside inside;  /* who was in the way */
};

/* One attempt: seize, look, stop, check, write, go. KC_ERR_BUSY: nothing was changed. */
struct kc_error *kc_transition_try(struct kc_ctx *ctx, struct kc_transition *transition,
				   const struct kc_user_options *options, struct kc_user_result *result);

/* ---- code addresses that are needed in the process: user_code.c ---- */

struct kc_gadgets {
	uint64_t syscall_ret; /* syscall; ret */
	uint64_t restorer;    /* mov $15, %eax; syscall */
	uint64_t *restorers;
	size_t n_restorers;
};
struct kc_error *kc_gadgets_find(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_gadgets *gadgets);
void kc_gadgets_clear(struct kc_gadgets *gadgets);

/* ---- system calls and calls in the process: user_remote.c ---- */

struct kc_remote_op {
	uint64_t nr_or_addr; /* a system call's number, or a function's address */
	bool is_call;
	uint64_t args[6];
	int64_t result;
	uint64_t mark_addr; /* written before the call, when the thread is ours; 0: nothing */
	uint64_t mark;
	const void *data; /* after a successful mmap: written to where it is */
	uint64_t data_addr;
	size_t data_size;
};

/*
 * Borrows one thread for some milliseconds and runs `ops` on it, in order, until one fails. `quiet`: the thread must be
 * parked in a system call with no address of these ranges on its stack. A system call's failure is in its `result`;
 * `*n_done` says how many were run.
 */
struct kc_error *kc_remote_run(struct kc_ctx *ctx, const struct kc_process_view *view, const struct kc_gadgets *gadgets,
			       const struct kc_range *quiet, size_t n_quiet, struct kc_remote_op *ops, size_t n_ops,
			       size_t *n_done);

/*
 * Writes to the memory of the process through view->mem_fd; where the kernel forbids that for read-only pages, by
 * ptrace: `tid` is a stopped tracee of ours, or 0. All or nothing only within one page. 0 or -errno.
 */
int kc_remote_write(const struct kc_process_view *view, pid_t tid, uint64_t addr, const void *data, size_t size);

/* ---- unwind tables: user_register.c ---- */

#define KC_UNWIND_OBJECT_SIZE 256 /* libgcc's struct object is 48 to 64 bytes; the last 8 are ours */

struct kc_unwinder {
	uint64_t add, remove;	  /* __register_frame_info, __deregister_frame_info; 0: there are none */
	bool has_users;		  /* something in the process takes backtraces */
	struct kc_range quiet[4]; /* code that must not be on the stack of the thread that calls them */
	size_t n_quiet;
};

struct kc_error *kc_unwinder_find(struct kc_session *session, struct kc_unwinder *unwinder);
bool kc_unwinder_wants(const struct kc_unwinder *unwinder, const struct kc_load *load);
/* 0 or -errno. */
int kc_unwinder_add_op(const struct kc_unwinder *unwinder, const struct kc_process_view *view, uint64_t base,
		       const struct kc_record_header *header, struct kc_remote_op *op);
enum kc_removal {
	KC_REMOVAL_NOT_NEEDED,
	KC_REMOVAL_NEEDED,     /* by the operation */
	KC_REMOVAL_IMPOSSIBLE, /* nobody knows whether it is registered: it must stay mapped */
};
enum kc_removal kc_unwinder_remove_op(const struct kc_unwinder *unwinder, const struct kc_process_view *view,
				      uint64_t base, const struct kc_record_header *header, struct kc_remote_op *op);

#endif
