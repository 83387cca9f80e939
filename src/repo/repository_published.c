/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hosts see now, read back from public/: the one truth about which versions were given away. Whoever can write
 * there must not make us sign what is not ours: what the current keys did not sign is not taken over, only stepped
 * over.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

void kc_published_clear(struct kc_published *published)
{
	for (size_t i = 0; published->documents && i < published->snapshot.n_files; i++)
		kc_repo_document_clear(&published->documents[i]);
	free(published->documents);
	free(published->all.files); /* the names are those of the documents */
	kc_repo_document_clear(&published->snapshot);
	*published = (struct kc_published){ 0 };
}

/* Where the metadata of a feed is, and how to check it. */
struct reader {
	const struct kc_repository *repository;
	const char *feed;
	bool is_trusted; /* everything read so far was signed by the current keys */
};

/* Another error than KC_ERR_NOT_FOUND says that the file is damaged. */
static struct kc_error *read_document(struct reader *reader, const char *name, enum kc_repo_role role,
				      const struct kc_repo_meta *meta, struct kc_repo_document *document)
{
	kc_autofree char *path = kc_repository_path(reader->repository, "public/feeds/%s/%s", reader->feed, name);
	kc_autoenvelope struct kc_envelope claimed = { 0 }, verified = { 0 };
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autoerror struct kc_error *untrusted = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	char hash[KC_SHA256_TEXT_SIZE];
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read(path, KC_REPO_TARGETS_SIZE_MAX, &text);
	if (err)
		return err == -ENOENT ? kc_error_not_found()
				      : kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	kc_sha256_text(text.data, text.size, hash);
	if (meta && strcmp(hash, meta->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s was changed by somebody else", path);
	KC_TRY(kc_repo_role_keyring(&reader->repository->root, role, &keyring));
	untrusted = kc_envelope_verify(text.data, text.size, keyring, reader->repository->root.roles[role].threshold,
				       &verified);
	reader->is_trusted = reader->is_trusted && !untrusted;
	KC_TRY(kc_envelope_peek(text.data, text.size, &claimed));
	KC_TRY(kc_repo_document_decode(claimed.signed_part, role, &reader->repository->root, document));
	if (strcmp(document->feed, reader->feed))
		return kc_error_new(KC_ERR_CORRUPT, "%s is of the feed %s", path, document->feed);
	return NULL;
}

/* "bin-00.json" to "bin-1f.json": 5 */
static unsigned count_bits(const struct kc_repo_document *snapshot)
{
	unsigned bits = 0;

	while (bits <= KC_REPO_BIN_BITS_MAX && snapshot->n_files > (size_t)1 << (bits + 1))
		bits++;
	return snapshot->n_files > 1 ? bits : 0;
}

static struct kc_error *read_top(struct reader *reader, struct kc_published *published)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document timestamp = { 0 };
	const struct kc_repo_meta *meta;
	kc_autofree char *name = NULL;

	KC_TRY(read_document(reader, "metadata/timestamp.json", KC_ROLE_TIMESTAMP, NULL, &timestamp));
	published->version = timestamp.version;
	meta = kc_repo_document_find(&timestamp, "snapshot.json");
	if (!meta)
		return kc_error_not_found();
	published->top = *meta;
	published->top.name = (char *)"snapshot.json";
	name = kc_repo_metadata_path(meta->version, meta->name);
	if (!name)
		return kc_error_no_memory();
	KC_TRY(read_document(reader, name, KC_ROLE_SNAPSHOT, meta, &published->snapshot));
	published->bin_bits = count_bits(&published->snapshot);
	return NULL;
}

/* A damaged file only costs work: everything is made anew, above the version that was reached. */
static struct kc_error *settle(struct kc_ctx *ctx, const struct reader *reader, struct kc_error *err,
			       struct kc_published *published)
{
	kc_autoerror struct kc_error *problem = err;
	enum kc_error_code code = problem ? kc_error_code(problem) : KC_ERR_NOTHING;

	if (code == KC_ERR_NO_MEMORY || code == KC_ERR_SYSTEM || code == KC_ERR_NO_SPACE)
		return kc_steal(problem);
	if (problem && (kc_error_code(problem) != KC_ERR_NOT_FOUND || published->version))
		kc_warning(ctx, "what the feed %s shows is damaged (%s): it is made anew", reader->feed,
			   kc_error_message(problem));
	published->is_trusted = !problem && reader->is_trusted;
	return NULL;
}

struct kc_error *kc_published_load(struct kc_ctx *ctx, const struct kc_repository *repository, const char *feed,
				   struct kc_published *published)
{
	struct reader reader = { repository, feed, true };

	return settle(ctx, &reader, read_top(&reader, published), published);
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct kc_repo_meta *)a)->name, ((const struct kc_repo_meta *)b)->name);
}

/* Their files as one document, to look for paths in. */
static struct kc_error *join(struct kc_published *published)
{
	struct kc_repo_document *all = &published->all;
	size_t n = 0;

	for (size_t i = 0; i < published->snapshot.n_files; i++)
		n += published->documents[i].n_files;
	all->files = calloc(n + 1, sizeof(*all->files));
	if (!all->files)
		return kc_error_no_memory();
	for (size_t i = 0; i < published->snapshot.n_files; i++)
		for (size_t k = 0; k < published->documents[i].n_files; k++)
			all->files[all->n_files++] = published->documents[i].files[k];
	qsort(all->files, all->n_files, sizeof(*all->files), compare_files);
	return NULL;
}

static struct kc_error *read_documents(struct reader *reader, struct kc_published *published)
{
	const struct kc_repo_document *snapshot = &published->snapshot;

	published->documents = calloc(snapshot->n_files + 1, sizeof(*published->documents));
	if (!published->documents)
		return kc_error_no_memory();
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const struct kc_repo_meta *meta = &snapshot->files[i];
		kc_autofree char *name = kc_repo_metadata_path(meta->version, meta->name);

		if (!name)
			return kc_error_no_memory();
		KC_TRY(read_document(reader, name, KC_ROLE_TARGETS, meta, &published->documents[i]));
	}
	return join(published);
}

struct kc_error *kc_published_load_documents(struct kc_ctx *ctx, const struct kc_repository *repository,
					     const char *feed, struct kc_published *published)
{
	struct reader reader = { repository, feed, published->is_trusted };

	return settle(ctx, &reader, read_documents(&reader, published), published);
}
