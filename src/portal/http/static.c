/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files are served from memory, large ones from a mapping: what both cost beside sending is one fstatat(2), which
 * tells whether the file is still the one that was read. A mapping, because libmicrohttpd has sendfile(2) send pieces
 * of 128 KiB, and looks for other events between them: with 32 connections that was half of nginx's rate.
 */
#include "portal/http/static.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/http/static_cache.h"

enum {
	IN_MEMORY_MAX = 64 << 10,
	CHECK_FOLDER_MS = 500,
};

struct kc_http_static {
	char *dir;
	struct kc_http_cache cache;
	struct kc_http_prepared *not_found;

	pthread_rwlock_t lock; /* of the folder */
	int fd;		       /* -1: it is not there */
	struct stat stat;
	int64_t checked_ms;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* ---- the folder ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A restore puts another folder in its place. The lock is held for writing. */
static void check_folder(struct kc_http_static *files)
{
	struct stat stat_now;
	bool is_there = !stat(files->dir, &stat_now);

	files->checked_ms = now_ms();
	if (is_there && files->fd >= 0 && stat_now.st_ino == files->stat.st_ino &&
	    stat_now.st_dev == files->stat.st_dev)
		return;
	if (files->fd >= 0)
		close(files->fd);
	files->fd = open(files->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (files->fd >= 0 && fstat(files->fd, &files->stat)) {
		close(files->fd);
		files->fd = -1;
	}
}

/* The folder, locked until leave_folder(). */
static int enter_folder(struct kc_http_static *files)
{
	pthread_rwlock_rdlock(&files->lock);
	if (now_ms() - files->checked_ms < CHECK_FOLDER_MS)
		return files->fd;
	pthread_rwlock_unlock(&files->lock);
	pthread_rwlock_wrlock(&files->lock);
	check_folder(files);
	return files->fd;
}

static void leave_folder(struct kc_http_static *files)
{
	pthread_rwlock_unlock(&files->lock);
}

#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

/* Paths and links that lead out of the folder are errors, EXDEV. -errno. */
static int open_beneath(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* ---- what is known of a file by its name ---- */

static bool all_of(const char *text, size_t size, const char *characters)
{
	return size && strspn(text, characters) >= size;
}

/* blobs/01/0123….kpatch; feeds/main/metadata/12.snapshot.json; feeds/main/targets/kernel/SHA256.NAME */
static bool is_forever(const char *path)
{
	const char *name = kc_path_name(path), *dot = strchr(name, '.'), *part = strchr(path, '/');
	size_t size = dot ? (size_t)(dot - name) : 0;

	if (!strncmp(path, "blobs/", 6))
		return true;
	if (strncmp(path, "feeds/", 6) || !part)
		return false;
	part = strchr(part + 1, '/');
	if (part && !strncmp(part, "/metadata/", 10) && name == part + 10)
		return all_of(name, size, "0123456789");
	return part && !strncmp(part, "/targets/", 9) && size == 64 && all_of(name, size, "0123456789abcdef");
}

static const char *content_type(const char *path)
{
	static const char *const types[][2] = {
		{ ".json", "application/json" },
		{ ".html", "text/html; charset=utf-8" },
		{ ".txt", "text/plain; charset=utf-8" },
		{ ".info", "text/plain; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".der", "application/x-x509-ca-cert" },
		{ ".svg", "image/svg+xml" },
	};
	static const char *const texts[] = { "version", "latest.v1" };
	const char *name = kc_path_name(path), *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < KC_ARRAY_SIZE(types); i++)
		if (!strcmp(dot, types[i][0]))
			return types[i][1];
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++)
		if (!strcmp(name, texts[i]))
			return "text/plain; charset=utf-8";
	return "application/octet-stream";
}

/* ---- answers ---- */

/*
 * Pages speak of patches in the words of their authors, and have the origin of the API, to which a browser that knows a
 * password sends it: nothing in them may run, whatever is wrong with how they were made.
 */
#define PAGE_POLICY \
	"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void add_header(struct kc_http_answer *answer, const char *name, const char *value)
{
	size_t n = 0;

	while (answer->headers[n][0])
		n++;
	answer->headers[n][0] = name;
	answer->headers[n][1] = value;
}

static struct kc_http_answer answer_of(const struct kc_http_file *file, unsigned status)
{
	struct kc_http_answer answer = {
		.status = status,
		.content_type = content_type(file->path),
		.headers = { { "ETag", file->etag },
			     { "Cache-Control", file->is_forever ? "public, max-age=31536000, immutable" : "no-cache" },
			     { "Accept-Ranges", "bytes" } },
	};

	if (!strncmp(answer.content_type, "text/html", 9) || !strncmp(answer.content_type, "image/svg", 9))
		add_header(&answer, "Content-Security-Policy", PAGE_POLICY);
	return answer;
}

static struct kc_error *prepare_small(struct kc_http_file *file, int fd)
{
	struct kc_http_answer answer = answer_of(file, 200);
	int err = kc_fd_read(fd, IN_MEMORY_MAX, &answer.body);

	close(fd);
	if (!err)
		return kc_http_prepare(&answer, &file->whole);
	kc_buf_free(&answer.body);
	return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot serve %s", file->path);
}

/*
 * The kernel reads a mapping for a send(2), and finds out by itself when the file was cut short; TLS would read it in
 * this process, which then would be at its end.
 */
static struct kc_error *prepare_large(struct kc_http_file *file, int fd)
{
	file->fd = fd;
	for (int by_tls = 0; by_tls < 2; by_tls++) {
		struct kc_http_answer answer = answer_of(file, 200);

		answer.size = (uint64_t)file->stat.st_size;
		answer.maps = !by_tls;
		answer.by_tls = by_tls;
		answer.fd = fcntl(fd, F_DUPFD_CLOEXEC, 1);
		if (answer.fd < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot serve %s", file->path);
		KC_TRY(kc_http_prepare(&answer, by_tls ? &file->whole_by_tls : &file->whole));
	}
	return NULL;
}

/* Takes over `fd`. */
static struct kc_error *make_file(const char *path, int fd, const struct stat *stat, struct kc_http_file **file)
{
	KC_CLEANUP(kc_cleanup_http_file) struct kc_http_file *made = calloc(1, sizeof(*made));
	struct kc_http_answer answer;

	if (made) {
		made->fd = -1;
		made->path = strdup(path);
	}
	if (!made || !made->path) {
		close(fd);
		return kc_error_no_memory();
	}
	made->stat = *stat;
	made->is_forever = is_forever(path);
	snprintf(made->etag, sizeof(made->etag), "\"%llx-%llx\"",
		 (unsigned long long)stat->st_mtim.tv_sec * 1000000000 + (unsigned long long)stat->st_mtim.tv_nsec,
		 (unsigned long long)stat->st_size);
	KC_TRY(stat->st_size > IN_MEMORY_MAX ? prepare_large(made, fd) : prepare_small(made, fd));
	answer = answer_of(made, 304);
	KC_TRY(kc_http_prepare(&answer, &made->not_modified));
	*file = kc_steal(made);
	return NULL;
}

/* What is not to be seen is not there. */
static struct kc_error *open_error(const char *path, int err)
{
	if (err == EMFILE || err == ENFILE || err == ENOMEM || err == EIO)
		return kc_error_errno(KC_ERR_SYSTEM, err, "cannot serve %s", path);
	return kc_error_not_found();
}

/* The caller releases it. KC_ERR_NOT_FOUND, also for a folder. */
static struct kc_error *find_file(struct kc_http_static *files, int dir, const char *path, const struct stat *stat_now,
				  struct kc_http_file **file)
{
	struct kc_http_file *found = kc_http_cache_find(&files->cache, path);
	struct stat stat_opened;
	int fd;

	if (found && is_same(&found->stat, stat_now)) {
		*file = found;
		return NULL;
	}
	if (found) {
		kc_http_cache_remove(&files->cache, found);
		kc_http_cache_release(&files->cache, found);
	}
	fd = open_beneath(dir, path, FILE_FLAGS);
	if (fd < 0)
		return open_error(path, -fd);
	if (fstat(fd, &stat_opened) || !S_ISREG(stat_opened.st_mode)) {
		close(fd);
		return kc_error_not_found();
	}
	KC_TRY(make_file(path, fd, &stat_opened, file));
	kc_http_cache_add(&files->cache, *file);
	return NULL;
}

/* A part of a file: 206, or 416. */
static void reply_range(struct kc_http_request *request, int dir, const struct kc_http_file *file,
			enum kc_http_range range, uint64_t offset, uint64_t size)
{
	struct kc_http_answer answer = answer_of(file, range == KC_HTTP_RANGE_PART ? 206 : 416);
	unsigned long long file_size = (unsigned long long)file->stat.st_size;
	struct stat stat_opened;
	char content_range[80];

	add_header(&answer, "Content-Range", content_range);
	if (range == KC_HTTP_RANGE_OUTSIDE) {
		answer.content_type = "text/plain";
		answer.headers[1][1] = "no-store";
		snprintf(content_range, sizeof(content_range), "bytes */%llu", file_size);
		kc_http_reply(request, &answer);
		return;
	}
	snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu", (unsigned long long)offset,
		 (unsigned long long)(offset + size - 1), file_size);
	answer.fd = file->fd >= 0 ? fcntl(file->fd, F_DUPFD_CLOEXEC, 1) : open_beneath(dir, file->path, FILE_FLAGS);
	answer.offset = offset;
	answer.size = size;
	answer.by_tls = kc_http_is_tls(request);
	if (answer.fd < 0 || fstat(answer.fd, &stat_opened) || !is_same(&file->stat, &stat_opened)) {
		if (answer.fd >= 0)
			close(answer.fd);
		kc_http_reply_error(request, kc_error_new(KC_ERR_BUSY, "the file was just replaced"));
		return;
	}
	kc_http_reply(request, &answer);
}

static void reply_file(struct kc_http_request *request, int dir, const struct kc_http_file *file)
{
	const char *known = kc_http_header(request, "If-None-Match"), *range = kc_http_header(request, "Range");
	const char *if_range = range ? kc_http_header(request, "If-Range") : NULL;
	enum kc_http_range kind = KC_HTTP_RANGE_NONE;
	uint64_t offset = 0, size = 0;

	if (known && (!strcmp(known, "*") || strstr(known, file->etag))) {
		kc_http_reply_prepared(request, file->not_modified);
		return;
	}
	if (range && (!if_range || !strcmp(if_range, file->etag)) && !strcmp(kc_http_method(request), "GET"))
		kind = kc_http_range_parse(range, (uint64_t)file->stat.st_size, &offset, &size);
	if (kind != KC_HTTP_RANGE_NONE)
		reply_range(request, dir, file, kind, offset, size);
	else if (file->whole_by_tls && kc_http_is_tls(request))
		kc_http_reply_prepared(request, file->whole_by_tls);
	else
		kc_http_reply_prepared(request, file->whole);
}

/* "/index" is a folder, whose page has links that begin behind a '/'. */
static void reply_folder(struct kc_http_static *files, struct kc_http_request *request, int dir, const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	struct kc_http_answer answer = { .status = 301, .content_type = "text/plain" };
	kc_autobuf struct kc_buf location = { 0 };
	int fd = open_beneath(dir, path, O_PATH | O_DIRECTORY);

	if (fd < 0) {
		kc_http_reply_prepared(request, files->not_found);
		return;
	}
	close(fd);
	kc_buf_append_str(&location, "/");
	for (const char *c = path; *c; c++)
		kc_buf_printf(&location, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
	kc_buf_append_str(&location, "/");
	answer.headers[0][0] = "Location";
	answer.headers[0][1] = location.failed ? "/" : location.data;
	kc_http_reply(request, &answer);
}

/* "//blobs/x" as "blobs/x", "/index/" as "index/index.html"; NULL: no such file is shown; or out of memory. */
static const char *file_path(const char *path, char **allocated)
{
	path += strspn(path, "/");
	if (*path == '.' || strstr(path, "/."))
		return NULL;
	if (*path && path[strlen(path) - 1] != '/')
		return path;
	return asprintf(allocated, "%sindex.html", path) < 0 ? (*allocated = NULL) : *allocated;
}

void kc_http_static_handle(struct kc_http_static *files, struct kc_http_request *request)
{
	const char *method = kc_http_method(request), *path;
	struct kc_http_file *file = NULL;
	kc_autofree char *allocated = NULL;
	struct kc_error *err;
	struct stat stat_now;
	int dir;

	if (strcmp(method, "GET") && strcmp(method, "HEAD")) {
		kc_http_reply_error(request, kc_error_new(KC_ERR_METHOD, "files can only be fetched"));
		return;
	}
	path = file_path(kc_http_path(request), &allocated);
	dir = enter_folder(files);
	if (!path || dir < 0 || fstatat(dir, path, &stat_now, 0)) {
		kc_http_reply_prepared(request, files->not_found);
	} else if (S_ISDIR(stat_now.st_mode)) {
		reply_folder(files, request, dir, path);
	} else {
		err = find_file(files, dir, path, &stat_now, &file);
		if (file) {
			reply_file(request, dir, file);
			kc_http_cache_release(&files->cache, file);
		} else if (err && kc_error_code(err) != KC_ERR_NOT_FOUND) {
			kc_http_reply_error(request, kc_steal(err));
		} else {
			kc_http_reply_prepared(request, files->not_found);
		}
		kc_error_free(err);
	}
	leave_folder(files);
}

/* ---- begin and end ---- */

static struct kc_error *prepare_not_found(struct kc_http_static *files)
{
	struct kc_http_answer answer = { .status = 404 };

	kc_buf_printf(&answer.body, "{\"error\":\"%s\",\"message\":\"%s\"}", kc_error_code_name(KC_ERR_NOT_FOUND),
		      kc_error_code_text(KC_ERR_NOT_FOUND));
	return kc_http_prepare(&answer, &files->not_found);
}

struct kc_error *kc_http_static_new(const char *dir, struct kc_http_static **files)
{
	struct kc_http_static *made = calloc(1, sizeof(*made));
	struct kc_error *err = NULL;

	if (!made)
		return kc_error_no_memory();
	made->fd = -1;
	kc_http_cache_init(&made->cache);
	pthread_rwlock_init(&made->lock, NULL);
	made->checked_ms = now_ms() - CHECK_FOLDER_MS;
	made->dir = strdup(dir);
	err = made->dir ? prepare_not_found(made) : kc_error_no_memory();
	if (err)
		kc_http_static_free(made);
	else
		*files = made;
	return err;
}

void kc_http_static_free(struct kc_http_static *files)
{
	if (!files)
		return;
	kc_http_cache_clear(&files->cache);
	kc_http_prepared_free(files->not_found);
	if (files->fd >= 0)
		close(files->fd);
	pthread_rwlock_destroy(&files->lock);
	free(files->dir);
	free(files);
}
