/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A host's view of one feed: opening what is remembered, and the files that metadata names. */
#include "repo/client.h"

#include <string.h>

#include "base/array.h"
#include "repo/client_internal.h"

/* ---- opening ---- */

/*
 * What was accepted before. Under a root that the folder does not know yet (the host was given a newer root.json) the
 * keys may be others: then nothing is remembered.
 */
static struct kc_error *load_held(struct kc_repo_client *client, enum kc_repo_role role, const char *name, size_t limit,
				  struct kc_repo_held *held)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;
	bool exists;

	KC_TRY(kc_repo_state_read(client, name, limit, &text, &exists));
	if (!exists)
		return NULL;
	err = kc_repo_held_read(client, role, &text, held);
	if (!err)
		return NULL;
	kc_repo_held_clear(held);
	if (!client->has_new_root)
		return kc_repo_state_damaged(client, name, err);
	kc_error_free(err);
	return kc_repo_state_forget(client, name);
}

static struct kc_error *load(struct kc_repo_client *client)
{
	KC_TRY(kc_repo_roots_load(client));
	KC_TRY(load_held(client, KC_ROLE_TIMESTAMP, "timestamp.json", KC_REPO_TIMESTAMP_SIZE_MAX, &client->timestamp));
	return load_held(client, KC_ROLE_SNAPSHOT, "snapshot.json", KC_REPO_SNAPSHOT_SIZE_MAX, &client->snapshot);
}

struct kc_error *kc_repo_client_open(struct kc_ctx *ctx, const char *dir, const char *feed, const char *anchor,
				     size_t anchor_size, struct kc_repo_client **client)
{
	kc_autorepoclient struct kc_repo_client *opened = calloc(1, sizeof(*opened));

	(void)ctx;
	if (!opened)
		return kc_error_no_memory();
	opened->dir = strdup(dir);
	opened->feed = strdup(feed);
	kc_buf_append(&opened->anchor, anchor, anchor_size);
	if (!opened->dir || !opened->feed || opened->anchor.failed)
		return kc_error_no_memory();
	KC_TRY(load(opened));
	*client = kc_steal(opened);
	return NULL;
}

void kc_repo_client_free(struct kc_repo_client *client)
{
	if (!client)
		return;
	kc_repo_held_clear(&client->timestamp);
	kc_repo_held_clear(&client->snapshot);
	kc_repo_held_clear(&client->targets);
	kc_repo_root_clear(&client->root);
	kc_buf_free(&client->anchor);
	free(client->former);
	free(client->feed);
	free(client->dir);
	free(client);
}

/* ---- targets ---- */

static struct kc_error *check_refreshed(const struct kc_repo_client *client)
{
	if (!client->is_refreshed)
		return kc_error_new(KC_ERR_USAGE, "the feed '%s' was not refreshed in this run", client->feed);
	return NULL;
}

static struct kc_error *read_bin(struct kc_ctx *ctx, const struct kc_repo_client *client,
				 const struct kc_repo_source *source, const char *bin, struct kc_repo_held *held)
{
	char name[32];

	snprintf(name, sizeof(name), "%s.json", bin);
	KC_TRY(kc_repo_fetch_targets(ctx, client, source, name, held));
	if (held->document.bin_bits)
		return kc_error_new(KC_ERR_CORRUPT, "feeds/%s: %s has bins itself", client->feed, name);
	return NULL;
}

/* Targets first, then the one bin that could have it. `held` owns `*meta`; the caller clears it either way. */
static struct kc_error *find_target(struct kc_ctx *ctx, const struct kc_repo_client *client,
				    const struct kc_repo_source *source, const char *path, struct kc_repo_held *held,
				    const struct kc_repo_meta **meta)
{
	unsigned bits = client->targets.document.bin_bits;
	char bin[16];

	*meta = kc_repo_document_find(&client->targets.document, path);
	if (!*meta && bits) {
		kc_repo_bin_name(path, bits, bin);
		KC_TRY(read_bin(ctx, client, source, bin, held));
		*meta = kc_repo_document_find(&held->document, path);
	}
	if (!*meta)
		return kc_error_new(KC_ERR_NOT_FOUND, "the feed '%s' has nothing for %s", client->feed, path);
	return NULL;
}

/* "lists/kernel:0123…": no path has a colon. */
static char *list_name(const char *path)
{
	char *name;

	if (asprintf(&name, "lists/%s", path) < 0)
		return NULL;
	for (char *p = name + strlen("lists/"); *p; p++)
		if (*p == '/')
			*p = ':';
	return name;
}

/* The folder may have an older one, which is fetched again. */
static struct kc_error *read_list(const struct kc_repo_client *client, const char *name,
				  const struct kc_repo_meta *meta, size_t limit, struct kc_buf *text, bool *is_current)
{
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_repo_state_read(client, name, limit, text, is_current));
	if (!*is_current)
		return NULL;
	kc_sha256_text(text->data, text->size, hash);
	*is_current = text->size == meta->size && !strcmp(hash, meta->hash);
	if (!*is_current)
		kc_buf_reset(text);
	return NULL;
}

struct kc_error *kc_repo_client_target(struct kc_ctx *ctx, struct kc_repo_client *client,
				       const struct kc_repo_source *source, const char *path, size_t limit,
				       struct kc_buf *text, char hash[KC_SHA256_TEXT_SIZE])
{
	kc_autofree char *name = list_name(path), *file = NULL;
	KC_CLEANUP_REPO_HELD struct kc_repo_held bin = { 0 };
	const struct kc_repo_meta *meta;
	bool is_current;

	if (!name)
		return kc_error_no_memory();
	KC_TRY(check_refreshed(client));
	KC_TRY(find_target(ctx, client, source, path, &bin, &meta));
	memcpy(hash, meta->hash, KC_SHA256_TEXT_SIZE);
	KC_TRY(read_list(client, name, meta, limit, text, &is_current));
	if (is_current)
		return NULL;
	file = kc_repo_target_file_path(path, meta->hash);
	if (!file)
		return kc_error_no_memory();
	KC_TRY(kc_repo_fetch_file(ctx, client, source, file, meta, limit, text));
	return kc_repo_state_keep(client, name, text);
}

struct kc_error *kc_repo_client_list(struct kc_ctx *ctx, struct kc_repo_client *client,
				     const struct kc_repo_source *source, const char *path, struct kc_target_list *list)
{
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_repo_client_target(ctx, client, source, path, KC_TARGET_LIST_SIZE_MAX, &text, hash));
	return kc_target_list_decode(text.data, text.size, client->feed, path, list);
}

struct kc_error *kc_repo_client_user_index(struct kc_ctx *ctx, struct kc_repo_client *client,
					   const struct kc_repo_source *source, struct kc_user_package_index *index)
{
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_repo_client_target(ctx, client, source, KC_USER_INDEX_PATH, KC_TARGET_LIST_SIZE_MAX, &text, hash));
	return kc_user_package_index_decode(text.data, text.size, client->feed, index);
}

/* ---- all of them ---- */

static struct kc_error *add_paths(const struct kc_repo_document *document, char ***paths, size_t *n)
{
	for (size_t i = 0; i < document->n_files; i++) {
		char **path = kc_array_add(paths, n);

		if (!path || !(*path = strdup(document->files[i].name)))
			return kc_error_no_memory();
	}
	return NULL;
}

struct kc_error *kc_repo_client_paths(struct kc_ctx *ctx, struct kc_repo_client *client,
				      const struct kc_repo_source *source, char ***paths, size_t *n_paths)
{
	unsigned bits = client->targets.document.bin_bits;

	KC_TRY(check_refreshed(client));
	KC_TRY(add_paths(&client->targets.document, paths, n_paths));
	for (unsigned i = 0; bits && i < 1U << bits; i++) {
		KC_CLEANUP_REPO_HELD struct kc_repo_held held = { 0 };
		char bin[16];

		kc_repo_bin_name_at(i, bits, bin);
		KC_TRY(read_bin(ctx, client, source, bin, &held));
		KC_TRY(add_paths(&held.document, paths, n_paths));
	}
	return NULL;
}
