/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How our programs talk: messages as `program: warning: …` on stderr, errors as `program: error-name: …` with the exit
 * code of their kind, a progress line when stderr is a terminal (and none otherwise), and questions for a passphrase.
 */
#ifndef KC_CMD_TERMINAL_H
#define KC_CMD_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"

struct kc_terminal {
	const char *program;
	bool has_progress; /* stderr is a terminal */
	bool line_is_open; /* a progress line is on the screen */
	uint64_t shown_ns; /* when it was last drawn */
};

/* Connects `ctx` to the terminal. `terminal` must outlive `ctx`; `program` is a name, or argv[0]. */
void kc_terminal_open(struct kc_terminal *terminal, const char *program, struct kc_ctx *ctx);
/*
 * What a main() returns: removes the progress line, flushes stdout (output that was lost is an error), prints `err` and
 * frees it. The exit code.
 */
int kc_terminal_close(struct kc_terminal *terminal, struct kc_error *err);
/* Prints `err` as an error and frees it, for programs that go on with the next process or file. The exit code. */
int kc_terminal_error(struct kc_terminal *terminal, struct kc_error *err);
/* The first line of a file that the user named for this. */
struct kc_error *kc_terminal_read_passphrase(const char *path, struct kc_buf *secret);
/* Asks at the terminal, with the echo off. KC_ERR_INPUT: there is none. */
struct kc_error *kc_terminal_ask(const char *question, struct kc_buf *secret);
/* Takes the progress line away before something else is printed; it comes back with the next progress. */
void kc_terminal_clear(struct kc_terminal *terminal);

#endif
