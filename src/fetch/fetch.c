/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One download after the other: tries, pauses, limits, and what each failure means. */
#include "fetch/fetch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "fetch/body.h"
#include "fetch/helper.h"

enum {
	DEFAULT_CONNECT_MS = 15 * 1000,
	DEFAULT_STALL_MS = 30 * 1000,
	DEFAULT_TOTAL_MS = 30 * 60 * 1000,
	DEFAULT_TRIES = 5,
	DEFAULT_RETRY_MS = 1000,
	PAUSE_MAX_MS = KC_FETCH_RETRY_AFTER_MAX_S * 1000,
	GRACE_MS = 5000, /* the helper keeps the limits by itself; longer, and it is not to be trusted */
};

struct kc_fetch {
	char *http_proxy, *https_proxy, *no_proxy, *user_agent; /* never NULL */
	unsigned connect_ms, stall_ms, total_ms, tries, retry_ms;
	int64_t server_time;
	uint64_t n_requests, n_bytes;
	struct kc_fetch_helper helper;
};

/* One file or answer that is wanted, until it is here or given up. */
struct download {
	struct kc_ctx *ctx;
	struct kc_fetch *fetch;
	const char *url;
	char *shown_url; /* without a password */
	bool is_post;
	const char *post; /* what is sent */
	size_t post_size;
	struct kc_body body;
	const char *what; /* for the progress, or NULL */
	int64_t deadline_ms;
	struct kc_fetch_end end; /* of the last try */
	bool may_get_better;
};

/* What the options say, else the environment in either case, else nothing. */
static char *choose_text(const char *option, const char *variable, const char *upper_variable)
{
	if (!option && variable)
		option = getenv(variable);
	if (!option && upper_variable)
		option = getenv(upper_variable);
	return strdup(option ? option : "");
}

static unsigned choose_number(unsigned option, unsigned otherwise)
{
	return option ? option : otherwise;
}

struct kc_error *kc_fetch_new(struct kc_ctx *ctx, const struct kc_fetch_options *options, struct kc_fetch **fetch)
{
	static const struct kc_fetch_options defaults;
	kc_autofetch struct kc_fetch *made = calloc(1, sizeof(*made));

	if (!made)
		return kc_error_no_memory();
	if (!options)
		options = &defaults;
	made->helper.socket = -1;
	made->helper.stop_fd = options->stop_fd > 0 ? options->stop_fd : -1;
	made->http_proxy = choose_text(options->http_proxy, "http_proxy", "HTTP_PROXY");
	made->https_proxy = choose_text(options->https_proxy, "https_proxy", "HTTPS_PROXY");
	made->no_proxy = choose_text(options->no_proxy, "no_proxy", "NO_PROXY");
	made->user_agent = strdup(options->user_agent ? options->user_agent : "kcare/" KC_VERSION);
	if (!made->http_proxy || !made->https_proxy || !made->no_proxy || !made->user_agent)
		return kc_error_no_memory();
	made->connect_ms = choose_number(options->connect_ms, DEFAULT_CONNECT_MS);
	made->stall_ms = choose_number(options->stall_ms, DEFAULT_STALL_MS);
	made->total_ms = choose_number(options->total_ms, DEFAULT_TOTAL_MS);
	made->tries = choose_number(options->tries, DEFAULT_TRIES);
	made->retry_ms = choose_number(options->retry_ms, DEFAULT_RETRY_MS);
	kc_fetch_helper_take_kept(ctx, &made->helper);
	*fetch = kc_steal(made);
	return NULL;
}

void kc_fetch_free(struct kc_fetch *fetch)
{
	if (!fetch)
		return;
	kc_fetch_helper_stop(&fetch->helper);
	free(fetch->http_proxy);
	free(fetch->https_proxy);
	free(fetch->no_proxy);
	free(fetch->user_agent);
	free(fetch);
}

void kc_fetch_keep(struct kc_ctx *ctx, struct kc_fetch *fetch)
{
	if (fetch)
		kc_fetch_helper_keep(ctx, &fetch->helper);
	kc_fetch_free(fetch);
}

void kc_fetch_drop_kept(struct kc_ctx *ctx)
{
	kc_ctx_keep(ctx, NULL, NULL);
}

static void download_end(struct download *download)
{
	kc_body_close(&download->body);
	free(download->shown_url);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int64_t left_ms(const struct download *download)
{
	int64_t left = download->deadline_ms - now_ms();

	return left > 0 ? left : 0;
}

static bool is_https(const char *url)
{
	return !strncasecmp(url, "https://", 8);
}

/* "https://name:password@host/" is shown as "https://host/". NULL when out of memory. */
static char *hide_password(const char *url)
{
	const char *host = strstr(url, "://") + 3, *at = memrchr(host, '@', strcspn(host, "/?#"));
	char *shown;

	return asprintf(&shown, "%.*s%s", (int)(host - url), url, at ? at + 1 : host) < 0 ? NULL : shown;
}

static struct kc_error *check_url(const char *url)
{
	if (strncasecmp(url, "http://", 7) && !is_https(url))
		return kc_error_new(KC_ERR_INPUT, "'%s' is not an address that begins with http:// or https://", url);
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~')
			return kc_error_new(KC_ERR_INPUT,
					    "an address has a blank or a letter that belongs "
					    "percent-encoded, behind '%.*s'",
					    (int)(c - url), url);
	return NULL;
}

/* The helper's report as an error; what the user can do is part of it. */
static struct kc_error *error_of_end(const struct download *download)
{
	const struct kc_fetch_end *end = &download->end;
	const char *url = download->shown_url;

	switch (end->outcome) {
	case KC_FETCH_DONE:
		return NULL;
	case KC_FETCH_STATUS:
		if (end->status == 404 || end->status == 410)
			return kc_error_new(KC_ERR_NOT_FOUND, "%s: the server has no such file (%u)", url, end->status);
		return kc_error_new(KC_ERR_SERVER, "%s: the server answers with status %u", url, end->status);
	case KC_FETCH_UNREACHED:
		return kc_error_new(KC_ERR_NETWORK, "%s: %s; check the address, the proxy and the network", url,
				    end->message);
	case KC_FETCH_UNTRUSTED:
		return kc_error_new(KC_ERR_NETWORK,
				    "%s: %s; is it the right server? Its CA must be known to this host "
				    "(update-ca-certificates), in files that all users may read",
				    url, end->message);
	case KC_FETCH_STALLED:
		return kc_error_new(KC_ERR_STALLED, "%s: %s", url, end->message);
	case KC_FETCH_TRUNCATED:
		return kc_error_new(KC_ERR_TRUNCATED, "%s: %s", url, end->message);
	case KC_FETCH_REDIRECT:
		if (download->is_post)
			return kc_error_new(KC_ERR_REDIRECT,
					    "%s: the server redirects %s; nothing is sent there. Configure the other "
					    "address if you trust it",
					    url, end->message);
		return kc_error_new(KC_ERR_REDIRECT,
				    "%s: the server redirects %s; only redirects on the same server are followed. Use "
				    "the other address if you trust it",
				    url, end->message);
	case KC_FETCH_OVERLONG:
		return kc_error_new(KC_ERR_LIMIT, "%s: %s; %llu are allowed here", url, end->message,
				    (unsigned long long)download->body.limit);
	case KC_FETCH_BAD_URL:
		return kc_error_new(KC_ERR_INPUT, "%s: this is not an address: %s", url, end->message);
	case KC_FETCH_BROKEN:
		return kc_error_new(KC_ERR_SYSTEM, KC_FETCH_PROGRAM " cannot work: %s", end->message);
	default: /* KC_FETCH_GARBAGE, KC_FETCH_BAD_RANGE */
		return kc_error_new(KC_ERR_SERVER, "%s: %s", url, end->message);
	}
}

/* Twice the same message is worse than none: it is sent again only if nobody has read it. */
static bool post_may_get_better(const struct kc_fetch_end *end)
{
	if (end->outcome == KC_FETCH_STATUS)
		return (end->status == 429 || end->status == 503) && end->retry_after_s;
	return end->outcome == KC_FETCH_UNREACHED && !end->was_asked;
}

static bool end_may_get_better(const struct kc_fetch_end *end)
{
	switch (end->outcome) {
	case KC_FETCH_UNREACHED:
	case KC_FETCH_STALLED:
	case KC_FETCH_TRUNCATED:
		return true;
	case KC_FETCH_STATUS:
		return end->status == 408 || end->status == 429 || (end->status >= 500 && end->status <= 599);
	default:
		return false;
	}
}

static void show_progress(const struct download *download)
{
	if (download->what && download->body.at < download->body.limit)
		kc_progress(download->ctx, download->what, (unsigned long)download->body.at,
			    (unsigned long)download->body.limit);
}

/*
 * The next packet of the helper, which keeps all limits by itself; one that does not is stopped. It may be started
 * again.
 */
static struct kc_error *read_answer(struct download *download, struct kc_fetch_answer *answer)
{
	struct kc_fetch *fetch = download->fetch;
	int64_t silence_ms = (int64_t)fetch->connect_ms + fetch->stall_ms;
	int64_t left = download->deadline_ms - now_ms();
	struct kc_error *err;

	if (left + GRACE_MS <= 0) {
		kc_fetch_helper_stop(&fetch->helper);
		return kc_error_new(KC_ERR_STALLED, "%s: this takes longer than %u s", download->shown_url,
				    fetch->total_ms / 1000);
	}
	err = kc_fetch_helper_read(&fetch->helper, (int)(silence_ms < left ? silence_ms : left) + GRACE_MS, answer);
	download->may_get_better = err && !download->is_post && kc_error_code(err) != KC_ERR_BUSY;
	return err;
}

/* Its answers up to the last. */
static struct kc_error *receive(struct download *download)
{
	struct kc_fetch *fetch = download->fetch;
	struct kc_fetch_answer answer;
	struct kc_error *err;

	for (;;) {
		KC_TRY(read_answer(download, &answer));
		if (answer.kind == KC_FETCH_END)
			break;
		fetch->n_bytes += answer.n_bytes;
		err = kc_body_take(&download->body, &answer);
		if (err) {
			/* it would go on with this download */
			kc_fetch_helper_stop(&fetch->helper);
			return kc_error_prefix(err, "%s", download->shown_url);
		}
		show_progress(download);
	}
	download->end = answer.end;
	download->may_get_better =
		download->is_post ? post_may_get_better(&answer.end) : end_may_get_better(&answer.end);
	fetch->n_requests += answer.end.n_requests;
	if (answer.end.date)
		fetch->server_time = answer.end.date;
	if (answer.end.outcome == KC_FETCH_BROKEN)
		kc_fetch_helper_stop(&fetch->helper);
	return error_of_end(download);
}

static struct kc_error *try_once(struct download *download)
{
	struct kc_fetch *fetch = download->fetch;
	const char *texts[KC_FETCH_N_TEXTS] = {
		[KC_FETCH_URL] = download->url,
		[KC_FETCH_PROXY] = is_https(download->url) ? fetch->https_proxy : fetch->http_proxy,
		[KC_FETCH_NO_PROXY] = fetch->no_proxy,
		[KC_FETCH_USER_AGENT] = fetch->user_agent,
	};
	struct kc_fetch_request request = {
		.version = KC_FETCH_VERSION,
		.connect_ms = fetch->connect_ms,
		.stall_ms = fetch->stall_ms,
		.total_ms = (uint32_t)left_ms(download),
		.limit = download->body.limit,
		.is_post = download->is_post,
		.post_size = (uint32_t)download->post_size,
	};

	KC_TRY(kc_body_begin(&download->body));
	request.offset = download->body.at;
	download->may_get_better = false;
	download->end = (struct kc_fetch_end){ 0 };
	KC_TRY(kc_fetch_helper_ask(download->ctx, &fetch->helper, &request, texts, download->post));
	KC_TRY(receive(download));
	if (kc_body_is_complete(&download->body))
		return NULL;
	download->may_get_better = true;
	return kc_error_new(KC_ERR_TRUNCATED, "%s: the server ended the download after %llu of %llu bytes",
			    download->shown_url, (unsigned long long)download->body.at,
			    (unsigned long long)download->body.limit);
}

/*
 * Before try number `n` + 1: what the server asks for, else anything up to 1, 2, 4 … times the first pause, so that the
 * hosts of a site do not come back all at once.
 */
static int64_t choose_pause_ms(const struct download *download, unsigned n)
{
	uint64_t most = (uint64_t)download->fetch->retry_ms << (n < 20 ? n - 1 : 19), random = 0;

	if (download->end.retry_after_s)
		return download->end.retry_after_s * INT64_C(1000);
	if (most > PAUSE_MAX_MS)
		most = PAUSE_MAX_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint64_t)now_ms();
	return (int64_t)(random % (most + 1));
}

/* A signal only makes it shorter. False: it was stopped. */
static bool sleep_ms(const struct kc_fetch *fetch, int64_t ms)
{
	struct pollfd stop = { fetch->helper.stop_fd, POLLIN, 0 };

	return poll(&stop, 1, (int)ms) <= 0;
}

static struct kc_error *try_again_and_again(struct download *download)
{
	kc_autoerror struct kc_error *err = NULL;
	int64_t pause_ms;

	for (unsigned n = 1;; n++) {
		err = try_once(download);
		if (!err || !download->may_get_better || n >= download->fetch->tries)
			return kc_steal(err);
		pause_ms = choose_pause_ms(download, n);
		if (pause_ms >= left_ms(download))
			return kc_steal(err);
		kc_info(download->ctx, "%s; trying again in %.1f s", kc_error_message(err), (double)pause_ms / 1000);
		if (!sleep_ms(download->fetch, pause_ms))
			return kc_steal(err);
		kc_error_free(kc_steal(err));
	}
}

static struct kc_error *download_begin(struct download *download)
{
	KC_TRY(check_url(download->url));
	download->shown_url = hide_password(download->url);
	if (!download->shown_url)
		return kc_error_no_memory();
	download->deadline_ms = now_ms() + download->fetch->total_ms;
	return NULL;
}

struct kc_error *kc_fetch_get(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, size_t limit,
			      struct kc_buf *out)
{
	KC_CLEANUP(download_end) struct download download = { .ctx = ctx, .fetch = fetch, .url = url };

	kc_body_open_buf(&download.body, out, limit);
	KC_TRY(download_begin(&download));
	KC_TRY(try_again_and_again(&download));
	kc_buf_append(out, "", 0); /* an empty body is text, too */
	return out->failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_fetch_post(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, const char *body,
			       size_t size, size_t limit, unsigned *status, struct kc_buf *out)
{
	KC_CLEANUP(download_end)
	struct download download = {
		.ctx = ctx, .fetch = fetch, .url = url, .is_post = true, .post = body, .post_size = size
	};
	struct kc_error *err;

	kc_body_open_buf(&download.body, out, limit);
	if (size > KC_FETCH_POST_MAX)
		return kc_error_new(KC_ERR_LIMIT, "%zu bytes are to be sent; %d is the limit", size, KC_FETCH_POST_MAX);
	KC_TRY(download_begin(&download));
	err = try_again_and_again(&download);
	if (err && download.end.outcome != KC_FETCH_STATUS)
		return err;
	kc_error_free(err);
	*status = download.end.status;
	kc_buf_append(out, "", 0);
	return out->failed ? kc_error_no_memory() : NULL;
}

static struct kc_error *fetch_and_check(struct download *download, const char *sha256)
{
	if (!kc_body_is_complete(&download->body))
		KC_TRY(try_again_and_again(download));
	return kc_body_check(&download->body, sha256);
}

static bool is_about_content(const struct kc_error *err)
{
	return kc_error_code(err) == KC_ERR_CORRUPT || kc_error_code(err) == KC_ERR_LIMIT;
}

/* Can the next run go on with it? */
static bool is_worth_keeping(const struct download *download, const struct kc_error *err)
{
	return download->body.at > 0 && !is_about_content(err);
}

/* A file that was continued can turn out to be made of two: then from the start, once. */
static bool is_worth_a_new_start(const struct download *download, const struct kc_error *err)
{
	return download->body.is_resumed && (is_about_content(err) || download->end.outcome == KC_FETCH_BAD_RANGE);
}

struct kc_error *kc_fetch_file(struct kc_ctx *ctx, struct kc_fetch *fetch, const char *url, const char *sha256,
			       uint64_t size, const char *path, const char *what)
{
	KC_CLEANUP(download_end) struct download download = { .ctx = ctx, .fetch = fetch, .url = url, .what = what };
	struct kc_error *err;

	KC_TRY(kc_body_open_file(&download.body, path, size));
	KC_TRY(download_begin(&download));
	err = fetch_and_check(&download, sha256);
	if (err && is_worth_a_new_start(&download, err)) {
		kc_info(ctx, "%s; beginning anew", kc_error_message(err));
		kc_error_free(err);
		KC_TRY(kc_body_rewind(&download.body));
		err = fetch_and_check(&download, sha256);
	}
	if (what && !err)
		kc_progress(ctx, what, (unsigned long)size, (unsigned long)size);
	if (err && !is_worth_keeping(&download, err))
		kc_body_remove(&download.body);
	return err;
}

int64_t kc_fetch_server_time(const struct kc_fetch *fetch)
{
	return fetch->server_time;
}

void kc_fetch_counters(const struct kc_fetch *fetch, uint64_t *n_requests, uint64_t *n_bytes)
{
	*n_requests = fetch->n_requests;
	*n_bytes = fetch->n_bytes;
}
