/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sample_feed.h"

#include <string.h>

#include "base/array.h"
#include "base/hex.h"
#include "sample.h"

enum { DAY = 86400 };

void sample_root(struct kc_repo_root *root)
{
	static const char *const KEYS[] = { "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
					    SAMPLE_PUBLIC_KEY };
	char keyids[2][KC_KEYID_SIZE];

	*root = (struct kc_repo_root){ .version = 3, .expires = SAMPLE_NOW, .n_keys = 2 };
	root->keys = calloc(2, sizeof(*root->keys));
	for (size_t i = 0; i < 2; i++) {
		if (kc_hex_decode(KEYS[i], root->keys[i], KC_PUBLIC_KEY_SIZE))
			abort();
		sample_must(kc_public_key_raw_id(root->keys[i], keyids[i]));
	}
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++) {
		size_t n = role == KC_ROLE_ROOT ? 2 : 1;

		root->roles[role].keyids = calloc(n, sizeof(*root->roles[role].keyids));
		memcpy(root->roles[role].keyids, keyids[2 - n], n * sizeof(*keyids));
		root->roles[role].n_keyids = n;
		root->roles[role].threshold = (unsigned)n;
	}
}

struct kc_key *sample_feed_key(struct kc_ctx *ctx)
{
	kc_autokeyring struct kc_keyring *keyring = NULL;
	struct kc_key *key = NULL;

	sample_keys(ctx, &key, &keyring);
	return key;
}

void sample_feed_start(struct sample_feed *feed, struct kc_ctx *ctx, const char *name)
{
	*feed = (struct sample_feed){ .ctx = ctx,
				      .name = name,
				      .now = SAMPLE_NOW,
				      .n_root_keys = 1,
				      .root_threshold = 1,
				      .root_expires = SAMPLE_NOW + 365 * DAY };
	for (size_t i = 0; i < KC_ARRAY_SIZE(feed->root_keys); i++)
		feed->root_keys[i] = sample_feed_key(ctx);
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		feed->keys[role] = sample_feed_key(ctx);
	sample_feed_publish_root(feed, NULL, 0);
	sample_feed_publish(feed);
}

void sample_feed_clear(struct sample_feed *feed)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(feed->root_keys); i++)
		kc_key_free(feed->root_keys[i]);
	for (enum kc_repo_role role = 0; role < KC_ROLE_COUNT; role++)
		kc_key_free(feed->keys[role]);
	for (size_t i = 0; i < feed->n_targets_now; i++) {
		free(feed->targets_now[i].path);
		kc_buf_free(&feed->targets_now[i].text);
	}
	for (size_t i = 0; i < feed->n_files; i++) {
		free(feed->files[i].path);
		kc_buf_free(&feed->files[i].text);
	}
	free(feed->targets_now);
	free(feed->files);
	kc_repo_document_clear(&feed->timestamp);
	kc_repo_document_clear(&feed->snapshot);
	kc_repo_document_clear(&feed->targets);
	kc_buf_free(&feed->asked);
}

/* ---- files ---- */

static struct sample_file *find_file(struct sample_feed *feed, const char *path)
{
	for (size_t i = 0; i < feed->n_files; i++)
		if (!strcmp(feed->files[i].path, path))
			return &feed->files[i];
	return NULL;
}

void sample_feed_put(struct sample_feed *feed, const char *path, const void *data, size_t size)
{
	struct sample_file *file = find_file(feed, path);

	if (!file) {
		file = kc_array_add(&feed->files, &feed->n_files);
		file->path = strdup(path);
	}
	kc_buf_reset(&file->text);
	kc_buf_append(&file->text, data, size);
}

void sample_feed_remove(struct sample_feed *feed, const char *path)
{
	struct sample_file *file = find_file(feed, path);

	if (!file)
		sample_must(kc_error_new(KC_ERR_NOT_FOUND, "no file %s to remove", path));
	file->path[0] = '!'; /* no path begins so */
}

struct kc_buf *sample_feed_file(struct sample_feed *feed, const char *path)
{
	struct sample_file *file = find_file(feed, path);

	if (!file)
		sample_must(kc_error_new(KC_ERR_NOT_FOUND, "no file %s", path));
	return &file->text;
}

static struct kc_error *get(struct kc_ctx *ctx, void *data, const char *path, size_t limit, struct kc_buf *out)
{
	struct sample_feed *feed = data;
	const struct sample_file *file = find_file(feed, path);

	(void)ctx;
	kc_buf_printf(&feed->asked, "%s\n", path);
	if (feed->fails_at && strstr(path, feed->fails_at))
		return kc_error_new(KC_ERR_NETWORK, "the server is gone");
	if (!file)
		return kc_error_new(KC_ERR_NOT_FOUND, "there is no %s", path);
	kc_buf_append(out, file->text.data, file->text.size < limit ? file->text.size : limit);
	if (file->text.size > limit)
		return kc_error_new(KC_ERR_LIMIT, "%s: more than %zu bytes", path, limit);
	return NULL;
}

void sample_feed_source(struct sample_feed *feed, struct kc_repo_source *source)
{
	*source = (struct kc_repo_source){ feed, get };
}

/* ---- roots ---- */

static void add_role(struct kc_repo_root *root, enum kc_repo_role role, struct kc_key *const *keys, size_t n_keys,
		     unsigned threshold)
{
	struct kc_repo_role_keys *owner = &root->roles[role];

	owner->keyids = calloc(n_keys, sizeof(*owner->keyids));
	owner->threshold = threshold;
	for (size_t i = 0; i < n_keys; i++) {
		memcpy(owner->keyids[owner->n_keyids++], kc_key_id(keys[i]), KC_KEYID_SIZE);
		sample_must(kc_key_public(keys[i], root->keys[root->n_keys++]));
	}
}

void sample_feed_root(const struct sample_feed *feed, struct kc_repo_root *root)
{
	*root = (struct kc_repo_root){ .version = feed->root_version, .expires = feed->root_expires };
	root->keys = calloc(KC_ARRAY_SIZE(feed->root_keys) + KC_ROLE_COUNT, sizeof(*root->keys));
	add_role(root, KC_ROLE_ROOT, feed->root_keys, feed->n_root_keys, feed->root_threshold);
	for (enum kc_repo_role role = KC_ROLE_TARGETS; role < KC_ROLE_COUNT; role++)
		add_role(root, role, &feed->keys[role], 1, 1);
}

void sample_feed_publish_root(struct sample_feed *feed, const struct kc_key *const *signers, size_t n)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *json = NULL;
	kc_autofree char *path = NULL;

	feed->root_version++;
	sample_feed_root(feed, &root);
	sample_must(kc_repo_root_encode(&root, &json));
	if (!signers) {
		signers = (const struct kc_key *const *)feed->root_keys;
		n = feed->n_root_keys;
	}
	sample_must(kc_envelope_encode(json, signers, n, &text));
	path = kc_repo_metadata_path(feed->root_version, "root.json");
	sample_feed_put(feed, path, text.data, text.size);
}

/* ---- the other roles ---- */

void sample_feed_sign(struct sample_feed *feed, enum kc_repo_role role, const struct kc_repo_document *document,
		      const char *name, const struct kc_key *key)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autobuf struct kc_buf text = { 0 };
	kc_autojson json_t *json = NULL;
	kc_autofree char *path = NULL;

	if (!key)
		key = feed->keys[role];
	sample_feed_root(feed, &root);
	sample_must(kc_repo_document_encode(document, role, &root, &json));
	sample_must(kc_envelope_encode(json, &key, 1, &text));
	path = role == KC_ROLE_TIMESTAMP ? strdup("metadata/timestamp.json")
					 : kc_repo_metadata_path(document->version, name);
	sample_feed_put(feed, path, text.data, text.size);
}

static void start_document(const struct sample_feed *feed, int64_t valid_s, struct kc_repo_document *document)
{
	kc_repo_document_clear(document);
	document->version = feed->version;
	document->expires = feed->now + valid_s;
	document->feed = strdup(feed->name);
}

static struct kc_repo_meta *add_file(struct kc_repo_document *document, const char *name, const struct kc_buf *text)
{
	struct kc_repo_meta *file = kc_array_add(&document->files, &document->n_files);

	file->name = strdup(name);
	file->size = text->size;
	kc_sha256_text(text->data, text->size, file->hash);
	return file;
}

/* "metadata/17.snapshot.json" of what `document` has as its version. */
static struct kc_buf *metadata_file(struct sample_feed *feed, const struct kc_repo_document *document, const char *name)
{
	kc_autofree char *path = kc_repo_metadata_path(document->version, name);

	return sample_feed_file(feed, path);
}

void sample_feed_sign_timestamp(struct sample_feed *feed)
{
	struct kc_repo_document *timestamp = &feed->timestamp;

	for (size_t i = 0; i < timestamp->n_files; i++)
		free(timestamp->files[i].name);
	timestamp->n_files = 0;
	add_file(timestamp, "snapshot.json", metadata_file(feed, &feed->snapshot, "snapshot.json"))->version =
		feed->snapshot.version;
	sample_feed_sign(feed, KC_ROLE_TIMESTAMP, timestamp, NULL, NULL);
}

void sample_feed_sign_snapshot(struct sample_feed *feed)
{
	sample_feed_sign(feed, KC_ROLE_SNAPSHOT, &feed->snapshot, "snapshot.json", NULL);
	sample_feed_sign_timestamp(feed);
}

static void add_targets(struct sample_feed *feed, const char *bin, struct kc_repo_document *document)
{
	for (size_t i = 0; i < feed->n_targets_now; i++) {
		const struct sample_target *target = &feed->targets_now[i];
		kc_autofree char *path = NULL;
		char own[16];

		kc_repo_bin_name(target->path, feed->bin_bits, own);
		if (bin && strcmp(bin, own))
			continue;
		path = kc_repo_target_file_path(target->path, add_file(document, target->path, &target->text)->hash);
		sample_feed_put(feed, path, target->text.data, target->text.size);
	}
}

static void publish_targets(struct sample_feed *feed, const char *bin, const char *name)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document document = { 0 };

	start_document(feed, 14 * DAY, &document);
	if (bin || !feed->bin_bits)
		add_targets(feed, bin, &document);
	else
		document.bin_bits = feed->bin_bits;
	sample_feed_sign(feed, KC_ROLE_TARGETS, &document, name, NULL);
	add_file(&feed->snapshot, name, metadata_file(feed, &document, name))->version = feed->version;
	if (!bin) {
		kc_repo_document_clear(&feed->targets);
		feed->targets = document;
		document = (struct kc_repo_document){ 0 };
	}
}

void sample_feed_publish(struct sample_feed *feed)
{
	feed->version = (uint64_t)feed->now > feed->version ? (uint64_t)feed->now : feed->version + 1;
	start_document(feed, 14 * DAY, &feed->snapshot);
	publish_targets(feed, NULL, "targets.json");
	for (unsigned i = 0; feed->bin_bits && i < 1U << feed->bin_bits; i++) {
		char bin[16], name[32];

		kc_repo_bin_name_at(i, feed->bin_bits, bin);
		snprintf(name, sizeof(name), "%s.json", bin);
		publish_targets(feed, bin, name);
	}
	sample_feed_sign(feed, KC_ROLE_SNAPSHOT, &feed->snapshot, "snapshot.json", NULL);
	start_document(feed, 3 * DAY, &feed->timestamp);
	sample_feed_sign_timestamp(feed);
}

/* ---- targets ---- */

void sample_feed_set_target(struct sample_feed *feed, const char *path, const void *data, size_t size)
{
	struct sample_target *target = NULL;

	for (size_t i = 0; i < feed->n_targets_now; i++)
		if (!strcmp(feed->targets_now[i].path, path))
			target = &feed->targets_now[i];
	if (!target) {
		target = kc_array_add(&feed->targets_now, &feed->n_targets_now);
		target->path = strdup(path);
	}
	kc_buf_reset(&target->text);
	kc_buf_append(&target->text, data, size);
}

void sample_feed_set_list(struct sample_feed *feed, const char *path, uint32_t level, bool is_blocked)
{
	char type[] = "default", patchset[] = "K20261123_01", title[] = "6.1.0-47-amd64", name[64], where[256];
	struct kc_target_entry entry = { .type = type,
					 .level = level,
					 .patchset = patchset,
					 .released = SAMPLE_NOW - DAY,
					 .size = 1000,
					 .blocked = is_blocked,
					 .rollout = 100 };
	struct kc_target_list list = { name, where, title, &entry, 1 };
	kc_autobuf struct kc_buf text = { 0 };

	snprintf(name, sizeof(name), "%s", feed->name);
	snprintf(where, sizeof(where), "%s", path);
	kc_sha256_text(path, strlen(path), entry.hash);
	sample_must(kc_target_list_encode(&list, &text));
	sample_feed_set_target(feed, path, text.data, text.size);
}

void sample_feed_path(const struct sample_feed *feed, const char *name, char path[64])
{
	snprintf(path, 64, "metadata/%llu.%s", (unsigned long long)feed->version, name);
}
