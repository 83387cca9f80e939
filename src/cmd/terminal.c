/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

#include "base/file.h"

enum {
	PROGRESS_INTERVAL_NS = 50 * 1000 * 1000,
	PASSPHRASE_MAX = 1000,
};

void kc_terminal_clear(struct kc_terminal *terminal)
{
	if (!terminal->line_is_open)
		return;
	fputs("\r\033[K", stderr);
	terminal->line_is_open = false;
}

/* U+0000..U+001F but newline and tab, U+007F, and U+0080..U+009F, which are the bytes c2 80 .. c2 9f. */
static bool is_control(const unsigned char *p)
{
	return (*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
}

/* Messages quote names from files that others wrote: no control character of theirs reaches the terminal. */
static void print_line(struct kc_terminal *terminal, const char *kind, const char *message)
{
	kc_terminal_clear(terminal);
	fprintf(stderr, "%s: %s", terminal->program, kind);
	for (const unsigned char *p = (const unsigned char *)message; *p; p++) {
		bool control = is_control(p);

		fputc(control ? '?' : *p, stderr);
		p += control && *p == 0xc2;
	}
	fputc('\n', stderr);
}

static void log_to_terminal(void *data, enum kc_log_level level, const char *message)
{
	static const char *const kinds[] = { "error: ", "warning: ", "", "debug: " };

	print_line(data, kinds[level], message);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* Draws at most 20 times a second; the end of an activity removes its line. */
static void progress_to_terminal(void *data, const char *what, unsigned long done, unsigned long total)
{
	struct kc_terminal *terminal = data;
	uint64_t now = now_ns();
	int width = terminal_width() - 1;

	if (total && done >= total) {
		kc_terminal_clear(terminal);
		return;
	}
	if (terminal->line_is_open && now - terminal->shown_ns < PROGRESS_INTERVAL_NS)
		return;
	if (total)
		fprintf(stderr, "\r\033[K%3lu%% %.*s", done * 100 / total, width - 5, what);
	else
		fprintf(stderr, "\r\033[K%.*s … %lu", width - 15, what, done);
	fflush(stderr);
	terminal->line_is_open = true;
	terminal->shown_ns = now;
}

static struct kc_error *take_first_line(struct kc_buf *text, const char *where, struct kc_buf *secret)
{
	size_t length = text->data ? strcspn(text->data, "\r\n") : 0;

	if (length > 0)
		kc_buf_append(secret, text->data, length);
	if (text->data)
		explicit_bzero(text->data, text->size);
	if (length == 0)
		return kc_error_new(KC_ERR_KEY, "%s: the passphrase is empty", where);
	return secret->failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_terminal_read_passphrase(const char *path, struct kc_buf *secret)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read(path, PASSPHRASE_MAX, &text);

	if (err)
		return kc_error_errno(KC_ERR_KEY, -err, "cannot read the passphrase file %s", path);
	return take_first_line(&text, path, secret);
}

/* Reads one line with the echo off. A Ctrl-C is held back until the echo is on again. */
static struct kc_error *ask_at(int tty, const char *question, struct kc_buf *secret)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct termios before, silent;
	sigset_t all, mask;
	char line[PASSPHRASE_MAX];
	ssize_t n;

	if (tcgetattr(tty, &before) < 0)
		return kc_error_errno(KC_ERR_KEY, errno, "cannot ask for a passphrase");
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	dprintf(tty, "%s: ", question);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	tcsetattr(tty, TCSAFLUSH, &silent);
	n = read(tty, line, sizeof(line));
	tcsetattr(tty, TCSAFLUSH, &before);
	dprintf(tty, "\n");
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (n > 0)
		kc_buf_append(&text, line, (size_t)n);
	explicit_bzero(line, sizeof(line));
	return take_first_line(&text, "terminal", secret);
}

struct kc_error *kc_terminal_ask(const char *question, struct kc_buf *secret)
{
	kc_autoclose int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	return tty < 0 ? kc_error_new(KC_ERR_INPUT, "there is no terminal to ask at") : ask_at(tty, question, secret);
}

/* KCARE_KEY_PASSPHRASE_FILE comes first; without it and without a terminal there is an error, never a wait. */
static struct kc_error *ask_passphrase(void *data, const char *question, struct kc_buf *secret)
{
	struct kc_terminal *terminal = data;
	const char *path = getenv("KCARE_KEY_PASSPHRASE_FILE");
	kc_autoclose int tty = -1;

	if (path && *path)
		return kc_terminal_read_passphrase(path, secret);
	kc_terminal_clear(terminal);
	tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0)
		return kc_error_new(KC_ERR_KEY, "a passphrase is needed, but there is no terminal to ask at: name a "
						"file that holds it in KCARE_KEY_PASSPHRASE_FILE");
	return ask_at(tty, question, secret);
}

void kc_terminal_open(struct kc_terminal *terminal, const char *program, struct kc_ctx *ctx)
{
	*terminal = (struct kc_terminal){ .program = kc_path_name(program), .has_progress = isatty(STDERR_FILENO) };
	kc_ctx_set_log(ctx, KC_LOG_WARNING, log_to_terminal, terminal);
	kc_ctx_set_ask(ctx, ask_passphrase, terminal);
	if (terminal->has_progress)
		kc_ctx_set_progress(ctx, progress_to_terminal, terminal);
}

int kc_terminal_error(struct kc_terminal *terminal, struct kc_error *err)
{
	const char *rule = kc_error_rule_name(err);
	int exit_code = kc_error_code_exit(kc_error_code(err));
	char kind[128];

	snprintf(kind, sizeof(kind), "%s%s%s: ", kc_error_code_name(kc_error_code(err)), rule ? ": " : "",
		 rule ? rule : "");
	print_line(terminal, kind, kc_error_message(err));
	kc_error_free(err);
	return exit_code;
}

int kc_terminal_close(struct kc_terminal *terminal, struct kc_error *err)
{
	kc_terminal_clear(terminal);
	if (!err && (fflush(stdout) || ferror(stdout)))
		err = kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write the output");
	return err ? kc_terminal_error(terminal, err) : KC_EXIT_DONE;
}
