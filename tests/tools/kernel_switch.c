// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Applies a livepatch module made by hand through apply/, with everything that kcarectl does not let one choose. For
 * tests inside guests: no signature, no cache, no policy. Prints one "name value" per line; ends with the error's code.
 *
 *	kernel_switch load PATCH.ko KCARE.ko [OPTION…]	(the name of the file says module and level)
 *	kernel_switch unload [OPTION…]
 *	kernel_switch show
 *
 *	--freezer none|smart|full, --settle-ms N, --force, --function OBJECT:NAME, --kernel-id ID, --build-id ID
 */
#include <getopt.h>
#include <string.h>

#include "apply/kernel.h"
#include "base/array.h"
#include "base/file.h"

#define MODULE_SIZE_MAX ((size_t)64 << 20)

struct request {
	struct kc_kernel_options options;
	char **functions;
	size_t n_functions;
	const char *kernel_id, *build_id;
	const char *words[3];
	int n_words;
};

static void log_line(void *data, enum kc_log_level level, const char *message)
{
	(void)data;
	printf("log %d %s\n", level, message);
}

static struct kc_error *parse_freezer(const char *text, enum kc_freezer *freezer)
{
	static const char *const names[] = {
		[KC_FREEZER_SMART] = "smart", [KC_FREEZER_NONE] = "none", [KC_FREEZER_FULL] = "full"
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		*freezer = (enum kc_freezer)i;
		if (strcmp(text, names[i]) == 0)
			return NULL;
	}
	return kc_error_new(KC_ERR_USAGE, "unknown freezer %s", text);
}

static struct kc_error *add_function(struct request *request, char *text)
{
	char **function = kc_array_add(&request->functions, &request->n_functions);

	if (!function)
		return kc_error_no_memory();
	*function = text;
	return NULL;
}

static struct kc_error *parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "freezer", required_argument, NULL, 'z' },
		{ "settle-ms", required_argument, NULL, 's' },
		{ "force", no_argument, NULL, 'f' },
		{ "function", required_argument, NULL, 'n' },
		{ "kernel-id", required_argument, NULL, 'k' },
		{ "build-id", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'z')
			KC_TRY(parse_freezer(optarg, &request->options.freezer));
		else if (option == 's')
			request->options.settle_ms = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'f')
			request->options.force = true;
		else if (option == 'n')
			KC_TRY(add_function(request, optarg));
		else if (option == 'k')
			request->kernel_id = optarg;
		else if (option == 'b')
			request->build_id = optarg;
		else
			return kc_error_new(KC_ERR_USAGE, "unknown option");
	}
	while (optind < argc && request->n_words < 3)
		request->words[request->n_words++] = argv[optind++];
	return request->n_words ? NULL : kc_error_new(KC_ERR_USAGE, "load, unload or show?");
}

static struct kc_error *read_module(const char *path, struct kc_buf *module)
{
	int ret = kc_file_read(path, MODULE_SIZE_MAX, module);

	return ret ? kc_error_errno(KC_ERR_INPUT, -ret, "%s", path) : NULL;
}

static struct kc_error *load(struct kc_ctx *ctx, struct request *request, struct kc_kernel *kernel,
			     struct kc_kernel_result *result)
{
	kc_autobuf struct kc_buf module = { 0 }, kcare = { 0 };
	kc_autofree char *name = strdup(kc_path_name(request->words[1]));
	struct kc_patch_payload payloads[2];
	struct kc_patch patch = { .payloads = payloads, .n_payloads = 2 };

	if (!name)
		return kc_error_no_memory();
	KC_TRY(read_module(request->words[1], &module));
	KC_TRY(read_module(request->words[2], &kcare));
	payloads[0] = (struct kc_patch_payload){ KC_PATCH_MODULE_NAME, module.data, module.size };
	payloads[1] = (struct kc_patch_payload){ KC_PATCH_KCARE_NAME, kcare.data, kcare.size };
	name[strcspn(name, ".")] = '\0';
	patch.manifest.kind = KC_PATCH_KERNEL;
	patch.manifest.target = (char *)(request->kernel_id ? request->kernel_id : kernel->kernel_id);
	patch.manifest.level = (uint32_t)strtoul(strrchr(name, '_') ? strrchr(name, '_') + 1 : "", NULL, 10);
	patch.manifest.kernel.release = kernel->release;
	patch.manifest.kernel.build_id = (char *)(request->build_id ? request->build_id : kernel->build_id);
	patch.manifest.kernel.module = name;
	patch.manifest.kernel.functions = request->functions;
	patch.manifest.kernel.n_functions = request->n_functions;
	return kc_kernel_apply(ctx, kernel, &patch, &request->options, result);
}

static struct kc_error *show(struct kc_ctx *ctx, const struct kc_kernel *kernel)
{
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	size_t n;

	printf("release %s\nkernel_id %s\nbuild_id %s\n", kernel->release, kernel->kernel_id, kernel->build_id);
	printf("is_container %d\nis_locked_down %d\n", kernel->is_container, kernel->is_locked_down);
	KC_TRY(kc_kernel_list(ctx, &loaded, &n));
	for (size_t i = 0; i < n; i++)
		printf("loaded %s ours=%d enabled=%d transition=%d forced=%d level=%u\n", loaded[i].name,
		       loaded[i].is_ours, loaded[i].is_enabled, loaded[i].in_transition, loaded[i].is_forced,
		       loaded[i].level);
	return NULL;
}

static struct kc_error *run(struct kc_ctx *ctx, struct request *request, struct kc_kernel_result *result)
{
	struct kc_kernel kernel;
	struct kc_error *err;

	KC_TRY(kc_kernel_read(ctx, &kernel));
	if (strcmp(request->words[0], "load") == 0 && request->n_words == 3)
		err = load(ctx, request, &kernel, result);
	else if (strcmp(request->words[0], "unload") == 0)
		err = kc_kernel_unload(ctx, &request->options, result);
	else if (strcmp(request->words[0], "show") == 0)
		err = show(ctx, &kernel);
	else
		err = kc_error_new(KC_ERR_USAGE, "load PATCH.ko KCARE.ko, unload or show?");
	kc_kernel_clear(&kernel);
	return err;
}

int main(int argc, char **argv)
{
	struct kc_kernel_result result = { 0 };
	struct request request = { 0 };
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoerror struct kc_error *err = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	kc_ctx_set_log(ctx, KC_LOG_DEBUG, log_line, NULL);
	err = parse(argc, argv, &request);
	if (!err)
		err = run(ctx, &request, &result);
	free(request.functions);
	printf("load_ms %lu\ntransition_ms %lu\nn_interrupted %zu\nwas_forced %d\n",
	       (unsigned long)(result.load_ns / 1000000), (unsigned long)(result.transition_ns / 1000000),
	       result.n_interrupted, result.was_forced);
	if (!err)
		return 0;
	printf("error %s\n%s\n", kc_error_code_name(kc_error_code(err)), kc_error_message(err));
	return kc_error_code_exit(kc_error_code(err));
}
