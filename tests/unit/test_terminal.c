/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program says and asks, seen from the other end: of a pseudo-terminal, or of a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>

#include <cmocka.h>

#include "base/file.h"
#include "cmd/command.h"

enum { ANSWER_OK = 0, ANSWER_WRONG = 40, PATIENCE_MS = 10000 };

/* In a child: asks, and ends with what came of it. */
static void ask_and_exit(void)
{
	kc_autobuf struct kc_buf secret = { 0 };
	struct kc_ctx *ctx = kc_ctx_new();
	struct kc_terminal terminal;
	struct kc_error *err;

	kc_terminal_open(&terminal, "/usr/bin/kcare-build", ctx);
	err = kc_ask(ctx, "passphrase of a.key", &secret);
	kc_ctx_free(ctx);
	if (err)
		_exit(kc_terminal_close(&terminal, err));
	_exit(strcmp(secret.data, "correct horse") ? ANSWER_WRONG : ANSWER_OK);
}

/* Appends what comes until `wanted` is in it, or the other end is closed. */
static void read_until(int fd, const char *wanted, struct kc_buf *text)
{
	struct pollfd wait = { fd, POLLIN, 0 };
	char chunk[256];
	ssize_t n;

	while (poll(&wait, 1, PATIENCE_MS) > 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		kc_buf_append(text, chunk, (size_t)n);
		if (wanted && strstr(text->data, wanted))
			return;
	}
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Runs `child` without a terminal; stderr is captured. */
static int run_detached(void (*child)(void), struct kc_buf *text)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setsid();
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		child();
		_exit(99);
	}
	close(ends[1]);
	read_until(ends[0], NULL, text);
	close(ends[0]);
	return wait_for(pid);
}

static void without_a_terminal_nobody_waits(void **state)
{
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	unsetenv("KCARE_KEY_PASSPHRASE_FILE");
	assert_int_equal(run_detached(ask_and_exit, &text), KC_EXIT_INPUT);
	assert_non_null(strstr(text.data, "kcare-build: bad-key: a passphrase is needed"));
	assert_non_null(strstr(text.data, "KCARE_KEY_PASSPHRASE_FILE"));
}

static void passphrase_comes_from_a_file(void **state)
{
	char path[] = "/tmp/kcare-test-XXXXXX";
	kc_autobuf struct kc_buf text = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(kc_fd_write(fd, "correct horse\nsecond line\n", 26), 0);
	assert_int_equal(setenv("KCARE_KEY_PASSPHRASE_FILE", path, 1), 0);
	assert_int_equal(run_detached(ask_and_exit, &text), ANSWER_OK);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(run_detached(ask_and_exit, &text), KC_EXIT_INPUT); /* empty */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(run_detached(ask_and_exit, &text), KC_EXIT_INPUT); /* missing */
	close(fd);
	unsetenv("KCARE_KEY_PASSPHRASE_FILE");
}

static void passphrase_is_asked_without_echo(void **state)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct termios mode;
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		ask_and_exit();
	read_until(terminal, "passphrase of a.key: ", &text);
	while (tcgetattr(terminal, &mode) == 0 && mode.c_lflag & ECHO)
		usleep(1000); /* the question comes first, then the echo goes */
	assert_int_equal(kc_fd_write(terminal, "correct horse\n", 14), 0);
	read_until(terminal, NULL, &text);
	assert_int_equal(wait_for(pid), ANSWER_OK);
	assert_null(strstr(text.data, "horse"));
	close(terminal);
}

static void say_and_exit(void)
{
	struct kc_ctx *ctx = kc_ctx_new();
	struct kc_terminal terminal;

	kc_terminal_open(&terminal, "libcare-ctl", ctx);
	kc_progress(ctx, "compiling", 1, 3);
	kc_warning(ctx, "odd name: \303\244\033[31m\302\2331mb");
	kc_info(ctx, "not shown");
	kc_progress(ctx, "compiling", 3, 3);
	kc_ctx_free(ctx);
	_exit(kc_terminal_close(&terminal, kc_error_new(KC_ERR_BUSY, "pid %d", 12)));
}

static void messages_have_their_form_and_no_control_characters(void **state)
{
	kc_autobuf struct kc_buf text = { 0 };

	(void)state;
	assert_int_equal(run_detached(say_and_exit, &text), KC_EXIT_BUSY);
	assert_string_equal(text.data,
			    "libcare-ctl: warning: odd name: \303\244?[31m?1mb\nlibcare-ctl: busy: pid 12\n");
}

static void progress_is_drawn_on_a_terminal_and_taken_away(void **state)
{
	kc_autobuf struct kc_buf text = { 0 };
	int terminal, code;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
	const char *drawn;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		say_and_exit();
	read_until(terminal, NULL, &text);
	code = wait_for(pid);
	close(terminal);
	assert_int_equal(code, KC_EXIT_BUSY);
	drawn = strstr(text.data, " 33% compiling");
	assert_non_null(drawn);
	assert_non_null(strstr(drawn, "\r\033[Klibcare-ctl: warning: "));
}

/* ---- commands ---- */

static struct kc_error *count_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = { { "key", required_argument, NULL, 'k' }, { NULL, 0, NULL, 0 } };
	int option;

	(void)ctx;
	(void)terminal;
	while ((option = getopt_long(argc, argv, ":k:", options, NULL)) != -1)
		if (option != 'k')
			return kc_command_bad_option(option, argv);
	return kc_command_need_arguments(argc, 1, "FILE");
}

static int run_program(const char *const *words)
{
	static const struct kc_command commands[] = { { "count", "FILE [--key KEY]", "counts", count_run } };
	static const struct kc_program program = { "test", "tests", commands, 1 };
	char *argv[8] = { NULL };
	int argc = 0, exit_code, output = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY);

	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	optind = 0;
	fflush(stdout);
	dup2(nowhere, STDOUT_FILENO); /* its help is no part of the test's own output */
	exit_code = kc_program_main(&program, argc, argv);
	dup2(output, STDOUT_FILENO);
	close(output);
	close(nowhere);
	return exit_code;
}

static void commands_are_found_and_options_checked(void **state)
{
	static const struct {
		const char *words[6];
		int exit_code;
	} cases[] = {
		{ { "test", "count", "a" }, KC_EXIT_DONE },
		{ { "test", "-v", "count", "a", "--key", "k" }, KC_EXIT_DONE },
		{ { "test", "-q", "count", "--help" }, KC_EXIT_DONE },
		{ { "test", "--help" }, KC_EXIT_DONE },
		{ { "test", "--version" }, KC_EXIT_DONE },
		{ { "test" }, KC_EXIT_USAGE },
		{ { "test", "none" }, KC_EXIT_USAGE },
		{ { "test", "--none", "count" }, KC_EXIT_USAGE },
		{ { "test", "count" }, KC_EXIT_USAGE },
		{ { "test", "count", "a", "b" }, KC_EXIT_USAGE },
		{ { "test", "count", "a", "--key" }, KC_EXIT_USAGE },
		{ { "test", "count", "a", "--none" }, KC_EXIT_USAGE },
		{ { "test", "count", "a", "-x" }, KC_EXIT_USAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (run_program(cases[i].words) != cases[i].exit_code)
			fail_msg("case %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_terminal_nobody_waits),
		cmocka_unit_test(passphrase_comes_from_a_file),
		cmocka_unit_test(passphrase_is_asked_without_echo),
		cmocka_unit_test(messages_have_their_form_and_no_control_characters),
		cmocka_unit_test(progress_is_drawn_on_a_terminal_and_taken_away),
		cmocka_unit_test(commands_are_found_and_options_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
