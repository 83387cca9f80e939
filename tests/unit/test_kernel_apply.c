/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel patching as far as no kernel is needed: what the kernel's texts mean, and what a plan refuses. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "apply/kernel_internal.h"
#include "apply/kernel_read.h"
#include "apply/user_tracee.h"
#include "base/array.h"
#include "sample.h"

/* ---- notes ---- */

static void add_note(struct kc_buf *notes, uint32_t type, const char *name, const void *data, uint32_t size)
{
	kc_buf_append_u32(notes, (uint32_t)strlen(name) + 1);
	kc_buf_append_u32(notes, size);
	kc_buf_append_u32(notes, type);
	kc_buf_append(notes, name, strlen(name) + 1);
	kc_buf_align(notes, 4);
	kc_buf_append(notes, data, size);
	kc_buf_align(notes, 4);
}

static void test_build_id_of_notes(void **state)
{
	kc_autobuf struct kc_buf notes = { 0 };
	kc_autofree char *id = NULL;

	(void)state;
	assert_null(kc_notes_build_id("", 0));
	add_note(&notes, 18, "Xen", "\1\2\3", 3);
	add_note(&notes, 3, "NetBSD", "\1\2", 2);
	assert_null(kc_notes_build_id(notes.data, notes.size));
	add_note(&notes, 3, "GNU", "\x12\xf1\xe1\xca\x03", 5);
	add_note(&notes, 0x100, "Linux", "\0", 1);
	id = kc_notes_build_id(notes.data, notes.size);
	assert_string_equal(id, "12f1e1ca03");
}

/* Sizes that lie lead to no read behind the end (the sanitizer would see it), whatever is cut off. */
static void test_damaged_notes(void **state)
{
	kc_autobuf struct kc_buf notes = { 0 };

	(void)state;
	add_note(&notes, 0x100, "Linux", "\0\0\0", 3);
	add_note(&notes, 3, "GNU", "0123456789", 10);
	for (size_t size = 0; size < notes.size - 2; size++) { /* the last two bytes are padding */
		kc_autofree char *copy = malloc(size + 1);
		char *id;

		memcpy(copy, notes.data, size);
		id = kc_notes_build_id(copy, size);
		assert_null(id);
	}
	for (size_t at = 0; at < 12; at++) {
		kc_autofree char *copy = malloc(notes.size);
		char *id;

		memcpy(copy, notes.data, notes.size);
		copy[at] = (char)0xff;
		id = kc_notes_build_id(copy, notes.size);
		free(id);
	}
}

/* ---- where are we ---- */

static void test_lockdown_text(void **state)
{
	(void)state;
	assert_false(kc_lockdown_is_on("[none] integrity confidentiality\n"));
	assert_true(kc_lockdown_is_on("none [integrity] confidentiality\n"));
	assert_true(kc_lockdown_is_on("none integrity [confidentiality]\n"));
	assert_false(kc_lockdown_is_on(""));
}

static void test_container_in_environment(void **state)
{
	static const char host[] = "HOME=/\0TERM=linux\0PATH=/bin\0not_container=lxc";
	static const char empty[] = "HOME=/\0container=\0TERM=linux";
	static const char inside[] = "HOME=/\0container=lxc\0TERM=linux";

	(void)state;
	assert_false(kc_environ_names_container(host, sizeof(host)));
	assert_false(kc_environ_names_container(empty, sizeof(empty)));
	assert_true(kc_environ_names_container(inside, sizeof(inside)));
	assert_false(kc_environ_names_container("", 0));
}

static void test_module_level(void **state)
{
	(void)state;
	assert_int_equal(kc_module_level("kcare_livepatch_3"), 3);
	assert_int_equal(kc_module_level("kcare_livepatch_extra_12"), 12);
	assert_int_equal(kc_module_level("kpatch_3"), 0);
	assert_int_equal(kc_module_level("kcare"), 0);
}

/* ---- tasks ---- */

static void test_task_stat(void **state)
{
	struct kc_kernel_task task = { 0 };

	(void)state;
	assert_int_equal(kc_task_stat_parse("93 (sleepyd) S 2 0 0 0 -1 2129984 0 0", &task), 0);
	assert_string_equal(task.comm, "sleepyd");
	assert_int_equal(task.state, 'S');
	assert_true(task.is_kernel); /* 0x208040 */
	assert_int_equal(kc_task_stat_parse("7 (a) b) (c) D 1 7 7 0 -1 4194304 0 0", &task), 0);
	assert_string_equal(task.comm, "a) b) (c");
	assert_int_equal(task.state, 'D');
	assert_false(task.is_kernel);
	assert_int_equal(kc_task_stat_parse("8 (iou-wrk-7) S 1 7 7 0 -1 4194368 0 0", &task), 0);
	assert_false(task.is_kernel); /* PF_FORKNOEXEC alone */
	assert_int_equal(kc_task_stat_parse("8 (iou-wrk-7) S 1 7 7 0 -1 4194384 0 0", &task), 0);
	assert_true(task.is_kernel); /* PF_IO_WORKER */
	assert_int_equal(kc_task_stat_parse("8 (cut", &task), -EINVAL);
	assert_int_equal(kc_task_stat_parse("8 (cut) S 1 2", &task), -EINVAL);
	assert_int_equal(kc_task_stat_parse("", &task), -EINVAL);
}

static const struct kc_kernel_task *find_task(const struct kc_kernel_task *tasks, size_t n, pid_t tid)
{
	for (size_t i = 0; i < n; i++) {
		if (tasks[i].tid == tid)
			return &tasks[i];
	}
	return NULL;
}

static void test_task_list(void **state)
{
	kc_autofree struct kc_kernel_task *tasks = NULL;
	const struct kc_kernel_task *self;
	size_t n, n_total;

	(void)state;
	sample_must(kc_task_list(NULL, -1, &tasks, &n, &n_total));
	assert_in_range(n, 1, n_total);
	self = find_task(tasks, n, getpid());
	assert_non_null(self);
	assert_false(self->is_kernel);
	assert_int_equal(self->pid, getpid());
}

/* A child that sleeps 0.3 s is interrupted three times, and neither sees it nor sleeps longer. */
static void test_interrupt_is_invisible(void **state)
{
	struct timespec time = { 0, 300000000 };
	size_t n_interrupted = 0;
	uint64_t begin = kc_now_ns();
	struct kc_kernel_task task = { .state = 'S' };
	int status;

	(void)state;
	task.pid = task.tid = fork();
	if (!task.pid)
		_exit(nanosleep(&time, NULL) ? 1 : 0);
	for (int i = 0; i < 3; i++) {
		kc_nap(30000);
		sample_must(kc_task_interrupt(NULL, &task, 1, &n_interrupted));
	}
	assert_int_equal(n_interrupted, 3);
	assert_int_equal(waitpid(task.pid, &status, 0), task.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_in_range(kc_now_ns() - begin, 300000000, 5000000000);
}

/* Kernel threads, those that cannot wake up and we ourselves are left alone. */
static void test_who_is_not_interrupted(void **state)
{
	struct kc_kernel_task tasks[] = {
		{ .pid = 2, .tid = 2, .state = 'S', .is_kernel = true },
		{ .pid = getpid(), .tid = getpid(), .state = 'S' },
		{ .pid = 0x3ffffffe, .tid = 0x3ffffffe, .state = 'S' }, /* there is none */
		{ .pid = 0, .tid = 0, .state = 'D' },
	};
	size_t n_interrupted = 0;

	(void)state;
	tasks[3].pid = tasks[3].tid = fork();
	if (!tasks[3].pid) {
		pause();
		_exit(1);
	}
	sample_must(kc_task_interrupt(NULL, tasks, KC_ARRAY_SIZE(tasks), &n_interrupted));
	assert_int_equal(n_interrupted, 0);
	kill(tasks[3].pid, SIGKILL);
	waitpid(tasks[3].pid, NULL, 0);
}

static void test_equal_tasks_are_described_together(void **state)
{
	struct kc_kernel_task tasks[] = {
		{ .pid = 11, .tid = 11, .comm = "busy", .state = 'R' },
		{ .pid = 12, .tid = 12, .comm = "other", .state = 'R' },
		{ .pid = 11, .tid = 13, .comm = "busy", .state = 'R' },
		{ .pid = 14, .tid = 14, .comm = "busy", .state = 'R', .is_kernel = true },
	};
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	kc_task_describe(tasks, 3, &text);
	assert_string_equal(text.data, "\n  busy, task 11, 13:\n      (running)\n  other, task 12:\n      (running)");
	kc_buf_reset(&text);
	kc_task_describe(&tasks[3], 1, &text);
	assert_string_equal(text.data, "\n  kernel thread busy, task 14:\n      (running)");
}

/* ---- what the kernel said ---- */

static void assert_picked(const char *text, const char *expected)
{
	kc_autofree char *said = kc_kmsg_pick(text, "kcare_livepatch_1");

	if (!expected)
		assert_null(said);
	else
		assert_string_equal(said, expected);
}

static void test_kernel_message(void **state)
{
	(void)state;
	assert_picked("", NULL);
	assert_picked("6,1,100,-;eth0: link is up\n SUBSYSTEM=net\n", NULL);
	assert_picked("6,1,100,-;eth0: link is up\n4,2,101,-;kcare_livepatch_1: Unknown symbol x (err -2)\n"
		      "6,3,102,-;eth0: link is down\n",
		      "kcare_livepatch_1: Unknown symbol x (err -2)");
	/* the last words are a summary: what went wrong came before */
	assert_picked("5,1,1,-;livepatch: enabling patch 'kcare_livepatch_1'\n"
		      "3,2,2,-;livepatch: failed to register ftrace handler for function 'f' (-16)\n"
		      "4,3,3,-;livepatch: failed to patch object 'vmlinux'\n"
		      "4,4,4,-;livepatch: failed to enable patch 'kcare_livepatch_1'\n",
		      "livepatch: failed to register ftrace handler for function 'f' (-16)");
	assert_picked("5,1,1,-;Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7\n",
		      "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7");
	assert_picked("4,1,1,-;livepatch: without a newline", "livepatch: without a newline");
	assert_picked("livepatch: no record\n", NULL);
}

/* ---- other users ---- */

static const char kprobes[] = "ffffffffaf40c320  k  cmdline_proc_show+0x0    [FTRACE]\n"
			      "ffffffffaf40c325  k  cmdline_proc_show+0x5    [OPTIMIZED]\n"
			      "ffffffffc0293070  r  sleepy_wait+0x0  sleepy [DISABLED][FTRACE]\n"
			      "0000000000000000  k  tcp_connect+0x10    [GONE]\n"
			      "ffffffffaf40c329  k  cmdline_proc_show_all+0x9    \n"
			      "ffffffffaf40c330  k  do_exit+0x1a/0x9c0 [DISABLED]\n";
static const char events[] = "p:kcare/mine cmdline_proc_show\n"
			     "r10:kcare/back sleepy:sleepy_wait\n"
			     "p:kcare/deep do_exit+26 pid=$arg1\n"
			     "p:kcare/raw 0x0000000012345678\n"
			     "broken\n";

static void assert_kprobes(const char *list, const char *event_list, const char *function, const char *expected)
{
	kc_autobuf struct kc_buf users = { 0 };
	struct kc_kernel_function parsed;

	kc_kernel_function_parse(function, &parsed);
	kc_kprobes_find(list, event_list, &parsed, &users);
	assert_string_equal(users.data ? users.data : "", expected);
}

static void test_kprobes(void **state)
{
	(void)state;
	assert_kprobes(kprobes, events, "vmlinux:cmdline_proc_show",
		       "; kprobe event kcare/mine at +0x0; a kprobe of perf, BPF or a module at +0x5");
	assert_kprobes(kprobes, events, "sleepy:sleepy_wait", "; kprobe event kcare/back at +0x0");
	assert_kprobes(kprobes, NULL, "sleepy:sleepy_wait", "; a kprobe of perf, BPF or a module at +0x0");
	assert_kprobes(kprobes, events, "vmlinux:sleepy_wait", "");
	assert_kprobes(kprobes, events, "sleepy:cmdline_proc_show", "; kprobe event kcare/mine at +0x0");
	assert_kprobes(kprobes, events, "vmlinux:do_exit", "; kprobe event kcare/deep at +0x1a");
	assert_kprobes(kprobes, events, "vmlinux:tcp_connect", "");
	assert_kprobes(kprobes, events, "vmlinux:cmdline", "");
	assert_kprobes(NULL, NULL, "vmlinux:do_exit", "");
	assert_kprobes(NULL, events, "vmlinux:do_exit", "; kprobe event kcare/deep at +0x1a");
}

static const char enabled[] =
	"alone (1) R I  \ttramp: 0xffffffffc02e4000 (klp_ftrace_handler+0x0/0x110) ->klp_ftrace_handler+0x0/0x110\n"
	"both (2)   I   ->arch_ftrace_ops_list_func+0x0/0x1d0\n"
	"traced (1)      \ttramp: 0xffffffffc029a000 (function_trace_call+0x0/0x120) ->function_trace_call+0x0/0x120\n"
	"inside [sleepy] (1)   I  \ttramp: 0xffffffffc029a000 (custom_call+0x0/0x120 [spy]) ->custom_call+0x0/0x120\n"
	"fentry (1)   I D O \ttramp: 0xffffffffc029a000 (call_direct_funcs+0x0/0x20) ->call_direct_funcs+0x0/0x20\n"
	"\tdirect-->bpf_trampoline_6442501209+0x0/0x1000\n"
	"last (1) R  ->kprobe_ftrace_handler+0x0/0x1b0\n";

static void assert_ftrace(const char *function, unsigned n_ours, const char *expected)
{
	kc_autobuf struct kc_buf users = { 0 };
	struct kc_kernel_function parsed;

	kc_kernel_function_parse(function, &parsed);
	kc_ftrace_find(enabled, &parsed, n_ours, &users);
	assert_string_equal(users.data ? users.data : "", expected);
}

static void test_ftrace_users(void **state)
{
	(void)state;
	assert_ftrace("vmlinux:alone", 1, "");
	assert_ftrace("vmlinux:both", 1, "; an ftrace user that the kernel does not name");
	assert_ftrace("vmlinux:traced", 0, "; the function tracer");
	assert_ftrace("sleepy:inside", 0, "; ftrace handler custom_call");
	assert_ftrace("vmlinux:inside", 0, "");
	assert_ftrace("sleepy:traced", 0, "");
	assert_ftrace("vmlinux:fentry", 0, "; a direct call to bpf_trampoline_6442501209");
	assert_ftrace("vmlinux:last", 0, "; an ftrace user that the kernel does not name");
	assert_ftrace("vmlinux:absent", 0, "");
	assert_ftrace("vmlinux:direct-->bpf_trampoline_6442501209+0x0/0x1000", 0, "");
	assert_null(kc_bpf_trampoline_programs("klp_ftrace_handler"));
}

/* ---- plan ---- */

static void assert_refused(const struct kc_kernel *kernel, const struct kc_patch *patch, enum kc_error_code code,
			   const char *words)
{
	kc_autoerror struct kc_error *err = kc_kernel_plan(NULL, kernel, patch);

	assert_non_null(err);
	if (kc_error_code(err) != code || !strstr(kc_error_message(err), words))
		fail_msg("%s: %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
}

static void test_plan_refuses(void **state)
{
	struct kc_patch_payload payloads[] = { { KC_PATCH_MODULE_NAME, "", 0 }, { KC_PATCH_KCARE_NAME, "", 0 } };
	struct kc_patch patch = { .payloads = payloads, .n_payloads = 2 };
	struct kc_kernel kernel = { .kernel_id = SAMPLE_KERNEL_ID };
	struct kc_manifest user = { 0 };
	char build_id[] = "aabb", other_id[] = "ccdd", release[] = "6.1.0-47-amd64", none[] = "", name[] = "kpatch_1";
	char *module;

	(void)state;
	sample_kernel_manifest(&patch.manifest);
	free(patch.manifest.kernel.build_id);
	patch.manifest.kernel.build_id = strdup(build_id);
	kernel.release = release;
	kernel.build_id = build_id;
	kernel.is_container = true;
	assert_refused(&kernel, &patch, KC_ERR_CONTAINER, "from the host");
	kernel.is_container = false;
	kernel.build_id = other_id;
	assert_refused(&kernel, &patch, KC_ERR_WRONG_TARGET, "build-id aabb");
	kernel.build_id = none;
	assert_refused(&kernel, &patch, KC_ERR_WRONG_TARGET, "cannot be read");
	kernel.build_id = build_id;
	kernel.kernel_id[0] ^= 1;
	assert_refused(&kernel, &patch, KC_ERR_WRONG_TARGET, "is running");
	kernel.kernel_id[0] ^= 1;
	patch.n_payloads = 1;
	assert_refused(&kernel, &patch, KC_ERR_INPUT, KC_PATCH_KCARE_NAME);
	patch.n_payloads = 2;
	module = patch.manifest.kernel.module;
	patch.manifest.kernel.module = name;
	assert_refused(&kernel, &patch, KC_ERR_INPUT, "kcare_livepatch_");
	patch.manifest.kernel.module = module;
	kc_manifest_clear(&patch.manifest);
	sample_manifest(&user);
	patch.manifest = user;
	assert_refused(&kernel, &patch, KC_ERR_WRONG_TARGET, "not for a kernel");
	kc_manifest_clear(&patch.manifest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_id_of_notes),
		cmocka_unit_test(test_damaged_notes),
		cmocka_unit_test(test_lockdown_text),
		cmocka_unit_test(test_container_in_environment),
		cmocka_unit_test(test_module_level),
		cmocka_unit_test(test_task_stat),
		cmocka_unit_test(test_task_list),
		cmocka_unit_test(test_interrupt_is_invisible),
		cmocka_unit_test(test_who_is_not_interrupted),
		cmocka_unit_test(test_equal_tasks_are_described_together),
		cmocka_unit_test(test_kernel_message),
		cmocka_unit_test(test_kprobes),
		cmocka_unit_test(test_ftrace_users),
		cmocka_unit_test(test_plan_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
