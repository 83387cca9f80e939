/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcare-build patchset: a release of many patch files, as one signed archive. */
#include "cmd/kcare_build.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "base/os_release.h"
#include "cmd/kcare_build_request.h"
#include "patchset/patchset.h"

#define SUFFIX ".kpatch"
#define OS_RELEASE_MAX ((size_t)64 << 10)
#define DAY_S 86400

struct patchset_request {
	const char *key_path, *output, *distro;
	const char **types; /* NULL-terminated */
	size_t n_types;
	int64_t released;
	bool has_released;
	char **files;
	size_t n_files;
};

static void request_clear(struct patchset_request *request)
{
	for (size_t i = 0; i < request->n_files; i++)
		free(request->files[i]);
	free(request->files);
	free(request->types);
}

/* ---- options ---- */

/* What strptime() takes is written again and compared: no "2026-2-31", no trailing words. */
static bool parse_as(const char *text, const char *format, int64_t *seconds)
{
	struct tm tm = { 0 };
	char again[64];
	const char *end = strptime(text, format, &tm);
	time_t time;

	if (!end || *end)
		return false;
	time = timegm(&tm);
	if (!gmtime_r(&time, &tm) || !strftime(again, sizeof(again), format, &tm) || strcmp(again, text))
		return false;
	*seconds = time;
	return true;
}

static bool parse_unix(const char *text, int64_t *seconds)
{
	char *end;

	if (*text != '@' || text[1] < '0' || text[1] > '9')
		return false;
	errno = 0;
	*seconds = strtoll(text + 1, &end, 10);
	return !errno && !*end;
}

/* From the release time hosts count delays, and by it they find "the newest before that day". */
static struct kc_error *parse_released(const char *text, int64_t *seconds)
{
	static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ" };
	bool good = parse_unix(text, seconds);

	for (size_t i = 0; !good && i < KC_ARRAY_SIZE(formats); i++)
		good = parse_as(text, formats[i], seconds);
	if (!good || *seconds < 0)
		return kc_error_new(KC_ERR_USAGE,
				    "'%.80s' is not a time: YYYY-MM-DD, \"YYYY-MM-DD HH:MM:SS\", "
				    "YYYY-MM-DDTHH:MM:SSZ or @SECONDS, all in UTC",
				    text);
	if (*seconds > time(NULL) + DAY_S)
		return kc_error_new(KC_ERR_USAGE,
				    "%s lies in the future: hosts that wait after a release would wait "
				    "until then, and longer",
				    text);
	return NULL;
}

static struct kc_error *add_type(struct patchset_request *request, const char *type)
{
	if (strcmp(type, "default") && strcmp(type, "extra") && strcmp(type, "free"))
		return kc_error_new(KC_ERR_USAGE, "there is no type '%.80s': default, extra or free", type);
	return kc_command_list_add(&request->types, &request->n_types, type);
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct patchset_request *request = data;
	kc_autoerror struct kc_error *problem = NULL;

	switch (option) {
	case 't':
		return add_type(request, value);
	case 'r':
		request->has_released = true;
		return parse_released(value, &request->released);
	case 'd':
		request->distro = value;
		problem = kc_patchset_check_distro(value);
		return problem ? kc_error_new(KC_ERR_USAGE, "--distro: %s", kc_error_message(problem)) : NULL;
	case 'k':
		request->key_path = value;
		break;
	case 'o':
		request->output = value;
		break;
	}
	return NULL;
}

static struct kc_error *parse(struct patchset_request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "type", required_argument, NULL, 't' },     { "key", required_argument, NULL, 'k' },
		{ "released", required_argument, NULL, 'r' }, { "output", required_argument, NULL, 'o' },
		{ "distro", required_argument, NULL, 'd' },   { NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":o:", options, set_option, request));
	if (argc - optind < 2)
		return kc_error_new(KC_ERR_USAGE,
				    "missing argument: expected NAME and patch files, or folders of them");
	if (!kc_patchset_name_is_valid(argv[optind]))
		return kc_error_new(KC_ERR_USAGE,
				    "'%.80s' is not the name of a patchset: KYYYYMMDD_NN for kernels, UYYYYMMDD_NN or "
				    "UYYYYMMDD_NN-name for processes",
				    argv[optind]);
	if (!request->key_path)
		return kc_error_new(KC_ERR_USAGE, "name the author's private key with --key");
	if (!request->has_released)
		request->released = time(NULL);
	return request->n_types ? NULL : add_type(request, "default");
}

/* ---- files ---- */

static int is_patch_name(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > strlen(SUFFIX) && !strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX);
}

static struct kc_error *add_file(struct patchset_request *request, char *path)
{
	char **file = path ? kc_array_add(&request->files, &request->n_files) : NULL;

	if (!file) {
		free(path);
		return kc_error_no_memory();
	}
	*file = path;
	return NULL;
}

static struct kc_error *add_folder(struct patchset_request *request, const char *path)
{
	struct dirent **names;
	struct kc_error *err = NULL;
	int n = scandir(path, &names, is_patch_name, alphasort);

	if (n < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot read the folder %s", path);
	for (int i = 0; i < n; i++) {
		if (!err)
			err = add_file(request, kc_path_join(path, names[i]->d_name));
		free(names[i]);
	}
	free(names);
	return err || n ? err
			: kc_error_new(KC_ERR_INPUT, "%s: there is no patch file (*" SUFFIX ") in this folder", path);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static struct kc_error *add_path(struct patchset_request *request, const char *path)
{
	return is_folder(path) ? add_folder(request, path) : add_file(request, strdup(path));
}

/* ---- the whole ---- */

/* That of this host, when no other was named. */
static struct kc_error *get_distro(const struct patchset_request *request, char **distro)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoerror struct kc_error *problem = NULL;

	if (request->distro) {
		*distro = strdup(request->distro);
		return *distro ? NULL : kc_error_no_memory();
	}
	if (!kc_file_read(KC_OS_RELEASE_PATH, OS_RELEASE_MAX, &text) && text.data)
		*distro = kc_os_distro(text.data);
	problem = *distro ? kc_patchset_check_distro(*distro) : kc_error_not_found();
	return problem ? kc_error_new(KC_ERR_INPUT, KC_OS_RELEASE_PATH " does not name this distribution as a patchset "
								       "may: name it with --distro")
		       : NULL;
}

/* -o names the archive, or the folder that it goes to. */
static char *output_path(const struct patchset_request *request, const char *name)
{
	bool in_folder = request->output && is_folder(request->output);
	char *path;

	if (request->output && !in_folder)
		return strdup(request->output);
	return asprintf(&path, "%s/%s.tar.bz2", in_folder ? request->output : ".", name) < 0 ? NULL : path;
}

struct kc_error *kc_build_patchset_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	KC_CLEANUP(request_clear) struct patchset_request request = { 0 };
	kc_autopatchset struct kc_patchset *patchset = calloc(1, sizeof(*patchset));
	kc_autokey struct kc_key *key = NULL;
	kc_autofree char *path = NULL;

	if (!patchset)
		return kc_error_no_memory();
	KC_TRY(parse(&request, argc, argv));
	for (int i = optind + 1; i < argc; i++)
		KC_TRY(add_path(&request, argv[i]));
	KC_TRY(get_distro(&request, &patchset->distro));
	patchset->name = strdup(argv[optind]);
	patchset->released = request.released;
	path = output_path(&request, argv[optind]);
	if (!patchset->name || !path)
		return kc_error_no_memory();
	KC_TRY(kc_key_load(ctx, request.key_path, &key));
	KC_TRY(kc_patchset_archive_write(ctx, path, patchset, request.types, request.files, request.n_files, key));
	kc_terminal_clear(terminal);
	printf("%s\n", path);
	return NULL;
}
