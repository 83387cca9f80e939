/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Downloads through the helper, for tests of src/fetch:
 *
 *	fetch_one [NAME=VALUE…] get URL LIMIT [URL LIMIT…]      (the content goes to standard output)
 *	fetch_one [NAME=VALUE…] post URL LIMIT [URL LIMIT…]      (sends standard input, status to standard error; then
 *as get) fetch_one [NAME=VALUE…] file URL SHA256 SIZE PATH
 *
 * Names are those of struct kc_fetch_options. What was counted goes to standard error: "requests N bytes N time N".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "cmd/terminal.h"
#include "fetch/fetch.h"

static bool set_number(struct kc_fetch_options *options, const char *name, const char *value)
{
	const struct {
		const char *name;
		unsigned *number;
	} numbers[] = {
		{ "connect_ms", &options->connect_ms }, { "stall_ms", &options->stall_ms },
		{ "total_ms", &options->total_ms },	{ "tries", &options->tries },
		{ "retry_ms", &options->retry_ms },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(numbers); i++)
		if (!strcmp(numbers[i].name, name)) {
			*numbers[i].number = (unsigned)strtoul(value, NULL, 10);
			return true;
		}
	return false;
}

static bool set_option(struct kc_fetch_options *options, char *name)
{
	const struct {
		const char *name;
		const char **text;
	} texts[] = {
		{ "http_proxy", &options->http_proxy },
		{ "https_proxy", &options->https_proxy },
		{ "no_proxy", &options->no_proxy },
		{ "user_agent", &options->user_agent },
	};
	char *value = strchr(name, '=');

	if (!value)
		return false;
	*value++ = '\0';
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++)
		if (!strcmp(texts[i].name, name)) {
			*texts[i].text = value;
			return true;
		}
	return set_number(options, name, value);
}

static struct kc_error *get(struct kc_ctx *ctx, struct kc_fetch *fetch, int argc, char **argv)
{
	for (int i = 0; i + 1 < argc; i += 2) {
		kc_autobuf struct kc_buf out = { 0 };

		KC_TRY(kc_fetch_get(ctx, fetch, argv[i], strtoull(argv[i + 1], NULL, 10), &out));
		if (out.size)
			fwrite(out.data, 1, out.size, stdout);
	}
	return NULL;
}

static struct kc_error *post(struct kc_ctx *ctx, struct kc_fetch *fetch, int argc, char **argv)
{
	kc_autobuf struct kc_buf body = { 0 }, out = { 0 };
	unsigned status = 0;

	if (kc_fd_read(STDIN_FILENO, 64 << 20, &body))
		return kc_error_new(KC_ERR_INPUT, "cannot read standard input");
	KC_TRY(kc_fetch_post(ctx, fetch, argv[0], body.data, body.size, strtoull(argv[1], NULL, 10), &status, &out));
	fwrite(out.data, 1, out.size, stdout);
	fprintf(stderr, "status %u\n", status);
	return get(ctx, fetch, argc - 2, argv + 2);
}

static struct kc_error *run(struct kc_ctx *ctx, int argc, char **argv)
{
	struct kc_fetch_options options = { 0 };
	kc_autofetch struct kc_fetch *fetch = NULL;
	uint64_t n_requests, n_bytes;
	struct kc_error *err;

	for (argc--, argv++; argc && set_option(&options, *argv); argc--)
		argv++;
	KC_TRY(kc_fetch_new(ctx, &options, &fetch));
	if (argc >= 3 && !strcmp(argv[0], "get"))
		err = get(ctx, fetch, argc - 1, argv + 1);
	else if (argc >= 3 && !strcmp(argv[0], "post"))
		err = post(ctx, fetch, argc - 1, argv + 1);
	else if (argc == 5 && !strcmp(argv[0], "file"))
		err = kc_fetch_file(ctx, fetch, argv[1], argv[2], strtoull(argv[3], NULL, 10), argv[4], "downloading");
	else
		return kc_error_new(KC_ERR_USAGE, "see the head of fetch_one.c");
	kc_fetch_counters(fetch, &n_requests, &n_bytes);
	fprintf(stderr, "requests %" PRIu64 " bytes %" PRIu64 " time %" PRId64 "\n", n_requests, n_bytes,
		kc_fetch_server_time(fetch));
	return err;
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct kc_terminal terminal;

	kc_terminal_open(&terminal, "fetch_one", ctx);
	kc_ctx_set_log_level(ctx, KC_LOG_DEBUG);
	return kc_terminal_close(&terminal, run(ctx, argc, argv));
}
