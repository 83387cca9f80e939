/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "apply/user_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "apply/user_cvelist.h"
#include "apply/user_paths.h"
#include "apply/user_tasks.h"
#include "base/array.h"
#include "base/file.h"
#include "proc/events.h"
#include "proc/loader.h"

#define US 1000ULL
#define MS (1000 * US)
#define SECOND (1000 * MS)

#define N_TASKS_MAX 4096
#define PID_FILE_MAX 64
#define N_FORKS 256
#define N_FILES 1024

/* How long to wait before looking again: least, most. */
#define LOADER_LEAST (200 * US)
#define LOADER_MOST (2 * MS)
#define LOADER_SLOW_AFTER (1 * SECOND)
#define LOADER_SLOW_MOST (1 * SECOND)
#define LOADER_NO_RELRO (5 * MS)
#define BUSY_LEAST (1 * MS)
#define BUSY_MOST (10 * SECOND)
#define TRACED_LEAST (50 * MS)
#define TRACED_MOST (30 * SECOND)
/* The list of fixed CVEs: after so much quiet, at most so late, and now and then because processes end. */
#define LIST_QUIET (200 * MS)
#define LIST_LATEST (2 * SECOND)
#define LIST_EVERY (60 * SECOND)
#define CPUS_EVERY (10 * SECOND)

struct fork {
	pid_t pid, parent;
};

struct file_verdict {
	struct kc_task_file file;
	bool known, has_patch;
};

struct run {
	struct kc_ctx *ctx;
	const struct kc_user_server *server;
	struct kc_user_policy policy;
	struct kc_events *events;
	struct kc_tasks tasks;
	pid_t *scan_pids; /* NULL: no scan under way */
	size_t n_scan, scan_next;
	bool scan_wanted;
	bool ready_told;
	bool end;
	struct fork forks[N_FORKS]; /* the latest */
	size_t n_forks;
	struct file_verdict files[N_FILES]; /* by hash; a collision forgets the older */
	uint64_t dirty_ns;		    /* since when the list of CVEs may be wrong; 0: it is right */
	uint64_t changed_ns;		    /* the latest change */
	uint64_t listed_ns, cpus_ns;	    /* when last done */
	pid_t list_child, self_child;	    /* 0: none */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void run_clear(struct run *run)
{
	kc_events_free(run->events);
	kc_tasks_clear(&run->tasks);
	free(run->scan_pids);
}

static void mark_changed(struct run *run)
{
	run->changed_ns = now_ns();
	if (!run->dirty_ns)
		run->dirty_ns = run->changed_ns;
}

/* ---- what events tell ---- */

static struct kc_task *need_task(struct run *run, pid_t pid)
{
	struct kc_task *task = kc_tasks_need(&run->tasks, pid, now_ns());

	if (!task)
		run->scan_wanted = true; /* full: a scan finds it when there is room again */
	return task;
}

static struct file_verdict *verdict_of(struct run *run, const struct kc_task_file *file)
{
	uint64_t hash = (file->inode ^ file->generation << 7 ^ file->dev_minor) * 0x9e3779b97f4a7c15ULL;

	return &run->files[(hash >> 32) % N_FILES];
}

static bool same_file(const struct kc_task_file *a, const struct kc_task_file *b)
{
	return a->inode == b->inode && a->generation == b->generation && a->dev_major == b->dev_major &&
	       a->dev_minor == b->dev_minor;
}

static void take_map(struct run *run, const struct kc_event *event)
{
	const struct kc_task_file file = { event->dev_major, event->dev_minor, event->inode, event->generation };
	bool ask = false;
	struct kc_task *task;

	if (event->build_id_size) {
		if (!kc_user_index_find(run->policy.index, event->build_id, event->build_id_size))
			return;
	} else {
		const struct file_verdict *verdict = verdict_of(run, &file);
		bool known = verdict->known && same_file(&verdict->file, &file);

		if (!event->inode || (known && !verdict->has_patch))
			return;
		ask = !known;
	}
	task = need_task(run, event->pid);
	if (!task)
		return;
	/* A question about one file does not hide that another one has a patch. */
	task->is_asked = ask && (task->is_asked || !task->n_addrs);
	if (task->is_asked) {
		task->n_addrs = 0;
		task->file = file;
	}
	kc_task_add_addr(task, event->addr, now_ns());
	for (size_t i = 0; i < run->n_forks && i < N_FORKS; i++) {
		if (run->forks[i].parent == event->pid)
			need_task(run, run->forks[i].pid);
	}
}

/* The child of a process that waits to be patched is as unpatched as its parent, and maps nothing anew. */
static void take_fork(struct run *run, const struct kc_event *event)
{
	if (event->parent == getpid())
		return;
	/* Another CPU's ring may tell of the parent's mapping only later. */
	run->forks[run->n_forks++ % N_FORKS] = (struct fork){ event->pid, event->parent };
	if (kc_tasks_find(&run->tasks, event->parent))
		need_task(run, event->pid);
}

static void take_event(void *data, const struct kc_event *event)
{
	struct run *run = data;

	if (event->kind == KC_EVENT_MAP)
		take_map(run, event);
	else
		take_fork(run, event);
}

static struct kc_error *read_events(struct run *run)
{
	bool lost = false;

	KC_TRY(kc_events_read(run->ctx, run->events, take_event, run, &lost));
	if (lost) {
		kc_warning(run->ctx, "events were lost: looking at all processes again");
		run->scan_wanted = true;
	}
	return NULL;
}

/* ---- one process ---- */

/* Is the loader done with all objects of the task? If not, the task is postponed. */
static struct kc_error *check_loader(struct run *run, struct kc_task *task, bool *done)
{
	bool slow = now_ns() - task->seen_ns > LOADER_SLOW_AFTER;

	*done = true;
	for (size_t i = 0; i < task->n_addrs && !task->settled; i++) {
		enum kc_loader_state state;

		KC_TRY(kc_loader_look(run->ctx, task->pid, task->addrs[i], &state));
		if (state == KC_LOADER_BUSY) {
			kc_task_postpone(task, now_ns(), LOADER_LEAST, slow ? LOADER_SLOW_MOST : LOADER_MOST);
			*done = false;
			return NULL;
		}
		*done = *done && state == KC_LOADER_DONE;
	}
	task->settled = true;
	/* Nothing proves that an object without RELRO is relocated: give it a moment. */
	if (!*done)
		task->due_ns = now_ns() + LOADER_NO_RELRO;
	task->delay_ns = 0;
	return NULL;
}

/* Remembers whether a file that the kernel knew no build-id of has a patch. */
static struct kc_error *learn_file(struct run *run, struct kc_task *task)
{
	struct file_verdict *verdict = verdict_of(run, &task->file);
	kc_autoprocess struct kc_process_view *view = NULL;

	KC_TRY(kc_process_view_open(run->ctx, task->pid, &view));
	for (size_t i = 0; i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];

		if (task->addrs[0] < object->start || task->addrs[0] >= object->end)
			continue;
		*verdict = (struct file_verdict){ .file = task->file, .known = true };
		verdict->has_patch = kc_user_index_find(run->policy.index, object->build_id, object->build_id_size);
	}
	task->is_asked = false;
	return NULL;
}

static struct kc_error *patch_now(struct run *run, const struct kc_task *task)
{
	struct kc_user_result result = { 0 };

	KC_TRY(kc_user_apply(run->ctx, &run->policy, task->pid, &result));
	kc_info(run->ctx, "pid %d: patched %zu functions; stopped for %.3f ms, %.1f ms after it was seen", task->pid,
		result.n_functions, (double)result.stop_ns / MS, (double)(now_ns() - task->seen_ns) / MS);
	return NULL;
}

static void end_task(struct run *run, struct kc_task *task)
{
	if (task->is_busy)
		mark_changed(run);
	kc_tasks_drop(&run->tasks, task);
}

/* Takes `err`, the result of trying, and decides whether to try again. */
static void judge(struct run *run, struct kc_task *task, struct kc_error *err)
{
	enum kc_error_code code = err ? kc_error_code(err) : KC_ERR_NOTHING;
	bool again = code == KC_ERR_BUSY || code == KC_ERR_TRACED;

	if (!err || (kc_error_code_exit(code) != KC_EXIT_NOTHING && code != KC_ERR_NO_PROCESS))
		mark_changed(run);
	if (again && !task->is_busy)
		kc_info(run->ctx, "pid %d: %s; trying again", task->pid, kc_error_message(err));
	else if (code == KC_ERR_BLACKLISTED)
		kc_info(run->ctx, "pid %d: %s", task->pid, kc_error_message(err));
	else if (err && !again && kc_error_code_exit(code) != KC_EXIT_NOTHING && code != KC_ERR_NO_PROCESS)
		kc_log(run->ctx, KC_LOG_ERROR, "%s: pid %d: %s", kc_error_code_name(code), task->pid,
		       kc_error_message(err));
	kc_error_free(err);
	if (!again) {
		end_task(run, task);
		return;
	}
	task->is_busy = true;
	if (code == KC_ERR_BUSY)
		kc_task_postpone(task, now_ns(), BUSY_LEAST, BUSY_MOST);
	else
		kc_task_postpone(task, now_ns(), TRACED_LEAST, TRACED_MOST);
}

/* The server maps libraries, too. Nobody can stop itself: a child does it. */
static void start_self(struct run *run)
{
	pid_t parent = getpid(), child;
	kc_autoerror struct kc_error *err = NULL;

	if (run->self_child)
		return;
	child = fork();
	if (child) {
		run->self_child = child > 0 ? child : 0;
		return;
	}
	err = patch_now(run, &(struct kc_task){ .pid = parent, .seen_ns = now_ns() });
	if (err && kc_error_code(err) != KC_ERR_BUSY && kc_error_code(err) != KC_ERR_NOTHING)
		kc_log(run->ctx, KC_LOG_ERROR, "%s: the server itself: %s", kc_error_code_name(kc_error_code(err)),
		       kc_error_message(err));
	_exit(err ? kc_error_code_exit(kc_error_code(err)) : KC_EXIT_DONE);
}

static void run_task(struct run *run, struct kc_task *task)
{
	struct kc_error *err;
	bool done;

	task->looked_at = true;
	if (task->pid == getpid()) {
		start_self(run);
		kc_tasks_drop(&run->tasks, task);
		return;
	}
	if (!task->settled) {
		err = check_loader(run, task, &done);
		if (err || !done) {
			if (err)
				judge(run, task, err);
			return;
		}
	}
	err = task->is_asked ? learn_file(run, task) : NULL;
	judge(run, task, err ? err : patch_now(run, task));
}

/* ---- all processes ---- */

/* A full queue is worked off first: it is why the scan is wanted. */
static bool may_scan(const struct run *run)
{
	return run->scan_wanted && run->tasks.n <= run->tasks.max / 2;
}

static struct kc_error *start_scan(struct run *run)
{
	run->scan_wanted = false;
	run->scan_next = run->n_scan = 0;
	free(run->scan_pids);
	run->scan_pids = NULL;
	return kc_process_list(run->ctx, &run->scan_pids, &run->n_scan);
}

/* A patch is to come in, or to go. */
static bool is_of_interest(const struct run *run, const struct kc_object *object)
{
	return kc_user_index_find(run->policy.index, object->build_id, object->build_id_size) ||
	       kc_user_index_withdraws_from(run->policy.index, object->build_id, object->build_id_size);
}

/* Whoever maps something that has a patch becomes a task, which finds out whether it is in already. */
static void scan_one(struct run *run)
{
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autoerror struct kc_error *err = NULL;
	struct kc_task *task = NULL;
	pid_t pid;

	if (run->scan_next >= run->n_scan) {
		free(run->scan_pids);
		run->scan_pids = NULL;
		mark_changed(run);
		return;
	}
	pid = run->scan_pids[run->scan_next++];
	if (kc_tasks_find(&run->tasks, pid))
		return;
	err = kc_process_view_open(run->ctx, pid, &view);
	if (err && kc_error_code_exit(kc_error_code(err)) != KC_EXIT_NOTHING && kc_error_code(err) != KC_ERR_NO_PROCESS)
		kc_warning(run->ctx, "pid %d: %s", pid, kc_error_message(err));
	for (size_t i = 0; !err && i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];

		if (!is_of_interest(run, object))
			continue;
		task = need_task(run, pid);
		if (!task)
			return;
		kc_task_add_addr(task, object->start, now_ns());
	}
}

static void tell_ready(struct run *run)
{
	if (run->ready_told || run->scan_pids || run->scan_wanted || kc_tasks_has_fresh(&run->tasks) || run->self_child)
		return;
	run->ready_told = true;
	if (run->server->ready)
		run->server->ready(run->ctx, run->server->data);
}

/* ---- the list of CVEs ---- */

/* In a child, so that no process waits for its patch meanwhile. */
static void start_list(struct run *run)
{
	kc_autoerror struct kc_error *err = NULL;
	pid_t child = fork();

	if (child < 0)
		return; /* still dirty: again soon */
	run->dirty_ns = 0;
	run->listed_ns = now_ns();
	run->list_child = child;
	if (child)
		return;
	setpriority(PRIO_PROCESS, 0, 10);
	err = kc_user_cvelist_write(run->ctx, run->policy.store, run->policy.blacklist);
	if (err)
		kc_log(run->ctx, KC_LOG_ERROR, "%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	_exit(err ? KC_EXIT_FAILED : KC_EXIT_DONE);
}

/* When the list is to be written: 0 not now, else a time. */
static uint64_t list_due(const struct run *run)
{
	if (run->list_child || !run->ready_told)
		return 0;
	if (!run->dirty_ns)
		return run->listed_ns + LIST_EVERY;
	if (run->changed_ns + LIST_QUIET < run->dirty_ns + LIST_LATEST)
		return run->changed_ns + LIST_QUIET;
	return run->dirty_ns + LIST_LATEST;
}

static void reap_children(struct run *run)
{
	int status;

	if (run->list_child && waitpid(run->list_child, NULL, WNOHANG) != 0)
		run->list_child = 0;
	if (!run->self_child || waitpid(run->self_child, &status, WNOHANG) != run->self_child)
		return;
	run->self_child = 0;
	mark_changed(run);
	if (WIFEXITED(status) && WEXITSTATUS(status) == KC_EXIT_BUSY) {
		struct kc_task *task = need_task(run, getpid());

		if (task)
			task->due_ns = now_ns() + BUSY_MOST;
	}
}

/* ---- the loop ---- */

static struct kc_error *load(struct run *run)
{
	KC_TRY(run->server->load(run->ctx, run->server->data, &run->policy));
	memset(run->files, 0, sizeof(run->files));
	run->scan_wanted = true;
	return NULL;
}

static void read_signals(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->server->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			run->end = true;
		if (info.ssi_signo == SIGHUP) {
			kc_autoerror struct kc_error *err = load(run);

			if (err)
				kc_log(run->ctx, KC_LOG_ERROR, "%s: going on with the patches from before: %s",
				       kc_error_code_name(kc_error_code(err)), kc_error_message(err));
			else
				kc_info(run->ctx, "the patches were read again");
		}
	}
	reap_children(run);
}

static void wait_for_work(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = kc_events_fd(run->events), .events = POLLIN },
		{ .fd = run->server->signal_fd, .events = POLLIN },
	};
	const struct kc_task *task = kc_tasks_next(&run->tasks);
	uint64_t now = now_ns(), due = run->cpus_ns + CPUS_EVERY, list = list_due(run), delay;
	struct timespec timeout;

	if (task && task->due_ns < due)
		due = task->due_ns;
	if (list && list < due)
		due = list;
	delay = run->scan_pids || may_scan(run) || due <= now ? 0 : due - now;
	timeout = (struct timespec){ .tv_sec = (time_t)(delay / SECOND), .tv_nsec = (long)(delay % SECOND) };
	ppoll(fds, KC_ARRAY_SIZE(fds), &timeout, NULL);
}

static struct kc_error *check_cpus(struct run *run)
{
	bool changed;

	if (now_ns() < run->cpus_ns + CPUS_EVERY)
		return NULL;
	run->cpus_ns = now_ns();
	KC_TRY(kc_events_update_cpus(run->ctx, run->events, NULL, &changed));
	run->scan_wanted = run->scan_wanted || changed;
	return NULL;
}

static struct kc_error *turn(struct run *run)
{
	struct kc_task *task;
	uint64_t list;

	wait_for_work(run);
	read_signals(run);
	if (run->end)
		return NULL;
	KC_TRY(read_events(run));
	KC_TRY(check_cpus(run));
	task = kc_tasks_next(&run->tasks);
	if (task && task->due_ns <= now_ns()) {
		run_task(run, task);
		return NULL;
	}
	/* Nobody waits: time for the rest. */
	if (run->scan_pids)
		scan_one(run);
	else if (may_scan(run))
		KC_TRY(start_scan(run));
	tell_ready(run);
	list = list_due(run);
	if (list && list <= now_ns())
		start_list(run);
	return NULL;
}

/* The lock of the one server of this host; it lasts as long as the descriptor. It tells who holds it. */
static struct kc_error *lock_host(int *fd)
{
	struct kc_error *err = kc_user_lock(KC_PATH_SERVER_LOCK, false, fd);

	if (err)
		return kc_error_code(err) == KC_ERR_BUSY ? kc_error_prefix(err, "another server runs on this host")
							 : err;
	if (ftruncate(*fd, 0) < 0 || dprintf(*fd, "%d\n", getpid()) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write " KC_PATH_SERVER_LOCK);
	return NULL;
}

/* The file may be from a server that was killed: the name of the process decides. */
struct kc_error *kc_user_server_find(pid_t *pid)
{
	kc_autofree char *path = kc_user_path(KC_PATH_SERVER_LOCK);
	kc_autobuf struct kc_buf text = { 0 }, comm = { 0 };
	char comm_path[64];
	int err;

	*pid = 0;
	if (!path)
		return kc_error_no_memory();
	err = kc_file_read_now(path, PID_FILE_MAX, &text);
	if (err && err != -ENOENT)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	if (err || !text.size)
		return NULL;
	snprintf(comm_path, sizeof(comm_path), "/proc/%ld/comm", strtol(text.data, NULL, 10));
	if (!kc_file_read(comm_path, PID_FILE_MAX, &comm) && !strcmp(comm.data, KC_USER_SERVER_NAME "\n"))
		*pid = (pid_t)strtol(text.data, NULL, 10);
	return NULL;
}

struct kc_error *kc_user_server_run(struct kc_ctx *ctx, const struct kc_user_server *server)
{
	KC_CLEANUP(run_clear) struct run run = { .ctx = ctx, .server = server };
	kc_autoclose int lock = -1;
	struct kc_error *err;

	run.tasks.max = server->n_tasks_max ? server->n_tasks_max : N_TASKS_MAX;
	KC_TRY(lock_host(&lock));
	/* Events first, then the look at all processes: nobody is missed in between. */
	KC_TRY(kc_events_open(ctx, &(struct kc_events_options){ 0 }, &run.events));
	run.cpus_ns = run.listed_ns = now_ns();
	err = load(&run);
	while (!err && !run.end)
		err = turn(&run);
	/* A child that stops this very process must come to its end. */
	if (run.self_child > 0)
		waitpid(run.self_child, NULL, 0);
	if (run.list_child > 0)
		waitpid(run.list_child, NULL, 0);
	return err;
}
