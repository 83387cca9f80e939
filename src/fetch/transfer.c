/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One GET or POST over libcurl: http and https, TLS verified, redirects only within the same scheme, host and port.
 * Content is passed on as it comes: nothing is decompressed. A POST is sent once, and what the answer says is passed
 * on, whatever its status is. What a server can do wrong becomes an outcome.
 */
#include "fetch/transfer.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "base/array.h"

#define CA_DIR "/etc/ssl/certs"

enum {
	REDIRECTS_MAX = 5,
	HEADERS_MAX = 65536,
	ERROR_BODY_MAX = 65536, /* read to keep the connection; more is not worth it */
	LOOK_MS = 1000,
};

struct kc_transfer {
	CURL *curl;
	struct curl_slist *post_headers;
	const char *ca_file, *ca_dir; /* NULL: those of the distribution */
	bool knows_cas;		      /* both were chosen: http alone does not need them */
	bool has_ca_hashes;	      /* `ca_dir` finds a CA by its name: the bundle need not be read */
};

/* One request and what has come in so far. */
struct exchange {
	CURL *curl;
	const struct kc_fetch_request *request;
	const char *post;
	struct kc_fetch_end *end;
	kc_transfer_sink_fn *sink;
	kc_transfer_is_over_fn *is_over;
	void *data;
	int64_t deadline_ms, looked_ms; /* the end; when is_over() was asked */
	bool has_head;			/* status and headers were read */
	bool is_wanted;			/* the body is the content, not a page about an error */
	uint64_t offset;		/* of the next byte */
	uint64_t total;
	size_t n_header_bytes, n_dropped;
	char curl_error[CURL_ERROR_SIZE];
};

void kc_fetch_end_set(struct kc_fetch_end *end, enum kc_fetch_outcome outcome, const char *format, ...)
{
	va_list args;

	memset(end->message, 0, sizeof(end->message));
	va_start(args, format);
	vsnprintf(end->message, sizeof(end->message), format, args);
	va_end(args);
	for (char *c = end->message; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	end->outcome = outcome;
}

static const char *header(CURL *curl, const char *name)
{
	struct curl_header *found;

	return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

/* "bytes 100-199/5000", where the total may be "*". */
static bool read_content_range(const char *text, uint64_t *first, uint64_t *total)
{
	unsigned long long from, to, all;
	int n = 0;

	if (!text || sscanf(text, "bytes %llu-%llu/%n", &from, &to, &n) != 2 || !n || from > to)
		return false;
	*first = from;
	*total = KC_FETCH_TOTAL_UNKNOWN;
	if (!strcmp(text + n, "*"))
		return true;
	if (sscanf(text + n, "%llu", &all) != 1 || all <= to)
		return false;
	*total = all;
	return true;
}

/* Whole or from where we asked; and how much there is. False: `end` says why not. */
static bool read_extent(struct exchange *exchange)
{
	uint64_t limit = exchange->request->limit;
	curl_off_t length = -1;

	exchange->offset = 0;
	exchange->total = KC_FETCH_TOTAL_UNKNOWN;
	curl_easy_getinfo(exchange->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (exchange->end->status == 206) {
		if (!exchange->request->offset ||
		    !read_content_range(header(exchange->curl, "Content-Range"), &exchange->offset, &exchange->total) ||
		    exchange->offset != exchange->request->offset) {
			kc_fetch_end_set(exchange->end, KC_FETCH_BAD_RANGE, "the server answers with another part");
			return false;
		}
	} else if (length >= 0) {
		exchange->total = (uint64_t)length;
	}
	if (exchange->total != KC_FETCH_TOTAL_UNKNOWN && exchange->total > limit) {
		kc_fetch_end_set(exchange->end, KC_FETCH_OVERLONG, "the server announces %llu bytes",
				 (unsigned long long)exchange->total);
		return false;
	}
	return true;
}

static bool read_head(struct exchange *exchange)
{
	long status = 0;

	exchange->has_head = true;
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	exchange->end->status = (uint32_t)status;
	exchange->is_wanted = status == 200 || status == 206 || (exchange->request->is_post && status / 100 != 3);
	return !exchange->is_wanted || read_extent(exchange);
}

static bool pass_on(struct exchange *exchange, const char *bytes, size_t size)
{
	if (size > exchange->request->limit - exchange->offset || size > exchange->total - exchange->offset) {
		kc_fetch_end_set(exchange->end, KC_FETCH_OVERLONG, "the server sends too many bytes");
		return false;
	}
	while (size) {
		size_t piece = size < KC_FETCH_DATA_MAX ? size : KC_FETCH_DATA_MAX;

		if (!exchange->sink(exchange->data, exchange->offset, exchange->total, bytes, piece)) {
			kc_fetch_end_set(exchange->end, KC_FETCH_BROKEN, "nobody takes the download");
			return false;
		}
		exchange->offset += piece;
		bytes += piece;
		size -= piece;
	}
	return true;
}

/* libcurl's CURLOPT_WRITEFUNCTION: anything but the size ends the transfer. */
static size_t take_body(char *bytes, size_t one, size_t size, void *data)
{
	struct exchange *exchange = data;

	(void)one;
	if (!exchange->has_head && !read_head(exchange))
		return 0;
	if (exchange->is_wanted)
		return pass_on(exchange, bytes, size) ? size : 0;
	exchange->n_dropped += size;
	return exchange->n_dropped <= ERROR_BODY_MAX ? size : 0;
}

/* libcurl's CURLOPT_HEADERFUNCTION. */
static size_t take_header(char *bytes, size_t one, size_t size, void *data)
{
	struct exchange *exchange = data;

	(void)bytes;
	(void)one;
	exchange->n_header_bytes += size;
	if (exchange->n_header_bytes <= HEADERS_MAX)
		return size;
	kc_fetch_end_set(exchange->end, KC_FETCH_GARBAGE, "the headers of the answer do not end");
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* libcurl's CURLOPT_XFERINFOFUNCTION, called very often: anything but 0 ends the transfer. */
static int look_around(void *data, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
	struct exchange *exchange = data;
	int64_t now = now_ms();

	(void)all_down;
	(void)down;
	(void)all_up;
	(void)up;
	if (now - exchange->looked_ms < LOOK_MS)
		return 0;
	exchange->looked_ms = now;
	return exchange->is_over(exchange->data);
}

static void set_post(const struct kc_transfer *transfer, const struct exchange *exchange)
{
	curl_easy_setopt(exchange->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(exchange->curl, CURLOPT_POSTFIELDSIZE, (long)exchange->request->post_size);
	curl_easy_setopt(exchange->curl, CURLOPT_POSTFIELDS, exchange->post);
	curl_easy_setopt(exchange->curl, CURLOPT_HTTPHEADER, transfer->post_headers);
}

static void set_options(const struct kc_transfer *transfer, struct exchange *exchange,
			const char *const texts[KC_FETCH_N_TEXTS])
{
	const struct kc_fetch_request *request = exchange->request;
	CURL *curl = exchange->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, texts[KC_FETCH_USER_AGENT]);
	curl_easy_setopt(curl, CURLOPT_PROXY, texts[KC_FETCH_PROXY]);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, texts[KC_FETCH_NO_PROXY]);
	curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((request->stall_ms + 999) / 1000));
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)KC_FETCH_DATA_MAX);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_around);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->curl_error);
	if (transfer->ca_file || transfer->has_ca_hashes)
		curl_easy_setopt(curl, CURLOPT_CAINFO, transfer->ca_file);
	if (transfer->ca_dir)
		curl_easy_setopt(curl, CURLOPT_CAPATH, transfer->ca_dir);
	if (request->is_post)
		set_post(transfer, exchange);
	if (request->offset) {
		char range[32];

		snprintf(range, sizeof(range), "%llu-", (unsigned long long)request->offset);
		curl_easy_setopt(curl, CURLOPT_RANGE, range);
	}
}

/* It was asked, and what went wrong did so afterwards. */
static bool was_asked(CURL *curl)
{
	curl_off_t asked_us = 0;

	return curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &asked_us) == CURLE_OK && asked_us > 0;
}

static enum kc_fetch_outcome outcome_of_failure(CURL *curl, CURLcode code)
{
	switch (code) {
	case CURLE_URL_MALFORMAT:
		return KC_FETCH_BAD_URL;
	case CURLE_OPERATION_TIMEDOUT:
		return was_asked(curl) ? KC_FETCH_STALLED : KC_FETCH_UNREACHED;
	case CURLE_PARTIAL_FILE:
		return KC_FETCH_TRUNCATED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return KC_FETCH_UNTRUSTED;
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return KC_FETCH_GARBAGE;
	case CURLE_OUT_OF_MEMORY: /* also of a header that does not end */
		return was_asked(curl) ? KC_FETCH_GARBAGE : KC_FETCH_BROKEN;
	case CURLE_FAILED_INIT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_UNKNOWN_OPTION:
		return KC_FETCH_BROKEN;
	default:
		return KC_FETCH_UNREACHED;
	}
}

static const char *describe(const struct exchange *exchange, CURLcode code)
{
	if (code == CURLE_OUT_OF_MEMORY && was_asked(exchange->curl))
		return "the headers of the answer do not end";
	/* libcurl would show the proxy with its password */
	if (!strncmp(exchange->curl_error, "Unsupported proxy", 17))
		return "the address of the proxy cannot be read";
	return *exchange->curl_error ? exchange->curl_error : curl_easy_strerror(code);
}

static void judge(struct exchange *exchange, CURLcode code)
{
	struct kc_fetch_end *end = exchange->end;

	if (end->outcome != KC_FETCH_DONE) /* take_body() or take_header() has said why it ended */
		return;
	if (code == CURLE_OK && !exchange->has_head && !read_head(exchange))
		return;
	if (exchange->has_head &&
	    (!exchange->is_wanted || (code == CURLE_OK && end->status != 200 && end->status != 206)))
		kc_fetch_end_set(
			end, end->status == 416 && !exchange->request->is_post ? KC_FETCH_BAD_RANGE : KC_FETCH_STATUS,
			"the server answers %u", end->status);
	else if (code != CURLE_OK)
		kc_fetch_end_set(end, outcome_of_failure(exchange->curl, code), "%s", describe(exchange, code));
}

static void note_headers(struct exchange *exchange)
{
	const char *date = header(exchange->curl, "Date");
	time_t time = date ? curl_getdate(date, NULL) : 0;
	curl_off_t retry_after = 0;

	exchange->end->date = time > 0 ? time : 0;
	curl_easy_getinfo(exchange->curl, CURLINFO_RETRY_AFTER, &retry_after);
	if (retry_after > 0)
		exchange->end->retry_after_s =
			retry_after < KC_FETCH_RETRY_AFTER_MAX_S ? (uint32_t)retry_after : KC_FETCH_RETRY_AFTER_MAX_S;
}

static bool is_same_part(CURLU *one, CURLU *other, CURLUPart part)
{
	char *a = NULL, *b = NULL;
	bool is_same = !curl_url_get(one, part, &a, CURLU_DEFAULT_PORT) &&
		       !curl_url_get(other, part, &b, CURLU_DEFAULT_PORT) && !strcasecmp(a, b);

	curl_free(a);
	curl_free(b);
	return is_same;
}

static bool is_same_server(const char *url, const char *other_url)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *one = curl_url(), *other = curl_url();
	bool is_same = one && other && !curl_url_set(one, CURLUPART_URL, url, 0) &&
		       !curl_url_set(other, CURLUPART_URL, other_url, 0);

	for (size_t i = 0; is_same && i < KC_ARRAY_SIZE(parts); i++)
		is_same = is_same_part(one, other, parts[i]);
	curl_url_cleanup(one);
	curl_url_cleanup(other);
	return is_same;
}

static int64_t left_ms(const struct exchange *exchange)
{
	int64_t left = exchange->deadline_ms - now_ms();

	return left > 0 ? left : 1;
}

/* One request and its answer. The URL that the server sends us to (caller frees), or NULL: that was all. */
static char *run_once(struct kc_transfer *transfer, struct exchange *exchange,
		      const char *const texts[KC_FETCH_N_TEXTS], const char *url)
{
	char *location = NULL;
	CURLcode code;

	exchange->has_head = exchange->is_wanted = false;
	exchange->n_header_bytes = exchange->n_dropped = 0;
	*exchange->curl_error = '\0';
	set_options(transfer, exchange, texts);
	curl_easy_setopt(exchange->curl, CURLOPT_TIMEOUT_MS, (long)left_ms(exchange));
	code = curl_easy_setopt(exchange->curl, CURLOPT_URL, url);
	if (code == CURLE_OK)
		code = curl_easy_perform(exchange->curl);
	exchange->end->n_requests++;
	exchange->end->was_asked = was_asked(exchange->curl);
	judge(exchange, code);
	note_headers(exchange);
	if (exchange->end->outcome == KC_FETCH_STATUS)
		curl_easy_getinfo(exchange->curl, CURLINFO_REDIRECT_URL, &location);
	if (location && (exchange->request->is_post || !is_same_server(url, location))) {
		kc_fetch_end_set(exchange->end, KC_FETCH_REDIRECT, "to %s", location);
		return NULL;
	}
	return location ? strdup(location) : NULL;
}

/* "5ed36f99.0", as update-ca-certificates makes them. */
static bool has_hashes(const char *path)
{
	kc_autoclosedir DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strspn(entry->d_name, "0123456789abcdef") == 8 && !strcmp(entry->d_name + 8, ".0"))
			return true;
	return false;
}

static void choose_cas(struct kc_transfer *transfer)
{
	transfer->knows_cas = true;
	transfer->ca_file = getenv("CURL_CA_BUNDLE");
	if (!transfer->ca_file)
		transfer->ca_file = getenv("SSL_CERT_FILE");
	transfer->ca_dir = getenv("SSL_CERT_DIR");
	if (!transfer->ca_file && has_hashes(transfer->ca_dir ? transfer->ca_dir : CA_DIR)) {
		transfer->ca_dir = transfer->ca_dir ? transfer->ca_dir : CA_DIR;
		transfer->has_ca_hashes = true;
	}
}

/*
 * The folder of hashes spares us the distribution's bundle of 140 certificates, three quarters of the CPU of a whole
 * check over https; a CA may be in the bundle only.
 */
static char *run_with_cas(struct kc_transfer *transfer, struct exchange *exchange,
			  const char *const texts[KC_FETCH_N_TEXTS], const char *url)
{
	char *location = run_once(transfer, exchange, texts, url);

	if (exchange->end->outcome != KC_FETCH_UNTRUSTED || !transfer->has_ca_hashes)
		return location;
	transfer->has_ca_hashes = false;
	*exchange->end = (struct kc_fetch_end){ .kind = KC_FETCH_END };
	return run_once(transfer, exchange, texts, url);
}

void kc_transfer_run(struct kc_transfer *transfer, const struct kc_fetch_request *request,
		     const char *const texts[KC_FETCH_N_TEXTS], const char *post, kc_transfer_sink_fn *sink,
		     kc_transfer_is_over_fn *is_over, void *data, struct kc_fetch_end *end)
{
	struct exchange exchange = { .curl = transfer->curl,
				     .request = request,
				     .post = post,
				     .end = end,
				     .sink = sink,
				     .is_over = is_over,
				     .data = data };
	kc_autofree char *url = strdup(texts[KC_FETCH_URL]);

	exchange.looked_ms = now_ms();
	exchange.deadline_ms = exchange.looked_ms + request->total_ms;
	*end = (struct kc_fetch_end){ .kind = KC_FETCH_END };
	if (!url)
		kc_fetch_end_set(end, KC_FETCH_BROKEN, "out of memory");
	if (url && !transfer->knows_cas && !strncasecmp(url, "https", 5))
		choose_cas(transfer);
	for (int i = 0; url; i++) {
		char *next = run_with_cas(transfer, &exchange, texts, url);

		free(url);
		url = next;
		if (url && i == REDIRECTS_MAX) {
			kc_fetch_end_set(end, KC_FETCH_REDIRECT, "more than %d times, at last to %s", REDIRECTS_MAX,
					 url);
			return;
		}
		if (url)
			kc_fetch_end_set(end, KC_FETCH_DONE, "%s", "");
	}
}

struct kc_transfer *kc_transfer_new(void)
{
	struct kc_transfer *transfer = calloc(1, sizeof(*transfer));

	struct curl_slist *last;

	if (!transfer || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(transfer->curl = curl_easy_init())) {
		free(transfer);
		return NULL;
	}
	transfer->post_headers = curl_slist_append(NULL, "Content-Type: application/json");
	/* without it a long body waits a second for servers that do not know "100 Continue" */
	last = transfer->post_headers ? curl_slist_append(transfer->post_headers, "Expect:") : NULL;
	if (!last) {
		curl_slist_free_all(transfer->post_headers);
		curl_easy_cleanup(transfer->curl);
		free(transfer);
		return NULL;
	}
	return transfer;
}
