/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/identity.h"
#include "agent/info.h"
#include "agent/paths.h"
#include "agent/portal_state.h"
#include "agent/update.h"
#include "base/array.h"
#include "base/conf_line.h"
#include "base/file.h"
#include "base/process.h"
#include "proto/proto.h"

enum {
	FILE_MAX = 8 << 20,
	SHOWN_MAX = 64 << 10, /* of each section */
	ENTRIES_MAX = 500,
	DEPTH_MAX = 4,
	SECRET_LENGTH_MIN = 4, /* shorter ones are words */
};
#define TOOL_SECONDS "10" /* a tool that hangs is what somebody wants a report about */

static void title(struct kc_buf *out, const char *text)
{
	kc_buf_printf(out, "\n==== %s\n", text);
}

/* Reports are text: what is not would make the whole message invalid. */
static void add_text(struct kc_buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f))
			kc_buf_append(out, &text[i], 1);
		else
			kc_buf_append_str(out, "?");
	}
}

/* ---- configuration ---- */

static bool has_word(const struct kc_conf_line *line, const char *word)
{
	for (size_t i = 0; i + strlen(word) <= line->key_size; i++)
		if (!strncasecmp(line->key + i, word, strlen(word)))
			return true;
	return false;
}

/* "http://user:password@proxy" */
static void add_url(struct kc_buf *out, const char *value, size_t size)
{
	const char *at = memrchr(value, '@', size);

	if (at)
		kc_buf_append_str(out, "***");
	add_text(out, at ? at : value, at ? (size_t)(value + size - at) : size);
}

void kc_doctor_mask(const char *text, size_t size, struct kc_buf *out)
{
	static const char *const secret[] = { "SECRET", "PASSWORD", "KEY", "NONCE" };
	struct kc_conf_line line;

	if (!kc_conf_line_next(&text, text + size, &line) || !line.key) {
		kc_buf_append_str(out, "# ***\n"); /* a comment may have anything in it */
		return;
	}
	add_text(out, line.key, line.key_size);
	kc_buf_append_str(out, "=");
	for (size_t i = 0; i < KC_ARRAY_SIZE(secret); i++)
		if (has_word(&line, secret[i])) {
			kc_buf_append_str(out, "***\n");
			return;
		}
	add_url(out, line.value, line.value_size);
	kc_buf_append_str(out, "\n");
}

static void add_config(const char *fixed, struct kc_buf *out)
{
	kc_autofree char *path = kc_user_path(fixed);
	kc_autobuf struct kc_buf text = { 0 };
	const char *at, *end, *newline;
	int err = path ? kc_file_read_now(path, FILE_MAX, &text) : -ENOMEM;

	title(out, fixed);
	if (err) {
		kc_buf_printf(out, "cannot be read: %s\n", strerror(-err));
		return;
	}
	for (at = text.data, end = at + text.size; at && at < end; at = newline) {
		newline = memchr(at, '\n', (size_t)(end - at));
		newline = newline ? newline + 1 : end;
		kc_doctor_mask(at, (size_t)(newline - at), out);
	}
}

/* ---- files and state ---- */

/* The end of it: of a log that is what matters. */
static int read_end(const char *path, struct kc_buf *text)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && st.st_size > SHOWN_MAX && lseek(fd, -SHOWN_MAX, SEEK_END) < 0)
		return -errno;
	return kc_fd_read(fd, FILE_MAX, text);
}

static void add_end(struct kc_buf *out, const struct kc_buf *text)
{
	size_t from = text->size > SHOWN_MAX ? text->size - SHOWN_MAX : 0;

	if (text->size)
		add_text(out, text->data + from, text->size - from);
}

static void add_path(const char *name, const char *path, struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = path ? read_end(path, &text) : -ENOMEM;

	title(out, name);
	if (err)
		kc_buf_printf(out, "cannot be read: %s\n", strerror(-err));
	else
		add_end(out, &text);
}

/* One of ours. */
static void add_file(const char *fixed, struct kc_buf *out)
{
	kc_autofree char *path = kc_user_path(fixed);

	add_path(fixed, path, out);
}

/* Names, sizes and times, folder by folder. */
static void add_folder(const char *path, int depth, size_t *left, struct kc_buf *out)
{
	kc_autoclosedir DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir && depth == DEPTH_MAX)
		kc_buf_printf(out, "cannot be read: %s\n", strerror(errno));
	while (dir && *left && (entry = readdir(dir))) {
		kc_autofree char *inner = kc_path_join(path, entry->d_name);
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !inner || lstat(inner, &st) < 0)
			continue;
		--*left;
		kc_buf_printf(out, "%03o %u %lld %lld ", st.st_mode & 0777, st.st_uid, (long long)st.st_size,
			      (long long)st.st_mtime);
		add_text(out, inner, strlen(inner));
		kc_buf_append_str(out, "\n");
		if (S_ISDIR(st.st_mode) && depth > 1)
			add_folder(inner, depth - 1, left, out);
	}
}

static void add_listing(const char *name, const char *path, struct kc_buf *out)
{
	size_t left = ENTRIES_MAX;

	title(out, name);
	if (path)
		add_folder(path, DEPTH_MAX, &left, out);
}

static struct kc_error *read_status(struct kc_ctx *ctx, struct kc_buf *out)
{
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = { 0 };

	KC_TRY(kc_config_load(ctx, &config));
	KC_TRY(kc_kernel_read(ctx, &kernel));
	KC_TRY(kc_agent_info_read(ctx, &kernel, &config, &info));
	KC_TRY(kc_agent_info_text(&info, out));
	return kc_agent_info_json(&info, out);
}

static void add_status(struct kc_ctx *ctx, struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoerror struct kc_error *err = read_status(ctx, &text);

	title(out, "status");
	add_end(out, &text);
	if (err) {
		kc_buf_append_str(out, "cannot be told: ");
		add_text(out, kc_error_message(err), strlen(kc_error_message(err)));
		kc_buf_append_str(out, "\n");
	}
}

/* ---- what the system says ---- */

static void add_environment(struct kc_buf *out)
{
	static const char *const names[] = { "http_proxy",    "https_proxy", "no_proxy",   "HTTP_PROXY",
					     "HTTPS_PROXY",   "NO_PROXY",    "KCARE_ROOT", "CURL_CA_BUNDLE",
					     "SSL_CERT_FILE", "SSL_CERT_DIR" };

	title(out, "environment");
	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (!value)
			continue;
		kc_buf_printf(out, "%s=", names[i]);
		add_url(out, value, strlen(value));
		kc_buf_append_str(out, "\n");
	}
}

static bool is_of_interest(const char *line, size_t size)
{
	static const char *const words[] = { "livepatch", "kcare", "kpatch",	 "module verification", "Lockdown",
					     "BUG:",	  "Oops",  "Call Trace", "general protection" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(words); i++)
		if (memmem(line, size, words[i], strlen(words[i])))
			return true;
	return false;
}

/* Of the kernel's log what may be about us. */
static void add_kernel_log(struct kc_buf *out)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	kc_autofree char *log = size > 0 && size <= FILE_MAX ? malloc((size_t)size) : NULL;
	kc_autobuf struct kc_buf chosen = { 0 };
	const char *line, *end;

	title(out, "kernel log");
	size = log ? klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size) : -1;
	if (size < 0) {
		kc_buf_append_str(out, "cannot be read\n");
		return;
	}
	for (line = log, end = log + size; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t length = newline ? (size_t)(newline - line) + 1 : (size_t)(end - line);

		if (is_of_interest(line, length))
			kc_buf_append(&chosen, line, length);
		line += length;
	}
	add_end(out, &chosen);
}

static void add_tool(const char *const argv[], struct kc_buf *out)
{
	kc_autobuf struct kc_buf text = { 0 };
	int code = 0;
	int err =
		kc_process_run(&(struct kc_process){ .argv = argv, .output = &text, .output_limit = FILE_MAX }, &code);

	title(out, argv[2]);
	for (size_t i = 3; argv[i]; i++)
		kc_buf_printf(out, "%s%s", argv[i], argv[i + 1] ? " " : "\n");
	add_end(out, &text);
	if (err || code)
		kc_buf_printf(out, "failed (%d)\n", err ? err : code);
}

static void add_tools(struct kc_buf *out)
{
	add_tool((const char *const[]){ "timeout", TOOL_SECONDS, "systemctl", "--no-pager", "--full", "--all",
					"list-units", "kcare*", "libcare*", NULL },
		 out);
	add_tool((const char *const[]){ "timeout", TOOL_SECONDS, "systemctl", "--no-pager", "--all", "list-timers",
					"kcare*", "libcare*", NULL },
		 out);
	add_tool((const char *const[]){ "timeout", TOOL_SECONDS, "journalctl", "--no-pager", "-n", "300", "-u",
					"kcare*", "-u", "libcare*", NULL },
		 out);
}

/* ---- secrets ---- */

/* Wherever it got to, in a log or in a message of somebody else: the secret itself must not leave the host. */
static struct kc_error *hide(const char *secret, size_t length, struct kc_buf *report)
{
	kc_autobuf struct kc_buf hidden = { 0 };
	const char *at = report->data, *end = report->data + report->size, *found;

	if (length < SECRET_LENGTH_MIN || !report->size)
		return NULL;
	while ((found = memmem(at, (size_t)(end - at), secret, length))) {
		kc_buf_append(&hidden, at, (size_t)(found - at));
		kc_buf_append_str(&hidden, "***");
		at = found + length;
	}
	if (at == report->data)
		return NULL;
	kc_buf_append(&hidden, at, (size_t)(end - at));
	if (hidden.failed)
		return kc_error_no_memory();
	explicit_bzero(report->data, report->size);
	kc_buf_reset(report);
	kc_buf_append(report, hidden.data, hidden.size);
	explicit_bzero(hidden.data, hidden.size);
	return report->failed ? kc_error_no_memory() : NULL;
}

/* The password in "http://user:password@proxy". */
static struct kc_error *hide_password(const char *url, struct kc_buf *report)
{
	const char *begin = url ? strstr(url, "://") : NULL, *at, *colon;

	begin = begin ? begin + 3 : url;
	at = begin ? strrchr(begin, '@') : NULL;
	colon = at ? memchr(begin, ':', (size_t)(at - begin)) : NULL;
	return colon ? hide(colon + 1, (size_t)(at - colon - 1), report) : NULL;
}

/* Where the kernel lies in memory, as an oops and /proc/modules say: who attacks this host would like to know. */
static void hide_addresses(struct kc_buf *report)
{
	size_t size;

	for (char *at = report->data; at && (at = strstr(at, "ffff")); at += size) {
		size = strspn(at, "0123456789abcdef");
		if (size == 16 && (at == report->data || !isxdigit((unsigned char)at[-1])))
			memset(at, '*', size);
	}
}

static struct kc_error *hide_secrets(struct kc_ctx *ctx, struct kc_buf *report)
{
	KC_CLEANUP_IDENTITY struct kc_identity identity = { 0 };
	KC_CLEANUP_PORTAL_STATE struct kc_portal_state state = { 0 };
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	const char *const urls[] = { getenv("http_proxy"), getenv("https_proxy"), getenv("HTTP_PROXY"),
				     getenv("HTTPS_PROXY") };

	hide_addresses(report);
	/* what cannot be read has told nobody anything, but for what was read of it */
	kc_error_free(kc_identity_read(&identity));
	kc_error_free(kc_portal_state_read(&state));
	kc_error_free(kc_config_load(ctx, &config));
	KC_TRY(hide(identity.credentials.secret, strlen(identity.credentials.secret), report));
	if (identity.key)
		KC_TRY(hide(identity.key, strlen(identity.key), report));
	KC_TRY(hide(state.answer.nonce, strlen(state.answer.nonce), report));
	KC_TRY(hide_password(config.http_proxy, report));
	KC_TRY(hide_password(config.https_proxy, report));
	for (size_t i = 0; i < KC_ARRAY_SIZE(urls); i++)
		KC_TRY(hide_password(urls[i], report));
	return NULL;
}

/* ---- all of it ---- */

struct kc_error *kc_doctor_report(struct kc_ctx *ctx, struct kc_buf *out)
{
	static const char *const configurations[] = { KC_PATH_CONFIG, KC_PATH_SYSCTL, KC_PATH_SYSTEMID };
	static const char *const files[] = { KC_PATH_STATE, KC_PATH_LOADING, KC_PATH_USERSPACE_STATE, KC_PATH_PORTAL,
					     KC_PATH_INTEGRITY_LOG };
	static const char *const folders[] = { "/etc/sysconfig/kcare", KC_PATH_CACHE, "/var/lib/libcare" };
	static const char *const kernel[] = { "/proc/version", "/etc/os-release", "/proc/uptime",
					      "/proc/kcare/patch_info", "/proc/modules" };

	kc_buf_printf(out, "kcare %s, a report of %lld\n", KC_VERSION, (long long)time(NULL));
	add_status(ctx, out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(configurations); i++)
		add_config(configurations[i], out);
	add_environment(out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(files); i++)
		add_file(files[i], out);
	add_tools(out);
	add_kernel_log(out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(kernel); i++)
		add_path(kernel[i], kernel[i], out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(folders); i++) {
		kc_autofree char *path = kc_user_path(folders[i]);

		add_listing(folders[i], path, out);
	}
	add_listing("/sys/kernel/livepatch", "/sys/kernel/livepatch", out);
	if (out->failed)
		return kc_error_no_memory();
	KC_TRY(hide_secrets(ctx, out));
	if (out->size > KC_DOCTOR_REPORT_MAX) {
		out->size = KC_DOCTOR_REPORT_MAX;
		out->data[out->size] = '\0';
	}
	return NULL;
}
