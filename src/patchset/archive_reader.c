/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a patchset's archive, which may come from an enemy. Two readers of libarchive, one over the other: the lower
 * one decompresses and counts what comes out, the upper one reads the tar. The first member is the signed list; it
 * says what may follow, to the byte. A member is checked by its header, then read into memory, checked as a whole, and
 * only then written. The first violation ends it.
 *
 * Nothing of a member but its name, type, size and content is looked at: modes, owners, times, extended attributes and
 * ACLs have no effect.
 */
#include "patchset/archive_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/file.h"

enum {
	CHUNK_SIZE = 64 << 10,	/* a multiple of tar's blocks */
	OVERHEAD_MAX = 4 << 20, /* what an archive may have beside its files: extended headers, zeros at the end */
	MEMBER_OVERHEAD = 4096, /* the same for each of them */
	SHOWN_NAME_SIZE = 81,
};

static const char bzip2_magic[] = { 'B', 'Z', 'h' };

struct reader {
	struct kc_ctx *ctx;
	const char *name; /* of the archive, for messages */
	struct archive *raw, *tar;
	struct archive_entry *entry; /* the current member; belongs to `tar` */
	char shown[SHOWN_NAME_SIZE]; /* its name, for messages */
	uint64_t size;		     /* of the archive */
	uint64_t n_unpacked, limit;
	bool is_over_limit;
	const struct kc_keyring *authors;
	struct kc_patchset *patchset;
	bool *seen; /* for each file of the list */
	int dirfd;  /* -1: nothing is written */
	char chunk[CHUNK_SIZE];
};

static void reader_free(struct reader *reader)
{
	archive_read_free(reader->tar);
	archive_read_free(reader->raw);
	kc_patchset_free(reader->patchset);
	free(reader->seen);
	kc_cleanup_fd(&reader->dirfd);
	free(reader);
}

KC_DEFINE_CLEANUP(cleanup_reader, struct reader *, reader_free)

/* ---- the stream ---- */

static struct kc_error *stream_error(const struct reader *reader, struct archive *archive)
{
	const char *text = archive_error_string(archive);

	if (reader->is_over_limit)
		return kc_error_new(KC_ERR_LIMIT, "%s: it unpacks to more than the %ju bytes that it may have",
				    reader->name, (uintmax_t)reader->limit);
	if (archive_errno(archive) == ENOMEM)
		return kc_error_no_memory();
	/* libarchive has no code for it */
	if (text && strcasestr(text, "truncated"))
		return kc_error_new(KC_ERR_TRUNCATED, "%s: it is cut short", reader->name);
	return kc_error_new(KC_ERR_ARCHIVE, "%s: it cannot be unpacked: %s", reader->name,
			    text ? text : "not a tar archive");
}

/* archive_read_callback of the upper reader. */
static la_ssize_t give_chunk(struct archive *tar, void *data, const void **chunk)
{
	struct reader *reader = data;
	la_ssize_t n = archive_read_data(reader->raw, reader->chunk, sizeof(reader->chunk));

	if (n < 0) {
		archive_set_error(tar, archive_errno(reader->raw), "%s", archive_error_string(reader->raw));
		return ARCHIVE_FATAL;
	}
	reader->n_unpacked += (uint64_t)n;
	reader->is_over_limit = reader->n_unpacked > reader->limit;
	if (reader->is_over_limit) {
		archive_set_error(tar, EFBIG, "over limit");
		return ARCHIVE_FATAL;
	}
	*chunk = reader->chunk;
	return n;
}

/* The lower reader: one layer of bzip2, nothing else is tried. Several streams in a row, as pbzip2 makes them, are one.
 */
static struct kc_error *start_raw(struct reader *reader, bool is_tar)
{
	reader->raw = archive_read_new();
	if (!reader->raw)
		return kc_error_no_memory();
	if ((!is_tar && archive_read_append_filter(reader->raw, ARCHIVE_FILTER_BZIP2) != ARCHIVE_OK) ||
	    archive_read_support_format_raw(reader->raw) != ARCHIVE_OK)
		return stream_error(reader, reader->raw);
	return NULL;
}

/* The upper reader goes on behind the mark of the end, so that what follows it is seen, too. */
static struct kc_error *start_tar(struct reader *reader)
{
	struct archive_entry *entry;

	if (archive_read_next_header(reader->raw, &entry) != ARCHIVE_OK)
		return stream_error(reader, reader->raw);
	reader->tar = archive_read_new();
	if (!reader->tar)
		return kc_error_no_memory();
	if (archive_read_support_format_tar(reader->tar) != ARCHIVE_OK ||
	    archive_read_set_format_option(reader->tar, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK ||
	    archive_read_open(reader->tar, reader, NULL, give_chunk, NULL) != ARCHIVE_OK)
		return stream_error(reader, reader->tar);
	return NULL;
}

static struct kc_error *open_fd(struct reader *reader, int fd)
{
	char magic[sizeof(bzip2_magic)];

	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic) || memcmp(magic, bzip2_magic, sizeof(magic)))
		return kc_error_new(KC_ERR_ARCHIVE, "%s: not an archive of a patchset (NAME.tar.bz2)", reader->name);
	KC_TRY(start_raw(reader, false));
	/* it wants the first block, and does not say what was wrong with it */
	if (archive_read_open_fd(reader->raw, fd, CHUNK_SIZE) != ARCHIVE_OK)
		return kc_error_new(KC_ERR_TRUNCATED, "%s: it is cut short, or damaged", reader->name);
	return start_tar(reader);
}

/* The upper reader has seen the end; what follows the last compressed stream is not decompressed, so not seen. */
static struct kc_error *check_end(const struct reader *reader)
{
	uint64_t n_read = (uint64_t)archive_filter_bytes(reader->raw, -1);

	if (n_read != reader->size)
		return kc_error_new(KC_ERR_ARCHIVE, "%s: %ju bytes follow its end", reader->name,
				    (uintmax_t)(reader->size - n_read));
	return NULL;
}

/* ---- members ---- */

/* A name from an enemy, for a terminal. */
static void show_name(struct reader *reader, const char *name)
{
	size_t i = 0;

	for (; name && name[i] && i < sizeof(reader->shown) - 1; i++)
		reader->shown[i] = isprint((unsigned char)name[i]) ? name[i] : '?';
	reader->shown[i] = '\0';
}

static struct kc_error *bad_member(const struct reader *reader, const char *what)
{
	return kc_error_new(KC_ERR_ARCHIVE, "%s: the member '%s' %s", reader->name, reader->shown, what);
}

static struct kc_error *check_kind(const struct reader *reader)
{
	struct archive_entry *entry = reader->entry;

	if (archive_entry_symlink(entry) || archive_entry_filetype(entry) == AE_IFLNK)
		return bad_member(reader, "is a symbolic link");
	if (archive_entry_hardlink(entry))
		return bad_member(reader, "is a hard link");
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		break;
	case AE_IFDIR:
		return bad_member(reader, "is a folder");
	case AE_IFCHR:
	case AE_IFBLK:
		return bad_member(reader, "is a device");
	case AE_IFIFO:
		return bad_member(reader, "is a FIFO");
	default:
		return bad_member(reader, "is not a file");
	}
	if (archive_entry_sparse_count(entry) > 0)
		return bad_member(reader, "is a sparse file");
	if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
		return bad_member(reader, "has no size");
	return NULL;
}

static struct kc_error *check_name(struct reader *reader)
{
	const char *name = archive_entry_pathname(reader->entry);

	show_name(reader, name);
	if (!name || !*name)
		return kc_error_new(KC_ERR_ARCHIVE, "%s: a member has no name that can be read", reader->name);
	if (*name == '/')
		return bad_member(reader, "has an absolute name");
	if (!strcmp(name, "..") || !strncmp(name, "../", 3) || strstr(name, "/../") ||
	    (strlen(name) > 3 && !strcmp(name + strlen(name) - 3, "/..")))
		return bad_member(reader, "leads out of the folder");
	if (strchr(name, '/'))
		return bad_member(reader, "is in a folder");
	return NULL;
}

/* `*name` is NULL at the end. */
static struct kc_error *next_member(struct reader *reader, const char **name)
{
	int status = archive_read_next_header(reader->tar, &reader->entry);

	*name = NULL;
	if (status == ARCHIVE_EOF)
		return NULL;
	if (status != ARCHIVE_OK)
		return stream_error(reader, reader->tar);
	KC_TRY(check_name(reader));
	KC_TRY(check_kind(reader));
	*name = archive_entry_pathname(reader->entry);
	return NULL;
}

/* All `size` bytes of the current member, and no more. The caller has checked `size`. */
static struct kc_error *read_member(struct reader *reader, size_t size, struct kc_buf *content)
{
	char more;
	la_ssize_t n;

	kc_buf_append_zeros(content, size);
	if (content->failed)
		return kc_error_no_memory();
	n = archive_read_data(reader->tar, content->data, size);
	if (n < 0)
		return stream_error(reader, reader->tar);
	if ((size_t)n != size)
		return bad_member(reader, "is shorter than its header says");
	n = archive_read_data(reader->tar, &more, 1);
	if (n < 0)
		return stream_error(reader, reader->tar);
	return n ? bad_member(reader, "is longer than its header says") : NULL;
}

/* ---- the list ---- */

static struct kc_error *read_list(struct reader *reader, struct kc_buf *list)
{
	const char *name;
	int64_t size;

	KC_TRY(next_member(reader, &name));
	if (!name)
		return kc_error_new(KC_ERR_ARCHIVE, "%s: there is nothing in it", reader->name);
	if (strcmp(name, KC_PATCHSET_LIST_NAME))
		return bad_member(reader, "is the first one; that must be " KC_PATCHSET_LIST_NAME);
	size = archive_entry_size(reader->entry);
	if (size > KC_PATCHSET_LIST_SIZE_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%s: " KC_PATCHSET_LIST_NAME " is larger than %d MiB", reader->name,
				    KC_PATCHSET_LIST_SIZE_MAX >> 20);
	return read_member(reader, (size_t)size, list);
}

/* From here on it is known what follows. */
static struct kc_error *use_list(struct reader *reader, const struct kc_buf *list)
{
	KC_TRY(kc_patchset_decode(reader->name, list->data, list->size, reader->authors, &reader->patchset));
	for (size_t i = 0; i < reader->patchset->n_files; i++)
		reader->limit += reader->patchset->files[i].size + MEMBER_OVERHEAD;
	reader->seen = calloc(reader->patchset->n_files, sizeof(*reader->seen));
	return reader->seen ? NULL : kc_error_no_memory();
}

/* ---- files ---- */

static struct kc_error *check_content(const struct reader *reader, const struct kc_patchset_file *file,
				      const struct kc_buf *content)
{
	kc_autopatch struct kc_patch *patch = NULL;
	kc_autofree char *name = NULL;
	char hash[KC_SHA256_TEXT_SIZE];
	struct kc_error *err;

	if (asprintf(&name, "%s: %s", reader->name, file->name) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	kc_sha256_text(content->data, content->size, hash);
	if (strcmp(hash, file->hash))
		return kc_error_new(KC_ERR_CORRUPT, "%s: it is not the file that the list names", name);
	KC_TRY(kc_patch_decode(reader->ctx, name, content->data, content->size, reader->authors, &patch));
	err = kc_patchset_check_patch(reader->patchset, file, patch);
	return err ? kc_error_prefix(err, "%s", reader->name) : NULL;
}

static struct kc_error *write_content(const struct reader *reader, const char *name, const struct kc_buf *content)
{
	kc_autoclose int fd = -1;
	int err;

	if (reader->dirfd < 0)
		return NULL;
	fd = openat(reader->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	err = fd < 0 ? -errno : kc_fd_write(fd, content->data, content->size);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot unpack %s", name) : NULL;
}

static struct kc_error *read_file(struct reader *reader, const char *name)
{
	const struct kc_patchset_file *file = kc_patchset_find(reader->patchset, name);
	kc_autobuf struct kc_buf content = { 0 };
	bool *seen;

	if (!file)
		return bad_member(reader,
				  strcmp(name, KC_PATCHSET_LIST_NAME) ? "is not in the list" : "is there twice");
	seen = &reader->seen[file - reader->patchset->files];
	if (*seen)
		return bad_member(reader, "is there twice");
	*seen = true;
	if ((uint64_t)archive_entry_size(reader->entry) != file->size)
		return kc_error_new(KC_ERR_ARCHIVE, "%s: the member '%s' has %jd bytes, the list says %ju",
				    reader->name, name, (intmax_t)archive_entry_size(reader->entry),
				    (uintmax_t)file->size);
	KC_TRY(read_member(reader, file->size, &content));
	KC_TRY(check_content(reader, file, &content));
	return write_content(reader, file->name, &content);
}

static struct kc_error *read_files(struct reader *reader)
{
	const struct kc_patchset *patchset = reader->patchset;
	unsigned long n = 0;
	const char *name;

	for (;;) {
		KC_TRY(next_member(reader, &name));
		if (!name)
			break;
		KC_TRY(read_file(reader, name));
		kc_progress(reader->ctx, "unpacking", ++n, patchset->n_files);
	}
	for (size_t i = 0; i < patchset->n_files; i++)
		if (!reader->seen[i])
			return kc_error_new(KC_ERR_ARCHIVE, "%s: the file '%s' of the list is missing", reader->name,
					    patchset->files[i].name);
	return check_end(reader);
}

/* ---- the whole ---- */

/* Into a folder that is made now; without one, nothing is written. On failure it is gone again. */
static struct kc_error *unpack(struct reader *reader, const char *dir)
{
	kc_autobuf struct kc_buf list = { 0 };
	struct kc_error *err;

	KC_TRY(read_list(reader, &list));
	KC_TRY(use_list(reader, &list));
	if (!dir)
		return read_files(reader);
	if (mkdir(dir, 0700) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make the folder %s", dir);
	reader->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = reader->dirfd < 0 ? kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open the folder %s", dir) : NULL;
	if (!err)
		err = write_content(reader, KC_PATCHSET_LIST_NAME, &list);
	if (!err)
		err = read_files(reader);
	if (err)
		kc_tree_remove(dir);
	return err;
}

static struct kc_error *reader_new(struct kc_ctx *ctx, const char *name, const struct kc_keyring *authors,
				   struct reader **reader)
{
	*reader = calloc(1, sizeof(**reader));
	if (!*reader)
		return kc_error_no_memory();
	(*reader)->ctx = ctx;
	(*reader)->name = name;
	(*reader)->authors = authors;
	(*reader)->dirfd = -1;
	(*reader)->limit = KC_PATCHSET_LIST_SIZE_MAX + OVERHEAD_MAX; /* until the list is known */
	return NULL;
}

/* Not through a pipe or a device, which might never end or block. */
static struct kc_error *open_file(struct reader *reader, const char *path, int *fd)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return kc_error_errno(KC_ERR_INPUT, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_ARCHIVE, "%s: not a file", path);
	reader->size = (uint64_t)st.st_size;
	return open_fd(reader, *fd);
}

struct kc_error *kc_patchset_archive_read(struct kc_ctx *ctx, const char *path, const struct kc_keyring *authors,
					  const char *dir, struct kc_patchset **patchset)
{
	KC_CLEANUP(cleanup_reader) struct reader *reader = NULL;
	kc_autoclose int fd = -1;

	KC_TRY(reader_new(ctx, path, authors, &reader));
	KC_TRY(open_file(reader, path, &fd));
	KC_TRY(unpack(reader, dir));
	*patchset = kc_steal(reader->patchset);
	return NULL;
}

struct kc_error *kc_patchset_archive_peek(struct kc_ctx *ctx, const char *path, struct kc_patchset **patchset)
{
	KC_CLEANUP(cleanup_reader) struct reader *reader = NULL;
	kc_autobuf struct kc_buf list = { 0 };
	kc_autoclose int fd = -1;

	KC_TRY(reader_new(ctx, path, NULL, &reader));
	KC_TRY(open_file(reader, path, &fd));
	KC_TRY(read_list(reader, &list));
	return kc_patchset_peek(path, list.data, list.size, patchset);
}

struct kc_error *kc_patchset_memory_read(struct kc_ctx *ctx, const char *name, const void *data, size_t size,
					 bool is_tar, const struct kc_keyring *authors, const char *dir,
					 struct kc_patchset **patchset)
{
	KC_CLEANUP(cleanup_reader) struct reader *reader = NULL;

	KC_TRY(reader_new(ctx, name, authors, &reader));
	reader->size = size;
	KC_TRY(start_raw(reader, is_tar));
	if (archive_read_open_memory(reader->raw, data, size) != ARCHIVE_OK)
		return stream_error(reader, reader->raw);
	KC_TRY(start_tar(reader));
	KC_TRY(unpack(reader, dir));
	*patchset = kc_steal(reader->patchset);
	return NULL;
}

bool kc_patchset_is_archive(const char *path)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[sizeof(bzip2_magic)];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) && !memcmp(magic, bzip2_magic, sizeof(magic));
}
