/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "proc/process.h"
#include "proc/thread.h"

static int answer = 42;

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	assert_true(pid > 0);
	return pid;
}

static void end_sleeper(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void view_shows_program_libraries_and_memory(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoprocess struct kc_process_view *view = NULL;
	const struct kc_object *program = NULL, *libc = NULL;
	pid_t pid = start_sleeper();
	int value;

	(void)state;
	assert_null(kc_process_view_open(ctx, pid, &view));
	for (size_t i = 0; i < view->n_objects; i++) {
		if (view->objects[i].is_main)
			program = &view->objects[i];
		if (strcmp(view->objects[i].name, "libc.so.6") == 0)
			libc = &view->objects[i];
	}
	assert_non_null(program);
	assert_non_null(libc);
	assert_string_equal(program->path, view->exe);
	assert_true((uint64_t)(uintptr_t)&answer > program->start && (uint64_t)(uintptr_t)&answer < program->end);
	assert_true(libc->build_id_size >= 8);
	assert_true(view->start_time > 0);
	assert_int_equal(kc_process_read(view, (uint64_t)(uintptr_t)&answer, &value, sizeof(value)), 0);
	assert_int_equal(value, 42);
	assert_int_not_equal(kc_process_read(view, 8, &value, sizeof(value)), 0);
	assert_non_null(kc_process_map_at(view, (uint64_t)(uintptr_t)&answer));
	assert_null(kc_process_map_at(view, 8));
	end_sleeper(pid);
}

static void object_opens_the_file_that_is_mapped(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autoelf struct kc_elf *elf = NULL;
	pid_t pid = start_sleeper();

	(void)state;
	assert_null(kc_process_view_open(ctx, pid, &view));
	for (size_t i = 0; i < view->n_objects && !elf; i++)
		if (strcmp(view->objects[i].name, "libc.so.6") == 0)
			assert_null(kc_object_open_elf(ctx, view, &view->objects[i], &elf));
	assert_non_null(elf);
	assert_string_equal(elf->soname, "libc.so.6");
	end_sleeper(pid);
}

static void blocked_thread_shows_its_system_call_and_runs(void **state)
{
	struct kc_thread_look first = { 0 }, second;
	struct kc_thread_status status;
	pid_t pid = start_sleeper();

	(void)state;
	while (!first.blocked || first.syscall != SYS_pause)
		assert_int_equal(kc_thread_look(pid, pid, &first), 0);
	assert_int_equal(kc_thread_look(pid, pid, &second), 0);
	assert_true(kc_thread_look_same(&first, &second));
	assert_true(first.sp && first.pc);
	assert_int_equal(kc_thread_status(pid, pid, &status), 0);
	assert_int_equal(status.state, 'S');
	assert_int_equal(status.tracer, 0);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_int_equal(kc_thread_look(pid, pid, &second), 0);
	assert_false(kc_thread_look_same(&first, &second));
	end_sleeper(pid);
	assert_int_equal(kc_thread_look(pid, pid, &second), -ESRCH);
}

/* The signals and the seccomp mode come behind a long line of groups. */
static void status_is_read_whole(void **state)
{
	gid_t groups[4000];
	struct kc_thread_status status;
	pid_t pid;
	int ready[2];
	char byte;

	(void)state;
	if (geteuid() != 0) {
		print_message("only root has many groups\n");
		skip();
	}
	for (size_t i = 0; i < 4000; i++)
		groups[i] = (gid_t)(1000000000 + i);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		signal(SIGUSR1, SIG_IGN);
		if (setgroups(4000, groups) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(kc_thread_status(pid, pid, &status), 0);
	assert_true(status.ignored & 1ull << (SIGUSR1 - 1));
	end_sleeper(pid);
}

static void ended_and_kernel_processes_are_told_apart(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_process_view *view = NULL;
	pid_t pid = start_sleeper();
	struct kc_error *err;
	siginfo_t info;

	(void)state;
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	err = kc_process_view_open(ctx, pid, &view);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NOTHING);
	kc_error_free(err);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	err = kc_process_view_open(ctx, pid, &view);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NO_PROCESS);
	kc_error_free(err);
	assert_null(view);
}

static void lists_hold_ourselves_in_order(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autofree pid_t *pids = NULL, *tids = NULL;
	size_t n_pids, n_tids;
	bool found = false;

	(void)state;
	assert_null(kc_process_list(ctx, &pids, &n_pids));
	for (size_t i = 0; i < n_pids; i++) {
		assert_true(!i || pids[i] > pids[i - 1]);
		found |= pids[i] == getpid();
	}
	assert_true(found);
	assert_int_equal(kc_thread_list(getpid(), &tids, &n_tids), 0);
	assert_true(n_tids >= 1);
	assert_int_equal(tids[0], getpid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_shows_program_libraries_and_memory),
		cmocka_unit_test(object_opens_the_file_that_is_mapped),
		cmocka_unit_test(blocked_thread_shows_its_system_call_and_runs),
		cmocka_unit_test(status_is_read_whole),
		cmocka_unit_test(ended_and_kernel_processes_are_told_apart),
		cmocka_unit_test(lists_hold_ourselves_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
