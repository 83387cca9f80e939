/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backup and restore: for root and the portal's own user, through the socket. Paths are of the portal's machine. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/work.h"
#include "portal/backup.h"

enum { FULL_PATH_MAX = 4000 };

struct backup_work {
	const char *path;
	unsigned what;
};

static struct kc_error *read_path(struct kc_work *work)
{
	struct backup_work *own = work->data;

	KC_TRY(kc_args_need_text(&work->args, "path", FULL_PATH_MAX, &own->path));
	if (*own->path != '/')
		return kc_error_new(KC_ERR_INPUT, "path must begin with /: the portal has a working folder of its own");
	return kc_work_set(&work->object, "%s", own->path);
}

static struct kc_error *backup(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			       struct kc_work *work)
{
	const struct backup_work *own = work->data;

	(void)ctx;
	(void)publisher;
	(void)repository;
	return kc_backup_write(work->portal, own->path);
}

void kc_api_backup(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "backup",
		.data_size = sizeof(struct backup_work),
		.prepare = read_path,
		.publish = backup,
	};

	kc_work_run(data, request, &kind);
}

static struct kc_error *backup_db(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				  struct kc_work *work)
{
	const struct backup_work *own = work->data;

	(void)ctx;
	(void)publisher;
	(void)repository;
	return kc_backup_write_db(work->portal, own->path);
}

void kc_api_backup_db(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "backup-db",
		.data_size = sizeof(struct backup_work),
		.prepare = read_path,
		.publish = backup_db,
	};

	kc_work_run(data, request, &kind);
}

/* ---- restore ---- */

static struct kc_error *prepare_restore(struct kc_work *work)
{
	static const struct {
		const char *name;
		unsigned bit;
	} parts[] = {
		{ "db", KC_RESTORE_DB },
		{ "config", KC_RESTORE_CONFIG },
		{ "data", KC_RESTORE_DATA },
		{ "full", KC_RESTORE_FULL },
	};
	struct backup_work *own = work->data;
	json_t *names, *name;
	size_t i, k;

	KC_TRY(read_path(work));
	KC_TRY(kc_args_texts(&work->args, "what", KC_ARGS_TEXT_MAX, &names));
	json_array_foreach(names, i, name)
	{
		for (k = 0; k < KC_ARRAY_SIZE(parts) && strcmp(json_string_value(name), parts[k].name); k++)
			;
		if (k == KC_ARRAY_SIZE(parts))
			return kc_error_new(KC_ERR_INPUT, "what is db, config, data or full, not %s",
					    json_string_value(name));
		own->what |= parts[k].bit;
	}
	if (!own->what)
		return kc_error_new(KC_ERR_INPUT, "what is missing: db, config, data or full");
	return kc_work_set(&work->detail, "%s%s%s", own->what & KC_RESTORE_DB ? "db " : "",
			   own->what & KC_RESTORE_CONFIG ? "config " : "", own->what & KC_RESTORE_DATA ? "data" : "");
}

static struct kc_error *restore(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				struct kc_work *work)
{
	const struct backup_work *own = work->data;

	(void)ctx;
	(void)publisher;
	(void)repository;
	KC_TRY(kc_backup_restore(work->portal, own->path, own->what));
	return own->what & KC_RESTORE_CONFIG
		       ? kc_work_set(&work->message, "%s", "eportald reads its configuration when it is started again")
		       : NULL;
}

void kc_api_restore(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "restore",
		.data_size = sizeof(struct backup_work),
		.prepare = prepare_restore,
		.publish = restore,
	};

	kc_work_run(data, request, &kind);
}
