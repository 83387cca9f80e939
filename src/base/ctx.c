/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ctx.h"

#include <stdarg.h>

struct kc_ctx {
	enum kc_log_level most_verbose;
	kc_log_fn *log;
	void *log_data;
	kc_progress_fn *progress;
	void *progress_data;
	kc_ask_fn *ask;
	void *ask_data;
	void *kept;
	void (*release)(void *kept);
};

struct kc_ctx *kc_ctx_new(void)
{
	return calloc(1, sizeof(struct kc_ctx));
}

void kc_ctx_free(struct kc_ctx *ctx)
{
	if (ctx)
		kc_ctx_keep(ctx, NULL, NULL);
	free(ctx);
}

void kc_ctx_keep(struct kc_ctx *ctx, void *kept, void (*release)(void *kept))
{
	if (ctx->kept)
		ctx->release(ctx->kept);
	ctx->kept = kept;
	ctx->release = release;
}

void *kc_ctx_take_kept(struct kc_ctx *ctx)
{
	return ctx->kept ? kc_steal(ctx->kept) : NULL;
}

void kc_ctx_set_log(struct kc_ctx *ctx, enum kc_log_level most_verbose, kc_log_fn *log, void *data)
{
	ctx->most_verbose = most_verbose;
	ctx->log = log;
	ctx->log_data = data;
}

void kc_ctx_set_log_level(struct kc_ctx *ctx, enum kc_log_level most_verbose)
{
	ctx->most_verbose = most_verbose;
}

void kc_ctx_set_progress(struct kc_ctx *ctx, kc_progress_fn *progress, void *data)
{
	ctx->progress = progress;
	ctx->progress_data = data;
}

void kc_ctx_set_ask(struct kc_ctx *ctx, kc_ask_fn *ask, void *data)
{
	ctx->ask = ask;
	ctx->ask_data = data;
}

void kc_log(struct kc_ctx *ctx, enum kc_log_level level, const char *format, ...)
{
	kc_autofree char *message = NULL;
	va_list args;

	if (!ctx->log || level > ctx->most_verbose)
		return;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (message)
		ctx->log(ctx->log_data, level, message);
}

void kc_progress(struct kc_ctx *ctx, const char *what, unsigned long done, unsigned long total)
{
	if (ctx->progress)
		ctx->progress(ctx->progress_data, what, done, total);
}

struct kc_error *kc_ask(struct kc_ctx *ctx, const char *question, struct kc_buf *secret)
{
	if (!ctx->ask)
		return kc_error_new(KC_ERR_KEY, "%s: needed, but there is nobody to ask", question);
	return ctx->ask(ctx->ask_data, question, secret);
}
