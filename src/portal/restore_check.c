/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/restore_check.h"

#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "portal/config.h"
#include "repo/verify.h"

/* With a bad one the portal would not start again. */
struct kc_error *kc_restore_check_config(struct kc_ctx *ctx, const char *path)
{
	struct kc_portal_config config;
	struct kc_error *err = kc_portal_config_init(&config);

	if (!err)
		err = kc_portal_config_load(ctx, path, &config);
	kc_portal_config_clear(&config);
	return err;
}

static void keep_first(void *data, struct kc_error *err)
{
	struct kc_error **first = data;

	if (*first)
		kc_error_free(err);
	else
		*first = err;
}

/* Hosts would be told of patch files that are not there, or are other ones. */
struct kc_error *kc_restore_check_shown(const char *copy, const char *backup)
{
	kc_autofree char *shown = kc_path_join(copy, "public");
	kc_autoctx struct kc_ctx *silent = kc_ctx_new(); /* what nothing refers to is no damage */
	kc_autoerror struct kc_error *first = NULL;
	const struct kc_verify_options options = { .now = time(NULL), .problem = keep_first, .data = &first };
	struct kc_verified verified;

	if (!shown || !silent)
		return kc_error_no_memory();
	KC_TRY(kc_public_verify(silent, shown, &options, &verified));
	return first ? kc_error_new(KC_ERR_CORRUPT,
				    "the backup is damaged: %s; 'kcare-repo verify %s/repository' says more",
				    kc_error_message(first), backup)
		     : NULL;
}

/* What is wrong with the copy is wrong with the backup, and is to be mended there. */
struct kc_error *kc_restore_name_backup(struct kc_error *err, const char *copy, const char *backup)
{
	kc_autobuf struct kc_buf text = { 0 };
	const char *at, *next;
	struct kc_error *named;

	if (!err)
		return err;
	for (at = kc_error_message(err); (next = strstr(at, copy)); at = next + strlen(copy)) {
		kc_buf_append(&text, at, (size_t)(next - at));
		kc_buf_printf(&text, "%s/repository", backup);
	}
	kc_buf_append_str(&text, at);
	if (text.failed)
		return err;
	named = kc_error_new(kc_error_code(err), "%s", text.data);
	kc_error_free(err);
	return named;
}
