/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/log.h"

#include <jansson.h>
#include <time.h>

static const char *level_name(enum kc_log_level level)
{
	switch (level) {
	case KC_LOG_ERROR:
		return "error";
	case KC_LOG_WARNING:
		return "warning";
	case KC_LOG_INFO:
		return "info";
	default:
		return "debug";
	}
}

/* Nobody who chooses a name may begin a line of his own, or move the cursor of whoever reads it. */
static void escape(struct kc_buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			kc_buf_printf(out, "\\x%02x", c);
		else
			kc_buf_append(out, text, 1);
	}
}

/* One write(2) for each line: lines of several threads do not mix. */
static void put(struct kc_buf *line)
{
	kc_buf_append_str(line, "\n");
	if (!line->failed && write(STDERR_FILENO, line->data, line->size) < 0)
		return; /* there is nobody to tell */
}

static void log_text(void *data, enum kc_log_level level, const char *message)
{
	kc_autobuf struct kc_buf line = { 0 };

	(void)data;
	kc_buf_printf(&line, "eportald: %s: ", level_name(level));
	escape(&line, message);
	put(&line);
}

static void log_json(void *data, enum kc_log_level level, const char *message)
{
	kc_autobuf struct kc_buf line = { 0 }, plain = { 0 };
	struct timespec now;
	json_t *json;
	char *text;

	(void)data;
	escape(&plain, message);
	clock_gettime(CLOCK_REALTIME, &now);
	json = json_pack("{s:f, s:s, s:s}", "time", (double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1e3, "level",
			 level_name(level), "message", plain.data ? plain.data : "");
	text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(13)) : NULL;
	json_decref(json);
	/* a message that is not UTF-8 */
	if (!text) {
		log_text(data, level, message);
		return;
	}
	kc_buf_append_str(&line, text);
	free(text);
	put(&line);
}

void kc_portal_log_open(struct kc_ctx *ctx, enum kc_log_level most_verbose, bool as_json)
{
	kc_ctx_set_log(ctx, most_verbose, as_json ? log_json : log_text, NULL);
}
