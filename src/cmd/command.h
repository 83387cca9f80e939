/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs with subcommands: a table, and one function that finds the right entry, prints help, and turns the outcome
 * into an exit code. Options in front of the subcommand: --help, --version, --verbose (twice: debug), --quiet.
 */
#ifndef KC_CMD_COMMAND_H
#define KC_CMD_COMMAND_H

#include <getopt.h>
#include <stddef.h>

#include "cmd/terminal.h"

struct kc_command {
	const char *name;
	const char *arguments; /* "FILE --key PUB" */
	const char *summary;   /* one line for --help */
	/* argv[0] is the subcommand; getopt is reset and silent (kc_command_bad_option() makes its errors). */
	struct kc_error *(*run)(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv);
};

struct kc_program {
	const char *name;
	const char *summary;
	const struct kc_command *commands;
	size_t n_commands;
};

/* The whole main(): the exit code. */
int kc_program_main(const struct kc_program *program, int argc, char **argv);

/* For a getopt_long() whose optstring begins with ':', when it returned `option` = '?' or ':'. */
struct kc_error *kc_command_bad_option(int option, char **argv);
/* getopt_long() over all of them; `letters` begins with ':'. Each option is for `set`, with its value. */
struct kc_error *kc_command_read_options(int argc, char **argv, const char *letters, const struct option *options,
					 struct kc_error *(*set)(void *data, int option, const char *value),
					 void *data);
/* KC_ERR_USAGE unless exactly `n` arguments follow the options; `arguments` names them for the message. */
struct kc_error *kc_command_need_arguments(int argc, int n, const char *arguments);
/* A number from 1 on; `what` names it for the message. KC_ERR_USAGE. */
struct kc_error *kc_command_parse_number(const char *text, const char *what, unsigned *number);
/* The same from 0 on. */
struct kc_error *kc_command_parse_count(const char *text, const char *what, unsigned *count);
/* Keeps the list NULL-terminated. */
struct kc_error *kc_command_list_add(const char ***list, size_t *n, const char *value);

#endif
