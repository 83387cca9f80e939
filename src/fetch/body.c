/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file is written by us, never by the helper: whoever takes that over cannot change it after the check. It lies in
 * a folder where nobody else writes, so nobody can swap it either.
 */
#include "fetch/body.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"

void kc_body_open_buf(struct kc_body *body, struct kc_buf *out, uint64_t limit)
{
	*body = (struct kc_body){ .limit = limit, .out = out, .out_start = out->size, .fd = -1, .dir = -1 };
}

static bool is_ours(const struct stat *st)
{
	return (st->st_uid == geteuid() || st->st_uid == 0) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static struct kc_error *open_folder(struct kc_body *body)
{
	kc_autofree char *path = strdup(body->path);
	struct stat st;
	char *slash;

	if (!path)
		return kc_error_no_memory();
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	body->dir = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (body->dir < 0 || fstat(body->dir, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open the folder of %s", body->path);
	if (!is_ours(&st))
		return kc_error_new(KC_ERR_PERMISSION,
				    "%s: others may write in this folder, so nothing is downloaded into it", path);
	return NULL;
}

static struct kc_error *open_file(struct kc_body *body, struct stat *st)
{
	const char *name = kc_path_name(body->path);

	body->fd = openat(body->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (body->fd < 0 && errno == ELOOP)
		return kc_error_new(KC_ERR_PERMISSION, "%s is a link; remove it", body->path);
	if (body->fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", body->path);
	/* a run that fails removes the file before it unlocks it */
	if (flock(body->fd, LOCK_EX | LOCK_NB) < 0 || fstat(body->fd, st) < 0 || st->st_nlink == 0)
		return kc_error_new(KC_ERR_LOCKED, "another run is downloading %s", body->path);
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_uid != geteuid() || !is_ours(st))
		return kc_error_new(KC_ERR_PERMISSION, "%s is not a file of ours alone; remove it", body->path);
	return NULL;
}

/* What an earlier run left counts as far as it goes. */
static struct kc_error *hash_beginning(struct kc_body *body)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(body->fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", body->path);
		kc_hasher_add(body->hasher, chunk, (size_t)n);
		body->at += (uint64_t)n;
	}
	body->is_resumed = body->at > 0;
	return NULL;
}

struct kc_error *kc_body_open_file(struct kc_body *body, const char *path, uint64_t size)
{
	struct stat st;

	*body = (struct kc_body){ .limit = size, .fd = -1, .dir = -1, .path = path, .hasher = kc_hasher_new() };
	if (!body->hasher)
		return kc_error_no_memory();
	KC_TRY(open_folder(body));
	KC_TRY(open_file(body, &st));
	return (uint64_t)st.st_size > size ? kc_body_rewind(body) : hash_beginning(body);
}

struct kc_error *kc_body_rewind(struct kc_body *body)
{
	body->at = 0;
	body->is_resumed = false;
	if (body->out) {
		body->out->size = body->out_start;
		return NULL;
	}
	kc_hasher_free(kc_steal(body->hasher));
	body->hasher = kc_hasher_new();
	if (!body->hasher)
		return kc_error_no_memory();
	if (ftruncate(body->fd, 0) < 0 || lseek(body->fd, 0, SEEK_SET) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot empty %s", body->path);
	return NULL;
}

struct kc_error *kc_body_begin(struct kc_body *body)
{
	body->is_new_try = true;
	if (body->out)
		return kc_body_rewind(body);
	body->is_resumed = body->is_resumed || body->at > 0;
	return NULL;
}

static struct kc_error *write_file(struct kc_body *body, const struct kc_fetch_answer *answer)
{
	off_t end;
	int err = kc_fd_write(body->fd, answer->bytes, answer->n_bytes);

	if (!err) {
		kc_hasher_add(body->hasher, answer->bytes, answer->n_bytes);
		body->at += answer->n_bytes;
		return NULL;
	}
	/* a piece may be there in part: `at` and the hash are those of what is whole */
	end = (off_t)body->at;
	if (ftruncate(body->fd, end) == 0)
		lseek(body->fd, end, SEEK_SET);
	return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s; what is there is continued next time", body->path);
}

struct kc_error *kc_body_take(struct kc_body *body, const struct kc_fetch_answer *answer)
{
	const struct kc_fetch_data *data = &answer->data;

	if (body->is_new_try && data->offset == 0 && body->at > 0)
		KC_TRY(kc_body_rewind(body));
	body->is_new_try = false;
	if (data->offset != body->at)
		return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " sent a part that was not asked for");
	if (answer->n_bytes > body->limit - body->at)
		return kc_error_new(KC_ERR_LIMIT, "the server sends too many bytes; %llu are allowed here",
				    (unsigned long long)body->limit);
	if (!body->out && data->total != KC_FETCH_TOTAL_UNKNOWN && data->total != body->limit)
		return kc_error_new(KC_ERR_CORRUPT, "it has %llu bytes instead of %llu",
				    (unsigned long long)data->total, (unsigned long long)body->limit);
	if (!body->out)
		return write_file(body, answer);
	kc_buf_append(body->out, answer->bytes, answer->n_bytes);
	body->at += answer->n_bytes;
	return body->out->failed ? kc_error_no_memory() : NULL;
}

bool kc_body_is_complete(const struct kc_body *body)
{
	return body->out || body->at == body->limit;
}

struct kc_error *kc_body_check(struct kc_body *body, const char *sha256)
{
	char hash[KC_SHA256_TEXT_SIZE];

	KC_TRY(kc_hasher_finish(body->hasher, hash));
	if (strcasecmp(hash, sha256))
		return kc_error_new(KC_ERR_CORRUPT, "%s: the hash of what was downloaded is %s instead of %s",
				    body->path, hash, sha256);
	if (fsync(body->fd) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write %s", body->path);
	return NULL;
}

void kc_body_remove(struct kc_body *body)
{
	unlinkat(body->dir, kc_path_name(body->path), 0);
}

void kc_body_close(struct kc_body *body)
{
	kc_cleanup_fd(&body->fd);
	kc_cleanup_fd(&body->dir);
	kc_hasher_free(body->hasher);
}
