/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live patching of a process, from start to end: open it, plan, prepare the code in it, switch, clear up. What the
 * words mean and why the order is what it is: docs/switching.md.
 */
#include "apply/user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "apply/user_internal.h"
#include "apply/user_tracee.h"
#include "apply/user_unwind.h"
#include "base/array.h"
#include "proc/loader.h"

#define DELAY_MIN_US 1000
#define DELAY_MAX_US 100000

struct run {
	struct kc_session session;
	struct kc_gadgets gadgets;
	struct kc_link_map link_map;
	struct kc_transition transition;
	const struct kc_user_options *options;
	struct kc_user_result *result;
	uint64_t end_ns; /* no more tries */
	unsigned delay_us;
};

static void run_clear(struct run *run)
{
	struct kc_session *session = &run->session;

	kc_forbidden_clear(&run->transition.forbidden);
	kc_unwind_free(run->transition.unwind);
	free(run->transition.writes);
	free(run->transition.states);
	for (size_t i = 0; i < session->n_loads; i++)
		kc_load_clear(&session->loads[i]);
	free(session->loads);
	free(session->wanted);
	kc_records_free(session->records, session->n_records);
	kc_link_map_clear(&run->link_map);
	kc_gadgets_clear(&run->gadgets);
	kc_process_view_free(session->view);
}

/* A zombie, or on its way there: its memory is gone already. */
static bool has_ended(pid_t pid)
{
	struct kc_thread_status status;
	char path[64], exe[8];

	if (kc_thread_status(pid, pid, &status) || status.state == 'Z' || status.state == 'X')
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, exe, sizeof(exe)) < 0 && errno == ENOENT;
}

/* ---- again while busy ---- */

/* Sleeps before the next try; false when the time is over. */
static bool may_retry(struct run *run, const struct kc_error *err)
{
	uint64_t now = kc_now_ns(), left;
	unsigned delay;

	if (!err || kc_error_code(err) != KC_ERR_BUSY || now >= run->end_ns || has_ended(run->session.view->pid))
		return false;
	left = (run->end_ns - now) / 1000;
	delay = run->delay_us + (unsigned)(now % run->delay_us) / 2; /* jitter: do not beat in step with the target */
	kc_nap(delay < left ? delay : (unsigned)left + 1);
	run->delay_us = run->delay_us * 2 > DELAY_MAX_US ? DELAY_MAX_US : run->delay_us * 2;
	return true;
}

/* ---- open ---- */

static struct kc_error *open_for_writing(struct kc_process_view *view)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", view->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return kc_error_errno(errno == EACCES || errno == EPERM ? KC_ERR_PERMISSION : KC_ERR_EXITED, errno,
				      "cannot open the memory of process %d", view->pid);
	close(view->mem_fd);
	view->mem_fd = fd;
	return NULL;
}

/* Two patchers at once would take each other's code for what a killed one left. The lock ends with the descriptor. */
static struct kc_error *lock_process(struct run *run)
{
	const struct kc_process_view *view = run->session.view;
	struct kc_error *err = NULL;

	do {
		kc_error_free(err);
		err = NULL;
		if (flock(view->mem_fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
			err = kc_error_new(KC_ERR_BUSY, "process %d is being patched by another run", view->pid);
	} while (may_retry(run, err));
	return err;
}

static struct kc_error *refuse_traced(const struct kc_process_view *view)
{
	struct kc_thread_status status;

	if (kc_thread_status(view->pid, view->pid, &status))
		return kc_error_new(KC_ERR_EXITED, "process %d has ended", view->pid);
	if (status.tracer)
		return kc_traced_error(view->pid, status.tracer);
	return NULL;
}

static struct kc_error *wait_for_tracer(struct run *run)
{
	struct kc_error *err = NULL;

	do {
		kc_error_free(err);
		err = refuse_traced(run->session.view);
	} while (may_retry(run, err));
	return err;
}

static struct kc_error *run_open(struct kc_ctx *ctx, pid_t pid, struct run *run)
{
	struct kc_session *session = &run->session;

	session->ctx = ctx;
	session->gadgets = &run->gadgets;
	session->link_map = &run->link_map;
	session->transition = &run->transition;
	run->end_ns = kc_now_ns() + (uint64_t)run->options->wait_ms * 1000000;
	run->delay_us = DELAY_MIN_US;
	KC_TRY(kc_process_view_open(ctx, pid, &session->view));
	if (pid == getpid())
		return kc_error_new(KC_ERR_REFUSED, "a process cannot patch itself");
	KC_TRY(wait_for_tracer(run));
	KC_TRY(open_for_writing(session->view));
	KC_TRY(lock_process(run));
	KC_TRY(kc_process_view_refresh(ctx, session->view)); /* what another run did meanwhile */
	return kc_records_read(ctx, session->view, &session->records, &session->n_records);
}

static struct kc_error *remote_run(struct run *run, const struct kc_range *quiet, size_t n_quiet,
				   struct kc_remote_op *ops, size_t n_ops)
{
	struct kc_error *err = NULL;
	size_t n_done = 0;

	do {
		kc_error_free(err);
		err = kc_remote_run(run->session.ctx, run->session.view, &run->gadgets, quiet, n_quiet, ops, n_ops,
				    &n_done);
	} while (!n_done && may_retry(run, err));
	return err;
}

/* ---- prepare ---- */

static struct kc_error *wait_for_loader(struct run *run, const struct kc_object *object)
{
	enum kc_loader_state state;
	struct kc_error *err;

	do {
		KC_TRY(kc_loader_look(run->session.ctx, run->session.view->pid, object->start, &state));
		if (state != KC_LOADER_BUSY)
			return NULL;
		err = kc_error_new(KC_ERR_BUSY, "process %d: the loader has not finished with %s",
				   run->session.view->pid, object->name);
	} while (may_retry(run, err) && (kc_error_free(err), true));
	return err;
}

/* A left-over mapping of the same patch whose code is what we would put there: pinned code is used again. */
static struct kc_error *try_reuse(struct run *run, struct kc_load *load)
{
	struct kc_session *session = &run->session;
	kc_autofree uint8_t *text = malloc(load->text_size);

	if (!text)
		return kc_error_no_memory();
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];
		size_t skip = load->header.code_offset;

		if (record->header.state != KC_RECORD_UNDONE || record->header.bias != load->object->bias ||
		    strcmp(record->header.hash, load->patch->hash) != 0 ||
		    record->header.text_size != load->text_size || record->header.size != load->size)
			continue;
		load->base = record->addr;
		KC_TRY(kc_load_relocate(session->ctx, session->view, load));
		if (kc_process_read(session->view, record->addr, text, load->text_size) == 0 &&
		    memcmp(text + skip, load->image + skip, load->text_size - skip) == 0) {
			load->reused = true;
			return NULL;
		}
		load->base = 0;
	}
	return NULL;
}

static struct kc_error *place_load(struct run *run, size_t index)
{
	struct kc_session *session = &run->session;
	struct kc_load *load = &session->loads[index];

	if (load->header.flags & KC_RECORD_PINNED)
		KC_TRY(try_reuse(run, load));
	if (load->reused)
		return NULL;
	KC_TRY(kc_find_hole(session->ctx, session->view, load->object, load->size, session->loads, index, &load->base));
	return kc_load_relocate(session->ctx, session->view, load);
}

#define MAP_OPS 2 /* for each load */

static size_t mmap_ops(const struct kc_load *load, struct kc_remote_op *ops)
{
	uint64_t data_size = load->size - load->text_size;
	uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE; /* a mark: kc_orphans_find() */

	ops[0] = (struct kc_remote_op){
		.nr_or_addr = SYS_mmap,
		.args = { load->base, load->size, PROT_READ | PROT_EXEC, flags | MAP_FIXED_NOREPLACE, UINT64_MAX, 0 },
		.data = load->image,
		.data_addr = load->base,
		.data_size = load->text_size,
	};
	if (!data_size)
		return 1;
	ops[1] = (struct kc_remote_op){
		.nr_or_addr = SYS_mmap,
		.args = { load->base + load->text_size, data_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
			  UINT64_MAX, 0 },
		.data = load->image + load->text_size,
		.data_addr = load->base + load->text_size,
		.data_size = data_size,
	};
	return 2;
}

static struct kc_error *map_failed(const struct run *run, const struct kc_remote_op *op)
{
	pid_t pid = run->session.view->pid;
	int errnum = (int)-op->result;

	if (errnum == EACCES || errnum == EPERM)
		return kc_error_errno(KC_ERR_PERMISSION, errnum,
				      "process %d may not map anonymous executable memory (SELinux: execmem)", pid);
	return kc_error_errno(errnum == EEXIST ? KC_ERR_BUSY : KC_ERR_NO_ROOM, errnum,
			      "process %d cannot map the patch", pid);
}

/* Notes which mappings are there, also when a later one failed. */
static struct kc_error *map_loads(struct run *run)
{
	struct kc_session *session = &run->session;
	kc_autofree struct kc_remote_op *ops = calloc(MAP_OPS * session->n_loads + 1, sizeof(*ops));
	struct kc_error *err;
	size_t n = 0;

	if (!ops)
		return kc_error_no_memory();
	for (size_t i = 0; i < session->n_loads; i++)
		if (!session->loads[i].reused)
			n += mmap_ops(&session->loads[i], ops + n);
	if (!n)
		return NULL;
	for (size_t i = 0; i < n; i++)
		ops[i].result = -1;
	err = remote_run(run, NULL, 0, ops, n);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < session->n_loads; j++)
			if (ops[i].result >= 0 && session->loads[j].base == ops[i].args[0])
				session->loads[j].mapped = true;
		if (!err && ops[i].result < 0)
			err = map_failed(run, &ops[i]);
	}
	return err;
}

static struct kc_error *prepare(struct run *run, const struct kc_unwinder *unwinder)
{
	struct kc_session *session = &run->session;
	uint64_t transaction;

	if (getrandom(&transaction, sizeof(transaction), 0) != sizeof(transaction))
		transaction = kc_now_ns();
	for (size_t i = 0; i < session->n_loads; i++) {
		struct kc_load *load = &session->loads[i];

		load->header.transaction = transaction;
		KC_TRY(kc_load_plan(session->ctx, session->view, session->link_map, kc_unwinder_wants(unwinder, load),
				    load));
		load->header.transaction = transaction;
		KC_TRY(kc_load_check_bytes(session->ctx, session->view, session->records, session->n_records, load));
		KC_TRY(place_load(run, i));
	}
	return map_loads(run);
}

/* Makes the unwind tables known, where something may unwind through them. */
static struct kc_error *register_loads(struct run *run, const struct kc_unwinder *unwinder)
{
	struct kc_session *session = &run->session;

	for (size_t i = 0; i < session->n_loads; i++) {
		struct kc_load *load = &session->loads[i];
		struct kc_error *err = NULL;
		struct kc_remote_op op;
		int ret;

		if (!load->mapped || !load->header.object_offset)
			continue;
		ret = kc_unwinder_add_op(unwinder, session->view, load->base, &load->header, &op);
		if (ret)
			return kc_error_errno(KC_ERR_EXITED, -ret, "process %d", session->view->pid);
		err = remote_run(run, unwinder->quiet, unwinder->n_quiet, &op, 1);
		if (err && kc_error_code(err) == KC_ERR_BUSY && !(load->payload->flags & KC_PAYLOAD_UNWIND)) {
			kc_info(session->ctx, "backtraces will end at patched code: %s", kc_error_message(err));
			kc_error_free(err);
			err = NULL;
		}
		if (err)
			return err;
	}
	return NULL;
}

/* ---- clear up ---- */

static struct kc_error *unmap(struct run *run, uint64_t addr, uint64_t size)
{
	struct kc_remote_op op = { .nr_or_addr = SYS_munmap, .args = { addr, size } };
	struct kc_error *err = remote_run(run, NULL, 0, &op, 1);

	if (!err && op.result < 0)
		err = kc_error_errno(KC_ERR_SYSTEM, (int)-op.result, "process %d: cannot unmap",
				     run->session.view->pid);
	return err;
}

/* Takes out code that nobody can reach. What cannot be taken out now is found by the next run. */
static void discard(struct run *run, const struct kc_unwinder *unwinder, uint64_t addr,
		    const struct kc_record_header *header)
{
	struct kc_error *err = NULL;
	struct kc_remote_op op;

	switch (kc_unwinder_remove_op(unwinder, run->session.view, addr, header, &op)) {
	case KC_REMOVAL_NOT_NEEDED:
		break;
	case KC_REMOVAL_NEEDED:
		err = remote_run(run, unwinder->quiet, unwinder->n_quiet, &op, 1);
		break;
	default:
		err = kc_error_new(KC_ERR_BUSY, "its unwind table may still be registered");
	}
	if (!err)
		err = unmap(run, addr, header->size);
	if (err)
		kc_info(run->session.ctx, "unused code stays mapped at 0x%lx: %s", addr, kc_error_message(err));
	kc_error_free(err);
}

static void discard_loads(struct run *run, const struct kc_unwinder *unwinder)
{
	for (size_t i = 0; i < run->session.n_loads; i++)
		if (run->session.loads[i].mapped)
			discard(run, unwinder, run->session.loads[i].base, &run->session.loads[i].header);
}

static struct kc_error *discard_orphans(struct run *run)
{
	kc_autofree struct kc_range *orphans = NULL;
	size_t n = 0;

	KC_TRY(kc_orphans_find(run->session.view, &orphans, &n));
	for (size_t i = 0; i < n; i++)
		kc_error_free(unmap(run, orphans[i].start, orphans[i].end - orphans[i].start));
	return NULL;
}

/* Records as they are now, after the switch. */
static struct kc_error *discard_garbage(struct run *run, const struct kc_unwinder *unwinder)
{
	struct kc_session *session = &run->session;
	struct kc_record *records = NULL;
	size_t n = 0;

	KC_TRY(kc_process_view_refresh(session->ctx, session->view));
	KC_TRY(kc_records_read(session->ctx, session->view, &records, &n));
	for (size_t i = 0; i < n; i++)
		if (kc_plan_is_garbage(&records[i]))
			discard(run, unwinder, records[i].addr, &records[i].header);
	kc_records_free(records, n);
	return discard_orphans(run);
}

/* ---- switch ---- */

static struct kc_error *switch_over(struct run *run)
{
	struct kc_error *err = NULL;

	KC_TRY(kc_plan_transition(&run->session));
	if (!run->transition.n_writes && !run->transition.n_states)
		return NULL;
	do {
		kc_error_free(err);
		run->result->attempts++;
		err = kc_transition_try(run->session.ctx, &run->transition, run->options, run->result);
	} while (may_retry(run, err));
	run->result->n_functions = run->transition.n_writes;
	return err;
}

/* Did a killed patcher leave something that this run can finish, undo or take out? */
static bool has_unfinished(const struct kc_session *session)
{
	kc_autofree struct kc_range *orphans = NULL;
	size_t n = 0;

	kc_error_free(kc_orphans_find(session->view, &orphans, &n));
	if (n)
		return true;
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];

		if (record->header.state == KC_RECORD_INTENT || record->header.state == KC_RECORD_UNDOING ||
		    kc_plan_is_garbage(record))
			return true;
	}
	return false;
}

static struct kc_error *patch(struct run *run, struct kc_patch *const *patches, size_t n_patches)
{
	struct kc_session *session = &run->session;
	kc_autoerror struct kc_error *nothing = NULL;
	struct kc_unwinder unwinder = { 0 };
	struct kc_error *err;

	nothing = kc_plan_match(session, patches, n_patches);
	if (nothing && (kc_error_code(nothing) != KC_ERR_NOTHING || !has_unfinished(session)))
		return kc_steal(nothing);
	for (size_t i = 0; i < session->n_loads; i++)
		KC_TRY(wait_for_loader(run, session->loads[i].object));
	KC_TRY(kc_link_map_read(session->ctx, session->view, session->link_map));
	KC_TRY(kc_gadgets_find(session->ctx, session->view, session->gadgets));
	KC_TRY(kc_unwinder_find(session, &unwinder));
	KC_TRY(kc_plan_settle(session, false, NULL));
	err = prepare(run, &unwinder);
	if (!err)
		err = register_loads(run, &unwinder);
	if (!err)
		err = switch_over(run);
	if (err)
		discard_loads(run, &unwinder);
	else
		kc_error_free(discard_garbage(run, &unwinder));
	return err ? err : kc_steal(nothing);
}

/* What failed because the process was ending says so. */
static struct kc_error *name_ending(pid_t pid, struct kc_error *err)
{
	if (!err || kc_error_code(err) == KC_ERR_NOTHING || kc_error_code(err) == KC_ERR_NO_PROCESS || !has_ended(pid))
		return err;
	kc_error_free(err);
	return kc_error_new(KC_ERR_EXITED, "process %d has ended", pid);
}

struct kc_error *kc_user_patch(struct kc_ctx *ctx, pid_t pid, struct kc_patch *const *patches, size_t n_patches,
			       const struct kc_user_options *options, struct kc_user_result *result)
{
	struct run run = { .options = options, .result = result };
	struct kc_error *err;

	*result = (struct kc_user_result){ 0 };
	err = run_open(ctx, pid, &run);
	if (!err)
		err = patch(&run, patches, n_patches);
	run_clear(&run);
	return name_ending(pid, err);
}

static bool has_something(const struct kc_session *session, const char *patchset)
{
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record_header *header = &session->records[i].header;

		if (header->state == KC_RECORD_UNDONE && header->flags & KC_RECORD_PINNED)
			continue;
		if (!patchset || strcmp(header->patchset, patchset) == 0)
			return true;
	}
	return false;
}

static struct kc_error *unpatch(struct run *run, const char *patchset)
{
	struct kc_session *session = &run->session;
	struct kc_unwinder unwinder = { 0 };

	if (!has_something(session, patchset) && !has_unfinished(session))
		return kc_error_new(KC_ERR_NOTHING, "process %d (%s): no %s%s to take out", session->view->pid,
				    session->view->comm, patchset ? "patch of " : "patches", patchset ? patchset : "");
	KC_TRY(kc_link_map_read(session->ctx, session->view, session->link_map));
	KC_TRY(kc_gadgets_find(session->ctx, session->view, session->gadgets));
	KC_TRY(kc_unwinder_find(session, &unwinder));
	KC_TRY(kc_plan_settle(session, true, patchset));
	KC_TRY(switch_over(run));
	kc_error_free(discard_garbage(run, &unwinder));
	return NULL;
}

struct kc_error *kc_user_unpatch(struct kc_ctx *ctx, pid_t pid, const char *patchset,
				 const struct kc_user_options *options, struct kc_user_result *result)
{
	struct run run = { .options = options, .result = result };
	struct kc_error *err;

	*result = (struct kc_user_result){ 0 };
	err = run_open(ctx, pid, &run);
	if (!err)
		err = unpatch(&run, patchset);
	run_clear(&run);
	return name_ending(pid, err);
}
