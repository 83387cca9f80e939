/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The context: what a program lends to the libraries so that they need no globals and never print. A `main()` makes
 * one, sets where messages and progress go, and passes it first to every call.
 */
#ifndef KC_BASE_CTX_H
#define KC_BASE_CTX_H

#include "base/buf.h"
#include "base/error.h"

enum kc_log_level {
	KC_LOG_ERROR,
	KC_LOG_WARNING,
	KC_LOG_INFO,
	KC_LOG_DEBUG,
};

struct kc_ctx;

/* `message` is one line without newline, valid during the call. */
typedef void kc_log_fn(void *data, enum kc_log_level level, const char *message);
/*
 * Something that takes long: `what` is being done, `done` of `total` steps are over (total 0: unknown). A finished
 * activity is reported once with done == total.
 */
typedef void kc_progress_fn(void *data, const char *what, unsigned long done, unsigned long total);

/* Asks the administrator for a secret, such as "passphrase of author.key", and appends it to `secret`. */
typedef struct kc_error *kc_ask_fn(void *data, const char *question, struct kc_buf *secret);

/* NULL when out of memory. Logs and progress go nowhere until set. */
struct kc_ctx *kc_ctx_new(void);
void kc_ctx_free(struct kc_ctx *ctx);

void kc_ctx_set_log(struct kc_ctx *ctx, enum kc_log_level most_verbose, kc_log_fn *log, void *data);
/* Only changes how much is logged. */
void kc_ctx_set_log_level(struct kc_ctx *ctx, enum kc_log_level most_verbose);
void kc_ctx_set_progress(struct kc_ctx *ctx, kc_progress_fn *progress, void *data);
void kc_ctx_set_ask(struct kc_ctx *ctx, kc_ask_fn *ask, void *data);

void kc_log(struct kc_ctx *ctx, enum kc_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define kc_warning(ctx, ...) kc_log(ctx, KC_LOG_WARNING, __VA_ARGS__)
#define kc_info(ctx, ...) kc_log(ctx, KC_LOG_INFO, __VA_ARGS__)
#define kc_debug(ctx, ...) kc_log(ctx, KC_LOG_DEBUG, __VA_ARGS__)

void kc_progress(struct kc_ctx *ctx, const char *what, unsigned long done, unsigned long total);

/*
 * What a library keeps from one call to the next, such as a process that it talks to. There is room for one thing; it
 * is released with the context, or when another one, or NULL, takes its place. Not where several threads share a
 * context.
 */
void kc_ctx_keep(struct kc_ctx *ctx, void *kept, void (*release)(void *kept));
void *kc_ctx_take_kept(struct kc_ctx *ctx); /* the caller's now; NULL: there is none */

/* KC_ERR_KEY when there is nobody to ask. The caller wipes `secret` (explicit_bzero) before it frees it. */
struct kc_error *kc_ask(struct kc_ctx *ctx, const char *question, struct kc_buf *secret);

KC_DEFINE_CLEANUP(kc_cleanup_ctx, struct kc_ctx *, kc_ctx_free)
#define kc_autoctx KC_CLEANUP(kc_cleanup_ctx)

#endif
