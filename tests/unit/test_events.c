/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real perf events of real processes. Where perf is forbidden each test says so and is skipped by name. */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "elf/elf_file.h"
#include "proc/events.h"
#include "proc/loader.h"

#define PROGRAM "/usr/bin/sleep"

struct seen {
	pid_t pid;	  /* whose events count; 0: anybody's */
	const char *path; /* which mapping counts */
	struct kc_event map;
	size_t n_maps, n_forks;
	pid_t forked;
};

static void see(void *data, const struct kc_event *event)
{
	struct seen *seen = data;

	if (event->kind == KC_EVENT_FORK && event->parent == getpid()) {
		seen->n_forks++;
		seen->forked = event->pid;
	}
	if (event->kind != KC_EVENT_MAP || (seen->pid && event->pid != seen->pid) ||
	    strcmp(event->path, seen->path) != 0)
		return;
	seen->n_maps++;
	seen->map = *event;
	seen->map.path = NULL;
}

static struct kc_events *open_events(const struct kc_events_options *options)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_events *events = NULL;
	struct kc_error *err = kc_events_open(ctx, options, &events);

	if (err && kc_error_code(err) == KC_ERR_PERMISSION) {
		print_message("# SKIPPED: %s\n", kc_error_message(err));
		kc_error_free(err);
		skip();
	}
	if (err)
		fail_msg("%s", kc_error_message(err));
	return events;
}

static pid_t start(int cpu, bool traced)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (traced)
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execl(PROGRAM, "sleep", "30", NULL);
	_exit(127);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Reads for at most five seconds until the mapping was seen. */
static bool wait_for_map(struct kc_events *events, struct seen *seen)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct pollfd wanted = { .fd = kc_events_fd(events), .events = POLLIN };
	bool lost;

	for (int i = 0; i < 100 && !seen->n_maps; i++) {
		poll(&wanted, 1, 50);
		assert_null(kc_events_read(ctx, events, see, seen, &lost));
	}
	return seen->n_maps;
}

static void mapping_is_seen_with_build_id(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ 0 });
	kc_autoelf struct kc_elf *elf = NULL;
	struct seen seen = { .path = PROGRAM };
	pid_t pid = seen.pid = start(-1, false);

	(void)state;
	assert_true(wait_for_map(events, &seen));
	stop(pid);
	assert_true(seen.n_forks >= 1);
	assert_int_equal(seen.forked, pid);
	assert_null(kc_elf_open(ctx, PROGRAM, &elf));
	assert_int_equal(seen.map.build_id_size, elf->build_id_size);
	assert_memory_equal(seen.map.build_id, elf->build_id, elf->build_id_size);
}

static void without_build_id_device_and_inode_name_the_file(void **state)
{
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ .no_build_id = true });
	struct seen seen = { .path = PROGRAM };
	pid_t pid = seen.pid = start(-1, false);
	struct stat st;

	(void)state;
	assert_true(wait_for_map(events, &seen));
	stop(pid);
	assert_int_equal(seen.map.build_id_size, 0);
	assert_int_equal(stat(PROGRAM, &st), 0);
	assert_int_equal(seen.map.inode, st.st_ino);
	assert_int_equal(seen.map.dev_major, major(st.st_dev));
	assert_int_equal(seen.map.dev_minor, minor(st.st_dev));
}

static void full_ring_is_a_loss(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ .ring_pages = 1 });
	kc_autoclose int fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	struct seen seen = { .pid = getpid(), .path = PROGRAM };
	bool lost = false;

	(void)state;
	for (int i = 0; i < 500; i++)
		munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), 4096);
	assert_null(kc_events_read(ctx, events, see, &seen, &lost));
	assert_true(lost);
	assert_true(seen.n_maps < 500);
	/* The kernel's own record of the loss comes with the next event; after that the stream is whole again. */
	munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), 4096);
	assert_null(kc_events_read(ctx, events, see, &seen, &lost));
	assert_true(lost);
	seen.n_maps = 0;
	munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), 4096);
	assert_null(kc_events_read(ctx, events, see, &seen, &lost));
	assert_int_equal(seen.n_maps, 1);
}

/* One event is enough to wake a reader up: it must not wait for more. */
static void single_event_wakes_up(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ 0 });
	struct pollfd wanted = { .fd = kc_events_fd(events), .events = POLLIN };
	kc_autoclose int fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	struct seen seen = { .pid = getpid(), .path = PROGRAM };
	bool lost;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		assert_null(kc_events_read(ctx, events, see, &seen, &lost));
		munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), 4096);
		assert_int_equal(poll(&wanted, 1, 200), 1);
	}
}

static void cpu_that_comes_online_is_watched(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ .online = "0" });
	size_t n_cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	struct seen seen = { .path = PROGRAM };
	bool changed;
	pid_t pid;

	(void)state;
	if (n_cpus < 2) {
		print_message("# SKIPPED: this machine has one CPU only\n");
		skip();
	}
	assert_int_equal(kc_events_n_cpus(events), 1);
	assert_null(kc_events_update_cpus(ctx, events, NULL, &changed));
	assert_true(changed);
	assert_int_equal(kc_events_n_cpus(events), n_cpus);
	seen.pid = pid = start(1, false);
	assert_true(wait_for_map(events, &seen));
	stop(pid);
	assert_null(kc_events_update_cpus(ctx, events, "0", &changed));
	assert_true(changed);
	assert_int_equal(kc_events_n_cpus(events), 1);
	assert_null(kc_events_update_cpus(ctx, events, "0", &changed));
	assert_false(changed);
}

static void loader_is_busy_after_exec_and_done_in_the_program(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoevents struct kc_events *events = open_events(&(struct kc_events_options){ 0 });
	const struct timespec pause = { .tv_nsec = 1000000 };
	enum kc_loader_state loader = KC_LOADER_DONE;
	struct seen seen = { .path = PROGRAM };
	pid_t pid = seen.pid = start(-1, true);

	(void)state;
	/* Stopped at the end of exec: the loader has not run a single instruction. */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(wait_for_map(events, &seen));
	assert_null(kc_loader_look(ctx, pid, seen.map.addr, &loader));
	assert_int_equal(loader, KC_LOADER_BUSY);
	assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	for (int i = 0; i < 3000 && loader == KC_LOADER_BUSY; i++) {
		assert_null(kc_loader_look(ctx, pid, seen.map.addr, &loader));
		nanosleep(&pause, NULL);
	}
	assert_int_equal(loader, KC_LOADER_DONE);
	stop(pid);
}

/* An address inside the executable mapping of `path`. */
static uint64_t find_code(pid_t pid, const char *path)
{
	kc_autofclose FILE *maps = NULL;
	char name[64], line[4096];

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, " r-xp ") && strstr(line, path))
			return strtoul(line, NULL, 16);
	}
	fail_msg("%s is not mapped", path);
	return 0;
}

static void dlopen_slowly(int go, int tell)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(go, 200) != 200 || dup2(tell, 201) != 201 || !dlopen(SLOW_RESOLVER, RTLD_NOW))
		_exit(1);
	/* Here the loader is done, and constructors have run. */
	if (write(201, "d", 1) != 1)
		_exit(1);
	pause();
}

/* In dlopen() the loader's list is consistent before the object is relocated: only its RELRO pages tell. */
static void loader_is_busy_until_the_object_is_relocated(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	enum kc_loader_state loader = KC_LOADER_DONE;
	int go[2], tell[2];
	uint64_t addr;
	char byte = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(tell), 0);
	pid = fork();
	if (!pid)
		dlopen_slowly(go[0], tell[1]);
	assert_int_equal(read(tell[0], &byte, 1), 1);
	assert_int_equal(byte, 'r');
	addr = find_code(pid, SLOW_RESOLVER);
	assert_null(kc_loader_look(ctx, pid, addr, &loader));
	assert_int_equal(loader, KC_LOADER_BUSY);
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(read(tell[0], &byte, 1), 1);
	assert_int_equal(byte, 'd');
	assert_null(kc_loader_look(ctx, pid, addr, &loader));
	assert_int_equal(loader, KC_LOADER_DONE);
	stop(pid);
	close(go[0]);
	close(go[1]);
	close(tell[0]);
	close(tell[1]);
}

static void loader_of_nobody_is_an_error(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	enum kc_loader_state loader;
	kc_autoerror struct kc_error *err = NULL;

	(void)state;
	err = kc_loader_look(ctx, 0x3fffffff, 4096, &loader);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NO_PROCESS);
	kc_error_free(err);
	err = kc_loader_look(ctx, getpid(), 4096, &loader);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mapping_is_seen_with_build_id),
		cmocka_unit_test(without_build_id_device_and_inode_name_the_file),
		cmocka_unit_test(full_ring_is_a_loss),
		cmocka_unit_test(single_event_wakes_up),
		cmocka_unit_test(cpu_that_comes_online_is_watched),
		cmocka_unit_test(loader_is_busy_after_exec_and_done_in_the_program),
		cmocka_unit_test(loader_is_busy_until_the_object_is_relocated),
		cmocka_unit_test(loader_of_nobody_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
