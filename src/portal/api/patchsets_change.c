/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patchsets that come, and what feeds do with them: jobs of the publisher, with a line in the audit log. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/answer.h"
#include "portal/api/product.h"
#include "portal/api/work.h"

struct patchset_work {
	const char *patchset;
	const char *feed; /* NULL: those with auto */
	json_t *feeds;
	enum kc_patchset_action action;
	char product; /* 0: any */
	bool is_disabled, remove;
};

/* ---- states ---- */

/* "enabled" … */
static const char *done_text(enum kc_patchset_action action)
{
	switch (action) {
	case KC_PATCHSET_DISABLE:
		return "disabled";
	case KC_PATCHSET_BLOCK:
		return "blocked";
	case KC_PATCHSET_UNDEPLOY:
	case KC_PATCHSET_UNDEPLOY_DOWNTO:
		return "undeployed";
	default:
		return "enabled";
	}
}

static struct kc_error *read_action(struct kc_work *work)
{
	struct patchset_work *own = work->data;
	const char *text;

	KC_TRY(kc_args_need_text(&work->args, "action", KC_ARGS_TEXT_MAX, &text));
	for (int i = KC_PATCHSET_ENABLE; i <= KC_PATCHSET_UNDEPLOY_DOWNTO; i++) {
		own->action = (enum kc_patchset_action)i;
		if (!strcmp(text, kc_patchset_action_name(own->action)))
			return NULL;
	}
	return kc_error_new(KC_ERR_INPUT,
			    "action is enable, disable, block, undeploy, enable-upto or undeploy-downto, "
			    "not %s",
			    text);
}

/* All of them are there before the first one changes. */
static struct kc_error *read_feeds(struct kc_work *work)
{
	struct patchset_work *own = work->data;
	kc_autobuf struct kc_buf names = { 0 };
	json_t *feed;
	size_t i;

	KC_TRY(kc_args_texts(&work->args, "feed", KC_ARGS_TEXT_MAX, &own->feeds));
	if (!own->feeds)
		return kc_error_new(KC_ERR_INPUT, "feed is missing");
	json_array_foreach(own->feeds, i, feed)
	{
		KC_TRY(kc_api_need_feed(work->portal, json_string_value(feed)));
		kc_buf_printf(&names, "%s%s", i ? "," : "", json_string_value(feed));
	}
	return names.failed ? kc_error_no_memory() : kc_work_set(&work->detail, "feed=%s", names.data);
}

static struct kc_error *prepare_manage(struct kc_work *work)
{
	static const char *const actions[] = {
		[KC_PATCHSET_ENABLE] = "patchset enable",
		[KC_PATCHSET_DISABLE] = "patchset disable",
		[KC_PATCHSET_BLOCK] = "patchset block",
		[KC_PATCHSET_UNDEPLOY] = "patchset undeploy",
		[KC_PATCHSET_ENABLE_UPTO] = "patchset enable-upto",
		[KC_PATCHSET_UNDEPLOY_DOWNTO] = "patchset undeploy-downto",
	};
	struct patchset_work *own = work->data;

	KC_TRY(kc_args_patchset(&work->args, &own->patchset));
	KC_TRY(read_action(work));
	KC_TRY(read_feeds(work));
	KC_TRY(kc_args_product(&work->args, &own->product));
	work->has_changed = true;
	work->action = actions[own->action];
	return kc_work_set(&work->object, "%s", own->patchset);
}

/* As the log says it, too: "K04082020_1 was enabled in main". */
static struct kc_error *tell(struct kc_work *work)
{
	const struct patchset_work *own = work->data;
	const char *feeds = work->detail + strlen("feed="), *done = done_text(own->action);

	if (own->action != KC_PATCHSET_ENABLE_UPTO && own->action != KC_PATCHSET_UNDEPLOY_DOWNTO)
		return kc_work_set(&work->message, "%s was %s in %s", own->patchset, done, feeds);
	return kc_work_set(&work->message, "%zu patchset%s %s %s in %s, %s to %s", work->n_changed,
			   work->n_changed == 1 ? "" : "s", work->n_changed == 1 ? "was" : "were", done, feeds,
			   own->action == KC_PATCHSET_ENABLE_UPTO ? "up" : "down", own->patchset);
}

static struct kc_error *manage(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			       struct kc_work *work)
{
	struct patchset_work *own = work->data;
	json_t *feed;
	size_t i;

	json_array_foreach(own->feeds, i, feed)
	{
		const struct kc_manage job = {
			.action = own->action,
			.patchset = own->patchset,
			.feed = json_string_value(feed),
			.product = own->product,
		};
		struct kc_managed managed = { 0 };
		struct kc_error *err = kc_publisher_manage(ctx, publisher, repository, &job, &managed);

		if (err && kc_error_code(err) != KC_ERR_NOTHING)
			return err;
		kc_error_free(err);
		work->n_changed += managed.n;
	}
	return work->n_changed ? tell(work) : NULL;
}

void kc_api_patchset_manage(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset change",
		.data_size = sizeof(struct patchset_work),
		.prepare = prepare_manage,
		.publish = manage,
	};

	kc_work_run(data, request, &kind);
}

/* ---- an archive that is sent ---- */

static struct kc_error *prepare_deploy(struct kc_work *work)
{
	struct patchset_work *own = work->data;

	KC_TRY(kc_args_feed(&work->args, work->portal, &own->feed));
	KC_TRY(kc_args_flag(&work->args, "disabled", &own->is_disabled));
	KC_TRY(kc_args_product(&work->args, &own->product));
	if (!kc_http_body_path(work->request))
		return kc_error_new(KC_ERR_INPUT, "the body is empty: it must be the archive of a patchset");
	work->has_changed = true;
	return kc_work_set(&work->detail, "feed=%s%s", own->feed, own->is_disabled ? " disabled" : "");
}

/* Who sent it knows nothing of the name that it has here. */
static struct kc_error *without_path(struct kc_error *err, const char *path)
{
	size_t length = strlen(path);
	struct kc_error *plain;

	if (!err || strncmp(kc_error_message(err), path, length))
		return err;
	plain = kc_error_new(kc_error_code(err), "the archive%s", kc_error_message(err) + length);
	kc_error_free(err);
	return plain;
}

static struct kc_error *deploy(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			       struct kc_work *work)
{
	const struct patchset_work *own = work->data;
	const struct kc_manage job = {
		.action = KC_PATCHSET_DEPLOY,
		.feed = own->feed,
		.archive = kc_http_body_path(work->request),
		.disabled = own->is_disabled,
		.product = own->product,
	};
	struct kc_managed managed = { 0 };
	struct kc_error *out_of_memory,
		*err = without_path(kc_publisher_manage(ctx, publisher, repository, &job, &managed), job.archive);

	/* its name is known also when it is there already */
	out_of_memory = kc_work_set(&work->object, "%s", managed.patchset);
	work->answer = json_pack("{s:s, s:s}", "result", "ok", "patchset", managed.patchset);
	if (err || out_of_memory || !work->answer)
		return err ? err : kc_error_no_memory();
	work->n_changed = managed.n;
	return kc_work_set(&work->message, "%s was %s in %s", managed.patchset,
			   own->is_disabled ? "deployed, and is not enabled," : "enabled", own->feed);
}

void kc_api_patchset_deploy(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset deploy",
		.has_own_body = true,
		.data_size = sizeof(struct patchset_work),
		.prepare = prepare_deploy,
		.publish = deploy,
	};

	kc_work_run(data, request, &kind);
}

/* ---- from the upstream ---- */

static struct kc_error *prepare_update(struct kc_work *work)
{
	struct patchset_work *own = work->data;

	KC_TRY(kc_args_feed(&work->args, work->portal, &own->feed));
	KC_TRY(kc_args_product(&work->args, &own->product));
	work->has_changed = true;
	return kc_work_set(&work->object, "%s", own->feed);
}

static struct kc_error *prepare_auto_update(struct kc_work *work)
{
	struct patchset_work *own = work->data;

	KC_TRY(kc_args_product(&work->args, &own->product));
	work->has_changed = true;
	return kc_work_set(&work->object, "%s", "feeds with auto");
}

/* `n` is true also when not all went well. */
static void end_update(struct kc_work *work, size_t n, struct kc_error *err, const char *what)
{
	struct kc_error *out_of_memory = kc_work_set(&work->detail, "new=%zu", n);

	work->n_changed = n;
	if (!out_of_memory)
		out_of_memory = kc_work_set(&work->message, "%zu patchset%s %s", n, n == 1 ? "" : "s", what);
	kc_work_go_on(work, err ? err : out_of_memory);
}

static void updated(void *data, size_t n, struct kc_error *err)
{
	const struct patchset_work *own = ((struct kc_work *)data)->data;

	/* what feeds with auto have taken may have been uploaded here */
	end_update(data, n, err, own->feed ? "came from the upstream" : "taken by feeds with auto");
}

static void update(struct kc_work *work)
{
	const struct patchset_work *own = work->data;

	kc_publisher_update(work->portal->publisher, own->feed, own->product, updated, work);
}

void kc_api_patchsets_update(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset update",
		.data_size = sizeof(struct patchset_work),
		.prepare = prepare_update,
		.hand_over = update,
	};

	kc_work_run(data, request, &kind);
}

void kc_api_patchsets_auto_update(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset auto-update",
		.data_size = sizeof(struct patchset_work),
		.prepare = prepare_auto_update,
		.hand_over = update,
	};

	kc_work_run(data, request, &kind);
}

static struct kc_error *prepare_download(struct kc_work *work)
{
	work->has_changed = true;
	return NULL;
}

static void downloaded(void *data, size_t n, struct kc_error *err)
{
	end_update(data, n, err, "downloaded");
}

static void download(struct kc_work *work)
{
	kc_publisher_download_missing(work->portal->publisher, downloaded, work);
}

void kc_api_patchsets_download(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset download-missing",
		.prepare = prepare_download,
		.hand_over = download,
	};

	kc_work_run(data, request, &kind);
}

/* ---- out of everything ---- */

static struct kc_error *prepare_unroll(struct kc_work *work)
{
	struct patchset_work *own = work->data;

	KC_TRY(kc_args_patchset(&work->args, &own->patchset));
	KC_TRY(kc_args_flag(&work->args, "delete", &own->remove));
	work->has_changed = true;
	KC_TRY(kc_work_set(&work->object, "%s", own->patchset));
	return kc_work_set(&work->detail, "%s", own->remove ? "delete" : "");
}

static struct kc_error *unroll(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			       struct kc_work *work)
{
	const struct patchset_work *own = work->data;
	size_t n = 0;

	KC_TRY(kc_publisher_unroll(ctx, publisher, repository, own->patchset, own->remove, &n));
	/* files that no feed had may be all that went */
	work->n_changed = n ? n : own->remove;
	if (!n)
		return kc_work_set(&work->message, "the files of %s are gone", own->patchset);
	return kc_work_set(&work->message, "%s was taken out of %zu feed%s%s", own->patchset, n, n == 1 ? "" : "s",
			   own->remove ? ", and its files are gone" : "");
}

void kc_api_patchset_unroll(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "patchset unroll",
		.data_size = sizeof(struct patchset_work),
		.prepare = prepare_unroll,
		.publish = unroll,
	};

	kc_work_run(data, request, &kind);
}
