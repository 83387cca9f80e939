/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcare-build kernel: from fixes to a patch file for one kernel, or with --all for every kernel of the archive that a
 * pattern names. kcare-build prepare kernel does the part that is the same for all fixes.
 */
#include "cmd/kcare_build_kernel.h"

#include <string.h>

#include "base/array.h"
#include "cmd/kcare_build.h"
#include "cmd/kcare_build_request.h"

static const struct option options[] = {
	{ "fix", required_argument, NULL, 'f' },
	{ "level", required_argument, NULL, 'l' },
	{ "patchset", required_argument, NULL, 'p' },
	{ "key", required_argument, NULL, 'k' },
	{ "module-key", required_argument, NULL, 'm' },
	{ "output", required_argument, NULL, 'o' },
	{ "image", required_argument, NULL, 'i' },
	{ "headers", required_argument, NULL, 'H' },
	{ "source", required_argument, NULL, 's' },
	{ "modules", required_argument, NULL, 'M' },
	{ "all", required_argument, NULL, 'A' },
	{ "previous", required_argument, NULL, 'B' },
	{ "effective-version", required_argument, NULL, 'E' },
	{ "max-objects", required_argument, NULL, 'X' },
	{ "allow", required_argument, NULL, 'a' },
	{ "type", required_argument, NULL, 't' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "cache", required_argument, NULL, 'C' },
	{ "print-path", no_argument, NULL, 'P' },
	{ NULL, 0, NULL, 0 },
};

struct kernel_request {
	struct kc_build_kernel_request kernel;
	const char **fixes, **allowed; /* with a place for the closing NULL */
	size_t n_fixes, n_allowed;
	const char *pattern; /* --all */
	bool print_path;
};

static void request_clear(struct kernel_request *request)
{
	free(request->fixes);
	free(request->allowed);
}

/* The option's place for a text, or NULL. */
static const char **text_option(struct kernel_request *request, int option)
{
	struct kc_build_kernel_request *kernel = &request->kernel;
	const struct {
		int option;
		const char **value;
	} texts[] = {
		{ 'p', &kernel->patchset },	 { 'k', &kernel->key_path },	      { 'm', &kernel->module_key_path },
		{ 'o', &kernel->output_dir },	 { 'i', &kernel->image_path },	      { 'H', &kernel->headers_dir },
		{ 's', &kernel->source_dir },	 { 'M', &kernel->modules_dir },	      { 'A', &request->pattern },
		{ 'B', &kernel->previous_path }, { 'E', &kernel->effective_version }, { 't', &kernel->type },
		{ 'C', &kernel->cache_dir },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++)
		if (texts[i].option == option)
			return texts[i].value;
	return NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct kernel_request *request = data;
	const char **text = text_option(request, option);

	if (text)
		*text = value;
	else if (option == 'f')
		return kc_command_list_add(&request->fixes, &request->n_fixes, value);
	else if (option == 'a')
		return kc_command_list_add(&request->allowed, &request->n_allowed, value);
	else if (option == 'l')
		return kc_command_parse_number(value, "level", &request->kernel.level);
	else if (option == 'j')
		return kc_command_parse_number(value, "number of jobs", &request->kernel.jobs);
	else if (option == 'X')
		return kc_command_parse_number(value, "number of objects", &request->kernel.max_objects);
	else
		request->print_path = true;
	return NULL;
}

static struct kc_error *parse(struct kernel_request *request, int argc, char **argv)
{
	KC_TRY(kc_command_read_options(argc, argv, ":o:j:", options, set_option, request));
	request->kernel.fix_paths = request->fixes;
	request->kernel.allowed = request->allowed;
	return NULL;
}

/* ---- one kernel ---- */

static struct kc_error *build_one(struct kc_ctx *ctx, struct kc_terminal *terminal,
				  const struct kc_build_kernel_request *request)
{
	kc_autofree char *path = NULL;

	KC_TRY(kc_build_kernel(ctx, request, &path));
	kc_terminal_clear(terminal);
	printf("%s\n", path);
	return NULL;
}

/* ---- all kernels ---- */

enum outcome { BUILT, REFUSED, FAILED, N_OUTCOMES };

static const char *const outcome_names[] = { "built", "refused", "failed" };

/* What is refused by rule is told from what went wrong. */
static enum outcome outcome_of(const struct kc_error *err)
{
	if (!err)
		return BUILT;
	return kc_error_rule_name(err) || kc_error_code(err) == KC_ERR_NO_CHANGE ? REFUSED : FAILED;
}

/* One line of the table: "6.1.0-47-amd64   built     out/kernel-….kpatch". */
static void print_outcome(struct kc_terminal *terminal, const char *release, const struct kc_error *err,
			  const char *path)
{
	const char *rule = err ? kc_error_rule_name(err) : NULL;
	const char *name = !err ? "" : rule ? rule : kc_error_code_name(kc_error_code(err));

	kc_terminal_clear(terminal);
	if (err)
		printf("%-32s %-8s %s: %s\n", release, outcome_names[outcome_of(err)], name, kc_error_message(err));
	else
		printf("%-32s %-8s %s\n", release, outcome_names[BUILT], path);
	fflush(stdout);
}

static struct kc_error *build_listed(struct kc_ctx *ctx, struct kc_terminal *terminal,
				     struct kc_build_kernel_request *request, char *const *releases)
{
	size_t counts[N_OUTCOMES] = { 0 }, n = 0;

	for (; releases[n]; n++) {
		kc_autofree char *path = NULL;
		kc_autoerror struct kc_error *err = NULL;

		request->release = releases[n];
		err = kc_build_kernel(ctx, request, &path);
		counts[outcome_of(err)]++;
		print_outcome(terminal, releases[n], err, path);
	}
	printf("%zu kernels: %zu built, %zu refused, %zu failed\n", n, counts[BUILT], counts[REFUSED], counts[FAILED]);
	if (counts[FAILED])
		return kc_error_new(KC_ERR_SYSTEM, "%zu of %zu kernels failed", counts[FAILED], n);
	if (!counts[BUILT])
		return kc_error_new(KC_ERR_REFUSED, "no kernel of %zu can have this patch", n);
	return NULL;
}

static struct kc_error *build_all(struct kc_ctx *ctx, struct kc_terminal *terminal, struct kernel_request *request)
{
	char **releases = NULL;
	struct kc_error *err;

	KC_TRY(kc_build_kernel_find(ctx, request->pattern, request->kernel.cache_dir, &releases));
	err = build_listed(ctx, terminal, &request->kernel, releases);
	for (char **release = releases; *release; release++)
		free(*release);
	free(releases);
	return err;
}

struct kc_error *kc_build_kernel_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(request_clear) struct kernel_request request = { 0 };

	KC_TRY(parse(&request, argc, argv));
	if (request.pattern) {
		KC_TRY(kc_command_need_arguments(argc, 0, "--all PATTERN, without RELEASE"));
		return build_all(ctx, terminal, &request);
	}
	if (request.kernel.image_path) {
		KC_TRY(kc_command_need_arguments(argc, 0, "--image, without RELEASE"));
	} else {
		KC_TRY(kc_command_need_arguments(argc, 1, "RELEASE"));
		request.kernel.release = argv[optind];
	}
	return build_one(ctx, terminal, &request.kernel);
}

struct kc_error *kc_build_prepare_kernel_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(request_clear) struct kernel_request request = { 0 };
	kc_autofree char *path = NULL;

	KC_TRY(parse(&request, argc, argv));
	if (request.kernel.image_path) {
		KC_TRY(kc_command_need_arguments(argc, 1, "kernel --image, without RELEASE"));
	} else {
		KC_TRY(kc_command_need_arguments(argc, 2, "kernel RELEASE"));
		request.kernel.release = argv[optind + 1];
	}
	KC_TRY(kc_build_kernel_prepare(ctx, &request.kernel, &path));
	kc_terminal_clear(terminal);
	if (request.print_path)
		printf("%s\n", path);
	return NULL;
}
