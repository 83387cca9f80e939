/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/command.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

static void print_help(const struct kc_program *program)
{
	printf("%s: %s\n\nUsage: %s [-v|-q] COMMAND …\n\n", program->name, program->summary, program->name);
	for (size_t i = 0; i < program->n_commands; i++)
		printf("  %s %s\n      %s\n", program->commands[i].name, program->commands[i].arguments,
		       program->commands[i].summary);
	printf("\nOptions: -v, --verbose (twice: more); -q, --quiet; --version; --help, also behind a command.\n"
	       "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing to do, 4 busy, 5 refused, 6 bad input,\n"
	       "7 another run is at work, 8 network.\n"
	       "'man %s' says more.\n",
	       program->name);
}

static const struct kc_command *find_command(const struct kc_program *program, const char *name)
{
	for (size_t i = 0; i < program->n_commands; i++)
		if (!strcmp(program->commands[i].name, name))
			return &program->commands[i];
	return NULL;
}

struct kc_error *kc_command_bad_option(int option, char **argv)
{
	const char *text = argv[optind - 1];

	if (option == ':')
		return kc_error_new(KC_ERR_USAGE, "the option '%s' needs a value", text);
	if (optopt && strncmp(text, "--", 2))
		return kc_error_new(KC_ERR_USAGE, "there is no option '-%c'", optopt);
	return kc_error_new(KC_ERR_USAGE, "there is no option '%s', or it takes no value", text);
}

struct kc_error *kc_command_read_options(int argc, char **argv, const char *letters, const struct option *options,
					 struct kc_error *(*set)(void *data, int option, const char *value), void *data)
{
	int option;

	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return kc_command_bad_option(option, argv);
		KC_TRY(set(data, option, optarg));
	}
	return NULL;
}

struct kc_error *kc_command_need_arguments(int argc, int n, const char *arguments)
{
	if (!n && argc > optind)
		return kc_error_new(KC_ERR_USAGE, "too many arguments: expected none");
	if (argc - optind < n)
		return kc_error_new(KC_ERR_USAGE, "missing argument: expected %s", arguments);
	if (argc - optind > n)
		return kc_error_new(KC_ERR_USAGE, "too many arguments: expected only %s", arguments);
	return NULL;
}

static struct kc_error *parse_number(const char *text, const char *what, unsigned min, unsigned *number)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || value < min || value > 1U << 31)
		return kc_error_new(KC_ERR_USAGE, "the %s is a number from %u on, not \"%.80s\"", what, min, text);
	*number = (unsigned)value;
	return NULL;
}

struct kc_error *kc_command_parse_number(const char *text, const char *what, unsigned *number)
{
	return parse_number(text, what, 1, number);
}

struct kc_error *kc_command_parse_count(const char *text, const char *what, unsigned *count)
{
	return parse_number(text, what, 0, count);
}

struct kc_error *kc_command_list_add(const char ***list, size_t *n, const char *value)
{
	const char **slot = kc_array_add(list, n);

	if (slot)
		*slot = value;
	if (!slot || !kc_array_add(list, n))
		return kc_error_no_memory();
	(*n)--;
	return NULL;
}

/* "user PACKAGE --help", too; but not what follows "--". */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help"))
			return true;
	return false;
}

static struct kc_error *run_command(struct kc_ctx *ctx, struct kc_terminal *terminal, const struct kc_program *program,
				    int argc, char **argv)
{
	const struct kc_command *command;

	if (argc < 1)
		return kc_error_new(KC_ERR_USAGE, "a command is missing; see '%s --help'", program->name);
	command = find_command(program, argv[0]);
	if (!command)
		return kc_error_new(KC_ERR_USAGE, "there is no command '%s'; see '%s --help'", argv[0], program->name);
	if (wants_help(argc, argv)) {
		printf("Usage: %s %s %s\n%s\n", program->name, command->name, command->arguments, command->summary);
		return NULL;
	}
	optind = 0;
	return command->run(ctx, terminal, argc, argv);
}

/* The options in front of the command; *done when one of them is all there is to do. */
static struct kc_error *read_options(struct kc_ctx *ctx, const struct kc_program *program, int argc, char **argv,
				     bool *done)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int option, level = KC_LOG_WARNING;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:hvq", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			print_help(program);
			*done = true;
			return NULL;
		case 'V':
			printf("%s %s\n", program->name, KC_VERSION);
			*done = true;
			return NULL;
		case 'v':
			level = level < KC_LOG_DEBUG ? level + 1 : level;
			break;
		case 'q':
			level = KC_LOG_ERROR;
			break;
		default:
			return kc_command_bad_option(option, argv);
		}
	}
	kc_ctx_set_log_level(ctx, (enum kc_log_level)level);
	return NULL;
}

int kc_program_main(const struct kc_program *program, int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_terminal terminal;
	struct kc_error *err;
	bool done = false;

	if (!ctx)
		return KC_EXIT_FAILED;
	kc_terminal_open(&terminal, program->name, ctx);
	err = read_options(ctx, program, argc, argv, &done);
	if (!err && !done)
		err = run_command(ctx, &terminal, program, argc - optind, argv + optind);
	return kc_terminal_close(&terminal, err);
}
