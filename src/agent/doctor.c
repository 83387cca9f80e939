/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/doctor.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "agent/info.h"
#include "agent/paths.h"
#include "agent/update.h"
#include "base/array.h"
#include "base/conf_line.h"
#include "base/file.h"
#include "proto/proto.h"

enum { FILE_MAX = 8 << 20, SHOWN_MAX = 64 << 10 };

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
static void add_file(const char *fixed, struct kc_buf *out)
{
	kc_autofree char *path = kc_user_path(fixed);
	kc_autobuf struct kc_buf text = { 0 };
	int err = path ? kc_file_read_now(path, FILE_MAX, &text) : -ENOMEM;
	size_t from;

	title(out, fixed);
	if (err) {
		kc_buf_printf(out, "cannot be read: %s\n", strerror(-err));
		return;
	}
	from = text.size > SHOWN_MAX ? text.size - SHOWN_MAX : 0;
	add_text(out, text.data + from, text.size - from);
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
	add_text(out, text.data, text.size);
	if (err)
		kc_buf_printf(out, "cannot be told: %s\n", kc_error_message(err));
}

struct kc_error *kc_doctor_report(struct kc_ctx *ctx, struct kc_buf *out)
{
	static const char *const configurations[] = { KC_PATH_CONFIG, KC_PATH_SYSCTL, KC_PATH_SYSTEMID };
	static const char *const files[] = { KC_PATH_STATE, KC_PATH_USERSPACE_STATE, KC_PATH_INTEGRITY_LOG };
	static const char *const kernel[] = { "/proc/version", "/etc/os-release", "/proc/uptime", "/proc/modules",
					      "/proc/kcare/patch_info" };

	kc_buf_printf(out, "kcare %s, a report of %lld\n", KC_VERSION, (long long)time(NULL));
	add_status(ctx, out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(configurations); i++)
		add_config(configurations[i], out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(files); i++)
		add_file(files[i], out);
	for (size_t i = 0; i < KC_ARRAY_SIZE(kernel); i++)
		add_file(kernel[i], out);
	if (out->failed)
		return kc_error_no_memory();
	if (out->size > KC_DOCTOR_REPORT_MAX) {
		out->size = KC_DOCTOR_REPORT_MAX;
		out->data[out->size] = '\0';
	}
	return NULL;
}
