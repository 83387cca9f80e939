/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files as the portal's HTTP server shows them: what is cached where, parts, links that lead out, and replaced files.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "http_host.h"
#include "kc_assert.h"
#include "portal/http/static.h"
#include "portal/http/static_cache.h"

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { LARGE = 3 << 20 };

struct site {
	struct http_host host;
	struct kc_http_static *files;
	char dir[96];
};

static void serve(void *data, struct kc_http_request *request)
{
	kc_http_static_handle(((struct site *)data)->files, request);
}

static void put(struct site *site, const char *path, const char *data, size_t size)
{
	kc_autofree char *full = kc_path_join(site->dir, path), *dir = strdup(full);

	*strrchr(dir, '/') = '\0';
	assert_int_equal(kc_dir_make(dir, 0755), 0);
	assert_int_equal(kc_file_replace(full, data, size, 0644), 0);
}

static void put_text(struct site *site, const char *path, const char *text)
{
	put(site, path, text, strlen(text));
}

static int set_up(void **state)
{
	struct site *site = calloc(1, sizeof(*site));

	assert_non_null(site);
	http_host_open(&site->host);
	snprintf(site->dir, sizeof(site->dir), "%s/public", site->host.dir);
	put_text(site, "feeds/main/metadata/timestamp.json", "{\"a\":1}");
	put_text(site, "blobs/01/0123.kpatch", "0123456789");
	assert_kc_ok(kc_http_static_new(site->dir, &site->files));
	http_host_start(&site->host, (struct kc_http_options){ .fallback = serve, .data = site });
	*state = site;
	return 0;
}

static int tear_down(void **state)
{
	struct site *site = *state;

	http_host_stop(&site->host);
	kc_http_static_free(site->files);
	http_host_close(&site->host);
	free(site);
	return 0;
}

static void assert_header(struct site *site, const char *what, const char *name, const char *expected)
{
	HTTP_CLEANUP_REPLY struct http_reply reply = http_ask(&site->host, what, "", "");

	if (strcmp(http_header(&reply, name), expected))
		fail_msg("%s: %s is '%s', expected '%s'\n%s", what, name, http_header(&reply, name), expected,
			 reply.head);
}

/* ---- tests ---- */

static void test_files_are_shown(void **state)
{
	struct site *site = *state;
	HTTP_CLEANUP_REPLY struct http_reply head = { 0 };

	put_text(site, "main/latest.v1", "2\n");
	put_text(site, "empty", "");
	put_text(site, "na me%", "odd");
	assert_http(&site->host, "GET /feeds/main/metadata/timestamp.json", "", "", 200, "{\"a\":1}");
	assert_http(&site->host, "GET //feeds///main/metadata/timestamp.json?x=y", "", "", 200, "{\"a\":1}");
	assert_http(&site->host, "GET /na%20me%25", "", "", 200, "odd");
	assert_http(&site->host, "GET /empty", "", "", 200, "");
	assert_http(&site->host, "GET /nothing", "", "", 404, "{\"error\":\"not-found\"");
	assert_http(&site->host, "GET /main/latest.v1/more", "", "", 404, "not-found");
	assert_http(&site->host, "GET /main/latest.v1/", "", "", 404, "not-found");
	assert_http(&site->host, "POST /main/latest.v1", "", "", 405, "only be fetched");
	head = http_ask(&site->host, "HEAD /blobs/01/0123.kpatch", "", "");
	assert_int_equal(head.status, 200);
	assert_int_equal(head.size, 10);
}

static void test_types_and_caches(void **state)
{
	static const char forever[] = "public, max-age=31536000, immutable";
	static const struct {
		const char *path, *type, *cache;
	} expected[] = {
		{ "blobs/01/0123.kpatch", "application/octet-stream", forever },
		{ "feeds/main/metadata/timestamp.json", "application/json", "no-cache" },
		{ "feeds/main/metadata/12.snapshot.json", "application/json", forever },
		{ "feeds/main/metadata/1.root.json", "application/json", forever },
		{ "feeds/main/metadata/root.json", "application/json", "no-cache" },
		{ "feeds/main/metadata/1x.root.json", "application/json", "no-cache" },
		{ "feeds/main/metadata/more/1.root.json", "application/json", "no-cache" },
		{ "feeds/main/targets/kernel/" SHA256 ".4711", "application/octet-stream", forever },
		{ "feeds/main/targets/kernel/4711.json", "application/json", "no-cache" },
		{ "feeds/1.json", "application/json", "no-cache" },
		{ "main/4711/version", "text/plain; charset=utf-8", "no-cache" },
		{ "main/4711/2/kpatch.info", "text/plain; charset=utf-8", "no-cache" },
		{ "index/index.html", "text/html; charset=utf-8", "no-cache" },
		{ "kernelcare_pub.der", "application/x-x509-ca-cert", "no-cache" },
	};
	struct site *site = *state;
	char what[200];

	for (size_t i = 0; i < KC_ARRAY_SIZE(expected); i++) {
		put_text(site, expected[i].path, "x");
		snprintf(what, sizeof(what), "GET /%s", expected[i].path);
		assert_header(site, what, "Content-Type", expected[i].type);
		assert_header(site, what, "Cache-Control", expected[i].cache);
	}
	assert_header(site, "GET /blobs/01/0123.kpatch", "Content-Security-Policy", "");
	assert_header(site, "GET /index/index.html", "Content-Security-Policy",
		      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
		      "frame-ancestors 'none'");
	/* one that may come tomorrow */
	assert_header(site, "GET /feeds/main/metadata/2.root.json", "Cache-Control", "no-store");
}

static void test_etags(void **state)
{
	struct site *site = *state;
	HTTP_CLEANUP_REPLY struct http_reply first =
		http_ask(&site->host, "GET /feeds/main/metadata/timestamp.json", "", "");
	HTTP_CLEANUP_REPLY struct http_reply same = { 0 };
	char headers[200], etag[100];

	snprintf(etag, sizeof(etag), "%s", http_header(&first, "ETag"));
	assert_true(strlen(etag) > 5 && etag[0] == '"');
	snprintf(headers, sizeof(headers), "If-None-Match: \"x\", W/%s\r\n", etag);
	same = http_ask(&site->host, "GET /feeds/main/metadata/timestamp.json", headers, "");
	assert_int_equal(same.status, 304);
	assert_string_equal(http_header(&same, "ETag"), etag);
	assert_int_equal(strlen(same.body ? same.body : ""), 0);
	assert_http(&site->host, "GET /feeds/main/metadata/timestamp.json", "If-None-Match: *\r\n", "", 304, "");
	assert_http(&site->host, "GET /feeds/main/metadata/timestamp.json", "If-None-Match: \"x\"\r\n", "", 200, "{");
	assert_http(&site->host, "GET /nothing", "If-None-Match: *\r\n", "", 404, "not-found");
	/* as large as before, and within the same second */
	put_text(site, "feeds/main/metadata/timestamp.json", "{\"a\":2}");
	assert_http(&site->host, "GET /feeds/main/metadata/timestamp.json", headers, "", 200, "{\"a\":2}");
}

static void assert_range(struct site *site, const char *range, const char *more, unsigned status, const char *body,
			 const char *content_range)
{
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };
	char headers[300];

	snprintf(headers, sizeof(headers), "Range: %s\r\n%s", range, more);
	reply = http_ask(&site->host, "GET /blobs/01/0123.kpatch", headers, "");
	if (reply.status != status || strcmp(http_header(&reply, "Content-Range"), content_range))
		fail_msg("%s: %u, '%s'\n%s", range, reply.status, http_header(&reply, "Content-Range"), reply.head);
	assert_string_equal(reply.body ? reply.body : "", body);
}

static void test_ranges(void **state)
{
	struct site *site = *state;
	HTTP_CLEANUP_REPLY struct http_reply whole = http_ask(&site->host, "GET /blobs/01/0123.kpatch", "", "");
	char if_range[200];

	assert_string_equal(http_header(&whole, "Accept-Ranges"), "bytes");
	assert_range(site, "bytes=0-3", "", 206, "0123", "bytes 0-3/10");
	assert_range(site, "bytes=4-", "", 206, "456789", "bytes 4-9/10");
	assert_range(site, "bytes=9-9999999999999999999999", "", 206, "9", "bytes 9-9/10");
	assert_range(site, "bytes=-3", "", 206, "789", "bytes 7-9/10");
	assert_range(site, "bytes=-99999999999999999999999", "", 206, "0123456789", "bytes 0-9/10");
	assert_range(site, "bytes=10-", "", 416, "", "bytes */10");
	assert_range(site, "bytes=-0", "", 416, "", "bytes */10");
	/* what we do not know is ignored */
	assert_range(site, "bytes=3-2", "", 200, "0123456789", "");
	assert_range(site, "bytes=0-1,3-4", "", 200, "0123456789", "");
	assert_range(site, "bytes=-", "", 200, "0123456789", "");
	assert_range(site, "bytes=+1-2", "", 200, "0123456789", "");
	assert_range(site, "lines=0-3", "", 200, "0123456789", "");
	assert_range(site, "bytes=0x1-", "", 200, "0123456789", "");
	/* only of the file that the client knows */
	snprintf(if_range, sizeof(if_range), "If-Range: %s\r\n", http_header(&whole, "ETag"));
	assert_range(site, "bytes=0-3", if_range, 206, "0123", "bytes 0-3/10");
	assert_range(site, "bytes=0-3", "If-Range: \"other\"\r\n", 200, "0123456789", "");
	/* an empty file has no part */
	put_text(site, "blobs/01/0123.kpatch", "");
	assert_range(site, "bytes=0-", "", 416, "", "bytes */0");
}

/* Files that are sent from the disk. */
static void test_large_files(void **state)
{
	struct site *site = *state;
	kc_autofree char *content = malloc(LARGE);

	assert_non_null(content);
	for (size_t i = 0; i < LARGE; i++)
		content[i] = (char)(i * 2654435761U >> 13);
	put(site, "blobs/large", content, LARGE);
	for (int i = 0; i < 3; i++) {
		HTTP_CLEANUP_REPLY struct http_reply whole = http_ask(&site->host, "GET /blobs/large", "", "");
		HTTP_CLEANUP_REPLY struct http_reply part =
			http_ask(&site->host, "GET /blobs/large", "Range: bytes=1000001-\r\n", "");

		assert_int_equal(whole.status, 200);
		assert_int_equal(whole.size, LARGE);
		assert_memory_equal(whole.body, content, LARGE);
		assert_int_equal(part.status, 206);
		assert_int_equal(part.size, LARGE - 1000001);
		assert_memory_equal(part.body, content + 1000001, LARGE - 1000001);
	}
}

/* Nobody should; but who does ends a connection, and not the portal. */
static void test_a_file_is_cut_short(void **state)
{
	struct site *site = *state;
	kc_autofree char *content = calloc(4, LARGE), *path = kc_path_join(site->dir, "large");
	char data[4096];
	size_t received = 0;
	ssize_t n;
	int fd;

	assert_non_null(content);
	put(site, "large", content, (size_t)4 * LARGE);
	fd = http_connect(&site->host);
	http_send(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(recv(fd, data, sizeof(data), 0) > 0);
	assert_int_equal(truncate(path, 100), 0);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		received += (size_t)n;
	assert_true(received < (size_t)4 * LARGE);
	close(fd);
	assert_http(&site->host, "GET /blobs/01/0123.kpatch", "", "", 200, "0123456789");
	assert_header(site, "GET /large", "Content-Length", "100");
}

static void test_nothing_outside_is_shown(void **state)
{
	struct site *site = *state;
	kc_autofree char *outside = kc_path_join(site->host.dir, "outside");
	char path[200];

	assert_int_equal(kc_file_write_atomic(outside, "secret", 6, 0644), 0);
	put_text(site, "real/file", "real");
	put_text(site, ".hidden", "secret");
	put_text(site, "real/.hidden/file", "secret");
	static const char *const links[][2] = {
		{ "absolute", "/etc/passwd" },
		{ "up", "../outside" },
		{ "folder", "/etc" },
		{ "proc", "/proc/self/root" },
		{ "inside", "real/file" },
		{ "12h", "real" },
		{ "loop", "loop" },
		{ "broken", "not/there" },
	};
	for (size_t i = 0; i < KC_ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof(path), "%s/%s", site->dir, links[i][0]);
		assert_int_equal(symlink(links[i][1], path), 0);
	}
	snprintf(path, sizeof(path), "%s/fifo", site->dir);
	assert_int_equal(mkfifo(path, 0644), 0);
	/* links within are how feeds have several names */
	assert_http(&site->host, "GET /inside", "", "", 200, "real");
	assert_http(&site->host, "GET /12h/file", "", "", 200, "real");
	static const char *const refused[] = {
		"GET /absolute",
		"GET /up",
		"GET /folder",
		"GET /folder/",
		"GET /folder/passwd",
		"GET /proc/etc/passwd",
		"GET /loop",
		"GET /broken",
		"GET /fifo",
		"GET /.hidden",
		"GET /real/.hidden/file",
		"GET /../outside",
		"GET /real/../../outside",
		"GET /%2e%2e/outside",
		"GET /real%2f..%2f..%2foutside",
		"GET /real/%2e%2e/%2e%2e/outside",
		"GET //..//outside",
		"GET /..",
	};
	for (size_t i = 0; i < KC_ARRAY_SIZE(refused); i++)
		assert_http(&site->host, refused[i], "", "", 404, "not-found");
	/* a file that was good becomes a link to one that is not */
	snprintf(path, sizeof(path), "%s/real/file", site->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../../outside", path), 0);
	assert_http(&site->host, "GET /real/file", "", "", 404, "not-found");
	assert_http(&site->host, "GET /12h/file", "", "", 404, "not-found");
}

static void test_folders(void **state)
{
	struct site *site = *state;
	HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };

	put_text(site, "index.html", "front");
	put_text(site, "in dex/index.html", "page");
	assert_http(&site->host, "GET /", "", "", 200, "front");
	assert_http(&site->host, "GET /in%20dex/", "", "", 200, "page");
	assert_http(&site->host, "GET /blobs/", "", "", 404, "not-found");
	reply = http_ask(&site->host, "GET /in%20dex", "", "");
	assert_int_equal(reply.status, 301);
	assert_string_equal(http_header(&reply, "Location"), "/in%20dex/");
	/* never to another host, or in another header */
	http_reply_clear(&reply);
	reply = http_ask(&site->host, "GET ///blobs", "", "");
	assert_int_equal(reply.status, 301);
	assert_string_equal(http_header(&reply, "Location"), "/blobs/");
}

static void test_what_changes_is_seen(void **state)
{
	struct site *site = *state;
	kc_autofree char *path = kc_path_join(site->dir, "file"),
			 *elsewhere = kc_path_join(site->host.dir, "elsewhere");
	char text[20];

	assert_http(&site->host, "GET /file", "", "", 404, "not-found");
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "<%d>", i);
		put_text(site, "file", text);
		assert_http(&site->host, "GET /file", "", "", 200, text);
	}
	assert_int_equal(unlink(path), 0);
	assert_http(&site->host, "GET /file", "", "", 404, "not-found");
	/* the folder as a whole, as a restore does it: seen within a second */
	put_text(site, "file", "old");
	assert_http(&site->host, "GET /file", "", "", 200, "old");
	assert_int_equal(rename(site->dir, elsewhere), 0);
	put_text(site, "file", "new");
	usleep(600000);
	assert_http(&site->host, "GET /file", "", "", 200, "new");
}

static void test_more_files_than_are_kept(void **state)
{
	struct site *site = *state;
	char name[40], what[60], text[20];

	for (int i = 0; i < KC_HTTP_CACHE_ENTRIES + 50; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		snprintf(what, sizeof(what), "GET /many/%d", i);
		snprintf(text, sizeof(text), "<%d>", i);
		put_text(site, name, text);
		assert_http(&site->host, what, "", "", 200, text);
	}
	assert_http(&site->host, "GET /many/0", "", "", 200, "<0>");
}

struct reader {
	struct site *site;
	volatile bool is_over;
	unsigned n;
};

/* Each answer is one of the files that were there, whole. */
static void *read_all_the_time(void *data)
{
	struct reader *reader = data;
	int fd = http_connect(&reader->site->host);

	while (!reader->is_over) {
		HTTP_CLEANUP_REPLY struct http_reply reply = { 0 };

		http_send(fd, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
		reply = http_receive(fd, false);
		assert_int_equal(reply.status, 200);
		for (size_t i = 0; i < reply.size; i++)
			assert_int_equal(reply.body[i], reply.body[0]);
		assert_int_equal(reply.size, (size_t)1000 * (unsigned char)reply.body[0]);
		reader->n++;
	}
	close(fd);
	return NULL;
}

static void test_files_are_replaced_under_readers(void **state)
{
	struct site *site = *state;
	struct reader readers[3];
	pthread_t threads[KC_ARRAY_SIZE(readers)];
	static char content[200 * 1000]; /* small ones and large ones */

	memset(content, 1, 1000);
	put(site, "file", content, 1000);
	for (size_t i = 0; i < KC_ARRAY_SIZE(readers); i++) {
		readers[i] = (struct reader){ .site = site };
		assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readers[i]), 0);
	}
	for (int i = 1; i <= 200; i++) {
		memset(content, i, sizeof(content));
		put(site, "file", content, (size_t)i * 1000);
		usleep(1000);
	}
	for (size_t i = 0; i < KC_ARRAY_SIZE(readers); i++) {
		readers[i].is_over = true;
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(readers[i].n > 0);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files_are_shown),
		TEST(test_types_and_caches),
		TEST(test_etags),
		TEST(test_ranges),
		TEST(test_large_files),
		TEST(test_a_file_is_cut_short),
		TEST(test_nothing_outside_is_shown),
		TEST(test_folders),
		TEST(test_what_changes_is_seen),
		TEST(test_more_files_than_are_kept),
		TEST(test_files_are_replaced_under_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
