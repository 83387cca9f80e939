/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "publishing.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "repo/client.h"
#include "repo/source_folder.h"
#include "sample.h"

static void log_line(void *data, enum kc_log_level level, const char *message)
{
	(void)level;
	kc_buf_printf(data, "%s\n", message);
}

void publishing_start(struct publishing *publishing)
{
	*publishing = (struct publishing){ .dir = "/tmp/kcare-test-XXXXXX" };
	publishing->ctx = kc_ctx_new();
	if (!publishing->ctx || !mkdtemp(publishing->dir))
		abort();
	kc_ctx_set_log(publishing->ctx, KC_LOG_INFO, log_line, &publishing->log);
	publishing_keygen(publishing, "author");
	sample_must(kc_key_load(publishing->ctx, publishing_path(publishing, "author.key"), &publishing->author));
}

void publishing_clear(struct publishing *publishing)
{
	if (kc_tree_remove(publishing->dir))
		abort();
	kc_key_free(publishing->author);
	kc_buf_free(&publishing->log);
	kc_ctx_free(publishing->ctx);
}

static const char *make_path(struct publishing *publishing, const char *format, va_list args)
{
	char *path = publishing->path[publishing->next_path++ % 3];
	size_t size = sizeof(*publishing->path);
	int n = snprintf(path, size, "%s/", publishing->dir);

	vsnprintf(path + n, size - (size_t)n, format, args);
	return path;
}

const char *publishing_path(struct publishing *publishing, const char *format, ...)
{
	const char *path;
	va_list args;

	va_start(args, format);
	path = make_path(publishing, format, args);
	va_end(args);
	return path;
}

bool publishing_has(struct publishing *publishing, const char *format, ...)
{
	const char *path;
	va_list args;

	va_start(args, format);
	path = make_path(publishing, format, args);
	va_end(args);
	return !access(path, F_OK);
}

void publishing_keygen(struct publishing *publishing, const char *name)
{
	char keyid[KC_KEYID_SIZE];

	sample_must(kc_key_generate(publishing->ctx, publishing->dir, name, NULL, keyid));
}

void publishing_init(struct publishing *publishing, const char *name, bool trusts_author)
{
	char author[64], keys[64];
	char *const authors[] = { trusts_author ? author : NULL, NULL };
	const struct kc_repository_options options = { .keys_dir = keys, .authors = authors };

	snprintf(author, sizeof(author), "%s/author.pub", publishing->dir);
	snprintf(keys, sizeof(keys), "%s/%s.keys", publishing->dir, name);
	sample_must(kc_repository_init(publishing->ctx, publishing_path(publishing, "%s", name), &options));
}

static void set(char **member, const char *value)
{
	free(*member);
	*member = strdup(value);
}

/* The caller frees the path. */
static char *make_patch(struct publishing *publishing, const char *patchset, const struct kc_key *key,
			const struct sample_entry *entry)
{
	const char *type = entry->type ? entry->type : "default";
	kc_autobuf struct kc_buf module = { 0 }, patch = { 0 };
	struct kc_manifest manifest;
	char *path = NULL;

	sample_kernel_manifest(&manifest);
	set(&manifest.target, entry->kernel_id);
	set(&manifest.patchset, patchset);
	set(&manifest.type, type);
	manifest.level = entry->level;
	kc_buf_printf(&module, "module %u of %s", entry->level, patchset);
	sample_kernel_patch(publishing->ctx, key, &manifest, &module, &module, &patch);
	kc_manifest_clear(&manifest);
	if (asprintf(&path, "%s/%s-%.8s-%s-%u.kpatch", publishing->dir, patchset, entry->kernel_id, type,
		     entry->level) < 0 ||
	    kc_file_replace(path, patch.data, patch.size, 0644))
		abort();
	return path;
}

const char *publishing_archive(struct publishing *publishing, const char *patchset, int64_t released,
			       const struct kc_key *key, const struct sample_entry *entries, size_t n_entries)
{
	static const char *const types[] = { "default", "extra", "free", NULL };
	kc_autopatchset struct kc_patchset *made = calloc(1, sizeof(*made));
	const char *path = publishing_path(publishing, "%s.tar.bz2", patchset);
	char *files[16];

	if (!made || n_entries > 16)
		abort();
	key = key ? key : publishing->author;
	made->name = strdup(patchset);
	made->distro = strdup("debian12");
	made->released = released;
	for (size_t i = 0; i < n_entries; i++)
		files[i] = make_patch(publishing, patchset, key, &entries[i]);
	sample_must(kc_patchset_archive_write(publishing->ctx, path, made, types, files, n_entries, key));
	for (size_t i = 0; i < n_entries; i++) {
		unlink(files[i]);
		free(files[i]);
	}
	return path;
}

void publishing_deploy(struct publishing *publishing, const char *name, const char *archive, const char *feed)
{
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;

	sample_must(kc_repository_open(publishing->ctx, publishing_path(publishing, "%s", name), &repository));
	sample_must(kc_repository_deploy(publishing->ctx, repository, archive, feed, KC_PATCHSET_ENABLED, 0, &change));
}

void publishing_set_state(struct publishing *publishing, const char *name, const char *patchset, const char *feed,
			  enum kc_patchset_state state)
{
	kc_autorepository struct kc_repository *repository = NULL;
	struct kc_repository_change change;

	sample_must(kc_repository_open(publishing->ctx, publishing_path(publishing, "%s", name), &repository));
	sample_must(kc_repository_set_state(publishing->ctx, repository, patchset, feed, state, 0, &change));
}

static void describe(const struct kc_target_list *list, struct kc_buf *out)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		const struct kc_target_entry *entry = &list->entries[i];

		kc_buf_printf(out, "%u%s%s %s\n", entry->level, entry->blocked ? "!" : "",
			      entry->rollout < 100 ? "%" : "", entry->patchset);
	}
}

void publishing_seen(struct publishing *publishing, const char *name, const char *feed, const char *kernel_id,
		     struct kc_buf *out)
{
	kc_autofree char *folder = strdup(publishing_path(publishing, "%s/public/feeds/%s", name, feed));
	kc_autofree char *path = NULL, *root = NULL;
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autorepoclient struct kc_repo_client *client = NULL;
	kc_autobuf struct kc_buf anchor = { 0 };
	struct kc_repo_refreshed refreshed;
	struct kc_repo_source source;
	struct kc_error *err;

	root = strdup(publishing_path(publishing, "%s.keys/root.json", name));
	if (kc_file_read(root, KC_REPO_ROOT_SIZE_MAX, &anchor) || asprintf(&path, "kernel/%s", kernel_id) < 0)
		abort();
	kc_repo_source_folder(folder, &source);
	sample_must(kc_repo_client_open(publishing->ctx, publishing_path(publishing, "%s.host-%s", name, feed), feed,
					anchor.data, anchor.size, &client));
	sample_must(kc_repo_client_refresh(publishing->ctx, client, &source, (int64_t)time(NULL), &refreshed));
	err = kc_repo_client_list(publishing->ctx, client, &source, path, &list);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND)
		kc_error_free(err);
	else
		sample_must(err);
	describe(&list, out);
	kc_buf_append(out, "", 0);
}
