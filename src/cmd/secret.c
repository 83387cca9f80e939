/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/secret.h"

#include <string.h>

void kc_secret_wipe(struct kc_buf *secret)
{
	if (secret->data)
		explicit_bzero(secret->data, secret->size);
	kc_buf_free(secret);
}

static struct kc_error *ask(struct kc_ctx *ctx, const char *question, struct kc_buf *secret)
{
	return ctx ? kc_ask(ctx, question, secret) : kc_terminal_ask(question, secret);
}

/* Twice: what has a typing error is lost. `ctx` NULL: only at the terminal. */
static struct kc_error *ask_twice(struct kc_ctx *ctx, const char *what, const char *options, struct kc_buf *secret)
{
	KC_CLEANUP(kc_secret_wipe) struct kc_buf again = { 0 };
	kc_autobuf struct kc_buf question = { 0 };
	struct kc_error *err;

	kc_buf_printf(&question, "new %s", what);
	if (question.failed)
		return kc_error_no_memory();
	err = ask(ctx, question.data, secret);
	if (!err)
		err = ask(ctx, "the same again", &again);
	if (err)
		return kc_error_prefix(err, "%s would do without asking", options);
	if (again.size != secret->size || memcmp(again.data, secret->data, again.size))
		return kc_error_new(KC_ERR_USAGE, "the two differ; nothing was made");
	return NULL;
}

static struct kc_error *make(struct kc_ctx *ctx, const char *what, const char *path, bool without, const char *options,
			     struct kc_buf *secret)
{
	if (path && without)
		return kc_error_new(KC_ERR_USAGE, "%s: they exclude each other", options);
	if (path)
		return kc_terminal_read_passphrase(path, secret);
	if (without)
		return NULL;
	return ask_twice(ctx, what, options, secret);
}

struct kc_error *kc_secret_new(struct kc_ctx *ctx, const char *what, const char *path, bool without,
			       const char *options, struct kc_buf *secret)
{
	return make(ctx, what, path, without, options, secret);
}

struct kc_error *kc_secret_new_password(const char *path, bool without, const char *options, struct kc_buf *secret)
{
	return make(NULL, "password", path, without, options, secret);
}
