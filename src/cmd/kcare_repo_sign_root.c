/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcare-repo sign-root: a new root. With --key, where the root key is at hand, at once. Else in three steps: --export
 * on the machine of the repository, signing the exported FILE where the root keys are, --import back at the repository.
 */
#include "cmd/kcare_repo.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "cmd/secret.h"
#include "repo/repository.h"
#include "repo/root_keys.h"

enum { PUBLIC_FILE_MAX = 65536 };

struct request {
	const char *place; /* a repository, or an exported FILE */
	const char *export_path, *import_path, *passphrase_path;
	const char **keys, **added, **removed; /* with a place for the closing NULL */
	size_t n_keys, n_added, n_removed;
	bool rotated[KC_ROLE_COUNT];
	bool is_renewed;
	unsigned threshold;
	bool without_passphrase;
	uint64_t version; /* of the root before */
	/* --rotate root: the key that takes the place of the first --key; NULL: none was made */
	char *new_path, *new_public;
	struct kc_key *new_key;
};

static void clear_request(struct request *request)
{
	free(request->keys);
	free(request->added);
	free(request->removed);
	free(request->new_path);
	free(request->new_public);
	kc_key_free(request->new_key);
}

#define CLEANUP_REQUEST KC_CLEANUP(clear_request)

/* ---- what was asked for ---- */

static struct kc_error *set_rotated(struct request *request, const char *name)
{
	bool is_all = !strcmp(name, "all"), is_online = !strcmp(name, "online"), found = false;

	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++) {
		if (!is_all && !(is_online && role != KC_ROLE_ROOT) && strcmp(name, kc_repo_role_name(role)))
			continue;
		request->rotated[role] = true;
		found = true;
	}
	if (!found)
		return kc_error_new(KC_ERR_USAGE,
				    "there is no role \"%.80s\": root, targets, snapshot, timestamp, online (all but "
				    "root) or all",
				    name);
	return NULL;
}

static struct kc_error *set_option(void *data, int option, const char *value)
{
	struct request *request = data;

	switch (option) {
	case 'k':
		return kc_command_list_add(&request->keys, &request->n_keys, value);
	case 'a':
		return kc_command_list_add(&request->added, &request->n_added, value);
	case 'd':
		return kc_command_list_add(&request->removed, &request->n_removed, value);
	case 't':
		return kc_command_parse_number(value, "threshold", &request->threshold);
	case 'r':
		return set_rotated(request, value);
	case 'R':
		request->is_renewed = true;
		break;
	case 'e':
		request->export_path = value;
		break;
	case 'i':
		request->import_path = value;
		break;
	case 'n':
		request->without_passphrase = true;
		break;
	default:
		request->passphrase_path = value;
	}
	return NULL;
}

static struct kc_error *read_options(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },
		{ "rotate", required_argument, NULL, 'r' },
		{ "renew", no_argument, NULL, 'R' },
		{ "add-root-key", required_argument, NULL, 'a' },
		{ "remove-root-key", required_argument, NULL, 'd' },
		{ "threshold", required_argument, NULL, 't' },
		{ "export", required_argument, NULL, 'e' },
		{ "import", required_argument, NULL, 'i' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "no-passphrase", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};

	KC_TRY(kc_command_read_options(argc, argv, ":", options, set_option, request));
	KC_TRY(kc_command_need_arguments(argc, 1, "DIR, or an exported FILE"));
	request->place = argv[optind];
	return NULL;
}

static bool has_changes(const struct request *request)
{
	bool rotates = false;

	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		rotates |= request->rotated[role];
	return rotates || request->is_renewed || request->n_added || request->n_removed || request->threshold;
}

static struct kc_error *check_for_file(const struct request *request)
{
	if (has_changes(request) || request->export_path || request->import_path || request->passphrase_path ||
	    request->without_passphrase)
		return kc_error_new(KC_ERR_USAGE,
				    "%s is a file: it is shown, and signed with --key; all else is for the folder of a "
				    "repository",
				    request->place);
	return NULL;
}

static struct kc_error *check_for_folder(const struct request *request)
{
	if (!!request->n_keys + !!request->export_path + !!request->import_path != 1)
		return kc_error_new(KC_ERR_USAGE, "one of --key KEY (the root key is here), --export FILE (it is on "
						  "another machine), or --import FILE (it was signed there) is needed");
	if (request->import_path && has_changes(request))
		return kc_error_new(KC_ERR_USAGE, "what changes was decided when %s was exported",
				    request->import_path);
	if (!request->import_path && !has_changes(request))
		return kc_error_new(KC_ERR_USAGE, "say what shall change: --rotate ROLE, --renew, --add-root-key PUB, "
						  "--remove-root-key KEYID or --threshold N");
	if (request->export_path && request->rotated[KC_ROLE_ROOT])
		return kc_error_new(
			KC_ERR_USAGE,
			"the new root key is made where the old one is ('kcare-build keygen'); then name its "
			"public part: --add-root-key NEW.pub --remove-root-key KEYID-OF-THE-OLD");
	return NULL;
}

/* ---- steps ---- */

static struct kc_error *read_public(const char *path, uint8_t public[KC_PUBLIC_KEY_SIZE])
{
	kc_autobuf struct kc_buf pem = { 0 };
	int err = kc_file_read_now(path, PUBLIC_FILE_MAX, &pem);

	if (err)
		return kc_error_errno(KC_ERR_KEY, -err, "cannot read the key %s", path);
	return kc_public_key_raw(path, &pem, public);
}

/* The request for the root that was asked for; with new online keys, which wait in the repository. */
static struct kc_error *prepare(struct kc_ctx *ctx, const struct request *request, struct kc_root_request *root_request)
{
	struct kc_root_changes changes = { .removed = request->removed, .threshold = request->threshold };
	kc_autofree uint8_t(*added)[KC_PUBLIC_KEY_SIZE] = calloc(request->n_added + 1, sizeof(*added));

	if (!added)
		return kc_error_no_memory();
	for (size_t i = 0; i < request->n_added; i++)
		KC_TRY(read_public(request->added[i], added[i]));
	changes.added = added;
	changes.n_added = request->n_added;
	return kc_root_prepare(ctx, request->place, request->rotated, &changes, (int64_t)time(NULL), root_request);
}

static struct kc_error *show(const struct kc_root_request *request)
{
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(kc_root_request_describe(request, &text));
	fputs(text.data, stdout);
	return NULL;
}

static struct kc_error *sign(const struct kc_key *key, const char *key_path, struct kc_root_request *request)
{
	struct kc_error *err = kc_root_request_sign(request, key);

	if (err)
		return kc_error_prefix(err, "%s", key_path);
	printf("signed by %s\n", kc_key_id(key));
	return NULL;
}

static struct kc_error *sign_all(struct kc_ctx *ctx, const struct request *request,
				 struct kc_root_request *root_request)
{
	/* the passphrase is asked for below what it would sign */
	fflush(stdout);
	for (size_t i = 0; i < request->n_keys; i++) {
		kc_autokey struct kc_key *key = NULL;

		KC_TRY(kc_key_load(ctx, request->keys[i], &key));
		KC_TRY(sign(key, request->keys[i], root_request));
	}
	return request->new_key ? sign(request->new_key, request->new_path, root_request) : NULL;
}

static struct kc_error *write_request(const char *path, const struct kc_root_request *request)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	KC_TRY(kc_root_request_encode(request, &text));
	err = kc_file_write_atomic(path, text.data, text.size, 0644);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

static struct kc_error *read_request(const char *path, struct kc_root_request *request)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read_now(path, KC_ROOT_REQUEST_SIZE_MAX, &text);

	if (err)
		return kc_error_errno(err == -EFBIG ? KC_ERR_LIMIT : KC_ERR_INPUT, -err, "cannot read %s", path);
	return kc_root_request_decode(path, text.data, text.size, request);
}

/* ---- the root key is at hand ---- */

static struct kc_error *answer_passphrase(void *data, const char *question, struct kc_buf *secret)
{
	const struct kc_buf *passphrase = data;

	(void)question;
	kc_buf_append(secret, passphrase->data, passphrase->size);
	return secret->failed ? kc_error_no_memory() : NULL;
}

/* The key that was just made: its passphrase is known. */
static struct kc_error *load_new_key(struct request *request, struct kc_buf *passphrase)
{
	kc_autoctx struct kc_ctx *own = kc_ctx_new();

	if (!own)
		return kc_error_no_memory();
	kc_ctx_set_ask(own, answer_passphrase, passphrase);
	return kc_key_load(own, request->new_path, &request->new_key);
}

/* Beside the key that it replaces: on the same medium, under the number of the first root that has it. */
static struct kc_error *make_root_key(struct kc_ctx *ctx, struct request *request, char replaced[KC_KEYID_SIZE])
{
	const char *old_path = request->keys[0], *slash = strrchr(old_path, '/');
	kc_autofree char *dir =
		slash ? strndup(old_path, (size_t)(slash - old_path) + (slash == old_path)) : strdup(".");
	KC_CLEANUP(kc_secret_wipe) struct kc_buf passphrase = { 0 };
	kc_autokey struct kc_key *old = NULL;
	char name[32], keyid[KC_KEYID_SIZE];

	snprintf(name, sizeof(name), "root-%llu", (unsigned long long)request->version + 1);
	if (!dir)
		return kc_error_no_memory();
	KC_TRY(kc_key_load(ctx, old_path, &old));
	memcpy(replaced, kc_key_id(old), KC_KEYID_SIZE);
	KC_TRY(kc_repo_new_passphrase(ctx, request->passphrase_path, request->without_passphrase, &passphrase));
	KC_TRY(kc_key_generate(ctx, dir, name, passphrase.data, keyid));
	if (asprintf(&request->new_path, "%s/%s.key", dir, name) < 0)
		request->new_path = NULL;
	if (asprintf(&request->new_public, "%s/%s.pub", dir, name) < 0)
		request->new_public = NULL;
	return request->new_path && request->new_public ? load_new_key(request, &passphrase) : kc_error_no_memory();
}

/* --rotate root is --add-root-key NEW --remove-root-key OLD. */
static struct kc_error *rotate_root(struct kc_ctx *ctx, struct request *request, char replaced[KC_KEYID_SIZE])
{
	KC_TRY(make_root_key(ctx, request, replaced));
	KC_TRY(kc_command_list_add(&request->added, &request->n_added, request->new_public));
	return kc_command_list_add(&request->removed, &request->n_removed, replaced);
}

static struct kc_error *adopt_new(struct kc_ctx *ctx, struct request *request)
{
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request root_request = { 0 };

	KC_TRY(prepare(ctx, request, &root_request));
	KC_TRY(show(&root_request));
	KC_TRY(sign_all(ctx, request, &root_request));
	return kc_root_adopt(ctx, request->place, &root_request);
}

static struct kc_error *current_version(struct kc_ctx *ctx, const char *dir, uint64_t *version)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(kc_root_load(ctx, dir, &text, &root));
	*version = root.version;
	return NULL;
}

/* What was made for a root that did not come to be; the keys of one that did are never lost. */
static void forget(struct kc_ctx *ctx, const struct request *request)
{
	kc_autoerror struct kc_error *err = NULL;
	uint64_t version = 0;

	err = current_version(ctx, request->place, &version);
	if (err || version != request->version)
		return;
	kc_error_free(kc_root_discard(ctx, request->place));
	if (request->new_path)
		unlink(request->new_path);
	if (request->new_public)
		unlink(request->new_public);
}

static struct kc_error *change_here(struct kc_ctx *ctx, struct request *request)
{
	char replaced[KC_KEYID_SIZE];
	struct kc_error *err = NULL;

	if (request->rotated[KC_ROLE_ROOT])
		err = rotate_root(ctx, request, replaced);
	if (!err)
		err = adopt_new(ctx, request);
	if (err) {
		forget(ctx, request);
		return err;
	}
	if (request->new_path)
		printf("the root key is %s from now on; %s signs nothing any more\n", request->new_path,
		       request->keys[0]);
	return NULL;
}

/* ---- it is on another machine ---- */

static struct kc_error *export(struct kc_ctx *ctx, struct request *request)
{
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request root_request = { 0 };
	struct kc_error *err = prepare(ctx, request, &root_request);

	if (!err)
		err = write_request(request->export_path, &root_request);
	if (err) {
		forget(ctx, request);
		return err;
	}
	KC_TRY(show(&root_request));
	printf("nothing is changed yet; take %s to the root keys:\n  kcare-repo sign-root %s --key ROOT.key\n"
	       "and then back:\n  kcare-repo sign-root %s --import %s\n",
	       request->export_path, kc_path_name(request->export_path), request->place, request->export_path);
	return NULL;
}

static struct kc_error *import(struct kc_ctx *ctx, const struct request *request)
{
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request root_request = { 0 };

	KC_TRY(read_request(request->import_path, &root_request));
	KC_TRY(show(&root_request));
	return kc_root_adopt(ctx, request->place, &root_request);
}

static struct kc_error *sign_file(struct kc_ctx *ctx, const struct request *request)
{
	KC_CLEANUP_ROOT_REQUEST struct kc_root_request root_request = { 0 };
	kc_autoerror struct kc_error *missing = NULL;

	KC_TRY(read_request(request->place, &root_request));
	KC_TRY(show(&root_request));
	KC_TRY(sign_all(ctx, request, &root_request));
	if (request->n_keys)
		KC_TRY(write_request(request->place, &root_request));
	missing = kc_root_request_check(&root_request);
	if (missing)
		printf("not yet: %s\n", kc_error_message(missing));
	else
		printf("all signatures are there: take it back, and 'kcare-repo sign-root DIR --import %s'\n",
		       kc_path_name(request->place));
	return NULL;
}

/* ---- all together ---- */

/* All metadata of all feeds, signed by the keys of the new root. */
static struct kc_error *publish(struct kc_ctx *ctx, const char *dir)
{
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_error *err = kc_repository_open(ctx, dir, &repository);

	if (!err)
		err = kc_repository_refresh(ctx, repository, true);
	if (err)
		return kc_error_prefix(err,
				       "the new root is in place, but not published yet ('kcare-repo refresh' does "
				       "that)");
	printf("published\n");
	return NULL;
}

static struct kc_error *change_folder(struct kc_ctx *ctx, struct request *request)
{
	kc_autoclose int lock = -1;

	KC_TRY(kc_repository_lock(ctx, request->place, &lock));
	KC_TRY(current_version(ctx, request->place, &request->version));
	if (request->export_path)
		return export(ctx, request);
	KC_TRY(request->import_path ? import(ctx, request) : change_here(ctx, request));
	KC_TRY(kc_root_keys_settle(ctx, request->place));
	close(kc_steal_fd(&lock));
	return publish(ctx, request->place);
}

struct kc_error *kc_repo_sign_root_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	CLEANUP_REQUEST struct request request = { 0 };
	struct stat st;

	(void)terminal;
	KC_TRY(read_options(&request, argc, argv));
	if (stat(request.place, &st) < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot read %s", request.place);
	if (!S_ISDIR(st.st_mode)) {
		KC_TRY(check_for_file(&request));
		return sign_file(ctx, &request);
	}
	KC_TRY(check_for_folder(&request));
	return change_folder(ctx, &request);
}
