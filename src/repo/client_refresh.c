/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timestamp, snapshot, targets, bins: each file is fetched only when the one above names another than the folder has,
 * checked in the order of TUF's sections 5.4 to 5.6, and written down once it is good.
 */
#include "repo/client_internal.h"

#include <string.h>

static void take_held(struct kc_repo_held *to, struct kc_repo_held *from)
{
	kc_repo_held_clear(to);
	*to = *from;
	*from = (struct kc_repo_held){ 0 };
}

/* ---- timestamp ---- */

static struct kc_error *rollback(const char *what, uint64_t version, uint64_t accepted)
{
	return kc_error_new(KC_ERR_ROLLBACK,
			    "%s has version %llu, and this host has accepted version %llu before: an old copy of the "
			    "repository, or somebody who shows old files",
			    what, (unsigned long long)version, (unsigned long long)accepted);
}

/* Step 5.4.3. The same version is the same file. */
static struct kc_error *check_timestamp_rollback(const struct kc_repo_held *old, const struct kc_repo_held *new)
{
	const struct kc_repo_meta *was, *is;

	if (!old->is_set)
		return NULL;
	was = &old->document.files[0];
	is = &new->document.files[0];
	if (new->document.version < old->document.version)
		return rollback("timestamp.json", new->document.version, old->document.version);
	if (is->version < was->version)
		return rollback("snapshot.json", is->version, was->version);
	if (new->document.version == old->document.version && strcmp(new->hash, old->hash))
		return kc_error_new(KC_ERR_MIXED, "two different timestamps have the version %llu",
				    (unsigned long long)new->document.version);
	if (is->version == was->version && strcmp(is->hash, was->hash))
		return kc_error_new(KC_ERR_MIXED, "two different snapshots have the version %llu",
				    (unsigned long long)is->version);
	return NULL;
}

static struct kc_error *check_timestamp(const struct kc_repo_client *client, const struct kc_buf *text,
					struct kc_repo_held *found)
{
	KC_TRY(kc_repo_held_read(client, KC_ROLE_TIMESTAMP, text, found));
	KC_TRY(kc_repo_check_versions(&found->document, client->now));
	KC_TRY(check_timestamp_rollback(&client->timestamp, found));
	return kc_repo_check_expiry(found->document.expires, "it", client->now);
}

static struct kc_error *refresh_timestamp(struct kc_ctx *ctx, struct kc_repo_client *client,
					  const struct kc_repo_source *source)
{
	KC_CLEANUP_REPO_HELD struct kc_repo_held found = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err =
		source->get(ctx, source->data, "metadata/timestamp.json", KC_REPO_TIMESTAMP_SIZE_MAX, &text);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return kc_error_new(KC_ERR_NOT_FOUND, "the server has no feed '%s'", client->feed);
	}
	if (err)
		return err;
	err = check_timestamp(client, &text, &found);
	if (err)
		return kc_error_prefix(err, "feeds/%s/metadata/timestamp.json", client->feed);
	if (!client->timestamp.is_set || strcmp(found.hash, client->timestamp.hash))
		KC_TRY(kc_repo_state_write(client, "timestamp.json", &text));
	take_held(&client->timestamp, &found);
	return NULL;
}

/* ---- what signed metadata names ---- */

static struct kc_error *check_content(const struct kc_repo_meta *meta, const struct kc_buf *text)
{
	char hash[KC_SHA256_TEXT_SIZE];

	kc_sha256_text(text->data, text->size, hash);
	if ((meta->size && text->size != meta->size) || (*meta->hash && strcmp(hash, meta->hash)))
		return kc_error_new(
			KC_ERR_MIXED,
			"it is not the file that the signed metadata names (%zu bytes): altered, cut short, or of "
			"another state of the repository; try again later",
			text->size);
	return NULL;
}

struct kc_error *kc_repo_fetch_file(struct kc_ctx *ctx, const struct kc_repo_client *client,
				    const struct kc_repo_source *source, const char *path,
				    const struct kc_repo_meta *meta, size_t limit, struct kc_buf *text)
{
	struct kc_error *err;

	if (meta->size > limit)
		return kc_error_new(KC_ERR_LIMIT,
				    "feeds/%s/%s: the signed metadata says %llu bytes; at most %zu are read",
				    client->feed, path, (unsigned long long)meta->size, limit);
	err = source->get(ctx, source->data, path, meta->size ? (size_t)meta->size : limit, text);
	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		kc_error_free(err);
		return kc_error_new(
			KC_ERR_MIXED,
			"feeds/%s/%s: the signed metadata names this file, and the server does not have it: it is "
			"being changed right now, or a file is missing; try again later",
			client->feed, path);
	}
	if (err)
		return err;
	err = check_content(meta, text);
	return err ? kc_error_prefix(err, "feeds/%s/%s", client->feed, path) : NULL;
}

static struct kc_error *check_named(const struct kc_repo_client *client, enum kc_repo_role role,
				    const struct kc_repo_meta *meta, const struct kc_buf *text,
				    struct kc_repo_held *found)
{
	KC_TRY(kc_repo_held_read(client, role, text, found));
	if (found->document.version != meta->version)
		return kc_error_new(KC_ERR_MIXED, "it has version %llu, and the signed metadata says %llu",
				    (unsigned long long)found->document.version, (unsigned long long)meta->version);
	return kc_repo_check_versions(&found->document, client->now);
}

/* Metadata that other metadata names; not written down yet. */
static struct kc_error *fetch_named(struct kc_ctx *ctx, const struct kc_repo_client *client,
				    const struct kc_repo_source *source, enum kc_repo_role role,
				    const struct kc_repo_meta *meta, struct kc_buf *text, struct kc_repo_held *found)
{
	size_t limit = role == KC_ROLE_SNAPSHOT ? KC_REPO_SNAPSHOT_SIZE_MAX : KC_REPO_TARGETS_SIZE_MAX;
	kc_autofree char *path = kc_repo_metadata_path(meta->version, meta->name);
	struct kc_error *err;

	if (!path)
		return kc_error_no_memory();
	KC_TRY(kc_repo_fetch_file(ctx, client, source, path, meta, limit, text));
	err = check_named(client, role, meta, text, found);
	return err ? kc_error_prefix(err, "feeds/%s/%s", client->feed, path) : NULL;
}

/* ---- snapshot ---- */

/* Step 5.5.5: no file gets older, and none vanishes. */
static struct kc_error *check_snapshot_rollback(const struct kc_repo_held *old, const struct kc_repo_document *new)
{
	for (size_t i = 0; old->is_set && i < old->document.n_files; i++) {
		const struct kc_repo_meta *was = &old->document.files[i];
		const struct kc_repo_meta *is = kc_repo_document_find(new, was->name);

		if (!is)
			return kc_error_new(KC_ERR_ROLLBACK,
					    "the snapshot no longer names %s, which this host has seen before",
					    was->name);
		if (is->version < was->version)
			return rollback(was->name, is->version, was->version);
	}
	return NULL;
}

static struct kc_error *refresh_snapshot(struct kc_ctx *ctx, struct kc_repo_client *client,
					 const struct kc_repo_source *source, bool *is_new)
{
	const struct kc_repo_meta *meta = &client->timestamp.document.files[0];
	KC_CLEANUP_REPO_HELD struct kc_repo_held found = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err;

	*is_new = !kc_repo_held_is(&client->snapshot, meta);
	if (!*is_new)
		return kc_repo_check_expiry(client->snapshot.document.expires, "snapshot.json", client->now);
	KC_TRY(fetch_named(ctx, client, source, KC_ROLE_SNAPSHOT, meta, &text, &found));
	err = check_snapshot_rollback(&client->snapshot, &found.document);
	if (!err)
		err = kc_repo_check_expiry(found.document.expires, "it", client->now);
	if (err)
		return kc_error_prefix(err, "feeds/%s/metadata/%llu.snapshot.json", client->feed,
				       (unsigned long long)meta->version);
	KC_TRY(kc_repo_state_write(client, "snapshot.json", &text));
	take_held(&client->snapshot, &found);
	return NULL;
}

/* ---- targets ---- */

/* Not there, of an older version, damaged, or by a key that was replaced since: it is fetched. */
static struct kc_error *read_current(const struct kc_repo_client *client, const struct kc_repo_meta *meta,
				     struct kc_repo_held *held)
{
	KC_CLEANUP_REPO_HELD struct kc_repo_held found = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoerror struct kc_error *stale = NULL;
	bool exists;

	KC_TRY(kc_repo_state_read(client, meta->name, KC_REPO_TARGETS_SIZE_MAX, &text, &exists));
	if (!exists)
		return NULL;
	stale = kc_repo_held_read(client, KC_ROLE_TARGETS, &text, &found);
	if (!stale && kc_repo_held_is(&found, meta))
		take_held(held, &found);
	return NULL;
}

struct kc_error *kc_repo_fetch_targets(struct kc_ctx *ctx, const struct kc_repo_client *client,
				       const struct kc_repo_source *source, const char *name, struct kc_repo_held *held)
{
	const struct kc_repo_meta *meta = kc_repo_document_find(&client->snapshot.document, name);
	kc_autobuf struct kc_buf text = { 0 };

	if (!meta)
		return kc_error_new(KC_ERR_MIXED, "the snapshot of feed '%s' does not name %s", client->feed, name);
	KC_TRY(read_current(client, meta, held));
	if (held->is_set)
		return kc_repo_check_expiry(held->document.expires, name, client->now);
	KC_TRY(fetch_named(ctx, client, source, KC_ROLE_TARGETS, meta, &text, held));
	KC_TRY(kc_repo_check_expiry(held->document.expires, name, client->now));
	return kc_repo_state_keep(client, name, &text);
}

static struct kc_error *refresh_targets(struct kc_ctx *ctx, struct kc_repo_client *client,
					const struct kc_repo_source *source)
{
	KC_CLEANUP_REPO_HELD struct kc_repo_held found = { 0 };

	KC_TRY(kc_repo_fetch_targets(ctx, client, source, "targets.json", &found));
	take_held(&client->targets, &found);
	return NULL;
}

struct kc_error *kc_repo_client_refresh(struct kc_ctx *ctx, struct kc_repo_client *client,
					const struct kc_repo_source *source, int64_t now,
					struct kc_repo_refreshed *refreshed)
{
	client->now = now;
	client->is_refreshed = false;
	KC_TRY(kc_repo_roots_refresh(ctx, client, source));
	KC_TRY(kc_repo_check_expiry(client->root.expires, "the newest root.json", now));
	KC_TRY(refresh_timestamp(ctx, client, source));
	KC_TRY(refresh_snapshot(ctx, client, source, &refreshed->is_new));
	KC_TRY(refresh_targets(ctx, client, source));
	refreshed->root_version = client->root.version;
	client->is_refreshed = true;
	return NULL;
}
