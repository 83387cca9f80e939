/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/integrity_log.h"
#include "agent/paths.h"
#include "agent/root_file.h"
#include "agent/update.h"
#include "base/file.h"
#include "fetch/fetch.h"
#include "repo/client.h"

enum {
	ROOT_NAME_DIGITS = 16,
	/* at boot, and where somebody waits for one line */
	HASTY_CONNECT_MS = 5000,
	HASTY_STALL_MS = 10000,
	HASTY_TOTAL_MS = 60000,
	CLOCK_TOLERANCE_S = 86400,
	PARTIAL_KEPT_S = 7 * 86400,
};

struct kc_remote {
	const char *server;
	char *feed;
	char root[ROOT_NAME_DIGITS + 1];
	char *url; /* of the last question */
	struct kc_fetch *fetch;
	struct kc_repo_client *client;
};

/* `path` is below the feed; without `feed`, below the server. Kept for the log. */
static struct kc_error *set_url(struct kc_remote *remote, const char *feed, const char *path)
{
	kc_autobuf struct kc_buf url = { 0 };

	kc_buf_printf(&url, "%s/", remote->server);
	if (feed)
		kc_buf_printf(&url, "feeds/%s/", feed);
	kc_buf_append_str(&url, path);
	free(remote->url);
	remote->url = kc_buf_take(&url);
	return remote->url ? NULL : kc_error_no_memory();
}

/* For repo/client.h. */
static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	struct kc_remote *remote = data;

	KC_TRY(set_url(remote, remote->feed, path));
	return kc_fetch_get(ctx, remote->fetch, remote->url, limit, out);
}

static struct kc_repo_source source_of(struct kc_remote *remote)
{
	return (struct kc_repo_source){ .data = remote, .get = get };
}

/*
 * What has expired for a host whose clock is ahead is good for all others. The server's Date is no proof, so nothing is
 * accepted for it; but "set the clock" is the better advice then.
 */
static struct kc_error *suspect_clock(const struct kc_remote *remote, struct kc_error *err)
{
	int64_t server = kc_fetch_server_time(remote->fetch), now = time(NULL);
	char ours[21], theirs[21];
	struct kc_error *clock;

	if (kc_error_code(err) != KC_ERR_EXPIRED || !server || now - server < CLOCK_TOLERANCE_S)
		return err;
	kc_repo_time_text(now, ours);
	kc_repo_time_text(server, theirs);
	clock = kc_error_new(KC_ERR_CLOCK,
			     "%s. But the clock of the server says %s, that of this host %s: set the clock",
			     kc_error_message(err), theirs, ours);
	kc_error_free(err);
	return clock;
}

/* Every error of a question to the server passes here. */
static struct kc_error *report(struct kc_ctx *ctx, const struct kc_remote *remote, struct kc_error *err)
{
	if (!err)
		return NULL;
	err = suspect_clock(remote, err);
	if (kc_is_violation(err))
		kc_integrity_log(ctx, err, remote->feed, remote->url);
	return err;
}

/* ---- opening ---- */

static struct kc_error *read_anchor(struct kc_buf *anchor)
{
	kc_autofree char *path = NULL;
	bool exists;

	KC_TRY(kc_root_file_read(KC_PATH_ROOT, anchor, &path, &exists));
	if (exists)
		return NULL;
	return kc_error_new(KC_ERR_UNKNOWN_KEY,
			    "no repository is trusted yet: get its root.json from whoever runs the patch server, and "
			    "trust it with 'kcarectl --import-key root.json'");
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static struct kc_error *open_fetch(struct kc_ctx *ctx, const struct kc_config *config, bool is_patient,
				   struct kc_remote *remote)
{
	struct kc_fetch_options options = {
		.http_proxy = text_or_null(config->http_proxy),
		.https_proxy = text_or_null(config->https_proxy),
		.no_proxy = text_or_null(config->no_proxy),
	};

	if (!is_patient) {
		options.connect_ms = HASTY_CONNECT_MS;
		options.stall_ms = HASTY_STALL_MS;
		options.total_ms = HASTY_TOTAL_MS;
		options.tries = 1;
	}
	return kc_fetch_new(ctx, &options, &remote->fetch);
}

static struct kc_error *open_client(struct kc_ctx *ctx, struct kc_remote *remote)
{
	kc_autofree char *parent = NULL, *fixed = NULL, *dir = NULL;
	kc_autobuf struct kc_buf anchor = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(read_anchor(&anchor));
	kc_sha256_text(anchor.data, anchor.size, hash);
	memcpy(remote->root, hash, ROOT_NAME_DIGITS);
	if (asprintf(&fixed, "%s/%s", KC_PATH_REPOSITORY, remote->root) < 0)
		return kc_error_no_memory();
	KC_TRY(kc_root_folder_make(fixed, &parent));
	dir = kc_path_join(parent, remote->feed);
	if (!dir)
		return kc_error_no_memory();
	return kc_repo_client_open(ctx, dir, remote->feed, anchor.data, anchor.size, &remote->client);
}

struct kc_error *kc_remote_open(struct kc_ctx *ctx, const struct kc_config *config, bool is_patient,
				struct kc_remote **remote)
{
	kc_autoremote struct kc_remote *opened = calloc(1, sizeof(*opened));

	if (!*config->patch_server)
		return kc_error_new(KC_ERR_CONFIG, "no PATCH_SERVER is configured in kcare.conf");
	if (!opened)
		return kc_error_no_memory();
	opened->server = config->patch_server;
	opened->feed = strdup(kc_config_feed(config));
	if (!opened->feed)
		return kc_error_no_memory();
	KC_TRY(open_client(ctx, opened));
	KC_TRY(open_fetch(ctx, config, is_patient, opened));
	*remote = kc_steal(opened);
	return NULL;
}

void kc_remote_free(struct kc_remote *remote)
{
	if (!remote)
		return;
	kc_repo_client_free(remote->client);
	kc_fetch_free(remote->fetch);
	free(remote->feed);
	free(remote->url);
	free(remote);
}

void kc_remote_end(struct kc_ctx *ctx, struct kc_remote *remote)
{
	if (remote)
		kc_fetch_keep(ctx, kc_steal(remote->fetch));
	kc_remote_free(remote);
}

const char *kc_remote_feed(const struct kc_remote *remote)
{
	return remote->feed;
}

const char *kc_remote_root(const struct kc_remote *remote)
{
	return remote->root;
}

/* ---- asking ---- */

struct kc_error *kc_remote_refresh(struct kc_ctx *ctx, struct kc_remote *remote)
{
	const struct kc_repo_source source = source_of(remote);
	struct kc_repo_refreshed refreshed = { 0 };
	struct kc_error *err = kc_repo_client_refresh(ctx, remote->client, &source, time(NULL), &refreshed);
	uint64_t n_requests, n_bytes;

	kc_fetch_counters(remote->fetch, &n_requests, &n_bytes);
	kc_debug(ctx, "%s, feed %s: %s, root %" PRIu64 "; %" PRIu64 " requests, %" PRIu64 " bytes", remote->server,
		 remote->feed,
		 err		    ? "failed"
		 : refreshed.is_new ? "something is new"
				    : "nothing is new",
		 refreshed.root_version, n_requests, n_bytes);
	/* the one file that every repository has */
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		err = kc_error_new(
			KC_ERR_SERVER,
			"%s: there is no such file: is PATCH_SERVER the URL of a repository, and '%s' one of "
			"its feeds?",
			remote->url, remote->feed);
	}
	return report(ctx, remote, err);
}

struct kc_error *kc_remote_list(struct kc_ctx *ctx, struct kc_remote *remote, const char *path,
				struct kc_target_list *list)
{
	const struct kc_repo_source source = source_of(remote);

	return report(ctx, remote, kc_repo_client_list(ctx, remote->client, &source, path, list));
}

struct kc_error *kc_remote_user_index(struct kc_ctx *ctx, struct kc_remote *remote, struct kc_user_package_index *index)
{
	const struct kc_repo_source source = source_of(remote);

	return report(ctx, remote, kc_repo_client_user_index(ctx, remote->client, &source, index));
}

/* ---- downloading ---- */

/* The file is whole now; what is used from here on is this memory, whoever has the file open. */
static struct kc_error *take(const char *path, const struct kc_target_entry *entry, struct kc_buf *file)
{
	char hash[KC_SHA256_TEXT_SIZE];
	int err = kc_file_read_now(path, KC_PATCH_FILE_MAX, file);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	kc_sha256_text(file->data, file->size, hash);
	if (strcmp(hash, entry->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s: changed behind its verification", path);
	return NULL;
}

/* What nobody goes on with any more: another level came, or the patch is not chosen any more. */
static void forget_old_downloads(const char *folder)
{
	kc_autoclosedir DIR *dir = opendir(folder);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    time(NULL) - st.st_mtime > PARTIAL_KEPT_S)
			unlinkat(dirfd(dir), entry->d_name, 0);
}

static struct kc_error *fetch_blob(struct kc_ctx *ctx, struct kc_remote *remote, const struct kc_target_entry *entry,
				   struct kc_buf *file)
{
	kc_autofree char *blob = kc_blob_path(entry->hash), *folder = NULL, *path = NULL, *what = NULL;
	struct kc_error *err;

	if (entry->size > KC_PATCH_FILE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "the patch file of %s is said to have %" PRIu64 " bytes: too many",
				    entry->patchset, entry->size);
	KC_TRY(kc_root_folder_make(KC_PATH_PARTIAL, &folder));
	forget_old_downloads(folder);
	if (!blob || asprintf(&path, "%s/%s.kpatch", folder, entry->hash) < 0 ||
	    asprintf(&what, "downloading %s", entry->patchset) < 0)
		return kc_error_no_memory();
	KC_TRY(set_url(remote, NULL, blob));
	KC_TRY(kc_fetch_file(ctx, remote->fetch, remote->url, entry->hash, entry->size, path, what));
	err = take(path, entry, file);
	unlink(path);
	return err;
}

/* The list says what it is, the author says what it is: both must mean the same. */
static struct kc_error *compare(const struct kc_patch *patch, const struct kc_target_entry *entry,
				enum kc_patch_kind kind, const char *target)
{
	const struct kc_manifest *manifest = &patch->manifest;
	const struct {
		const char *what, *expected, *found;
	} texts[] = {
		{ "target", target, manifest->target },
		{ "type", entry->type, manifest->type },
		{ "patchset", entry->patchset, manifest->patchset },
	};

	if (manifest->kind != kind)
		return kc_error_new(KC_ERR_WRONG_TARGET, "the patch file of %s is for %s, not for %s", entry->patchset,
				    manifest->kind == KC_PATCH_KERNEL ? "a kernel" : "a library",
				    kind == KC_PATCH_KERNEL ? "a kernel" : "a library");
	if (manifest->level != entry->level)
		return kc_error_new(KC_ERR_WRONG_TARGET, "the patch file of %s has level %u, the list says %u",
				    entry->patchset, manifest->level, entry->level);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].expected, texts[i].found))
			return kc_error_new(KC_ERR_WRONG_TARGET,
					    "the patch file of %s has the %s '%.80s', the list says '%.80s'",
					    entry->patchset, texts[i].what, texts[i].found, texts[i].expected);
	return NULL;
}

static struct kc_error *download(struct kc_ctx *ctx, struct kc_remote *remote, const struct kc_target_entry *entry,
				 enum kc_patch_kind kind, const char *target, const struct kc_keyring *authors,
				 struct kc_buf *file, struct kc_patch **patch)
{
	kc_autopatch struct kc_patch *decoded = NULL;

	KC_TRY(fetch_blob(ctx, remote, entry, file));
	KC_TRY(kc_patch_decode(ctx, remote->url, file->data, file->size, authors, &decoded));
	KC_TRY(compare(decoded, entry, kind, target));
	if (patch)
		*patch = kc_steal(decoded);
	return NULL;
}

struct kc_error *kc_remote_download(struct kc_ctx *ctx, struct kc_remote *remote, const struct kc_target_entry *entry,
				    enum kc_patch_kind kind, const char *target, const struct kc_keyring *authors,
				    struct kc_buf *file, struct kc_patch **patch)
{
	struct kc_error *err = download(ctx, remote, entry, kind, target, authors, file, patch);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		err = kc_error_new(KC_ERR_SERVER, "%s: the server does not have what its own list names", remote->url);
	}
	return report(ctx, remote, err);
}
